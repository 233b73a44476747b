//! Where vehicles are and were.
//!
//! The life of a position: a source decodes it ([`decode`]), the ingest marks it, commits it to the track history, and only then
//! acknowledges it, moves the marker (live state) and tells the walls ([`Fleet::updates`]).

mod backoff;
pub mod decode;
mod ingest;
mod mirror;
mod mqtt;
mod parcel;
mod source;
pub mod topic;
mod tracker;
mod view;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Semaphore, broadcast, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::backoff::Backoff;
use self::ingest::{Ingest, Seen, SeenMap};
use self::mirror::Mirror;
use self::mqtt::MqttSource;
use self::source::{RejectedBook, Source};
use self::tracker::Tracker;
use self::view::Register;
use crate::config::{FleetConfig, MqttConfig};
use crate::model::{Clock, Error, Fix, Result, TimeRange, Vehicle, VehicleId};
use crate::store::live::MemoryLive;
use crate::store::{Database, LiveState};

pub use source::{Rejected, SAMPLE_BYTES, SourceState, SourceStatus};
pub use view::{Position, PositionFilter};

/// Memory for decoded messages that wait for the database: 32 MiB in units of 256 bytes.
const ROOM_UNIT: usize = 256;
const ROOM_UNITS: u32 = (32 << 20) / 256;
/// Messages between the sources and the ingest.
const QUEUE: usize = 8_192;
/// Commits that a slow listener may be behind before it is told that it missed some.
const UPDATES: usize = 256;
const SWEEP_EVERY: Duration = Duration::from_secs(3_600);

/// Cheap to clone; all clones are the same fleet.
#[derive(Clone)]
pub struct Fleet(Arc<Inner>);

struct Inner {
    config: FleetConfig,
    clock: Arc<dyn Clock>,
    database: Database,
    live: Arc<dyn LiveState>,
    /// The newest fix of each vehicle that came through this process, and all of the history at its start.
    own: Arc<MemoryLive>,
    mirror: Arc<Mirror>,
    register: ArcSwap<Register>,
    seen: Arc<SeenMap>,
    sources: Vec<Arc<Source>>,
    book: Arc<RejectedBook>,
    updates: broadcast::Sender<Arc<Vec<Fix>>>,
    /// Taken by [`Fleet::run`].
    mqtt: Mutex<Vec<MqttSource>>,
}

impl Fleet {
    /// Checks the configuration; nothing connects before [`Fleet::run`].
    pub fn start(
        config: FleetConfig,
        mqtt: Vec<MqttConfig>,
        database: Database,
        live: Arc<dyn LiveState>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let book = Arc::new(RejectedBook::new(config.rejected_kept));
        let mqtt = mqtt
            .iter()
            .map(|m| MqttSource::new(m, Arc::clone(&clock), Arc::clone(&book)))
            .collect::<Result<Vec<_>>>()?;
        let own = Arc::new(MemoryLive::new());
        Ok(Self(Arc::new(Inner {
            config,
            clock,
            database,
            mirror: Arc::new(Mirror::new(Arc::clone(&live), Arc::clone(&own))),
            live,
            own,
            register: ArcSwap::default(),
            seen: Arc::default(),
            sources: mqtt.iter().map(|m| Arc::clone(m.source())).collect(),
            book,
            updates: broadcast::channel(UPDATES).0,
            mqtt: Mutex::new(mqtt),
        })))
    }

