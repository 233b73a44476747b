use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::model::VideoCodec;

fn params() -> Arc<StreamParams> {
    Arc::new(StreamParams {
        codec: VideoCodec::H264,
        extra_data: Bytes::from_static(b"\x01"),
        rfc6381: "avc1.42001e".into(),
        width: 64,
        height: 48,
        pixel_aspect: None,
        audio: None,
    })
}

fn frame(p: &Arc<StreamParams>, pts: i64, key: bool) -> Arc<Frame> {
    Arc::new(Frame {
        media: Media::Video,
        pts,
        received: UtcMicros::from_secs(1_000) + micros(pts),
        arrival: crate::video::Arrival::unmoved(UtcMicros::from_secs(1_000) + micros(pts)),
        key,
        data: Bytes::from_static(b"\0\0\0\x01\x65"),
        lost: 0,
        camera_clock: crate::model::CameraClock::default(),
        params: Arc::clone(p),
    })
}

fn run(frames: impl IntoIterator<Item = (i64, bool)>) -> Vec<Raw> {
    let p = params();
    let mut gop = Gop::new(2_000, GapCause::CameraDown);
    let mut out: Vec<Raw> = frames
        .into_iter()
        .filter_map(|(pts, key)| gop.push(frame(&p, pts, key)))
        .collect();
    out.extend(gop.flush());
    out
}

#[test]
fn one_fragment_a_gop_and_the_last_picture_gets_the_usual_duration() {
    let out = run((0..60).map(|i| (i * 3_600, i % 25 == 0)));
    assert_eq!(
        out.iter().map(|r| r.samples.len()).collect::<Vec<_>>(),
        [25, 25, 10]
    );
    assert!(out.iter().all(|r| r.key));
    assert_eq!(out[2].end, 60 * 3_600);
    assert_eq!(out[0].begins, Start::Session(GapCause::CameraDown));
    assert_eq!(out[1].begins, Start::Continuous);
    assert!(
        out.iter()
            .flat_map(|r| &r.samples)
            .all(|s| s.duration == 3_600 && s.offset == 0)
    );
}

#[test]
fn a_long_gop_is_split_and_the_parts_say_that_they_begin_without_a_key_frame() {
    let out = run((0..250).map(|i| (i * 3_600, i == 0)));
    assert_eq!(out.len(), 5);
    assert!(out.iter().all(|r| r.end - r.start <= 2 * SECOND));
    assert_eq!(
        out.iter().map(|r| r.key).collect::<Vec<_>>(),
        [true, false, false, false, false]
    );
    assert!(out.windows(2).all(|w| w[0].end == w[1].start));
}

#[test]
fn pictures_out_of_order_get_decode_times_that_only_grow() {
    // Decode order I P B B as an encoder with two B pictures sends it.
    let order = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8];
    let frames = (0..6).flat_map(|g| {
        order
            .iter()
            .enumerate()
            .map(move |(i, p)| ((g * 10 + p) * 3_600, i == 0))
    });
    let out = run(frames);
    let mut at = 0;
    for raw in &out {
        assert_eq!(raw.start, at, "fragments follow each other");
        for s in &raw.samples {
            assert_eq!(
                at + i64::from(s.offset),
                s.frame.pts,
                "shown when the camera said"
            );
            at += i64::from(s.duration);
        }
        assert_eq!(raw.end, at);
    }
    assert_eq!(at, 60 * 3_600);
}

#[test]
fn key_frames_alone_share_fragments() {
    let out = run((0..50).map(|i| (i * 3_600, true)));
    assert_eq!(out.len(), 4);
}

#[test]
fn a_hole_ends_the_fragment_and_a_jump_of_the_media_time_begins_a_session() {
    let p = params();
    let mut gop = Gop::new(2_000, GapCause::CameraDown);
    for i in 0..10 {
        assert!(gop.push(frame(&p, i * 3_600, i == 0)).is_none());
    }
    // Ten seconds without a picture, by both clocks.
    let out = gop.push(frame(&p, 10 * SECOND, false)).unwrap();
    assert_eq!(out.end, 36_000);
    // Media time leaps by a day while the clock goes on.
    let mut leap = (*frame(&p, 10 * SECOND + 3_600, true)).clone();
    leap.pts += 86_400 * SECOND;
    let out = gop.push(Arc::new(leap)).unwrap();
    assert_eq!(out.begins, Start::Hole(GapCause::SourceStalled));
    let out = gop.flush().unwrap();
    assert_eq!(out.begins, Start::Session(GapCause::SourceStalled));
}

proptest! {
    /// Whatever a camera sends: no panic, every frame comes out once, decode times only grow within a session.
    #[test]
    fn no_frame_is_lost(steps in prop::collection::vec((-400_000i64..400_000, any::<bool>(), any::<bool>()), 1..200)) {
        let p = params();
        let mut gop = Gop::new(2_000, GapCause::CameraDown);
        let mut pts = 0i64;
        let mut out = Vec::new();
        let n = steps.len();
        for (step, small, key) in steps {
            pts += if small { 3_600 } else { step };
            out.extend(gop.push(frame(&p, pts, key)));
        }
        out.extend(gop.flush());
        prop_assert_eq!(out.iter().map(|r| r.samples.len()).sum::<usize>(), n);
        let mut end = None;
        for raw in &out {
            let sum: i64 = raw.samples.iter().map(|s| i64::from(s.duration)).sum();
            prop_assert_eq!(raw.start + sum, raw.end);
            prop_assert!(raw.samples.iter().all(|s| s.duration > 0));
            if let (Start::Continuous, Some(end)) = (raw.begins, end) {
                prop_assert_eq!(raw.start, end);
            }
            end = Some(raw.end);
        }
    }
}
