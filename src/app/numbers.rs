//! Numbers that nobody counts as they happen: read every few seconds.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::media::Media;
use crate::model::StreamState;
use crate::telemetry::{Metric, gauge};
use crate::video::Video;

const EVERY: Duration = Duration::from_secs(5);
const STATES: [StreamState; 5] = [
    StreamState::Connecting,
    StreamState::Streaming,
    StreamState::Backoff,
    StreamState::Faulted,
    StreamState::Stopped,
];

#[allow(clippy::cast_precision_loss, reason = "numbers to look at")]
pub(super) async fn tell(video: Video, media: Media, stop: CancellationToken) {
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        let mut states: BTreeMap<&str, f64> = STATES.iter().map(|s| (s.as_str(), 0.0)).collect();
        for (key, status) in video.statuses() {
            *states.entry(status.state.as_str()).or_default() += 1.0;
            if let Some(ring) = video.ring(&key) {
                let labels = [
                    ("camera", key.camera.as_str()),
                    ("stream", key.role.as_str()),
                ];
                gauge(Metric::VideoRingBytes, &labels, ring.bytes() as f64);
            }
        }
        for (state, n) in states {
            gauge(Metric::VideoStreams, &[("state", state)], n);
        }
        gauge(
            Metric::MediaTranscodes,
            &[],
            media.status().transcodes_running as f64,
        );
    }
}
