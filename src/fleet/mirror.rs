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

    fn take_pending(&self) -> Vec<Fix> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.drain().map(|(_, fix)| fix).collect()
    }

    pub(super) async fn run(&self, stop: CancellationToken) {
        loop {
            let result = if self.down().is_some() {
                // All of it: also what was pending, which `own` holds.
                self.take_pending();
                let everything = self.own.all(None);
                match self.live.ping().await {
                    Ok(()) => self.live.put(&everything).await.map(|_| {
                        self.recovered(everything.len());
                    }),
                    Err(e) => Err(e),
                }
            } else {
                match self.take_pending() {
                    fixes if fixes.is_empty() => self.live.ping().await,
                    fixes => self.live.put(&fixes).await.map(|_| ()),
                }
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
        let rest = self.take_pending();
        if let Some(live) = self.usable()
            && let Err(e) = live.put(&rest).await
        {
            self.failed(&e);
        }
    }
}
