//! The disk, as little of it as the archive needs: append, cut, sync. Tests put a full or slow one in its place.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::volumes::Mark;

/// One file being written.
pub trait SegmentFile: Send + Sync {
    /// Writes all of it, or fails; what a failed write left is cut off by `truncate`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    fn truncate(&self, len: u64) -> io::Result<()>;
    /// Returns when the content would survive a power cut.
    fn sync(&self) -> io::Result<()>;
}

/// A folder on one disk.
pub trait Volume: Send + Sync + 'static {
    /// A new file; folders are made as needed. Fails when it is there already.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Bytes that can still be written.
    fn free_bytes(&self) -> io::Result<u64>;
    /// Gives the bytes of a run of a file back to the disk: `head` (which says so) at its begin, a hole behind it; durable.
    /// `Unsupported`: files cannot have holes here; nothing was changed.
    fn punch(&self, _path: &Path, _run: Range<u64>, _head: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// From now on nothing is created where this mark is not.
    fn guard(&self, _mark: Mark) {}
}

/// The real one.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    mark: Mutex<Option<Mark>>,
}

impl Folder {
    pub fn new(root: PathBuf) -> Self {
        Self {
            root,
            mark: Mutex::new(None),
        }
    }

    /// A disk may go away at any time: its mount point would take the files in its place.
    fn check(&self) -> io::Result<()> {
        let mark = *self.mark.lock().unwrap_or_else(PoisonError::into_inner);
        if mark.is_some() && Mark::of(&self.root).ok() != mark {
            let said = format!("the disk of {} is gone", self.root.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, said));
        }
        Ok(())
    }
}

impl SegmentFile for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        // fdatasync: the file's length is data, its times are not.
        self.sync_data()
    }
}

impl Volume for Folder {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        self.check()?;
        let path = self.root.join(path);
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        Ok(Arc::new(file))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(self.root.join(path))?.sync_all()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(self.root.join(path))?;
        // The day's folder, if this was its last file; anything else is left.
        if let Some(day) = path.parent() {
            std::fs::remove_dir(self.root.join(day)).ok();
        }
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let s = rustix::fs::statvfs(&self.root)?;
        Ok(s.f_bavail.saturating_mul(s.f_frsize))
    }

    fn punch(&self, path: &Path, run: Range<u64>, head: &[u8]) -> io::Result<()> {
        self.check()?;
        let file = OpenOptions::new().write(true).open(self.root.join(path))?;
        let at = run.start + head.len() as u64;
        let len = run.end.saturating_sub(at);
        // The head first: a hole without one would look like damage.
        file.write_all_at(head, run.start)?;
        if len > 0 {
            use rustix::fs::FallocateFlags as F;
            rustix::fs::fallocate(&file, F::PUNCH_HOLE | F::KEEP_SIZE, at, len)?;
        }
        file.sync_data()
    }

    fn guard(&self, mark: Mark) {
        *self.mark.lock().unwrap_or_else(PoisonError::into_inner) = Some(mark);
    }
}
