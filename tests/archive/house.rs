//! An archive in a folder of its own, with a ring to push pictures into and a clock to turn.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zhenbei::archive::{Archive, Clip, Volume, Wanted};
use zhenbei::config::ArchiveConfig;
use zhenbei::model::{CameraId, Clock, FaultKind, Secret, StreamKey, TimeRange, UtcMicros};
use zhenbei::store::Database;
use zhenbei::video::{Arrival, Frame, Item, Media, Ring, SessionEnd};

use crate::footage::Footage;

pub const SECOND: i64 = 1_000_000;
/// When the tests play: a whole second.
pub const T0: UtcMicros = UtcMicros::from_secs(1_795_000_000);

pub fn at(seconds: f64) -> UtcMicros {
    #[allow(clippy::cast_possible_truncation, reason = "test times are small")]
    let us = (seconds * 1e6).round() as i64;
    T0 + us
}

/// Number of the picture that begins then.
fn picture(seconds: f64) -> usize {
    let us = at(seconds).micros_since(T0);
    usize::try_from((us + 20_000) / 40_000).unwrap()
}

pub fn range(from: f64, to: f64) -> TimeRange {
    TimeRange::new(at(from), at(to)).unwrap()
}

#[derive(Default)]
pub struct TurnedClock(AtomicI64);

impl TurnedClock {
    pub fn set(&self, t: UtcMicros) {
        self.0.store(t.micros(), Ordering::Relaxed);
    }
}

impl Clock for TurnedClock {
    fn now(&self) -> UtcMicros {
        UtcMicros(self.0.load(Ordering::Relaxed))
    }
}

pub fn key() -> StreamKey {
    StreamKey::main(CameraId::new("cam-001").unwrap())
}

pub struct House {
    pub folder: Arc<TempDir>,
    pub clock: Arc<TurnedClock>,
    pub config: ArchiveConfig,
    pub db: Database,
    pub archive: Archive,
    pub ring: Arc<Ring>,
    wanted: watch::Sender<Wanted>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

pub fn config() -> ArchiveConfig {
    ArchiveConfig {
        sync_interval_ms: 50,
        min_free_bytes: 0,
        ..ArchiveConfig::default()
    }
}

impl House {
    pub async fn new() -> Self {
        Self::with(config(), None).await
    }

    pub async fn with(config: ArchiveConfig, volume: Option<Arc<dyn Volume>>) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Self::open(folder, config, volume, T0).await
    }

    /// Opens what is in the folder and records.
    pub async fn open(
        folder: Arc<TempDir>,
        config: ArchiveConfig,
        volume: Option<Arc<dyn Volume>>,
        now: UtcMicros,
    ) -> Self {
        let url = format!("sqlite:{}", folder.path().join("index.db").display());
        let db = Database::open(&Secret::new(url)).await.unwrap();
        let clock = Arc::new(TurnedClock::default());
        clock.set(now);
        let dir = folder.path().join("archive");
        let archive = match volume {
            None => Archive::open(config.clone(), dir, db.clone(), clock.clone()).await,
            Some(v) => Archive::open_on(config.clone(), dir, v, db.clone(), clock.clone()).await,
        };
        let archive = archive.unwrap();
        let ring = Ring::new(256 << 20);
        let wanted: Wanted = Arc::new(vec![(key(), Arc::clone(&ring), true)]);
        let (wanted, watch) = watch::channel(wanted);
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let (running, token) = (archive.clone(), stop.clone());
        tasks.spawn(async move { running.run(watch, token).await });
        // Frames pushed before the recorder has its cursor would be before its time.
        let recording = archive.clone();
        until("the recorder runs", move || recording.is_recording(&key())).await;
        tokio::time::sleep(Duration::from_millis(30)).await;
        Self {
            folder,
            clock,
            config,
            db,
            archive,
            ring,
            wanted,
            stop,
            tasks,
        }
    }

    pub fn dir(&self) -> PathBuf {
        self.folder.path().join("archive")
    }

    /// Pushes the pictures `from..to` (seconds of footage) as a session that begins at `begin`; returns when it ended.
    pub fn play(&self, f: &Footage, from: f64, to: f64, begin: UtcMicros) -> UtcMicros {
        self.play_late(f, from, to, begin, |_| 0)
    }

