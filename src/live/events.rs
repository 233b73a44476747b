//! The events stream: a snapshot, then what changes, numbered.
//!
//! One task makes each message once and shares it with every client. A client that falls behind is told how many messages it
//! missed and gets a fresh snapshot; nothing is kept for it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::views::{CameraView, PositionView};
use crate::casefile::Cases;
use crate::fleet::{Fleet, PositionFilter};
use crate::live::Cameras;
use crate::model::{Clock, Fix, VehicleId};
use crate::store::database::CaseChange;
use crate::telemetry::{Metric, gauge};

/// Positions are sent at most this often, the newest of each vehicle.
const POSITION_EVERY: Duration = Duration::from_secs(1);
/// Camera states change in bursts (a switch reboots): wait a moment and send them together.
const CAMERA_SETTLE: Duration = Duration::from_millis(200);
/// Frame rates and ages drift without an event; they are sent again this often.
const CAMERA_EVERY: Duration = Duration::from_secs(5);
/// Messages a slow client may have unread before it gets a snapshot instead.
const BACKLOG: usize = 64;

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Event<'a> {
    Snapshot {
        seq: u64,
        as_of: String,
        positions: Vec<PositionView>,
        cameras: Vec<CameraView>,
    },
    Positions {
        seq: u64,
        as_of: String,
        items: Vec<PositionView>,
    },
    Cameras {
        seq: u64,
        as_of: String,
        items: Vec<CameraView>,
    },
    Case {
        seq: u64,
        as_of: String,
        id: String,
        no: &'a str,
        state: &'static str,
    },
    Skipped {
        seq: u64,
        as_of: String,
        count: u64,
    },
}

impl Event<'_> {
    fn text(&self) -> Arc<str> {
        // Strings and finite numbers only: cannot fail.
        serde_json::to_string(self).unwrap_or_default().into()
    }
}

#[derive(Clone)]
pub struct Events {
    inner: Arc<Inner>,
}

struct Inner {
    cameras: Cameras,
    fleet: Fleet,
    cases: Cases,
    clock: Arc<dyn Clock>,
    seq: AtomicU64,
    sender: broadcast::Sender<Arc<str>>,
}

/// One client's view of the stream.
pub struct Subscription {
    events: Events,
    receiver: broadcast::Receiver<Arc<str>>,
    snapshot_due: bool,
}

impl Events {
    pub fn new(cameras: Cameras, fleet: Fleet, cases: Cases, clock: Arc<dyn Clock>) -> Self {
        let (sender, _) = broadcast::channel(BACKLOG);
        Self {
            inner: Arc::new(Inner {
                cameras,
                fleet,
                cases,
                clock,
                seq: AtomicU64::new(0),
                sender,
            }),
        }
    }

    pub fn subscribe(&self) -> Subscription {
        Subscription {
            events: self.clone(),
            receiver: self.inner.sender.subscribe(),
            snapshot_due: true,
        }
    }

    /// Makes the messages until stopped.
    pub async fn run(&self, stop: CancellationToken) {
        let mut fixes = self.inner.fleet.updates();
        let mut cases = self.inner.cases.changes();
        let mut states = self.inner.cameras.changes();
        let mut newest: HashMap<VehicleId, Fix> = HashMap::new();
        let mut position_tick = interval(POSITION_EVERY);
        position_tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_sent: BTreeMap<String, CameraView> = BTreeMap::new();
        let mut cameras_due = Instant::now();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                batch = fixes.recv() => match batch {
                    Ok(batch) => {
                        for fix in batch.iter() {
                            newest.entry(fix.vehicle.clone())
                                .and_modify(|held| if held.time <= fix.time { held.clone_from(fix) })
                                .or_insert_with(|| fix.clone());
                        }
                    }
                    // The newest state is in the fleet; a wall misses steps between, never where a vehicle is now.
                    Err(broadcast::error::RecvError::Lagged(n)) => tracing::debug!(n, "position batches skipped"),
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                _ = position_tick.tick() => self.positions(&mut newest),
                change = cases.recv() => match change {
                    Ok(change) => self.case(&change),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                changed = settled(&mut states) => {
                    if !changed { return; }
                    self.cameras(&mut last_sent);
                    cameras_due = Instant::now() + CAMERA_EVERY;
                }
                () = tokio::time::sleep_until(cameras_due) => {
                    self.cameras(&mut last_sent);
                    cameras_due = Instant::now() + CAMERA_EVERY;
                }
            }
        }
    }

