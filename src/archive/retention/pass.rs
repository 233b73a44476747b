//! One pass over one volume: which files go, which in part, oldest first. Knows no clock and no disk; what it looks at and where
//! it buries is a [`Shelf`], so that a million steps of it can be tried in seconds.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::pins::Pins;
use super::rules::{Budget, Rules, Wish};
use super::runs::{Run, Split, split};
use crate::model::{Result, SegmentId, StreamKey, TimeRange, UtcMicros};
use crate::store::database::{Burial, Hold, SegmentPart, SegmentRow, Tombstone};

/// Files looked at and buried in one transaction.
pub(super) const BATCH: usize = 64;
/// Files of one GOP that goes on and on; more than one is rare already.
const FOLLOWERS: usize = 16;

/// The volume as a pass sees it.
pub(super) trait Shelf {
    fn streams(&self) -> impl Future<Output = Result<Vec<StreamKey>>> + Send;
    /// Closed files on the volume after `(started, id)`, oldest first; of one stream, or of all.
    fn oldest(
        &self,
        stream: Option<&StreamKey>,
        after: (UtcMicros, String),
        limit: usize,
    ) -> impl Future<Output = Result<Vec<SegmentRow>>> + Send;
    fn part(&self, id: SegmentId) -> impl Future<Output = Result<Option<SegmentPart>>> + Send;
    /// The first file of the stream that begins at or after `at`, on any volume.
    fn next(
        &self,
        stream: &StreamKey,
        at: UtcMicros,
    ) -> impl Future<Output = Result<Option<SegmentPart>>> + Send;
    fn holds(&self) -> impl Future<Output = Result<Vec<Hold>>> + Send;
    /// Takes them out of the index, unless they are held by now, and gives their bytes back. Returns which.
    fn bury(&self, burials: Vec<Burial>) -> impl Future<Output = Result<Vec<SegmentId>>> + Send;
}

pub(super) struct Pass<'a, S> {
    pub(super) shelf: &'a S,
    pub(super) rules: &'a Rules,
    pub(super) pins: &'a Arc<Pins>,
    pub(super) now: UtcMicros,
    /// Holes can be made in files.
    pub(super) can_punch: bool,
    pub(super) budget: Budget,
    /// Class of each stream, and bytes by which each class is over its limit.
    pub(super) class_of: HashMap<StreamKey, usize>,
    pub(super) excess: Vec<u64>,
    pub(super) done: Done,
    holds: HashMap<StreamKey, Vec<TimeRange>>,
    going: Vec<Burial>,
}

/// What a pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    /// Files deleted.
    pub(super) files: usize,
    /// Files of which a part was given back.
    pub(super) parts: usize,
    /// Newest end of what was deleted for want of space.
    pub(super) for_space: Option<UtcMicros>,
}

/// The oldest files of one stream, read as needed.
struct Queue<'a> {
    stream: &'a StreamKey,
    rows: VecDeque<SegmentRow>,
    after: (UtcMicros, String),
    empty: bool,
}

impl<'a, S: Shelf> Pass<'a, S> {
    pub(super) fn new(
        shelf: &'a S,
        rules: &'a Rules,
        pins: &'a Arc<Pins>,
        now: UtcMicros,
        can_punch: bool,
        budget: Budget,
    ) -> Self {
        Self {
            shelf,
            rules,
            pins,
            now,
            can_punch,
            budget,
            class_of: HashMap::new(),
            excess: Vec::new(),
            done: Done::default(),
            holds: HashMap::new(),
            going: Vec::new(),
        }
    }

    pub(super) async fn run(&mut self) -> Result<()> {
        let streams = self.shelf.streams().await?;
        self.look_at_holds().await?;
        self.by_age(&streams).await?;
        self.by_class(&streams).await?;
        self.by_space().await
    }

    async fn by_age(&mut self, streams: &[StreamKey]) -> Result<()> {
        for stream in streams {
            let class = self.class_of.get(stream).copied();
            let (too_old, rule) = self.rules.too_old(class, self.now);
            let mut queue = Queue::new(stream);
            while let Some(row) = queue.next(self.shelf, Some(too_old)).await? {
                // Neighbours end before they begin: all that follow are younger.
                if row.ended >= too_old {
                    break;
                }
                self.consider(row, &rule).await?;
            }
        }
        self.flush().await
    }

