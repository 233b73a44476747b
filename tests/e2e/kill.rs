//! kill -9 while recording: what was durable plays, the hole is one row, the cameras come back.

use std::time::{Duration, Instant};

use serde_json::Value;
use zhenbei::model::{Clock as _, SystemClock, TimeRange, UtcMicros};

use crate::support::daemon::{Daemon, camera_toml, eventually};
use crate::support::ffmpeg;
use crate::support::rtsp::{Codec, FakeCamera, Spec};

fn time(value: &Value) -> UtcMicros {
    UtcMicros::parse(
        value
            .as_str()
            .unwrap_or_else(|| panic!("a time was expected, not {value}")),
    )
    .unwrap()
}

async fn durable_until(daemon: &Daemon, id: &str) -> Option<UtcMicros> {
    let (_, camera) = daemon.get(&format!("/cameras/{id}")).await;
    camera["durable_until"]
        .as_str()
        .map(|t| UtcMicros::parse(t).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_what_was_durable_plays_and_the_hole_is_one_gap() {
    let h264 = FakeCamera::start(Spec::default());
    let h265 = FakeCamera::start(Spec {
        codec: Codec::H265,
        ..Spec::default()
    });
    let site = camera_toml("cam-264", &h264.url()) + &camera_toml("cam-265", &h265.url());
    let daemon = Daemon::start_with_site("", &site).await;
    let begun = daemon
        .camera_in_state("cam-264", "streaming", Duration::from_secs(20))
        .await;
    daemon
        .camera_in_state("cam-265", "streaming", Duration::from_secs(20))
        .await;
    let from = time(&begun["last_frame"]);
    for id in ["cam-264", "cam-265"] {
        eventually(
            "eight seconds are durable",
            Duration::from_secs(40),
            || async {
                match durable_until(&daemon, id).await {
                    Some(until) if until.micros_since(from) > 8_000_000 => Ok(()),
                    seen => Err(format!("{seen:?}; log: {}", daemon.log())),
                }
            },
        )
        .await;
    }
    let promised = durable_until(&daemon, "cam-264").await.unwrap();

    let daemon = daemon.kill_and_restart().await;
    let (ready, back) = (Instant::now(), SystemClock.now());
    for id in ["cam-264", "cam-265"] {
        daemon
            .camera_in_state(id, "streaming", Duration::from_secs(10))
            .await;
    }
    assert!(
        ready.elapsed() < Duration::from_secs(5),
        "cameras were back after {:?}",
        ready.elapsed()
    );

    // The promise: all before `durable_until` plays.
    let asked = TimeRange::new(promised.minus(Duration::from_secs(6)), promised).unwrap();
    for id in ["cam-264", "cam-265"] {
        let until = eventually("recording goes on", Duration::from_secs(20), || async {
            match durable_until(&daemon, id).await {
                Some(until) if until > back.plus(Duration::from_secs(2)) => Ok(until),
                seen => Err(format!("{seen:?}; log: {}", daemon.log())),
            }
        })
        .await;
        let range = if id == "cam-264" {
            asked
        } else {
            TimeRange::new(asked.from, asked.to.minus(Duration::from_secs(2))).unwrap()
        };
        let (status, bytes) = daemon
            .bytes(&format!(
                "/cameras/{id}/clip.mp4?from={}&to={}",
                range.from, range.to
            ))
            .await;
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&bytes));
        let file = daemon.dir.path().join(format!("{id}.mp4"));
        std::fs::write(&file, &bytes).unwrap();
        let seconds = ffmpeg::decodes_without_complaint(&file);
        assert!(
            (seconds - range.duration().as_secs_f64()).abs() < 0.3,
            "{id}: {seconds} s of {:?}",
            range.duration()
        );

        // The hole is one row, with its cause, and nothing else is missing.
        let (_, coverage) = daemon
            .get(&format!(
                "/cameras/{id}/coverage?from={}&to={until}",
                asked.from
            ))
            .await;
        let gaps = coverage["gaps"].as_array().unwrap();
        assert_eq!(gaps.len(), 1, "{id}: {coverage:#}");
        assert_eq!(gaps[0]["cause"], "restart", "{id}: {coverage:#}");
        let lost = time(&gaps[0]["to"]).micros_since(time(&gaps[0]["from"]));
        assert!(lost > 0, "{id}: an empty gap");
        // Spans and gaps tile the range.
        let mut parts: Vec<(UtcMicros, UtcMicros)> = coverage["spans"]
            .as_array()
            .unwrap()
            .iter()
            .chain(gaps)
            .map(|p| (time(&p["from"]), time(&p["to"])))
            .collect();
        parts.sort();
        assert_eq!(parts.first().unwrap().0, asked.from);
        assert_eq!(parts.last().unwrap().1, until);
        assert!(parts.windows(2).all(|w| w[0].1 == w[1].0), "{coverage:#}");
    }
}
