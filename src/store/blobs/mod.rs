//! Write-once files of evidence: hashed while they are written, durable before they are named, never overwritten.
//!
//! One folder on one box today; an object store fits behind the same trait.

mod folder;
mod name;

use std::io;
use std::ops::Range;
use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use crate::model::Result;

pub use folder::Folder;
pub use name::BlobName;

/// The bytes of a file, piece by piece.
pub type ByteStream = BoxStream<'static, io::Result<Bytes>>;

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub bytes: u64,
    /// Lower-case hex.
    pub sha256: String,
    /// CRC-32 as ZIP uses it.
    pub crc32: u32,
}

#[async_trait]
pub trait Blobs: Send + Sync {
    /// Writes all of `bytes` under a name that is new. `Ok` means durable. On an error there is nothing under that
    /// name; when the caller goes away, nothing or the whole. A taken name is a conflict (`exists`), a full store `disk_full`.
    async fn put_once(&self, name: &BlobName, bytes: ByteStream) -> Result<Stored>;
    /// Bytes of the file; `None` when there is none.
    async fn len(&self, name: &BlobName) -> Result<Option<u64>>;
    /// The part of the file; what lies beyond its end is left out. Bounded pieces, so that slow readers hold little memory.
    async fn read(&self, name: &BlobName, range: Range<u64>) -> Result<ByteStream>;
    /// Where a program on this machine can read the file, when the store has it so.
    fn local(&self, name: &BlobName) -> Option<PathBuf> {
        let _elsewhere = name;
        None
    }
    /// False when there was none.
    async fn delete(&self, name: &BlobName) -> Result<bool>;
    /// Names that begin with the folder `prefix` (empty: all), in order.
    async fn list(&self, prefix: &str) -> Result<Vec<BlobName>>;
    /// Bytes that still fit; `None` when the store knows no limit.
    async fn free(&self) -> Result<Option<u64>>;
}
