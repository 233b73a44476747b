//! Evidence in a folder of this machine.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use sha2::{Digest, Sha256};

use super::{BlobName, Blobs, ByteStream, Stored};
use crate::model::{Error, Result};

const PIECE: usize = 256 << 10;
/// Half-written files older than this were left by a crash; younger ones may be another node's work.
const LEFT_BEHIND: Duration = Duration::from_secs(86_400);

/// Cheap to clone.
#[derive(Clone)]
pub struct Folder {
    root: Arc<Path>,
}

impl Folder {
    /// Makes the folder if needed and clears what a crash left half-written.
    pub async fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root: PathBuf = root.into();
        let shown = root.display().to_string();
        let folder = Self { root: root.into() };
        let tmp = folder.tmp();
        blocking(move || {
            fs::create_dir_all(&tmp)?;
            for entry in fs::read_dir(&tmp)? {
                let entry = entry?;
                let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
                if age > LEFT_BEHIND {
                    fs::remove_file(entry.path())?;
                }
            }
            Ok(())
        })
        .await
        .map_err(|e| {
            Error::unavailable(
                "evidence_storage_down",
                format!("cannot use the evidence folder {shown}; check that it exists or can be made, and is writable"),
            )
            .because(e)
        })?;
        Ok(folder)
    }

    fn tmp(&self) -> PathBuf {
        self.root.join(".tmp")
    }

    fn path(&self, name: &BlobName) -> PathBuf {
        self.root.join(name.as_str())
    }

    fn failed(&self, doing: &str, name: &str, e: io::Error) -> Error {
        let full = matches!(
            e.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        );
        let folder = self.root.display();
        if full {
            Error::unavailable(
                "disk_full",
                format!("cannot {doing} {name}: the disk of the evidence folder {folder} is full; free space on it"),
            )
        } else {
            Error::unavailable(
                "evidence_storage_down",
                format!("cannot {doing} {name} in the evidence folder {folder}"),
            )
        }
        .because(e)
    }
}

/// Removes the half-written file unless it got its name.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(e) = fs::remove_file(&self.0)
            && e.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(file = %self.0.display(), error = %e, "cannot remove a half-written file");
        }
    }
}

#[async_trait]
impl Blobs for Folder {
    async fn put_once(&self, name: &BlobName, mut bytes: ByteStream) -> Result<Stored> {
        let failed = |e| self.failed("write", name.as_str(), e);
        let (path, tmp) = (
            self.path(name),
            self.tmp().join(uuid::Uuid::now_v7().to_string()),
        );
        let begin = {
            let (path, tmp) = (path.clone(), tmp.clone());
            blocking(move || {
                if path.try_exists()? {
                    return Ok(None);
                }
                Ok(Some((
                    Temporary(tmp.clone()),
                    File::options().write(true).create_new(true).open(&tmp)?,
                )))
            })
        };
        let Some((temporary, file)) = begin.await.map_err(failed)? else {
            return Err(exists(name));
        };
        let mut writing = Writing {
            file,
            sha256: Sha256::new(),
            crc32: crc32fast::Hasher::new(),
            bytes: 0,
        };
        while let Some(piece) = bytes.next().await {
            let piece = piece.map_err(|e| {
                Error::unavailable(
                    "source_failed",
                    format!("what was to be copied to {name} could not be read"),
                )
                .because(e)
            })?;
            writing = blocking(move || {
                writing.take(&piece)?;
                Ok(writing)
            })
            .await
            .map_err(failed)?;
        }
        let root = self.root.clone();
        let stored = blocking(move || {
            writing.file.sync_all()?;
            let parent = path.parent().unwrap_or(&root);
            make_dirs(&root, parent)?;
            let named = name_it(&temporary.0, &path)?;
            sync_dir(parent)?;
            Ok(named.then(|| Stored {
                bytes: writing.bytes,
                sha256: hex::encode(writing.sha256.finalize()),
                crc32: writing.crc32.finalize(),
            }))
        })
        .await
        .map_err(failed)?;
        stored.ok_or_else(|| exists(name))
    }

    async fn len(&self, name: &BlobName) -> Result<Option<u64>> {
        let path = self.path(name);
        blocking(move || match fs::metadata(&path) {
            Ok(m) => Ok(m.is_file().then_some(m.len())),
            Err(e) if is_absent(&e) => Ok(None),
            Err(e) => Err(e),
        })
        .await
        .map_err(|e| self.failed("look at", name.as_str(), e))
    }

