//! Where a fragment lies on the wall clock. No clock, no I/O.
//!
//! The server's receive time drives. A session is anchored by its least delayed picture of the first half second (so that a
//! camera that begins with a burst of buffered pictures is not recorded in the future), then advances with the camera's media
//! time, corrected towards the receive time by at most 500 ppm: jitter makes neither holes nor overlaps. The timeline of a
//! stream only grows: after a backward step of the server's clock it goes on where it was, ahead of the clock. Each fragment
//! says by how much, and the lead is made good by one part in a hundred (decision 0013).

use std::sync::Arc;

use super::gop::{Raw, Sample, Start, micros};
use crate::model::{CameraClock, FragmentClock, GapCause, TimeRange, UtcMicros};
use crate::video::{Frame, StreamParams};

/// Parts per million that the timeline may run faster or slower than the camera.
const SLEW_PPM: i64 = 500;
/// The same while the timeline is far from the clock, which is after the server's clock was set back: a hundredth.
const FAR_SLEW_PPM: i64 = 10_000;
const FAR: i64 = 1_000_000;
/// What is farther off is not made good at all: it would take days, and every duration would be wrong meanwhile.
const TOO_FAR: i64 = 60_000_000;
/// Smaller differences are jitter.
const DEAD_BAND: i64 = 10_000;
/// Receive times of this much are seen before a session is anchored.
const ANCHOR_AFTER: i64 = 500_000;
/// Fragments held back at most for that.
const ANCHOR_FRAGMENTS: usize = 8;
/// A difference above this, over several fragments, is a step of a clock and not delay.
const STEP: i64 = 2_000_000;
const STEP_FRAGMENTS: u32 = 4;
/// Audio whose time is off by more than this from its receive time has a zero of its own.
const AUDIO_ADRIFT: i64 = 1_000_000;

/// A fragment with its place in time, ready to be written.
#[derive(Clone, Debug)]
pub(super) struct Take {
    pub(super) params: Arc<StreamParams>,
    pub(super) samples: Vec<Sample>,
    /// Frame and duration in audio ticks.
    pub(super) audio: Vec<(Arc<Frame>, u32)>,
    /// Of the first audio frame relative to the fragment's start, in audio ticks.
    pub(super) audio_start: i64,
    pub(super) range: TimeRange,
    pub(super) key: bool,
    pub(super) received: (UtcMicros, UtcMicros),
    pub(super) lost: u32,
    pub(super) clock: FragmentClock,
    /// Why something may be missing between this and the fragment before.
    pub(super) before: GapCause,
    /// Media time starts anew: a new file.
    pub(super) session: bool,
}

impl Take {
    pub(super) fn bytes(&self) -> usize {
        let video: usize = self.samples.iter().map(|s| s.frame.data.len()).sum();
        let audio: usize = self.audio.iter().map(|(f, _)| f.data.len()).sum();
        video + audio + 64 * (self.samples.len() + self.audio.len())
    }
}

#[derive(Debug)]
pub(super) struct Timeline {
    /// Media time and the wall time it stands for.
    anchor: Option<(i64, UtcMicros)>,
    /// Nothing may be placed before this.
    floor: UtcMicros,
    waiting: Vec<Raw>,
    late: u32,
    /// Added to audio times, in audio ticks; `None` until the session's first audio.
    audio_shift: Option<i64>,
    audio_step: u32,
}

impl Timeline {
    pub(super) fn new(floor: Option<UtcMicros>) -> Self {
        Self {
            anchor: None,
            floor: floor.unwrap_or(UtcMicros::MIN),
            waiting: Vec::new(),
            late: 0,
            audio_shift: None,
            audio_step: 0,
        }
    }

    /// What lies before `at` is told already, recorded or missing.
    pub(super) fn not_before(&mut self, at: UtcMicros) {
        self.floor = self.floor.max(at);
    }

    /// Places a fragment; at the begin of a session fragments are held back until it can be anchored.
    pub(super) fn place(&mut self, raw: Raw) -> Vec<Take> {
        let mut out = Vec::new();
        if matches!(raw.begins, Start::Session(_)) {
            out.extend(self.flush());
            self.anchor = None;
            self.audio_shift = None;
        } else if matches!(raw.begins, Start::Hole(_))
            && self.anchor.is_some_and(|(t, w)| {
                let expected = w + micros(raw.start.saturating_sub(t));
                raw.earliest.micros_since(expected).abs() > STEP
            })
        {
            // The other end of a hole does not fit: perhaps another session began inside it.
            self.anchor = None;
        }
        if self.anchor.is_some() {
            out.push(self.put(raw));
            return out;
        }
        self.waiting.push(raw);
        let seen = match (self.waiting.first(), self.waiting.last()) {
            (Some(first), Some(last)) => last.received.1.micros_since(first.received.0),
            (None, _) | (_, None) => 0,
        };
        if seen >= ANCHOR_AFTER || self.waiting.len() >= ANCHOR_FRAGMENTS {
            out.extend(self.flush());
        }
        out
    }

