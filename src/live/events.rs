//! The events stream: a snapshot, then what changes, numbered.
//!
//! One task makes each message once and shares it with every client. A client that falls behind is told how many messages it
//! missed and gets a fresh snapshot; nothing is kept for it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::broadcast;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use super::views::{CameraView, PositionView};
use crate::casefile::Cases;
use crate::fleet::{Fleet, PositionFilter};
use crate::live::Cameras;
use crate::model::{Clock, VehicleId, VehicleState};
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
        removed: Vec<String>,
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

/// A message as it travels to every client.
#[derive(Clone)]
struct Message {
    seq: u64,
    /// Not for clients that may not see cameras.
    about_cameras: bool,
    text: Arc<str>,
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
    sender: broadcast::Sender<Message>,
}

/// One client's view of the stream.
pub struct Subscription {
    events: Events,
    receiver: broadcast::Receiver<Message>,
    snapshot_due: bool,
    /// What was sent before the snapshot is in it already.
    after: u64,
    with_cameras: bool,
}

/// What all clients have been told.
#[derive(Default)]
struct Told {
    vehicles: HashMap<VehicleId, VehicleState>,
    cameras: BTreeMap<String, CameraView>,
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

    /// `with_cameras`: whether this client may know of cameras.
    pub fn subscribe(&self, with_cameras: bool) -> Subscription {
        let receiver = self.inner.sender.subscribe();
        Subscription {
            events: self.clone(),
            receiver,
            snapshot_due: true,
            after: 0,
            with_cameras,
        }
    }

    /// Makes the messages until stopped.
    pub async fn run(&self, stop: CancellationToken) {
        let mut fixes = self.inner.fleet.updates();
        let mut cases = self.inner.cases.changes();
        let mut states = self.inner.cameras.changes();
        let mut moved: HashSet<VehicleId> = HashSet::new();
        let mut told = Told::default();
        let mut tick = interval(POSITION_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut cameras_due = Instant::now();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                batch = fixes.recv() => match batch {
                    Ok(batch) => moved.extend(batch.iter().map(|f| f.vehicle.clone())),
                    // Which vehicles moved is lost, not where they are: all are sent.
                    Err(broadcast::error::RecvError::Lagged(_)) => told.vehicles.clear(),
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                _ = tick.tick() => self.positions(&mut moved, &mut told).await,
                change = cases.recv() => match change {
                    Ok(change) => self.case(&change),
                    // Lists are read anew when they are opened.
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                changed = states.changed() => match changed {
                    Ok(()) => cameras_due = cameras_due.min(Instant::now() + CAMERA_SETTLE),
                    Err(_) => return,
                },
                () = sleep_until(cameras_due) => {
                    self.cameras(&mut told);
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

    fn publish(&self, seq: u64, about_cameras: bool, event: &Event<'_>) {
        // No receiver is no error: nobody watches.
        self.inner
            .sender
            .send(Message {
                seq,
                about_cameras,
                text: event.text(),
            })
            .ok();
    }

    /// Those that moved, and those that are seen differently now: a vehicle that falls silent becomes stale by itself.
    async fn positions(&self, moved: &mut HashSet<VehicleId>, told: &mut Told) {
        let listeners = self.inner.sender.receiver_count();
        #[allow(clippy::cast_precision_loss, reason = "a few thousand at most")]
        gauge(Metric::LiveListeners, &[], listeners as f64);
        let moved = std::mem::take(moved);
        if listeners == 0 {
            // Whoever comes gets a snapshot; what is told after it is judged against nothing.
            told.vehicles.clear();
            return;
        }
        let all = self.inner.fleet.positions(&PositionFilter::default()).await;
        let mut items = Vec::new();
        for p in &all {
            let vehicle = &p.fix.vehicle;
            if moved.contains(vehicle) || told.vehicles.get(vehicle) != Some(&p.state) {
                told.vehicles.insert(vehicle.clone(), p.state);
                items.push(PositionView::new(&p.fix, p.vehicle.as_ref(), p.state));
            }
        }
        if items.is_empty() {
            return;
        }
        let (seq, as_of) = self.head();
        self.publish(seq, false, &Event::Positions { seq, as_of, items });
    }

    fn cameras(&self, told: &mut Told) {
        let mut before = std::mem::take(&mut told.cameras);
        let mut items = Vec::new();
        for status in &self.inner.cameras.list() {
            let view = CameraView::new(status, false);
            if before.remove(&view.id).as_ref() != Some(&view) {
                items.push(view.clone());
            }
            told.cameras.insert(view.id.clone(), view);
        }
        let removed: Vec<String> = before.into_keys().collect();
        if (items.is_empty() && removed.is_empty()) || self.inner.sender.receiver_count() == 0 {
            return;
        }
        let (seq, as_of) = self.head();
        self.publish(
            seq,
            true,
            &Event::Cameras {
                seq,
                as_of,
                items,
                removed,
            },
        );
    }

    fn case(&self, change: &CaseChange) {
        let (seq, as_of) = self.head();
        let id = change.id.to_string();
        self.publish(
            seq,
            false,
            &Event::Case {
                seq,
                as_of,
                id,
                no: &change.no,
                state: change.state.as_str(),
            },
        );
    }

    async fn snapshot(&self, with_cameras: bool) -> (u64, Arc<str>) {
        // The number first: what is published from here on is newer than what is read below, or the same.
        let (seq, as_of) = self.head();
        let positions = self
            .inner
            .fleet
            .positions(&PositionFilter::default())
            .await
            .iter()
            .map(|p| PositionView::new(&p.fix, p.vehicle.as_ref(), p.state))
            .collect();
        let cameras = if with_cameras {
            self.inner.cameras.list()
        } else {
            Vec::new()
        };
        let cameras = cameras.iter().map(|c| CameraView::new(c, false)).collect();
        (
            seq,
            Event::Snapshot {
                seq,
                as_of,
                positions,
                cameras,
            }
            .text(),
        )
    }
}

impl Subscription {
    /// The next message, `None` at the daemon's stop.
    pub async fn next(&mut self) -> Option<Arc<str>> {
        if self.snapshot_due {
            self.snapshot_due = false;
            let (seq, text) = self.events.snapshot(self.with_cameras).await;
            self.after = seq;
            return Some(text);
        }
        loop {
            match self.receiver.recv().await {
                Ok(m) if m.seq < self.after || (m.about_cameras && !self.with_cameras) => {}
                Ok(m) => return Some(m.text),
                Err(broadcast::error::RecvError::Lagged(count)) => {
                    self.snapshot_due = true;
                    let (seq, as_of) = self.events.head();
                    return Some(Event::Skipped { seq, as_of, count }.text());
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}
