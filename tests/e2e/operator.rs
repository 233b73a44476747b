//! What an operator does on a day without accidents.

use std::time::Duration;

use serde_json::json;

use crate::support::daemon::{Daemon, camera_toml, eventually, open_case_body};
use crate::support::rtsp::{FakeCamera, Spec};

#[tokio::test(flavor = "multi_thread")]
async fn an_exhibit_outlives_its_recording_and_its_camera() {
    let camera = FakeCamera::start(Spec::default());
    // Keeps three seconds: retention takes the recording while the test looks on.
    let daemon = Daemon::start_with_site(
        "[archive]\nretention_days = 0.00004\nsegment_ms = 2000\n",
        &camera_toml("cam-1", &camera.url()),
    )
    .await;
    daemon
        .camera_in_state("cam-1", "streaming", Duration::from_secs(20))
        .await;
    let (_, case) = daemon.post("/cases", &open_case_body()).await;
    let case = case["id"].as_str().unwrap().to_owned();
    let exhibit = eventually("a clip is attached", Duration::from_secs(20), || async {
        let (_, c) = daemon.get("/cameras/cam-1").await;
        let Some(until) = c["durable_until"].as_str() else { return Err(c.to_string()) };
        let to = zhenbei::model::UtcMicros::parse(until).unwrap();
        let ask = json!({ "camera": "cam-1", "from": to.minus(Duration::from_secs(1)), "to": to, "purpose": "取证" });
        let (status, exhibit) = daemon.post(&format!("/cases/{case}/exhibits"), &ask).await;
        if status == 201 && exhibit["state"] == "ready" { Ok(exhibit) } else { Err(format!("{status} {exhibit}")) }
    })
    .await;
    let (from, to) = (
        exhibit["requested"]["from"].as_str().unwrap(),
        exhibit["requested"]["to"].as_str().unwrap(),
    );
    eventually(
        "retention has taken the recording",
        Duration::from_secs(60),
        || async {
            let (_, coverage) = daemon
                .get(&format!("/cameras/cam-1/coverage?from={from}&to={to}"))
                .await;
            let gone = coverage["spans"].as_array().is_some_and(Vec::is_empty)
                && coverage["gaps"][0]["cause"] == "retention";
            if gone {
                Ok(())
            } else {
                Err(coverage.to_string())
            }
        },
    )
    .await;
    let deleted = daemon
        .request(reqwest::Method::DELETE, "/cameras/cam-1", None)
        .await;
    assert_eq!(deleted.status(), 204);

    let id = exhibit["id"].as_str().unwrap();
    for file in exhibit["files"].as_array().unwrap() {
        let name = file["name"].as_str().unwrap();
        let (status, bytes) = daemon
            .bytes(&format!("/cases/{case}/exhibits/{id}/{name}"))
            .await;
        assert_eq!(status, 200, "{name}");
        use sha2::Digest as _;
        assert_eq!(
            hex::encode(sha2::Sha256::digest(&bytes)),
            file["sha256"].as_str().unwrap(),
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orderly_stop_loses_nothing_and_exits_0() {
    let camera = FakeCamera::start(Spec::default());
    let daemon = Daemon::start_with_site("", &camera_toml("cam-1", &camera.url())).await;
    daemon
        .camera_in_state("cam-1", "streaming", Duration::from_secs(20))
        .await;
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "{log}");
    assert!(
        !log.contains("cut off") && !log.contains("panicked"),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_answers_the_conditions_of_a_player() {
    let camera = FakeCamera::start(Spec::default());
    let daemon = Daemon::start_with_site("", &camera_toml("cam-1", &camera.url())).await;
    daemon
        .camera_in_state("cam-1", "streaming", Duration::from_secs(20))
        .await;
    let path = eventually(
        "three seconds are durable",
        Duration::from_secs(30),
        || async {
            let (_, c) = daemon.get("/cameras/cam-1").await;
            let Some(until) = c["durable_until"].as_str() else {
                return Err(c.to_string());
            };
            let to = zhenbei::model::UtcMicros::parse(until).unwrap();
            let from = to.minus(Duration::from_secs(2));
            let path = format!("/cameras/cam-1/clip.mp4?from={from}&to={to}");
            match daemon.bytes(&path).await {
                (200, _) => Ok(path),
                (status, body) => Err(format!("{status} {}", String::from_utf8_lossy(&body))),
            }
        },
    )
    .await;
    let ask = |headers: &[(&'static str, String)]| {
        let mut request = daemon.authorized(&path);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        async move { request.send().await.unwrap() }
    };
    let whole = ask(&[]).await;
    let etag = whole.headers()["etag"].to_str().unwrap().to_owned();
    // RFC 9110 §8.8.3: one pair of quotes, no quote within, and strong.
    let inner = etag
        .strip_prefix('"')
        .and_then(|e| e.strip_suffix('"'))
        .unwrap();
    assert!(!inner.is_empty() && !inner.contains('"'), "{etag}");
    let bytes = whole.bytes().await.unwrap();

    let range = |r: &str| ("range", r.to_owned());
    assert_eq!(ask(&[("if-none-match", etag.clone())]).await.status(), 304);
    let part = ask(&[range("bytes=10-19"), ("if-range", etag.clone())]).await;
    assert_eq!(part.status(), 206);
    assert_eq!(part.bytes().await.unwrap(), bytes.slice(10..20));
    let other = ask(&[range("bytes=10-19"), ("if-range", "\"another\"".into())]).await;
    assert_eq!(
        other.status(),
        200,
        "other bytes than the caller holds: the whole"
    );
    assert_eq!(ask(&[range("bytes=999999999-")]).await.status(), 416);
}
