//! Makes what was written durable, then tells: sync the files, commit the index, publish `durable_until`. In that order.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Inner;
use super::disk::{DiskPool, Written};
use super::health::{HealthState, cause_of, sync_message};
use super::ledger;
use super::recovery::blocking;
use super::state::StreamState;
use super::volumes::{Mount, State};
use crate::model::{Error, Gap, GapCause, Result, SegmentId, StreamKey, TimeRange, UtcMicros};
use crate::store::database::{ArchiveCommit, SegmentPart};
use crate::telemetry::{Metric, count, gauge, observe};

/// Fragment rows kept while the database does not answer: half an hour of 200 cameras.
const CARRIED: usize = 200_000;
/// Gaps of one stream kept in memory while the database does not answer; more go to the journal,
const GAPS_IN_MEMORY: usize = 256;
/// and if that cannot be written either, this many are kept.
const GAPS_AT_MOST: usize = 4_096;

/// Durable, not yet in the index.
pub(super) struct Carry {
    parts: Vec<SegmentPart>,
    fragments: usize,
    limit: usize,
    /// Files of which something was dropped, as long as they grow. A later row of theirs would tell recovery that the index
    /// has all of the file.
    given_up: HashSet<SegmentId>,
}

impl Default for Carry {
    fn default() -> Self {
        Self {
            parts: Vec::new(),
            fragments: 0,
            limit: CARRIED,
            given_up: HashSet::new(),
        }
    }
}

impl Carry {
    fn add(&mut self, parts: Vec<SegmentPart>) {
        for part in parts {
            let id = part.row.segment.id;
            if self.given_up.contains(&id) {
                if part.row.closed {
                    self.given_up.remove(&id);
                }
                continue;
            }
            self.fragments += part.fragments.len();
            self.parts.push(part);
        }
    }

    /// Drops whole files, oldest first, until no more fragments are left than it may hold; returns how many files, and when
    /// the first of them begins.
    fn shrink(&mut self) -> (usize, UtcMicros) {
        let (mut dropped, mut since) = (0, UtcMicros::MAX);
        while self.fragments > self.limit
            && let Some(id) = self.parts.first().map(|p| p.row.segment.id)
        {
            let mut closed = false;
            self.parts.retain(|p| {
                if p.row.segment.id != id {
                    return true;
                }
                closed |= p.row.closed;
                since = since.min(p.row.segment.started);
                self.fragments -= p.fragments.len();
                false
            });
            if !closed {
                self.given_up.insert(id);
            }
            dropped += 1;
        }
        (dropped, since)
    }
}

struct Failed {
    stream: StreamKey,
    ranges: Vec<TimeRange>,
    cause: GapCause,
}

impl Inner {
    /// One round of one volume. An error means that the index could not be written; the rows are kept for the next round.
    pub(super) async fn sync_round(&self, disk: &DiskPool, carry: &mut Carry) -> Result<()> {
        self.keep(disk, carry).await;
        // A database that does not answer must not keep what is written meanwhile from becoming durable.
        let every = Duration::from_millis(self.config.sync_interval_ms.clamp(50, 60_000));
        let mut meanwhile = Carry::default();
        let done = {
            let mut commit = std::pin::pin!(self.commit(disk.mount(), carry));
            loop {
                tokio::select! {
                    biased;
                    done = &mut commit => break done,
                    () = tokio::time::sleep(every) => self.keep(disk, &mut meanwhile).await,
                }
            }
        };
        self.take_over(disk, carry, meanwhile).await;
        self.tell(disk);
        done
    }

    async fn take_over(&self, disk: &DiskPool, carry: &mut Carry, meanwhile: Carry) {
        carry.given_up.extend(meanwhile.given_up);
        carry.add(meanwhile.parts);
        self.shrink(disk.mount(), carry).await;
    }

    /// Makes durable what was written; the rows go into `carry`.
    async fn keep(&self, disk: &DiskPool, carry: &mut Carry) {
        let written = disk.collect().await;
        if !written.is_empty() {
            let begun = std::time::Instant::now();
            let (parts, failed) = self.make_durable(disk.mount(), written).await;
            let volume = [("volume", disk.mount().label())];
            observe(Metric::ArchiveSync, &volume, begun.elapsed());
            for f in failed {
                let state = self.state(&f.stream);
                for range in f.ranges {
                    state.lost(range, f.cause);
                }
            }
            carry.add(parts);
        }
        self.shrink(disk.mount(), carry).await;
    }

