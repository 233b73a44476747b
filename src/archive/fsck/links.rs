//! The chain of a stream over its files, its time, and what is held: what only shows when all files are known.

use super::chain::{self, Link, Run};
use super::finding::{Finding, FindingKind};
use super::stream::Gathered;
use super::{Fsck, Tell};
use crate::archive::recovery::blocking;
use crate::archive::scan;
use crate::model::{GapCause, Result, StreamKey, TimeRange, UtcMicros};

const GAP_PAGE: i64 = 5_000;
/// When a volume is away numbers are left free for what it may hold; nobody writes so many otherwise.
const LEFT_FREE: i64 = 1 << 19;

impl Fsck {
    pub(super) async fn gaps(&self, stream: &StreamKey) -> Result<Vec<(TimeRange, GapCause)>> {
        let mut all: Vec<(TimeRange, GapCause)> = Vec::new();
        loop {
            let after = all
                .last()
                .map_or((UtcMicros::MIN, ""), |(g, c)| (g.from, c.as_str()));
            let page = self.db.archive_gap_page(stream, after, GAP_PAGE).await?;
            if page.is_empty() {
                break;
            }
            all.extend(page);
        }
        all.sort_by_key(|(g, _)| (g.from, g.to));
        Ok(all)
    }

    pub(super) async fn chain(
        &mut self,
        stream: &StreamKey,
        g: &mut Gathered,
        gaps: &[(TimeRange, GapCause)],
        tell: Tell<'_>,
    ) -> Result<()> {
        if let Some(first) = g.runs.first().cloned() {
            self.chain_begins(stream, &first, g, tell).await?;
        }
        let pairs: Vec<(Run, Run)> = g
            .runs
            .windows(2)
            .filter_map(|w| match w {
                [a, b] if chain::link(a, b) != Link::Holds || b.range.from < a.range.to => {
                    Some((a.clone(), b.clone()))
                }
                _ => None,
            })
            .collect();
        for (before, run) in pairs {
            let path = g.paths.get(run.file).cloned().unwrap_or_default();
            let say = |kind, text: String| {
                Finding::new(kind, text)
                    .of(stream)
                    .file(&path)
                    .fragment(run.first_seq)
            };
            if run.range.from < before.range.to {
                let text = format!(
                    "fragments {} and {} cover the same time",
                    before.last_seq, run.first_seq
                );
                let range = TimeRange {
                    from: run.range.from,
                    to: before.range.to.min(run.range.to),
                };
                self.say(tell, say(FindingKind::RecordingsOverlap, text).range(range));
            }
            match chain::link(&before, &run) {
                Link::Holds => {}
                Link::Broken => {
                    let text = format!(
                        "fragment {} does not carry the hash of the one before it",
                        run.first_seq
                    );
                    self.say(tell, say(FindingKind::ChainBroken, text).range(run.range));
                }
                Link::Twice => {
                    let text = format!("fragment {} stands in another file too", run.first_seq);
                    self.say(tell, say(FindingKind::SequenceTwice, text).range(run.range));
                }
                Link::Hole { from, to } => {
                    self.hole(stream, (&before, &run), (from, to), g, gaps, tell)
                        .await?;
                }
            }
        }
        Ok(())
    }

    /// The numbers before the first that is there.
    async fn chain_begins(
        &mut self,
        stream: &StreamKey,
        first: &Run,
        g: &Gathered,
        tell: Tell<'_>,
    ) -> Result<()> {
        if first.first_seq == 1 {
            return Ok(());
        }
        let explained: Vec<_> = g.lost.iter().chain(&g.unseen).map(|l| (l.0, l.1)).collect();
        if explained
            .iter()
            .any(|(_, last)| last + 1 == first.first_seq)
        {
            return Ok(());
        }
        let path = g.paths.get(first.file).cloned().unwrap_or_default();
        let before = self
            .db
            .archive_tombstone_before(stream, first.range.from)
            .await?;
        let finding = match before {
            Some(t) if t.last_seq + 1 == first.first_seq => {
                if first.previous.is_none_or(|p| p == t.last_sha256) {
                    return Ok(());
                }
                let text = format!(
                    "fragment {} does not carry the hash that the tombstone before it keeps",
                    first.first_seq
                );
                Finding::new(FindingKind::ChainBroken, text)
            }
            Some(t) => {
                let text = format!(
                    "fragments {} to {} are missing and no tombstone says why",
                    t.last_seq + 1,
                    first.first_seq - 1
                );
                Finding::new(FindingKind::ChainHole, text)
            }
            None => {
                let text = format!(
                    "the chain begins with fragment {}: the index has no tombstone of what was before",
                    first.first_seq
                );
                Finding::new(FindingKind::LossKnown, text)
            }
        };
        let finding = finding.of(stream).file(&path).fragment(first.first_seq);
        self.say(tell, finding);
        Ok(())
    }

