//! Threads that each drive their own cameras: a session and its recorder run on one thread and never meet another core.
//!
//! On a work-stealing runtime a picture may wake a second core and move its bytes there (docs/decisions/0010-shards.md). Main and
//! sub of a camera share a shard.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

use crate::model::{CameraId, Error, Result};

/// Threads for name look-ups of one shard; cameras have numbers for addresses, as a rule.
const LOOKUPS: usize = 4;

/// Where streams run. Cheap to clone.
#[derive(Clone)]
pub struct Shards(Arc<[Handle]>);

/// The threads themselves; what still runs on them ends when this is dropped.
pub struct ShardThreads {
    stop: CancellationToken,
    threads: Vec<JoinHandle<()>>,
}

impl Shards {
    /// `n` threads, at least one.
    pub fn start(n: usize) -> Result<(Self, ShardThreads)> {
        let stop = CancellationToken::new();
        let mut running = ShardThreads {
            stop: stop.clone(),
            threads: Vec::new(),
        };
        let mut handles = Vec::new();
        for n in 0..n.max(1) {
            let trouble =
                |e| Error::unavailable("no_thread", "cannot start a thread for cameras").because(e);
            let runtime = Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(LOOKUPS)
                .thread_name("camera-lookup")
                .build()
                .map_err(trouble)?;
            handles.push(runtime.handle().clone());
            let stop = stop.clone();
            let thread = std::thread::Builder::new()
                .name(format!("cameras-{n}"))
                .spawn(move || {
                    runtime.block_on(stop.cancelled());
                    // A name look-up that hangs must not hold the daemon up.
                    runtime.shutdown_background();
                })
                .map_err(trouble)?;
            running.threads.push(thread);
        }
        Ok((Self(handles.into()), running))
    }

    /// One shard: the runtime of whoever calls.
    pub fn here() -> Self {
        Self(Arc::new([Handle::current()]))
    }

    /// The shard of a camera: the same one as long as the daemon runs.
    pub(super) fn of(&self, camera: &CameraId) -> Handle {
        let mut h = DefaultHasher::new();
        camera.hash(&mut h);
        let n = usize::try_from(h.finish() >> 33).unwrap_or(0) % self.0.len().max(1);
        self.0.get(n).cloned().unwrap_or_else(Handle::current)
    }
}

impl Drop for ShardThreads {
    fn drop(&mut self) {
        self.stop.cancel();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the cameras had panicked");
            }
        }
    }
}