    /// Drops what is too much to carry. The files hold it: the next start reads them back, and is told since when to look.
    async fn shrink(&self, mount: &Mount, carry: &mut Carry) {
        let (dropped, since) = carry.shrink();
        if dropped == 0 {
            return;
        }
        tracing::error!(
            files = dropped,
            "the database is away for too long; these recordings come into the index at the next start"
        );
        let mut said = "the database was away for too long: some recordings are in their files but not in the index; restart the \
                        daemon once the database answers, it reads them back";
        let dir = mount.dir.clone();
        let noted = blocking("note what the index misses", move || {
            ledger::note_unindexed(&dir, since)
        });
        if let Err(e) = noted.await {
            tracing::error!(error = %e.chain(), "it cannot be noted which recordings the index misses");
            said = "the database was away for too long: some recordings are in their files but not in the index; once the database \
                    answers, stop the daemon and run `zhenbei fsck --repair`";
        }
        self.troubles.unindexed(said.into());
    }

    async fn make_durable(
        &self,
        mount: &Mount,
        written: Vec<Written>,
    ) -> (Vec<SegmentPart>, Vec<Failed>) {
        let volume = std::sync::Arc::clone(&mount.volume);
        let troubles = std::sync::Arc::clone(&mount.troubles);
        let root = mount.dir.clone();
        let mount_label = mount.label().to_owned();
        let work = tokio::task::spawn_blocking(move || {
            let (mut parts, mut failed) = (Vec::new(), Vec::new());
            let (mut said, mut worked) = (None, false);
            for w in written {
                let stream = w.part.row.segment.stream.clone();
                let ranges = w.part.fragments.iter().map(|f| f.fragment.range).collect();
                if w.suspect.load(Ordering::Relaxed) {
                    // Appended before the writer knew. The file is not synced again.
                    failed.push(Failed {
                        stream,
                        ranges,
                        cause: GapCause::DiskError,
                    });
                    continue;
                }
                let synced = w
                    .file
                    .sync()
                    .and_then(|()| w.folders.iter().try_for_each(|f| volume.sync_dir(f)));
                let Err(e) = synced else {
                    parts.push(w.part);
                    worked = true;
                    continue;
                };
                // After a failed fsync the kernel may have dropped the pages and call them clean: nothing since the last
                // good sync can be trusted, and trying again would lie.
                w.suspect.store(true, Ordering::Relaxed);
                tracing::error!(
                    stream = %stream, file = %w.part.row.segment.path, error = %e,
                    fragments = w.part.fragments.len(),
                    "a file of the archive could not be made durable; its newest part is suspect and a new file is begun"
                );
                count(
                    Metric::ArchiveSuspect,
                    &[("volume", mount_label.as_str())],
                    1,
                );
                said = Some(sync_message(&root, &e));
                failed.push(Failed {
                    stream,
                    ranges,
                    cause: cause_of(&e),
                });
                // Its row stays open, so that the next start looks which of its bytes the disk really has; one that has no row
                // yet is noted. (A disk in trouble may not take the note: then fsck finds the file.)
                if w.before.is_none() {
                    ledger::note_unindexed(&root, w.part.row.segment.started).ok();
                }
            }
            // One file that works does not speak for another that does not.
            if said.is_some() {
                troubles.sync(said);
            } else if worked && troubles.sync(None) {
                tracing::info!("recordings are made durable again");
            }
            (parts, failed)
        });
        work.await.unwrap_or_else(|e| {
            tracing::error!(error = %e, "the sync of the archive ended early");
            (Vec::new(), Vec::new())
        })
    }

    async fn commit(&self, mount: &Mount, carry: &mut Carry) -> Result<()> {
        // The ledger of a stream is taken and given back by one volume's round at a time.
        let _one = self.committing.lock().await;
        if let Err(e) = self.settle_journals().await {
            return Err(self.not_indexed(e).await);
        }
        let mut commit = ArchiveCommit {
            segments: std::mem::take(&mut carry.parts),
            ..ArchiveCommit::default()
        };
        let mut ledgers = Vec::new();
        for state in self.states() {
            let (gaps, stopped) = state.take_closed();
            if !gaps.is_empty() || stopped.is_some() {
                ledgers.push((std::sync::Arc::clone(&state), gaps.len(), stopped));
                commit.gaps.extend(gaps);
                commit
                    .stopped
                    .extend(stopped.map(|s| (state.key.clone(), s)));
            }
        }
        if commit.is_empty() {
            return Ok(());
        }
        if let Err(e) = self.db.archive_commit(&commit).await {
            carry.parts = commit.segments;
            return Err(self.not_indexed(e).await);
        }
        carry.fragments = 0;
        if self.troubles.index(None) {
            tracing::info!("the archive's index is written again");
        }
        count_gaps(&commit.gaps);
        for (state, gaps, stopped) in ledgers {
            state.committed(gaps, stopped);
        }
        for part in &commit.segments {
            let added = growth(part);
            mount.grew(added);
            let key = &part.row.segment.stream;
            let labels = [
                ("camera", key.camera.as_str()),
                ("stream", key.role.as_str()),
            ];
            count(
                Metric::ArchiveFragments,
                &labels,
                part.fragments.len() as u64,
            );
            count(Metric::ArchiveBytes, &labels, added);
            if let Some(last) = part.fragments.last() {
                self.state(&part.row.segment.stream)
                    .publish(last.fragment.range.to);
            }
        }
        Ok(())
    }

