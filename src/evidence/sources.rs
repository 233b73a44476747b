//! Where exhibits come from, as this room needs it. The daemon joins it to archive, media and fleet.

use async_trait::async_trait;
use bytes::Bytes;

use crate::model::{Fix, GapCause, Result, StreamKey, TimeRange, UtcMicros, VehicleId};
use crate::store::ByteStream;

/// A range of a recording as one playable file.
pub struct SourceClip {
    /// Exactly as many bytes come.
    pub len: u64,
    /// Names these bytes.
    pub etag: String,
    /// Whole GOPs: may begin earlier than asked.
    pub delivered: TimeRange,
    /// What is missing of the range that was asked for.
    pub gaps: Vec<(TimeRange, GapCause)>,
    /// Reads nothing before it is polled.
    pub bytes: ByteStream,
}

pub struct SourceStill {
    pub jpeg: Bytes,
    /// When the picture was taken.
    pub at: UtcMicros,
}

#[async_trait]
pub trait Sources: Send + Sync {
    /// `NotFound`/`no_footage` when nothing of the range is recorded.
    async fn clip(&self, stream: &StreamKey, range: TimeRange) -> Result<SourceClip>;
    /// The key frame at or before `at`, or else the first one after it; `None` when there is none.
    async fn still(&self, stream: &StreamKey, at: UtcMicros) -> Result<Option<SourceStill>>;
    /// At most `limit` fixes in the order of device time.
    async fn track(&self, vehicle: &VehicleId, range: TimeRange, limit: usize) -> Result<Vec<Fix>>;
}
