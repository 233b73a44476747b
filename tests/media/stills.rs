//! A key frame becomes a JPEG that shows what the camera saw, or a clear refusal.

use bytes::Bytes;
use zhenbei::model::{ErrorKind, VideoCodec};

use crate::clips::{Clip, look_at, make, plain};
use crate::media;

fn close(mean: [f64; 3], colour: [u8; 3]) -> bool {
    mean.iter()
        .zip(colour)
        .all(|(m, c)| (m - f64::from(c)).abs() <= 3.0)
}

#[tokio::test]
async fn both_codecs_give_the_right_size_and_the_right_colour() {
    let media = media(|_| {});
    for codec in [VideoCodec::H264, VideoCodec::H265] {
        let clip = plain(codec, "3060c0", "1280x720");
        let jpeg = media
            .still(&clip.params, clip.first_key(), None)
            .await
            .unwrap();
        let (w, h, format, mean) = look_at(&jpeg);
        assert_eq!((w, h), (1280, 720));
        assert_eq!(format, "yuvj420p", "JFIF uses the full range");
        assert!(close(mean, [0x30, 0x60, 0xc0]), "{codec:?} shows {mean:?}");
    }
    media.stop().await;
}

#[tokio::test]
async fn a_full_range_camera_keeps_its_black_and_white() {
    let media = media(|_| {});
    for (colour, shown) in [("000000", 0), ("ffffff", 255), ("101010", 16)] {
        let source = format!(
            "color=0x{colour}:size=640x480:rate=25,format=gbrp,scale=out_color_matrix=bt601:out_range=pc,format=yuvj420p"
        );
        for codec in [VideoCodec::H264, VideoCodec::H265] {
            let told = [
                "-pix_fmt",
                "yuvj420p",
                "-color_range",
                "pc",
                "-colorspace",
                "smpte170m",
            ];
            let clip = make(codec, &source, "0.2", &told);
            let jpeg = media
                .still(&clip.params, clip.first_key(), None)
                .await
                .unwrap();
            let (.., mean) = look_at(&jpeg);
            assert!(close(mean, [shown; 3]), "{codec:?} {colour} shows {mean:?}");
        }
    }
    media.stop().await;
}

#[tokio::test]
async fn detail_survives_and_the_same_input_gives_the_same_bytes() {
    let media = media(|_| {});
    let clip = make(
        VideoCodec::H264,
        "testsrc2=size=640x360:rate=25",
        "0.2",
        &["-crf", "10"],
    );
    let first = media
        .still(&clip.params, clip.first_key(), None)
        .await
        .unwrap();
    let again = media
        .still(&clip.params, clip.first_key(), None)
        .await
        .unwrap();
    assert_eq!(first, again);
    // A test picture at quantiser 2; at 4 it has a quarter less.
    assert!(first.len() > 20_000, "only {} bytes", first.len());
    media.stop().await;
}

#[tokio::test]
async fn max_width_shrinks_and_never_enlarges() {
    let media = media(|_| {});
    let clip = plain(VideoCodec::H264, "808080", "1280x720");
    for (asked, size) in [(320, (320, 180)), (1279, (1279, 719)), (4000, (1280, 720))] {
        let jpeg = media
            .still(&clip.params, clip.first_key(), Some(asked))
            .await
            .unwrap();
        let (w, h, ..) = look_at(&jpeg);
        assert_eq!((w, h), size);
    }
    media.stop().await;
}

#[tokio::test]
async fn pixels_that_are_not_square_are_made_square() {
    let media = media(|_| {});
    let clip = make(
        VideoCodec::H264,
        "color=red:size=704x576:rate=25",
        "0.2",
        &["-vf", "setsar=12/11"],
    );
    let jpeg = media
        .still(&clip.params, clip.first_key(), None)
        .await
        .unwrap();
    let (w, h, ..) = look_at(&jpeg);
    assert_eq!((w, h), (768, 576));
    media.stop().await;
}

async fn refused(clip: &Clip, unit: Bytes) -> String {
    let media = media(|_| {});
    media
        .still(&clip.params, clip.first_key(), None)
        .await
        .unwrap();
    let before = media.workers();
    let result = media.still(&clip.params, unit, None).await;
    let error = result.map(|jpeg| jpeg.len()).expect_err("a still was made");
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Conflict, "still_undecodable"),
        "{error:?}"
    );
    assert_eq!(media.workers(), before, "garbage must not cost the worker");
    media
        .still(&clip.params, clip.first_key(), None)
        .await
        .expect("the next still works");
    media.stop().await;
    error.detail().into()
}

#[tokio::test]
async fn garbage_is_refused_and_the_worker_lives_on() {
    for codec in [VideoCodec::H264, VideoCodec::H265] {
        let clip = plain(codec, "3060c0", "640x360");
        let noise: Vec<u8> = (0..5000_u32)
            .map(|i| u8::try_from(i * i % 251).unwrap())
            .collect();
        let said = refused(&clip, noise.into()).await;
        assert!(said.contains("claims"), "{said}");

        let mut framed = 4000_u32.to_be_bytes().to_vec();
        framed.extend((0..4000_u32).map(|i| u8::try_from(i * 7 % 253).unwrap()));
        refused(&clip, framed.into()).await;
        refused(&clip, Bytes::new()).await;
    }
}

#[tokio::test]
async fn a_truncated_key_frame_is_refused_with_the_place() {
    for codec in [VideoCodec::H264, VideoCodec::H265] {
        let clip = make(codec, "testsrc2=size=640x360:rate=25", "0.2", &[]);
        let whole = clip.first_key();
        let said = refused(&clip, whole.slice(..whole.len() / 2)).await;
        assert!(said.contains("claims") && said.contains("left"), "{said}");
    }
}

/// The lengths agree, yet the end of the picture is missing: what a decoder would patch in silence.
#[tokio::test]
async fn a_picture_with_a_lost_end_is_refused_and_not_patched() {
    for codec in [VideoCodec::H264, VideoCodec::H265] {
        let clip = make(codec, "testsrc2=size=640x360:rate=25", "0.2", &[]);
        let whole = clip.first_key();
        let mut at = 0;
        let mut last = 0;
        while at < whole.len() {
            last = at;
            at += 4 + u32::from_be_bytes(whole[at..at + 4].try_into().unwrap()) as usize;
        }
        let body = (whole.len() - last - 4) / 2;
        let mut cut = whole[..last].to_vec();
        cut.extend(u32::try_from(body).unwrap().to_be_bytes());
        cut.extend(&whole[last + 4..last + 4 + body]);
        let said = refused(&clip, cut.into()).await;
        assert!(
            ["damaged", "no picture", "refused"]
                .iter()
                .any(|w| said.contains(w)),
            "{codec:?}: {said}"
        );
    }
}

#[tokio::test]
async fn an_oversize_key_frame_is_refused_before_a_worker_sees_it() {
    let media = media(|_| {});
    let clip = plain(VideoCodec::H264, "3060c0", "320x240");
    let error = media
        .still(&clip.params, vec![0; (16 << 20) + 1].into(), None)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Invalid, "still_too_large")
    );
    assert!(media.workers().is_empty());
    media.stop().await;
}

#[tokio::test]
async fn a_picture_without_parameter_sets_is_refused() {
    let media = media(|_| {});
    let mut clip = plain(VideoCodec::H265, "3060c0", "320x240");
    clip.params.extra_data = Bytes::from_static(&[1, 2, 3]);
    let error = media
        .still(&clip.params, clip.first_key(), None)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "still_undecodable");
    assert!(error.detail().contains("hvcC"), "{error}");
    media.stop().await;
}
