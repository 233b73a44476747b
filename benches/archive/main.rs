//! What recording costs. `make bench-archive` runs it: N cameras of 4 Mbit/s 1080p25 over loopback, recorded by the daemon
//! with hashing and `fdatasync`, beside a drain that reads the sockets and appends the bytes unparsed (the floor) and
//! `ffmpeg -c copy -f segment`, one after the other in one run. docs/performance.md says what came out and how to read it.
//!
//! `--cameras 32,200 --seconds 20 --rounds 3 --subjects drain,ffmpeg,zhenbei --binary FILE --scratch FOLDER
//! --ring BYTES --settle S`
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the table is the output"
)]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of one run, shown to people"
)]

mod clip;
mod drain;
mod footage;
mod generator;
mod proc;
mod subject;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use subject::{Daemon, Kind, Outcome, Subject};

const MIB: f64 = (1u64 << 20) as f64;
/// A 4 Mbit/s camera with its framing.
const CAMERA_BYTES_PER_SECOND: u64 = 530_000;
/// ffmpeg is left out where its processes would not fit into memory.
const FFMPEG_BYTES: u64 = 80 << 20;
/// Above this many cameras ffmpeg alone would need more than the processors of a small machine.
const FFMPEG_CAMERAS: usize = 64;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["generator", cache] => generator::run(Path::new(cache)),
        ["drain", port, cameras, dir, extra @ ..] => drained(port, cameras, Path::new(dir), extra),
        options => Options::parse(options).and_then(|o| o.run()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("bench-archive: {e}");
            ExitCode::FAILURE
        }
    }
}

fn drained(port: &str, cameras: &str, dir: &Path, extra: &[&str]) -> Outcome<()> {
    let extra = drain::Extra {
        sync: extra.contains(&"--sync"),
        hash: extra.contains(&"--hash"),
    };
    drain::run(port.parse()?, cameras.parse()?, dir, extra)
}

struct Options {
    cameras: Vec<usize>,
    seconds: u64,
    settle: u64,
    rounds: usize,
    subjects: Vec<Kind>,
    daemon: Daemon,
    scratch: PathBuf,
}

impl Options {
    fn parse(words: &[&str]) -> Outcome<Self> {
        let mut o = Self {
            cameras: vec![32, 200],
            seconds: 20,
            settle: 10,
            rounds: 3,
            subjects: Kind::ALL.to_vec(),
            daemon: Daemon {
                binary: PathBuf::from("target/release/zhenbei"),
                extra: String::new(),
            },
            scratch: PathBuf::from("target/bench-archive"),
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let value = *words.next().ok_or(format!("{word} needs a value"))?;
            match *word {
                "--cameras" => {
                    o.cameras = value.split(',').map(str::parse).collect::<Result<_, _>>()?;
                }
                "--seconds" => o.seconds = value.parse()?,
                "--settle" => o.settle = value.parse()?,
                "--rounds" => o.rounds = value.parse()?,
                "--binary" => o.daemon.binary = std::path::absolute(value)?,
                "--scratch" => o.scratch = std::path::absolute(value)?,
                "--ring" => o.daemon.extra = format!("[video]\nring_bytes = {value}"),
                "--subjects" => {
                    let find = |w: &str| Kind::ALL.into_iter().find(|k| k.word() == w);
                    o.subjects = value
                        .split(',')
                        .map(|w| find(w).ok_or(format!("no such subject: {w}")))
                        .collect::<Result<_, _>>()?;
                }
                _ => return Err(format!("no such option: {word}").into()),
            }
        }
        Ok(o)
    }

    fn run(&self) -> Outcome<()> {
        fs::create_dir_all(&self.scratch)?;
        // Encoded here once, not while something is measured.
        let kbps = clip::Clip::load(&self.scratch)?.kbps();
        println!(
            "{} s a measurement after {} s of settling, {} rounds; cameras of {kbps} kbit/s",
            self.seconds, self.settle, self.rounds
        );
        for cameras in &self.cameras {
            let mut all: Vec<(Kind, Vec<Figures>)> =
                self.subjects.iter().map(|k| (*k, Vec::new())).collect();
            for round in 1..=self.rounds {
                for (kind, figures) in &mut all {
                    if *kind == Kind::Ffmpeg && !ffmpeg_fits(*cameras) {
                        continue;
                    }
                    let f = self.measure(*kind, *cameras)?;
                    eprintln!("{cameras} cameras, round {round}: {:<24} {f}", kind.word());
                    figures.push(f);
                }
            }
            table(*cameras, &all);
        }
        Ok(())
    }

