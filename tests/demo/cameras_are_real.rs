//! The camera process, asked by FFmpeg and by plain sockets as any viewer would.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use zhenbei::demo::{CameraSpec, Outage, PictureSpec, Plan};

const PROGRAM: &str = env!("CARGO_BIN_EXE_zhenbei");

/// Ends the process when dropped, and keeps the file that tells it what to serve.
struct Running(
    Child,
    #[allow(dead_code, reason = "held: the file is removed with it")]
    Option<tempfile::NamedTempFile>,
);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The first cameras of a city of eight, each with a port nobody listens on.
fn plan(cameras: usize) -> Vec<CameraSpec> {
    let held: Vec<TcpListener> = (0..cameras)
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    let planned = Plan::new(8, 1, 7).cameras.into_iter().map(|c| c.spec);
    planned
        .zip(&held)
        .map(|(spec, port)| CameraSpec {
            port: port.local_addr().unwrap().port(),
            ..spec
        })
        .collect()
}

fn listen(c: &CameraSpec) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], c.port))
}

fn url(c: &CameraSpec, stream: &str) -> String {
    let login = c
        .auth
        .as_ref()
        .map_or_else(String::new, |(u, p)| format!("{u}:{p}@"));
    format!("rtsp://{login}127.0.0.1:{}/{stream}", c.port)
}

fn written(cameras: &[CameraSpec]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), serde_json::to_vec(cameras).unwrap()).unwrap();
    file
}

fn start(cameras: &[CameraSpec]) -> Running {
    let file = written(cameras);
    let child = Command::new(PROGRAM)
        .arg("demo-cameras")
        .arg(file.path())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let running = Running(child, Some(file));
    for c in cameras {
        until("it listens", Duration::from_secs(30), || {
            TcpStream::connect(listen(c)).is_ok()
        });
    }
    running
}

fn until(what: &str, patience: Duration, mut holds: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < patience, "not after {patience:?}: {what}");
        std::thread::sleep(Duration::from_millis(25));
    }
    start.elapsed()
}

fn ffprobe(url: &str) -> String {
    let out = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-rtsp_transport",
            "tcp",
            "-select_streams",
            "v",
            "-of",
            "csv=p=0",
        ])
        .args([
            "-show_entries",
            "stream=codec_name,width,height,has_b_frames",
            url,
        ])
        .output()
        .expect("ffprobe is installed: apt-get install ffmpeg");
    assert!(
        out.status.success(),
        "{url}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

/// The brightness of a good second of pictures.
fn pictures(url: &str, size: usize) -> Vec<Vec<u8>> {
    let out = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-rtsp_transport",
            "tcp",
            "-i",
            url,
            "-t",
            "1.5",
        ])
        .args(["-f", "rawvideo", "-pix_fmt", "gray", "-"])
        .output()
        .expect("ffmpeg is installed: apt-get install ffmpeg");
    assert!(
        out.status.success(),
        "{url}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    assert_eq!(out.stdout.len() % size, 0, "{url}: whole pictures");
    out.stdout.chunks(size).map(<[u8]>::to_vec).collect()
}

fn check(c: &CameraSpec, stream: &str, picture: PictureSpec, codec: &str) {
    let url = url(c, stream);
    let (width, height) = (picture.width, picture.height);
    assert_eq!(
        ffprobe(&url),
        format!("{codec},{width},{height},0"),
        "{url}"
    );
    let size = usize::try_from(width * height).unwrap();
    let frames = pictures(&url, size);
    assert!(
        frames.len() >= 8,
        "{url}: {} pictures in 1.5 s",
        frames.len()
    );
    let (first, last) = (&frames[0], frames.last().unwrap());
    // Away from the clock, which moves in any case.
    let rows = size / 8;
    let moved = first
        .iter()
        .zip(last)
        .skip(rows)
        .filter(|(a, b)| a.abs_diff(**b) > 24)
        .count();
    assert!(
        moved > 40,
        "{url}: nothing moves in the street ({moved} samples)"
    );
    let (dark, bright) = (first.iter().min().unwrap(), first.iter().max().unwrap());
    assert!(bright - dark > 100, "{url}: the picture is flat");
}

#[test]
fn every_stream_is_decodable_and_the_street_moves() {
    let cameras = plan(8);
    let _running = start(&cameras);
    for c in &cameras {
        check(c, "main", c.main, if c.h265 { "hevc" } else { "h264" });
        if let Some(sub) = c.sub {
            check(c, "sub", sub, "h264");
        }
    }
    let kinds = |f: &dyn Fn(&CameraSpec) -> bool| cameras.iter().filter(|c| f(c)).count();
    assert_eq!(kinds(&|c| c.h265), 1);
    assert_eq!(kinds(&|c| c.auth.is_some()), 1);
    assert_eq!(kinds(&|c| c.outage.is_some()), 1);
    assert!(kinds(&|c| c.sub.is_some()) >= 1);
}

