//! Does the hash chain hold, and do recordings and gaps tile the time? Values in, values out.

use crate::archive::fragment::Header;
use crate::model::{Fragment, GapCause, TimeRange, UtcMicros};

/// Fragments of one file that follow each other in number and in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Which file, in the caller's list.
    pub(super) file: usize,
    pub(super) first_seq: i64,
    pub(super) last_seq: i64,
    pub(super) range: TimeRange,
    /// Hash that its first fragment carries of the one before; unknown when the file was not read.
    pub(super) previous: Option<[u8; 32]>,
    pub(super) last_sha256: [u8; 32],
    /// What its first fragment tells of the gap before it.
    pub(super) told: Option<(UtcMicros, GapCause)>,
}

/// Two neighbours in a file that should be chained and are not: number of the second, its offset.
pub(super) type Broken = (i64, u64);

/// Appends the runs of one file's fragments to `runs`; returns where the chain breaks inside the file.
pub(super) fn runs_of<'a>(
    file: usize,
    fragments: impl Iterator<Item = (&'a Fragment, Option<&'a Header>)>,
    runs: &mut Vec<Run>,
) -> Vec<Broken> {
    let mut broken = Vec::new();
    let mut open: Option<Run> = None;
    for (f, header) in fragments {
        if let Some(run) = &mut open
            && run.last_seq + 1 == f.seq
            && run.range.to == f.range.from
        {
            if header.is_some_and(|h| h.previous != run.last_sha256) {
                broken.push((f.seq, f.offset));
            }
            run.last_seq = f.seq;
            run.range.to = f.range.to;
            run.last_sha256 = f.sha256;
            continue;
        }
        runs.extend(open.replace(Run {
            file,
            first_seq: f.seq,
            last_seq: f.seq,
            range: f.range,
            previous: header.map(|h| h.previous),
            last_sha256: f.sha256,
            told: header.and_then(|h| h.gap),
        }));
    }
    runs.extend(open);
    broken
}

/// How a run follows the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Holds,
    /// Carries another hash than the one before has.
    Broken,
    /// Its first number was there already.
    Twice,
    /// Numbers from..=to are missing in between.
    Hole {
        from: i64,
        to: i64,
    },
}

pub(super) fn link(before: &Run, run: &Run) -> Link {
    if run.first_seq <= before.last_seq {
        Link::Twice
    } else if run.first_seq > before.last_seq + 1 {
        Link::Hole {
            from: before.last_seq + 1,
            to: run.first_seq - 1,
        }
    } else if run.previous.is_some_and(|p| p != before.last_sha256) {
        Link::Broken
    } else {
        Link::Holds
    }
}

/// What of `from..=to` no piece covers. Pieces in order.
pub(super) fn uncovered_numbers(from: i64, to: i64, pieces: &[(i64, i64)]) -> Vec<(i64, i64)> {
    let mut left = Vec::new();
    let mut at = from;
    for (a, b) in pieces {
        if *b < at {
            continue;
        }
        if *a > at {
            left.push((at, (*a - 1).min(to)));
        }
        at = at.max(b.saturating_add(1));
        if at > to {
            return left;
        }
    }
    if at <= to {
        left.push((at, to));
    }
    left
}

/// `range` without what the sorted, disjoint `others` cover.
pub(in crate::archive) fn subtract(range: TimeRange, others: &[TimeRange]) -> Vec<TimeRange> {
    let mut left = Vec::new();
    let mut at = range.from;
    let begin = others.partition_point(|o| o.to <= range.from);
    for other in others.iter().skip(begin) {
        if other.from >= range.to {
            break;
        }
        if other.from > at {
            left.push(TimeRange {
                from: at,
                to: other.from,
            });
        }
        at = at.max(other.to);
    }
    if at < range.to {
        left.push(TimeRange {
            from: at,
            to: range.to,
        });
    }
    left
}

/// A sorted list of ranges as disjoint ones; neighbours that touch are joined.
pub(in crate::archive) fn joined(sorted: impl Iterator<Item = TimeRange>) -> Vec<TimeRange> {
    let mut all: Vec<TimeRange> = Vec::new();
    for range in sorted {
        match all.last_mut() {
            Some(last) if range.from <= last.to => last.to = last.to.max(range.to),
            Some(_) | None => all.push(range),
        }
    }
    all
}

/// A gap row that says too much, and what is right of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trim {
    pub(super) row: (TimeRange, GapCause),
    pub(super) keep: Vec<TimeRange>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tiling {
    pub(super) trims: Vec<Trim>,
    /// Time between the first and the last moment known that nothing explains.
    pub(super) holes: Vec<TimeRange>,
}