    /// As `play`; frame `i` is received `late(i)` µs late.
    pub fn play_late(
        &self,
        f: &Footage,
        from: f64,
        to: f64,
        begin: UtcMicros,
        late: impl Fn(i64) -> i64,
    ) -> UtcMicros {
        let (first, last) = (picture(from), picture(to));
        let zero = f.video[first..last].iter().map(|v| v.0).min().unwrap();
        let rate = f
            .params
            .audio
            .as_ref()
            .map_or(1, |a| i64::from(a.clock_rate));
        let audio_zero = zero * rate / 90_000;
        let mut audio = f
            .audio
            .iter()
            .filter(|(pts, _)| *pts >= audio_zero)
            .peekable();
        for (i, (pts, key, data)) in f.video[first..last].iter().enumerate() {
            let i = i64::try_from(i).unwrap();
            let received = begin + i * 40_000 + late(i);
            // Nothing comes early: that is a clock that was set back.
            let arrival = Arrival {
                wall: received,
                ..Arrival::unmoved(begin + i * 40_000 + late(i).max(0))
            };
            while let Some((apts, adata)) =
                audio.next_if(|(apts, _)| (*apts - audio_zero) * 25 < i * rate)
            {
                self.push(Frame {
                    media: Media::Audio,
                    pts: *apts - audio_zero,
                    received,
                    arrival,
                    key: true,
                    data: adata.clone(),
                    lost: 0,
                    camera_clock: zhenbei::model::CameraClock::default(),
                    params: Arc::clone(&f.params),
                });
            }
            self.clock.set(received.max(self.clock.now()));
            self.push(Frame {
                media: Media::Video,
                pts: *pts - zero,
                received,
                arrival,
                key: *key,
                data: data.clone(),
                lost: 0,
                camera_clock: zhenbei::model::CameraClock::default(),
                params: Arc::clone(&f.params),
            });
        }
        begin + i64::try_from(last - first).unwrap() * 40_000
    }

    /// Goes on with the session of `play(f, 0.0, from, begin)`: same media time, same clock.
    pub fn play_on(&self, f: &Footage, from: f64, to: f64, begin: UtcMicros) {
        let (first, last) = (picture(from), picture(to));
        for (pts, key, data) in &f.video[first..last] {
            let received = begin + pts * 100 / 9;
            self.clock.set(received);
            self.push(Frame {
                media: Media::Video,
                pts: *pts,
                received,
                arrival: Arrival::unmoved(received),
                key: *key,
                data: data.clone(),
                lost: 0,
                camera_clock: zhenbei::model::CameraClock::default(),
                params: Arc::clone(&f.params),
            });
        }
    }

    /// The camera's stream gets another ring, as when its configuration changes.
    pub fn replace_ring(&mut self, ring: Arc<Ring>) {
        self.ring = ring;
        self.record(true);
    }

    pub fn push(&self, frame: Frame) {
        self.ring.push(Item::Frame(Arc::new(frame)));
    }

    pub fn end(&self, at: UtcMicros, fault: Option<FaultKind>) {
        self.clock.set(at.max(self.clock.now()));
        self.ring.push(Item::End(SessionEnd { at, fault }));
    }

    pub fn record(&self, on: bool) {
        self.wanted
            .send_replace(Arc::new(vec![(key(), Arc::clone(&self.ring), on)]));
    }

    /// Records this stream too.
    pub fn record_also(&self, key: StreamKey, ring: Arc<Ring>) {
        let mut all = self.wanted.borrow().to_vec();
        all.push((key, ring, true));
        self.wanted.send_replace(Arc::new(all));
    }

    /// Until everything before `t` is durable.
    pub async fn durable(&self, t: UtcMicros) {
        let mut durable = self.archive.watch_durable(&key());
        let wait = durable.wait_for(|d| *d >= Some(t));
        if tokio::time::timeout(Duration::from_secs(20), wait)
            .await
            .is_err()
        {
            panic!(
                "not durable until {t}, but until {:?}; {:?}",
                self.archive.durable_until(&key()),
                self.archive.health()
            );
        }
    }

