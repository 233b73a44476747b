//! The supervisor with hundreds of cameras, on a paused clock.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant as WallInstant};

use tokio::time::{Instant, sleep};
use zhenbei::model::{FaultKind, Secret, StreamRole, StreamState, VideoCodec};
use zhenbei::video::{Read, Start};

use crate::fakes::{Bench, LEAVING, OPENING, Site, camera, main_of};

const S: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test(start_paused = true)]
async fn five_hundred_cameras_come_and_go() {
    let wall = WallInstant::now();
    let site_of = |n: usize| {
        let mut c = camera(
            &format!("cam-{n:03}"),
            &format!("rtsp://10.0.0.{}/ok", n / 2),
        );
        c.sub = n
            .is_multiple_of(2)
            .then(|| Secret::new(format!("rtsp://10.0.0.{}/ok", n / 2)));
        c
    };
    let (bench, site) = Bench::fakes((0..500).map(site_of).collect());
    bench
        .until("750 streams play", 10 * S, |b| {
            b.count(StreamState::Streaming) == 750
        })
        .await;
    assert_eq!(site.open(), 750);
    assert_eq!(bench.video.streams().borrow().len(), 750);
    let recorded = bench
        .video
        .streams()
        .borrow()
        .iter()
        .filter(|(_, _, record)| *record)
        .count();
    assert_eq!(recorded, 500, "main streams");

    bench.want((0..500).filter(|n| n % 5 != 0).map(site_of).collect());
    let took = bench
        .until("every fifth is gone", 5 * S, |b| {
            b.video.statuses().len() == 600
        })
        .await;
    assert!(took <= LEAVING + S, "{took:?}");
    assert_eq!(site.open(), 600);
    assert_eq!(
        bench.count(StreamState::Streaming),
        600,
        "the others were left alone"
    );

    let took = bench.stop().await;
    assert!(took <= LEAVING + S, "{took:?}");
    assert_eq!(site.open(), 0, "no session is left at a camera");
    assert_eq!(site.most_of_one_stream(), 1);
    assert_eq!(site.attempts.lock().unwrap().len(), 750, "one session each");
    assert!(
        wall.elapsed() < Duration::from_secs(60),
        "{:?} of real time",
        wall.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_changed_camera_never_has_two_sessions_and_its_neighbour_never_notices() {
    let (bench, site) = Bench::fakes(vec![
        camera("a", "rtsp://h1/ok"),
        camera("b", "rtsp://h2/ok"),
    ]);
    bench
        .until("both play", 5 * S, |b| b.count(StreamState::Streaming) == 2)
        .await;
    let ring = bench.video.ring(&main_of("a")).unwrap();
    for n in 0..20 {
        // Faster than the camera lets go of a session.
        bench.want(vec![
            camera("a", &format!("rtsp://h1/ok?{n}")),
            camera("b", "rtsp://h2/ok"),
        ]);
        sleep(Duration::from_millis(70 * n)).await;
    }
    bench
        .until("a plays again", 5 * S, |b| {
            b.state("a") == Some(StreamState::Streaming)
        })
        .await;
    assert_eq!(site.most_of_one_stream(), 1);
    assert_eq!(site.attempts_of("b"), 1);
    assert!(
        Arc::ptr_eq(&ring, &bench.video.ring(&main_of("a")).unwrap()),
        "the ring belongs to the stream"
    );

    // A new name or place is no reason to look away.
    let before = site.attempts_of("a");
    let mut renamed = camera("a", "rtsp://h1/ok?19");
    renamed.name = "another name".into();
    renamed.record = false;
    bench.want(vec![renamed, camera("b", "rtsp://h2/ok")]);
    bench
        .until("the record flag arrives", S, |b| {
            b.video
                .streams()
                .borrow()
                .iter()
                .any(|(k, _, rec)| *k == main_of("a") && !rec)
        })
        .await;
    assert_eq!(site.attempts_of("a"), before);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_camera_that_always_panics_is_backed_off() {
    let (bench, site) = Bench::fakes(vec![
        camera("bad", "rtsp://h1/panics"),
        camera("good", "rtsp://h2/ok"),
    ]);
    sleep(HOUR).await;
    // 1, 2, 4 … 60 s: about one attempt in 45 s in the long run.
    let attempts = site.attempts_of("bad");
    assert!(
        (60..=130).contains(&attempts),
        "{attempts} attempts in an hour"
    );
    assert_eq!(bench.fault("bad"), Some(FaultKind::Panicked));
    let reason = bench.video.status(&main_of("bad")).unwrap().reason.unwrap();
    assert!(
        reason.message.contains("this camera finds a defect"),
        "{}",
        reason.message
    );
    assert_eq!(site.attempts_of("good"), 1);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_herd_that_comes_back_is_spread() {
    let cameras: Vec<_> = (0..300)
        .map(|n| camera(&format!("c{n}"), &format!("rtsp://10.0.{n}.1/ok")))
        .collect();
    let (bench, site) = Bench::fakes(cameras);
    bench
        .until("all play", 5 * S, |b| {
            b.count(StreamState::Streaming) == 300
        })
        .await;
    sleep(5 * S).await;
    let cut = Instant::now();
    site.power_cut.store(true, Ordering::SeqCst);
    sleep(Duration::from_millis(500)).await;
    site.power_cut.store(false, Ordering::SeqCst);
    let took = bench
        .until("all are back", 10 * S, |b| {
            b.count(StreamState::Streaming) == 300
        })
        .await;
    assert!(took < 4 * S, "back after {took:?}");
    let mut in_slot = [0u32; 100];
    for (_, _, at) in site
        .attempts
        .lock()
        .unwrap()
        .iter()
        .filter(|(.., at)| *at > cut)
    {
        in_slot[usize::try_from((*at - cut).as_millis() / 100).unwrap()] += 1;
    }
    let most = in_slot.iter().max().unwrap();
    assert!(
        *most <= 60,
        "{most} of 300 in one tenth of a second: {in_slot:?}"
    );
    assert!(
        bench
            .video
            .statuses()
            .iter()
            .all(|(_, s)| s.reconnects == 1)
    );
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_host_is_not_overrun() {
    let cameras: Vec<_> = (0..64)
        .map(|n| camera(&format!("c{n}"), "rtsp://recorder/ok"))
        .collect();
    let (bench, site) = Bench::fakes(cameras);
    let took = bench
        .until("all play", 10 * S, |b| {
            b.count(StreamState::Streaming) == 64
        })
        .await;
    assert_eq!(site.most_opening_of_one_host(), 4);
    assert!(took >= OPENING * 16, "{took:?}");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_picture_that_stops_is_found_although_sound_goes_on() {
    let (bench, site) = Bench::fakes(vec![camera("a", "rtsp://h1/freezes")]);
    bench
        .until("plays", 5 * S, |b| {
            b.state("a") == Some(StreamState::Streaming)
        })
        .await;
    let mut cursor = bench
        .video
        .ring(&main_of("a"))
        .unwrap()
        .cursor(Start::CurrentGop);
    let took = bench
        .until("stops", 10 * S, |b| {
            b.fault("a") == Some(FaultKind::PictureStopped)
        })
        .await;
    assert!(
        (6 * S..8 * S).contains(&took),
        "2 s of pictures and 5 s of none: {took:?}"
    );
    let status = bench.video.status(&main_of("a")).unwrap();
    let reason = status.reason.unwrap();
    assert!(
        reason.retry_at.is_some_and(|t| t > status.since),
        "{reason:?}"
    );
    let end = loop {
        match cursor.next().await.unwrap() {
            Read::End(end) => break end,
            Read::Frame(_) | Read::Skipped { .. } => {}
        }
    };
    assert_eq!(end.fault, Some(FaultKind::PictureStopped));
    assert!(end.at >= status.last_frame.unwrap());
    bench
        .until("plays again", 5 * S, |b| {
            b.state("a") == Some(StreamState::Streaming)
        })
        .await;
    assert_eq!(site.attempts_of("a"), 2);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn cameras_without_pictures_say_what_is_missing() {
    let (bench, _site) = Bench::fakes(vec![
        camera("silent", "rtsp://h1/silent"),
        camera("nokey", "rtsp://h2/nokey"),
        camera("hangs", "rtsp://h3/hangs"),
    ]);
    bench
        .until("silent", 10 * S, |b| {
            b.fault("silent") == Some(FaultKind::TimedOut)
        })
        .await;
    bench
        .until("no key frame", 40 * S, |b| {
            b.fault("nokey") == Some(FaultKind::TimedOut)
        })
        .await;
    let message = bench
        .video
        .status(&main_of("nokey"))
        .unwrap()
        .reason
        .unwrap()
        .message;
    assert!(message.contains("I-frame interval"), "{message}");
    bench
        .until("hangs", 100 * S, |b| {
            b.fault("hangs") == Some(FaultKind::TimedOut)
        })
        .await;
    assert!(
        bench
            .video
            .ring(&main_of("nokey"))
            .unwrap()
            .newest_key()
            .is_none()
    );
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn stopping_is_prompt_whatever_the_cameras_do() {
    let paths = [
        "ok", "down", "hangs", "panics", "freezes", "silent", "nokey",
    ];
    let cameras = (0..70).map(|n| {
        camera(
            &format!("c{n}"),
            &format!("rtsp://10.0.0.{n}/{}", paths[n % 7]),
        )
    });
    let (bench, site) = Bench::fakes(cameras.collect());
    sleep(100 * S).await;
    let took = bench.stop().await;
    assert!(took <= LEAVING, "{took:?}");
    assert_eq!(site.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_does_not_listen_is_dropped() {
    let (bench, site) = Bench::fakes(vec![camera("a", "rtsp://h1/stubborn")]);
    bench
        .until("plays", 5 * S, |b| {
            b.state("a") == Some(StreamState::Streaming)
        })
        .await;
    let took = bench.stop().await;
    assert!((5 * S..8 * S).contains(&took), "{took:?}");
    assert_eq!(site.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_camera_taken_away_closes_its_ring() {
    let (bench, _site) = Bench::fakes(vec![camera("a", "rtsp://h1/ok")]);
    bench
        .until("plays", 5 * S, |b| {
            b.state("a") == Some(StreamState::Streaming)
        })
        .await;
    let ring = bench.video.ring(&main_of("a")).unwrap();
    let mut cursor = ring.cursor(Start::CurrentGop);
    bench.want(vec![]);
    let mut last = None;
    while let Some(read) = cursor.next().await {
        last = Some(read);
    }
    assert!(
        matches!(last, Some(Read::End(e)) if e.fault.is_none()),
        "{last:?}"
    );
    assert!(bench.video.ring(&main_of("a")).is_none());
    assert!(bench.video.status(&main_of("a")).is_none());
    assert!(!bench.video.retry(&main_of("a")));

    bench.want(vec![camera("a", "rtsp://h1/ok")]);
    bench
        .until("plays again", 5 * S, |b| {
            b.state("a") == Some(StreamState::Streaming)
        })
        .await;
    assert!(!Arc::ptr_eq(
        &ring,
        &bench.video.ring(&main_of("a")).unwrap()
    ));
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_camera_that_is_down_does_not_fill_the_ring_with_ends() {
    let (bench, site) = Bench::fakes(vec![camera("a", "rtsp://h1/down")]);
    let mut cursor = bench
        .video
        .ring(&main_of("a"))
        .or({
            sleep(Duration::from_millis(10)).await;
            bench.video.ring(&main_of("a"))
        })
        .unwrap()
        .cursor(Start::Oldest);
    sleep(HOUR).await;
    assert!(site.attempts_of("a") > 50);
    assert!(
        matches!(cursor.next().await, Some(Read::End(e)) if e.fault == Some(FaultKind::Unreachable))
    );
    assert!(cursor.try_next().is_none(), "told once");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_person_need_not_wait() {
    let (bench, site) = Bench::fakes(vec![camera("a", "rtsp://h1/ok")]);
    site.power_cut.store(true, Ordering::SeqCst);
    sleep(HOUR).await;
    bench
        .until("waits", 61 * S, |b| {
            b.state("a") == Some(StreamState::Backoff)
        })
        .await;
    site.power_cut.store(false, Ordering::SeqCst);
    assert!(bench.video.retry(&main_of("a")));
    let took = bench
        .until("plays", 61 * S, |b| {
            b.state("a") == Some(StreamState::Streaming)
        })
        .await;
    assert!(took < S, "{took:?}");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_status_tells_what_comes() {
    let (bench, _site) = Bench::fakes(vec![camera("a", "rtsp://h1/ok")]);
    let mut changes = bench.video.changes();
    sleep(20 * S).await;
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    let s = bench.video.status(&main_of("a")).unwrap();
    assert_eq!(
        (s.codec, s.width, s.height),
        (Some(VideoCodec::H264), Some(640), Some(360))
    );
    let (fps, kbps) = (s.fps.unwrap(), s.kbps.unwrap());
    assert!((fps - 25.0).abs() < 1.0, "{fps}");
    // 25 pictures and 25 pieces of sound of 1000 bytes.
    assert!((kbps - 400.0).abs() < 16.0, "{kbps}");
    assert_eq!(s.packets_lost, 3);
    assert_eq!(s.reconnects, 0);
    assert!(s.reason.is_none());
    sleep(20 * S).await;
    assert!(
        !changes.has_changed().unwrap(),
        "a steady stream is no news"
    );
    bench.want(vec![]);
    changes.changed().await.unwrap();
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_comes_before_the_first_key_frame_and_its_losses_are_not_forgotten() {
    let (bench, _site) = Bench::fakes(vec![camera("a", "rtsp://h1/ok")]);
    bench
        .until("plays", 5 * S, |b| {
            b.state("a") == Some(StreamState::Streaming)
        })
        .await;
    let first = bench
        .video
        .ring(&main_of("a"))
        .unwrap()
        .cursor(Start::Oldest)
        .next()
        .await;
    let Some(Read::Frame(first)) = first else {
        panic!("{first:?}")
    };
    assert!(first.key);
    assert_eq!(first.pts, 3 * 3_600);
    assert_eq!(first.lost, 3, "of the three frames that were held back");
    bench.stop().await;
}

/// Any list after any other: what runs is what is wanted.
#[test]
fn whatever_the_lists_say_what_runs_is_what_is_wanted() {
    use proptest::prelude::*;
    let list = prop::collection::vec((0u8..12, 0u8..3, any::<bool>()), 0..12);
    let lists = prop::collection::vec((list, 0u64..900), 1..8);
    let config = ProptestConfig {
        cases: 24,
        ..ProptestConfig::default()
    };
    proptest!(config, |(lists in lists)| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let site: Arc<Site> = runtime.block_on(async {
            let (bench, site) = Bench::fakes(vec![]);
            let mut expected = Vec::new();
            for (list, wait) in lists {
                let mut cameras: std::collections::BTreeMap<u8, _> = std::collections::BTreeMap::new();
                for (id, address, sub) in list {
                    let mut c = camera(&format!("c{id}"), &format!("rtsp://h{id}/ok?{address}"));
                    c.sub = sub.then(|| Secret::new(format!("rtsp://h{id}/ok?s{address}")));
                    cameras.insert(id, c);
                }
                expected = cameras.values().flat_map(|c| c.streams().map(|(r, _)| (c.id.clone(), r))).collect();
                bench.want(cameras.into_values().collect());
                sleep(Duration::from_millis(wait)).await;
            }
            sleep(5 * S).await;
            let mut playing: Vec<(_, StreamRole)> = bench
                .video
                .statuses()
                .into_iter()
                .filter(|(_, s)| s.state == StreamState::Streaming)
                .map(|(k, _)| (k.camera, k.role))
                .collect();
            playing.sort();
            expected.sort();
            assert_eq!(playing, expected);
            assert_eq!(site.open(), expected.len());
            bench.stop().await;
            site
        });
        prop_assert!(site.most_of_one_stream() <= 1);
        prop_assert_eq!(site.open(), 0);
    });
}
