//! What a source hands to the ingest: one decoded message and the receipt that the sender waits for.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::decode::Report;
use super::source::Source;
use crate::model::{UtcMicros, VehicleId};

/// Called once, after the commit: MQTT PUBACK, JT/T 808 0x8001. Dropped without a call, the sender will send again.
pub(super) trait Receipt: Send + Sync {
    fn committed(self: Box<Self>);
}

/// A message without reports (refused, or without position) goes the same way, for receipts must leave in the order of arrival
/// (MQTT 3.1.1 §4.6).
pub(super) struct Parcel {
    pub(super) source: Arc<Source>,
    pub(super) received: UtcMicros,
    /// `None` when the topic named none.
    pub(super) vehicle: Option<VehicleId>,
    pub(super) reports: Vec<Report>,
    pub(super) receipt: Box<dyn Receipt>,
    /// Its share of the memory for waiting messages; given back when the parcel is dropped.
    pub(super) _room: OwnedSemaphorePermit,
}
