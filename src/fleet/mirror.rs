//! Keeps live state (perhaps a Redis far away) level with this process' own, without ever making the ingest wait for it.
//!
//! While it does not answer, positions are served from this process, and that is said; when it is back it gets everything again,
//! for it may have lost all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::model::{Fix, VehicleId};
use crate::store::LiveState;
use crate::store::live::MemoryLive;

/// How often a live state that failed is asked again, and one that is quiet is asked whether it is there.
const ASK_AGAIN: Duration = Duration::from_secs(1);

pub(super) struct Mirror {
    live: Arc<dyn LiveState>,
    own: Arc<MemoryLive>,
    /// The newest fix of each vehicle that is not written yet: never more than one a vehicle.
    pending: Mutex<HashMap<VehicleId, Fix>>,
    wake: Notify,
    /// Why live state cannot be used now.
    down: Mutex<Option<String>>,
}

impl Mirror {
    pub(super) fn new(live: Arc<dyn LiveState>, own: Arc<MemoryLive>) -> Self {
        Self {
            live,
            own,
            pending: Mutex::default(),
            wake: Notify::new(),
            // Not usable before it has what the history knows.
            down: Mutex::new(Some(
                "live state is being filled from the track history".into(),
            )),
        }
    }

    pub(super) fn offer(&self, fixes: &[Fix]) {
        if fixes.is_empty() {
            return;
        }
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        for fix in fixes {
            match pending.get_mut(&fix.vehicle) {
                Some(held) if held.time >= fix.time => {}
                Some(held) => held.clone_from(fix),
                None => {
                    pending.insert(fix.vehicle.clone(), fix.clone());
                }
            }
        }
        drop(pending);
        self.wake.notify_one();
    }

    pub(super) fn down(&self) -> Option<String> {
        self.down
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The state to read from, unless it is down.
    pub(super) fn usable(&self) -> Option<&dyn LiveState> {
        self.down().is_none().then_some(&*self.live)
    }

    /// A read failed: do not try again for every caller.
    pub(super) fn failed(&self, why: &crate::model::Error) {
        let mut down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
        if down.is_none() {
            tracing::warn!(error = %why.chain(), "live state is down; positions come from this process");
        }
        *down = Some(why.detail().to_owned());
    }

    fn recovered(&self, vehicles: usize) {
        *self.down.lock().unwrap_or_else(PoisonError::into_inner) = None;
        tracing::info!(vehicles, "live state is level with the track history");
    }

    /// What live state does not have yet. A wall that was told of a fix and then asks for all must find it.
    pub(super) fn unwritten(&self) -> Vec<Fix> {
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.values().cloned().collect()
    }

    pub(super) fn forget(&self, vehicle: &VehicleId) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.remove(vehicle);
    }

    fn written(&self, fixes: &[Fix]) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        for fix in fixes {
            if pending
                .get(&fix.vehicle)
                .is_some_and(|p| p.time <= fix.time)
            {
                pending.remove(&fix.vehicle);
            }
        }
    }

    async fn write(&self, fixes: &[Fix]) -> crate::model::Result<()> {
        if fixes.is_empty() {
            return self.live.ping().await;
        }
        self.live.put(fixes).await?;
        self.written(fixes);
        Ok(())
    }

    pub(super) async fn run(&self, stop: CancellationToken) {
        loop {
            let result = if self.down().is_some() {
                // All of it, what is pending included.
                let everything = self.own.all(None);
                let filled = self.write(&everything).await;
                if filled.is_ok() {
                    self.recovered(everything.len());
                }
                filled
            } else {
                self.write(&self.unwritten()).await
            };
            if let Err(e) = &result {
                self.failed(e);
            }
            let wait = async {
                if result.is_ok() {
                    // `timeout` as an alarm clock: either a wake or the next ping.
                    tokio::time::timeout(ASK_AGAIN, self.wake.notified())
                        .await
                        .ok();
                } else {
                    tokio::time::sleep(ASK_AGAIN).await;
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = wait => {}
            }
        }
        // The last positions, as far as it answers.
        let rest = self.unwritten();
        if self.down().is_none()
            && !rest.is_empty()
            && let Err(e) = self.write(&rest).await
        {
            self.failed(&e);
        }
    }
}
