//! Where things are kept. Three seams: [`Database`] (SQLite or PostgreSQL), [`LiveState`] (memory or Redis), [`Blobs`] (folder).
//!
//! Each has one conformance suite, run against every back-end by `tests/store`.

pub mod blobs;
pub mod database;
pub mod live;

pub use blobs::{BlobName, Blobs, ByteStream, Folder, Stored};
pub use database::Database;
pub use live::LiveState;
