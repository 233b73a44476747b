//! Cuts a stream's frames into fragments and gives every picture its decode time. No clock, no I/O.
//!
//! RTP carries presentation times only, in decode order. The decode times of a fragment are its presentation times, sorted:
//! the n-th picture decoded gets the n-th time shown, so decode time never runs backwards and pictures shown before their
//! decode time get a negative composition offset (CMAF allows it). A picture's duration is known when the next one comes, so
//! this lags one frame.

use std::sync::Arc;

use crate::model::{CameraClock, GapCause, UtcMicros};
use crate::video::{Arrival, Frame, Media, StreamParams};

const SECOND: i64 = 90_000;
/// GOPs shorter than this share a fragment: cameras that send key frames only must not cost a write per picture.
const SHORTEST: i64 = SECOND / 2;
/// The last picture of a fragment takes up slewing and rounding, by half of it and a tick, and must not vanish: decode times
/// would be equal.
const SHORTEST_LAST: i64 = 4;
/// A fragment larger than this is cut whatever its length, so that memory stays bounded.
const LARGEST: usize = 24 << 20;
/// Media time and receive time may differ by this between two pictures before the media time is not believed.
const PLAUSIBLE: i64 = 2 * SECOND;
/// 25 pictures a second, until the stream has shown better.
const FIRST_GUESS: i64 = SECOND / 25;

/// How a fragment follows the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    Continuous,
    /// Same session, something is missing before it.
    Hole(GapCause),
    /// Media time starts anew. The cause of what is missing before it.
    Session(GapCause),
}

#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) frame: Arc<Frame>,
    /// 90 kHz.
    pub(super) duration: u32,
    pub(super) offset: i32,
}

/// Frames of one fragment, in media time.
#[derive(Clone, Debug)]
pub(super) struct Raw {
    pub(super) params: Arc<StreamParams>,
    pub(super) samples: Vec<Sample>,
    pub(super) audio: Vec<Arc<Frame>>,
    /// Decode time of the first picture and end of the last, 90 kHz, media time of the session.
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) key: bool,
    pub(super) begins: Start,
    pub(super) received: (UtcMicros, UtcMicros),
    /// Wall time of `start` by the picture that came with the least delay.
    pub(super) earliest: UtcMicros,
    /// The same by the machine's two clocks as they were.
    pub(super) arrival: Arrival,
    pub(super) lost: u32,
    /// The camera's clock minus `earliest`, both at `start`.
    pub(super) camera: CameraClock,
    /// Usual duration of a picture, 90 kHz.
    pub(super) typical: i64,
}

#[derive(Debug)]
pub(super) struct Gop {
    longest: i64,
    video: Vec<Arc<Frame>>,
    audio: Vec<Arc<Frame>>,
    bytes: usize,
    begins: Start,
    typical: i64,
    /// This session shows pictures in another order than it sends them.
    reorders: bool,
    /// Largest presentation time and last receive time seen in this session.
    last: Option<(i64, UtcMicros)>,
    /// Where the last fragment of this session ended.
    end: Option<i64>,
}

pub(super) fn micros(ticks: i64) -> i64 {
    (i128::from(ticks) * 100 / 9)
        .try_into()
        .unwrap_or(if ticks < 0 { i64::MIN } else { i64::MAX })
}

pub(super) fn ticks(micros: i64) -> i64 {
    (i128::from(micros) * 9)
        .div_euclid(100)
        .try_into()
        .unwrap_or(if micros < 0 { i64::MIN } else { i64::MAX })
}

impl Gop {
    pub(super) fn new(fragment_max_ms: u64, first: GapCause) -> Self {
        Self {
            longest: i64::try_from(fragment_max_ms)
                .unwrap_or(2_000)
                .clamp(100, 60_000)
                * SECOND
                / 1_000,
            video: Vec::new(),
            audio: Vec::new(),
            bytes: 0,
            begins: Start::Session(first),
            typical: FIRST_GUESS,
            reorders: false,
            last: None,
            end: None,
        }
    }

