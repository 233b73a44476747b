//! A disk pool for each volume, and the way of a stream's fragments to the right one.

use std::sync::Arc;

use super::{State, Volumes};
use crate::archive::Inner;
use crate::archive::disk::DiskPool;
use crate::archive::state::StreamState;
use crate::archive::timeline::Take;
use crate::model::{GapCause, Result, StreamKey};

pub(in crate::archive) struct Disks {
    volumes: Arc<Volumes>,
    /// As `Volumes::all`.
    pools: Vec<Arc<DiskPool>>,
}

impl Disks {
    pub(in crate::archive) fn start(inner: &Inner) -> Result<Self> {
        let limit = inner.config.queue_bytes;
        let start = |mount| DiskPool::start(&inner.site(mount), limit).map(Arc::new);
        Ok(Self {
            volumes: Arc::clone(&inner.volumes),
            pools: inner
                .volumes
                .all()
                .iter()
                .map(start)
                .collect::<Result<_>>()?,
        })
    }

    pub(in crate::archive) fn pools(&self) -> &[Arc<DiskPool>] {
        &self.pools
    }

    /// Queues a fragment. `Err`: nothing was queued, for that cause.
    pub(in crate::archive) fn offer(
        &self,
        state: &Arc<StreamState>,
        take: Take,
    ) -> Result<(), GapCause> {
        let seat = self.seat(state, &take);
        let (Some(mount), Some(pool)) = (self.volumes.all().get(seat), self.pools.get(seat)) else {
            return Err(GapCause::DiskError);
        };
        if mount.is_full() {
            return Err(GapCause::DiskFull);
        }
        if mount.state() == State::Lost {
            return Err(GapCause::DiskError);
        }
        pool.offer(state, take)
    }

    /// A stream changes volumes at a key frame, and only when nothing of it waits for the old one: its files, its hash chain
    /// and its order belong to one thread.
    fn seat(&self, state: &StreamState, take: &Take) -> usize {
        let best = || self.volumes.seat(&state.key);
        let Some(now) = state.seat() else {
            let best = best();
            state.sit(best);
            return best;
        };
        if !take.key || state.queued() > 0 {
            return now;
        }
        let best = best();
        if best == now {
            return now;
        }
        // Its file there must be closed: it may come back and must not go on with it.
        if !self.pools.get(now).is_none_or(|p| p.try_close(&state.key)) {
            return now;
        }
        let name = |i: usize| self.volumes.all().get(i).map_or("", |m| m.label());
        tracing::warn!(
            stream = %state.key, from = name(now), to = name(best),
            "recordings go to another volume"
        );
        state.sit(best);
        best
    }

    pub(in crate::archive) async fn close(&self, state: &StreamState) {
        if let Some(pool) = state.seat().and_then(|seat| self.pools.get(seat)) {
            pool.close(&state.key).await;
        }
    }

    pub(in crate::archive) fn waiting_bytes(&self, key: &StreamKey) -> usize {
        self.pools
            .get(self.volumes.seat(key))
            .map_or(0, |p| p.waiting_bytes())
    }

    /// Lets the threads finish what is queued and waits for them.
    pub(in crate::archive) async fn join(self) {
        for pool in self.pools {
            match Arc::try_unwrap(pool) {
                Ok(pool) => {
                    tokio::task::spawn_blocking(move || pool.join()).await.ok();
                }
                Err(_) => tracing::error!("a disk pool is still in use after all recorders ended"),
            }
        }
    }
}
