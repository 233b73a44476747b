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
mod gop;
mod health;
mod hls;
mod init;
mod keys;
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

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::config::ArchiveConfig;
use crate::model::{Clock, Error, Result, StreamKey, UtcMicros};
use crate::store::Database;

pub use clip::{Clip, ClipAudio, ClipFragment};
pub use health::{Health, HealthState};
pub use hls::{HlsPlaylist, SegmentReader};
pub use keys::KeyFrame;
pub use mse::LiveFragments;
pub use run::Wanted;
pub use volume::{Folder, SegmentFile, Volume};

use health::{Troubles, disk_message, sync_message};
use retention::Pins;
use state::StreamState;

/// Cheap to clone; all clones are the same archive.
#[derive(Clone)]
pub struct Archive {
    inner: Arc<Inner>,
}

struct Inner {
    config: ArchiveConfig,
    dir: PathBuf,
    volume: Arc<dyn Volume>,
    db: Database,
    clock: Arc<dyn Clock>,
    troubles: Arc<Troubles>,
    streams: Mutex<HashMap<StreamKey, Arc<StreamState>>>,
    pins: Arc<Pins>,
    planned: clip::Planned,
    /// In the archive, as far as indexed.
    bytes: AtomicU64,
    /// Held while this process uses the folder.
    _lock: Option<File>,
}

impl Archive {
    /// Opens the archive in `dir` and reads back what a crash left out of the index.
    ///
    /// A folder that cannot be written is no error: what is there can be read, [`Archive::health`] says why recording is
    /// paused, and it is tried again. Errors: another process uses the folder, or the database does not answer.
    pub async fn open(
        config: ArchiveConfig,
        dir: PathBuf,
        db: Database,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let volume = Arc::new(Folder::new(dir.clone()));
        Self::open_on(config, dir, volume, db, clock).await
    }

    /// As [`Archive::open`], writing through `volume`.
    pub async fn open_on(
        config: ArchiveConfig,
        dir: PathBuf,
        volume: Arc<dyn Volume>,
        db: Database,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let troubles = Arc::new(Troubles::default());
        let lock = prepare(&dir, &volume, &troubles).await?;
        let inner = Arc::new(Inner {
            config,
            dir,
            volume,
            db,
            clock,
            troubles,
            streams: Mutex::default(),
            pins: Arc::default(),
            planned: clip::Planned::default(),
            bytes: AtomicU64::new(0),
            _lock: lock,
        });
        inner.recover().await?;
        let bytes = inner.db.archive_bytes().await?.iter().map(|(_, b)| b).sum();
        inner.bytes.store(bytes, Ordering::Relaxed);
        Ok(Self { inner })
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
        self.inner.troubles.health()
    }

    /// Applies the retention rules once, now; returns the number of files deleted. [`Archive::run`] does it regularly.
    pub async fn tidy(&self) -> Result<usize> {
        self.inner.tidy().await
    }

    /// Bytes in the archive, as far as indexed.
    pub fn bytes(&self) -> u64 {
        self.inner.bytes.load(Ordering::Relaxed)
    }
}

impl Inner {
    fn state(&self, key: &StreamKey) -> Arc<StreamState> {
        let mut all = self.streams();
        Arc::clone(
            all.entry(key.clone())
                .or_insert_with(|| Arc::new(StreamState::new(key.clone()))),
        )
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

/// Makes the folder, takes its lock, and writes a few bytes to know now and not at the first picture whether it can.
async fn prepare(
    dir: &Path,
    volume: &Arc<dyn Volume>,
    troubles: &Arc<Troubles>,
) -> Result<Option<File>> {
    let (dir, volume, troubles) = (dir.to_path_buf(), Arc::clone(volume), Arc::clone(troubles));
    let work = move || {
        let lock = std::fs::create_dir_all(&dir).and_then(|()| {
            File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(dir.join("archive.lock"))
        });
        let lock = match lock {
            Ok(lock) => lock,
            Err(e) => {
                let message = disk_message(&dir, &e);
                tracing::error!(error = %e, "{message}");
                troubles.disk(Some(message));
                return Ok(None);
            }
        };
        if rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(Error::conflict(
                "archive_in_use",
                format!(
                    "another process uses the archive in {}; stop it, or give this one a folder of its own",
                    dir.display()
                ),
            ));
        }
        let probe = Path::new("archive.probe");
        volume.remove(probe).ok();
        let written = volume
            .create(probe)
            .and_then(|file| file.write_at(&[0; 4096], 0).map(|()| file));
        match written.map(|file| file.sync()) {
            Ok(Ok(())) => {}
            Ok(Err(e)) => {
                let message = sync_message(&dir, &e);
                tracing::error!(error = %e, "{message}");
                troubles.sync(Some(message));
            }
            Err(e) => {
                let message = disk_message(&dir, &e);
                tracing::error!(error = %e, "{message}");
                troubles.disk(Some(message));
            }
        }
        volume.remove(probe).ok();
        Ok(Some(lock))
    };
    tokio::task::spawn_blocking(work).await.map_err(|e| {
        Error::internal("archive_start", "the archive's folder could not be checked").because(e)
    })?
}
