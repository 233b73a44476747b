use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::TryStreamExt;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use zhenbei::access::{Actor, Role};
use zhenbei::evidence::{NewExhibit, Reading, Subject, to_canonical};
use zhenbei::model::{
    AreaCode, Camera, CameraId, CaseAction, CaseId, ErrorKind, Exhibit, ExhibitState, GapCause,
    GeoPoint, Secret, StreamRole, TimeRange, Transport, VehicleId,
};
use zhenbei::store::database::SiteChange;

use crate::recorded::{Evidence, PICTURE, clip, footage, track};
use crate::support::START;

async fn read(e: &Evidence, actor: &Actor, x: &Exhibit, name: &str) -> Vec<u8> {
    let open = e
        .exhibits
        .open_file(actor, x.case, x.id, name, None, Reading::View)
        .await
        .unwrap();
    let pieces: Vec<_> = open.bytes.try_collect().await.unwrap();
    pieces.concat()
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[tokio::test]
async fn a_clip_stays_when_retention_has_taken_the_recording() {
    let e = Evidence::new().await;
    let li = e.centre.person("li", Role::Acceptor).await;
    let case = e.case(&li).await;
    let mut changes = e.cases.changes();
    let x = e.attached(&li, case, clip()).await;
    e.recorded.gone.store(true, Ordering::SeqCst);

    assert_eq!((x.state, x.error.as_deref()), (ExhibitState::Ready, None));
    assert_eq!(
        x.delivered,
        Some(TimeRange {
            from: START - 20_000_000,
            to: START - 200_000
        })
    );
    assert_eq!(
        x.gaps,
        [(
            TimeRange {
                from: START - 200_000,
                to: START
            },
            GapCause::RtpLoss
        )]
    );
    let names: Vec<_> = x
        .files
        .iter()
        .map(|f| (f.name.as_str(), f.derived_from.as_deref()))
        .collect();
    assert_eq!(
        names,
        [
            ("clip.mp4", None),
            ("still.jpg", Some("clip.mp4")),
            ("manifest.json", None)
        ]
    );
    assert_eq!(
        read(&e, &li, &x, "clip.mp4").await,
        footage(),
        "the same bytes"
    );
    assert_eq!(read(&e, &li, &x, "still.jpg").await, PICTURE);
    for f in &x.files {
        let bytes = read(&e, &li, &x, &f.name).await;
        assert_eq!(
            (f.bytes, f.sha256.clone()),
            (bytes.len() as u64, sha256(&bytes)),
            "{}",
            f.name
        );
    }
    let told = std::iter::from_fn(|| changes.try_recv().ok()).count();
    assert_eq!(told, 2, "asked for, ready");
    let file = e.cases.get(&li, case).await.unwrap();
    assert_eq!(file.exhibits, std::slice::from_ref(&x));
    assert_eq!(file.events.last().unwrap().action, "attach");
    assert_eq!(e.exhibits.list(&li, case).await.unwrap(), [x]);
    assert_eq!(e.exhibits.counts().ready, 1);
}

#[tokio::test]
async fn the_manifest_is_canonical_and_says_who_when_why_and_what() {
    let e = Evidence::new().await;
    let li = e.centre.person("li", Role::Acceptor).await;
    let camera = Camera {
        id: CameraId::new("cam-001").unwrap(),
        name: "榆阳广场 东".into(),
        place: GeoPoint::new(109.7345, 38.2852).unwrap(),
        area: AreaCode::new("610802").unwrap(),
        heading_deg: Some(92.5),
        fov_deg: None,
        main: Secret::new("rtsp://user:hunter2@192.0.2.1/main"),
        sub: None,
        transport: Transport::Tcp,
        policies: zhenbei::model::CameraPolicies::default(),
        record: true,
    };
    e.centre
        .db
        .change_site(&SiteChange {
            put_cameras: vec![camera],
            ..SiteChange::default()
        })
        .await
        .unwrap();
    let case = e.case(&li).await;
    let x = e.attached(&li, case, clip()).await;
    let text = String::from_utf8(read(&e, &li, &x, "manifest.json").await).unwrap();
    let mut m: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        to_canonical(&m).unwrap(),
        text,
        "the same text when written again"
    );
    assert!(
        !text.contains("hunter2") && !text.contains("rtsp"),
        "no address of the camera"
    );

    let still = m["files"][1]["recipe"].take();
    assert!(
        still.as_str().unwrap().contains("first key frame"),
        "{still}"
    );
    let expected = json!({
        "manifest_version": 1,
        "exhibit": x.id.to_string(),
        "kind": "clip",
        "case": {"id": case.to_string(), "no": "20261124-0001"},
        "purpose": "热线投诉核实",
        "created_at_us": START.0,
        "created_by": {"name": "li", "role": "acceptor", "axis": "supervision"},
        "completed_at_us": START.0,
        "daemon": {"name": "zhenbei", "version": env!("CARGO_PKG_VERSION")},
        "source": {
            "kind": "camera", "id": "cam-001", "stream": "main", "register_revision": 2, "reason": null,
            "register": {
                "name": "榆阳广场 东", "area": "610802", "heading_mdeg": 92_500, "fov_mdeg": null,
                "place": {"crs": "EPSG:4326", "lon_e7": 1_097_345_000, "lat_e7": 382_852_000},
            },
        },
        "requested": {"from_us": START.0 - 20_000_000, "to_us": START.0},
        "delivered": {"from_us": START.0 - 20_000_000, "to_us": START.0 - 200_000},
        "coverage": {
            "asked_us": 20_000_000, "missing_us": 200_000,
            "gaps": [{"from_us": START.0 - 200_000, "to_us": START.0, "cause": "rtp_loss"}],
        },
        "clock": {
            "times_are_of": "server", "offset_us": null, "uncertainty_us": null, "method": null, "recording_ahead_us": 0,
            "reason": "not_kept",
        },
        "fragments": {
                "count": 3,
                "first": {"seq": 7, "sha256": "0f".repeat(32)},
                "last": {"seq": 9, "sha256": "0f".repeat(32)},
            },
            "reencoded": false,
            "derivation": null,
        "track": null,
        "files": [
            {"name": "clip.mp4", "bytes": 3_000_000, "sha256": sha256(&footage()), "media_type": "video/mp4",
             "derived_from": null, "recipe": null},
            {"name": "still.jpg", "bytes": PICTURE.len(), "sha256": sha256(PICTURE), "media_type": "image/jpeg",
             "derived_from": "clip.mp4", "recipe": null},
        ],
        "notes": [],
        "custody": {"audit_seq": m["custody"]["audit_seq"]},
        "signatures": [],
    });
    assert_eq!(m, expected);
    let seq = m["custody"]["audit_seq"].as_i64().unwrap();
    let filter = zhenbei::store::database::AuditFilter {
        before: Some(seq + 1),
        limit: 1,
        ..Default::default()
    };
    let row = e.centre.db.audit(&filter).await.unwrap().remove(0);
    assert_eq!(
        (row.entry.action.as_str(), row.entry.purpose.as_str()),
        ("attach", "热线投诉核实")
    );
}

