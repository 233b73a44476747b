//! What is true now and may be lost: the newest fix of every vehicle. Rebuilt from the track history after a loss.

mod memory;
mod packed;
mod redis;

use async_trait::async_trait;

use crate::model::{BoundingBox, Fix, GeoPoint, Result, UtcMicros, VehicleId};

pub use memory::MemoryLive;
pub use packed::{PackedFix, at_stored_precision};
pub use redis::RedisLive;

/// Newest by device time wins, whatever the order of arrival; of two with the same device time the first to arrive stays. May
/// lose everything at any time; never holds what is nowhere else. A call answers or fails within about a second.
#[async_trait]
pub trait LiveState: Send + Sync {
    /// Takes each fix that is newer (device time) than the one held. Returns those taken.
    async fn put(&self, fixes: &[Fix]) -> Result<Vec<Fix>>;
    async fn latest(&self, vehicle: &VehicleId) -> Result<Option<Fix>>;
    /// All held, or those in the box; unordered.
    async fn within(&self, bounds: Option<BoundingBox>) -> Result<Vec<Fix>>;
    /// At most `limit` within `radius_m` metres, nearest first.
    async fn nearest(&self, to: GeoPoint, radius_m: f64, limit: usize) -> Result<Vec<Fix>>;
    async fn forget(&self, vehicle: &VehicleId) -> Result<()>;
    /// Forgets the vehicles whose newest fix was received before `received`. Returns how many.
    async fn forget_older(&self, received: UtcMicros) -> Result<usize>;
    async fn ping(&self) -> Result<()>;
}