    /// No picture for this long means that pictures are missing.
    pub(super) fn patience(&self) -> i64 {
        (4 * self.typical).max(SECOND * 3 / 2)
    }

    /// Media time until the fragment is as long as it may be.
    pub(super) fn room(&self) -> i64 {
        match (self.video.first(), self.last) {
            (Some(first), Some((max, _))) => (self.longest - (max - first.pts)).max(0),
            (None, _) | (_, None) => self.longest,
        }
    }

    /// Takes the next frame; returns the fragment that it completes.
    pub(super) fn push(&mut self, frame: Arc<Frame>) -> Option<Raw> {
        if frame.media == Media::Audio {
            // Audio alone is no recording: it waits for a picture.
            if !self.video.is_empty() {
                self.bytes += frame.data.len();
                self.audio.push(frame);
            }
            return None;
        }
        let follows = self.relation(&frame);
        let done = if self.video.is_empty() {
            self.begins = match (self.begins, follows) {
                (Start::Hole(cause), Start::Session(_)) => Start::Session(cause),
                (Start::Continuous, follows) => follows,
                (begins, _) => begins,
            };
            None
        } else {
            let cut = follows != Start::Continuous || self.is_full(&frame);
            cut.then(|| {
                let next = (follows == Start::Continuous).then_some(frame.pts);
                let done = self.close(next);
                self.begins = follows;
                done
            })
            .flatten()
        };
        let (max, _) = self.last.unwrap_or((frame.pts, frame.received));
        if follows == Start::Continuous {
            self.reorders |= frame.pts < max;
            self.last = Some((max.max(frame.pts), frame.received));
        } else {
            self.reorders &= !matches!(follows, Start::Session(_));
            self.last = Some((frame.pts, frame.received));
            if matches!(follows, Start::Session(_)) {
                self.end = None;
            }
        }
        self.bytes += frame.data.len();
        self.video.push(frame);
        done
    }

    /// Completes what is there, without knowing what follows.
    pub(super) fn flush(&mut self) -> Option<Raw> {
        self.close(None)
    }

    /// Frames went by unread.
    pub(super) fn skipped(&mut self, cause: GapCause) {
        if self.begins == Start::Continuous {
            self.begins = Start::Hole(cause);
        }
    }

    /// The session is over; the next frame has a media time of its own.
    pub(super) fn end_session(&mut self, cause: GapCause) {
        self.begins = Start::Session(cause);
        self.last = None;
        self.end = None;
        self.reorders = false;
        self.typical = FIRST_GUESS;
    }

    fn relation(&self, f: &Frame) -> Start {
        let Some((max, received)) = self.last else {
            return match self.begins {
                Start::Session(cause) | Start::Hole(cause) => Start::Session(cause),
                Start::Continuous => Start::Session(GapCause::SourceStalled),
            };
        };
        let cause = if f.lost > 0 {
            GapCause::RtpLoss
        } else {
            GapCause::SourceStalled
        };
        let step = f.pts.saturating_sub(max);
        let real = ticks(f.received.micros_since(received));
        if step < -PLAUSIBLE {
            return Start::Session(cause);
        }
        if step <= self.patience() {
            return Start::Continuous;
        }
        if step.saturating_sub(real).abs() > PLAUSIBLE {
            // The media time jumped and the clock did not: only the clock is believed.
            return Start::Session(cause);
        }
        Start::Hole(cause)
    }

    fn is_full(&self, next: &Frame) -> bool {
        let Some(first) = self.video.first() else {
            return false;
        };
        let start = self.end.unwrap_or(first.pts).max(
            first.pts.saturating_sub(SECOND), // an early end of the fragment before
        );
        let length = next.pts - start;
        if next.params != first.params && *next.params != *first.params {
            return true;
        }
        if next.key {
            return length >= SHORTEST || self.bytes >= LARGEST;
        }
        let max = self.video.iter().map(|f| f.pts).max().unwrap_or(first.pts);
        // Only where no picture still to come is shown before one that is here.
        next.pts > max && (length > self.longest - self.typical / 2 || self.bytes >= LARGEST)
    }

