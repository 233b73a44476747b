//! Who is measured: the drain, ffmpeg, the daemon. Each is started, asked how far it is, and ended.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::footage;

pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Drain,
    /// The drain with `fdatasync` every second.
    DrainSync,
    /// The drain with `fdatasync` every second and SHA-256.
    DrainSyncHash,
    Ffmpeg,
    Zhenbei,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [
        Self::Drain,
        Self::DrainSync,
        Self::DrainSyncHash,
        Self::Ffmpeg,
        Self::Zhenbei,
    ];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::DrainSync => "drain+fdatasync",
            Self::DrainSyncHash => "drain+fdatasync+sha256",
            Self::Ffmpeg => "ffmpeg",
            Self::Zhenbei => "zhenbei",
        }
    }
}

/// How to run the daemon.
pub(crate) struct Daemon {
    pub(crate) binary: PathBuf,
    /// More lines for its configuration.
    pub(crate) extra: String,
}

pub(crate) struct Subject {
    pub(crate) kind: Kind,
    pub(crate) children: Vec<Child>,
    dir: PathBuf,
    http: u16,
}

/// What a subject says at its end.
#[derive(Default)]
pub(crate) struct Account {
    pub(crate) bytes: u64,
    pub(crate) received: Option<u64>,
    pub(crate) on_disk: Option<u64>,
    /// Causes of missing time with their seconds, from the start to the end of the cameras.
    pub(crate) missing: Vec<(String, f64)>,
}

impl Subject {
    pub(crate) fn start(
        kind: Kind,
        cameras: usize,
        port: u16,
        dir: &Path,
        daemon: &Daemon,
    ) -> Outcome<Self> {
        let mut subject = Self {
            kind,
            children: Vec::new(),
            dir: dir.to_path_buf(),
            http: 0,
        };
        match kind {
            Kind::Drain => subject.drain(cameras, port, &[])?,
            Kind::DrainSync => subject.drain(cameras, port, &["--sync"])?,
            Kind::DrainSyncHash => subject.drain(cameras, port, &["--sync", "--hash"])?,
            Kind::Ffmpeg => subject.ffmpeg(cameras, port)?,
            Kind::Zhenbei => subject.zhenbei(cameras, port, daemon)?,
        }
        Ok(subject)
    }

    fn drain(&mut self, cameras: usize, port: u16, extra: &[&str]) -> Outcome<()> {
        let child = Command::new(std::env::current_exe()?)
            .args(["drain", &port.to_string(), &cameras.to_string()])
            .arg(&self.dir)
            .args(extra)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        self.children.push(child);
        Ok(())
    }

    fn ffmpeg(&mut self, cameras: usize, port: u16) -> Outcome<()> {
        for n in 0..cameras {
            let child = Command::new("ffmpeg")
                .args(["-nostdin", "-v", "error", "-rtsp_transport", "tcp"])
                .args(["-i", &format!("rtsp://127.0.0.1:{port}/cam-{n:03}")])
                .args(["-c", "copy", "-f", "segment", "-segment_time", "60"])
                .args(["-reset_timestamps", "1"])
                .arg(self.dir.join(format!("cam-{n:03}-%03d.mp4")))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(File::create(self.dir.join(format!("cam-{n:03}.log")))?)
                .spawn()?;
            self.children.push(child);
        }
        Ok(())
    }

