//! Live state of one process.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use async_trait::async_trait;

use super::LiveState;
use crate::model::{BoundingBox, Fix, GeoPoint, Result, UtcMicros, VehicleId, distance_m};

/// No await is ever made while the lock is held.
#[derive(Debug, Default)]
pub struct MemoryLive {
    newest: RwLock<HashMap<VehicleId, Fix>>,
}

impl MemoryLive {
    pub fn new() -> Self {
        Self::default()
    }

    // A panic elsewhere leaves whole fixes behind: the map stays usable.
    fn read(&self) -> RwLockReadGuard<'_, HashMap<VehicleId, Fix>> {
        self.newest.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<VehicleId, Fix>> {
        self.newest.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// [`LiveState::put`] without a future.
    pub fn take_newer(&self, fixes: &[Fix]) -> Vec<Fix> {
        let mut newest = self.write();
        let mut taken = Vec::new();
        for fix in fixes {
            match newest.get_mut(&fix.vehicle) {
                Some(held) if held.time >= fix.time => continue,
                Some(held) => held.clone_from(fix),
                None => {
                    newest.insert(fix.vehicle.clone(), fix.clone());
                }
            }
            taken.push(fix.clone());
        }
        taken
    }

    pub fn get(&self, vehicle: &VehicleId) -> Option<Fix> {
        self.read().get(vehicle).cloned()
    }

    pub fn all(&self, bounds: Option<BoundingBox>) -> Vec<Fix> {
        self.read()
            .values()
            .filter(|f| bounds.is_none_or(|b| b.contains(f.place)))
            .cloned()
            .collect()
    }

    pub fn near(&self, to: GeoPoint, radius_m: f64, limit: usize) -> Vec<Fix> {
        nearest_first(self.read().values().cloned(), to, radius_m, limit)
    }
}

/// Those within the radius, nearest first, equal distances by name.
pub(super) fn nearest_first(
    fixes: impl Iterator<Item = Fix>,
    to: GeoPoint,
    radius_m: f64,
    limit: usize,
) -> Vec<Fix> {
    let mut found: Vec<(f64, Fix)> = fixes
        .map(|f| (distance_m(to, f.place), f))
        .filter(|(d, _)| *d <= radius_m)
        .collect();
    found.sort_by(|a, b| {
        a.0.total_cmp(&b.0)
            .then_with(|| a.1.vehicle.cmp(&b.1.vehicle))
    });
    found.truncate(limit);
    found.into_iter().map(|(_, f)| f).collect()
}

#[async_trait]
impl LiveState for MemoryLive {
    async fn put(&self, fixes: &[Fix]) -> Result<Vec<Fix>> {
        Ok(self.take_newer(fixes))
    }

    async fn latest(&self, vehicle: &VehicleId) -> Result<Option<Fix>> {
        Ok(self.get(vehicle))
    }

    async fn within(&self, bounds: Option<BoundingBox>) -> Result<Vec<Fix>> {
        Ok(self.all(bounds))
    }

    async fn nearest(&self, to: GeoPoint, radius_m: f64, limit: usize) -> Result<Vec<Fix>> {
        Ok(self.near(to, radius_m, limit))
    }

    async fn forget(&self, vehicle: &VehicleId) -> Result<()> {
        self.write().remove(vehicle);
        Ok(())
    }

    async fn forget_older(&self, received: UtcMicros) -> Result<usize> {
        let mut newest = self.write();
        let before = newest.len();
        newest.retain(|_, f| f.received >= received);
        Ok(before - newest.len())
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }
}
