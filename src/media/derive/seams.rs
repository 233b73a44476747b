//! Where an exact cut is copied and where it must be encoded anew. Sans-IO: tables in, parts out.
//!
//! A picture can only be copied with everything it is predicted from. So what lies before the first key picture inside the
//! range is encoded anew, and so is an end that would need pictures shown after it (B-frames). Nothing outside the range is
//! left in the file, not even hidden.

use std::ops::Range;

use super::movie::Sample;

/// A start inside a picture takes that picture, unless it began so long before: then there was a gap.
const LONGEST_PICTURE_S: i64 = 2;

/// A run of samples, in the order of decoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Decode these, encode those that are shown in [`Cut::shown`].
    Encode(Range<usize>),
    /// Take these as they are, without those shown before [`Cut::shown`].
    Copy(Range<usize>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// Times of the pictures that belong to the cut.
    pub(super) shown: Range<i64>,
    pub(super) parts: Vec<Part>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoCut {
    #[error("no picture of the clip is shown in this range")]
    Empty,
    #[error("the clip has no key picture before the range from which it could be decoded")]
    NoKey,
    #[error("{0}")]
    Unreadable(String),
}

/// `from..to` in ticks of the track. `begins_anew` tells of a key picture whether nothing after it needs anything before it.
pub(super) fn cut(
    samples: &[Sample],
    timescale: u32,
    wanted: Range<i64>,
    mut begins_anew: impl FnMut(usize) -> Result<bool, String>,
) -> Result<Cut, NoCut> {
    if wanted.is_empty() {
        return Err(NoCut::Empty);
    }
    let first = first_picture(samples, timescale, &wanted).ok_or(NoCut::Empty)?;
    let shown = first.1..wanted.end;
    let inside = |s: &Sample| shown.contains(&s.pts);
    let end = samples.iter().rposition(inside).ok_or(NoCut::Empty)? + 1;
    let mut anew = |i: usize| {
        let key = samples.get(i).is_some_and(|s| s.key);
        Ok(key && begins_anew(i).map_err(NoCut::Unreadable)?)
    };
    let mut before = |at: usize| {
        for i in (0..=at).rev() {
            if anew(i)? {
                return Ok(i);
            }
        }
        Err(NoCut::NoKey)
    };
    let lead = before(first.0)?;
    let mut parts = Vec::new();
    let mut copy = lead;
    if lead != first.0 {
        copy = end;
        for (i, sample) in samples.iter().enumerate().take(end).skip(first.0 + 1) {
            if inside(sample) && anew(i)? {
                copy = i;
                break;
            }
        }
        parts.push(Part::Encode(lead..copy));
    }
    // The first picture from there that is shown too late, although one behind it in the file is not.
    let late = (copy..end).find(|i| samples.get(*i).is_some_and(|s| s.pts >= shown.end));
    let tail = match late {
        None => end,
        Some(late) => {
            let mut tail = copy;
            for i in (copy..=late).rev() {
                if anew(i)? {
                    tail = i;
                    break;
                }
            }
            tail
        }
    };
    if copy < tail {
        parts.push(Part::Copy(copy..tail));
    }
    if tail < end {
        parts.push(Part::Encode(tail..end));
    }
    Ok(Cut {
        shown,
        parts: by_entry(samples, parts),
    })
}

/// Index and time of the picture on the screen at the start, or of the first one after it.
pub(super) fn first_picture(
    samples: &[Sample],
    timescale: u32,
    wanted: &Range<i64>,
) -> Option<(usize, i64)> {
    let all = || samples.iter().enumerate().map(|(i, s)| (i, s.pts));
    let at = all()
        .filter(|(_, pts)| *pts <= wanted.start)
        .max_by_key(|(_, pts)| *pts)
        .filter(|(_, pts)| wanted.start - pts <= LONGEST_PICTURE_S * i64::from(timescale));
    let after = || {
        all()
            .filter(|(_, pts)| *pts >= wanted.start)
            .min_by_key(|(_, pts)| *pts)
    };
    at.or_else(after).filter(|(_, pts)| *pts < wanted.end)
}

/// One encoder makes pictures of one kind: a run that is encoded is split where the parameter sets change.
fn by_entry(samples: &[Sample], parts: Vec<Part>) -> Vec<Part> {
    let mut out = Vec::with_capacity(parts.len());
    for part in parts {
        let Part::Encode(run) = part else {
            out.push(part);
            continue;
        };
        let mut from = run.start;
        let run_of = samples.get(run.clone()).unwrap_or_default();
        for same in run_of.chunk_by(|a, b| a.entry == b.entry) {
            out.push(Part::Encode(from..from + same.len()));
            from += same.len();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Key pictures are upper case; the digit is the place in the order of showing.
    fn samples(text: &str) -> Vec<Sample> {
        text.split(' ')
            .map(|word| {
                let (kind, at) = word.split_at(1);
                Sample {
                    offset: 0,
                    size: 1,
                    pts: at.parse::<i64>().unwrap() * 10,
                    duration: 10,
                    key: kind == "I",
                    entry: 0,
                }
            })
            .collect()
    }

    fn parts(text: &str, wanted: Range<i64>) -> (Range<i64>, Vec<Part>) {
        let cut = cut(&samples(text), 10, wanted, |_| Ok(true)).unwrap();
        (cut.shown, cut.parts)
    }

    #[test]
    fn a_range_that_begins_on_a_key_picture_is_copied_whole() {
        let (shown, parts) = parts("I0 p1 p2 I3 p4 p5", 30..50);
        assert_eq!((shown, parts), (30..50, vec![Part::Copy(3..5)]));
    }

    #[test]
    fn the_way_to_the_next_key_picture_is_encoded() {
        let (shown, parts) = parts("I0 p1 p2 I3 p4 p5", 14..60);
        assert_eq!(shown, 10..60);
        assert_eq!(parts, [Part::Encode(0..3), Part::Copy(3..6)]);
    }

    #[test]
    fn an_end_that_needs_later_pictures_is_encoded() {
        let text = "I0 p2 b1 I3 p6 b4 b5 p8 b7";
        assert_eq!(parts(text, 30..90).1, [Part::Copy(3..9)]);
        assert_eq!(parts(text, 30..60).1, [Part::Encode(3..7)]);
        assert_eq!(parts(text, 0..60).1, [Part::Copy(0..3), Part::Encode(3..7)]);
        assert_eq!(parts(text, 10..20).1, [Part::Encode(0..3)]);
    }

    #[test]
    fn a_start_in_a_gap_begins_behind_it() {
        let (shown, _) = parts("I0 p1 I90 p91", 500..920);
        assert_eq!(shown, 900..920);
    }

    #[test]
    fn what_cannot_be_cut_says_so() {
        let all = samples("p0 p1 I2 p3");
        let none = |from, to| cut(&all, 10, from..to, |_| Ok(true)).unwrap_err();
        assert_eq!(none(100, 200), NoCut::Empty);
        assert_eq!(none(5, 40), NoCut::NoKey);
        let torn = cut(&all, 10, 25..40, |_| Err("torn".into()));
        assert_eq!(torn.unwrap_err(), NoCut::Unreadable("torn".into()));
    }

    proptest! {
        /// Whatever the order of the pictures: each one of the range exactly once, in order, and none besides.
        #[test]
        fn every_picture_of_the_range_is_there_once(
            gops in prop::collection::vec(1usize..9, 1..6), swaps in any::<u64>(), from in -20i64..400, length in 1i64..300, closed in any::<u16>(),
        ) {
            let mut all = Vec::new();
            let mut at = 0;
            for n in gops {
                let mut gop: Vec<i64> = (0..i64::try_from(n).unwrap()).map(|i| (at + i) * 10).collect();
                for i in (2..n).step_by(2) {
                    if swaps >> (i + n) & 1 == 1 { gop.swap(i - 1, i); }
                }
                at += i64::try_from(n).unwrap();
                for (i, pts) in gop.into_iter().enumerate() {
                    all.push(Sample { offset: 0, size: 1, pts, duration: 10, key: i == 0, entry: 0 });
                }
            }
            let anew = |i: usize| Ok(i == 0 || closed >> (i % 16) & 1 == 1);
            let Ok(cut) = cut(&all, 10, from..from + length, anew) else {
                prop_assert!(!all.iter().any(|s| (from..from + length).contains(&s.pts)));
                return Ok(());
            };
            let mut seen = Vec::new();
            let mut next = None;
            for part in &cut.parts {
                let (run, copied) = match part { Part::Encode(run) => (run, false), Part::Copy(run) => (run, true) };
                prop_assert!(next.is_none_or(|n| n == run.start), "{:?}", cut.parts);
                prop_assert!(anew(run.start).unwrap());
                next = Some(run.end);
                for s in &all[run.clone()] {
                    prop_assert!(!copied || s.pts < cut.shown.end, "a copied picture is shown too late");
                    if cut.shown.contains(&s.pts) { seen.push(s.pts); }
                }
            }
            seen.sort_unstable();
            let mut wanted: Vec<i64> = all.iter().map(|s| s.pts).filter(|p| cut.shown.contains(p)).collect();
            wanted.sort_unstable();
            prop_assert_eq!(seen, wanted);
            prop_assert!(cut.shown.start <= from.max(0) || from > 0);
        }
    }
}
