//! The archive: what the cameras showed, kept so that nothing is lost silently and any moment is at hand.
//!
//! A recorder per stream ([`recorder`](self)) is a cursor on the stream's ring: it cuts frames into fragments (`gop`), places
//! them on the wall clock (`timeline`) and offers them to the disk pool (`disk`), which builds the bytes (`fragment`), hashes
//! and appends them. A timer makes them durable and only then writes the index (`sync`). After a crash the files tell what
//! the index missed (`recovery`). Reading: [`Archive::coverage`], [`Archive::clip`], [`Archive::hls`],
//! [`Archive::key_frame_at`]. `docs/storage.md` has the life of a segment and the layout of the bytes.
//!
//! Promises: ingest never waits for the disk or the database; recorded spans and gaps tile the time; the index is a cache of
//! the files; nothing is deleted because the index does not know it; what is held is never deleted.

mod boxes;
mod clip;
mod clocks;
mod coverage;
mod disk;
mod fragment;
mod freed;
mod fsck;
#[doc(hidden)]
pub mod fuzzing;
mod gop;
mod health;
mod hls;
mod init;
mod keys;
mod ledger;
mod mse;
mod params;
mod recorder;
mod recovery;
mod retention;
mod run;
mod samples;
mod scan;
mod state;
mod sync;
mod timeline;
mod track;
mod volume;
mod volumes;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::config::ArchiveConfig;
use crate::model::{Clock, Result, StreamKey, UtcMicros};
use crate::store::Database;

pub use clip::{Clip, ClipAudio, ClipFragment};
pub use fsck::{Finding, FindingKind, Fsck, FsckOptions, FsckSummary};
pub use health::{Health, HealthState};
pub use hls::{HlsPlaylist, SegmentReader};
pub use keys::{KeyFrame, KeyTimes};
pub use mse::LiveFragments;
pub use retention::{FloorState, Forecast};
pub use run::Wanted;
pub use volume::{Folder, SegmentFile, Volume};
pub use volumes::{Areas, Mark, VolumeStatus};

use health::Troubles;
use retention::Pins;
use state::StreamState;
use volumes::Volumes;

/// Cheap to clone; all clones are the same archive.
#[derive(Clone)]
pub struct Archive {
    inner: Arc<Inner>,
}

struct Inner {
    config: ArchiveConfig,
    volumes: Arc<Volumes>,
    db: Database,
    clock: Arc<dyn Clock>,
    /// What is not about one disk.
    troubles: Arc<Troubles>,
    streams: Mutex<HashMap<StreamKey, Arc<StreamState>>>,
    pins: Arc<Pins>,
    planned: clip::Planned,
    committing: tokio::sync::Mutex<()>,
    tidying: tokio::sync::Mutex<()>,
    /// The daemon is about to stop: streams that go now are not switched off.
    stopping: AtomicBool,
}

impl Archive {
    /// Opens the archive in `dir` and the configured volumes, and reads back what a crash left out of the index.
    ///
    /// A folder that cannot be written is no error: what is there can be read, [`Archive::health`] says why recording is
    /// paused, and it is tried again. Errors: another process uses the folder, or the database does not answer.
    pub async fn open(
        config: ArchiveConfig,
        dir: PathBuf,
        db: Database,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        Self::open_through(config, dir, &folder, db, clock).await
    }

    /// As [`Archive::open`], writing to `dir` through `volume`.
    pub async fn open_on(
        config: ArchiveConfig,
        dir: PathBuf,
        volume: Arc<dyn Volume>,
        db: Database,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let make = move |name: &str, at: &Path| {
            if name.is_empty() {
                Arc::clone(&volume)
            } else {
                folder(name, at)
            }
        };
        Self::open_through(config, dir, &make, db, clock).await
    }

    /// As [`Archive::open`], writing through what `make` makes of the name and the folder of each volume.
    pub async fn open_through(
        config: ArchiveConfig,
        dir: PathBuf,
        make: &(dyn Fn(&str, &Path) -> Arc<dyn Volume> + Sync),
        db: Database,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let volumes = Arc::new(Volumes::new(&config, dir, make));
        let inner = Arc::new(Inner {
            config,
            volumes,
            db,
            clock,
            troubles: Arc::default(),
            streams: Mutex::default(),
            pins: Arc::default(),
            planned: clip::Planned::default(),
            committing: tokio::sync::Mutex::default(),
            tidying: tokio::sync::Mutex::default(),
            stopping: AtomicBool::new(false),
        });
        inner.recover().await?;
        let bytes = inner.db.archive_volume_bytes().await?;
        for mount in inner.volumes.all() {
            mount.set_bytes(bytes.get(&mount.name).copied().unwrap_or(0));
        }
        Ok(Self { inner })
    }

    /// How to find out the area of a camera, for volumes and rules that name areas. Counts once.
    pub fn know_areas(&self, areas: Areas) {
        self.inner.volumes.know_areas(areas);
    }

    pub fn volumes(&self) -> Vec<VolumeStatus> {
        self.inner.volumes.status()
    }

    /// To be called before the cameras are stopped: from now on a stream that goes away ends with the daemon, and is not one
    /// whose recording somebody switched off.
    pub fn will_stop(&self) {
        self.inner.stopping.store(true, Ordering::Release);
    }

    /// Everything of this stream recorded before this survives a power cut and is found.
    pub fn durable_until(&self, stream: &StreamKey) -> Option<UtcMicros> {
        self.inner
            .known(stream)
            .and_then(|state| state.durable_until())
    }

    /// Follows [`Archive::durable_until`].
    pub fn watch_durable(&self, stream: &StreamKey) -> watch::Receiver<Option<UtcMicros>> {
        self.inner.state(stream).watch_durable()
    }

    pub fn is_recording(&self, stream: &StreamKey) -> bool {
        self.inner
            .known(stream)
            .is_some_and(|state| state.is_recording())
    }

    pub fn health(&self) -> Health {
        let (archive, disks) = (self.inner.troubles.health(), self.inner.volumes.health());
        let said: Vec<String> = disks.message.into_iter().chain(archive.message).collect();
        Health {
            state: disks.state.max(archive.state),
            message: (!said.is_empty()).then(|| said.join("; ")),
        }
    }

    /// Applies the retention rules once, now; returns the number of files deleted. [`Archive::run`] does it regularly.
    pub async fn tidy(&self) -> Result<usize> {
        self.inner.tidy().await
    }

    /// Bytes in the archive, as far as indexed.
    pub fn bytes(&self) -> u64 {
        self.inner.volumes.bytes()
    }
}

impl Inner {
    fn state(&self, key: &StreamKey) -> Arc<StreamState> {
        let mut all = self.streams();
        let new = || {
            let state = StreamState::new(key.clone());
            state.advance(state::ChainHead {
                next_seq: 1 + self.left_free(),
                ..state::ChainHead::EMPTY
            });
            Arc::new(state)
        };
        Arc::clone(all.entry(key.clone()).or_insert_with(new))
    }

    fn known(&self, key: &StreamKey) -> Option<Arc<StreamState>> {
        self.streams().get(key).cloned()
    }

    fn states(&self) -> Vec<Arc<StreamState>> {
        let mut all: Vec<_> = self.streams().values().cloned().collect();
        all.sort_by(|a, b| a.key.cmp(&b.key));
        all
    }

    fn streams(&self) -> std::sync::MutexGuard<'_, HashMap<StreamKey, Arc<StreamState>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn folder(_: &str, dir: &Path) -> Arc<dyn Volume> {
    Arc::new(Folder::new(dir.to_path_buf()))
}
