//! Write-once files of evidence.

/// Placeholder replaced by the evidence room's storage seam.
pub trait Blobs: Send + Sync {}
