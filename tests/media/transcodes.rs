//! H.265 in, H.264 for browsers out: whole, fresh, with the camera's times; shared; limited; mended after a death.

use std::time::Duration;

use bytes::Bytes;
use rustix::process::Signal;
use zhenbei::media::{TranscodedFrame, Transcodes};
use zhenbei::model::{ErrorKind, VideoCodec};

use crate::clips::{Clip, make, plain, run};
use crate::feeds::{Player, Screen, byte_stream, key, show};
use crate::{is_running, media, signal, until};

fn street(size: &str, seconds: &str) -> Clip {
    let source = format!("testsrc2=size={size}:rate=25");
    make(VideoCodec::H265, &source, seconds, &[])
}

/// Pictures that ffmpeg decodes without complaint, their size, and the colour in the middle of the first.
fn decoded(frames: &[TranscodedFrame]) -> (usize, String, [u8; 3]) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("out.h264");
    std::fs::write(&file, byte_stream(frames)).unwrap();
    let path = file.to_str().unwrap();
    let facts = run(
        "ffprobe",
        &[
            "-v",
            "error",
            "-count_frames",
            "-show_entries",
            "stream=width,height,nb_read_frames",
            "-of",
            "csv=p=0",
            path,
        ],
    );
    let facts = String::from_utf8(facts).unwrap();
    let (size, count) = facts.trim().rsplit_once(',').unwrap();
    let rgb = run(
        "ffmpeg",
        &[
            "-v",
            "error",
            "-xerror",
            "-i",
            path,
            "-frames:v",
            "1",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "rgb24",
            "-",
        ],
    );
    let middle = rgb.len() / 2 / 3 * 3;
    (
        count.parse().unwrap(),
        size.into(),
        rgb[middle..middle + 3].try_into().unwrap(),
    )
}

fn only_frames(screen: &Screen) -> Vec<TranscodedFrame> {
    screen.frames().into_iter().map(|(_, f)| f).collect()
}

#[tokio::test]
async fn a_clip_comes_out_whole_fresh_and_with_its_times() {
    let media = media(|_| {});
    let clip = street("1280x960", "4");
    let transcodes = media.transcodes();
    let watched = transcodes
        .watch(&key("cam-1"), || show(Player::once(&[&clip])))
        .unwrap();
    assert!(watched.ended().await.is_none());

    let screen = watched.attached();
    let frames = screen.frames();
    assert_eq!(frames.len(), clip.samples.len());
    let pts: Vec<i64> = frames.iter().map(|(_, f)| f.pts).collect();
    let wanted: Vec<i64> = clip.samples.iter().map(|s| s.pts).collect();
    assert_eq!(pts, wanted, "each picture keeps its time");

    let first = frames[0].0;
    assert!(first < 3_000_000, "first picture after {first} µs");
    let mut ages: Vec<i64> = frames[50..]
        .iter()
        .map(|(at, f)| at - f.received.micros())
        .collect();
    ages.sort_unstable();
    assert!(ages[0] > 0);
    let median = ages[ages.len() / 2];
    assert!(median < 400_000, "a picture takes {median} µs");

    let params = &frames[0].1.params;
    assert_eq!(
        (params.codec, params.width, params.height),
        (VideoCodec::H264, 960, 720)
    );
    assert!(params.rfc6381.starts_with("avc1.42"), "{}", params.rfc6381);
    assert!(frames[0].1.key);
    let keys: Vec<usize> = (0..frames.len()).filter(|i| frames[*i].1.key).collect();
    assert!(keys.windows(2).all(|k| k[1] - k[0] <= 25), "{keys:?}");

    let (count, size, _) = decoded(&only_frames(screen));
    assert_eq!((count, size.as_str()), (clip.samples.len(), "960,720"));
    let status = media.status();
    assert_eq!(status.transcode_frames_in, 100);
    assert_eq!(status.transcode_frames_out, 100);
    assert_eq!(status.transcode_frames_left_out, 0);
    media.stop().await;
}

#[tokio::test]
async fn colours_survive() {
    let media = media(|_| {});
    let clip = plain(VideoCodec::H265, "3060c0", "1280x720");
    let transcodes = media.transcodes();
    let watched = transcodes
        .watch(&key("cam-1"), || show(Player::once(&[&clip])))
        .unwrap();
    assert!(watched.ended().await.is_none());
    let (_, size, rgb) = decoded(&only_frames(watched.attached()));
    assert_eq!(size, "1280,720");
    for (seen, wanted) in rgb.iter().zip([0x30_u8, 0x60, 0xc0]) {
        assert!(seen.abs_diff(wanted) <= 4, "{rgb:?}");
    }
    media.stop().await;
}