    fn head(&self) -> (u64, String) {
        (
            self.inner.seq.fetch_add(1, Ordering::Relaxed) + 1,
            self.inner.clock.now().to_string(),
        )
    }

    fn publish(&self, event: &Event<'_>) {
        // No receiver is no error: nobody watches.
        self.inner.sender.send(event.text()).ok();
    }

    fn positions(&self, newest: &mut HashMap<VehicleId, Fix>) {
        #[allow(clippy::cast_precision_loss, reason = "a few thousand at most")]
        gauge(
            Metric::LiveListeners,
            &[],
            self.inner.sender.receiver_count() as f64,
        );
        if newest.is_empty() || self.inner.sender.receiver_count() == 0 {
            newest.clear();
            return;
        }
        let items = newest
            .drain()
            .map(|(_, fix)| {
                let p = self.inner.fleet.shown(fix);
                PositionView::new(&p.fix, p.vehicle.as_ref(), p.state)
            })
            .collect();
        let (seq, as_of) = self.head();
        self.publish(&Event::Positions { seq, as_of, items });
    }

    fn cameras(&self, last_sent: &mut BTreeMap<String, CameraView>) {
        let all = self.inner.cameras.list();
        let mut items = Vec::new();
        for status in &all {
            let view = CameraView::new(status, false);
            if last_sent.get(&view.id) != Some(&view) {
                last_sent.insert(view.id.clone(), view.clone());
                items.push(view);
            }
        }
        if last_sent.len() > all.len() {
            last_sent.retain(|id, _| all.iter().any(|s| s.camera.id.as_str() == id));
        }
        if items.is_empty() || self.inner.sender.receiver_count() == 0 {
            return;
        }
        let (seq, as_of) = self.head();
        self.publish(&Event::Cameras { seq, as_of, items });
    }

    fn case(&self, change: &CaseChange) {
        let (seq, as_of) = self.head();
        let id = change.id.to_string();
        self.publish(&Event::Case {
            seq,
            as_of,
            id,
            no: &change.no,
            state: change.state.as_str(),
        });
    }

    async fn snapshot(&self) -> Arc<str> {
        let positions = self
            .inner
            .fleet
            .positions(&PositionFilter::default())
            .await
            .iter()
            .map(|p| PositionView::new(&p.fix, p.vehicle.as_ref(), p.state))
            .collect();
        let cameras = self
            .inner
            .cameras
            .list()
            .iter()
            .map(|c| CameraView::new(c, false))
            .collect();
        let (seq, as_of) = self.head();
        Event::Snapshot {
            seq,
            as_of,
            positions,
            cameras,
        }
        .text()
    }
}

/// Waits for a change and for the burst to settle. `false` when the source is gone.
async fn settled(states: &mut watch::Receiver<u64>) -> bool {
    if states.changed().await.is_err() {
        return false;
    }
    sleep(CAMERA_SETTLE).await;
    states.borrow_and_update();
    true
}

impl Subscription {
    /// The next message, `None` at the daemon's stop.
    pub async fn next(&mut self) -> Option<Arc<str>> {
        if self.snapshot_due {
            self.snapshot_due = false;
            return Some(self.events.snapshot().await);
        }
        match self.receiver.recv().await {
            Ok(text) => Some(text),
            Err(broadcast::error::RecvError::Lagged(count)) => {
                self.snapshot_due = true;
                let (seq, as_of) = self.events.head();
                Some(Event::Skipped { seq, as_of, count }.text())
            }
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