    fn close(&mut self, next: Option<i64>) -> Option<Raw> {
        let video = std::mem::take(&mut self.video);
        let audio = std::mem::take(&mut self.audio);
        self.bytes = 0;
        let (first, last) = (video.first()?.clone(), video.last()?.clone());
        let mut decode: Vec<i64> = video.iter().map(|f| f.pts).collect();
        decode.sort_unstable();
        let (Some(&lowest), Some(&highest)) = (decode.first(), decode.last()) else {
            return None;
        };
        if let (Start::Continuous, Some(end)) = (self.begins, self.end) {
            decode[0] = end;
        }
        for i in 1..decode.len() {
            decode[i] = decode[i].max(decode[i - 1] + 1);
        }
        let start = decode.first().copied().unwrap_or(lowest);
        let latest = decode.last().copied().unwrap_or(highest);
        if let Some(usual) = median(&decode) {
            self.typical = usual;
        }
        let guess = highest + self.typical;
        let end = match next {
            Some(next) if next > highest && self.reorders => next.min(guess),
            Some(next) if next > highest => next,
            Some(_) | None => guess,
        }
        .max(latest + SHORTEST_LAST);
        self.end = Some(end);
        let begins = std::mem::replace(&mut self.begins, Start::Continuous);

        let mut earliest = UtcMicros::MAX;
        let mut arrival = Arrival {
            steady: i64::MAX,
            wall: UtcMicros::MAX,
        };
        let mut samples = Vec::with_capacity(video.len());
        let mut lost = 0u32;
        let mut camera = None;
        let mut camera_unknown = first.camera_clock;
        for (i, frame) in video.into_iter().enumerate() {
            let at = decode[i];
            let until = decode.get(i + 1).copied().unwrap_or(end);
            earliest = earliest.min(frame.received - micros(at - start));
            arrival = arrival.min(frame.arrival.before(micros(at - start)));
            lost = lost.saturating_add(frame.lost);
            // The newest report speaks for the fragment.
            match frame.camera_clock {
                CameraClock::Known {
                    offset_us,
                    uncertainty_us,
                    method,
                } => {
                    let shown = frame.received + offset_us;
                    let begin = shown - micros(frame.pts.saturating_sub(start));
                    camera = Some((begin, uncertainty_us, method));
                }
                unknown @ CameraClock::Unknown(_) => camera_unknown = unknown,
            }
            samples.push(Sample {
                duration: u32::try_from(until - at).unwrap_or(u32::MAX),
                offset: i32::try_from(frame.pts - at).unwrap_or(0),
                frame,
            });
        }
        Some(Raw {
            params: Arc::clone(&first.params),
            samples,
            audio,
            start,
            end,
            key: first.key,
            begins,
            received: (first.received, last.received),
            earliest,
            arrival,
            lost,
            camera: camera.map_or(camera_unknown, |(begin, uncertainty_us, method)| {
                CameraClock::Known {
                    offset_us: begin.micros_since(earliest),
                    uncertainty_us,
                    method,
                }
            }),
            typical: self.typical,
        })
    }
}

/// Of the steps between sorted times; `None` with fewer than three times.
fn median(sorted: &[i64]) -> Option<i64> {
    let mut steps: Vec<i64> = sorted.windows(2).map(|w| w[1] - w[0]).collect();
    if steps.len() < 2 {
        return None;
    }
    let middle = steps.len() / 2;
    let (_, step, _) = steps.select_nth_unstable(middle);
    Some((*step).clamp(1, 60 * SECOND))
}

#[cfg(test)]
mod tests;
