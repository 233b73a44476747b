//! The archive at work: one recorder for each stream that is to be recorded, the sync timer of each volume, retention.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use super::disk::{DiskPool, Site};
use super::recorder::Recorder;
use super::sync::Carry;
use super::volumes::{Disks, Mount};
use super::{Archive, Inner};
use crate::model::StreamKey;
use crate::video::Ring;

/// Every stream with its ring, and whether it is to be recorded.
pub type Wanted = Arc<Vec<(StreamKey, Arc<Ring>, bool)>>;

const RETENTION_EVERY: Duration = Duration::from_secs(30);
/// A recorder that ended by itself is begun again at this pace.
const SWEEP: Duration = Duration::from_secs(5);
/// Attempts to write the last index rows when stopping; recovery does it at the next start otherwise.
const LAST_ATTEMPTS: u32 = 3;

struct Running {
    ring: Arc<Ring>,
    stop: CancellationToken,
    task: Id,
}

impl Archive {
    /// Records until `stop`; then writes, syncs and indexes all there is, and returns.
    pub async fn run(&self, mut streams: watch::Receiver<Wanted>, stop: CancellationToken) {
        let inner = &self.inner;
        let disk = match Disks::start(inner) {
            Ok(disk) => Arc::new(disk),
            Err(e) => {
                tracing::error!(error = %e.chain(), "recording cannot begin");
                inner.troubles.disk(Some(e.detail().to_owned()));
                stop.cancelled().await;
                return;
            }
        };
        let mut running: HashMap<StreamKey, Running> = HashMap::new();
        let mut tasks: JoinSet<()> = JoinSet::new();
        let retention_stop = stop.child_token();
        let retention = Arc::clone(inner).keep_tidy(RETENTION_EVERY, retention_stop);
        let mut retention = std::pin::pin!(retention);
        let mut retention_done = false;

        // Each volume has a timer of its own: a slow disk keeps no other one's recordings waiting.
        let mut rounds: JoinSet<()> = JoinSet::new();
        let recorded = CancellationToken::new();
        for pool in disk.pools() {
            rounds.spawn(Arc::clone(inner).keep_durable(Arc::clone(pool), recorded.clone()));
            let mount = Arc::clone(pool.mount());
            rounds.spawn(Arc::clone(inner).watch_volume(mount, stop.child_token()));
        }
        let mut sweep = tokio::time::interval(SWEEP);
        let mut wanted_open = true;
        reconcile(
            inner,
            &disk,
            &streams.borrow_and_update().clone(),
            &mut running,
            &mut tasks,
        );
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                changed = streams.changed(), if wanted_open => {
                    wanted_open = changed.is_ok();
                    let wanted = streams.borrow_and_update().clone();
                    reconcile(inner, &disk, &wanted, &mut running, &mut tasks);
                }
                Some(ended) = tasks.join_next_with_id() => {
                    // A defect waits for the sweep, so that it cannot spin.
                    if reap(ended, &mut running) {
                        let wanted = streams.borrow().clone();
                        reconcile(inner, &disk, &wanted, &mut running, &mut tasks);
                    }
                }
                _ = sweep.tick() => {
                    let wanted = streams.borrow().clone();
                    reconcile(inner, &disk, &wanted, &mut running, &mut tasks);
                }
                () = &mut retention, if !retention_done => retention_done = true,
            }
        }
        for r in running.values() {
            r.stop.cancel();
        }
        while tasks.join_next().await.is_some() {}
        for key in running.keys() {
            inner.state(key).ended(inner.clock.now(), false);
        }
        recorded.cancel();
        while rounds.join_next().await.is_some() {}
        match Arc::try_unwrap(disk) {
            Ok(disk) => disk.join().await,
            Err(_) => tracing::error!("the disk pools are still in use after all recorders ended"),
        }
        if !retention_done {
            retention.await;
        }
    }
}

impl Inner {
    pub(super) fn site(&self, mount: &Arc<Mount>) -> Site {
        Site {
            mount: Arc::clone(mount),
            volume: Arc::clone(&mount.volume),
            root: mount.dir.clone(),
            clock: Arc::clone(&self.clock),
            troubles: Arc::clone(&mount.troubles),
            segment_us: i64::try_from(self.config.segment_ms)
                .unwrap_or(60_000)
                .clamp(1_000, 3_600_000)
                * 1_000,
        }
    }

    /// The sync timer of one volume. When `recorded`: closes all its files, makes the rest durable, and returns.
    async fn keep_durable(self: Arc<Self>, disk: Arc<DiskPool>, recorded: CancellationToken) {
        let mut carry = Carry::default();
        let every = Duration::from_millis(self.config.sync_interval_ms.clamp(50, 60_000));
        let mut timer = tokio::time::interval(every);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = recorded.cancelled() => break,
                _ = timer.tick() => {
                    // An error is in the health and tried again with the next tick.
                    self.sync_round(&disk, &mut carry).await.ok();
                }
            }
        }
        disk.close_all().await;
        for _ in 0..LAST_ATTEMPTS {
            if self.sync_round(&disk, &mut carry).await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
}

/// Makes what runs equal to what is wanted. Idempotent.
fn reconcile(
    inner: &Arc<Inner>,
    disk: &Arc<Disks>,
    wanted: &Wanted,
    running: &mut HashMap<StreamKey, Running>,
    tasks: &mut JoinSet<()>,
) {
    let record: HashMap<&StreamKey, &Arc<Ring>> = wanted
        .iter()
        .filter(|(_, _, record)| *record)
        .map(|(key, ring, _)| (key, ring))
        .collect();
    // A recorder that is ending keeps its place until its task is gone: two of one stream would overlap.
    for (key, r) in running.iter() {
        let same = record
            .get(key)
            .is_some_and(|ring| Arc::ptr_eq(ring, &r.ring));
        if !same {
            r.stop.cancel();
        }
    }
    for (key, ring) in record {
        if running.contains_key(key) {
            continue;
        }
        let stop = CancellationToken::new();
        let recorder = Recorder::new(Arc::clone(inner), Arc::clone(disk), key);
        let run = recorder.run(Arc::clone(ring), stop.clone());
        // Beside the session that fills the ring.
        let task = match ring.home() {
            Some(home) => tasks.spawn_on(run, home),
            None => tasks.spawn(run),
        };
        let r = Running {
            ring: Arc::clone(ring),
            stop,
            task: task.id(),
        };
        running.insert(key.clone(), r);
    }
    for state in inner.states() {
        let wanted = wanted
            .iter()
            .any(|(k, _, record)| *record && *k == state.key);
        if state.is_recording() && !wanted && !running.contains_key(&state.key) {
            let stopping = inner.stopping.load(Ordering::Acquire);
            state.ended(inner.clock.now(), !stopping);
            if !stopping {
                tracing::info!(stream = %state.key, "recording is switched off");
            }
        }
    }
}

/// Returns whether it ended as it should.
fn reap(
    ended: Result<(Id, ()), tokio::task::JoinError>,
    running: &mut HashMap<StreamKey, Running>,
) -> bool {
    let id = match &ended {
        Ok((id, ())) => *id,
        Err(e) => e.id(),
    };
    let Some(key) = running
        .iter()
        .find(|(_, r)| r.task == id)
        .map(|(k, _)| k.clone())
    else {
        return true;
    };
    let well = ended.is_ok();
    if let Err(e) = ended {
        tracing::error!(stream = %key, error = %e, "a recorder ended by a defect; it is begun again");
    }
    running.remove(&key);
    well
}
