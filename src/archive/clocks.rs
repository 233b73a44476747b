//! Which clocks a recording tells of: the camera's beside the server's, and how far the recording's own time is ahead.

use super::Archive;
use crate::model::{CameraClock, FragmentClock, Result, StreamKey, TimeRange, UtcMicros};
use crate::telemetry::{self, Metric};

impl Archive {
    /// Of a whole range: the camera's offset with an uncertainty that holds for every picture of it, and the largest lead.
    pub async fn clock_over(&self, stream: &StreamKey, range: TimeRange) -> Result<FragmentClock> {
        let parts = self.inner.db.archive_between(stream, range).await?;
        let clocks: Vec<FragmentClock> = parts
            .iter()
            .flat_map(|p| &p.fragments)
            .filter(|f| f.fragment.range.intersect(&range).is_some())
            .map(|f| f.fragment.clock)
            .collect();
        Ok(FragmentClock {
            camera: CameraClock::over(clocks.iter().map(|c| c.camera)),
            ahead_us: clocks
                .iter()
                .map(|c| c.ahead_us)
                .max_by_key(|a| a.saturating_abs())
                .unwrap_or(0),
        })
    }

    /// Of the newest recorded picture before `at`; what was recorded before is not looked at.
    pub async fn clock_before(&self, stream: &StreamKey, at: UtcMicros) -> Result<FragmentClock> {
        let parts = self.inner.db.archive_before(stream, at, 1).await?;
        let newest = parts
            .iter()
            .flat_map(|p| &p.fragments)
            .rfind(|f| f.fragment.range.from < at);
        Ok(newest.map_or_else(FragmentClock::default, |f| f.fragment.clock))
    }
}

/// More is no delay and no jitter, but a clock that was set back.
const AHEAD: i64 = 5_000_000;

/// Says when recorded times get ahead of the server's clock, and when they no longer are; returns whether they are.
pub(super) fn watch(key: &StreamKey, ahead_us: i64, was: bool) -> bool {
    let is = ahead_us > AHEAD;
    if !is && !was {
        return false;
    }
    #[allow(clippy::cast_precision_loss, reason = "shown to a person")]
    let seconds = ahead_us as f64 / 1e6;
    let labels = [
        ("camera", key.camera.as_str()),
        ("stream", key.role.as_str()),
    ];
    telemetry::gauge(
        Metric::ArchiveAhead,
        &labels,
        if is { seconds } else { 0.0 },
    );
    match (was, is) {
        (false, true) => tracing::error!(
            stream = %key,
            ahead_seconds = seconds,
            "this machine's clock was set back: what is recorded now gets later times than the clock shows, so that it does not \
             overlap what is recorded already; every fragment keeps the difference. Check the clock and its time server"
        ),
        (true, false) => tracing::warn!(stream = %key, "recorded times agree with the clock again"),
        (true, true) | (false, false) => {}
    }
    is
}
