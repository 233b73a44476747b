//! Byte ranges (RFC 9110 §14): one range is answered; several, or another unit, are answered as the whole, as the RFC allows.

use std::ops::Range;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    Whole,
    Part(Range<u64>),
    /// Nothing of the range exists: 416.
    Unsatisfiable,
}

/// What a `Range` header asks of a representation of `len` bytes.
pub fn wanted(header: Option<&str>, len: u64) -> Wanted {
    let Some(spec) = header.and_then(|h| h.trim().strip_prefix("bytes=")) else {
        return Wanted::Whole;
    };
    if spec.contains(',') {
        return Wanted::Whole;
    }
    let Some((first, last)) = spec.trim().split_once('-') else {
        return Wanted::Whole;
    };
    let number = |text: &str| -> Result<Option<u64>, ()> {
        match text.trim() {
            "" => Ok(None),
            // More digits than u64 holds is beyond any file; only digits are allowed.
            t if t.bytes().all(|b| b.is_ascii_digit()) => Ok(Some(t.parse().unwrap_or(u64::MAX))),
            _ => Err(()),
        }
    };
    match (number(first), number(last)) {
        (Ok(Some(first)), Ok(last)) => {
            if last.is_some_and(|last| last < first) {
                return Wanted::Whole; // not a valid range: the header is ignored
            }
            if first >= len {
                return Wanted::Unsatisfiable;
            }
            Wanted::Part(first..last.map_or(len, |last| last.saturating_add(1).min(len)))
        }
        // The last N bytes.
        (Ok(None), Ok(Some(n))) if n > 0 && len > 0 => Wanted::Part(len.saturating_sub(n)..len),
        (Ok(None), Ok(Some(_))) => Wanted::Unsatisfiable,
        (Ok(None), Ok(None)) | (Err(()), _) | (_, Err(())) => Wanted::Whole,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_of_the_rfc() {
        let cases = [
            (None, Wanted::Whole),
            (Some("bytes=0-499"), Wanted::Part(0..500)),
            (Some("bytes=500-"), Wanted::Part(500..1000)),
            (Some("bytes=-200"), Wanted::Part(800..1000)),
            (Some("bytes=-2000"), Wanted::Part(0..1000)),
            (Some("bytes=990-2000"), Wanted::Part(990..1000)),
            (Some("bytes=1000-"), Wanted::Unsatisfiable),
            (Some("bytes=-0"), Wanted::Unsatisfiable),
            (Some("bytes=5-2"), Wanted::Whole),
            (Some("bytes=0-1,5-9"), Wanted::Whole),
            (Some("lines=1-2"), Wanted::Whole),
            (Some("bytes=a-b"), Wanted::Whole),
            (
                Some("bytes=99999999999999999999999-"),
                Wanted::Unsatisfiable,
            ),
        ];
        for (header, want) in cases {
            assert_eq!(wanted(header, 1000), want, "{header:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_asked_lies_inside(header in "bytes=[0-9-]{0,30}|\\PC{0,40}", len in 0u64..5000) {
            if let Wanted::Part(r) = wanted(Some(&header), len) {
                prop_assert!(r.start < r.end && r.end <= len);
            }
        }
    }
}
