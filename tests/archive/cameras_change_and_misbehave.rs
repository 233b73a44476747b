//! New parameters in the middle, long GOPs, jumping times: recorded all the same.

use std::sync::Arc;

use zhenbei::archive::ClipAudio;
use zhenbei::model::GapCause;
use zhenbei::video::{Frame, Media};

use crate::footage;
use crate::house::{House, SECOND, T0, access_units, at, key, probe, range, read, tiles};

fn large(seconds: u32) -> Arc<footage::Footage> {
    footage::footage(
        seconds,
        "-s 640x480 -c:v libx264 -preset ultrafast -g 25 -keyint_min 25 -sc_threshold 0 -bf 0",
        None,
    )
}

/// Pictures of `f` behind others of the same session.
fn follow(house: &House, f: &footage::Footage, begin: i64) {
    for (pts, is_key, data) in &f.video {
        let pts = pts + begin * 90_000;
        let received = T0 + pts * 100 / 9;
        house.clock.set(received);
        house.push(Frame {
            media: Media::Video,
            pts,
            received,
            arrival: zhenbei::video::Arrival::unmoved(received),
            key: *is_key,
            data: data.clone(),
            lost: 0,
            camera_clock: zhenbei::model::CameraClock::default(),
            params: Arc::clone(&f.params),
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_parameters_in_the_middle_of_a_session() {
    let mut house = House::new().await;
    let (small, big) = (footage::h264(4), large(4));
    follow(&house, &small, 0);
    follow(&house, &big, 4);
    house.stop().await;
    let asked = range(0.0, 8.0);
    let c = house.archive.coverage(&key(), asked).await.unwrap();
    assert_eq!(
        tiles(&c, asked),
        8 * SECOND,
        "no picture is lost by the change"
    );
    assert_eq!(
        house.db.archive_paths(&key()).await.unwrap().len(),
        2,
        "a file has one set of parameters"
    );
    let clip = house.clip(range(1.0, 7.0)).await;
    assert_eq!(clip.codecs().len(), 2);
    let bytes = read(&clip, 0, u64::MAX).await;
    let p = probe(&bytes);
    assert!((p.duration - 6.0).abs() < 0.05 && p.frames == 150, "{p:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_codec_is_told_and_each_side_plays() {
    let mut house = House::new().await;
    follow(&house, &footage::h264(4), 0);
    follow(&house, &footage::h265(4), 4);
    house.stop().await;
    let e = house
        .archive
        .clip(&key(), range(1.0, 7.0))
        .await
        .unwrap_err();
    assert_eq!(e.code(), "codec_changed");
    assert!(e.detail().contains(&at(4.0).to_string()), "{e}");
    for r in [range(1.0, 4.0), range(4.0, 7.0)] {
        assert_eq!(probe(&house.bytes(r).await).frames, 75);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_that_changes_is_left_out_and_that_is_said() {
    let mut house = House::new().await;
    house.play(&footage::with_aac(4), 0.0, 4.0, T0);
    house.end(at(4.0), Some(zhenbei::model::FaultKind::Closed));
    house.play(&footage::with_g711(4), 0.0, 4.0, at(4.0));
    house.stop().await;
    let clip = house.clip(range(1.0, 7.0)).await;
    assert_eq!(clip.audio(), ClipAudio::LeftOut);
    let p = probe(&read(&clip, 0, u64::MAX).await);
    assert!(!p.audio && p.frames == 150, "{p:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gop_of_ten_seconds_is_recorded_in_pieces() {
    let f = footage::footage(
        24,
        "-c:v libx264 -preset ultrafast -g 250 -keyint_min 250 -sc_threshold 0 -bf 0",
        None,
    );
    let mut house = House::new().await;
    house.play(&f, 0.0, 24.0, T0);
    // The first two seconds of the GOP are durable long before it ends.
    house.durable(at(22.0)).await;
    house.stop().await;
    let parts = house
        .db
        .archive_between(&key(), range(0.0, 24.0))
        .await
        .unwrap();
    let fragments: Vec<_> = parts.iter().flat_map(|p| &p.fragments).collect();
    assert!(
        fragments
            .iter()
            .all(|f| f.fragment.range.micros() <= 2 * SECOND + 40_000)
    );
    let keys: Vec<_> = fragments
        .iter()
        .filter(|f| f.key)
        .map(|f| f.fragment.range.from)
        .collect();
    assert_eq!(keys, [at(0.0), at(10.0), at(20.0)]);

    let clip = house.clip(range(15.0, 21.0)).await;
    assert_eq!(
        clip.media_from(),
        at(10.0),
        "the whole GOP is there to be decoded"
    );
    let bytes = read(&clip, 0, u64::MAX).await;
    assert_eq!(access_units(&bytes).len(), 275);
    let p = probe(&bytes);
    assert!(
        (p.duration - 6.0).abs() < 0.05 && p.frames.abs_diff(150) <= 1,
        "{p:?}"
    );
    let still = house
        .archive
        .key_frame_at(&key(), at(19.9))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(still.at, at(10.0));
    assert!(still.data == f.video[250].2);
}

#[tokio::test(flavor = "multi_thread")]
async fn stills_at_any_moment() {
    let f = footage::h264_reordered(6);
    let mut house = House::new().await;
    house.play(&f, 0.0, 6.0, T0);
    house.stop().await;
    let key_frame = house
        .archive
        .key_frame_at(&key(), at(3.7))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(key_frame.at, at(3.0));
    assert!(key_frame.data == f.video[75].2);
    assert_eq!(*key_frame.params, *f.params);
    assert!(
        house
            .archive
            .key_frame_at(&key(), at(-1.0))
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn media_time_that_jumps_by_hours_does_not_move_the_recording() {
    let f = footage::h264(8);
    let mut house = House::new().await;
    for (i, (pts, is_key, data)) in f.video.iter().enumerate() {
        let jump = if i >= 100 { 7 * 3_600 * 90_000 } else { 0 };
        let received = T0 + i64::try_from(i).unwrap() * 40_000;
        house.clock.set(received);
        house.push(Frame {
            media: Media::Video,
            pts: pts + jump,
            received,
            arrival: zhenbei::video::Arrival::unmoved(received),
            key: *is_key,
            data: data.clone(),
            lost: 0,
            camera_clock: zhenbei::model::CameraClock::default(),
            params: Arc::clone(&f.params),
        });
    }
    house.stop().await;
    let asked = range(0.0, 8.0);
    let c = house.archive.coverage(&key(), asked).await.unwrap();
    assert!(tiles(&c, asked) >= 8 * SECOND - 40_000, "{c:?}");
    assert_eq!(probe(&house.bytes(asked).await).frames, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_the_clock_backwards_makes_no_overlap() {
    let f = footage::h264(12);
    let mut house = House::new().await;
    // The server's clock is set back by ten seconds while the camera goes on.
    house.play_late(
        &f,
        0.0,
        12.0,
        T0,
        |i| if i < 150 { 0 } else { -10 * SECOND },
    );
    house.stop().await;
    let parts = house
        .db
        .archive_between(&key(), range(-20.0, 20.0))
        .await
        .unwrap();
    let ranges: Vec<_> = parts
        .iter()
        .flat_map(|p| &p.fragments)
        .map(|f| f.fragment.range)
        .collect();
    assert!(
        ranges.windows(2).all(|w| w[0].to == w[1].from),
        "{ranges:?}"
    );
    let length = ranges.last().unwrap().to.micros_since(ranges[0].from);
    // Six seconds ahead of the clock, of which a hundredth is made good, and no more.
    let made_good = 12 * SECOND - length;
    assert!((0..=60_000).contains(&made_good), "{length}");
    let leads: Vec<_> = parts
        .iter()
        .flat_map(|p| &p.fragments)
        .map(|f| f.fragment.clock.ahead_us)
        .collect();
    assert!(leads[0].abs() < 1_000, "{leads:?}");
    let (most, last) = (leads.iter().max().unwrap(), leads.last().unwrap());
    assert!((most - 10 * SECOND).abs() < 1_000, "{leads:?}");
    assert!(
        (10 * SECOND - last - made_good).abs() <= 10_000,
        "told is what there is: {leads:?}, {made_good} made good"
    );
    let c = house
        .archive
        .coverage(&key(), range(0.0, 12.0))
        .await
        .unwrap();
    assert!(c.gaps.iter().all(|g| g.1 == GapCause::NotYet), "{c:?}");
}
