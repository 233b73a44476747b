//! The camera process, asked by FFmpeg and by plain sockets as any viewer would.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use zhenbei::demo::{CameraSpec, Outage, Plan, PlanOptions, Ports};
use zhenbei::model::VideoCodec;

const PROGRAM: &str = env!("CARGO_BIN_EXE_zhenbei");

/// Ends the process when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn plan(cameras: usize) -> Vec<CameraSpec> {
    let options = PlanOptions {
        cameras,
        vehicles: 1,
        ports: Ports::Any,
        ..PlanOptions::default()
    };
    Plan::new(&options).unwrap().cameras
}

fn start(cameras: &[CameraSpec]) -> Running {
    let mut child = Command::new(PROGRAM)
        .arg("demo-cameras")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = serde_json::to_vec(cameras).unwrap();
    line.push(b'\n');
    child.stdin.as_mut().unwrap().write_all(&line).unwrap();
    let running = Running(child);
    for c in cameras {
        until("it listens", Duration::from_secs(30), || {
            TcpStream::connect(c.listen).is_ok()
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

fn check(c: &CameraSpec, stream: &str, (width, height): (u16, u16), codec: &str) {
    let url = c.url(stream);
    assert_eq!(
        ffprobe(&url),
        format!("{codec},{width},{height},0"),
        "{url}"
    );
    let frames = pictures(&url, usize::from(width) * usize::from(height));
    assert!(
        frames.len() >= 8,
        "{url}: {} pictures in 1.5 s",
        frames.len()
    );
    let (first, last) = (&frames[0], frames.last().unwrap());
    // Away from the clock, which moves in any case.
    let rows = usize::from(width) * usize::from(height) / 8;
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
        let codec = if c.codec == VideoCodec::H265 {
            "hevc"
        } else {
            "h264"
        };
        check(c, "main", (c.width, c.height), codec);
        if let Some(sub) = c.sub {
            check(c, "sub", (sub.width, sub.height), codec);
        }
    }
    let kinds = |f: &dyn Fn(&CameraSpec) -> bool| cameras.iter().filter(|c| f(c)).count();
    assert_eq!(kinds(&|c| c.codec == VideoCodec::H265), 1);
    assert_eq!(kinds(&|c| c.login.is_some()), 1);
    assert_eq!(kinds(&|c| c.outage.is_some()), 1);
    assert_eq!(kinds(&|c| c.sub.is_some()), 3);
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
    let camera = plan(2).remove(1);
    let _running = start(std::slice::from_ref(&camera));
    let answer = describe(camera.listen, "");
    assert!(answer.starts_with("RTSP/1.0 401"), "{answer}");
    assert!(answer.contains("WWW-Authenticate: Digest"), "{answer}");
    assert!(!answer.contains("WWW-Authenticate: Basic"), "{answer}");
    // `viewer:viewer` by the basic method, which is not offered.
    let answer = describe(
        camera.listen,
        "Authorization: Basic dmlld2VyOnZpZXdlcg==\r\n",
    );
    assert!(answer.starts_with("RTSP/1.0 401"), "{answer}");
    check(&camera, "main", (camera.width, camera.height), "h264");
}

#[test]
fn an_outage_ends_sessions_refuses_new_ones_and_passes() {
    let mut camera = plan(1).remove(0);
    camera.outage = Some(Outage {
        every_s: 6.0,
        for_s: 2.0,
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
                &camera.url("main"),
            ])
            .args(["-t", "60", "-c", "copy", "-f", "null", "-"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let connects = || TcpStream::connect(camera.listen).is_ok();
    until("it goes away", Duration::from_secs(15), || !connects());
    until("the session ends", Duration::from_secs(5), || {
        viewer.0.try_wait().unwrap().is_some()
    });
    let away = until("it comes back", Duration::from_secs(10), connects);
    assert!(away < Duration::from_secs(4), "away for {away:?}");
    let answer = describe(camera.listen, "");
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
    let mut input = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&pipe)
        .unwrap();
    let cameras = plan(1);
    let mut parent = Running(
        Command::new("sh")
            .args(["-c", "\"$0\" demo-cameras <\"$1\" & echo $!; wait", PROGRAM])
            .arg(&pipe)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut pid = String::new();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(parent.0.stdout.take().unwrap()),
        &mut pid,
    )
    .unwrap();
    writeln!(input, "{}", serde_json::to_string(&cameras).unwrap()).unwrap();
    let address = cameras[0].listen;
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
    let told = |input: &str| {
        let mut child = Command::new(PROGRAM)
            .arg("demo-cameras")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .as_mut()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        let out = child.wait_with_output().unwrap();
        assert!(!out.status.success());
        String::from_utf8(out.stderr).unwrap()
    };
    assert!(told("nonsense\n").contains("must be the cameras as JSON"));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut camera = plan(1).remove(0);
    camera.listen = taken.local_addr().unwrap();
    let text = told(&format!("{}\n", serde_json::to_string(&[camera]).unwrap()));
    assert!(
        text.contains("cam-001") && text.contains("the port is taken"),
        "{text}"
    );
}
