//! Replayed exchanges: each file in `tests/fixtures/rtsp` is a device with a quirk, and says what must happen.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use zhenbei::model::{CameraPolicies, VideoCodec};
use zhenbei::video::Read;

use crate::camera_test::{Server, Wants, camera_test, slices};
use crate::exchange::{Device, Outcome};
use crate::house::House;
use crate::replayed::{Replayed, pictures_of};
use crate::source::in_order;

/// Devices tried side by side.
const AT_ONCE: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn every_device_is_taken_as_its_file_says() {
    gstreamer::init().unwrap();
    let devices = Device::all();
    assert!(devices.len() >= 15, "only {} devices", devices.len());
    // Encoding them takes the whole machine: not while devices wait for answers.
    tokio::task::block_in_place(|| {
        for codec in [VideoCodec::H264, VideoCodec::H265] {
            pictures_of(codec);
        }
    });
    let only = std::env::var("DEVICE").ok();
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    let mut names = std::collections::HashMap::new();
    for device in devices {
        if only.as_ref().is_some_and(|o| !device.name.contains(o)) {
            continue;
        }
        let (places, name) = (Arc::clone(&places), device.name.clone());
        let task = running.spawn(async move {
            let _place = places.acquire().await.unwrap();
            try_device(device).await;
        });
        names.insert(task.id(), name);
    }
    let mut failed = Vec::new();
    while let Some(ended) = running.join_next_with_id().await {
        if let Err(e) = ended {
            failed.push(names[&e.id()].clone());
        }
    }
    failed.sort();
    assert!(
        failed.is_empty(),
        "not as their files say: {}",
        failed.join(", ")
    );
}

async fn try_device(device: Device) {
    let name = device.name.clone();
    let outcome = device.outcome();
    let transport = device.says("transport").unwrap_or("tcp").parse().unwrap();
    let policies: CameraPolicies =
        toml::from_str(device.says("policy").unwrap_or_default()).unwrap();
    let codec = device.codec();
    let sound = device
        .says("sound")
        .map(|s| s.as_bytes().try_into().unwrap());
    // retina begins with DESCRIBE, rtspsrc asks for the options first.
    let player = match device.says("back-end") {
        None => "DESCRIBE",
        Some("second") => "OPTIONS",
        Some(other) => panic!("{name}: back-end {other}"),
    };
    let mut server = Replayed::start(device).await;
    match outcome {
        Outcome::Record => {
            let wants = Wants {
                transport,
                policies,
                codec,
                sound,
                ..Wants::h264()
            };
            let sessions = camera_test(&mut server, &wants).await;
            let sent: Vec<Vec<Vec<u8>>> = (pictures_of(codec).video.iter())
                .map(|(_, _, unit)| {
                    slices(codec, unit)
                        .into_iter()
                        .map(<[u8]>::to_vec)
                        .collect()
                })
                .collect();
            for pictures in sessions {
                in_order(codec, &sent, &pictures);
            }
            let players = server.players();
            // The first one may have come as far as PLAY.
            let last = players.last().map(String::as_str);
            assert_eq!(last, Some(player), "{name}: {players:?}");
            let asked = server.asked();
            let torn_down = asked.last().is_some_and(|a| a.starts_with("TEARDOWN"));
            assert!(torn_down, "{name}: the session is torn down: {asked:?}");
        }
        Outcome::Refuse { kind, words } => {
            let house = House::open(&server.url(), transport, policies).await;
            refused(&name, house, &kind, &words).await;
        }
    }
    let complaints = server.complaints();
    assert!(complaints.is_empty(), "{name}: {complaints:#?}");
}

async fn refused(name: &str, house: House, kind: &str, words: &str) {
    house
        .until("it is said what is wrong", |h| h.fault().is_some())
        .await;
    // Not only at the first attempt, where there is another.
    tokio::time::sleep(Duration::from_millis(700)).await;
    let reason = house.fault().unwrap();
    let closed = house.close().await;
    assert_eq!(reason.kind.as_str(), kind, "{name}: {}", reason.message);
    assert!(reason.message.contains(words), "{name}: {}", reason.message);
    let frames = closed.seen.iter().filter(|r| matches!(r, Read::Frame(_)));
    assert_eq!(frames.count(), 0, "{name}: and nothing is recorded");
}