#[tokio::test]
async fn a_track_becomes_geojson() {
    let e = Evidence::new().await;
    let li = e.centre.person("li", Role::Acceptor).await;
    let case = e.case(&li).await;
    let x = e.attached(&li, case, track()).await;
    assert_eq!(x.state, ExhibitState::Ready, "{:?}", x.error);
    assert_eq!(
        x.delivered,
        Some(TimeRange {
            from: START - 20_000_000,
            to: START - 1_000_000 + 1
        })
    );
    let v: Value = serde_json::from_slice(&read(&e, &li, &x, "track.geojson").await).unwrap();
    assert_eq!(
        (v["type"].as_str(), v["features"].as_array().unwrap().len()),
        (Some("FeatureCollection"), 20)
    );
    let second = &v["features"][1];
    assert_eq!(second["geometry"]["type"], "Point");
    assert!((second["geometry"]["coordinates"][0].as_f64().unwrap() - 109.7001).abs() < 1e-9);
    assert_eq!(second["properties"]["vehicle"], "truck-017");
    assert_eq!(
        second["properties"]["course_deg"],
        Value::Null,
        "unknown is null"
    );
    let m: Value = serde_json::from_slice(&read(&e, &li, &x, "manifest.json").await).unwrap();
    assert_eq!(m["track"]["points"], 20);
    assert_eq!(
        m["source"]["register"],
        Value::Null,
        "not in the register, and says so"
    );
    assert!(m["source"]["reason"].as_str().unwrap().contains("register"));
}

