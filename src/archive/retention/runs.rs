//! What of a file may go: whole fragments, and only those that no held picture needs. Pure.

use crate::model::{TimeRange, UtcMicros};
use crate::store::database::FragmentRow;

/// Fragments that follow each other in the stream and in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Index of the first and the last.
    pub(super) first: usize,
    pub(super) last: usize,
    /// End of the last picture that cannot be decoded without it.
    pub(super) until: UtcMicros,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Split {
    /// Every fragment is needed.
    Keep,
    /// None is.
    Whole(Vec<Run>),
    Part(Vec<Run>),
}

/// `leads_until`: end of the pictures in later files that build on the last fragment of this one (else its own end).
pub(super) fn split(
    fragments: &[FragmentRow],
    leads_until: UtcMicros,
    holds: &[TimeRange],
) -> Split {
    // A GOP longer than a fragment has several; each but the last is needed by those behind it.
    let mut until = Vec::with_capacity(fragments.len());
    let mut end = leads_until;
    for f in fragments.iter().rev() {
        end = end.max(f.fragment.range.to);
        until.push(end);
        if f.key {
            // What lies before a key frame is needed by nothing behind it.
            end = UtcMicros::MIN;
        }
    }
    until.reverse();
    let needed = |f: &FragmentRow, until: UtcMicros| {
        let needs = |h: &TimeRange| h.from < until && h.to > f.fragment.range.from;
        holds.iter().any(needs)
    };
    let mut runs: Vec<Run> = Vec::new();
    let mut kept = 0;
    for (i, (f, until)) in fragments.iter().zip(until).enumerate() {
        if needed(f, until) {
            kept += 1;
            continue;
        }
        let follows = |run: &Run| {
            let before = fragments.get(run.last).map(|b| &b.fragment);
            run.last + 1 == i
                && before.is_some_and(|b| {
                    b.seq + 1 == f.fragment.seq && b.offset + u64::from(b.len) == f.fragment.offset
                })
        };
        match runs.last_mut().filter(|run| follows(run)) {
            Some(run) => {
                run.last = i;
                run.until = run.until.max(until);
            }
            None => runs.push(Run {
                first: i,
                last: i,
                until,
            }),
        }
    }
    if runs.is_empty() {
        Split::Keep
    } else if kept == 0 {
        Split::Whole(runs)
    } else {
        Split::Part(runs)
    }
}

/// Ranges that overlap or touch made one; in order.
pub(super) fn merged(mut ranges: Vec<TimeRange>) -> Vec<TimeRange> {
    ranges.sort_by_key(|r| (r.from, r.to));
    let mut out: Vec<TimeRange> = Vec::with_capacity(ranges.len());
    for r in ranges {
        match out.last_mut() {
            Some(last) if r.from <= last.to => last.to = last.to.max(r.to),
            _ => out.push(r),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Fragment, SegmentId};

    /// One second each; `keys` begin with a key frame.
    fn fragments(keys: &[bool]) -> Vec<FragmentRow> {
        let one = |(i, key): (usize, &bool)| {
            let n = i64::try_from(i).unwrap();
            FragmentRow {
                key: *key,
                fragment: Fragment {
                    segment: SegmentId::generate(),
                    seq: 10 + n,
                    range: r(n, n + 1),
                    offset: 100 + 50 * u64::try_from(i).unwrap(),
                    len: 50,
                    sha256: [0; 32],
                    packets_lost: 0,
                    clock: crate::model::FragmentClock::default(),
                    samples: Vec::new(),
                },
            }
        };
        keys.iter().enumerate().map(one).collect()
    }

    fn r(from: i64, to: i64) -> TimeRange {
        TimeRange {
            from: UtcMicros(from),
            to: UtcMicros(to),
        }
    }

    fn run(first: usize, last: usize, until: i64) -> Run {
        Run {
            first,
            last,
            until: UtcMicros(until),
        }
    }

    #[test]
    fn a_held_picture_keeps_its_gop_from_the_key_frame_on() {
        let f = fragments(&[true, true, false, false, true]);
        let end = UtcMicros(5);
        assert_eq!(split(&f, end, &[]), Split::Whole(vec![run(0, 4, 5)]));
        assert_eq!(split(&f, end, &[r(0, 5)]), Split::Keep);
        assert_eq!(
            split(&f, end, &[r(2, 3)]),
            Split::Part(vec![run(0, 0, 1), run(3, 4, 5)]),
            "its key frame stays, what follows it goes"
        );
        assert_eq!(
            split(&f, end, &[r(1, 2)]),
            Split::Part(vec![run(0, 0, 1), run(2, 4, 5)])
        );
    }

    #[test]
    fn a_gop_goes_on_in_the_next_file() {
        let f = fragments(&[true, true, false]);
        let held = [r(4, 5)];
        assert_eq!(
            split(&f, UtcMicros(3), &held),
            Split::Whole(vec![run(0, 2, 3)])
        );
        assert_eq!(
            split(&f, UtcMicros(6), &held),
            Split::Part(vec![run(0, 0, 1)])
        );
    }

    #[test]
    fn holes_part_runs() {
        let mut f = fragments(&[true; 4]);
        f.remove(1);
        assert_eq!(
            split(&f, UtcMicros(4), &[]),
            Split::Whole(vec![run(0, 0, 1), run(1, 2, 4)])
        );
    }

    #[test]
    fn ranges_are_merged() {
        assert_eq!(
            merged(vec![r(5, 7), r(1, 2), r(2, 3), r(6, 9)]),
            [r(1, 3), r(5, 9)]
        );
    }
}
