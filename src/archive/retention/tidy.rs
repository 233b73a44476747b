//! Retention at work: a pass over every volume now and then, the bytes given back, what is left told.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::forecast::{self, Lately, Question};
use super::pass::{Pass, Shelf};
use super::rules::{Budget, Rules};
use super::runs::{Split, merged, split};
use super::{FloorState, Forecast};
use crate::archive::Inner;
use crate::archive::freed;
use crate::archive::recovery::blocking;
use crate::archive::sync::as_f64;
use crate::archive::volumes::{Mount, State};
use crate::model::{Result, SegmentId, StreamKey, TimeRange, UtcMicros, split_path};
use crate::store::database::{Burial, Hold, SegmentPart, SegmentRow, Tombstone};
use crate::telemetry::{Metric, count, gauge};

/// The rate is measured over so long at most.
const LATELY: Duration = Duration::from_secs(24 * 3_600);
/// A forecast is about days: it need not be worked out at every pass.
const FORECAST_EVERY: Duration = Duration::from_secs(600);
/// Recording on a full volume goes on when so much could be recorded.
const ROOM_TO_GO_ON: u64 = 64 << 20;
/// Unfinished deletions finished in one pass.
const UNDONE: i64 = 1_000;

/// One volume's shelf.
struct OnVolume<'a> {
    inner: &'a Inner,
    mount: &'a Arc<Mount>,
}

impl Shelf for OnVolume<'_> {
    async fn streams(&self) -> Result<Vec<StreamKey>> {
        let all = self.inner.db.archive_streams().await?;
        Ok(all.into_iter().map(|(key, _)| key).collect())
    }

    async fn oldest(
        &self,
        stream: Option<&StreamKey>,
        after: (UtcMicros, String),
        limit: usize,
    ) -> Result<Vec<SegmentRow>> {
        let (db, volume) = (&self.inner.db, &self.mount.name);
        let (after, limit) = (
            (after.0, after.1.as_str()),
            i64::try_from(limit).unwrap_or(64),
        );
        match stream {
            None => db.archive_oldest(volume, after, limit).await,
            Some(stream) => db.archive_oldest_of(volume, stream, after, limit).await,
        }
    }

    async fn part(&self, id: SegmentId) -> Result<Option<SegmentPart>> {
        self.inner.db.archive_segment(id).await
    }

    async fn next(&self, stream: &StreamKey, at: UtcMicros) -> Result<Option<SegmentPart>> {
        match self.inner.db.archive_after(stream, at).await? {
            Some(row) => self.inner.db.archive_segment(row.segment.id).await,
            None => Ok(None),
        }
    }

    async fn holds(&self) -> Result<Vec<Hold>> {
        self.inner.db.archive_holds().await
    }

    async fn bury(&self, burials: Vec<Burial>) -> Result<Vec<SegmentId>> {
        self.inner.bury(self.mount, burials).await
    }
}