#[tokio::test]
async fn what_cannot_be_had_is_refused_at_once_without_a_row() {
    let e = Evidence::new().await;
    let li = e.centre.person("li", Role::Acceptor).await;
    let lead = e.centre.person("lead", Role::ShiftLead).await;
    let case = e.case(&li).await;
    let camera = |id: &str| Subject::Camera {
        camera: CameraId::new(id).unwrap(),
        stream: StreamRole::Main,
    };
    let refused = [
        (
            "no_footage",
            NewExhibit {
                subject: camera("cam-002"),
                ..clip()
            },
        ),
        (
            "no_positions",
            NewExhibit {
                subject: Subject::Vehicle(VehicleId::new("truck-999").unwrap()),
                ..clip()
            },
        ),
        (
            "purpose_required",
            NewExhibit {
                purpose: " 查 ".into(),
                ..clip()
            },
        ),
        (
            "range_in_future",
            NewExhibit {
                range: TimeRange {
                    from: START,
                    to: START + 3_600_000_000,
                },
                ..clip()
            },
        ),
        (
            "bad_range",
            NewExhibit {
                range: TimeRange {
                    from: START,
                    to: START,
                },
                ..clip()
            },
        ),
        (
            "bad_range",
            NewExhibit {
                range: TimeRange {
                    from: START - 90_000_000_000,
                    to: START,
                },
                ..clip()
            },
        ),
        (
            "bad_range",
            NewExhibit {
                range: TimeRange {
                    from: START - 200_001_000_000,
                    to: START,
                },
                ..track()
            },
        ),
    ];
    for (code, new) in refused {
        let error = e.exhibits.attach(&li, case, new.clone()).await.unwrap_err();
        assert_eq!(error.code(), code, "{new:?}: {error}");
    }
    assert_eq!(
        e.exhibits
            .attach(&li, CaseId::generate(), clip())
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::NotFound
    );
    e.cases
        .act(&lead, case, CaseAction::Reject, "重复", None)
        .await
        .unwrap();
    assert_eq!(
        e.exhibits
            .attach(&li, case, clip())
            .await
            .unwrap_err()
            .code(),
        "wrong_state"
    );
    assert!(e.exhibits.list(&li, case).await.unwrap().is_empty());
    let failed = e
        .centre
        .record()
        .await
        .iter()
        .filter(|l| l.contains(" attach ") && l.ends_with(" failed"))
        .count();
    assert_eq!(failed, 9, "every attempt is on record");
}

