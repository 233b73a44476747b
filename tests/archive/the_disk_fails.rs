//! A full, a broken, a slow disk: a gap with its cause, everything else lives on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use zhenbei::archive::{Folder, HealthState, SegmentFile, Volume};
use zhenbei::model::GapCause;

use crate::footage;
use crate::house::{House, SECOND, T0, at, key, probe_file, range, tiles, until};

/// A folder with faults that can be switched on.
#[derive(Clone)]
pub struct Faulty {
    inner: Arc<Folder>,
    pub faults: Arc<Faults>,
}

#[derive(Default)]
pub struct Faults {
    full: AtomicBool,
    /// EIO at every write.
    pub broken: AtomicBool,
    broken_sync: AtomicBool,
    pub write_ms: AtomicU64,
    /// Writes that worked.
    writes: AtomicU64,
}

struct FaultyFile {
    inner: Arc<dyn SegmentFile>,
    faults: Arc<Faults>,
}

impl Faulty {
    pub fn new(root: PathBuf) -> Self {
        Self {
            inner: Arc::new(Folder::new(root)),
            faults: Arc::default(),
        }
    }
}

fn full() -> io::Error {
    io::Error::from(io::ErrorKind::StorageFull)
}

impl Volume for Faulty {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        let inner = self.inner.create(path)?;
        Ok(Arc::new(FaultyFile {
            inner,
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
            return Err(full());
        }
        if self.faults.broken.load(Ordering::Relaxed) {
            return Err(io::Error::from_raw_os_error(5));
        }
        self.faults.writes.fetch_add(1, Ordering::Relaxed);
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

async fn house() -> (House, Arc<Faults>) {
    house_with(crate::house::config()).await
}

async fn house_with(config: zhenbei::config::ArchiveConfig) -> (House, Arc<Faults>) {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let volume = Faulty::new(folder.path().join("archive"));
    let faults = Arc::clone(&volume.faults);
    (
        House::open(folder, config, Some(Arc::new(volume)), T0).await,
        faults,
    )
}

async fn check_files(house: &House) {
    for path in house.db.archive_paths(&key()).await.unwrap().keys() {
        probe_file(&house.dir().join(path));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_pauses_recording_and_says_so() {
    let (mut house, faults) = house().await;
    let f = footage::h264(20);
    house.play(&f, 0.0, 4.0, T0);
    house.durable(at(3.0)).await;
    faults.full.store(true, Ordering::Relaxed);
    // Until the disk refuses, and for as long as the pause lasts.
    house.play_on(&f, 4.0, 9.0, T0);
    let archive = house.archive.clone();
    until("recording is paused", move || {
        archive.health().state == HealthState::Paused
    })
    .await;
    let message = house.archive.health().message.unwrap();
    assert!(
        message.contains("full") && message.contains("free space"),
        "{message}"
    );
    faults.full.store(false, Ordering::Relaxed);
    house.play_on(&f, 9.0, 20.0, T0);
    house.stop().await;
    assert_eq!(house.archive.health().state, HealthState::Ok);
    let asked = range(0.0, 20.0);
    let c = house.archive.coverage(&key(), asked).await.unwrap();
    tiles(&c, asked);
    assert_eq!(c.gaps.len(), 1, "{c:?}");
    assert_eq!(c.gaps[0].1, GapCause::DiskFull);
    assert_eq!(c.gaps[0].0.from, at(3.0));
    assert!(
        c.gaps[0].0.to <= at(16.0),
        "it is tried again after seconds: {c:?}"
    );
    check_files(&house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_makes_its_range_suspect_and_begins_a_new_file() {
    let (mut house, faults) = house().await;
    let f = footage::h264(16);
    house.play(&f, 0.0, 4.0, T0);
    house.durable(at(3.0)).await;
    faults.broken_sync.store(true, Ordering::Relaxed);
    house.play_on(&f, 4.0, 8.0, T0);
    let archive = house.archive.clone();
    until("the error is told", move || {
        archive.health().state == HealthState::Paused
    })
    .await;
    faults.broken_sync.store(false, Ordering::Relaxed);
    house.play_on(&f, 8.0, 16.0, T0);
    house.stop().await;
    let asked = range(0.0, 16.0);
    let c = house.archive.coverage(&key(), asked).await.unwrap();
    let recorded = tiles(&c, asked);
    assert!(
        c.gaps.iter().all(|g| g.1 == GapCause::DiskError) && !c.gaps.is_empty(),
        "{c:?}"
    );
    assert!(recorded >= 10 * SECOND, "{c:?}");
    assert!(
        house.db.archive_paths(&key()).await.unwrap().len() >= 2,
        "the same file is not used again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_work_do_not_hide_that_nothing_is_made_durable() {
    let (mut house, faults) = house().await;
    let f = footage::h264(24);
    house.play(&f, 0.0, 3.0, T0);
    house.durable(at(2.0)).await;
    faults.broken_sync.store(true, Ordering::Relaxed);
    house.play_on(&f, 3.0, 5.0, T0);
    let archive = house.archive.clone();
    until("the error is told", move || {
        archive.health().state == HealthState::Paused
    })
    .await;
    // Each of these pictures is written into the page cache without an error.
    let begun = faults.writes.load(Ordering::Relaxed);
    for second in 5..15 {
        let t = f64::from(second);
        house.play_on(&f, t, t + 1.0, T0);
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let health = house.archive.health();
            assert_eq!(health.state, HealthState::Paused, "{health:?}");
            let message = health.message.unwrap();
            assert!(message.contains("cannot be made durable"), "{message}");
        }
    }
    assert!(faults.writes.load(Ordering::Relaxed) > begun + 5);
    faults.broken_sync.store(false, Ordering::Relaxed);
    house.play_on(&f, 15.0, 24.0, T0);
    let archive = house.archive.clone();
    until("it works again", move || {
        archive.health().state == HealthState::Ok
    })
    .await;
    house.stop().await;
    assert_eq!(house.archive.health().message, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_disk_leaves_gaps_and_bounds_the_queue() {
    let mut config = crate::house::config();
    config.queue_bytes = 600_000;
    let (mut house, faults) = house_with(config).await;
    faults.write_ms.store(150, Ordering::Relaxed);
    let f = footage::h264(20);
    house.play(&f, 0.0, 20.0, T0);
    house.stop().await;
    let asked = range(0.0, 20.0);
    let c = house.archive.coverage(&key(), asked).await.unwrap();
    let recorded = tiles(&c, asked);
    let behind: i64 = c
        .gaps
        .iter()
        .filter(|g| g.1 == GapCause::DiskBehind)
        .map(|g| g.0.micros())
        .sum();
    // What is missing at the very end has no fragment behind it that would close its gap.
    let tail = c
        .gaps
        .last()
        .filter(|g| g.0.to == asked.to)
        .map_or(0, |g| g.0.micros());
    assert!(behind > 0, "{c:?}");
    assert!(recorded + behind + tail >= 20 * SECOND, "{c:?}");
    check_files(&house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_written_does_not_stop_the_daemon() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    // A file where the folder should be: root, too, cannot write into it.
    std::fs::write(folder.path().join("archive"), b"not a folder").unwrap();
    let mut house = House::open(Arc::clone(&folder), crate::house::config(), None, T0).await;
    let health = house.archive.health();
    assert_eq!(health.state, HealthState::Paused);
    assert!(health.message.unwrap().contains("cannot write to"));
    let f = footage::h264(4);
    house.play(&f, 0.0, 4.0, T0);
    house.stop().await;
    let asked = range(0.0, 4.0);
    let c = house.archive.coverage(&key(), asked).await.unwrap();
    assert_eq!(tiles(&c, asked), 0);
    assert!(c.gaps.iter().any(|g| g.1 == GapCause::DiskError), "{c:?}");
}
