//! How many are there right now, as a number for `/metrics`.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::telemetry::{Metric, gauge};

/// Open walls and tiles of this process.
static WALLS: AtomicI64 = AtomicI64::new(0);
static TILES: AtomicI64 = AtomicI64::new(0);

/// Counts while it is held.
pub(super) struct Presence {
    metric: Metric,
    number: &'static AtomicI64,
}

impl Presence {
    pub(super) fn wall() -> Self {
        Self::begin(Metric::LiveViewers, &WALLS)
    }

    pub(super) fn tile() -> Self {
        Self::begin(Metric::LiveTiles, &TILES)
    }

    fn begin(metric: Metric, number: &'static AtomicI64) -> Self {
        let presence = Self { metric, number };
        presence.change(1);
        presence
    }

    #[allow(clippy::cast_precision_loss, reason = "a few thousand at most")]
    fn change(&self, by: i64) {
        let now = self.number.fetch_add(by, Ordering::Relaxed) + by;
        gauge(self.metric, &[], now as f64);
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.change(-1);
    }
}