#[tokio::test]
async fn who_may_not_see_recordings_may_not_attach_them() {
    let e = Evidence::new().await;
    let li = e.centre.person("li", Role::Acceptor).await;
    let case = e.case(&li).await;
    let x = e.attached(&li, case, clip()).await;
    for role in [
        Role::Sysadmin,
        Role::Auditor,
        Role::Leader,
        Role::Inspector,
        Role::Department,
        Role::Evaluator,
    ] {
        let person = e.centre.person(&format!("p-{}", role.as_str()), role).await;
        assert_eq!(
            e.exhibits
                .attach(&person, case, clip())
                .await
                .unwrap_err()
                .kind(),
            ErrorKind::Forbidden
        );
    }
    let fleet = e.centre.person("fleet", Role::FleetMonitor).await;
    assert_eq!(
        e.exhibits
            .attach(&fleet, case, clip())
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Forbidden
    );
    assert_eq!(
        e.attached(&fleet, case, track()).await.state,
        ExhibitState::Ready
    );
    let operator = e.centre.person("operator", Role::Operator).await;
    let old = NewExhibit {
        range: TimeRange {
            from: START - 7_200_000_000,
            to: START - 7_100_000_000,
        },
        ..clip()
    };
    assert_eq!(
        e.exhibits
            .attach(&operator, case, old)
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Forbidden
    );
    assert_eq!(
        e.attached(&operator, case, clip()).await.state,
        ExhibitState::Ready
    );

    // The administrator of the system sees no footage, the department sees it on the case and takes nothing away.
    for (role, view, download) in [
        (Role::Sysadmin, false, false),
        (Role::Auditor, false, false),
        (Role::Leader, false, false),
        (Role::Department, true, false),
        (Role::Custodian, true, true),
    ] {
        let person = e.centre.person(&format!("v-{}", role.as_str()), role).await;
        let open = |reading| {
            e.exhibits
                .open_file(&person, case, x.id, "clip.mp4", None, reading)
        };
        assert_eq!(open(Reading::View).await.is_ok(), view, "{}", role.as_str());
        assert_eq!(
            open(Reading::Download).await.is_ok(),
            download,
            "{}",
            role.as_str()
        );
        assert_eq!(
            e.exhibits.bundle(&person, case).await.is_ok(),
            download,
            "{}",
            role.as_str()
        );
    }
}

#[tokio::test]
async fn a_player_s_many_requests_are_one_act_on_record() {
    let e = Evidence::new().await;
    let li = e.centre.person("li", Role::Acceptor).await;
    let case = e.case(&li).await;
    let x = e.attached(&li, case, clip()).await;
    let part = |n: u64| {
        let range = Some(n * 1_000..(n + 1) * 1_000);
        e.exhibits
            .open_file(&li, case, x.id, "clip.mp4", range, Reading::View)
    };
    let mut bytes = Vec::new();
    for n in 0..50 {
        let open = part(n).await.unwrap();
        bytes.extend(open.bytes.try_collect::<Vec<_>>().await.unwrap().concat());
    }
    assert_eq!(bytes, footage()[..50_000], "the parts make the whole");
    let views = async || {
        e.centre
            .record()
            .await
            .iter()
            .filter(|l| l.contains(" view ") && l.ends_with(" ok"))
            .count()
    };
    assert_eq!(views().await, 1);
    e.exhibits
        .open_file(&li, case, x.id, "clip.mp4", None, Reading::Download)
        .await
        .unwrap();
    assert!(
        e.centre
            .record()
            .await
            .last()
            .unwrap()
            .contains(" download "),
        "taking it away is another act"
    );
    e.centre.clock.turn(Duration::from_secs(601));
    part(1).await.unwrap();
    assert_eq!(views().await, 2, "and so is coming back later");

    let outside = e
        .exhibits
        .open_file(
            &li,
            case,
            x.id,
            "clip.mp4",
            Some(0..3_000_001),
            Reading::View,
        )
        .await;
    assert_eq!(outside.err().unwrap().code(), "bad_range");
    let unknown = e
        .exhibits
        .open_file(&li, case, x.id, "../clip.mp4", None, Reading::View)
        .await;
    assert_eq!(unknown.err().unwrap().kind(), ErrorKind::NotFound);
    let elsewhere = e.case(&li).await;
    let other = e
        .exhibits
        .open_file(&li, elsewhere, x.id, "clip.mp4", None, Reading::View)
        .await;
    assert_eq!(
        other.err().unwrap().kind(),
        ErrorKind::NotFound,
        "an exhibit is reached through its own case"
    );
}