    async fn hole(
        &mut self,
        stream: &StreamKey,
        (before, run): (&Run, &Run),
        (from, to): (i64, i64),
        g: &mut Gathered,
        gaps: &[(TimeRange, GapCause)],
        tell: Tell<'_>,
    ) -> Result<()> {
        if run.previous == Some(before.last_sha256) {
            return Ok(()); // numbers that nobody used
        }
        let time = TimeRange {
            from: before.range.to,
            to: run.range.from.max(before.range.to),
        };
        let mut dead: Vec<(i64, i64, [u8; 32])> = self
            .db
            .archive_tombstones(stream, time)
            .await?
            .into_iter()
            .map(|t| (t.first_seq, t.last_seq, t.last_sha256))
            .collect();
        dead.sort_unstable();
        let path = g.paths.get(run.file).cloned().unwrap_or_default();
        if let Some((_, last, hash)) = dead.last()
            && last + 1 == run.first_seq
            && run.previous.is_some_and(|p| p != *hash)
        {
            let text = format!(
                "fragment {} does not carry the hash that the tombstone before it keeps",
                run.first_seq
            );
            let finding = Finding::new(FindingKind::ChainBroken, text)
                .of(stream)
                .file(&path);
            self.say(tell, finding.fragment(run.first_seq));
        }
        let mut covered: Vec<(i64, i64)> = dead.iter().map(|d| (d.0, d.1)).collect();
        covered.extend(g.lost.iter().chain(&g.unseen).map(|l| (l.0, l.1)));
        covered.sort_unstable();
        for (a, b) in chain::uncovered_numbers(from, to, &covered) {
            if b - a >= LEFT_FREE {
                continue; // left free while a volume was away
            }
            let known_lost = gaps
                .iter()
                .any(|(gap, cause)| *cause == GapCause::DiskError && gap.overlaps(&time));
            let (kind, why) = if known_lost {
                (
                    FindingKind::LossKnown,
                    "missing; the list of gaps has their time as lost",
                )
            } else {
                (FindingKind::ChainHole, "missing and no tombstone says why")
            };
            let text = format!(
                "between {} and {}: fragments {a} to {b} are {why}",
                before.last_seq, run.first_seq
            );
            let mut finding = Finding::new(kind, text).of(stream).file(&path).fragment(a);
            if time.from < time.to {
                finding = finding.range(time);
                if !known_lost {
                    g.lost.push((a, b, time));
                }
            }
            self.say(tell, finding);
        }
        Ok(())
    }

    pub(super) async fn tiles(
        &mut self,
        stream: &StreamKey,
        g: &mut Gathered,
        gaps: &[(TimeRange, GapCause)],
        tell: Tell<'_>,
    ) -> Result<()> {
        let repair = self.options.repair;
        let mut spans: Vec<TimeRange> = g.runs.iter().map(|r| r.range).collect();
        spans.sort_unstable_by_key(|r| (r.from, r.to));
        let spans = chain::joined(spans.into_iter());
        let tiling = chain::tiling(&spans, gaps);
        let (mut old, mut new) = (Vec::new(), Vec::new());
        for trim in tiling.trims {
            let (range, cause) = trim.row;
            let text = format!(
                "the gap `{}` covers what is recorded, or what another gap tells",
                cause.as_str()
            );
            let finding = Finding::new(FindingKind::GapOverlaps, text)
                .of(stream)
                .range(range);
            self.say(tell, finding.repaired(repair));
            old.push(trim.row);
            new.extend(trim.keep.into_iter().map(|k| (k, cause)));
        }
        g.lost.sort_unstable_by_key(|l| l.2.from);
        let lost = chain::joined(g.lost.iter().map(|l| l.2));
        let mut by_time = g.runs.clone();
        by_time.sort_by_key(|r| r.range.from);
        for hole in tiling.holes {
            let pieces = self.causes(stream, hole, &by_time, g).await?;
            // What is lost has been told once; its gap is the mending.
            let quiet = chain::subtract(hole, &lost).is_empty();
            if !quiet && !self.options.rebuild {
                let causes: Vec<&str> = pieces.iter().map(|(_, c)| c.as_str()).collect();
                let text = format!(
                    "nothing is recorded and the list of gaps has nothing to say ({})",
                    causes.join(", ")
                );
                let finding = Finding::new(FindingKind::GapMissing, text)
                    .of(stream)
                    .range(hole);
                self.say(tell, finding.repaired(repair));
            }
            new.extend(pieces);
        }
        if repair {
            self.db.archive_put_gaps(stream, &old, &new).await?;
        }
        Ok(())
    }

