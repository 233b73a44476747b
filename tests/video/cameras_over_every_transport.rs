//! UDP, multicast, HTTP and TLS: the same pictures by another way, and what goes wrong on each.

use std::time::Duration;

use gstreamer_rtsp_server::gst_rtsp::RTSPLowerTrans;
use tokio::time::sleep;
use zhenbei::config::VideoConfig;
use zhenbei::media::Media as Native;
use zhenbei::model::{
    BackendPolicy, Camera, CameraClock, CameraPolicies, FaultKind, KeepalivePolicy, SoundPolicy,
    StreamState, TlsPolicy, Transport, VideoCodec,
};
use zhenbei::video::{Frame, Read};

use crate::fakes::{Bench, camera, main_of};
use crate::rig::{
    PATIENCE, brisk, cursor, fault_of, frames, pictures, sounds, streaming, watch_any,
};
use crate::scripted::{IDR, SLICE, Script, ScriptedCamera, Wire};
use crate::support::rtsp::{Audio, Certificate, Codec, FakeCamera, Spec};

const H264: &str = include_str!("../fixtures/rtsp/plain_h264.sdp");

fn over(transport: Transport, url: &str) -> Camera {
    Camera {
        transport,
        ..camera("a", url)
    }
}

/// A worker's GStreamer needs its time to start on a busy machine.
fn patient() -> VideoConfig {
    VideoConfig {
        picture_timeout_ms: 5_000,
        answer_timeout_ms: 8_000,
        ..brisk()
    }
}

async fn stop(bench: Bench, media: Native) {
    bench.stop().await;
    media.stop().await;
    assert!(media.workers().is_empty(), "{:?}", media.workers());
}

fn status(bench: &Bench) -> zhenbei::model::StreamStatus {
    bench.video.status(&main_of("a")).unwrap()
}

/// Three key frames and, where there is sound, some of it.
async fn see(camera: Camera) -> Vec<std::sync::Arc<Frame>> {
    let transport = camera.transport;
    let (bench, media) = watch_any(patient(), vec![camera]);
    let mut cursor = cursor(&bench).await;
    let (got, end) = frames(&mut cursor, |f| {
        let with_sound = f.first().is_some_and(|x| x.params.audio.is_some());
        pictures(f).iter().filter(|p| p.key).count() >= 3 && (!with_sound || sounds(f).len() >= 10)
    })
    .await;
    if end.is_some() {
        bench
            .until("says why", PATIENCE, |b| b.fault("a").is_some())
            .await;
        panic!("{:?}", status(&bench).reason);
    }
    let status = status(&bench);
    if transport != Transport::Auto {
        assert_eq!(status.transport, Some(transport));
    }
    assert_eq!(status.packets_lost, 0);
    let key = |f: &&Frame| f.key;
    let pictures = pictures(&got);
    assert!(pictures[0].key);
    assert!(pictures.iter().copied().filter(|f| key(f)).count() >= 3);
    assert_eq!(
        (pictures[0].params.width, pictures[0].params.height),
        (320, 240)
    );
    for pair in pictures.windows(2) {
        assert!(
            pair[1].received > pair[0].received,
            "receive times go forward"
        );
    }
    let span = pictures.iter().map(|p| p.pts).max().unwrap() - pictures[0].pts;
    let mean = span / i64::try_from(pictures.len() - 1).unwrap();
    assert!(
        (5_000..7_000).contains(&mean),
        "15 pictures a second: {mean}"
    );
    for picture in &pictures {
        assert!(
            no_parameter_sets(picture),
            "they belong into the sample entry"
        );
    }
    stop(bench, media).await;
    got
}

fn no_parameter_sets(frame: &Frame) -> bool {
    let mut rest: &[u8] = &frame.data;
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let (nal, tail) = tail.split_at(u32::from_be_bytes(*length) as usize);
        let bad = match frame.params.codec {
            VideoCodec::H264 => matches!(nal[0] & 0x1f, 7..=9),
            VideoCodec::H265 => matches!(nal[0] >> 1 & 0x3f, 32..=35),
        };
        if bad {
            return false;
        }
        rest = tail;
    }
    rest.is_empty()
}

fn slices(frame: &Frame) -> usize {
    let mut rest: &[u8] = &frame.data;
    let mut n = 0;
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        rest = &tail[u32::from_be_bytes(*length) as usize..];
        n += 1;
    }
    n
}

/// As `IDR` and `SLICE`, from the eleventh macroblock on: more of the same picture.
const IDR_REST: &[u8] = &[0x65, 0x16, 0x22, 0x10, 0x16, 0xe8, 0x98, 0xa0];
const SLICE_REST: &[u8] = &[0x41, 0x16, 0x68, 0x80, 0x60, 0xa0, 0x14, 0x30];