    /// Places what is held back, with what is known.
    pub(super) fn flush(&mut self) -> Vec<Take> {
        let waiting = std::mem::take(&mut self.waiting);
        let Some(first) = waiting.first() else {
            return Vec::new();
        };
        let start = first.start;
        let earliest = waiting
            .iter()
            .map(|r| r.earliest - micros(r.start.saturating_sub(start)))
            .min()
            .unwrap_or(first.earliest);
        // Less than a picture is missing: nothing is missing.
        let wall = if earliest.micros_since(self.floor) < micros(first.typical) {
            self.floor
        } else {
            earliest
        };
        self.anchor = Some((start, wall));
        self.late = 0;
        waiting.into_iter().map(|raw| self.put(raw)).collect()
    }

    fn put(&mut self, raw: Raw) -> Take {
        let (t, w) = self.anchor.unwrap_or((raw.start, raw.earliest));
        let mut from = (w + micros(raw.start.saturating_sub(t))).max(self.floor);
        let mut before = match raw.begins {
            Start::Continuous => GapCause::SourceStalled,
            Start::Hole(cause) | Start::Session(cause) => cause,
        };
        if raw.begins != Start::Continuous && from.micros_since(self.floor) < micros(raw.typical) {
            from = self.floor;
        }
        let mut error = raw.earliest.micros_since(from);
        self.late = if error > STEP { self.late + 1 } else { 0 };
        if self.late >= STEP_FRAGMENTS {
            from = from + error;
            error = 0;
            self.late = 0;
            before = GapCause::ClockStep;
        }
        let length = micros(raw.end - raw.start);
        let ppm = match error.abs() {
            off if off > TOO_FAR => 0,
            off if off > FAR => FAR_SLEW_PPM,
            _ => SLEW_PPM,
        };
        // The last picture's duration takes it all up and must not vanish.
        let last = raw.samples.last().map_or(0, |s| micros(s.duration.into()));
        let most = (length * ppm / 1_000_000).min(last / 2);
        let correction = if error.abs() < DEAD_BAND {
            0
        } else {
            error.clamp(-most, most)
        };
        let to = from + (length + correction).max(1);
        self.anchor = Some((raw.end, to));
        self.floor = to;
        let (audio, audio_start) = self.audio(&raw, from);
        Take {
            session: matches!(raw.begins, Start::Session(_)),
            params: raw.params,
            samples: raw.samples,
            audio,
            audio_start,
            range: TimeRange { from, to },
            key: raw.key,
            received: raw.received,
            lost: raw.lost,
            clock: FragmentClock {
                camera: moved(raw.camera, raw.earliest.micros_since(from)),
                ahead_us: from.micros_since(raw.earliest),
            },
            before,
        }
    }

    fn audio(&mut self, raw: &Raw, from: UtcMicros) -> (Vec<(Arc<Frame>, u32)>, i64) {
        let (Some(params), Some(first)) = (&raw.params.audio, raw.audio.first()) else {
            return (Vec::new(), 0);
        };
        let clock = i64::from(params.clock_rate.max(1));
        // Both tracks count from the session's start.
        let zero = i64::try_from(i128::from(raw.start) * i128::from(clock) / 90_000).unwrap_or(0);
        let shift = *self.audio_shift.get_or_insert_with(|| {
            let told = first.pts.saturating_sub(zero);
            let seen = i64::try_from(
                i128::from(first.received.micros_since(from)) * i128::from(clock) / 1_000_000,
            )
            .unwrap_or(0);
            let adrift = (seen.saturating_sub(told)).saturating_abs();
            if adrift > clock * AUDIO_ADRIFT / 1_000_000 {
                seen.saturating_sub(told)
            } else {
                0
            }
        });
        let mut out: Vec<(Arc<Frame>, u32)> = Vec::with_capacity(raw.audio.len());
        for (i, frame) in raw.audio.iter().enumerate() {
            let step = raw
                .audio
                .get(i + 1)
                .map(|next| next.pts.saturating_sub(frame.pts))
                .and_then(|d| u32::try_from(d).ok())
                .filter(|d| (1..params.clock_rate.max(1) * 4).contains(d));
            if let Some(step) = step {
                self.audio_step = step;
            }
            let usual = if self.audio_step == 0 {
                params.clock_rate / 50
            } else {
                self.audio_step
            };
            out.push((Arc::clone(frame), step.unwrap_or(usual).max(1)));
        }
        (out, first.pts.saturating_sub(zero).saturating_add(shift))
    }
}

