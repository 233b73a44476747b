//! What is recorded and what is missing. Every instant of a recorded stream is in a span or in a gap.

use serde::{Deserialize, Serialize};

use super::{FragmentClock, SegmentId, StreamKey, TimeRange, UtcMicros};

/// Why an interval has no picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapCause {
    /// No session with the camera.
    CameraDown,
    /// A session, but no pictures.
    SourceStalled,
    /// Pictures lost on the way from the camera.
    RtpLoss,
    /// The recorder fell behind the ring.
    RingOverrun,
    DiskBehind,
    DiskFull,
    /// A write or sync failed; what it covered is suspect.
    DiskError,
    /// The daemon was not running.
    Restart,
    ClockStep,
    /// Recording was switched off for this camera.
    Stopped,
    /// Was recorded, and deleted by the retention rule.
    Retention,
    /// Never recorded: before the first recording of this stream.
    NotRecorded,
    /// Later than what is durable yet. Never stored, only answered.
    NotYet,
}

impl GapCause {
    pub const ALL: [Self; 13] = [
        Self::CameraDown,
        Self::SourceStalled,
        Self::RtpLoss,
        Self::RingOverrun,
        Self::DiskBehind,
        Self::DiskFull,
        Self::DiskError,
        Self::Restart,
        Self::ClockStep,
        Self::Stopped,
        Self::Retention,
        Self::NotRecorded,
        Self::NotYet,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CameraDown => "camera_down",
            Self::SourceStalled => "source_stalled",
            Self::RtpLoss => "rtp_loss",
            Self::RingOverrun => "ring_overrun",
            Self::DiskBehind => "disk_behind",
            Self::DiskFull => "disk_full",
            Self::DiskError => "disk_error",
            Self::Restart => "restart",
            Self::ClockStep => "clock_step",
            Self::Stopped => "stopped",
            Self::Retention => "retention",
            Self::NotRecorded => "not_recorded",
            Self::NotYet => "not_yet",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.as_str() == text)
    }
}

/// A missing interval of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    pub stream: StreamKey,
    pub range: TimeRange,
    pub cause: GapCause,
}

/// One file of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    pub id: SegmentId,
    pub stream: StreamKey,
    /// In `[archive] dir`, or, behind `@NAME/`, in the folder of that volume.
    pub path: String,
    pub started: UtcMicros,
    /// `ftyp` + `moov`: from the file's start to here.
    pub init_len: u32,
}

impl Segment {
    /// Name of the volume its file is on; empty for `[archive] dir`. (No camera's id holds an `@`.)
    pub fn volume(&self) -> &str {
        self.split_path().0
    }

    /// The volume, and the path in its folder.
    pub fn split_path(&self) -> (&str, &str) {
        split_path(&self.path)
    }
}

/// Volume and path in its folder, of a file as the index names it.
pub fn split_path(path: &str) -> (&str, &str) {
    path.strip_prefix('@')
        .and_then(|rest| rest.split_once('/'))
        .unwrap_or(("", path))
}

/// One GOP in a segment file: `[prft] moof mdat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    pub segment: SegmentId,
    /// Counts up within the stream, over restarts too.
    pub seq: i64,
    pub range: TimeRange,
    /// Byte range of the whole fragment in the file.
    pub offset: u64,
    pub len: u32,
    /// Of the fragment's bytes, chained to the one before.
    pub sha256: [u8; 32],
    pub packets_lost: u32,
    pub clock: FragmentClock,
    /// Per-sample table (sizes, durations, key flags) as the archive packs it, so that a clip needs no file read.
    pub samples: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub from: UtcMicros,
    pub to: UtcMicros,
}

/// Recorded + gaps = the range asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    pub stream: StreamKey,
    pub durable_until: Option<UtcMicros>,
    pub spans: Vec<TimeRange>,
    pub gaps: Vec<(TimeRange, GapCause)>,
}