#[tokio::test]
async fn an_exhibit_without_a_still_stands_and_says_so() {
    let e = Evidence::new().await;
    let li = e.centre.person("li", Role::Acceptor).await;
    let case = e.case(&li).await;
    e.recorded.no_decoder.store(true, Ordering::SeqCst);
    let x = e.attached(&li, case, clip()).await;
    assert_eq!(x.state, ExhibitState::Ready);
    assert!(
        x.error
            .as_deref()
            .unwrap()
            .contains("the decoder does not answer"),
        "{:?}",
        x.error
    );
    let names: Vec<_> = x.files.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["clip.mp4", "manifest.json"]);
    let m: Value = serde_json::from_slice(&read(&e, &li, &x, "manifest.json").await).unwrap();
    assert!(m["notes"][0].as_str().unwrap().contains("no still"), "{m}");
}

#[tokio::test]
async fn a_full_disk_fails_the_exhibit_with_what_to_do_and_leaves_nothing_behind() {
    let e = Evidence::new().await;
    let li = e.centre.person("li", Role::Acceptor).await;
    let case = e.case(&li).await;
    e.storage.nothing_free.store(true, Ordering::SeqCst);
    let before = e.attached(&li, case, clip()).await;
    assert_eq!(before.state, ExhibitState::Failed);
    let words = before.error.unwrap();
    assert!(
        words.contains("1 MB free") && words.contains("free space on it. Then attach it again."),
        "{words}"
    );

    e.storage.nothing_free.store(false, Ordering::SeqCst);
    e.storage.fills_up.store(true, Ordering::SeqCst);
    let during = e.attached(&li, case, clip()).await;
    assert_eq!(during.state, ExhibitState::Failed);
    assert!(
        during
            .error
            .unwrap()
            .contains("disk of the evidence folder is full")
    );
    assert_eq!(e.stored(), Vec::<String>::new());

    e.storage.fills_up.store(false, Ordering::SeqCst);
    assert_eq!(
        e.attached(&li, case, clip()).await.state,
        ExhibitState::Ready,
        "and the room goes on"
    );
    assert_eq!(e.exhibits.counts().failed, 2);
    let copies: Vec<_> = e
        .centre
        .record()
        .await
        .into_iter()
        .filter(|l| l.contains(" copy "))
        .map(|l| l.rsplit(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(copies, ["failed", "failed", "ok"]);
}

#[tokio::test]
async fn a_source_that_breaks_off_fails_the_exhibit() {
    let e = Evidence::new().await;
    let li = e.centre.person("li", Role::Acceptor).await;
    let case = e.case(&li).await;
    e.recorded.breaks.store(true, Ordering::SeqCst);
    let x = e.attached(&li, case, clip()).await;
    assert_eq!(x.state, ExhibitState::Failed);
    assert!(x.error.unwrap().contains("could not be read"));
    assert_eq!(e.stored(), Vec::<String>::new(), "half a clip is no clip");
    let open = e
        .exhibits
        .open_file(&li, case, x.id, "clip.mp4", None, Reading::View)
        .await;
    assert_eq!(open.err().unwrap().code(), "not_ready");
}

#[tokio::test]
async fn a_crash_in_the_middle_of_the_copy_is_taken_up_again() {
    let mut e = Evidence::new().await;
    let li = e.centre.person("li", Role::Acceptor).await;
    let case = e.case(&li).await;
    e.recorded.hangs.store(true, Ordering::SeqCst);
    let x = e.exhibits.attach(&li, case, clip()).await.unwrap();
    let waited = e
        .exhibits
        .settled(&li, case, x.id, Duration::from_millis(500))
        .await
        .unwrap();
    assert_eq!(waited.state, ExhibitState::Working);
    let bundle = e.exhibits.bundle(&li, case).await;
    assert_eq!(
        bundle.err().unwrap().code(),
        "not_ready",
        "no bundle that silently lacks one"
    );
    e.recorded.hangs.store(false, Ordering::SeqCst);
    e.restart().await;
    let x = e
        .exhibits
        .settled(&li, case, x.id, Duration::from_secs(20))
        .await
        .unwrap();
    assert_eq!(x.state, ExhibitState::Ready);
    assert_eq!(read(&e, &li, &x, "clip.mp4").await, footage());
    let copies: Vec<_> = e
        .centre
        .record()
        .await
        .into_iter()
        .filter(|l| l.contains(" copy "))
        .collect();
    assert!(
        copies[0].ends_with(" open") && copies[1].ends_with(" ok"),
        "the attempt that crashed stays on record"
    );
}

#[tokio::test]
async fn a_crash_between_copy_and_row_loses_nothing_even_when_the_recording_is_gone() {
    let mut e = Evidence::new().await;
    let li = e.centre.person("li", Role::Acceptor).await;
    let case = e.case(&li).await;
    e.storage.hangs_at_manifest.store(true, Ordering::SeqCst);
    let x = e.exhibits.attach(&li, case, clip()).await.unwrap();
    while e.stored() != ["clip.mp4", "still.jpg"] {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    e.recorded.gone.store(true, Ordering::SeqCst);
    e.storage.hangs_at_manifest.store(false, Ordering::SeqCst);
    e.restart().await;
    let x = e
        .exhibits
        .settled(&li, case, x.id, Duration::from_secs(20))
        .await
        .unwrap();
    assert_eq!(x.state, ExhibitState::Ready, "{:?}", x.error);
    assert_eq!(
        x.delivered.unwrap().to,
        START - 200_000,
        "as it was planned"
    );
    assert_eq!(x.gaps[0].1, GapCause::RtpLoss);
    assert_eq!(read(&e, &li, &x, "clip.mp4").await, footage());
    assert_eq!(x.files.len(), 3);
    assert_eq!(
        e.recorded.clips.load(Ordering::SeqCst),
        2,
        "looked at when asked for, copied once"
    );
}

#[tokio::test]
async fn stopping_leaves_the_rest_for_the_next_start() {
    let mut e = Evidence::stopped().await;
    let li = e.centre.person("li", Role::Acceptor).await;
    let case = e.case(&li).await;
    for _ in 0..5 {
        e.exhibits.attach(&li, case, clip()).await.unwrap();
    }
    e.recorded.hangs.store(true, Ordering::SeqCst);
    e.start();
    tokio::time::sleep(Duration::from_millis(200)).await;
    e.stop().await;
    assert!(
        e.exhibits
            .list(&li, case)
            .await
            .unwrap()
            .iter()
            .all(|x| x.state == ExhibitState::Working)
    );
    e.recorded.hangs.store(false, Ordering::SeqCst);
    e.restart().await;
    for x in e.exhibits.list(&li, case).await.unwrap() {
        let x = e
            .exhibits
            .settled(&li, case, x.id, Duration::from_secs(20))
            .await
            .unwrap();
        assert_eq!(x.state, ExhibitState::Ready);
    }
    assert_eq!(e.stored().len(), 15);
}

/// The web server moves calls between threads.
#[tokio::test]
async fn every_call_can_be_made_from_any_thread() {
    fn any_thread<T: Send>(_: &T) {}
    let e = Evidence::new().await;
    let li = e.centre.person("li", Role::Acceptor).await;
    let case = e.case(&li).await;
    any_thread(&e.exhibits.attach(&li, case, clip()));
    any_thread(&e.exhibits.bundle(&li, case));
    any_thread(&e.cases.act(&li, case, CaseAction::File, "", None));
    let x = e.attached(&li, case, clip()).await;
    any_thread(&e.exhibits.settled(&li, case, x.id, Duration::ZERO));
    any_thread(
        &e.exhibits
            .open_file(&li, case, x.id, "clip.mp4", None, Reading::View),
    );
    any_thread(&e.centre.access.sign_in("li", "", None));
    any_thread(&e.centre.access.change_password(&li, "", ""));
    any_thread(
        &e.centre
            .audit
            .list(&li, &zhenbei::access::AuditQuery::default()),
    );
}