/// The offset from another server time, `by` earlier.
fn moved(clock: CameraClock, by: i64) -> CameraClock {
    match clock {
        CameraClock::Known {
            offset_us,
            uncertainty_us,
            method,
        } => CameraClock::Known {
            offset_us: offset_us.saturating_add(by),
            uncertainty_us,
            method,
        },
        unknown @ CameraClock::Unknown(_) => unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::gop::Gop;
    use crate::model::{ClockMethod, VideoCodec};
    use crate::video::Media;
    use bytes::Bytes;
    use proptest::prelude::*;

    const T0: UtcMicros = UtcMicros::from_secs(1_764_000_000);

    fn params() -> Arc<StreamParams> {
        Arc::new(StreamParams {
            codec: VideoCodec::H264,
            extra_data: Bytes::new(),
            rfc6381: String::new(),
            width: 1,
            height: 1,
            pixel_aspect: None,
            audio: None,
        })
    }

    fn picture(pts: i64, received: UtcMicros, key: bool) -> Arc<Frame> {
        Arc::new(Frame {
            media: Media::Video,
            pts,
            received,
            key,
            data: Bytes::from_static(&[0]),
            lost: 0,
            camera_clock: CameraClock::default(),
            params: params(),
        })
    }

    /// Frames of 25 a second; `received(i)` is the delay of frame `i` in µs.
    fn takes(n: i64, received: impl Fn(i64) -> i64) -> Vec<Take> {
        let params = Arc::new(StreamParams {
            codec: VideoCodec::H264,
            extra_data: Bytes::new(),
            rfc6381: String::new(),
            width: 1,
            height: 1,
            pixel_aspect: None,
            audio: None,
        });
        let mut gop = Gop::new(2_000, GapCause::CameraDown);
        let mut line = Timeline::new(None);
        let mut out = Vec::new();
        for i in 0..n {
            let frame = Arc::new(Frame {
                media: Media::Video,
                pts: i * 3_600,
                received: T0 + i * 40_000 + received(i),
                key: i % 25 == 0,
                data: Bytes::from_static(&[0]),
                lost: 0,
                camera_clock: crate::model::CameraClock::default(),
                params: Arc::clone(&params),
            });
            out.extend(gop.push(frame).map(|r| line.place(r)).unwrap_or_default());
        }
        out.extend(gop.flush().map(|r| line.place(r)).unwrap_or_default());
        out.extend(line.flush());
        out
    }

    #[test]
    fn a_burst_at_the_start_is_not_recorded_in_the_future() {
        // Five seconds of buffered pictures at once, then live.
        let out = takes(500, |i| if i < 125 { -i * 40_000 } else { -125 * 40_000 });
        let end = out.last().unwrap().range.to;
        let real = T0 + 500 * 40_000 - 125 * 40_000;
        assert!(
            end.micros_since(real).abs() < 100_000,
            "{end} should be near {real}"
        );
    }

    #[test]
    fn a_step_of_the_clock_is_a_gap_with_its_cause() {
        let out = takes(1_000, |i| if i < 500 { 0 } else { 10_000_000 });
        let steps: Vec<_> = out
            .windows(2)
            .filter(|w| w[0].range.to != w[1].range.from)
            .collect();
        assert_eq!(steps.len(), 1);
        assert_eq!(steps[0][1].before, GapCause::ClockStep);
        let jump = steps[0][1].range.from.micros_since(steps[0][0].range.to);
        assert!((9_900_000..=10_000_000).contains(&jump), "{jump}");
    }

    #[test]
    fn a_clock_set_back_by_ten_seconds_is_caught_up_with_and_told_meanwhile() {
        let out = takes(25 * 1_500, |i| if i < 250 { 0 } else { -10_000_000 });
        assert!(out.windows(2).all(|w| w[0].range.to == w[1].range.from));
        let lead = |t: &Take| t.clock.ahead_us;
        let most = out.iter().map(lead).max().unwrap();
        assert!((9_900_000..=10_000_000).contains(&most), "{most}");
        let last = out.last().unwrap();
        assert!(lead(last) < 1_100_000, "{}", lead(last));
        for t in &out {
            let lasts: i64 = t.samples.iter().map(|s| i64::from(s.duration)).sum();
            let shift = t.range.micros() - micros(lasts);
            assert!(shift.abs() <= 20_000, "half a picture at most: {shift}");
        }
    }

    #[test]
    fn a_clock_set_back_by_hours_moves_nothing_and_is_told_until_it_is_right_again() {
        const BACK: i64 = 8 * 3_600 * 1_000_000;
        let mut line = Timeline::new(None);
        let mut gop = Gop::new(2_000, GapCause::CameraDown);
        let mut out = Vec::new();
        let mut session = |gop: &mut Gop, line: &mut Timeline, begin: UtcMicros| {
            for i in 0..250 {
                let frame = picture(i * 3_600, begin + i * 40_000, i % 25 == 0);
                out.extend(gop.push(frame).map(|r| line.place(r)).unwrap_or_default());
            }
            out.extend(gop.flush().map(|r| line.place(r)).unwrap_or_default());
            out.extend(line.flush());
            gop.end_session(GapCause::ClockStep);
        };
        session(&mut gop, &mut line, T0);
        session(&mut gop, &mut line, T0 + 11_000_000 - BACK);
        session(&mut gop, &mut line, T0 + 22_000_000);
        let (first, second, third) = (&out[0], &out[10], &out[20]);
        assert_eq!(second.range.from, T0 + 10_000_000, "goes on where it was");
        assert!((second.clock.ahead_us - (BACK - 1_000_000)).abs() < 1_000);
        assert!(first.clock.ahead_us.abs() < 1_000);
        assert_eq!(third.range.from, T0 + 22_000_000, "by the clock again");
        assert_eq!(third.before, GapCause::ClockStep);
        assert!(third.clock.ahead_us.abs() < 1_000);
        assert!(out.windows(2).all(|w| w[0].range.to <= w[1].range.from));
    }

    #[test]
    fn the_cameras_clock_is_kept_and_moves_nothing() {
        let told = CameraClock::Known {
            offset_us: -3_600_000_000,
            uncertainty_us: 900,
            method: ClockMethod::RtcpSenderReport,
        };
        let run = |clock: CameraClock| {
            let mut gop = Gop::new(2_000, GapCause::CameraDown);
            let mut line = Timeline::new(None);
            let mut out = Vec::new();
            for i in 0..100 {
                let mut frame = picture(i * 3_600, T0 + i * 40_000 + (i % 3) * 5_000, i % 25 == 0);
                Arc::get_mut(&mut frame).unwrap().camera_clock = clock;
                out.extend(gop.push(frame).map(|r| line.place(r)).unwrap_or_default());
            }
            out.extend(line.flush());
            out
        };
        let (with, without) = (run(told), run(CameraClock::default()));
        let ranges = |out: &[Take]| out.iter().map(|t| t.range).collect::<Vec<_>>();
        assert_eq!(ranges(&with), ranges(&without));
        for take in &with {
            let CameraClock::Known { offset_us, .. } = take.clock.camera else {
                panic!("{:?}", take.clock);
            };
            // The jitter of the arrivals is in it, and no more.
            assert!((offset_us + 3_600_000_000).abs() <= 10_001, "{offset_us}");
        }
    }

    #[test]
    fn a_camera_clock_that_runs_fast_is_slewed() {
        // 200 ppm fast: after 10 000 s of frames the receive times are 2 s behind the media time.
        let out = takes(25 * 2_000, |i| -(i * 40_000) * 200 / 1_000_000);
        let last = out.last().unwrap();
        assert!(last.range.to.micros_since(last.received.1).abs() < 200_000);
        assert!(out.windows(2).all(|w| w[0].range.to == w[1].range.from));
    }

    proptest! {
        #[test]
        fn jitter_makes_neither_holes_nor_overlaps(delays in prop::collection::vec(0i64..900_000, 300)) {
            let out = takes(300, |i| delays[usize::try_from(i).unwrap()]);
            for w in out.windows(2) {
                prop_assert_eq!(w[0].range.to, w[1].range.from);
            }
            prop_assert_eq!(out.iter().map(|t| t.samples.len()).sum::<usize>(), 300);
        }
    }
}
