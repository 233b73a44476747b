//! Where exhibits come from, as this room needs it. The daemon joins it to archive, media and fleet.

use async_trait::async_trait;
use bytes::Bytes;

use crate::media::{DeriveOrder, Derived};
use crate::model::{
    Fix, FragmentClock, GapCause, Result, StreamKey, TakenFragments, TimeRange, UtcMicros,
    VehicleId,
};
use crate::store::ByteStream;

/// A range of a recording as one playable file.
pub struct SourceClip {
    /// Exactly as many bytes come.
    pub len: u64,
    /// Names these bytes.
    pub etag: String,
    /// The part of the asked range that plays.
    pub delivered: TimeRange,
    /// What is missing of the range that was asked for, also before and behind `delivered`. `NotYet`: its end is still on its
    /// way to the disk, and the clip is longer a little later.
    pub gaps: Vec<(TimeRange, GapCause)>,
    /// What of the archive it was taken from.
    pub fragments: Option<TakenFragments>,
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
    /// `NotFound`/`no_footage` as [`Sources::clip`] would say; where that can be told without the work of a clip, it is.
    async fn has_footage(&self, stream: &StreamKey, range: TimeRange) -> Result<()> {
        self.clip(stream, range).await.map(drop)
    }
    /// The key frame at or before `at`, or else the first one after it; `None` when there is none.
    async fn still(&self, stream: &StreamKey, at: UtcMicros) -> Result<Option<SourceStill>>;
    /// Which clocks the recording of a range tells of.
    async fn clock(&self, stream: &StreamKey, range: TimeRange) -> Result<FragmentClock>;
    /// Makes something of a clip that lies in evidence storage: one file in, one file out.
    async fn derive(&self, order: DeriveOrder) -> Result<Derived>;
    /// At most `limit` fixes in the order of device time.
    async fn track(&self, vehicle: &VehicleId, range: TimeRange, limit: usize) -> Result<Vec<Fix>>;
}
