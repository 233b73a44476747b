//! Looking back through the public interface: key frames, thumbnails, playlists; each picture is on the audit log.

use std::time::Duration;

use crate::support::daemon::{Daemon, camera_toml, eventually};
use crate::support::rtsp::{FakeCamera, Spec};
use zhenbei::model::UtcMicros;

/// A daemon that has recorded some seconds; until when.
async fn recorded(camera: &FakeCamera) -> (Daemon, UtcMicros) {
    let daemon = Daemon::start_with_site("", &camera_toml("cam-1", &camera.url())).await;
    daemon
        .camera_in_state("cam-1", "streaming", Duration::from_secs(20))
        .await;
    let until = eventually(
        "six seconds are durable",
        Duration::from_secs(40),
        || async {
            let (_, c) = daemon.get("/cameras/cam-1").await;
            let Some(until) = c["durable_until"].as_str() else {
                return Err(c.to_string());
            };
            let to = UtcMicros::parse(until).unwrap();
            let from = to.minus(Duration::from_secs(6));
            let (_, coverage) = daemon
                .get(&format!("/cameras/cam-1/coverage?from={from}&to={to}"))
                .await;
            let first = coverage["spans"][0]["from"].as_str().map(str::to_owned);
            match first {
                Some(first) if UtcMicros::parse(&first).unwrap() <= from => Ok(to),
                other => Err(format!("{other:?}")),
            }
        },
    )
    .await;
    (daemon, until)
}

#[tokio::test(flavor = "multi_thread")]
async fn key_frames_and_thumbnails_are_what_was_recorded() {
    let camera = FakeCamera::start(Spec::default());
    let (daemon, to) = recorded(&camera).await;
    let from = to.minus(Duration::from_secs(6));
    let (status, list) = daemon
        .get(&format!("/cameras/cam-1/keyframes?from={from}&to={to}"))
        .await;
    assert_eq!(status, 200, "{list}");
    let times: Vec<UtcMicros> = list["times"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| UtcMicros::parse(t.as_str().unwrap()).unwrap())
        .collect();
    assert!(times.len() >= 2, "{list}");
    assert!(times.windows(2).all(|w| w[0] < w[1]), "{list}");
    assert!(times.iter().all(|t| *t >= from && *t < to), "{list}");

    let (status, strip) = daemon
        .get(&format!(
            "/cameras/cam-1/thumbnails?from={}&to={to}&count=4&width=150",
            to.minus(Duration::from_secs(12_000))
        ))
        .await;
    assert_eq!(status, 200, "{strip}");
    let slots = strip.as_array().unwrap();
    assert_eq!(slots.len(), 4);
    assert!(
        slots[0]["url"].is_null(),
        "hours ago nothing was recorded: {strip}"
    );
    let last = &slots[3];
    let path = last["url"]
        .as_str()
        .unwrap()
        .strip_prefix("/api/v1")
        .unwrap()
        .to_owned();
    let at = last["at"].as_str().unwrap();
    for _ in 0..2 {
        let answer = daemon.authorized(&path).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["zhenbei-time"], at, "made, and remembered");
        let jpeg = answer.bytes().await.unwrap();
        assert!(jpeg.starts_with(&[0xff, 0xd8]) && jpeg.ends_with(&[0xff, 0xd9]));
    }
    // Once, though it was looked at twice.
    let (_, audit) = daemon.get("/audit?action=still").await;
    let looks: Vec<_> = audit
        .as_array()
        .unwrap()
        .iter()
        .filter(|e| {
            e["object"]
                .as_str()
                .unwrap()
                .contains("thumbnails of the hour")
        })
        .collect();
    assert_eq!(looks.len(), 1, "{audit}");
    assert_eq!(looks[0]["outcome"], "ok");

    for (path, code) in [
        (
            format!("/cameras/cam-1/thumbnails?from={from}&to={to}&count=0"),
            "bad_count",
        ),
        (format!("/cameras/cam-1/keyframes?from={from}"), "bad_range"),
        ("/cameras/cam-1/thumbnail.jpg".into(), "bad_query"),
        (
            "/cameras/cam-1/thumbnail.jpg?at=2020-01-01T00:00:00Z".into(),
            "no_footage",
        ),
        (
            format!("/cameras/cam-9/keyframes?from={from}&to={to}"),
            "not_found",
        ),
    ] {
        let (_, problem) = daemon.get(&path).await;
        assert_eq!(problem["code"], code, "{path}: {problem}");
    }
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn playlists_name_each_other_and_what_they_name_is_there() {
    let camera = FakeCamera::start(Spec::default());
    let (daemon, to) = recorded(&camera).await;
    let from = to.minus(Duration::from_secs(5));
    let text = async |path: &str| {
        let (status, body) = daemon.bytes(path).await;
        let body = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(status, 200, "{path}: {body}");
        body
    };
    let base = "/cameras/cam-1/hls/";
    let master = text(&format!("{base}master.m3u8?from={from}&to={to}")).await;
    let media = master
        .lines()
        .find(|l| l.starts_with("index.m3u8?"))
        .unwrap();
    let keys = master
        .split("URI=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    assert!(text(&format!("{base}{media}")).await.contains("#EXTINF:"));
    let list = text(&format!("{base}{keys}")).await;
    assert!(list.contains("#EXT-X-I-FRAMES-ONLY"), "{list}");
    let lines: Vec<&str> = list.lines().collect();
    let at = lines
        .iter()
        .position(|l| l.starts_with("#EXT-X-BYTERANGE:"))
        .unwrap();
    let (len, offset) = lines[at]
        .trim_start_matches("#EXT-X-BYTERANGE:")
        .split_once('@')
        .unwrap();
    let (len, offset): (u64, u64) = (len.parse().unwrap(), offset.parse().unwrap());
    let part = daemon
        .authorized(&format!("{base}{}", lines[at + 1]))
        .header("range", format!("bytes={offset}-{}", offset + len - 1))
        .send()
        .await
        .unwrap();
    assert_eq!(part.status(), 206);
    let bytes = part.bytes().await.unwrap();
    assert_eq!(bytes.len() as u64, len);
    assert!(bytes.windows(4).any(|w| w == b"moof"));
    daemon.stop();
}
