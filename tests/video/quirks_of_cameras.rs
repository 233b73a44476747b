//! What cameras in the field do although no standard says so.

use std::time::{Duration, Instant};

use tokio::time::sleep;
use zhenbei::config::VideoConfig;
use zhenbei::model::{FaultKind, StreamState, VideoCodec};
use zhenbei::video::{Media, Read};

use crate::fakes::{camera, main_of};
use crate::rig::{
    PATIENCE, brisk, cursor, fault_of, frames, pictures, sounds, streaming, watch_one, watch_with,
};
use crate::scripted::{IDR, SLICE, Script, ScriptedCamera, Wire, interleaved};

const H264: &str = include_str!("../fixtures/rtsp/plain_h264.sdp");
const H264_AAC: &str = include_str!("../fixtures/rtsp/plain_h264_aac.sdp");
const TPLINK: &str = include_str!("../fixtures/rtsp/tplink_trailing_semicolon.sdp");
const HIKVISION: &str = include_str!("../fixtures/rtsp/hikvision_metadata_and_media_header.sdp");
const DAHUA: &str = include_str!("../fixtures/rtsp/dahua_h265_pcma.sdp");
const VSTARCAM: &str = include_str!("../fixtures/rtsp/vstarcam_no_parameter_sets.sdp");
const EMPTY_CHANNEL: &str = include_str!("../fixtures/rtsp/recorder_channel_without_camera.sdp");
const OLD_LIVE555: &str = include_str!("../fixtures/rtsp/old_live555.sdp");
const JPEG_FIRST: &str = include_str!("../fixtures/rtsp/two_pictures_first_is_jpeg.sdp");

/// One AAC frame of 4 bytes with its AU header (RFC 3640 §3.2.1).
const AAC: &[u8] = &[0, 16, 0, 4 << 3, 0xde, 0x02, 0x00, 0x4c];

async fn long_pictures(mut wire: Wire) {
    wire.pictures(77_000, 2_000).await;
}

/// Plays until ten pictures have come; returns how the stream looks.
async fn plays(script: Script) -> (ScriptedCamera, std::sync::Arc<zhenbei::video::StreamParams>) {
    let server = ScriptedCamera::start(script).await;
    let bench = watch_one(&server.url());
    let mut cursor = cursor(&bench).await;
    let (got, end) = frames(&mut cursor, |f| pictures(f).len() >= 10).await;
    assert!(end.is_none(), "{end:?}: {:?}", bench.video.statuses());
    assert!(
        (0..90_000).contains(&got[0].pts),
        "begins near zero: {}",
        got[0].pts
    );
    let params = got[0].params.clone();
    assert_eq!((params.width, params.height), (320, 240));
    bench.stop().await;
    (server, params)
}

#[tokio::test]
async fn a_semicolon_at_the_end_of_fmtp() {
    // retina does not read such a line; the sets that the stream itself carries have to do.
    let (_, params) = plays(Script::new(TPLINK, in_band())).await;
    assert!(params.audio.is_some());
}

#[tokio::test]
async fn metadata_beside_the_picture_is_not_asked_for() {
    let (server, params) = plays(Script::new(HIKVISION, long_pictures)).await;
    assert!(params.audio.is_none());
    assert_eq!(server.times_asked("SETUP"), 1);
    assert!(
        server
            .asked()
            .contains(&"SETUP /stream/trackID=1".to_owned()),
        "{:?}",
        server.asked()
    );
}

#[tokio::test]
async fn h265_with_its_parameter_sets_in_the_description() {
    let irap = [40, 1, 0xac, 0x17, 0xc4];
    let play = move |mut wire: Wire| async move {
        for n in 0..500 {
            let nal = if n % 10 == 0 {
                irap
            } else {
                [2, 1, 0xd0, 0x09, 0x78]
            };
            wire.rtp(0, 98, n * 3_600, true, &nal).await;
            sleep(Duration::from_millis(40)).await;
        }
    };
    let (_, params) = plays(Script::new(DAHUA, play)).await;
    assert_eq!(params.codec, VideoCodec::H265);
}

#[tokio::test]
async fn parameter_sets_only_in_the_stream() {
    plays(Script::new(VSTARCAM, in_band())).await;
}

/// Sends its parameter sets before the pictures, and pictures before its parameter sets.
fn in_band() -> impl Fn(Wire) -> futures_util::future::BoxFuture<'static, ()> + Send + Sync + 'static
{
    let sets = |plain: &str| {
        let (sps, pps) = plain
            .split_once("sprop-parameter-sets=")
            .unwrap()
            .1
            .split_once("\r\n")
            .unwrap()
            .0
            .split_once(',')
            .unwrap();
        use base64::Engine;
        let decode = |text: &str| {
            base64::engine::general_purpose::STANDARD
                .decode(text)
                .unwrap()
        };
        (decode(sps), decode(pps))
    };
    let (sps, pps) = sets(H264);
    move |mut wire: Wire| {
        let (sps, pps) = (sps.clone(), pps.clone());
        Box::pin(async move {
            // Pictures before the parameter sets cannot be shown.
            for n in 0..3 {
                wire.video(n * 3_600, SLICE).await;
            }
            wire.rtp(0, 96, 4 * 3_600, false, &sps).await;
            wire.rtp(0, 96, 4 * 3_600, false, &pps).await;
            wire.pictures(4 * 3_600, 500).await;
        })
    }
}

