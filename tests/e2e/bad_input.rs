//! Bad input of every kind gets one clear message that says what to do, and everything else keeps running.

use std::time::Duration;

use serde_json::json;

use crate::support::daemon::{Daemon, apply, camera_toml, eventually, open_case_body, run_any};
use crate::support::rtsp::{FakeCamera, Spec};
use crate::support::{mqtt, servers};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn an_unknown_config_key_is_named_with_its_line_and_exits_64() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("zhenbei.toml");
    std::fs::write(
        &config,
        "[http]\nlisten = \"127.0.0.1:0\"\nlistne = \"x\"\n[archive]\nretention_days = \"many\"\n",
    )
    .unwrap();
    for command in ["run", "check-config"] {
        let (code, out, err) = run_any(&config, &[command], None);
        let said = out + &err;
        assert_eq!(code, Some(64), "{said}");
        assert!(
            said.contains("zhenbei.toml:3") && said.contains("listne"),
            "names file, line and key: {said}"
        );
        assert!(
            said.contains("listen"),
            "offers the key that was meant: {said}"
        );
        assert!(
            said.contains("zhenbei.toml:5"),
            "all errors at once: {said}"
        );
    }
}

#[test]
fn a_site_with_mistakes_changes_nothing_and_says_where() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("zhenbei.toml");
    std::fs::write(
        &config,
        format!("[data]\ndir = \"{}\"\n", dir.path().display()),
    )
    .unwrap();
    let site = dir.path().join("site.toml");
    std::fs::write(
        &site,
        camera_toml("cam-1", "rtsp://192.0.2.1/a") + &camera_toml("cam-1", "http://192.0.2.1/a"),
    )
    .unwrap();
    let (code, out, err) = run_any(&config, &["apply", site.to_str().unwrap()], None);
    let said = out + &err;
    assert_eq!(code, Some(65), "{said}");
    assert!(
        said.contains("site.toml:10") && said.contains("same id") && said.contains("rtsp://"),
        "{said}"
    );
    assert!(apply(&config, &camera_toml("cam-2", "rtsp://192.0.2.1/a")).contains("+ camera cam-2"));
    let again = apply(&config, &camera_toml("cam-2", "rtsp://192.0.2.1/a"));
    assert!(again.contains("nothing to change"), "idempotent: {again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_camera_says_what_is_wrong_and_the_good_one_goes_on() {
    let good = FakeCamera::start(Spec::default());
    let locked = FakeCamera::start(Spec {
        auth: Some(("admin".into(), "right".into())),
        ..Spec::default()
    });
    let web_server = web_server();
    let unreachable = format!("rtsp://127.0.0.1:{}/main", servers::free_port());
    let wrong = locked.url().replace("admin:right@", "admin:wrong@");
    let site = [
        camera_toml("good", &good.url()),
        camera_toml("unreachable", &unreachable),
        camera_toml("wrong-password", &wrong),
        camera_toml("not-rtsp", &format!("rtsp://127.0.0.1:{}/main", web_server)),
    ]
    .concat();
    let daemon = Daemon::start_with_site("", &site).await;
    let reason = |camera: &serde_json::Value| {
        (
            camera["reason"]["kind"].clone(),
            camera["reason"]["message"].to_string(),
        )
    };

    let (kind, message) = reason(
        &daemon
            .camera_in_state("wrong-password", "faulted", SOON)
            .await,
    );
    assert_eq!(kind, "unauthorized");
    assert!(message.contains("password"), "says what to do: {message}");
    assert!(
        !message.contains("wrong@") && !daemon.log().contains(":wrong@"),
        "the password is not shown"
    );

    let (kind, message) = reason(&daemon.camera_in_state("unreachable", "backoff", SOON).await);
    assert_eq!(kind, "unreachable", "{message}");
    let (kind, message) = reason(&daemon.camera_in_state("not-rtsp", "backoff", SOON).await);
    assert_eq!(kind, "protocol", "{message}");
    daemon.camera_in_state("good", "streaming", SOON).await;

    // A person mends the password: the same camera streams.
    let body = json!({ "id": "wrong-password", "name": "mended", "lon": 109.7, "lat": 38.2, "area": "610802", "main": locked.url() });
    let put = daemon
        .request(reqwest::Method::PUT, "/cameras/wrong-password", Some(&body))
        .await;
    assert_eq!(put.status(), 200);
    daemon
        .camera_in_state("wrong-password", "streaming", SOON)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_mqtt_is_kept_for_reading_and_the_others_flow() {
    let (broker, _dir) = servers::mosquitto();
    let url = format!("mqtt://127.0.0.1:{}", broker.port);
    let daemon = Daemon::start(&format!("[[mqtt]]\nurl = \"{url}\"\n")).await;
    eventually("the daemon is at the broker", SOON, || async {
        let (_, sources) = daemon.get("/sources").await;
        if sources[0]["state"] == "connected" {
            Ok(())
        } else {
            Err(sources.to_string())
        }
    })
    .await;
    mqtt::publish(
        broker.port,
        "fleet/truck-001/position",
        b"{\"time\": \"yesterday\", \"lon\": 1}",
    )
    .await;
    mqtt::publish(
        broker.port,
        "fleet/truck-001/position",
        b"\xff\xfe\x00garbage",
    )
    .await;
    mqtt::publish(broker.port, "fleet/truck-002/nmea", b"$GPRMC,broken*00").await;
    let fix = json!({ "time": UtcNow::rfc3339(), "lon": 109.73, "lat": 38.29, "speed_kmh": 31.5, "course_deg": 270 });
    mqtt::publish(
        broker.port,
        "fleet/truck-003/position",
        fix.to_string().as_bytes(),
    )
    .await;
    eventually("the good one is on the map", SOON, || async {
        let (_, positions) = daemon.get("/positions").await;
        let found = positions["features"]
            .as_array()
            .is_some_and(|f| f.iter().any(|f| f["properties"]["vehicle"] == "truck-003"));
        if found {
            Ok(())
        } else {
            Err(positions.to_string())
        }
    })
    .await;
    let (_, rejected) = daemon.get("/sources/rejected").await;
    let rejected = rejected.as_array().unwrap();
    assert_eq!(rejected.len(), 3, "{rejected:?}");
    assert!(
        rejected
            .iter()
            .all(|r| !r["reason"].as_str().unwrap().is_empty() && r["topic"].is_string())
    );
    let (_, sources) = daemon.get("/sources").await;
    assert_eq!(sources[0]["rejected"], 3, "{sources}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_without_footage_and_in_the_future_are_told_apart() {
    let camera = FakeCamera::start(Spec::default());
    let daemon = Daemon::start_with_site("", &camera_toml("cam-1", &camera.url())).await;
    daemon.camera_in_state("cam-1", "streaming", SOON).await;
    let cases = [
        (
            "/cameras/cam-1/clip.mp4?from=2020-01-01T00:00:00Z&to=2020-01-01T00:01:00Z",
            404,
            "no_footage",
        ),
        (
            "/cameras/cam-1/clip.mp4?from=2090-01-01T00:00:00Z&to=2090-01-01T00:01:00Z",
            422,
            "range_in_future",
        ),
        (
            "/cameras/cam-1/clip.mp4?from=2020-01-01T00:01:00Z&to=2020-01-01T00:00:00Z",
            422,
            "bad_range",
        ),
        (
            "/cameras/cam-1/clip.mp4?from=soon&to=later",
            422,
            "bad_range",
        ),
        (
            "/cameras/nobody/clip.mp4?from=2020-01-01T00:00:00Z&to=2020-01-01T00:01:00Z",
            404,
            "not_found",
        ),
        (
            "/cameras/nobody/coverage?from=2020-01-01T00:00:00Z&to=2020-01-01T00:01:00Z",
            404,
            "not_found",
        ),
        (
            "/cameras/cam-1/still.jpg?at=2020-01-01T00:00:00Z",
            404,
            "no_footage",
        ),
        (
            "/vehicles/nobody/track?from=2020-01-01T00:00:00Z&to=2020-01-01T00:01:00Z",
            404,
            "not_found",
        ),
        (
            "/cases/0193bb7a-0000-7000-8000-000000000000",
            404,
            "not_found",
        ),
        ("/nothing", 404, "not_found"),
    ];
    for (path, status, code) in cases {
        let (got, problem) = daemon.get(path).await;
        assert_eq!(
            (got, problem["code"].as_str()),
            (status, Some(code)),
            "{path}: {problem}"
        );
        assert!(
            problem["detail"].as_str().is_some_and(|d| d.len() > 10),
            "{path}: {problem}"
        );
    }
    let (_, coverage) = daemon
        .get("/cameras/cam-1/coverage?from=2090-01-01T00:00:00Z&to=2090-01-01T00:01:00Z")
        .await;
    assert_eq!(coverage["gaps"][0]["cause"], "not_yet", "{coverage}");

    let mut case = open_case_body();
    case["occurred_from"] = json!("2090-01-01T00:00:00Z");
    let (status, problem) = daemon.post("/cases", &case).await;
    assert_eq!(status, 422, "a case of the future: {problem}");
    let (status, case) = daemon.post("/cases", &open_case_body()).await;
    assert_eq!(status, 201, "{case}");
    let exhibits = format!("/cases/{}/exhibits", case["id"].as_str().unwrap());
    let ask = json!({ "camera": "cam-1", "from": "2020-01-01T00:00:00Z", "to": "2020-01-01T00:01:00Z", "purpose": "取证" });
    let (status, problem) = daemon.post(&exhibits, &ask).await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (404, Some("no_footage")),
        "{problem}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_at_the_start_stops_recording_only() {
    let camera = FakeCamera::start(Spec::default());
    let daemon = Daemon::start_with_full_archive(&camera_toml("cam-1", &camera.url())).await;
    daemon.camera_in_state("cam-1", "streaming", SOON).await;
    let message = eventually("the archive says that the disk is full", SOON, || async {
        let (_, health) = daemon.get("/health").await;
        let archive = health
            .as_array()
            .and_then(|h| h.iter().find(|p| p["part"] == "archive").cloned())
            .unwrap_or_default();
        if archive["state"] == "ok" {
            Err(health.to_string())
        } else {
            Ok(archive["message"].to_string())
        }
    })
    .await;
    assert!(message.contains("free"), "says what to do: {message}");
    // Live goes on, and the missing recording is on record with its cause.
    let (status, jpeg) = daemon.bytes("/cameras/cam-1/still.jpg").await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&jpeg));
    let now = UtcNow::rfc3339();
    eventually("the gap has its cause", SOON, || async {
        let (_, coverage) = daemon
            .get(&format!(
                "/cameras/cam-1/coverage?from=2026-01-01T00:00:00Z&to={now}"
            ))
            .await;
        let full = coverage["gaps"]
            .as_array()
            .is_some_and(|g| g.iter().any(|g| g["cause"] == "disk_full"));
        if full {
            Ok(())
        } else {
            Err(coverage.to_string())
        }
    })
    .await;
}

struct UtcNow;

impl UtcNow {
    fn rfc3339() -> String {
        use zhenbei::model::Clock as _;
        zhenbei::model::SystemClock.now().to_string()
    }
}

/// A server that speaks HTTP to whoever calls; its port.
fn web_server() -> u16 {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut asked = [0; 1024];
            if stream.read(&mut asked).is_ok() {
                stream
                    .write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                    .ok();
            }
        }
    });
    port
}