fn describe(address: SocketAddr, authorization: &str) -> String {
    let mut s = TcpStream::connect(address).unwrap();
    s.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(
        s,
        "DESCRIBE rtsp://{address}/main RTSP/1.0\r\nCSeq: 1\r\n{authorization}\r\n"
    )
    .unwrap();
    let mut answer = [0; 2_048];
    let n = s.read(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..n]).into_owned()
}

#[test]
fn nobody_sees_the_closed_camera_without_its_password() {
    let camera = plan(8).into_iter().find(|c| c.auth.is_some()).unwrap();
    let _running = start(std::slice::from_ref(&camera));
    let answer = describe(listen(&camera), "");
    assert!(answer.starts_with("RTSP/1.0 401"), "{answer}");
    assert!(answer.contains("WWW-Authenticate: Digest"), "{answer}");
    assert!(!answer.contains("WWW-Authenticate: Basic"), "{answer}");
    // `viewer:viewer` by the basic method, which is not offered.
    let answer = describe(
        listen(&camera),
        "Authorization: Basic dmlld2VyOnZpZXdlcg==\r\n",
    );
    assert!(answer.starts_with("RTSP/1.0 401"), "{answer}");
    check(&camera, "main", camera.main, "h264");
}

#[test]
fn an_outage_ends_sessions_refuses_new_ones_and_passes() {
    let mut camera = plan(1).remove(0);
    camera.outage = Some(Outage {
        every_s: 6,
        length_s: 2,
    });
    let _running = start(std::slice::from_ref(&camera));
    let mut viewer = Running(
        Command::new("ffmpeg")
            .args([
                "-v",
                "quiet",
                "-rtsp_transport",
                "tcp",
                "-i",
                &url(&camera, "main"),
            ])
            .args(["-t", "60", "-c", "copy", "-f", "null", "-"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap(),
        None,
    );
    let connects = || TcpStream::connect(listen(&camera)).is_ok();
    until("it goes away", Duration::from_secs(15), || !connects());
    until("the session ends", Duration::from_secs(5), || {
        viewer.0.try_wait().unwrap().is_some()
    });
    let away = until("it comes back", Duration::from_secs(10), connects);
    assert!(away < Duration::from_secs(4), "away for {away:?}");
    let answer = describe(listen(&camera), "");
    assert!(answer.starts_with("RTSP/1.0 200"), "{answer}");
}

#[test]
fn it_ends_with_its_standard_input() {
    let mut running = start(&plan(1));
    drop(running.0.stdin.take());
    until("it ends", Duration::from_secs(5), || {
        running.0.try_wait().unwrap().is_some()
    });
    assert!(running.0.wait().unwrap().success());
}

#[test]
fn it_dies_with_its_parent_even_when_its_input_stays_open() {
    let dir = tempfile::TempDir::new().unwrap();
    let pipe = dir.path().join("input");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    // Open for both directions: neither end ever sees the other gone.
    let _input = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&pipe)
        .unwrap();
    let cameras = plan(1);
    let file = written(&cameras);
    let mut parent = Running(
        Command::new("sh")
            .args([
                "-c",
                "\"$0\" demo-cameras \"$1\" <\"$2\" & echo $!; wait",
                PROGRAM,
            ])
            .args([file.path(), &pipe])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
        Some(file),
    );
    let mut pid = String::new();
    BufReader::new(parent.0.stdout.take().unwrap())
        .read_line(&mut pid)
        .unwrap();
    let address = listen(&cameras[0]);
    until("it listens", Duration::from_secs(30), || {
        TcpStream::connect(address).is_ok()
    });
    parent.0.kill().unwrap();
    let proc = format!("/proc/{}/stat", pid.trim());
    until("it dies", Duration::from_secs(5), || {
        // Gone, or a zombie that nobody of this container collects.
        std::fs::read_to_string(&proc).map_or(true, |s| s.contains(") Z "))
    });
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn bad_orders_and_taken_ports_are_said_clearly() {
    let told = |file: &std::path::Path| {
        let out = Command::new(PROGRAM)
            .arg("demo-cameras")
            .arg(file)
            .stdin(Stdio::piped())
            .output()
            .unwrap();
        assert!(!out.status.success());
        String::from_utf8(out.stderr).unwrap()
    };
    let nonsense = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(nonsense.path(), "nonsense").unwrap();
    assert!(told(nonsense.path()).contains("malformed"));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut camera = plan(1).remove(0);
    camera.port = taken.local_addr().unwrap().port();
    let text = told(written(&[camera]).path());
    assert!(
        text.contains("cam-001") && text.contains("cannot be served"),
        "{text}"
    );
}