    /// Why nothing is in a hole: tombstones first, then what the next fragment tells, else nobody knows.
    async fn causes(
        &self,
        stream: &StreamKey,
        hole: TimeRange,
        by_time: &[Run],
        g: &Gathered,
    ) -> Result<Vec<(TimeRange, GapCause)>> {
        let dead = self.db.archive_tombstones(stream, hole).await?;
        let mut dead: Vec<TimeRange> = dead
            .iter()
            .filter_map(|t| t.range.intersect(&hole))
            .collect();
        dead.sort_unstable_by_key(|r| r.from);
        let dead = chain::joined(dead.into_iter());
        let mut pieces: Vec<_> = dead.iter().map(|r| (*r, GapCause::Retention)).collect();
        let next = by_time.partition_point(|r| r.range.from < hole.to);
        let told = match by_time.get(next).filter(|r| r.range.from == hole.to) {
            Some(run) if run.previous.is_some() => run.told,
            Some(run) => self.told(run, g).await?,
            None => None,
        };
        for left in chain::subtract(hole, &dead) {
            let from = told.map_or(left.to, |(from, _)| from.clamp(left.from, left.to));
            if left.from < from {
                let unknown = TimeRange {
                    from: left.from,
                    to: from,
                };
                pieces.push((unknown, GapCause::DiskError));
            }
            if let Some((_, cause)) = told.filter(|_| from < left.to) {
                pieces.push((TimeRange { from, to: left.to }, cause));
            }
        }
        pieces.sort_by_key(|(r, _)| r.from);
        Ok(pieces)
    }

    /// What the first fragment of a run tells, read from its file.
    async fn told(&self, run: &Run, g: &Gathered) -> Result<Option<(UtcMicros, GapCause)>> {
        let Some(full) = g.paths.get(run.file).and_then(|p| self.place(p)) else {
            return Ok(None);
        };
        let seq = run.first_seq;
        let told = blocking("read a file of the archive", move || {
            let Some((head, init_len)) = scan::head(&full)? else {
                return Ok(None);
            };
            let found = scan::scan(&full, &head, u64::from(init_len))?;
            let mut all = found.fragments.into_iter();
            Ok(all
                .find(|(row, _)| row.fragment.seq == seq)
                .and_then(|(_, p)| p.header.gap))
        });
        Ok(told.await.unwrap_or(None))
    }

    pub(super) async fn held(
        &mut self,
        stream: &StreamKey,
        g: &Gathered,
        tell: Tell<'_>,
    ) -> Result<()> {
        let holds: Vec<_> = self
            .holds
            .iter()
            .filter(|h| h.stream == *stream)
            .cloned()
            .collect();
        for hold in holds {
            let lost: Vec<TimeRange> = g
                .lost
                .iter()
                .filter_map(|l| l.2.intersect(&hold.range))
                .collect();
            if let (Some(first), Some(last)) = (lost.first(), lost.last()) {
                let text = format!(
                    "footage under the hold {} ({}) is lost",
                    hold.id, hold.reason
                );
                let range = TimeRange {
                    from: first.from,
                    to: last.to.max(first.to),
                };
                let finding = Finding::new(FindingKind::HeldMissing, text).of(stream);
                self.say(tell, finding.range(range));
            }
            for t in self.db.archive_tombstones(stream, hold.range).await? {
                if t.deleted_at > hold.created_at {
                    let text = format!(
                        "footage was deleted ({}) while the hold {} ({}) stood on it",
                        t.rule, hold.id, hold.reason
                    );
                    let finding = Finding::new(FindingKind::HeldDeleted, text)
                        .of(stream)
                        .file(&t.path);
                    let mut finding = finding.fragment(t.first_seq);
                    finding.range = t.range.intersect(&hold.range);
                    self.say(tell, finding);
                }
            }
        }
        Ok(())
    }
}
