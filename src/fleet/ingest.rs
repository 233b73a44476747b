//! Group commit: many messages, one transaction, then their receipts, then the wall.
//!
//! The order is the promise: history first, receipt only after the commit, live state and walls last. A database that is down
//! means no receipts; the senders keep what we cannot, and our own waiting room is bounded.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{broadcast, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::mirror::Mirror;
use super::parcel::{Parcel, Receipt};
use super::source::Source;
use super::tracker::{Judged, Tracker};
use crate::model::{Error, Fix, Result, UtcMicros, VehicleId};
use crate::store::Database;
use crate::store::database::REFUSED;
use crate::store::live::MemoryLive;
use crate::telemetry::{self, Metric};

/// When nothing has come for so long, the sender is likely waiting for receipts (mosquitto sends 20 messages ahead by default):
/// commit now instead of letting it wait for the whole interval.
const QUIET: Duration = Duration::from_millis(5);
/// A statement that takes longer is taken as failed. It may have worked: doing it again stores nothing twice.
const COMMIT_PATIENCE: Duration = Duration::from_secs(30);
/// At the end: how long to go on trying a failing database before leaving the rest to the senders.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

/// Of a vehicle, beside its newest fix.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// Any message at all, also one without a position.
    pub(super) heard: UtcMicros,
    /// Between its last two places; for devices that tell no speed.
    pub(super) reckoned_kmh: Option<f64>,
}

pub(super) type SeenMap = RwLock<HashMap<VehicleId, Seen>>;

/// As many vehicles as the tracker remembers.
const MAX_SEEN: usize = 200_000;

pub(super) struct Ingest {
    pub(super) database: Database,
    pub(super) tracker: Tracker,
    pub(super) own: Arc<MemoryLive>,
    pub(super) mirror: Arc<Mirror>,
    pub(super) seen: Arc<SeenMap>,
    pub(super) updates: broadcast::Sender<Arc<Vec<Fix>>>,
    pub(super) interval: Duration,
    pub(super) max: usize,
}

enum Fate {
    /// For the first time?
    Stored(bool),
    /// Why.
    Refused(String),
}

#[derive(Default)]
struct Batch {
    fixes: Vec<Fix>,
    /// Which source each fix came from, by index into `parcels`.
    from: Vec<usize>,
    parcels: Vec<Waiting>,
    seen: Vec<(VehicleId, Seen)>,
}

struct Waiting {
    source: Arc<Source>,
    receipt: Box<dyn Receipt>,
    _room: tokio::sync::OwnedSemaphorePermit,
}

impl Batch {
    fn size(&self) -> usize {
        self.fixes.len().max(self.parcels.len())
    }
}

impl Ingest {
    /// Until every sender is gone.
    pub(super) async fn run(
        mut self,
        mut parcels: mpsc::Receiver<Parcel>,
        stop: CancellationToken,
    ) {
        while let Some(first) = parcels.recv().await {
            let commit_at = Instant::now() + self.interval;
            let mut batch = Batch::default();
            self.add(&mut batch, first);
            while batch.size() < self.max {
                let wait_until = commit_at.min(Instant::now() + QUIET);
                match tokio::time::timeout_at(wait_until, parcels.recv()).await {
                    Ok(Some(parcel)) => self.add(&mut batch, parcel),
                    Ok(None) | Err(_) => break,
                }
            }
            if let Err(left) = self.commit(batch, &stop).await {
                tracing::warn!(
                    messages = left,
                    "stopped with messages that the database did not take; they are not acknowledged and will be sent again"
                );
                return;
            }
        }
    }

    fn add(&mut self, batch: &mut Batch, parcel: Parcel) {
        let Parcel {
            source,
            received,
            vehicle,
            reports,
            receipt,
            _room,
        } = parcel;
        if let Some(vehicle) = vehicle {
            let mut seen = Seen {
                heard: received,
                reckoned_kmh: None,
            };
            for report in reports {
                let Judged { fix, reckoned_kmh } =
                    self.tracker
                        .judge(&vehicle, received, source.name(), report);
                seen.reckoned_kmh = reckoned_kmh.or(seen.reckoned_kmh);
                batch.fixes.push(fix);
                batch.from.push(batch.parcels.len());
            }
            batch.seen.push((vehicle, seen));
        }
        batch.parcels.push(Waiting {
            source,
            receipt,
            _room,
        });
    }

