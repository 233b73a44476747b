//! Waits that grow and differ, so that many who lost the same server do not all come back at once.

use std::time::Duration;

pub(super) struct Backoff {
    least: Duration,
    most: Duration,
    attempts: u32,
}

impl Backoff {
    pub(super) fn new(least: Duration, most: Duration) -> Self {
        Self {
            least,
            most,
            attempts: 0,
        }
    }

    pub(super) fn attempts(&self) -> u32 {
        self.attempts
    }

    pub(super) fn reset(&mut self) {
        self.attempts = 0;
    }

    /// Between half and all of a time that doubles from `least` to `most`.
    pub(super) fn next_wait(&mut self) -> Duration {
        let full = self
            .least
            .saturating_mul(1 << self.attempts.min(16))
            .min(self.most);
        self.attempts = self.attempts.saturating_add(1);
        full.mul_f64(rand::random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut b = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let waits: Vec<_> = (0..40).map(|_| b.next_wait()).collect();
        assert!((50..=100).contains(&waits[0].as_millis()));
        assert!((200..=400).contains(&waits[2].as_millis()));
        assert!((2_500..=5_000).contains(&waits[39].as_millis()));
        b.reset();
        assert!(b.next_wait().as_millis() <= 100);
    }
}