    /// Receives until `stop`, then commits and acknowledges what has arrived. Call once.
    pub async fn run(&self, stop: CancellationToken) -> Result<()> {
        let inner = &self.0;
        let mqtt = std::mem::take(&mut *inner.mqtt.lock().unwrap_or_else(PoisonError::into_inner));
        let Some(tracker) = self.remember_history(&stop).await else {
            return Ok(());
        };
        let (parcels, queue) = mpsc::channel(QUEUE);
        let room = Arc::new(Semaphore::new(
            usize::try_from(ROOM_UNITS).unwrap_or(usize::MAX),
        ));
        // Set when the ingest has finished: the last receipts are given, sources may hang up.
        let drained = CancellationToken::new();
        let mut tasks = JoinSet::new();
        for source in mqtt {
            tasks.spawn(source.run(
                parcels.clone(),
                Arc::clone(&room),
                stop.clone(),
                drained.clone(),
            ));
        }
        drop(parcels);
        let ingest = Ingest {
            database: inner.database.clone(),
            tracker,
            own: Arc::clone(&inner.own),
            mirror: Arc::clone(&inner.mirror),
            seen: Arc::clone(&inner.seen),
            updates: inner.updates.clone(),
            interval: Duration::from_millis(inner.config.commit_interval_ms),
            max: inner.config.commit_max.max(1),
        };
        let (stopping, done) = (stop.clone(), drained.clone());
        tasks.spawn(async move {
            // Also when it panics: sources must not wait for ever.
            let _done = done.drop_guard();
            ingest.run(queue, stopping).await;
        });
        let (mirror, level) = (Arc::clone(&inner.mirror), drained.clone());
        let no_sources = inner.sources.is_empty();
        let stop_mirror = if no_sources { stop.clone() } else { level };
        tasks.spawn(async move { mirror.run(stop_mirror).await });
        let (fleet, stopping) = (self.clone(), stop.clone());
        tasks.spawn(async move { fleet.keep_house(stopping).await });

        let mut result = Ok(());
        while let Some(ended) = tasks.join_next().await {
            if let Err(e) = ended {
                // One part is gone, so the promises are: stop the others in order.
                stop.cancel();
                result = Err(Error::internal(
                    "fleet_failed",
                    "receiving positions failed and was stopped; this is a defect, please report the log",
                )
                .because(e));
            }
        }
        result
    }

    /// `None` when stopped before the database answered.
    async fn remember_history(&self, stop: &CancellationToken) -> Option<Tracker> {
        let inner = &self.0;
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        let fixes = loop {
            match inner.database.latest_fixes().await {
                Ok(fixes) => break fixes,
                Err(e) => {
                    tracing::error!(error = %e.chain(), "cannot read the newest positions; sources wait");
                    for source in &inner.sources {
                        source.trouble(format!("waiting for the database: {}", e.detail()));
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => return None,
                () = tokio::time::sleep(backoff.next_wait()) => {}
            }
        };
        inner.sources.iter().for_each(|s| s.well());
        let mut tracker = Tracker::default();
        for fix in &fixes {
            tracker.remember(fix);
        }
        inner.own.take_newer(&fixes);
        Some(tracker)
    }

    /// Says what is unsaid once a second; sweeps old fixes once an hour.
    async fn keep_house(&self, stop: CancellationToken) {
        let inner = &self.0;
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = second.tick() => inner.sources.iter().for_each(|s| s.say()),
                _ = sweep.tick() => {
                    tokio::select! {
                        () = stop.cancelled() => break,
                        swept = self.sweep() => if let Err(e) = swept {
                            tracing::warn!(error = %e.chain(), "old positions were not deleted; the next sweep tries again");
                        },
                    }
                }
            }
        }
        inner.sources.iter().for_each(|s| s.say());
    }

    /// Deletes track history older than `[fleet] retention_days`, and forgets vehicles not heard of since. Returns how many fixes.
    pub async fn sweep(&self) -> Result<u64> {
        let inner = &self.0;
        let Ok(kept) = Duration::try_from_secs_f64(inner.config.retention_days * 86_400.0) else {
            return Ok(0);
        };
        let before = inner.clock.now().minus(kept);
        let deleted = inner.database.delete_fixes_before(before).await?;
        inner.own.forget_older(before).await?;
        if let Some(live) = inner.mirror.usable() {
            live.forget_older(before).await?;
        }
        if deleted > 0 {
            tracing::info!(deleted, %before, "old positions deleted");
        }
        Ok(deleted)
    }

    /// The vehicles of the site; others are shown as unknown.
    pub fn set_register(&self, vehicles: Vec<Vehicle>) {
        let register: Register = vehicles.into_iter().map(|v| (v.id.clone(), v)).collect();
        self.0.register.store(Arc::new(register));
    }