#[tokio::test]
async fn a_camera_that_changes_its_picture_is_followed() {
    let media = media(|_| {});
    let (wide, small) = (street("640x360", "1"), street("320x240", "1"));
    let transcodes = media.transcodes();
    let player = Player::once(&[&wide, &small]);
    let watched = transcodes.watch(&key("cam-1"), || show(player)).unwrap();
    assert!(watched.ended().await.is_none());
    let frames = only_frames(watched.attached());
    let sizes: Vec<u16> = frames.iter().map(|f| f.params.width).collect();
    assert_eq!(sizes.iter().filter(|w| **w == 640).count(), 25);
    assert_eq!(sizes.iter().filter(|w| **w == 320).count(), 25);
    let turn = sizes.iter().position(|w| *w == 320).unwrap();
    assert!(frames[turn].key);
    assert_eq!(decoded(&frames[turn..]).1, "320,240");
    media.stop().await;
}

#[tokio::test]
async fn a_unit_of_noise_does_not_end_the_picture() {
    let media = media(|_| {});
    let mut clip = street("320x240", "2");
    clip.samples[10].data = Bytes::from(vec![0xa5; 900]);
    let mut framed = 500_u32.to_be_bytes().to_vec();
    framed.extend((0..500_u32).map(|i| u8::try_from(i * 7 % 253).unwrap()));
    clip.samples[12].data = framed.into();
    let transcodes = media.transcodes();
    let watched = transcodes
        .watch(&key("cam-1"), || show(Player::once(&[&clip])))
        .unwrap();
    assert!(watched.ended().await.is_none());
    let frames = only_frames(watched.attached());
    assert!(frames.len() >= 40, "{}", frames.len());
    assert_eq!(frames.last().unwrap().pts, clip.samples.last().unwrap().pts);
    media.stop().await;
}

#[tokio::test]
async fn what_cannot_be_converted_is_said() {
    let media = media(|_| {});
    let transcodes = media.transcodes();
    let mut broken = street("320x240", "0.2");
    broken.params.extra_data = Bytes::from_static(b"nonsense");
    let watched = transcodes
        .watch(&key("cam-1"), || show(Player::once(&[&broken])))
        .unwrap();
    let error = watched.ended().await.unwrap();
    assert_eq!(error.code(), "transcode_failed");
    assert!(error.detail().contains("hvcC"), "{error}");

    let other = plain(VideoCodec::H264, "3060c0", "320x240");
    let watched = transcodes
        .watch(&key("cam-2"), || show(Player::once(&[&other])))
        .unwrap();
    assert_eq!(watched.ended().await.unwrap().code(), "transcode_codec");
    until("the end of both workers", || media.workers().is_empty()).await;
    media.stop().await;
}

#[tokio::test]
async fn all_viewers_of_a_camera_share_one_worker_and_the_last_one_ends_it() {
    let media = media(|c| c.transcode_linger_ms = 500);
    let clip = street("320x240", "1");
    let transcodes: Transcodes<Screen> = media.transcodes();
    let cam = key("cam-1");
    let start = || show(Player::forever(&clip));
    let first = transcodes.watch(&cam, start).unwrap();
    let second = transcodes
        .clone()
        .watch(&cam, || panic!("runs already"))
        .unwrap();
    assert_eq!(transcodes.running(), [(cam.clone(), 2)]);
    until("pictures", || second.attached().count() > 10).await;
    let workers = media.workers();
    assert_eq!(workers.len(), 1);

    drop(first);
    drop(second);
    assert_eq!(transcodes.running(), [(cam.clone(), 0)], "it lingers");
    let third = transcodes.watch(&cam, || panic!("runs still")).unwrap();
    assert_eq!(media.workers(), workers);
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert!(
        third.attached().ended().is_none(),
        "watched again, it goes on beyond the linger"
    );

    let screen = third.attached().clone();
    drop(third);
    until("its end after the linger", || media.workers().is_empty()).await;
    assert_eq!(screen.ended(), Some(None));
    assert!(transcodes.running().is_empty());
    assert!(!is_running(workers[0].1));

    let again = transcodes.watch(&cam, start).unwrap();
    until("pictures again", || again.attached().count() > 0).await;
    media.stop().await;
}

#[tokio::test]
async fn the_limit_is_named_and_a_place_nobody_watches_is_given_away() {
    let media = media(|c| c.max_transcodes = 1);
    let clip = street("320x240", "1");
    let transcodes: Transcodes<Screen> = media.transcodes();
    let start = || show(Player::forever(&clip));
    let one = transcodes.watch(&key("cam-1"), start).unwrap();
    until("pictures", || one.attached().count() > 0).await;
    let refused = transcodes
        .watch(&key("cam-2"), start)
        .map(drop)
        .unwrap_err();
    assert_eq!(
        (refused.kind(), refused.code()),
        (ErrorKind::TooMuch, "transcode_limit")
    );
    assert!(
        refused.detail().contains("max_transcodes") && refused.detail().contains("1 "),
        "{refused}"
    );

    let screen = one.attached().clone();
    drop(one);
    let two = transcodes.watch(&key("cam-2"), start).unwrap();
    until("the pictures of the other", || two.attached().count() > 0).await;
    until("the end of the first", || screen.ended().is_some()).await;
    assert_eq!(screen.ended(), Some(None));
    assert_eq!(media.workers().len(), 1);
    media.stop().await;
}

