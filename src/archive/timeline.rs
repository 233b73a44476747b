//! Where a fragment lies on the wall clock. No clock, no I/O.
//!
//! The server's receive time drives. A session is anchored by its least delayed picture of the first half second (so that a
//! camera that begins with a burst of buffered pictures is not recorded in the future), then advances with the camera's media
//! time, corrected towards the receive time by at most 500 ppm: jitter makes neither holes nor overlaps. The timeline of a
//! stream only grows: after a backward step of the server's clock it goes on where it was, ahead of the clock. Each fragment
//! says by how much, and the lead is made good by one part in a hundred (decision 0013) and by nothing else: a session that
//! begins meanwhile lies as far behind the one before as time went by, so that what is missing between them is a gap.

use std::sync::Arc;

use super::gop::{Raw, Sample, Start, micros};
use crate::model::{CameraClock, FragmentClock, GapCause, TimeRange, UtcMicros};
use crate::video::{Arrival, Frame, StreamParams};

/// Parts per million that the timeline may run faster or slower than the camera.
const SLEW_PPM: i64 = 500;
/// The same while the timeline is far from the clock, which is after the server's clock was set back: a hundredth.
const FAR_SLEW_PPM: i64 = 10_000;
const FAR: i64 = 1_000_000;
/// What is farther off is not made good at all: it would take days, and every duration would be wrong meanwhile.
const TOO_FAR: i64 = 60_000_000;
/// Smaller differences are jitter.
const DEAD_BAND: i64 = 10_000;
/// And still smaller ones come of rounding.
const ROUNDING: i64 = 1_000;
/// Receive times of this much are seen before a session is anchored.
const ANCHOR_AFTER: i64 = 500_000;
/// Fragments held back at most for that.
const ANCHOR_FRAGMENTS: usize = 8;
/// A difference above this, over several fragments, is a step of a clock and not delay.
const STEP: i64 = 2_000_000;
const STEP_FRAGMENTS: u32 = 4;
/// Audio whose time is off by more than this from its receive time has a zero of its own.
const AUDIO_ADRIFT: i64 = 1_000_000;

/// How the timeline stands to the machine's two clocks; outlives a session and a recorder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// The timeline minus the monotonic clock; `None` when nothing was recorded in this process.
    steady: Option<i64>,
    /// The timeline minus the server's clock, as the last fragment says.
    ahead: i64,
}

impl Standing {
    /// After a restart, of which the last fragment tells.
    pub(super) fn restored(ahead: i64) -> Self {
        Self {
            steady: None,
            ahead,
        }
    }

    /// The timeline's time when the server's clock says `wall`, given that the recordings reach `floor`. The clock is taken to
    /// go on as the last fragment saw it, except that it has been set right when it stands behind a lead of hours: to keep
    /// such a lead by mistake would be worse than a gap too short by it.
    pub(super) fn by_wall(self, wall: UtcMicros, floor: UtcMicros) -> UtcMicros {
        if self.ahead < DEAD_BAND || (self.ahead > TOO_FAR && wall >= floor) {
            wall
        } else {
            wall + self.ahead
        }
    }

    /// Where something lies that came in then.
    fn by_arrival(self, arrival: Arrival, floor: UtcMicros) -> UtcMicros {
        match self.steady {
            Some(off) => UtcMicros(arrival.steady.saturating_add(off)),
            None => self.by_wall(arrival.wall, floor),
        }
    }

    /// A fragment that came in so lies at `from` and has this length.
    fn follow(&mut self, arrival: Arrival, from: UtcMicros, length: i64) {
        let now = from.micros().saturating_sub(arrival.steady);
        // A fragment that came late as a whole says nothing; only slewing takes a lead away.
        let least = self
            .steady
            .map_or(now, |was| was.saturating_sub(length / 100));
        self.steady = Some(now.max(least));
        self.ahead = from.micros_since(arrival.wall);
    }
}

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
    standing: Standing,
    waiting: Vec<Raw>,
    late: u32,
    /// Added to audio times, in audio ticks; `None` until the session's first audio.
    audio_shift: Option<i64>,
    audio_step: u32,
}

impl Timeline {
    pub(super) fn new(floor: Option<UtcMicros>, standing: Standing) -> Self {
        Self {
            anchor: None,
            floor: floor.unwrap_or(UtcMicros::MIN),
            standing,
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

    pub(super) fn standing(&self) -> Standing {
        self.standing
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
        let arrival = waiting
            .iter()
            .map(|r| r.arrival.before(micros(r.start.saturating_sub(start))))
            .reduce(Arrival::min)
            .unwrap_or(first.arrival);
        // The clock was set back since the session before, or before that: as much lies between as time went by.
        let kept = self.standing.by_arrival(arrival, self.floor);
        let earliest = if kept.micros_since(earliest) > ROUNDING {
            kept
        } else {
            earliest
        };
        // From here on by this session.
        self.standing.steady = None;
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
        self.standing.follow(raw.arrival, from, length);
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
                ahead_us: from.micros_since(raw.arrival.wall),
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
mod tests;