#[tokio::test]
async fn the_second_picture_is_taken_when_the_first_is_jpeg() {
    let (server, _) = plays(Script::new(JPEG_FIRST, long_pictures)).await;
    assert!(
        server.asked().contains(&"SETUP /stream/h264".to_owned()),
        "{:?}",
        server.asked()
    );
}

#[tokio::test]
async fn no_rtp_info_or_one_that_is_hours_off() {
    let both = |mut wire: Wire| async move {
        for n in 0..500u32 {
            wire.video(
                3_000_000_000 + n * 3_600,
                if n % 10 == 0 { IDR } else { SLICE },
            )
            .await;
            wire.sound(97, 5_000 + n * 640, AAC).await;
            sleep(Duration::from_millis(40)).await;
        }
    };
    plays(Script::new(H264_AAC, both)).await;
    let off = "url=rtsp://192.0.2.1/stream/video;seq=0;rtptime=12345,url=rtsp://192.0.2.1/stream/audio;seq=0;rtptime=4000000000";
    plays(Script {
        rtp_info: Some(off),
        ..Script::new(H264_AAC, both)
    })
    .await;
}

#[tokio::test]
async fn rtcp_before_the_answer_to_play() {
    let report = interleaved(
        1,
        &[
            0x80, 200, 0, 6, 0xca, 0xfe, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            0, 0, 0,
        ],
    );
    plays(Script {
        before_play: report,
        ..Script::new(H264, long_pictures)
    })
    .await;
}

#[tokio::test]
async fn sound_that_is_refused_costs_nothing() {
    let script = Script {
        refuse: vec![("SETUP /stream/audio", 461)],
        ..Script::new(H264_AAC, long_pictures)
    };
    let (server, params) = plays(script).await;
    assert!(params.audio.is_none());
    assert_eq!(server.times_asked("DESCRIBE"), 1, "in the same session");
}

#[tokio::test]
async fn sound_that_cannot_be_read_is_left_out() {
    let play = |mut wire: Wire| async move {
        for n in 0..2_000u32 {
            wire.video(n * 3_600, if n % 10 == 0 { IDR } else { SLICE })
                .await;
            // AU headers that promise more than there is.
            wire.sound(97, n * 640, &[0xff, 0xff, 1, 2]).await;
            sleep(Duration::from_millis(40)).await;
        }
    };
    let server = ScriptedCamera::start(Script::new(H264_AAC, play)).await;
    let bench = watch_one(&server.url());
    let mut cursor = cursor(&bench).await;
    let mut shown = 0;
    while shown < 50 {
        match cursor.next().await.unwrap() {
            Read::Frame(f) => shown += u32::from(f.media == Media::Video),
            Read::End(_) => shown = 0,
            Read::Skipped { .. } => panic!("too slow"),
        }
    }
    assert!(server.times_asked("PLAY") <= 2, "{:?}", server.asked());
    bench.stop().await;
}

#[tokio::test]
async fn a_leap_of_the_pictures_clock_ends_the_session() {
    let play = |mut wire: Wire| async move {
        wire.pictures(0, 12).await;
        wire.pictures(3_600 * 90_000, 200).await;
    };
    let server = ScriptedCamera::start(Script::new(H264, play)).await;
    let bench = watch_one(&server.url());
    let mut cursor = cursor(&bench).await;
    let (got, end) = frames(&mut cursor, |_| false).await;
    assert_eq!(end.unwrap().fault, Some(FaultKind::Protocol));
    assert!(
        got.iter().all(|f| f.pts < 90_000),
        "no absurd time gets into the ring"
    );
    let reason = fault_of(&bench, FaultKind::Protocol).await;
    assert!(
        reason
            .message
            .contains("time stamps advanced 3599.6 s while"),
        "{}",
        reason.message
    );
    bench.stop().await;
}

#[tokio::test]
async fn a_leap_of_the_sounds_clock_costs_only_the_sound() {
    let play = |mut wire: Wire| async move {
        for n in 0..2_000u32 {
            wire.video(n * 3_600, if n % 10 == 0 { IDR } else { SLICE })
                .await;
            wire.sound(
                97,
                if n < 20 {
                    n * 640
                } else {
                    900_000_000 + n * 640
                },
                AAC,
            )
            .await;
            sleep(Duration::from_millis(40)).await;
        }
    };
    let server = ScriptedCamera::start(Script::new(H264_AAC, play)).await;
    let bench = watch_one(&server.url());
    let mut cursor = cursor(&bench).await;
    let (got, end) = frames(&mut cursor, |f| pictures(f).len() >= 60).await;
    assert!(end.is_none(), "{end:?}");
    let sounds = sounds(&got);
    assert!((15..=20).contains(&sounds.len()), "{}", sounds.len());
    assert!(sounds.iter().all(|s| s.pts < 32_000));
    bench.stop().await;
}

