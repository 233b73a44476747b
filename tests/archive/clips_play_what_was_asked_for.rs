//! A clip decodes without a complaint, lasts as long as asked, and is made of the archive's own bytes.

use proptest::strategy::{Strategy, ValueTree};
use zhenbei::archive::ClipAudio;
use zhenbei::model::ErrorKind;

use crate::footage::{self, Footage};
use crate::house::{House, T0, access_units, at, key, probe, range, read};

/// One picture at 25 a second.
const FRAME: f64 = 0.04;

async fn recorded(f: &Footage, seconds: f64) -> House {
    let mut house = House::new().await;
    house.play(f, 0.0, seconds, T0);
    house.stop().await;
    house
}

/// Asks for a range and checks everything a clip promises; returns its bytes.
async fn check(house: &House, f: &Footage, from: f64, to: f64) -> Vec<u8> {
    let asked = range(from, to);
    let clip = house.clip(asked).await;
    assert_eq!(clip.delivered(), asked);
    assert!(clip.gaps().is_empty());
    let bytes = read(&clip, 0, u64::MAX).await;
    assert_eq!(bytes.len() as u64, clip.len());

    let units = access_units(&bytes);
    assert_eq!(units.len(), clip.frames());
    let first = f
        .video
        .iter()
        .position(|v| v.2 == units[0])
        .expect("begins with a picture of the camera");
    assert!(f.video[first].1, "begins with a key frame");
    for (unit, sent) in units.iter().zip(&f.video[first..]) {
        assert!(
            *unit == sent.2,
            "the pictures are the camera's own bytes, in order"
        );
    }

    let probe = probe(&bytes);
    assert!(
        (probe.duration - (to - from)).abs() <= FRAME,
        "{from}..{to}: {probe:?}"
    );
    #[allow(clippy::cast_precision_loss, reason = "few frames")]
    let frames = probe.frames as f64;
    assert!(
        (frames - (to - from) / FRAME).abs() <= 1.5,
        "{from}..{to}: {probe:?}"
    );

    let again = house.clip(asked).await;
    assert_eq!(again.etag(), clip.etag());
    assert!(
        read(&again, 0, u64::MAX).await == bytes,
        "two downloads are the same bytes"
    );
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn h264_from_the_middle_of_a_gop() {
    let f = footage::h264(12);
    let house = recorded(&f, 12.0).await;
    check(&house, &f, 2.32, 7.76).await;
    check(&house, &f, 0.0, 12.0).await;
    check(&house, &f, 11.0, 11.04).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h265() {
    let f = footage::h265(6);
    let house = recorded(&f, 6.0).await;
    check(&house, &f, 1.52, 4.2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_shown_in_another_order_than_sent() {
    let f = footage::h264_reordered(8);
    let house = recorded(&f, 8.0).await;
    check(&house, &f, 2.52, 6.2).await;
    check(&house, &f, 1.0, 3.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_comes_along() {
    for f in [&*footage::with_aac(8), &footage::with_g711(8)] {
        let house = recorded(f, 8.0).await;
        let clip = house.clip(range(2.2, 6.6)).await;
        assert_eq!(clip.audio(), ClipAudio::Included);
        let bytes = check(&house, f, 2.2, 6.6).await;
        assert!(probe(&bytes).audio);
        let mp4 = re_mp4::Mp4::read_bytes(&bytes).unwrap();
        let sound = mp4.tracks().values().find(|t| t.track_id == 2).unwrap();
        let at = f
            .audio
            .iter()
            .position(|a| a.1 == bytes[sound.samples[0].byte_range()])
            .unwrap();
        for (s, sent) in sound.samples.iter().zip(&f.audio[at..]) {
            assert!(
                sent.1 == bytes[s.byte_range()],
                "the sound is the camera's own bytes"
            );
        }
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        let lasts =
            sound.samples.iter().map(|s| s.duration).sum::<u64>() as f64 / sound.timescale as f64;
        assert!((4.0..5.5).contains(&lasts), "{lasts}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_the_file_equal_the_whole() {
    let f = footage::h264(12);
    let house = recorded(&f, 12.0).await;
    let clip = house.clip(range(1.0, 9.0)).await;
    let whole = read(&clip, 0, u64::MAX).await;
    let len = clip.len();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..60 {
        let (a, b) = (0..len, 0..len).new_tree(&mut runner).unwrap().current();
        let (from, to) = (a.min(b), a.max(b) + 1);
        let part = read(&clip, from, to).await;
        assert!(part == whole[usize::try_from(from).unwrap()..usize::try_from(to).unwrap()]);
    }
    assert!(read(&clip, len, len + 10).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn any_range_has_exactly_the_pictures_asked_for() {
    let f = footage::h264_reordered(20);
    let house = recorded(&f, 20.0).await;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..15 {
        let (from, frames) = (0u32..480, 1u32..120)
            .new_tree(&mut runner)
            .unwrap()
            .current();
        let to = (from + frames).min(500);
        check(&house, &f, f64::from(from) * FRAME, f64::from(to) * FRAME).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_over_files_is_one_clip() {
    let mut config = crate::house::config();
    config.segment_ms = 3_000;
    let mut house = House::with(config, None).await;
    let f = footage::h264(20);
    house.play(&f, 0.0, 20.0, T0);
    house.stop().await;
    let files = house.db.archive_paths(&key()).await.unwrap().len();
    assert!(files >= 6, "{files}");
    check(&house, &f, 1.4, 17.64).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_that_have_no_answer_get_a_clear_one() {
    let f = footage::h264(4);
    let house = recorded(&f, 4.0).await;
    let ask = async |from, to| {
        house
            .archive
            .clip(&key(), range(from, to))
            .await
            .unwrap_err()
    };
    let e = ask(100.0, 200.0).await;
    assert_eq!(
        (e.kind(), e.code()),
        (ErrorKind::Invalid, "range_in_future")
    );
    let e = ask(-20.0, -10.0).await;
    assert_eq!((e.kind(), e.code()), (ErrorKind::NotFound, "no_footage"));
    assert!(
        e.detail().contains(&at(0.0).to_string()),
        "says what is nearest: {e}"
    );
    let e = ask(-180_000.0, 0.5).await;
    assert_eq!((e.kind(), e.code()), (ErrorKind::Invalid, "bad_range"));
    // Half in the future, half before: what there is.
    let clip = house.clip(range(-5.0, 60.0)).await;
    assert_eq!(clip.delivered(), range(0.0, 4.0));
}
