//! What comes out of real RTSP servers: every codec and sound, as it will lie in the archive.

use std::time::Duration;

use zhenbei::model::{Secret, StreamKey, StreamRole, StreamState, VideoCodec};
use zhenbei::video::{Frame, StreamParams};

use crate::fakes::{camera, main_of};
use crate::rig::{PATIENCE, cursor, frames, pictures, sounds, streaming, watch, watch_one};
use crate::support::rtsp::{Audio, Codec, FakeCamera, Spec};

/// The NAL units of a frame; fails if the lengths do not fit.
fn nals(frame: &Frame) -> Vec<&[u8]> {
    let mut rest: &[u8] = &frame.data;
    let mut out = Vec::new();
    while !rest.is_empty() {
        let (len, tail) = rest.split_first_chunk::<4>().expect("a length");
        let (nal, tail) = tail.split_at(u32::from_be_bytes(*len) as usize);
        out.push(nal);
        rest = tail;
    }
    out
}

fn check_pictures(pictures: &[&Frame], codec: VideoCodec) -> StreamParams {
    assert!(pictures[0].key, "begins with a key frame");
    let params = (*pictures[0].params).clone();
    assert_eq!(params.codec, codec);
    assert_eq!((params.width, params.height), (320, 240));
    assert_eq!(params.pixel_aspect, None);
    let (first, prefix) = match codec {
        VideoCodec::H264 => (1, "avc1."),
        VideoCodec::H265 => (1, "hvc1."),
    };
    assert_eq!(
        params.extra_data[0], first,
        "configurationVersion of an avcC or hvcC record"
    );
    assert!(params.rfc6381.starts_with(prefix), "{}", params.rfc6381);
    for p in pictures {
        assert_eq!(*p.params, params);
        for nal in nals(p) {
            let (kind, parameter_sets) = match codec {
                VideoCodec::H264 => (nal[0] & 0x1f, 7..=8),
                VideoCodec::H265 => (nal[0] >> 1 & 0x3f, 32..=34),
            };
            assert!(
                !parameter_sets.contains(&kind),
                "parameter sets belong into the sample entry"
            );
        }
    }
    for pair in pictures.windows(2) {
        assert!(
            pair[1].received > pair[0].received,
            "receive times go forward"
        );
    }
    params
}

async fn see(spec: Spec) -> Vec<std::sync::Arc<Frame>> {
    let camera = FakeCamera::start(spec);
    let bench = watch_one(&camera.url());
    let mut cursor = cursor(&bench).await;
    let with_sound = |f: &[_]| sounds(f).len() >= 10;
    let (got, end) = frames(&mut cursor, |f| {
        let sound = f
            .first()
            .is_none_or(|x: &std::sync::Arc<Frame>| x.params.audio.is_none())
            || with_sound(f);
        pictures(f).iter().filter(|p| p.key).count() >= 3 && sound
    })
    .await;
    assert!(end.is_none(), "{end:?}");
    let status = bench.video.status(&main_of("a")).unwrap();
    assert_eq!(status.packets_lost, 0);
    assert!(bench.stop().await < Duration::from_secs(3));
    got
}