    async fn by_class(&mut self, streams: &[StreamKey]) -> Result<()> {
        for (i, class) in self.rules.classes.iter().enumerate() {
            let rule = format!("class_max_bytes = {} ({})", class.max_bytes, class.name);
            let over = |p: &Self| p.excess.get(i).is_some_and(|n| *n > 0);
            let mine = streams.iter().filter(|s| self.class_of.get(*s) == Some(&i));
            let mut queues: Vec<Queue<'_>> = mine.map(Queue::new).collect();
            while over(self) {
                let mut oldest: Option<(UtcMicros, usize)> = None;
                for (n, queue) in queues.iter_mut().enumerate() {
                    let begins = queue
                        .peek(self.shelf, None)
                        .await?
                        .map(|r| r.segment.started);
                    if let Some(at) = begins
                        && oldest.is_none_or(|(best, _)| at < best)
                    {
                        oldest = Some((at, n));
                    }
                }
                let Some(queue) = oldest.and_then(|(_, n)| queues.get_mut(n)) else {
                    break;
                };
                if let Some(row) = queue.rows.pop_front() {
                    let gone = self.consider(row, &rule).await?;
                    if let Some(n) = self.excess.get_mut(i) {
                        *n = n.saturating_sub(gone);
                    }
                }
            }
        }
        self.flush().await
    }

    async fn by_space(&mut self) -> Result<()> {
        let mut after = (UtcMicros::MIN, String::new());
        'all: loop {
            let rows = self.shelf.oldest(None, after.clone(), BATCH).await?;
            let Some(last) = rows.last() else { break };
            after = (last.segment.started, last.segment.id.to_string());
            for row in rows {
                match self.budget.wish(row.ended, self.now) {
                    Wish::Nothing | Wish::Spare => break 'all,
                    Wish::Go(rule) => {
                        let ended = row.ended;
                        if self.consider(row, &rule).await? > 0 {
                            self.done.for_space = self.done.for_space.max(Some(ended));
                        }
                    }
                }
            }
        }
        self.flush().await
    }

    /// A file that a rule wants gone: all of it, or what no hold needs. Returns the bytes that go.
    async fn consider(&mut self, row: SegmentRow, rule: &str) -> Result<u64> {
        let id = row.segment.id;
        let all_of_it = |h: &TimeRange| h.from <= row.segment.started && h.to >= row.ended;
        let holds = self.holds.get(&row.segment.stream);
        if holds.is_some_and(|all| all.iter().any(all_of_it)) {
            return Ok(0);
        }
        if !self.pins.condemn(id) {
            return Ok(0);
        }
        let burial = self.burial(&row, rule).await;
        let Ok(Some((burial, bytes))) = burial else {
            self.pins.release(id);
            return burial.map(|_| 0);
        };
        self.going.push(burial);
        self.budget.gave_back(bytes);
        if self.going.len() >= BATCH {
            self.flush().await?;
        }
        Ok(bytes)
    }

    async fn burial(&self, row: &SegmentRow, rule: &str) -> Result<Option<(Burial, u64)>> {
        let Some(part) = self.shelf.part(row.segment.id).await? else {
            return Ok(None);
        };
        let leads_until = self.leads_until(row).await?;
        let none = Vec::new();
        let holds = self.holds.get(&row.segment.stream).unwrap_or(&none);
        let (runs, in_part) = match split(&part.fragments, leads_until, holds) {
            Split::Keep => return Ok(None),
            Split::Part(_) if !self.can_punch => return Ok(None),
            Split::Part(runs) => (runs, true),
            Split::Whole(runs) => (runs, false),
        };
        let stone = |run: Run| self.tombstone(&part, run, rule, in_part);
        let mut runs: Vec<_> = runs.into_iter().filter_map(stone).collect();
        if !in_part && let Some((first, _)) = runs.first_mut() {
            // The head of the file goes too.
            first.bytes += u64::from(row.segment.init_len);
        }
        let bytes = if in_part {
            runs.iter().map(|(t, _)| t.bytes).sum()
        } else {
            row.kept_bytes()
        };
        let burial = Burial {
            first_seq: row.first_seq,
            runs,
        };
        Ok((!burial.runs.is_empty()).then_some((burial, bytes)))
    }

    fn tombstone(
        &self,
        part: &SegmentPart,
        run: Run,
        rule: &str,
        in_part: bool,
    ) -> Option<(Tombstone, UtcMicros)> {
        let first = &part.fragments.get(run.first)?.fragment;
        let last = &part.fragments.get(run.last)?.fragment;
        let tombstone = Tombstone {
            segment: part.row.segment.id,
            stream: part.row.segment.stream.clone(),
            path: part.row.segment.path.clone(),
            range: TimeRange {
                from: first.range.from,
                to: last.range.to,
            },
            first_seq: first.seq,
            last_seq: last.seq,
            last_sha256: last.sha256,
            byte_from: first.offset,
            bytes: (last.offset + u64::from(last.len)).saturating_sub(first.offset),
            rule: rule.to_owned(),
            actor: "retention".into(),
            in_part,
            deleted_at: self.now,
        };
        Some((tombstone, run.until))
    }

    /// End of the pictures in later files that are decoded from this one's last key frame.
    async fn leads_until(&self, row: &SegmentRow) -> Result<UtcMicros> {
        let mut until = row.ended;
        for _ in 0..FOLLOWERS {
            let Some(next) = self.shelf.next(&row.segment.stream, until).await? else {
                break;
            };
            let leading = next.fragments.iter().take_while(|f| !f.key);
            let Some(end) = leading.map(|f| f.fragment.range.to).max() else {
                break;
            };
            until = until.max(end);
            if next.fragments.iter().any(|f| f.key) {
                break;
            }
        }
        Ok(until)
    }

    async fn flush(&mut self) -> Result<()> {
        let going = std::mem::take(&mut self.going);
        if going.is_empty() {
            return Ok(());
        }
        let id = |b: &Burial| b.runs.first().map(|(t, _)| (t.segment, t.in_part));
        let condemned: Vec<(SegmentId, bool)> = going.iter().filter_map(id).collect();
        let buried = self.shelf.bury(going).await;
        for (id, _) in &condemned {
            self.pins.release(*id);
        }
        let buried = buried?;
        for (_, in_part) in condemned.iter().filter(|(id, _)| buried.contains(id)) {
            if *in_part {
                self.done.parts += 1;
            } else {
                self.done.files += 1;
            }
        }
        // Those put meanwhile count for what comes.
        self.look_at_holds().await
    }

    async fn look_at_holds(&mut self) -> Result<()> {
        self.holds.clear();
        for hold in self.shelf.holds().await? {
            self.holds.entry(hold.stream).or_default().push(hold.range);
        }
        Ok(())
    }
}

