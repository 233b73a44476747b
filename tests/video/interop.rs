//! Other people's RTSP servers: VLC's, a stream published by FFmpeg, and devices of which we know how they answer.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::timeout;
use zhenbei::config::VideoConfig;
use zhenbei::model::{
    BackendPolicy, Camera, CameraPolicies, FaultKind, KeepalivePolicy, SessionIdPolicy,
    SoundPolicy, StreamState, Transport,
};

use crate::fakes::{camera, main_of};
use crate::replayed::{Manner, ReplayedCamera};
use crate::rig::{PATIENCE, brisk, cursor, fault_of, frames, pictures, watch_any};
use crate::support::rtsp::Relay;
use crate::support::servers::free_port;

fn patient() -> VideoConfig {
    VideoConfig {
        picture_timeout_ms: 5_000,
        answer_timeout_ms: 8_000,
        ..brisk()
    }
}

/// A program that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn start(command: &mut Command, package: &str) -> Running {
    let name = command.get_program().to_string_lossy().into_owned();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|e| panic!("{name} ({e}): apt-get install {package}"));
    Running(child)
}

/// Twenty seconds of a test picture that anyone may read.
fn film(dir: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = dir.join("film.ts");
    let made = Command::new("ffmpeg")
        .args([
            "-nostdin",
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            "testsrc=s=320x240:r=15",
            "-t",
            "20",
        ])
        .args([
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-g",
            "15",
            "-bf",
            "0",
            "-pix_fmt",
            "yuv420p",
        ])
        .arg(&path)
        .status()
        .expect("ffmpeg is missing: apt-get install ffmpeg");
    assert!(made.success());
    for (what, mode) in [(dir, 0o777), (&path, 0o644)] {
        std::fs::set_permissions(what, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    path
}

/// VLC refuses to run as root.
fn vlc(dir: &Path, film: &Path, port: u16) -> Running {
    let mut command = if rustix::process::geteuid().is_root() {
        let mut c = Command::new("setpriv");
        c.args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "--",
            "cvlc",
        ]);
        c
    } else {
        Command::new("cvlc")
    };
    command
        .env("HOME", dir)
        .env("XDG_RUNTIME_DIR", dir)
        .args(["-I", "dummy", "--no-audio", "--loop"])
        .arg(film)
        .arg("--sout")
        .arg(format!("#rtp{{sdp=rtsp://127.0.0.1:{port}/vlc}}"))
        .arg("--sout-keep");
    assert!(
        Path::new("/usr/bin/cvlc").exists() || which("cvlc"),
        "cvlc is missing: apt-get install vlc-bin vlc-plugin-base (scripts/setup.sh --for test)"
    );
    start(&mut command, "util-linux vlc-bin vlc-plugin-base")
}

fn which(name: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(name).exists()))
}

/// The camera test: pictures of the right size, some key frames among them, none lost, times that go on.
async fn plays(camera: Camera, fps: i64) -> Option<Transport> {
    let (bench, media) = watch_any(patient(), vec![camera]);
    bench
        .until("plays", PATIENCE, |b| {
            b.state("a") == Some(StreamState::Streaming)
        })
        .await;
    let mut cursor = cursor(&bench).await;
    let mut got = Vec::new();
    // Servers that start while we ask may end a first session.
    let all = async {
        while got.len() < 40 {
            match cursor.next().await.unwrap() {
                zhenbei::video::Read::Frame(f) => got.push(f),
                zhenbei::video::Read::End(_) => got.clear(),
                zhenbei::video::Read::Skipped { .. } => panic!("too slow"),
            }
        }
    };
    timeout(PATIENCE, all)
        .await
        .expect("forty pictures of one session");
    let pictures = pictures(&got);
    assert!(pictures[0].key && pictures.iter().filter(|p| p.key).count() >= 2);
    assert_eq!(
        (pictures[0].params.width, pictures[0].params.height),
        (320, 240)
    );
    assert_eq!(pictures.iter().map(|p| p.lost).sum::<u32>(), 0);
    let span = pictures.last().unwrap().pts - pictures[0].pts;
    let mean = span / i64::try_from(pictures.len() - 1).unwrap();
    assert!(
        (mean - 90_000 / fps).abs() < 1_000,
        "{mean} at {fps} a second"
    );
    let transport = bench.video.status(&main_of("a")).unwrap().transport;
    bench.stop().await;
    media.stop().await;
    transport
}