    /// `Err`: told to stop while the database refuses; nothing of the batch was acknowledged.
    async fn commit(&self, batch: Batch, stop: &CancellationToken) -> Result<(), usize> {
        let Some(fates) = self.append(&batch, stop).await else {
            return Err(batch.parcels.len());
        };
        let mut counts = vec![(0u64, 0u64); batch.parcels.len()];
        let mut placeable = Vec::with_capacity(batch.fixes.len());
        for ((parcel, fix), fate) in batch.from.iter().zip(batch.fixes).zip(fates) {
            match (fate, counts.get_mut(*parcel)) {
                (Fate::Stored(true), Some((accepted, _))) => *accepted += 1,
                (Fate::Stored(false), Some((_, repeated))) => *repeated += 1,
                (Fate::Stored(_), None) => {}
                // Acknowledged all the same: sent again it would be refused again.
                (Fate::Refused(why), _) => {
                    if let Some(waiting) = batch.parcels.get(*parcel) {
                        let what = format!("{fix:?}");
                        let topic = format!("vehicle {}", fix.vehicle);
                        waiting
                            .source
                            .reject(&topic, "database", why, what.as_bytes());
                    }
                    continue;
                }
            }
            // Repeats too: after an error that hid a commit they are the first sight of these fixes, and otherwise none is newer
            // than what is held.
            if !fix.flags.is_unplaceable() {
                placeable.push(fix);
            }
        }
        for (waiting, (accepted, repeated)) in batch.parcels.into_iter().zip(counts) {
            waiting.source.committed(accepted, repeated);
            waiting.receipt.committed();
        }
        self.note_seen(batch.seen);
        let moved = self.own.take_newer(&placeable);
        self.mirror.offer(&moved);
        if !moved.is_empty() {
            // Nobody listening is no error.
            self.updates.send(Arc::new(moved)).ok();
        }
        Ok(())
    }

    fn note_seen(&self, seen: Vec<(VehicleId, Seen)>) {
        let mut map = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        for (vehicle, new) in seen {
            if map.len() >= MAX_SEEN && !map.contains_key(&vehicle) {
                map.clear();
            }
            let held = map.entry(vehicle).or_default();
            held.heard = held.heard.max(new.heard);
            held.reckoned_kmh = new.reckoned_kmh.or(held.reckoned_kmh);
        }
    }

    /// What became of each fix of the batch; `None` when stopped before the database took it. A fix that the database refuses for
    /// what it is, not for the state the database is in, is found by halving the batch: it must not hold up all others.
    async fn append(&self, batch: &Batch, stop: &CancellationToken) -> Option<Vec<Fate>> {
        let mut fates = Vec::with_capacity(batch.fixes.len());
        // The next piece on top.
        let mut pieces: Vec<&[Fix]> = vec![&batch.fixes];
        while let Some(piece) = pieces.pop() {
            match self.append_piece(batch, piece, stop).await? {
                Ok(new) => fates.extend(new.into_iter().map(Fate::Stored)),
                Err(error) if piece.len() <= 1 => {
                    fates.extend(piece.iter().map(|_| Fate::Refused(error.chain())));
                }
                Err(_) => {
                    let (first, second) = piece.split_at(piece.len() / 2);
                    pieces.extend([second, first]);
                }
            }
        }
        Some(fates)
    }

    /// Tries until it works, or until the database refuses the data itself (`Err`); `None` when stopped meanwhile.
    async fn append_piece(
        &self,
        batch: &Batch,
        fixes: &[Fix],
        stop: &CancellationToken,
    ) -> Option<Result<Vec<bool>>> {
        if fixes.is_empty() {
            return Some(Ok(Vec::new()));
        }
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let mut stopping_since: Option<Instant> = None;
        loop {
            let began = Instant::now();
            let append = self.database.append_fixes(fixes);
            let error = match tokio::time::timeout(COMMIT_PATIENCE, append).await {
                Ok(Ok(new)) => {
                    telemetry::observe(Metric::FleetCommit, &[], began.elapsed());
                    if backoff.attempts() > 0 {
                        tracing::info!(positions = new.len(), "the database takes positions again");
                        batch.parcels.iter().for_each(|p| p.source.well());
                    }
                    return Some(Ok(new));
                }
                Ok(Err(e)) if e.code() == REFUSED => return Some(Err(e)),
                Ok(Err(e)) => e,
                Err(_) => Error::unavailable(
                    "database_down",
                    format!("the database did not store positions within {COMMIT_PATIENCE:?}"),
                ),
            };
            if backoff.attempts() == 0 {
                tracing::error!(
                    error = %error.chain(),
                    positions = fixes.len(),
                    "positions are not stored; nothing is acknowledged until the database takes them"
                );
            }
            for waiting in &batch.parcels {
                waiting.source.trouble(format!(
                    "{}; positions wait and are not acknowledged",
                    error.detail()
                ));
            }
            if stop.is_cancelled() {
                let since = *stopping_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= STOP_PATIENCE {
                    return None;
                }
            }
            tokio::time::sleep(backoff.next_wait()).await;
        }
    }
}