fn only(lower: RTSPLowerTrans) -> Spec {
    Spec {
        lower: Some(lower),
        ..Spec::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn udp_with_b_frames_and_sound() {
    let server = FakeCamera::start(Spec {
        codec: Codec::H264BFrames,
        audio: Some(Audio::Aac),
        auth: Some(("admin".into(), "pass".into())),
        ..only(RTSPLowerTrans::UDP)
    });
    let got = see(over(Transport::Udp, &server.url())).await;
    let pictures = pictures(&got);
    assert!(pictures[0].params.rfc6381.starts_with("avc1."));
    assert!(
        pictures.windows(2).any(|p| p[1].pts < p[0].pts),
        "decode order, as the camera sends"
    );
    let audio = pictures[0]
        .params
        .audio
        .clone()
        .or_else(|| sounds(&got)[0].params.audio.clone());
    assert_eq!(audio.unwrap().clock_rate, 16_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn h265_and_g711_over_udp() {
    let server = FakeCamera::start(Spec {
        codec: Codec::H265,
        audio: Some(Audio::Pcma),
        ..only(RTSPLowerTrans::UDP)
    });
    let got = see(over(Transport::Udp, &server.url())).await;
    let params = &pictures(&got)[0].params;
    assert_eq!(params.codec, VideoCodec::H265);
    assert!(params.rfc6381.starts_with("hvc1."), "{}", params.rfc6381);
    assert_eq!(params.extra_data[0], 1, "an hvcC record");
}

#[tokio::test(flavor = "multi_thread")]
async fn http() {
    let server = FakeCamera::start(Spec::default());
    see(over(Transport::Http, &server.url())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn multicast() {
    let play = |mut wire: Wire| async move { wire.pictures(0, 400).await };
    let script = Script {
        // RFC 2365: organization-local.
        group: Some(std::net::Ipv4Addr::new(239, 192, 77, 1)),
        only: Some("multicast"),
        ..Script::new(H264, play)
    };
    let server = ScriptedCamera::start(script).await;
    let (bench, media) = watch_any(patient(), vec![over(Transport::Multicast, &server.url())]);
    let mut cursor = cursor(&bench).await;
    let (got, end) = frames(&mut cursor, |f| f.len() >= 30).await;
    assert!(end.is_none(), "{end:?}");
    assert!(got.windows(2).all(|p| p[1].pts - p[0].pts == 3_600));
    assert_eq!(status(&bench).transport, Some(Transport::Multicast));
    assert_eq!(status(&bench).packets_lost, 0);
    stop(bench, media).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_hangs_up_on_keep_alives_is_spoken_to_by_the_worker_over_tcp() {
    let server = FakeCamera::start(only(RTSPLowerTrans::TCP));
    let camera = Camera {
        policies: CameraPolicies {
            keepalive: KeepalivePolicy::Off,
            sound: SoundPolicy::LeaveOut,
            ..CameraPolicies::default()
        },
        ..over(Transport::Tcp, &server.url())
    };
    see(camera).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_by_pin_by_trust_and_by_neither() {
    let own = Certificate::make();
    let server = FakeCamera::start(Spec {
        tls: Some(own.clone()),
        ..Spec::default()
    });
    let with = |tls, transport| Camera {
        policies: CameraPolicies {
            tls,
            ..CameraPolicies::default()
        },
        ..over(transport, &server.url())
    };
    let mut hash = [0; 32];
    hex::decode_to_slice(&own.sha256, &mut hash).unwrap();
    see(with(TlsPolicy::Pinned(hash), Transport::Tls)).await;
    see(with(TlsPolicy::Insecure, Transport::Auto)).await;

    // Nobody vouches for it, and it is not the one that is pinned.
    for policy in [TlsPolicy::System, TlsPolicy::Pinned([1; 32])] {
        let (bench, media) = watch_any(patient(), vec![with(policy, Transport::Tls)]);
        let reason = fault_of(&bench, FaultKind::Protocol).await;
        assert!(
            reason.message.contains(&own.sha256),
            "shows what to pin: {}",
            reason.message
        );
        stop(bench, media).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn auto_takes_udp_from_a_camera_that_refuses_tcp_and_remembers() {
    let play = |mut wire: Wire| async move { wire.pictures(0, 60).await };
    let script = Script {
        udp: true,
        only: Some("client_port"),
        ..Script::new(H264, play)
    };
    let server = ScriptedCamera::start(script).await;
    let (bench, media) = watch_any(patient(), vec![over(Transport::Auto, &server.url())]);
    let mut cursor = cursor(&bench).await;
    let (_, end) = frames(&mut cursor, |f| pictures(f).len() >= 10).await;
    assert!(end.is_none(), "{end:?}: {:?}", status(&bench));
    assert_eq!(status(&bench).transport, Some(Transport::Udp));
    let refused = server.times_asked("SETUP") - server.times_asked("PLAY");
    assert_eq!(refused, 1, "{:?}", server.asked());
    // The script ends; the next session does not ask for TCP again.
    bench
        .until("plays again", PATIENCE, |_| server.times_asked("PLAY") >= 2)
        .await;
    let refused = server.times_asked("SETUP") - server.times_asked("PLAY");
    assert_eq!(refused, 1, "{:?}", server.asked());
    stop(bench, media).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn overtaken_datagrams_are_put_in_order_and_lost_ones_counted() {
    let play = |mut wire: Wire| async move {
        for n in 0..400u32 {
            // Each picture is three packets, a slice each; the last has the marker.
            let (first, rest) = if n % 10 == 0 {
                (IDR, IDR_REST)
            } else {
                (SLICE, SLICE_REST)
            };
            let stamp = n * 3_600;
            let mut packets = Vec::new();
            for i in 0..3 {
                let nal = if i == 0 { first } else { rest };
                packets.push(wire.packet(0, 96, stamp, i == 2, nal));
            }
            match n {
                // The last first.
                20..30 => packets.rotate_right(1),
                // The middle one is lost.
                40 => {
                    packets.remove(1);
                }
                _ => {}
            }
            for packet in packets {
                wire.send(0, &packet).await;
            }
            sleep(Duration::from_millis(40)).await;
        }
    };
    let script = Script {
        udp: true,
        ..Script::new(H264, play)
    };
    let server = ScriptedCamera::start(script).await;
    // A busy machine may hold the sender up between two packets.
    let camera = Camera {
        policies: CameraPolicies {
            reorder_wait_ms: 2_000,
            ..CameraPolicies::default()
        },
        ..over(Transport::Udp, &server.url())
    };
    let (bench, media) = watch_any(patient(), vec![camera]);
    let mut cursor = cursor(&bench).await;
    let (got, end) = frames(&mut cursor, |f| f.len() >= 60).await;
    assert!(end.is_none(), "{end:?}");
    let of = |n: i64| {
        got.iter()
            .find(|f| f.pts - got[0].pts == n * 3_600)
            .unwrap()
    };
    assert_eq!(slices(of(5)), 3);
    for n in 20..30 {
        assert_eq!(slices(of(n)), 3, "picture {n} is whole");
        assert_eq!(of(n).lost, 0);
    }
    assert_eq!(got.iter().map(|f| f.lost).sum::<u32>(), 1);
    let hurt = got.iter().find(|f| f.lost > 0).unwrap();
    assert!(
        ((hurt.pts - got[0].pts) / 3_600 - 40).abs() <= 1,
        "told at the picture it was of"
    );
    assert_eq!(status(&bench).packets_lost, 1);
    stop(bench, media).await;
}

/// Start codes of Annex B in RTP, parameter sets only in the stream, and the marker on the SEI.
#[tokio::test(flavor = "multi_thread")]
async fn a_byte_stream_in_rtp_is_mended_by_the_worker() {
    use base64::Engine;
    let set = |text| {
        base64::engine::general_purpose::STANDARD
            .decode(text)
            .unwrap()
    };
    let sets = [set("Z0LAFdoFB+wFqDAwNSgAAAMACAAAAwD0eLF1"), set("aM48gA==")];
    let sei = [&[6, 5, 17][..], &[0x5a; 17], &[0x80]].concat();
    let play = move |mut wire: Wire| {
        let (sets, sei) = (sets.clone(), sei.clone());
        async move {
            let coded = |nal: &[u8]| [&[0, 0, 0, 1], nal].concat();
            for n in 0..1_000u32 {
                let stamp = 900_000 + n * 3_600;
                if n % 10 == 0 {
                    for set in &sets {
                        wire.rtp(0, 96, stamp, false, &coded(set)).await;
                    }
                }
                wire.rtp(0, 96, stamp, true, &sei).await;
                let slice = if n % 10 == 0 { IDR } else { SLICE };
                wire.rtp(0, 96, stamp, true, &coded(slice)).await;
                sleep(Duration::from_millis(40)).await;
            }
        }
    };
    let sdp = include_str!("../fixtures/rtsp/vstarcam_no_parameter_sets.sdp");
    let server = ScriptedCamera::start(Script::new(sdp, play)).await;
    let lenient = Camera {
        policies: CameraPolicies {
            backend: BackendPolicy::Worker,
            ..CameraPolicies::default()
        },
        ..camera("a", &server.url())
    };
    let (bench, media) = watch_any(patient(), vec![lenient]);
    let mut cursor = cursor(&bench).await;
    let (got, end) = frames(&mut cursor, |f| f.len() >= 25).await;
    assert!(end.is_none(), "{end:?}");
    assert!(
        got.windows(2).all(|p| p[1].pts - p[0].pts == 3_600),
        "each picture once"
    );
    assert!(got.iter().all(|f| f.lost == 0 && no_parameter_sets(f)));
    stop(bench, media).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_goes_away_is_found_again() {
    let mut server = FakeCamera::start(only(RTSPLowerTrans::UDP));
    let (bench, media) = watch_any(patient(), vec![over(Transport::Udp, &server.url())]);
    streaming(&bench).await;
    server.stop();
    bench
        .until("notices", PATIENCE, |b| {
            b.state("a") != Some(StreamState::Streaming)
        })
        .await;
    server.restart();
    streaming(&bench).await;
    assert!(status(&bench).reconnects >= 1);
    stop(bench, media).await;
    assert_eq!(server.sessions(), 0, "TEARDOWN was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_costs_its_session_and_the_next_one_begins() {
    let server = FakeCamera::start(only(RTSPLowerTrans::UDP));
    let (bench, media) = watch_any(patient(), vec![over(Transport::Udp, &server.url())]);
    let mut cursor = cursor(&bench).await;
    let (before, _) = frames(&mut cursor, |f| pictures(f).len() >= 5).await;
    let (role, pid) = media.workers()[0];
    assert_eq!(role, "ingest");
    let args = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    assert!(
        !args.contains("rtsp"),
        "no address on the command line: {args}"
    );
    let raw = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(raw, rustix::process::Signal::KILL).unwrap();
    let ended = loop {
        match cursor.next().await.unwrap() {
            Read::End(end) => break end,
            Read::Frame(_) => {}
            Read::Skipped { .. } => panic!("too slow"),
        }
    };
    assert_eq!(ended.fault, Some(FaultKind::Closed));
    let (got, _) = frames(&mut cursor, |f| pictures(f).len() >= 5).await;
    assert!(got[0].key, "begins with a key frame");
    let between = got[0]
        .received
        .micros_since(before.last().unwrap().received);
    assert!(between > 100_000, "the time between is a gap: {between}");
    assert_ne!(media.workers()[0].1, pid);
    stop(bench, media).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_say_the_same_as_over_tcp() {
    let server = FakeCamera::start(Spec {
        auth: Some(("admin".into(), "right".into())),
        ..Spec::default()
    });
    let jpeg = FakeCamera::start(Spec {
        codec: Codec::Jpeg,
        ..Spec::default()
    });
    let wrong = server.url().replace("right", "wrong");
    let cases = [
        (wrong, FaultKind::Unauthorized, "401"),
        (jpeg.url(), FaultKind::UnsupportedCodec, "JPEG"),
        (jpeg.url_of("nothing"), FaultKind::Protocol, "404"),
        (
            "rtsp://127.0.0.1:1/main".into(),
            FaultKind::Unreachable,
            "127.0.0.1:1",
        ),
    ];
    for (url, kind, word) in cases {
        let (bench, media) = watch_any(patient(), vec![over(Transport::Udp, &url)]);
        let reason = fault_of(&bench, kind).await;
        assert!(reason.message.contains(word), "{}", reason.message);
        assert!(!reason.message.contains("wrong"), "{}", reason.message);
        stop(bench, media).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cameras_clock_is_told_over_udp() {
    let server = FakeCamera::start(only(RTSPLowerTrans::UDP));
    let (bench, media) = watch_any(patient(), vec![over(Transport::Udp, &server.url())]);
    bench
        .until("a sender report came", PATIENCE, |b| {
            matches!(
                b.video.status(&main_of("a")).and_then(|s| s.camera_clock),
                Some(CameraClock::Known { .. })
            )
        })
        .await;
    let Some(CameraClock::Known { offset_us, .. }) = status(&bench).camera_clock else {
        panic!("just seen");
    };
    // Camera and server are one machine; but the bench's clock is another one.
    let now = zhenbei::model::Clock::now(&zhenbei::model::SystemClock);
    assert!(offset_us.abs() < 2_000_000, "{offset_us} at {now}");
    stop(bench, media).await;
}