/// Lays the gap rows (sorted by begin) between the recorded spans (sorted, disjoint).
pub(super) fn tiling(spans: &[TimeRange], gaps: &[(TimeRange, GapCause)]) -> Tiling {
    let mut out = Tiling::default();
    let mut told: Vec<TimeRange> = Vec::with_capacity(gaps.len());
    let mut until = UtcMicros::MIN;
    for (range, cause) in gaps {
        let mut keep = subtract(*range, spans);
        // What an earlier row tells already. Rows are sorted: it reaches from this one's begin to `until`.
        keep.retain_mut(|k| {
            k.from = k.from.max(until);
            k.from < k.to
        });
        until = until.max(range.to);
        told.extend(&keep);
        if keep.as_slice() != [*range] {
            out.trims.push(Trim {
                row: (*range, *cause),
                keep,
            });
        }
    }
    let mut known: Vec<TimeRange> = spans.iter().chain(&told).copied().collect();
    known.sort_unstable_by_key(|r| (r.from, r.to));
    let known = joined(known.into_iter());
    for pair in known.windows(2) {
        if let [a, b] = pair {
            out.holes.push(TimeRange {
                from: a.to,
                to: b.from,
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn r(from: i64, to: i64) -> TimeRange {
        TimeRange {
            from: UtcMicros(from),
            to: UtcMicros(to),
        }
    }

    fn run(first_seq: i64, last_seq: i64, previous: u8, last: u8) -> Run {
        Run {
            file: 0,
            first_seq,
            last_seq,
            range: r(first_seq * 10, last_seq * 10 + 10),
            previous: Some([previous; 32]),
            last_sha256: [last; 32],
            told: None,
        }
    }

    #[test]
    fn a_chain_holds_or_says_where_it_does_not() {
        let a = run(1, 5, 0, 5);
        assert_eq!(link(&a, &run(6, 9, 5, 9)), Link::Holds);
        assert_eq!(link(&a, &run(6, 9, 4, 9)), Link::Broken);
        assert_eq!(link(&a, &run(5, 9, 4, 9)), Link::Twice);
        assert_eq!(link(&a, &run(9, 12, 8, 12)), Link::Hole { from: 6, to: 8 });
    }

    #[test]
    fn numbers_are_covered_by_tombstones_or_not() {
        assert_eq!(uncovered_numbers(6, 8, &[(1, 6), (7, 8)]), []);
        assert_eq!(uncovered_numbers(6, 8, &[(7, 7)]), [(6, 6), (8, 8)]);
        assert_eq!(uncovered_numbers(6, 8, &[]), [(6, 8)]);
        assert_eq!(uncovered_numbers(6, 8, &[(1, 5), (9, 20)]), [(6, 8)]);
    }

    #[test]
    fn gaps_that_say_too_much_or_too_little_are_found() {
        use GapCause::{CameraDown, DiskError, RtpLoss};
        let spans = [r(0, 10), r(20, 30), r(50, 60)];
        let well = [
            (r(10, 20), CameraDown),
            (r(30, 40), RtpLoss),
            (r(40, 50), DiskError),
        ];
        assert_eq!(tiling(&spans, &well), Tiling::default());
        let off = [
            (r(8, 20), CameraDown),
            (r(30, 42), RtpLoss),
            (r(40, 45), DiskError),
            (r(52, 58), RtpLoss),
        ];
        let t = tiling(&spans, &off);
        assert_eq!(t.holes, [r(45, 50)]);
        let kept: Vec<_> = t.trims.into_iter().map(|t| t.keep).collect();
        assert_eq!(kept, [vec![r(10, 20)], vec![r(42, 45)], vec![]]);
    }

    proptest! {
        /// Mended as told, everything tiles.
        #[test]
        fn what_is_mended_tiles(
            mut spans in prop::collection::vec((0i64..1_000, 1i64..60), 1..12),
            mut gaps in prop::collection::vec((0i64..1_000, 1i64..90), 0..14),
        ) {
            spans.sort_unstable();
            gaps.sort_unstable();
            let spans = joined(spans.into_iter().map(|(f, d)| r(f, f + d)));
            let gaps: Vec<_> = gaps.into_iter().map(|(f, d)| (r(f, f + d), GapCause::CameraDown)).collect();
            let t = tiling(&spans, &gaps);
            let mut rows = gaps.clone();
            for trim in &t.trims {
                let at = rows.iter().position(|g| *g == trim.row).unwrap();
                rows.remove(at);
                rows.extend(trim.keep.iter().map(|k| (*k, trim.row.1)));
            }
            rows.extend(t.holes.iter().map(|h| (*h, GapCause::DiskError)));
            rows.sort_by_key(|(g, _)| (g.from, g.to));
            prop_assert_eq!(tiling(&spans, &rows), Tiling::default());
            let mut all: Vec<_> = spans.into_iter().chain(rows.into_iter().map(|g| g.0)).collect();
            all.sort_by_key(|a| a.from);
            for w in all.windows(2) {
                prop_assert_eq!(w[0].to, w[1].from);
            }
        }
    }
}