#[tokio::test(flavor = "multi_thread")]
async fn vlc_sends_udp_only_and_auto_finds_that_out() {
    let dir = tempfile::tempdir().unwrap();
    let film = film(dir.path());
    let port = free_port();
    let _vlc = vlc(dir.path(), &film, port);
    let camera = Camera {
        transport: Transport::Auto,
        ..camera("a", &format!("rtsp://127.0.0.1:{port}/vlc"))
    };
    assert_eq!(plays(camera, 15).await, Some(Transport::Udp));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_ffmpeg_publishes() {
    let dir = tempfile::tempdir().unwrap();
    let film = film(dir.path());
    let relay = Relay::start();
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg
        .args(["-nostdin", "-v", "error", "-re", "-stream_loop", "-1", "-i"])
        .arg(&film)
        .args(["-c", "copy", "-f", "rtsp", "-rtsp_transport", "tcp"])
        .arg(relay.publish_url());
    let _publisher = start(&mut ffmpeg, "ffmpeg");
    for transport in [Transport::Tcp, Transport::Udp] {
        let camera = Camera {
            transport,
            ..camera("a", &relay.url())
        };
        assert_eq!(plays(camera, 15).await, Some(transport));
    }
}

/// By the worker, over TCP: what a camera with this tolerance gets.
fn by_worker(camera: Camera) -> Camera {
    Camera {
        policies: CameraPolicies {
            keepalive: KeepalivePolicy::Off,
            sound: SoundPolicy::LeaveOut,
            ..camera.policies
        },
        ..camera
    }
}

/// Both back-ends must play what a device answers; `policies` is what such a device needs.
async fn device(exchange: &str, manner: Manner, channel: u8, policies: CameraPolicies) {
    let ways: &[bool] = match policies.backend {
        BackendPolicy::Auto => &[false, true],
        BackendPolicy::Worker => &[true],
    };
    for &worker in ways {
        let server = ReplayedCamera::start(exchange, manner, channel).await;
        let account = if exchange.contains("WWW-Authenticate") {
            "admin:12345@"
        } else {
            ""
        };
        let plain = Camera {
            policies,
            ..camera("a", &server.url(account))
        };
        let camera = if worker { by_worker(plain) } else { plain };
        let (bench, media) = watch_any(patient(), vec![camera]);
        let mut cursor = cursor(&bench).await;
        let seen = timeout(
            Duration::from_secs(20),
            frames(&mut cursor, |f| pictures(f).len() >= 25),
        )
        .await;
        let Ok((got, None)) = seen else {
            let asked = server.asked.lock().unwrap().clone();
            let status = bench.video.status(&main_of("a"));
            panic!("by worker {worker}: {status:?}\nasked: {asked:#?}");
        };
        let pictures = pictures(&got);
        assert!(pictures[0].key);
        assert_eq!(
            (pictures[0].params.width, pictures[0].params.height),
            (320, 240)
        );
        assert_eq!(
            pictures.iter().map(|p| p.lost).sum::<u32>(),
            0,
            "by worker {worker}"
        );
        for pair in pictures.windows(2) {
            assert_eq!(
                pair[1].pts - pair[0].pts,
                3_600,
                "by worker {worker}: each picture once"
            );
        }
        bench.stop().await;
        media.stop().await;
    }
}

macro_rules! devices {
    ($($name:ident: $manner:ident, $channel:literal, $policies:expr;)+) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            let exchange = include_str!(concat!("../fixtures/rtsp/", stringify!($name), ".exchange"));
            device(exchange, Manner::$manner, $channel, $policies).await;
        }
    )+};
}

devices! {
    hikvision_no_rtp_info: Plain, 0, CameraPolicies::default();
    dahua_wrong_content_base: Plain, 0, CameraPolicies::default();
    tapo_seq_one: Plain, 0, CameraPolicies::default();
    uniview_absolute_control: Plain, 0, CameraPolicies::default();
    reolink_lower_case: Plain, 0, CameraPolicies::default();
    xiongmai_interleaved_shift: Plain, 8, CameraPolicies::default();
    foscam_annexb_no_sprop: AnnexB, 0, CameraPolicies { backend: BackendPolicy::Worker, ..CameraPolicies::default() };
    vivotek_marker_on_sei: MarkerOnSei, 0, CameraPolicies::default();
    anjvision_no_marker: NoMarker, 0, CameraPolicies::default();
    bosch_rtcp_of_another: ForeignRtcp, 0, CameraPolicies::default();
    milesight_odd_timeout: Plain, 0, CameraPolicies::default();
    ezviz_stale_nonce: Plain, 0, CameraPolicies { backend: BackendPolicy::Worker, ..CameraPolicies::default() };
    axis_sha256_and_md5: Plain, 0, CameraPolicies::default();
    grandstream_session_changes: Plain, 0, CameraPolicies { session_id: SessionIdPolicy::UseFirst, ..CameraPolicies::default() };
}

/// What such devices do without the policy they need: it is said, and `auto` finds the way itself.
#[tokio::test(flavor = "multi_thread")]
async fn start_codes_in_rtp_are_named_and_auto_reads_them() {
    let exchange = include_str!("../fixtures/rtsp/foscam_annexb_no_sprop.exchange");
    let server = ReplayedCamera::start(exchange, Manner::AnnexB, 0).await;
    let (bench, media) = watch_any(patient(), vec![camera("a", &server.url(""))]);
    let reason = fault_of(&bench, FaultKind::Protocol).await;
    assert!(
        reason.message.contains("backend = \"worker\""),
        "{}",
        reason.message
    );
    let auto = Camera {
        transport: Transport::Auto,
        ..camera("a", &server.url(""))
    };
    bench.want(vec![auto]);
    bench
        .until("reads it by the worker", PATIENCE, |b| {
            b.state("a") == Some(StreamState::Streaming)
        })
        .await;
    bench.stop().await;
    media.stop().await;
}