    /// Nearest first with `near`, otherwise by vehicle. From live state, or from this process while live state is down.
    pub async fn positions(&self, filter: &PositionFilter) -> Vec<Position> {
        let mut fixes = self.fixes(filter).await;
        let register = self.0.register.load();
        if let Some(b) = filter.bounds {
            fixes.retain(|f| b.contains(f.place));
        }
        if let Some(class) = filter.class {
            fixes.retain(|f| {
                register
                    .get(&f.vehicle)
                    .map(|v| v.class)
                    .unwrap_or_default()
                    == class
            });
        }
        if filter.near.is_none() {
            fixes.sort_by(|a, b| a.vehicle.cmp(&b.vehicle));
        }
        fixes.truncate(filter.limit.unwrap_or(usize::MAX));
        fixes.into_iter().map(|f| self.shown(f)).collect()
    }

    async fn fixes(&self, filter: &PositionFilter) -> Vec<Fix> {
        let inner = &self.0;
        // A limit may be used early only when nothing is filtered afterwards.
        let limit = match filter {
            PositionFilter {
                bounds: None,
                class: None,
                limit: Some(limit),
                ..
            } => *limit,
            _ => usize::MAX,
        };
        if let Some(live) = inner.mirror.usable() {
            let found = match filter.near {
                Some((to, radius_m)) => live.nearest(to, radius_m, limit).await,
                None => live.within(filter.bounds).await,
            };
            match found {
                Ok(fixes) => {
                    return view::overlay(fixes, inner.mirror.unwritten(), filter);
                }
                Err(e) => inner.mirror.failed(&e),
            }
        }
        match filter.near {
            Some((to, radius_m)) => inner.own.near(to, radius_m, limit),
            None => inner.own.all(filter.bounds),
        }
    }

    pub async fn position(&self, vehicle: &VehicleId) -> Option<Position> {
        let inner = &self.0;
        let own = inner.own.get(vehicle);
        let held = match inner.mirror.usable() {
            Some(live) => live.latest(vehicle).await.unwrap_or_else(|e| {
                inner.mirror.failed(&e);
                None
            }),
            None => None,
        };
        // The newer; another process may know more, or live state less.
        let fix = match (own, held) {
            (Some(own), Some(held)) if held.time > own.time => Some(held),
            (own, held) => own.or(held),
        };
        fix.map(|f| self.shown(f))
    }

    /// A fix from [`Fleet::updates`] with what a wall needs beside it.
    pub fn shown(&self, fix: Fix) -> Position {
        let inner = &self.0;
        let seen: Option<Seen> = inner
            .seen
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&fix.vehicle)
            .copied();
        let now = inner.clock.now();
        view::position(fix, &inner.register.load(), seen, now, &inner.config)
    }

    /// In the order of device time, the oldest first, at most `limit`.
    pub async fn track(
        &self,
        vehicle: &VehicleId,
        range: TimeRange,
        limit: usize,
    ) -> Result<Vec<Fix>> {
        self.0.database.fixes_in(vehicle, range, limit).await
    }

    pub fn sources(&self) -> Vec<SourceStatus> {
        self.0.sources.iter().map(|s| s.status()).collect()
    }

    /// Newest first.
    pub fn rejected(&self, limit: usize) -> Vec<Rejected> {
        self.0.book.newest(limit)
    }

    /// Fixes that moved a marker, after their commit. A listener that is too slow is told how many messages it missed
    /// (`Lagged`), and should read [`Fleet::positions`] anew.
    pub fn updates(&self) -> broadcast::Receiver<Arc<Vec<Fix>>> {
        self.0.updates.subscribe()
    }

    /// Why live state cannot be used now; `None` when all is well. Positions are served all the same.
    pub fn live_state_trouble(&self) -> Option<String> {
        self.0.mirror.down()
    }

    /// Takes the vehicle's marker off the wall; its history stays.
    pub async fn forget(&self, vehicle: &VehicleId) -> Result<()> {
        self.0.own.forget(vehicle).await?;
        self.0.mirror.forget(vehicle);
        self.0.live.forget(vehicle).await
    }
}