/// Lays recorded spans and known gaps over `asked` so that together they tile it exactly.
///
/// Spans win over gaps, earlier gaps over later ones; what neither explains is `fallback(from)`. Both inputs sorted by `from`.
pub fn tile(
    asked: TimeRange,
    spans: &[TimeRange],
    gaps: &[(TimeRange, GapCause)],
    mut fallback: impl FnMut(UtcMicros) -> GapCause,
) -> (Vec<TimeRange>, Vec<(TimeRange, GapCause)>) {
    let mut out_spans: Vec<TimeRange> = Vec::new();
    let mut out_gaps: Vec<(TimeRange, GapCause)> = Vec::new();
    let mut push_gap = |range: TimeRange, cause: GapCause| match out_gaps.last_mut() {
        Some((last, c)) if *c == cause && last.to == range.from => last.to = range.to,
        _ => out_gaps.push((range, cause)),
    };
    let mut fill = |from: UtcMicros, to: UtcMicros| {
        let mut at = from;
        for (gap, cause) in gaps {
            let Some(part) = gap.intersect(&TimeRange { from: at, to }) else {
                continue;
            };
            if at < part.from {
                push_gap(
                    TimeRange {
                        from: at,
                        to: part.from,
                    },
                    fallback(at),
                );
            }
            push_gap(part, *cause);
            at = part.to;
            if at >= to {
                break;
            }
        }
        if at < to {
            push_gap(TimeRange { from: at, to }, fallback(at));
        }
    };
    let mut at = asked.from;
    for span in spans {
        let Some(part) = span.intersect(&TimeRange {
            from: at,
            to: asked.to,
        }) else {
            continue;
        };
        if at < part.from {
            fill(at, part.from);
        }
        match out_spans.last_mut() {
            Some(last) if last.to == part.from => last.to = part.to,
            _ => out_spans.push(part),
        }
        at = part.to;
    }
    if at < asked.to {
        fill(at, asked.to);
    }
    (out_spans, out_gaps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn r(from: i64, to: i64) -> TimeRange {
        TimeRange {
            from: UtcMicros(from),
            to: UtcMicros(to),
        }
    }

    #[test]
    fn what_nobody_explains_gets_the_fallback() {
        let (spans, gaps) = tile(
            r(0, 100),
            &[r(10, 20), r(20, 30)],
            &[(r(40, 60), GapCause::CameraDown)],
            |_| GapCause::NotRecorded,
        );
        assert_eq!(spans, [r(10, 30)]);
        assert_eq!(
            gaps,
            [
                (r(0, 10), GapCause::NotRecorded),
                (r(30, 40), GapCause::NotRecorded),
                (r(40, 60), GapCause::CameraDown),
                (r(60, 100), GapCause::NotRecorded)
            ]
        );
    }

    proptest! {
        #[test]
        fn spans_and_gaps_tile_the_range(
            mut spans in prop::collection::vec((0i64..1000, 1i64..100), 0..12),
            mut gaps in prop::collection::vec((0i64..1000, 1i64..200), 0..12),
        ) {
            spans.sort_unstable();
            gaps.sort_unstable();
            let spans: Vec<_> = spans.into_iter().map(|(f, d)| r(f, f + d)).collect();
            let gaps: Vec<_> = gaps.into_iter().map(|(f, d)| (r(f, f + d), GapCause::CameraDown)).collect();
            let asked = r(100, 900);
            let (s, g) = tile(asked, &spans, &gaps, |_| GapCause::NotRecorded);
            let mut all: Vec<_> = s.into_iter().chain(g.into_iter().map(|(r, _)| r)).collect();
            all.sort_by_key(|r| r.from);
            prop_assert_eq!(all.first().unwrap().from, asked.from);
            prop_assert_eq!(all.last().unwrap().to, asked.to);
            for w in all.windows(2) {
                prop_assert_eq!(w[0].to, w[1].from);
            }
        }
    }
}
