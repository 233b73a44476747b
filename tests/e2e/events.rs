//! What walls are told when nothing comes any more: silence and removal are news too.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::daemon::{Daemon, camera_toml, eventually};
use crate::support::rtsp::{FakeCamera, Spec};
use crate::support::{mqtt, servers};

const PATIENCE: Duration = Duration::from_secs(30);

/// Reads server-sent events until one satisfies `wanted`.
async fn event(daemon: &Daemon, mut wanted: impl FnMut(&Value) -> bool) -> Value {
    let request = daemon
        .authorized("/events")
        .header("accept", "text/event-stream");
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    let mut stream = response.bytes_stream();
    let mut text = String::new();
    let find = async {
        loop {
            let piece = stream.next().await.expect("the stream goes on").unwrap();
            text.push_str(std::str::from_utf8(&piece).expect("whole characters in a piece"));
            while let Some(end) = text.find("\n\n") {
                let one: String = text.drain(..end + 2).collect();
                if let Some(data) = one.trim().strip_prefix("data:") {
                    let event: Value = serde_json::from_str(data.trim()).unwrap();
                    if wanted(&event) {
                        return event;
                    }
                }
            }
        }
    };
    timeout(PATIENCE, find).await.expect("the event comes")
}

fn now() -> String {
    use zhenbei::model::Clock as _;
    zhenbei::model::SystemClock.now().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vehicle_that_falls_silent_is_told_as_stale() {
    let (broker, _dir) = servers::mosquitto();
    let extra = format!(
        "[[mqtt]]\nurl = \"mqtt://127.0.0.1:{}\"\n[fleet]\nstale_after_s = 2\n",
        broker.port
    );
    let daemon = Daemon::start(&extra).await;
    eventually("the daemon is at the broker", PATIENCE, || async {
        let (_, sources) = daemon.get("/sources").await;
        if sources[0]["state"] == "connected" {
            Ok(())
        } else {
            Err(sources.to_string())
        }
    })
    .await;
    let fix = json!({ "time": now(), "lon": 109.73, "lat": 38.29, "speed_kmh": 40 });
    mqtt::publish(
        broker.port,
        "fleet/truck-001/position",
        fix.to_string().as_bytes(),
    )
    .await;
    let mut seen = Vec::new();
    event(&daemon, |e| {
        let list = if e["type"] == "snapshot" {
            &e["positions"]
        } else {
            &e["items"]
        };
        let ours = list
            .as_array()
            .into_iter()
            .flatten()
            .find(|p| p["vehicle"] == "truck-001");
        seen.extend(ours.map(|p| p["state"].as_str().unwrap().to_owned()));
        seen.last().is_some_and(|s| s == "stale")
    })
    .await;
    assert_eq!(
        seen.first().map(String::as_str),
        Some("moving"),
        "it drove first: {seen:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_drops_and_one_that_is_deleted_are_told_while_vehicles_drive() {
    let (broker, _dir) = servers::mosquitto();
    let (mut drops, stays) = (
        FakeCamera::start(Spec::default()),
        FakeCamera::start(Spec::default()),
    );
    let site = camera_toml("drops", &drops.url()) + &camera_toml("deleted", &stays.url());
    let extra = format!("[[mqtt]]\nurl = \"mqtt://127.0.0.1:{}\"\n", broker.port);
    let daemon = Daemon::start_with_site(&extra, &site).await;
    daemon.camera_in_state("drops", "streaming", PATIENCE).await;
    daemon
        .camera_in_state("deleted", "streaming", PATIENCE)
        .await;
    // Traffic all the while: a commit every tenth of a second must not swallow what cameras do.
    let port = broker.port;
    let mut traffic = JoinSet::new();
    traffic.spawn(async move {
        for n in 0_u32.. {
            let fix =
                json!({ "time": now(), "lon": 109.0 + f64::from(n % 100) / 1e4, "lat": 38.29 });
            mqtt::publish(port, "fleet/bus-001/position", fix.to_string().as_bytes()).await;
        }
    });
    let told = event(&daemon, |e| {
        if e["type"] == "snapshot" {
            drops.stop();
        }
        let items = e["items"].as_array().into_iter().flatten();
        e["type"] == "cameras"
            && items
                .clone()
                .any(|c| c["id"] == "drops" && c["state"] != "streaming")
    })
    .await;
    assert!(told["as_of"].is_string());
    let gone = daemon.request(reqwest::Method::DELETE, "/cameras/deleted", None);
    let (removed, answer) = tokio::join!(
        event(&daemon, |e| e["removed"]
            .as_array()
            .is_some_and(|r| r.iter().any(|id| id == "deleted"))),
        async {
            // After the stream has begun, so that the removal is news to it.
            tokio::time::sleep(Duration::from_millis(500)).await;
            gone.await
        }
    );
    traffic.abort_all();
    assert_eq!(answer.status(), 204);
    assert_eq!(removed["type"], "cameras");
}
