//! A disk with faults that can be switched on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use zhenbei::archive::{Folder, Mark, SegmentFile, Volume};
use zhenbei::model::{Clock, SystemClock, UtcMicros};

#[derive(Default)]
pub struct Faults {
    pub full: AtomicBool,
    pub broken_sync: AtomicBool,
    pub write_ms: AtomicU64,
}

#[derive(Clone)]
pub struct Faulty {
    inner: Arc<Folder>,
    pub faults: Arc<Faults>,
}

struct FaultyFile {
    inner: Arc<dyn SegmentFile>,
    faults: Arc<Faults>,
}

impl Faulty {
    pub fn new(root: PathBuf, faults: Arc<Faults>) -> Self {
        Self {
            inner: Arc::new(Folder::new(root)),
            faults,
        }
    }
}

impl Volume for Faulty {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        Ok(Arc::new(FaultyFile {
            inner: self.inner.create(path)?,
            faults: Arc::clone(&self.faults),
        }))
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.sync_dir(path)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }
    fn free_bytes(&self) -> io::Result<u64> {
        self.inner.free_bytes()
    }
    fn guard(&self, mark: Mark) {
        self.inner.guard(mark);
    }
}

impl SegmentFile for FaultyFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let wait = self.faults.write_ms.load(Ordering::Relaxed);
        if wait > 0 {
            #[allow(clippy::disallowed_methods, reason = "a slow disk blocks its thread")]
            std::thread::sleep(Duration::from_millis(wait));
        }
        if self.faults.full.load(Ordering::Relaxed) {
            // A full disk takes a part first.
            self.inner.write_at(&bytes[..bytes.len() / 2], offset)?;
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.inner.write_at(bytes, offset)
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.inner.truncate(len)
    }
    fn sync(&self) -> io::Result<()> {
        if self.faults.broken_sync.load(Ordering::Relaxed) {
            return Err(io::Error::from_raw_os_error(5));
        }
        self.inner.sync()
    }
}

/// The machine's clock, which a fault sets to another time.
#[derive(Default)]
pub struct SteppedClock(AtomicI64);

impl SteppedClock {
    pub fn step(&self, micros: i64) {
        self.0.fetch_add(micros, Ordering::Relaxed);
    }
}

impl Clock for SteppedClock {
    fn now(&self) -> UtcMicros {
        SystemClock.now() + self.0.load(Ordering::Relaxed)
    }
}
