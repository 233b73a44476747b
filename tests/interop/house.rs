//! One camera, watched and recorded as the daemon does it: every back-end, a real ring, a real archive, real time.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zhenbei::archive::Archive;
use zhenbei::config::{ArchiveConfig, MediaConfig, VideoConfig};
use zhenbei::media::Media;
use zhenbei::model::{
    Camera, CameraPolicies, Clock, FaultReason, Secret, StreamKey, StreamState, SystemClock,
    Transport, UtcMicros,
};
use zhenbei::store::Database;
use zhenbei::video::{Read, Sessions, Start, Video};

use crate::fakes::{camera, main_of};

/// Far more than a slow machine needs; tests end as soon as what they wait for is there.
pub const PATIENCE: Duration = Duration::from_secs(40);

pub struct House {
    pub archive: Archive,
    pub video: Video,
    pub opened: UtcMicros,
    media: Media,
    db: Database,
    _folder: TempDir,
    _wanted: watch::Sender<Arc<Vec<Camera>>>,
    cameras: Stage,
    archiving: Stage,
    seen: Arc<std::sync::Mutex<Vec<Read>>>,
}

struct Stage {
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Stage {
    fn new() -> Self {
        Self {
            stop: CancellationToken::new(),
            tasks: JoinSet::new(),
        }
    }

    async fn end(mut self) -> Duration {
        let start = Instant::now();
        self.stop.cancel();
        while let Some(done) = self.tasks.join_next().await {
            done.unwrap();
        }
        start.elapsed()
    }
}

/// What is left when the camera is let go.
pub struct Closed {
    pub archive: Archive,
    pub opened: UtcMicros,
    /// Everything the ring gave out, in order.
    pub seen: Vec<Read>,
    /// How long the camera's tasks took to end.
    pub letting_go: Duration,
    _db: Database,
    _folder: TempDir,
}

pub fn key() -> StreamKey {
    main_of("a")
}

/// Short waits, so that tests are short; the picture has its usual time, because encoders here share two cores.
fn brisk() -> VideoConfig {
    VideoConfig {
        picture_timeout_ms: 4_000,
        answer_timeout_ms: 6_000,
        backoff_min_ms: 100,
        backoff_max_ms: 500,
        ..VideoConfig::default()
    }
}

impl House {
    pub async fn open(url: &str, transport: Transport, policies: CameraPolicies) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(SystemClock);
        let opened = clock.now();
        let index = format!("sqlite:{}", folder.path().join("index.db").display());
        let db = Database::open(&Secret::new(index)).await.unwrap();
        let config = ArchiveConfig {
            sync_interval_ms: 50,
            min_free_bytes: 0,
            ..ArchiveConfig::default()
        };
        let dir = folder.path().join("archive");
        let archive = Archive::open(config, dir, db.clone(), clock.clone())
            .await
            .unwrap();

        let program = PathBuf::from(env!("CARGO_BIN_EXE_zhenbei"));
        let media = Media::start(&MediaConfig::default(), program).unwrap();
        let runner = Arc::new(Sessions::new(&brisk(), clock.clone(), media.clone()));
        let mut watched = camera("a", url);
        watched.transport = transport;
        watched.policies = policies;
        let (wanted, list) = watch::channel(Arc::new(vec![watched]));
        let (mut cameras, mut archiving) = (Stage::new(), Stage::new());
        let (video, run) = Video::start(brisk(), clock, runner, list, cameras.stop.clone());
        let (a, streams, stop) = (archive.clone(), video.streams(), archiving.stop.clone());
        archiving
            .tasks
            .spawn(async move { a.run(streams, stop).await });
        cameras.tasks.spawn(run);

        let house = Self {
            archive,
            video,
            opened,
            media,
            db,
            _folder: folder,
            _wanted: wanted,
            cameras,
            archiving,
            seen: Arc::default(),
        };
        house
            .until("the camera is known", |h| h.video.ring(&key()).is_some())
            .await;
        house.look()
    }

    /// Keeps all that goes through the ring, until it is closed.
    fn look(mut self) -> Self {
        let mut cursor = self.video.ring(&key()).unwrap().cursor(Start::Oldest);
        let seen = Arc::clone(&self.seen);
        self.cameras.tasks.spawn(async move {
            while let Some(read) = cursor.next().await {
                seen.lock().unwrap().push(read);
            }
        });
        self
    }

    pub fn seen(&self) -> Vec<Read> {
        self.seen.lock().unwrap().clone()
    }

    pub fn fault(&self) -> Option<FaultReason> {
        self.video.status(&key()).and_then(|s| s.reason)
    }

    pub fn state(&self) -> Option<StreamState> {
        self.video.status(&key()).map(|s| s.state)
    }

    pub async fn until(&self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let give_up = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(
                Instant::now() < give_up,
                "not within {PATIENCE:?}: {what}; seen {}; {:?}",
                self.seen.lock().unwrap().len(),
                self.video.status(&key())
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Lets go of the camera, then of the archive, as the daemon does when it stops.
    pub async fn close(self) -> Closed {
        let letting_go = self.cameras.end().await;
        self.media.stop().await;
        self.archiving.end().await;
        Closed {
            archive: self.archive,
            opened: self.opened,
            seen: std::mem::take(&mut *self.seen.lock().unwrap()),
            letting_go,
            _db: self.db,
            _folder: self._folder,
        }
    }
}