    async fn read(&self, name: &BlobName, range: Range<u64>) -> Result<ByteStream> {
        let path = self.path(name);
        let start = range.start;
        let file = blocking(move || {
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(start))?;
            Ok(file)
        })
        .await
        .map_err(|e| {
            if is_absent(&e) {
                Error::not_found(
                    "evidence_missing",
                    format!(
                        "{name} is not in the evidence folder {}; restore it from a backup",
                        self.root.display()
                    ),
                )
                .because(e)
            } else {
                self.failed("read", name.as_str(), e)
            }
        })?;
        let left = range.end.saturating_sub(range.start);
        let pieces = stream::try_unfold((file, left), |(file, left)| async move {
            if left == 0 {
                return Ok(None);
            }
            let (file, piece) = blocking(move || read_piece(file, left)).await?;
            if piece.is_empty() {
                return Ok(None);
            }
            let left = left.saturating_sub(u64::try_from(piece.len()).unwrap_or(left));
            Ok(Some((piece, (file, left))))
        });
        Ok(pieces.boxed())
    }

    fn local(&self, name: &BlobName) -> Option<PathBuf> {
        std::path::absolute(self.path(name)).ok()
    }

    async fn delete(&self, name: &BlobName) -> Result<bool> {
        let path = self.path(name);
        blocking(move || match fs::remove_file(&path) {
            Ok(()) => {
                path.parent().map_or(Ok(()), sync_dir)?;
                Ok(true)
            }
            Err(e) if is_absent(&e) => Ok(false),
            Err(e) => Err(e),
        })
        .await
        .map_err(|e| self.failed("delete", name.as_str(), e))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<BlobName>> {
        let root = self.root.clone();
        let start = if prefix.is_empty() {
            root.to_path_buf()
        } else {
            self.path(&BlobName::new(prefix)?)
        };
        blocking(move || {
            let mut names = Vec::new();
            let mut folders = vec![start];
            while let Some(folder) = folders.pop() {
                let entries = match fs::read_dir(&folder) {
                    Ok(entries) => entries,
                    Err(e) if is_absent(&e) => continue,
                    Err(e) => return Err(e),
                };
                for entry in entries {
                    let path = entry?.path();
                    let relative = path.strip_prefix(&*root).ok().and_then(Path::to_str);
                    // Half-written files and what others put here have no name of ours.
                    let Some(name) = relative.and_then(|r| BlobName::new(r).ok()) else {
                        continue;
                    };
                    if path.is_dir() {
                        folders.push(path);
                    } else {
                        names.push(name);
                    }
                }
            }
            names.sort();
            Ok(names)
        })
        .await
        .map_err(|e| self.failed("list", prefix, e))
    }

    async fn free(&self) -> Result<Option<u64>> {
        let root = self.root.clone();
        blocking(move || {
            let s = rustix::fs::statvfs(&*root)?;
            Ok(Some(s.f_bavail.saturating_mul(s.f_frsize)))
        })
        .await
        .map_err(|e| self.failed("ask for the free space of", "the disk", e))
    }
}

struct Writing {
    file: File,
    sha256: Sha256,
    crc32: crc32fast::Hasher,
    bytes: u64,
}

impl Writing {
    fn take(&mut self, piece: &Bytes) -> io::Result<()> {
        self.sha256.update(piece);
        self.crc32.update(piece);
        self.file.write_all(piece)?;
        self.bytes = self
            .bytes
            .saturating_add(u64::try_from(piece.len()).map_err(io::Error::other)?);
        Ok(())
    }
}

fn exists(name: &BlobName) -> Error {
    Error::conflict(
        "exists",
        format!("there already is evidence named {name}; it is never overwritten"),
    )
}

fn is_absent(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Gives the file its name; false when the name is taken. File systems without `RENAME_NOREPLACE` get a hard link.
fn name_it(tmp: &Path, path: &Path) -> io::Result<bool> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, tmp, CWD, path, RenameFlags::NOREPLACE) {
        Ok(()) => return Ok(true),
        Err(rustix::io::Errno::EXIST) => return Ok(false),
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::NOTSUP) => {}
        Err(e) => return Err(e.into()),
    }
    match fs::hard_link(tmp, path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(e),
    }
}

/// Makes the folders from `root` down to `dir`, each durable in the one above it.
fn make_dirs(root: &Path, dir: &Path) -> io::Result<()> {
    if dir.try_exists()? || !dir.starts_with(root) {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        make_dirs(root, parent)?;
    }
    match fs::create_dir(dir) {
        Ok(()) => dir.parent().map_or(Ok(()), sync_dir),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(e),
    }
}

/// A new name survives a power cut only when its folder is synced.
fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn read_piece(mut file: File, left: u64) -> io::Result<(File, Bytes)> {
    let most = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
    let mut piece = vec![0; most];
    let mut filled = 0;
    while let Some(room) = piece.get_mut(filled..).filter(|r| !r.is_empty()) {
        match file.read(room) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    piece.truncate(filled);
    Ok((file, piece.into()))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}