    fn zhenbei(&mut self, cameras: usize, port: u16, daemon: &Daemon) -> Outcome<()> {
        self.http = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let config = self.dir.join("zhenbei.toml");
        let text = format!(
            "[http]\nlisten = \"127.0.0.1:{}\"\n[data]\ndir = \"{}\"\n{}\n",
            self.http,
            self.dir.join("data").display(),
            daemon.extra
        );
        fs::write(&config, text)?;
        let mut site = String::new();
        for n in 0..cameras {
            site.push_str(&format!(
                "[[cameras]]\nid = \"cam-{n:03}\"\nname = \"cam-{n:03}\"\nlon = 109.7345\nlat = 38.2852\narea = \"610802\"\n\
                 main = \"rtsp://127.0.0.1:{port}/cam-{n:03}\"\n"
            ));
        }
        let site_file = self.dir.join("site.toml");
        fs::write(&site_file, site)?;
        let applied = Command::new(&daemon.binary)
            .args(["apply", "--config"])
            .args([&config, &site_file])
            .output()?;
        if !applied.status.success() {
            return Err(format!(
                "zhenbei apply failed: {}",
                String::from_utf8_lossy(&applied.stderr)
            )
            .into());
        }
        let child = Command::new(&daemon.binary)
            .args(["run", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(self.dir.join("zhenbei.log"))?)
            .spawn()?;
        self.children.push(child);
        Ok(())
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join("zhenbei.log")
    }

    /// Prometheus text of the daemon.
    pub(crate) fn metrics(&self) -> Outcome<String> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.http))?;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        socket.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut text = String::new();
        socket.read_to_string(&mut text)?;
        if !text.starts_with("HTTP/1.0 200") && !text.starts_with("HTTP/1.1 200") {
            return Err(format!("/metrics: {}", text.lines().next().unwrap_or_default()).into());
        }
        Ok(text)
    }

    /// Ends it after the cameras have left.
    pub(crate) fn end(mut self) -> Outcome<Account> {
        let mut account = Account::default();
        match self.kind {
            Kind::Drain | Kind::DrainSync | Kind::DrainSyncHash => {
                for child in &mut self.children {
                    drop(child.stdin.take());
                    let out = child.stdout.take().ok_or("the drain has no output")?;
                    for line in BufReader::new(out).lines() {
                        account.bytes = line?.parse().unwrap_or(account.bytes);
                    }
                    child.wait()?;
                }
            }
            Kind::Ffmpeg => {
                self.signal_and_wait()?;
                account.bytes = footage::bytes(&self.dir);
            }
            Kind::Zhenbei => {
                // What the sockets still hold is read, and the end of the sessions closes the last fragments.
                let mut text = self.metrics()?;
                loop {
                    std::thread::sleep(Duration::from_secs(2));
                    let now = self.metrics()?;
                    let done = frames(&now) == frames(&text);
                    text = now;
                    if done {
                        break;
                    }
                }
                account.received = Some(frames(&text));
                account.missing = by_cause(&text);
                self.signal_and_wait()?;
                let archive = self.dir.join("data/archive");
                account.bytes = footage::bytes(&archive);
                account.on_disk = Some(footage::frames(&archive)?);
            }
        }
        Ok(account)
    }

    fn signal_and_wait(&mut self) -> Outcome<()> {
        for child in &self.children {
            let pid = rustix::process::Pid::from_child(child);
            // Gone already: nothing to end.
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
        }
        let give_up = Instant::now() + Duration::from_secs(30);
        for child in &mut self.children {
            while child.try_wait()?.is_none() {
                if Instant::now() > give_up {
                    child.kill()?;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        for child in &mut self.children {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

fn frames(text: &str) -> u64 {
    sum(text, "zhenbei_video_frames_total") as u64
}

fn by_cause(text: &str) -> Vec<(String, f64)> {
    text.lines()
        .filter_map(|l| l.strip_prefix("zhenbei_archive_gap_milliseconds_total{cause=\""))
        .filter_map(|l| l.split_once("\"} "))
        .filter_map(|(cause, ms)| Some((cause.to_owned(), ms.parse::<f64>().ok()? / 1000.0)))
        .collect()
}

/// Sum of a metric over all its labels.
pub(crate) fn sum(text: &str, name: &str) -> f64 {
    values(text, name).sum()
}

pub(crate) fn max(text: &str, name: &str) -> f64 {
    values(text, name).fold(0.0, f64::max)
}

fn values<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = f64> + 'a {
    text.lines()
        .filter(move |l| {
            l.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
        })
        .filter_map(|l| l.rsplit(' ').next()?.parse().ok())
}
