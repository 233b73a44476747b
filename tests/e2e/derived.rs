//! Things made of a real camera's clip by the real binary, over HTTP, judged by ffmpeg.

use std::time::Duration;

use serde_json::{Value, json};
use zhenbei::model::UtcMicros;

use crate::support::daemon::{Daemon, camera_toml, eventually, open_case_body};
use crate::support::ffmpeg::decodes_without_complaint;
use crate::support::rtsp::{Audio, FakeCamera, Spec};

#[tokio::test(flavor = "multi_thread")]
async fn a_case_gets_a_cut_a_still_a_sheet_and_a_low_copy_of_its_clip() {
    let camera = FakeCamera::start(Spec {
        audio: Some(Audio::Aac),
        ..Spec::default()
    });
    let daemon = Daemon::start_with_site("", &camera_toml("cam-1", &camera.url())).await;
    let (_, case) = daemon.post("/cases", &open_case_body()).await;
    let exhibits = format!("/cases/{}/exhibits", case["id"].as_str().unwrap());
    let parent = eventually("a clip of six seconds", Duration::from_secs(40), || async {
        let (_, c) = daemon.get("/cameras/cam-1").await;
        let Some(until) = c["durable_until"].as_str() else {
            return Err(c.to_string());
        };
        let to = UtcMicros::parse(until).unwrap();
        let from = to.minus(Duration::from_secs(6));
        let (_, coverage) = daemon
            .get(&format!("/cameras/cam-1/coverage?from={from}&to={to}"))
            .await;
        let whole = coverage["spans"][0]["from"]
            .as_str()
            .is_some_and(|s| UtcMicros::parse(s).unwrap() <= from);
        if !whole {
            return Err(coverage.to_string());
        }
        let ask = json!({ "camera": "cam-1", "from": from, "to": to, "purpose": "取证" });
        let (status, exhibit) = daemon.post(&exhibits, &ask).await;
        if status == 201 && exhibit["state"] == "ready" {
            Ok(exhibit)
        } else {
            Err(format!("{status} {exhibit}"))
        }
    })
    .await;
    let starts = UtcMicros::parse(parent["delivered"]["from"].as_str().unwrap()).unwrap();
    let at = |ms: i64| starts + ms * 1_000;
    let derive = format!("{exhibits}/{}/derived", parent["id"].as_str().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let orders = [
        (
            "exact_cut",
            "cut.mp4",
            json!({"kind": "exact_cut", "from": at(1_300), "to": at(4_700)}),
        ),
        (
            "still",
            "still.jpg",
            json!({"kind": "still", "at": at(2_000)}),
        ),
        (
            "contact_sheet",
            "sheet.jpg",
            json!({"kind": "contact_sheet", "columns": 3, "rows": 2}),
        ),
        (
            "low_copy",
            "low.mp4",
            json!({"kind": "low_copy", "purpose": "发给值班手机"}),
        ),
    ];
    for (kind, file, order) in orders {
        let (status, asked) = daemon.post(&derive, &order).await;
        assert!(matches!(status, 201 | 202), "{status} {asked}");
        let one = format!("{exhibits}/{}", asked["id"].as_str().unwrap());
        let made: Value = eventually(kind, Duration::from_secs(60), || async {
            let (_, x) = daemon.get(&one).await;
            if x["state"] == "working" {
                Err(x.to_string())
            } else {
                Ok(x)
            }
        })
        .await;
        assert_eq!(made["state"], "ready", "{made}");
        assert_eq!(
            (&made["kind"], &made["derived_from"]),
            (&json!(kind), &parent["id"])
        );
        assert_eq!(
            (&made["recipe"]["name"], &made["files"][0]["name"]),
            (&json!(kind), &json!(file))
        );
        let (status, bytes) = daemon.bytes(&format!("{one}/{file}?download=1")).await;
        assert_eq!(
            (status, Some(bytes.len() as u64)),
            (200, made["files"][0]["bytes"].as_u64())
        );
        let path = dir.path().join(file);
        std::fs::write(&path, &bytes).unwrap();
        let length = decodes_without_complaint_or_is_a_picture(&path);
        match kind {
            "exact_cut" => {
                // The picture on the screen at the start, and every other one before the end.
                let span = |of: &Value| {
                    UtcMicros::parse(of["to"].as_str().unwrap())
                        .unwrap()
                        .micros_since(UtcMicros::parse(of["from"].as_str().unwrap()).unwrap())
                };
                let delivered = span(&made["delivered"]);
                assert!(
                    (3_400_000..3_500_000).contains(&delivered),
                    "{delivered} us"
                );
                assert!((length - delivered as f64 / 1e6).abs() < 0.1, "{length} s");
                let pictures = &made["recipe"]["pictures"];
                assert!(
                    pictures["copied"].as_i64().unwrap() > 0
                        && pictures["encoded"].as_i64().unwrap() > 0,
                    "{pictures}"
                );
                assert_eq!(made["recipe"]["audio"], "copied");
            }
            "low_copy" => assert_eq!(made["purpose"], "发给值班手机"),
            _ => {}
        }
    }
    let (status, problem) = daemon.post(&derive, &json!({"kind": "gif"})).await;
    assert_eq!((status, &problem["code"]), (422, &json!("bad_request")));
    let (status, problem) = daemon
        .post(
            &derive,
            &json!({"kind": "exact_cut", "from": at(-60_000), "to": at(1_000)}),
        )
        .await;
    assert_eq!((status, &problem["code"]), (422, &json!("bad_range")));
    let (_, now) = daemon
        .get(&format!("{exhibits}/{}", parent["id"].as_str().unwrap()))
        .await;
    assert_eq!(now, parent, "the original is what it was");
}

fn decodes_without_complaint_or_is_a_picture(path: &std::path::Path) -> f64 {
    if path.extension().is_some_and(|e| e == "jpg") {
        assert!(
            std::fs::read(path)
                .unwrap()
                .starts_with(&[0xff, 0xd8, 0xff])
        );
        return 0.0;
    }
    decodes_without_complaint(path)
}
