//! Frames and bytes of the last few seconds, in fixed memory.

use std::time::{Duration, Instant};

const BUCKET: Duration = Duration::from_millis(500);
const BUCKETS: usize = 10;

#[derive(Clone, Copy, Default)]
struct Bucket {
    /// Number of the half second since `start` that this bucket counts.
    number: u64,
    frames: u32,
    bytes: u64,
}

/// A window of five seconds that slides by half a second.
#[derive(Clone)]
pub(super) struct Meter {
    start: Instant,
    buckets: [Bucket; BUCKETS],
}

impl Meter {
    pub(super) fn new(start: Instant) -> Self {
        Self {
            start,
            buckets: [Bucket::default(); BUCKETS],
        }
    }

    pub(super) fn count(&mut self, now: Instant, frames: u32, bytes: usize) {
        let number = self.number(now);
        let at = usize::try_from(number % BUCKETS as u64).unwrap_or(0);
        if let Some(bucket) = self.buckets.get_mut(at) {
            if bucket.number != number {
                *bucket = Bucket {
                    number,
                    ..Bucket::default()
                };
            }
            bucket.frames = bucket.frames.saturating_add(frames);
            bucket.bytes = bucket.bytes.saturating_add(bytes as u64);
        }
    }

    /// Frames per second and kilobits per second over the window; `None` in the first second, when it is not known yet.
    pub(super) fn rates(&self, now: Instant) -> Option<(f64, f64)> {
        let number = self.number(now);
        let oldest = (number + 1).saturating_sub(BUCKETS as u64);
        let since = self.start + BUCKET * u32::try_from(oldest).unwrap_or(u32::MAX);
        let seconds = now.saturating_duration_since(since).as_secs_f64();
        if seconds < 1.0 {
            return None;
        }
        let held = self
            .buckets
            .iter()
            .filter(|b| (oldest..=number).contains(&b.number));
        let (frames, bytes) = held.fold((0u64, 0u64), |(f, b), x| {
            (f + u64::from(x.frames), b + x.bytes)
        });
        #[allow(
            clippy::cast_precision_loss,
            reason = "counts of five seconds are far below 2^53"
        )]
        let (frames, bits) = (frames as f64, bytes as f64 * 8.0);
        Some((frames / seconds, bits / seconds / 1000.0))
    }

    fn number(&self, now: Instant) -> u64 {
        let half_seconds =
            now.saturating_duration_since(self.start).as_millis() / BUCKET.as_millis();
        u64::try_from(half_seconds).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_steady_stream_shows_its_rate() {
        let start = Instant::now();
        let mut m = Meter::new(start);
        assert_eq!(m.rates(start + ms(500)), None);
        for n in 0..500 {
            m.count(start + ms(n * 40), 1, 5_000);
        }
        let (fps, kbps) = m.rates(start + ms(19_980)).unwrap();
        assert!((fps - 25.0).abs() < 1.0, "{fps}");
        assert!((kbps - 1000.0).abs() < 40.0, "{kbps}");
    }

    #[test]
    fn a_stopped_stream_falls_to_zero_within_the_window() {
        let start = Instant::now();
        let mut m = Meter::new(start);
        for n in 0..100 {
            m.count(start + ms(n * 40), 1, 5_000);
        }
        let (half, _) = m.rates(start + ms(6_500)).unwrap();
        assert!(half > 5.0 && half < 15.0, "{half}");
        assert_eq!(m.rates(start + ms(9_600)), Some((0.0, 0.0)));
        assert_eq!(m.rates(start + ms(1_000_000)), Some((0.0, 0.0)));
    }
}