#[tokio::test]
async fn a_killed_worker_is_told_and_replaced() {
    let media = media(|_| {});
    let clip = street("320x240", "1");
    let transcodes: Transcodes<Screen> = media.transcodes();
    let start = || show(Player::forever(&clip));
    let watched = transcodes.watch(&key("cam-1"), start).unwrap();
    until("pictures", || watched.attached().count() > 5).await;
    signal(media.workers()[0].1, Signal::KILL);
    let error = watched.ended().await.unwrap();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Unavailable, "worker_died")
    );
    assert!(error.detail().contains("signal 9"), "{error}");
    let told = watched.attached().ended().unwrap().unwrap();
    assert!(told.contains("worker_died"), "{told}");

    let soon = transcodes
        .watch(&key("cam-1"), start)
        .map(drop)
        .unwrap_err();
    assert_eq!(soon.code(), "transcode_failed");
    assert!(soon.detail().contains("tried again in"), "{soon}");
    let mut again = None;
    until("a new try", || {
        again = transcodes.watch(&key("cam-1"), start).ok();
        again.is_some()
    })
    .await;
    let again = again.unwrap();
    until("pictures of the new worker", || {
        again.attached().count() > 5
    })
    .await;
    assert_eq!(media.status().transcodes_failed, 1);
    media.stop().await;
}

/// A machine that is too slow: pictures are left out up to a key frame, and what comes after is fresh.
#[tokio::test]
async fn a_slow_worker_skips_to_a_key_frame() {
    let media = media(|_| {});
    let clip = street("640x360", "1");
    let transcodes: Transcodes<Screen> = media.transcodes();
    let watched = transcodes
        .watch(&key("cam-1"), || show(Player::forever(&clip)))
        .unwrap();
    until("pictures", || watched.attached().count() > 5).await;
    let pid = media.workers()[0].1;
    signal(pid, Signal::STOP);
    until("pictures left out", || {
        media.status().transcode_frames_left_out >= 40
    })
    .await;
    signal(pid, Signal::CONT);
    let before = watched.attached().count();
    until("pictures again", || {
        watched.attached().count() > before + 80
    })
    .await;
    let frames = watched.attached().frames();
    let jumps = frames
        .windows(2)
        .filter(|w| w[1].1.pts - w[0].1.pts > 3600)
        .count();
    assert!((1..=3).contains(&jumps), "{jumps} jumps");
    let (at, last) = frames.last().unwrap();
    let age = at - last.received.micros();
    assert!(age < 1_500_000, "still {age} µs behind");
    media.stop().await;
}

#[tokio::test]
async fn a_worker_that_hangs_is_ended() {
    let media = media(|_| {});
    let clip = street("320x240", "1");
    let transcodes: Transcodes<Screen> = media.transcodes();
    let watched = transcodes
        .watch(&key("cam-1"), || show(Player::forever(&clip)))
        .unwrap();
    until("pictures", || watched.attached().count() > 5).await;
    let pid = media.workers()[0].1;
    signal(pid, Signal::STOP);
    let error = watched.ended().await.unwrap();
    assert_eq!(error.code(), "transcode_stalled");
    assert!(!is_running(pid));
    media.stop().await;
}

#[tokio::test]
async fn stopping_the_room_ends_everything() {
    let media = media(|_| {});
    let clip = street("320x240", "1");
    let transcodes: Transcodes<Screen> = media.transcodes();
    let start = || show(Player::forever(&clip));
    let one = transcodes.watch(&key("cam-1"), start).unwrap();
    let two = transcodes.watch(&key("cam-2"), start).unwrap();
    until("pictures", || {
        one.attached().count() > 0 && two.attached().count() > 0
    })
    .await;
    let pids: Vec<u32> = media.workers().into_iter().map(|(_, pid)| pid).collect();
    assert_eq!(pids.len(), 2);
    let begun = std::time::Instant::now();
    media.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(3));
    assert!(pids.iter().all(|pid| !is_running(*pid)));
    assert_eq!(
        (one.attached().ended(), two.attached().ended()),
        (Some(None), Some(None))
    );
    let late = transcodes
        .watch(&key("cam-3"), start)
        .map(drop)
        .unwrap_err();
    assert_eq!(late.code(), "stopping");
}