    /// Stops in order; the archive can still be read.
    pub async fn stop(&mut self) {
        self.stop.cancel();
        while let Some(done) = self.tasks.join_next().await {
            done.unwrap();
        }
    }

    /// Ends as SIGKILL does: nothing is flushed, no row written. Opens again at `now`.
    pub async fn crash(mut self, now: UtcMicros) -> Self {
        self.tasks.abort_all();
        while self.tasks.join_next().await.is_some() {}
        self.again(None, now).await
    }

    /// After `stop`: opens the same folder again.
    pub async fn again(self, volume: Option<Arc<dyn Volume>>, now: UtcMicros) -> Self {
        let Self {
            folder,
            config,
            db,
            archive,
            ..
        } = self;
        drop(archive);
        db.close().await;
        Self::open(folder, config, volume, now).await
    }

    pub async fn clip(&self, r: TimeRange) -> Clip {
        self.archive.clip(&key(), r).await.unwrap()
    }

    pub async fn bytes(&self, r: TimeRange) -> Vec<u8> {
        read(&self.clip(r).await, 0, u64::MAX).await
    }
}

pub async fn read(clip: &Clip, from: u64, to: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let mut stream = std::pin::pin!(clip.read(from..to));
    while let Some(chunk) = stream.next().await {
        out.extend_from_slice(&chunk.unwrap());
    }
    out
}

pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let give_up = tokio::time::Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(tokio::time::Instant::now() < give_up, "waited 20 s: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What ffmpeg and ffprobe make of a file.
#[derive(Debug)]
pub struct Probe {
    pub duration: f64,
    /// Pictures shown.
    pub frames: usize,
    pub audio: bool,
}

/// Decodes all of it; any complaint fails the test.
pub fn probe(file: &[u8]) -> Probe {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("clip.mp4");
    std::fs::write(&path, file).unwrap();
    probe_file(&path)
}

pub fn probe_file(path: &Path) -> Probe {
    let out = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(path)
        .args(["-fps_mode", "passthrough", "-f", "null", "-"])
        .output()
        .expect("ffmpeg is installed");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(
        out.status.success() && said.is_empty(),
        "ffmpeg on {}: {said}",
        path.display()
    );
    let ask = |args: &[&str]| {
        let out = Command::new("ffprobe")
            .args(["-v", "error"])
            .args(args)
            .arg(path)
            .output()
            .unwrap();
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    };
    let duration = ask(&["-show_entries", "format=duration", "-of", "csv=p=0"]);
    let frames = ask(&[
        "-select_streams",
        "v",
        "-count_frames",
        "-show_entries",
        "stream=nb_read_frames",
        "-of",
        "csv=p=0",
    ]);
    let kinds = ask(&["-show_entries", "stream=codec_type", "-of", "csv=p=0"]);
    Probe {
        duration: duration.parse().unwrap(),
        // A playlist tells its stream twice.
        frames: frames
            .lines()
            .next()
            .unwrap()
            .trim_end_matches(',')
            .parse()
            .unwrap(),
        audio: kinds.contains("audio"),
    }
}

/// The access units of the video track, in decode order.
pub fn access_units(file: &[u8]) -> Vec<Vec<u8>> {
    let mp4 = re_mp4::Mp4::read_bytes(file).unwrap();
    let track = mp4
        .tracks()
        .values()
        .find(|t| t.kind == Some(re_mp4::TrackKind::Video))
        .unwrap();
    track
        .samples
        .iter()
        .map(|s| file[s.byte_range()].to_vec())
        .collect()
}

/// Fails unless spans and gaps tile the range; returns seconds recorded and the gaps.
pub fn tiles(c: &zhenbei::model::Coverage, asked: TimeRange) -> i64 {
    let mut all: Vec<TimeRange> = c
        .spans
        .iter()
        .copied()
        .chain(c.gaps.iter().map(|g| g.0))
        .collect();
    all.sort_by_key(|r| r.from);
    assert_eq!(all.first().unwrap().from, asked.from, "{c:?}");
    assert_eq!(all.last().unwrap().to, asked.to, "{c:?}");
    for w in all.windows(2) {
        assert_eq!(w[0].to, w[1].from, "{c:?}");
    }
    c.spans.iter().map(TimeRange::micros).sum()
}