#[tokio::test(flavor = "multi_thread")]
async fn h264() {
    let got = see(Spec::default()).await;
    let pictures = pictures(&got);
    let params = check_pictures(&pictures, VideoCodec::H264);
    assert!(params.audio.is_none());
    assert_eq!(pictures.len(), got.len());
    // 15 fps: 6000 units of 90 kHz, give or take the live source's jitter.
    let span = pictures.last().unwrap().pts - pictures[0].pts;
    let mean = span / i64::try_from(pictures.len() - 1).unwrap();
    assert!((5_400..6_600).contains(&mean), "{mean}");
    assert!(pictures.windows(2).all(|p| p[1].pts > p[0].pts));
    assert!(
        (0..45_000).contains(&pictures[0].pts),
        "near the session's start: {}",
        pictures[0].pts
    );
    assert_eq!(pictures.iter().position(|p| p.key), Some(0));
    assert_eq!(
        pictures.iter().skip(1).position(|p| p.key),
        Some(14),
        "a key frame each 15 frames"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn h265_with_g711() {
    let got = see(Spec {
        codec: Codec::H265,
        audio: Some(Audio::Pcma),
        ..Spec::default()
    })
    .await;
    let params = check_pictures(&pictures(&got), VideoCodec::H265);
    let audio = params.audio.unwrap();
    assert_eq!((audio.clock_rate, audio.channels), (8_000, 1));
    assert_eq!(&audio.sample_entry[4..8], b"alaw");
    assert_eq!(audio.sample_entry.len(), 36);
}

#[tokio::test(flavor = "multi_thread")]
async fn h264_with_aac() {
    let got = see(Spec {
        audio: Some(Audio::Aac),
        ..Spec::default()
    })
    .await;
    let params = check_pictures(&pictures(&got), VideoCodec::H264);
    let audio = params.audio.clone().unwrap();
    assert_eq!((audio.clock_rate, audio.channels), (16_000, 1));
    assert_eq!(audio.rfc6381.as_deref(), Some("mp4a.40.2"));
    assert_eq!(&audio.sample_entry[4..8], b"mp4a");
    let sounds = sounds(&got);
    assert!(sounds.iter().all(|s| s.key && !s.data.is_empty()));
    for pair in sounds.windows(2) {
        assert_eq!(pair[1].pts - pair[0].pts, 1_024, "one AAC frame");
    }
    // Both media on one time scale: sound that came with a picture belongs near it.
    for s in &sounds {
        let near = pictures(&got)
            .into_iter()
            .min_by_key(|p| (p.received.micros() - s.received.micros()).abs())
            .unwrap();
        let apart = s.pts as f64 / 16_000.0 - near.pts as f64 / 90_000.0;
        assert!(apart.abs() < 0.7, "sound and picture are {apart} s apart");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h264_with_mu_law_and_a_digest_password() {
    let auth = Some(("admin".to_owned(), "pa55word".to_owned()));
    let got = see(Spec {
        audio: Some(Audio::Pcmu),
        auth,
        ..Spec::default()
    })
    .await;
    let params = check_pictures(&pictures(&got), VideoCodec::H264);
    assert_eq!(&params.audio.unwrap().sample_entry[4..8], b"ulaw");
}

#[tokio::test(flavor = "multi_thread")]
async fn b_frames_come_in_decoding_order_with_their_own_times() {
    let got = see(Spec {
        codec: Codec::H264BFrames,
        ..Spec::default()
    })
    .await;
    let pictures = pictures(&got);
    check_pictures(&pictures, VideoCodec::H264);
    assert!(
        pictures.windows(2).any(|p| p[1].pts < p[0].pts),
        "presentation times go back"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_that_cannot_be_kept_is_left_out() {
    let got = see(Spec {
        audio: Some(Audio::G722),
        ..Spec::default()
    })
    .await;
    let params = check_pictures(&pictures(&got), VideoCodec::H264);
    assert!(params.audio.is_none());
    assert!(sounds(&got).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn main_and_sub_stream_are_one_camera() {
    let server = FakeCamera::start(Spec {
        sub: Some((160, 120)),
        ..Spec::default()
    });
    let mut both = camera("a", &server.url());
    both.sub = Some(Secret::new(server.sub_url()));
    let bench = watch(vec![both]);
    bench
        .until("both play", PATIENCE, |b| {
            b.count(StreamState::Streaming) == 2
        })
        .await;
    let sub = bench
        .video
        .status(&StreamKey::new(main_of("a").camera, StreamRole::Sub))
        .unwrap();
    assert_eq!((sub.width, sub.height), (Some(160), Some(120)));
    let list = bench.video.streams().borrow().clone();
    let recorded: Vec<_> = list
        .iter()
        .map(|(k, _, record)| (k.role, *record))
        .collect();
    assert_eq!(
        recorded,
        [(StreamRole::Main, true), (StreamRole::Sub, false)]
    );
    assert_eq!(server.sessions(), 2);
    bench.stop().await;
    assert_eq!(server.sessions(), 0, "both were torn down");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_picture_size_in_the_middle_begins_at_a_key_frame() {
    let server = FakeCamera::start(Spec::default());
    let bench = watch_one(&server.url());
    let mut cursor = cursor(&bench).await;
    streaming(&bench).await;
    frames(&mut cursor, |f| f.len() >= 5).await;
    server.change_size(640, 480);
    let (got, end) = frames(&mut cursor, |f| {
        pictures(f).iter().filter(|p| p.params.width == 640).count() >= 5
    })
    .await;
    assert!(end.is_none(), "the same session: {end:?}");
    let first = got.iter().find(|f| f.params.width == 640).unwrap();
    assert!(first.key);
    assert_eq!(first.params.height, 480);
    bench
        .until("the status knows", PATIENCE, |b| {
            b.video.status(&main_of("a")).unwrap().width == Some(640)
        })
        .await;
    bench.stop().await;
}