impl<S> Drop for Pass<'_, S> {
    /// After an error: nobody else may be kept from them.
    fn drop(&mut self) {
        for (t, _) in self.going.iter().filter_map(|b| b.runs.first()) {
            self.pins.release(t.segment);
        }
    }
}

impl<'a> Queue<'a> {
    fn new(stream: &'a StreamKey) -> Self {
        Self {
            stream,
            rows: VecDeque::new(),
            after: (UtcMicros::MIN, String::new()),
            empty: false,
        }
    }

    /// `before`: nothing that begins later is wanted; spares the look at what is not.
    async fn peek<S: Shelf>(
        &mut self,
        shelf: &S,
        before: Option<UtcMicros>,
    ) -> Result<Option<&SegmentRow>> {
        if self.rows.is_empty() && !self.empty {
            let read = shelf
                .oldest(Some(self.stream), self.after.clone(), BATCH)
                .await?;
            self.empty = read.len() < BATCH;
            if let Some(last) = read.last() {
                self.after = (last.segment.started, last.segment.id.to_string());
            }
            self.rows = read.into();
        }
        let wanted = |r: &&SegmentRow| before.is_none_or(|b| r.segment.started < b);
        Ok(self.rows.front().filter(wanted))
    }

    async fn next<S: Shelf>(
        &mut self,
        shelf: &S,
        before: Option<UtcMicros>,
    ) -> Result<Option<SegmentRow>> {
        if self.peek(shelf, before).await?.is_none() {
            return Ok(None);
        }
        Ok(self.rows.pop_front())
    }
}
