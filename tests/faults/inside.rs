//! Cameras, ring, archive and database in this process, so that disk and clock can be made to fail.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zhenbei::archive::{Archive, Finding, Fsck, FsckOptions};
use zhenbei::config::{ArchiveConfig, Environment, VideoConfig, parse_site};
use zhenbei::model::{Clock, Secret, StreamKey, SystemClock};
use zhenbei::store::Database;
use zhenbei::video::{RtspRunner, Video};

use crate::camera::Camera;
use crate::faulty::{Faults, Faulty, SteppedClock};
use crate::support::daemon::camera_toml;

pub struct Inside {
    pub dir: Arc<TempDir>,
    pub db: Database,
    pub archive: Archive,
    pub clock: Arc<SteppedClock>,
    pub faults: Arc<Faults>,
    config: ArchiveConfig,
    video_stop: CancellationToken,
    archive_stop: CancellationToken,
    video: JoinSet<()>,
    recording: JoinSet<()>,
}

pub fn archive_config() -> ArchiveConfig {
    ArchiveConfig {
        segment_ms: 10_000,
        min_free_bytes: 0,
        ..ArchiveConfig::default()
    }
}

impl Inside {
    pub async fn start(cameras: &[Camera], config: ArchiveConfig) -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let (clock, faults) = (Arc::default(), Arc::default());
        Self::open(dir, cameras, config, clock, faults).await
    }

    async fn open(
        dir: Arc<TempDir>,
        cameras: &[Camera],
        config: ArchiveConfig,
        clock: Arc<SteppedClock>,
        faults: Arc<Faults>,
    ) -> Self {
        let url = format!("sqlite:{}", dir.path().join("index.db").display());
        let db = Database::open(&Secret::new(url)).await.unwrap();
        let root = dir.path().join("archive");
        let volume = Arc::new(Faulty::new(root.clone(), Arc::clone(&faults)));
        let time: Arc<dyn Clock> = clock.clone();
        let archive = Archive::open_on(config.clone(), root, volume, db.clone(), Arc::clone(&time))
            .await
            .unwrap();
        let site: String = cameras
            .iter()
            .map(|c| camera_toml(&c.name, &c.url()))
            .collect();
        let site = parse_site(
            std::path::Path::new("site.toml"),
            &site,
            &Environment::default(),
        )
        .unwrap();
        let (wanted, watch) = watch::channel(Arc::new(site.cameras));
        let settings = VideoConfig {
            backoff_min_ms: 100,
            backoff_max_ms: 500,
            connects_per_host: 16,
            ..VideoConfig::default()
        };
        let runner = Arc::new(RtspRunner::new(&settings, Arc::clone(&time)));
        let (video_stop, archive_stop) = (CancellationToken::new(), CancellationToken::new());
        let (pictures, supervise) = Video::start(settings, time, runner, watch, video_stop.clone());
        let mut video = JoinSet::new();
        video.spawn(async move {
            supervise.await;
            drop(wanted);
        });
        let mut recording = JoinSet::new();
        let (a, streams, stop) = (archive.clone(), pictures.streams(), archive_stop.clone());
        recording.spawn(async move {
            a.run(streams, stop).await;
            drop(pictures);
        });
        Self {
            dir,
            db,
            archive,
            clock,
            faults,
            config,
            video_stop,
            archive_stop,
            video,
            recording,
        }
    }

    pub fn root(&self) -> PathBuf {
        self.dir.path().join("archive")
    }

    /// In the order of the daemon: cameras, then the archive writes what is left.
    pub async fn stop(&mut self) {
        self.archive.will_stop();
        self.video_stop.cancel();
        while self.video.join_next().await.is_some() {}
        self.archive_stop.cancel();
        while self.recording.join_next().await.is_some() {}
    }

    /// After `stop`: the same again, as a new process would.
    pub async fn again(self, cameras: &[Camera]) -> Self {
        let Self {
            dir,
            db,
            archive,
            clock,
            faults,
            config,
            ..
        } = self;
        drop(archive);
        db.close().await;
        Self::open(dir, cameras, config, clock, faults).await
    }

    /// After `stop`: what a check finds. The archive is given up.
    pub async fn fsck(self) -> (Arc<TempDir>, Database, Vec<Finding>) {
        let root = self.root();
        let Self {
            dir,
            db,
            archive,
            config,
            ..
        } = self;
        drop(archive);
        let clock = Arc::new(SystemClock);
        let options = FsckOptions::default();
        let fsck = Fsck::open(&config, root, db.clone(), clock, options)
            .await
            .unwrap();
        let mut found = Vec::new();
        fsck.run(&mut |f: &Finding| found.push(f.clone()))
            .await
            .unwrap();
        (dir, db, found)
    }

    /// Until every camera has recorded something durable.
    pub async fn recording(&self, cameras: &[Camera]) {
        for camera in cameras {
            let mut durable = self.archive.watch_durable(&key_of(camera));
            let before = *durable.borrow();
            let more = durable.wait_for(|d| *d > before);
            if tokio::time::timeout(Duration::from_secs(60), more)
                .await
                .is_err()
            {
                panic!(
                    "{} does not record: {:?}",
                    camera.name,
                    self.archive.health()
                );
            }
        }
    }
}

pub fn key_of(camera: &Camera) -> StreamKey {
    StreamKey::main(zhenbei::model::CameraId::new(&camera.name).unwrap())
}