    fn measure(&self, kind: Kind, cameras: usize) -> Outcome<Figures> {
        let dir = self.scratch.join("run");
        clear(&dir)?;
        let need = (self.seconds + self.settle + 30) * cameras as u64 * CAMERA_BYTES_PER_SECOND;
        let disk = rustix::fs::statvfs(&dir)?;
        if disk.f_bavail * disk.f_frsize < need * 2 {
            return Err(format!(
                "{} needs {} MB of free disk",
                dir.display(),
                need * 2 / 1_000_000
            )
            .into());
        }
        let mut generator = Generator::start(&self.scratch)?;
        let subject = Subject::start(kind, cameras, generator.port, &dir, &self.daemon)?;
        let give_up = Instant::now() + Duration::from_secs(120);
        while generator.totals()?.playing < cameras {
            if Instant::now() > give_up {
                return Err(format!(
                    "{} did not open {cameras} sessions in 120 s; see {}",
                    kind.word(),
                    subject.log().display()
                )
                .into());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        std::thread::sleep(Duration::from_secs(self.settle));
        let before = Snapshot::take(&subject, &mut generator)?;
        std::thread::sleep(Duration::from_secs(self.seconds));
        let after = Snapshot::take(&subject, &mut generator)?;
        let rss = subject.children.iter().map(|c| proc::rss(c.id())).sum();
        let sent = generator.end()?;
        let account = subject.end()?;
        clear(&dir)?;
        let camera_seconds = cameras as f64 * after.at.duration_since(before.at).as_secs_f64();
        let per = |d: Duration| d.as_secs_f64() * 1000.0 / camera_seconds;
        Ok(Figures {
            cpu: per(after.cpu - before.cpu),
            generator: per(after.generator - before.generator),
            threads: after
                .threads
                .iter()
                .map(|(name, cpu)| {
                    let was = before.threads.iter().find(|(n, _)| n == name);
                    (
                        name.clone(),
                        per(cpu.saturating_sub(was.map_or(Duration::ZERO, |w| w.1))),
                    )
                })
                .collect(),
            rss,
            ring: after.ring,
            bytes: account.bytes,
            sent: sent.frames,
            left_out: sent.left_out,
            latest_ms: sent.latest_ms,
            received: account.received,
            on_disk: account.on_disk,
            missing: account.missing,
            gaps: after.gaps.zip(before.gaps).map(|(a, b)| a - b),
            lag: after.lag,
        })
    }
}

fn ffmpeg_fits(cameras: usize) -> bool {
    cameras <= FFMPEG_CAMERAS && proc::available_memory() > cameras as u64 * FFMPEG_BYTES
}

/// An empty folder, and nothing left to write back from the run before.
fn clear(dir: &Path) -> Outcome<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e.into()),
        _ => {}
    }
    fs::create_dir_all(dir)?;
    rustix::fs::syncfs(fs::File::open(dir)?)?;
    Ok(())
}

struct Snapshot {
    at: Instant,
    cpu: Duration,
    generator: Duration,
    threads: Vec<(String, Duration)>,
    ring: u64,
    gaps: Option<u64>,
    lag: Option<f64>,
}

impl Snapshot {
    fn take(subject: &Subject, generator: &mut Generator) -> Outcome<Self> {
        let mut shot = Self {
            at: Instant::now(),
            cpu: subject.children.iter().map(|c| proc::cpu(c.id())).sum(),
            generator: proc::cpu(generator.child.id()),
            threads: Vec::new(),
            ring: 0,
            gaps: None,
            lag: None,
        };
        generator.totals()?;
        if let (Kind::Zhenbei, Some(child)) = (subject.kind, subject.children.first()) {
            shot.threads = proc::cpu_by_thread(child.id()).into_iter().collect();
            let text = subject.metrics()?;
            shot.ring = subject::sum(&text, "zhenbei_video_ring_bytes") as u64;
            shot.gaps = Some(subject::sum(&text, "zhenbei_archive_gaps_total") as u64);
            shot.lag = Some(subject::max(&text, "zhenbei_archive_durable_lag_seconds"));
        }
        Ok(shot)
    }
}