impl Inner {
    pub(in crate::archive) async fn keep_tidy(
        self: Arc<Self>,
        every: Duration,
        stop: CancellationToken,
    ) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(every) => {}
            }
            match self.tidy().await {
                Ok(_) => {
                    self.troubles.retention(None);
                }
                Err(e) => {
                    let message = format!("old recordings could not be deleted: {}", e.detail());
                    if self.troubles.retention(Some(message)) {
                        tracing::error!(error = %e.chain(), "retention failed");
                    }
                }
            }
        }
    }

    /// One pass over all volumes that are there; returns the number of files deleted.
    pub(in crate::archive) async fn tidy(&self) -> Result<usize> {
        let _one = self.tidying.lock().await;
        let rules = Rules::new(&self.config);
        self.finish_deletions().await?;
        let mut deleted = 0;
        let mut failed = None;
        for mount in self.volumes.all() {
            // Nothing is asked of a disk that may not answer.
            if mount.state() == State::Lost {
                continue;
            }
            match self.tidy_volume(mount, &rules).await {
                Ok(n) => deleted += n,
                // The others are tidied all the same.
                Err(e) => failed = Some(e),
            }
        }
        failed.map_or(Ok(deleted), Err)
    }

    async fn tidy_volume(&self, mount: &Arc<Mount>, rules: &Rules) -> Result<usize> {
        let now = self.clock.now();
        let asked = Arc::clone(mount);
        let free = blocking("ask for free space", move || asked.ask_free()).await?;
        let label = [("volume", mount.label())];
        gauge(Metric::ArchiveFreeBytes, &label, number(free));
        let budget = Budget {
            total: mount.bytes(),
            free,
            max_bytes: mount.max_bytes,
            min_free: mount.min_free_bytes,
        };
        let shelf = OnVolume { inner: self, mount };
        let mut pass = Pass::new(&shelf, rules, &self.pins, now, mount.can_punch(), budget);
        (pass.class_of, pass.excess) = self.classes(rules).await?;
        pass.run().await?;
        let (done, budget) = (pass.done, pass.budget);
        drop(pass);
        gauge(Metric::ArchiveVolumeBytes, &label, number(mount.bytes()));
        self.judge(mount, budget, done.for_space, now).await?;
        Ok(done.files)
    }

    /// Class of each stream, and bytes by which each class is over its limit.
    async fn classes(&self, rules: &Rules) -> Result<(HashMap<StreamKey, usize>, Vec<u64>)> {
        let mut class_of = HashMap::new();
        let mut used = vec![0u64; rules.classes.len()];
        if !rules.classes.is_empty() {
            for (stream, bytes) in self.db.archive_bytes().await? {
                let area = self.volumes.area_of(&stream);
                if let Some(i) = rules.class_of(&stream, area.as_deref()) {
                    class_of.insert(stream, i);
                    if let Some(n) = used.get_mut(i) {
                        *n += bytes;
                    }
                }
            }
        }
        let over = |(class, used): (&super::rules::Class, u64)| match class.max_bytes {
            0 => 0,
            max => used.saturating_sub(max),
        };
        Ok((class_of, rules.classes.iter().zip(used).map(over).collect()))
    }

    /// Whether anything but held recordings can still be kept, and how long the volume lasts.
    async fn judge(
        &self,
        mount: &Arc<Mount>,
        budget: Budget,
        taken: Option<UtcMicros>,
        now: UtcMicros,
    ) -> Result<()> {
        let holds = self.db.archive_holds().await?;
        let before = mount.forecast();
        let age = before.as_ref().map(|f| now.micros_since(f.at));
        let fresh = i64::try_from(FORECAST_EVERY.as_micros()).unwrap_or(i64::MAX);
        let same_holds = mount.holds_seen(&holds);
        let held = match &before {
            Some(f) if same_holds && age.is_some_and(|a| a < fresh) => f.held_bytes,
            _ => self.held_bytes(mount, &holds).await?,
        };
        self.stop_or_go_on(mount, &budget, held);
        let label = [("volume", mount.label())];
        gauge(Metric::ArchiveHeldBytes, &label, number(held));
        if same_holds && taken.is_none() && age.is_some_and(|a| (0..fresh).contains(&a)) {
            return Ok(());
        }
        if let Some(end) = taken {
            mount.set_taken(end);
        }
        let since = UtcMicros(now.micros() - i64::try_from(LATELY.as_micros()).unwrap_or(0));
        let (bytes, first) = self.db.archive_recorded_since(&mount.name, since).await?;
        let oldest = self.db.archive_oldest_time(&mount.name).await?;
        let floor_days = self.config.legal_floor_days;
        let forecast = forecast::forecast(&Question {
            now,
            budget,
            lately: Lately {
                bytes,
                micros: first.map_or(0, |f| now.micros_since(f.max(since))),
            },
            held,
            oldest,
            floor_days,
            taken: mount.taken(),
        });
        self.say(mount, &forecast, floor_days);
        mount.set_forecast(forecast);
        Ok(())
    }

    fn say(&self, mount: &Mount, f: &Forecast, floor_days: f64) {
        let label = [("volume", mount.label())];
        if let Some(hours) = f.runway_hours {
            gauge(Metric::ArchiveRunwayHours, &label, hours);
        }
        if let Some(days) = f.holds_days {
            gauge(Metric::ArchiveHoldsDays, &label, days);
        }
        let short = matches!(f.floor, FloorState::Short { .. } | FloorState::Broken);
        gauge(
            Metric::ArchiveFloorShort,
            &label,
            f64::from(u8::from(short)),
        );
        let warning = forecast::warning(f, floor_days);
        if mount.troubles.short(warning.clone()) {
            match warning {
                Some(warning) => {
                    tracing::warn!(volume = mount.label(), "{warning}");
                }
                None => tracing::info!(
                    volume = mount.label(),
                    "it holds as many days as it has to again"
                ),
            }
        }
    }

    /// When only held recordings are left and space is out, nothing more is recorded there.
    fn stop_or_go_on(&self, mount: &Mount, budget: &Budget, held: u64) {
        let room = budget.room(held);
        let enough = match mount.max_bytes {
            0 => ROOM_TO_GO_ON,
            max => ROOM_TO_GO_ON.min(max / 20),
        };
        let full = if mount.is_full() {
            room < enough
        } else {
            held > 0 && room == 0
        };
        if full == mount.is_full() {
            return;
        }
        mount.set_full(full);
        let message = format!(
            "recording to {} is stopped: only held recordings are left ({} MB) and there is no room beside them; lift holds that \
             are no longer needed, or add space; it goes on by itself",
            mount.dir.display(),
            held / 1_000_000
        );
        mount.troubles.full(full.then(|| message.clone()));
        if full {
            tracing::error!(volume = mount.label(), "{message}");
        } else {
            tracing::info!(
                volume = mount.label(),
                "there is room again; recording goes on"
            );
        }
    }

    /// Bytes on the volume that no rule may take.
    async fn held_bytes(&self, mount: &Mount, holds: &[Hold]) -> Result<u64> {
        let mut by_stream: HashMap<&StreamKey, Vec<TimeRange>> = HashMap::new();
        for hold in holds {
            by_stream.entry(&hold.stream).or_default().push(hold.range);
        }
        let mut held = 0;
        for (stream, ranges) in by_stream {
            let ranges = merged(ranges);
            let mut seen: Option<SegmentId> = None;
            for range in &ranges {
                held += self
                    .db
                    .archive_bytes_inside(&mount.name, stream, *range)
                    .await?;
                // The files at its two ends, and those before it that its first picture needs.
                for at in [range.from, range.to] {
                    for part in self.db.archive_before(stream, at, 1).await? {
                        let row = &part.row;
                        let inside = row.segment.started >= range.from && row.ended <= range.to;
                        if inside
                            || row.segment.volume() != mount.name
                            || seen == Some(row.segment.id)
                        {
                            continue;
                        }
                        seen = Some(row.segment.id);
                        held += needed_bytes(mount, &part, &ranges);
                    }
                }
            }
        }
        Ok(held)
    }

    async fn bury(&self, mount: &Arc<Mount>, burials: Vec<Burial>) -> Result<Vec<SegmentId>> {
        // A hold put since it was looked for keeps its files: only what was really buried goes.
        let buried = self.db.archive_bury(&burials).await?;
        self.planned.forget(&buried);
        let mut stones = Vec::new();
        for b in burials {
            for (t, _) in b.runs {
                if buried.contains(&t.segment) {
                    stones.push(t);
                }
            }
        }
        for t in &stones {
            mount.shrank(t.bytes);
            tracing::info!(stream = %t.stream, file = %t.path, from = %t.range.from, to = %t.range.to, rule = %t.rule, "recording deleted");
            let key = t.rule.split(' ').next().unwrap_or_default();
            count(Metric::ArchiveDeleted, &[("cause", key)], 1);
        }
        self.give_back(mount, &stones).await;
        Ok(buried)
    }

    /// Bytes that cannot be given back now are given back by a later pass: their tombstones stand.
    async fn give_back(&self, mount: &Arc<Mount>, stones: &[Tombstone]) {
        let mut done: Vec<SegmentId> = Vec::new();
        let mut refused: Vec<SegmentId> = Vec::new();
        for t in stones {
            let id = t.segment;
            if !t.in_part && done.contains(&id) || refused.contains(&id) {
                continue;
            }
            let (stone, on) = (t.clone(), Arc::clone(mount));
            let work = blocking("give a recording's bytes back", move || {
                give_back(&on, &stone)
            });
            match work.await {
                Ok(()) => done.push(id),
                Err(e) => {
                    tracing::warn!(file = %t.path, error = %e.chain(), "a deleted recording's bytes are still there");
                    refused.push(id);
                }
            }
        }
        done.retain(|id| !refused.contains(id));
        done.dedup();
        if done.is_empty() {
            return;
        }
        if let Err(e) = self.db.archive_bury_done(&done).await {
            tracing::warn!(error = %e.chain(), "finished deletions could not be noted; they are done again");
        }
    }

    /// What a crash, or a disk that was away, left of deletions.
    pub(in crate::archive) async fn finish_deletions(&self) -> Result<()> {
        let mut by_volume: HashMap<String, Vec<Tombstone>> = HashMap::new();
        for t in self.db.archive_undone(UNDONE).await? {
            // A repair of the index from the files may have taken in again what was still there: then it is there.
            if let Some(part) = self.db.archive_segment(t.segment).await?
                && part
                    .fragments
                    .iter()
                    .any(|f| (t.first_seq..=t.last_seq).contains(&f.fragment.seq))
            {
                tracing::warn!(file = %t.path, "a deletion that was not finished is given up: the index has its footage again");
                self.db.archive_bury_done(&[t.segment]).await?;
                continue;
            }
            let volume = split_path(&t.path).0.to_owned();
            by_volume.entry(volume).or_default().push(t);
        }
        for mount in self.volumes.all() {
            if mount.state() == State::Up
                && let Some(stones) = by_volume.remove(&mount.name)
            {
                self.give_back(mount, &stones).await;
            }
        }
        Ok(())
    }
}

