//! A group of tasks that start and stop together.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Longest a stage may take to stop; the sum of all stages stays below `TimeoutStopSec` of the unit.
const GRACE: Duration = Duration::from_secs(10);

pub struct Stage {
    name: &'static str,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Stage {
    pub fn new(name: &'static str) -> Self {
        Self { name, stop: CancellationToken::new(), tasks: JoinSet::new() }
    }

    /// Cancelled when this stage is to stop.
    pub fn token(&self) -> CancellationToken {
        self.stop.clone()
    }

    pub fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Resolves when a task ends that should not have: the daemon cannot go on as if nothing had happened.
    pub async fn failed(&mut self) {
        match self.tasks.join_next().await {
            Some(Err(e)) if e.is_panic() => tracing::error!(stage = self.name, error = %e, "a task of the daemon panicked"),
            Some(_) if self.stop.is_cancelled() => std::future::pending().await,
            Some(_) => tracing::error!(stage = self.name, "a task of the daemon ended by itself"),
            None => std::future::pending().await,
        }
    }

    /// Stops and waits; what does not stop in time is cut off and named.
    pub async fn stop(mut self) {
        self.stop.cancel();
        let ended = timeout(GRACE, async { while self.tasks.join_next().await.is_some() {} }).await;
        if ended.is_err() {
            tracing::warn!(stage = self.name, left = self.tasks.len(), "did not stop within {} s; cut off", GRACE.as_secs());
            self.tasks.shutdown().await;
        }
    }
}