struct Figures {
    /// Milliseconds of processor time a camera and second.
    cpu: f64,
    generator: f64,
    threads: Vec<(String, f64)>,
    rss: u64,
    ring: u64,
    bytes: u64,
    sent: u64,
    left_out: u64,
    latest_ms: u64,
    received: Option<u64>,
    on_disk: Option<u64>,
    missing: Vec<(String, f64)>,
    gaps: Option<u64>,
    lag: Option<f64>,
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:.3} ms, generator {:.3} ms (at most {} ms late), RSS {:.0} MiB, sent {} frames",
            self.cpu,
            self.generator,
            self.latest_ms,
            self.rss as f64 / MIB,
            self.sent
        )?;
        if self.left_out > 0 {
            write!(f, ", {} left out by the cameras", self.left_out)?;
        }
        if let (Some(received), Some(on_disk)) = (self.received, self.on_disk) {
            write!(f, ", received {received}, on disk {on_disk}")?;
        }
        for (cause, seconds) in self.missing.iter().filter(|(_, s)| *s > 0.0) {
            write!(f, ", {seconds:.1} s missing ({cause})")?;
        }
        for (name, cpu) in self.threads.iter().filter(|(_, cpu)| *cpu >= 0.005) {
            write!(f, "; {name} {cpu:.3}")?;
        }
        Ok(())
    }
}

fn table(cameras: usize, all: &[(Kind, Vec<Figures>)]) {
    let middle = |figures: &[Figures], of: &dyn Fn(&Figures) -> f64| {
        let mut values: Vec<f64> = figures.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        (
            values.first().copied().unwrap_or(f64::NAN),
            values.get(values.len() / 2).copied().unwrap_or(f64::NAN),
        )
    };
    let floor = all
        .iter()
        .find(|(k, _)| *k == Kind::Drain)
        .map(|(_, f)| middle(f, &|f| f.cpu));
    println!("\n{cameras} cameras\n");
    println!(
        "| | CPU ms per camera-second: median (least) | to drain: median (least) | RSS MiB | RSS beyond ring, MiB a camera | MB written | frames sent / received / on disk | gaps | durable lag s |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for (kind, figures) in all {
        let Some(last) = figures.last() else {
            println!("| {} | not run at this number | | | | | | | |", kind.word());
            continue;
        };
        let (least, median) = middle(figures, &|f| f.cpu);
        let ratio = floor.map_or_else(String::new, |(l, m)| {
            format!("{:.2} ({:.2})", median / m, least / l)
        });
        let (_, rss) = middle(figures, &|f| f.rss as f64 / MIB);
        let (_, beyond) = middle(figures, &|f| {
            f.rss.saturating_sub(f.ring) as f64 / MIB / cameras as f64
        });
        let counted = match (last.received, last.on_disk) {
            (Some(received), Some(on_disk)) => format!("{} / {received} / {on_disk}", last.sent),
            _ => format!("{}", last.sent),
        };
        println!(
            "| {} | {median:.3} ({least:.3}) | {ratio} | {rss:.0} | {beyond:.2} | {:.0} | {counted} | {} | {} |",
            kind.word(),
            last.bytes as f64 / 1e6,
            last.gaps.map_or_else(String::new, |g| g.to_string()),
            last.lag.map_or_else(String::new, |l| format!("{l:.2}")),
        );
    }
    let all_figures: Vec<&Figures> = all.iter().flat_map(|(_, f)| f).collect();
    let generator =
        all_figures.iter().map(|f| f.generator).sum::<f64>() / all_figures.len().max(1) as f64;
    println!(
        "\nThe generator cost {generator:.3} ms per camera-second ({:.5} of a core a camera) on average.",
        generator / 1000.0
    );
}

struct Generator {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    port: u16,
}

struct Totals {
    playing: usize,
    frames: u64,
    left_out: u64,
    latest_ms: u64,
}

impl Generator {
    fn start(cache: &Path) -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("generator")
            .arg(cache)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = child.stdin.take();
        let mut answers = BufReader::new(child.stdout.take().ok_or("the generator has no output")?);
        let mut line = String::new();
        answers.read_line(&mut line)?;
        Ok(Self {
            child,
            orders,
            answers,
            port: line.trim().parse()?,
        })
    }

    fn totals(&mut self) -> Outcome<Totals> {
        if let Some(orders) = &mut self.orders {
            orders.write_all(b"\n")?;
            orders.flush()?;
        }
        self.read()
    }

    fn read(&mut self) -> Outcome<Totals> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let n: Vec<u64> = line
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        match n.as_slice() {
            [playing, frames, _, left_out, latest_ms] => Ok(Totals {
                playing: *playing as usize,
                frames: *frames,
                left_out: *left_out,
                latest_ms: *latest_ms,
            }),
            _ => Err("the generator ended".into()),
        }
    }

    /// The cameras leave; what they sent in all.
    fn end(mut self) -> Outcome<Totals> {
        drop(self.orders.take());
        let totals = self.read()?;
        self.child.wait()?;
        Ok(totals)
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