fn needed_bytes(mount: &Mount, part: &SegmentPart, holds: &[TimeRange]) -> u64 {
    let all = part.row.kept_bytes();
    if !mount.can_punch() {
        return match split(&part.fragments, part.row.ended, holds) {
            Split::Whole(_) => 0,
            Split::Keep | Split::Part(_) => all,
        };
    }
    let goes: u64 = match split(&part.fragments, part.row.ended, holds) {
        Split::Keep => 0,
        Split::Whole(_) => all,
        Split::Part(runs) => runs
            .iter()
            .filter_map(|r| part.fragments.get(r.first..=r.last))
            .flatten()
            .map(|f| u64::from(f.fragment.len))
            .sum(),
    };
    all.saturating_sub(goes)
}

fn give_back(mount: &Mount, t: &Tombstone) -> io::Result<()> {
    let path = Path::new(split_path(&t.path).1);
    let done = if t.in_part {
        let run = t.byte_from..t.byte_from + t.bytes;
        mount.volume.punch(path, run, &freed::head(t))
    } else {
        mount.volume.remove(path)
    };
    match done {
        // Done before a crash.
        Err(e) if e.kind() == io::ErrorKind::NotFound && mount.is_there() => Ok(()),
        done => done,
    }
}

fn number(n: u64) -> f64 {
    as_f64(i64::try_from(n).unwrap_or(i64::MAX))
}