    /// Gaps of an earlier outage go into the index before newer ones.
    async fn settle_journals(&self) -> Result<()> {
        for mount in self.volumes.all() {
            if mount.journal.owes() && mount.readable() {
                self.replay(mount).await?;
            }
        }
        Ok(())
    }

    /// The database does not take the round. What is owed stays bounded in memory: gaps go to the journal.
    async fn not_indexed(&self, e: Error) -> Error {
        let message = format!(
            "recordings are safe on disk but not yet in the index: {}",
            e.detail()
        );
        if self.troubles.index(Some(message)) {
            tracing::error!(error = %e.chain(), "the archive's index cannot be written");
        }
        for state in self.states() {
            if state.owed() > GAPS_IN_MEMORY {
                self.spill(&state).await;
            }
        }
        e
    }

    async fn spill(&self, state: &StreamState) {
        let gaps = Arc::new(state.take_closed().0);
        for mount in self.volumes.all().iter().filter(|m| m.state() == State::Up) {
            let (place, all) = (Arc::clone(mount), Arc::clone(&gaps));
            let work = move || place.journal.append(&all);
            match blocking("write the journal of gaps", work).await {
                Ok(()) => return state.spilled(gaps.len()),
                Err(e) => tracing::warn!(error = %e.chain(), "gaps cannot be put into the journal"),
            }
        }
        let dropped = state.squeeze(GAPS_AT_MOST);
        if dropped > 0 {
            tracing::error!(
                stream = %state.key, gaps = dropped,
                "neither the database nor a disk takes the list of gaps; the oldest are dropped from memory"
            );
            self.troubles.unindexed(
                "neither the database nor a disk took the list of gaps for a long time; once both work, stop the daemon and run \
                 `zhenbei fsck --repair`: the recordings themselves tell most of them"
                    .into(),
            );
        }
    }

    /// Numbers that are as they are now.
    fn tell(&self, disk: &DiskPool) {
        let now = self.clock.now();
        let mount = disk.mount();
        let here = |state: &StreamState| {
            let seat = state.seat().and_then(|i| self.volumes.all().get(i));
            seat.is_some_and(|m| std::sync::Arc::ptr_eq(m, mount))
        };
        for state in self.states().iter().filter(|s| here(s)) {
            let Some(until) = state.durable_until().filter(|_| state.is_recording()) else {
                continue;
            };
            let key = &state.key;
            let labels = [
                ("camera", key.camera.as_str()),
                ("stream", key.role.as_str()),
            ];
            gauge(
                Metric::ArchiveDurableUntil,
                &labels,
                as_f64(until.micros()) / 1e6,
            );
            gauge(
                Metric::ArchiveDurableLag,
                &labels,
                as_f64(now.micros_since(until)) / 1e6,
            );
        }
        let waiting = i64::try_from(disk.waiting_bytes()).unwrap_or(i64::MAX);
        let volume = [("volume", mount.label())];
        gauge(Metric::ArchiveQueueBytes, &volume, as_f64(waiting));
        let state = match mount.health().state {
            HealthState::Ok => 0.0,
            HealthState::Degraded => 1.0,
            HealthState::Paused => 2.0,
        };
        gauge(Metric::ArchiveVolumeState, &volume, state);
    }
}

pub(super) fn count_gaps(gaps: &[Gap]) {
    for gap in gaps {
        let cause = [("cause", gap.cause.as_str())];
        let ms = u64::try_from(gap.range.micros() / 1_000).unwrap_or(0);
        count(Metric::ArchiveGaps, &cause, 1);
        count(Metric::ArchiveGapMillis, &cause, ms);
    }
}

/// Bytes by which a part makes its file longer in the index; the head of the file counts with its first fragment.
fn growth(part: &SegmentPart) -> u64 {
    part.fragments.first().map_or(0, |first| {
        let begins = if first.fragment.seq == part.row.first_seq {
            0
        } else {
            first.fragment.offset
        };
        part.row.bytes.saturating_sub(begins)
    })
}

#[allow(clippy::cast_precision_loss, reason = "a gauge is read by people")]
pub(super) fn as_f64(n: i64) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests;