#[tokio::test]
async fn lost_packets_are_counted_where_they_are_missing() {
    let play = |mut wire: Wire| async move {
        wire.pictures(0, 5).await;
        wire.lose_video(7);
        wire.pictures(6 * 3_600, 500).await;
    };
    let server = ScriptedCamera::start(Script::new(H264, play)).await;
    let bench = watch_one(&server.url());
    let mut cursor = cursor(&bench).await;
    let (got, _) = frames(&mut cursor, |f| f.len() >= 12).await;
    let lost: Vec<u32> = got.iter().map(|f| f.lost).collect();
    assert_eq!(lost.iter().sum::<u32>(), 7);
    assert_eq!(lost[5], 7, "{lost:?}");
    assert_eq!(bench.video.status(&main_of("a")).unwrap().packets_lost, 7);
    bench.stop().await;
}

#[tokio::test]
async fn a_camera_with_all_its_viewers_says_so() {
    let script = Script {
        refuse: vec![("SETUP", 453)],
        ..Script::new(H264, long_pictures)
    };
    let server = ScriptedCamera::start(script).await;
    let bench = watch_one(&server.url());
    let reason = fault_of(&bench, FaultKind::Closed).await;
    assert!(
        reason.message.contains("453") && reason.message.contains("limit of viewers"),
        "{}",
        reason.message
    );
    bench.stop().await;
}

#[tokio::test]
async fn a_recorders_channel_without_a_camera_is_tried_again() {
    let server = ScriptedCamera::start(Script::new(EMPTY_CHANNEL, long_pictures)).await;
    let bench = watch_one(&server.url());
    let reason = fault_of(&bench, FaultKind::Protocol).await;
    assert!(reason.message.contains("no video"), "{}", reason.message);
    bench
        .until("tries again", PATIENCE, |_| {
            server.times_asked("DESCRIBE") >= 3
        })
        .await;
    bench.stop().await;
}

#[tokio::test]
async fn play_without_pictures() {
    let silence = |_wire: Wire| std::future::pending::<()>();
    let server = ScriptedCamera::start(Script::new(H264, silence)).await;
    let bench = watch_one(&server.url());
    let reason = fault_of(&bench, FaultKind::TimedOut).await;
    assert!(
        reason.message.contains("sent no picture"),
        "{}",
        reason.message
    );
    bench.stop().await;
}

#[tokio::test]
async fn no_answer_to_setup() {
    let script = Script {
        mute: "SETUP",
        ..Script::new(H264, long_pictures)
    };
    let server = ScriptedCamera::start(script).await;
    let config = VideoConfig {
        answer_timeout_ms: 500,
        ..brisk()
    };
    let bench = watch_with(config, vec![camera("a", &server.url())]);
    let reason = fault_of(&bench, FaultKind::TimedOut).await;
    assert!(
        reason.message.contains("did not answer"),
        "{}",
        reason.message
    );
    bench.stop().await;
}

#[tokio::test]
async fn the_session_is_torn_down_before_stop_returns() {
    let server = ScriptedCamera::start(Script::new(H264, long_pictures)).await;
    let bench = watch_one(&server.url());
    streaming(&bench).await;
    let start = Instant::now();
    bench.stop().await;
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(
        server.asked().last().map(String::as_str),
        Some("TEARDOWN /stream/")
    );
}

#[tokio::test]
async fn a_camera_that_does_not_answer_teardown_does_not_hold_us() {
    let script = Script {
        mute: "TEARDOWN",
        ..Script::new(H264, long_pictures)
    };
    let server = ScriptedCamera::start(script).await;
    let bench = watch_one(&server.url());
    streaming(&bench).await;
    let start = Instant::now();
    bench.stop().await;
    assert!(
        (Duration::from_secs(1)..Duration::from_secs(4)).contains(&start.elapsed()),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn data_of_an_old_session_is_waited_out() {
    // live555 before 2017.06.04 writes the packets of a session whose connection is gone into whatever has its descriptor.
    let play = |mut wire: Wire| async move {
        wire.pictures(0, 12).await;
        wire.raw(&interleaved(6, &[0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]))
            .await;
        wire.pictures(12 * 3_600, 500).await;
    };
    let server = ScriptedCamera::start(Script::new(OLD_LIVE555, play)).await;
    let bench = watch_one(&server.url());
    let reason = fault_of(&bench, FaultKind::Protocol).await;
    assert!(reason.message.contains("old session"), "{}", reason.message);
    bench
        .until("wants to connect", PATIENCE, |b| {
            b.state("a") == Some(StreamState::Connecting)
        })
        .await;
    let asked = server.times_asked("DESCRIBE");
    sleep(Duration::from_secs(2)).await;
    assert_eq!(
        server.times_asked("DESCRIBE"),
        asked,
        "the old session has up to 65 s left"
    );
    let start = Instant::now();
    bench.stop().await;
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "and stopping does not wait for it: {:?}",
        start.elapsed()
    );
}
