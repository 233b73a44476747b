//! Recorded and missing together are the whole time, and every gap says why.

use proptest::strategy::{Strategy, ValueTree};
use zhenbei::model::{FaultKind, GapCause, TimeRange};
use zhenbei::video::{Item, SessionEnd};

use crate::footage;
use crate::house::{House, SECOND, T0, at, key, probe, range, read, tiles};

async fn gaps(house: &House, r: TimeRange) -> Vec<(TimeRange, GapCause)> {
    let c = house.archive.coverage(&key(), r).await.unwrap();
    tiles(&c, r);
    c.gaps
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_goes_away_and_comes_back() {
    let mut house = House::new().await;
    let f = footage::h264(12);
    house.play(&f, 0.0, 4.0, at(1.0));
    house.end(at(5.2), Some(FaultKind::Closed));
    house.durable(at(5.0)).await;

    // The gap is told while it is still open.
    house.clock.set(at(9.0));
    assert_eq!(
        gaps(&house, range(0.0, 20.0)).await,
        [
            (range(0.0, 1.0), GapCause::CameraDown),
            (range(5.0, 9.0), GapCause::CameraDown),
            (range(9.0, 20.0), GapCause::NotYet)
        ]
    );

    house.play(&f, 4.0, 8.0, at(12.0));
    house.end(at(16.5), Some(FaultKind::PictureStopped));
    house.durable(at(16.0)).await;
    house.play(&f, 8.0, 12.0, at(20.0));
    house.stop().await;
    let told = gaps(&house, range(-3.0, 24.0)).await;
    assert_eq!(
        told,
        [
            (range(-3.0, 0.0), GapCause::NotRecorded),
            (range(0.0, 1.0), GapCause::CameraDown),
            (range(5.0, 12.0), GapCause::CameraDown),
            (range(16.0, 20.0), GapCause::SourceStalled)
        ]
    );

    // A clip over the gaps keeps their time.
    let clip = house.clip(range(2.0, 23.0)).await;
    assert_eq!(clip.gaps(), &told[2..]);
    let p = probe(&read(&clip, 0, u64::MAX).await);
    assert!((p.duration - 21.0).abs() < 0.05, "{p:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_is_away_for_long_does_not_stall() {
    let mut house = House::new().await;
    let f = footage::h264(8);
    house.play(&f, 0.0, 4.0, at(1.0));
    house.end(at(5.2), Some(FaultKind::Closed));
    house.durable(at(5.0)).await;
    house.clock.set(at(60.0));
    // Longer than the recorder waits for the next picture of a session.
    tokio::time::sleep(std::time::Duration::from_millis(1_900)).await;
    house.clock.set(at(100.0));
    house.play(&f, 4.0, 8.0, at(100.0));
    house.stop().await;
    assert_eq!(
        gaps(&house, range(1.0, 104.0)).await,
        [(range(5.0, 100.0), GapCause::CameraDown)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_that_begins_in_a_gap_begins_with_the_first_picture() {
    let mut house = House::new().await;
    let f = footage::h264(4);
    house.play(&f, 0.0, 4.0, at(10.0));
    house.stop().await;
    let clip = house.clip(range(5.0, 12.0)).await;
    assert_eq!(clip.delivered(), range(10.0, 12.0));
    let p = probe(&read(&clip, 0, u64::MAX).await);
    assert!((p.duration - 2.0).abs() < 0.05, "{p:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn switching_recording_off_is_remembered_over_a_restart() {
    let mut house = House::new().await;
    let f = footage::h264(8);
    house.play(&f, 0.0, 4.0, T0);
    house.end(at(4.0), None);
    house.durable(at(4.0)).await;
    house.clock.set(at(4.0));
    house.record(false);
    let archive = house.archive.clone();
    crate::house::until("recording ends", move || !archive.is_recording(&key())).await;
    house.clock.set(at(100.0));
    house.stop().await;
    let mut house = house.again(None, at(200.0)).await;
    house.play(&f, 4.0, 8.0, at(201.0));
    house.stop().await;
    assert_eq!(
        gaps(&house, range(0.0, 205.0)).await,
        [
            (range(4.0, 200.0), GapCause::Stopped),
            (range(200.0, 201.0), GapCause::CameraDown)
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_never_recorded_and_a_range_in_the_future() {
    let house = House::new().await;
    let other = zhenbei::model::StreamKey::main(zhenbei::model::CameraId::new("cam-none").unwrap());
    house.clock.set(at(50.0));
    let c = house
        .archive
        .coverage(&other, range(0.0, 100.0))
        .await
        .unwrap();
    assert_eq!(
        c.gaps,
        [
            (range(0.0, 50.0), GapCause::NotRecorded),
            (range(50.0, 100.0), GapCause::NotYet)
        ]
    );
    assert_eq!(c.durable_until, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_durable_yet_is_not_told_as_recorded() {
    let mut house = House::new().await;
    let f = footage::h264(4);
    // The last GOP stays open: nobody knows yet how long its last picture lasts.
    house.play(&f, 0.0, 3.5, T0);
    house.durable(at(3.0)).await;
    house.clock.set(at(3.5));
    assert_eq!(
        gaps(&house, range(0.0, 5.0)).await,
        [(range(3.0, 5.0), GapCause::NotYet)]
    );
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_lost_on_the_way() {
    let mut house = House::new().await;
    let f = footage::h264(12);
    let end = house.play(&f, 0.0, 4.0, T0);
    // Six seconds of packets are gone; the session, its media time and the camera's clock go on.
    for (i, (pts, is_key, data)) in f.video[250..].iter().enumerate() {
        house.push(zhenbei::video::Frame {
            media: zhenbei::video::Media::Video,
            pts: *pts,
            received: end + 6 * SECOND + i64::try_from(i).unwrap() * 40_000,
            arrival: zhenbei::video::Arrival::unmoved(
                end + 6 * SECOND + i64::try_from(i).unwrap() * 40_000,
            ),
            key: *is_key,
            data: data.clone(),
            lost: if i == 0 { 400 } else { 0 },
            camera_clock: zhenbei::model::CameraClock::default(),
            params: std::sync::Arc::clone(&f.params),
        });
    }
    house.clock.set(at(12.0));
    house.stop().await;
    assert_eq!(
        gaps(&house, range(0.0, 12.0)).await,
        [(range(4.0, 10.0), GapCause::RtpLoss)]
    );
    let clip = house.clip(range(9.0, 12.0)).await;
    assert_eq!(
        clip.fragments().iter().map(|f| f.packets_lost).sum::<u32>(),
        400
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorder_that_falls_behind_its_ring() {
    let folder = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let mut house = House::open(folder, crate::house::config(), None, T0).await;
    let f = footage::h264(20);
    house.play(&f, 0.0, 3.0, T0);
    house.durable(at(2.0)).await;
    // A ring of three GOPs, and pictures pushed faster than any reader can follow.
    let small = zhenbei::video::Ring::new(f.video[..75].iter().map(|v| v.2.len() + 128).sum());
    house.end(at(3.0), None);
    house.replace_ring(small);
    let archive = house.archive.clone();
    crate::house::until("records again", move || archive.is_recording(&key())).await;
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let end = house.play(&f, 0.0, 20.0, at(10.0));
    house.stop().await;
    let c = house
        .archive
        .coverage(&key(), range(0.0, 30.0))
        .await
        .unwrap();
    let recorded = tiles(&c, range(0.0, 30.0));
    assert!(recorded >= 3 * SECOND, "{c:?}");
    assert_eq!(c.spans.last().unwrap().to, end);
    let overrun: Vec<_> = c
        .gaps
        .iter()
        .filter(|g| g.1 == GapCause::RingOverrun)
        .collect();
    // Whether it was overrun depends on the machine; what is missing of the second run has this cause and no other.
    let second: i64 = 20 * SECOND
        - c.spans
            .iter()
            .filter(|s| s.from >= at(10.0))
            .map(TimeRange::micros)
            .sum::<i64>();
    let told: i64 = overrun.iter().map(|g| g.0.micros()).sum();
    let first = c.spans.iter().find(|s| s.from >= at(10.0)).unwrap().from;
    assert_eq!(second, told + first.micros_since(at(10.0)), "{c:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_history_tiles() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let f = footage::h264(20);
    let faults = [
        None,
        Some(FaultKind::Closed),
        Some(FaultKind::PictureStopped),
        Some(FaultKind::TimedOut),
    ];
    for _ in 0..6 {
        let mut house = House::new().await;
        let steps = proptest::collection::vec((0u32..15, 1u32..60, 0usize..4, 0u32..3_000), 1..8)
            .new_tree(&mut runner)
            .unwrap()
            .current();
        let mut now = at(1.0);
        let mut sent = 0;
        for (from, frames, fault, pause) in steps {
            let (from, to) = (f64::from(from), f64::from(from) + f64::from(frames) * 0.04);
            now = house.play(&f, from, to, now);
            sent += i64::from(frames) * 40_000;
            house.ring.push(Item::End(SessionEnd {
                at: now,
                fault: faults[fault],
            }));
            now = now + i64::from(pause) * 1_000;
        }
        house.clock.set(now);
        house.stop().await;
        let all = TimeRange::new(at(0.0), now + SECOND).unwrap();
        let c = house.archive.coverage(&key(), all).await.unwrap();
        let recorded = tiles(&c, all);
        // Pauses shorter than a picture are no gaps.
        assert!(
            (sent..sent + 8 * 40_000).contains(&recorded),
            "{sent} {recorded} {c:?}"
        );
    }
}
