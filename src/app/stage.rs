//! A group of tasks that start and stop together.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Longest a stage may take to stop; the sum of all stages stays below `TimeoutStopSec` of the unit.
const GRACE: Duration = Duration::from_secs(10);

pub(super) struct Stage {
    name: &'static str,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Stage {
    pub(super) fn new(name: &'static str) -> Self {
        Self {
            name,
            stop: CancellationToken::new(),
            tasks: JoinSet::new(),
        }
    }

    /// Cancelled when this stage is to stop.
    pub(super) fn token(&self) -> CancellationToken {
        self.stop.clone()
    }

    pub(super) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Resolves when a task ends that should not have: the daemon cannot go on as if nothing had happened.
    pub(super) async fn failed(&mut self) -> &'static str {
        match self.tasks.join_next().await {
            Some(Err(e)) => {
                tracing::error!(stage = self.name, error = %e, "a task of the daemon failed")
            }
            Some(Ok(())) => {
                tracing::error!(stage = self.name, "a task of the daemon ended by itself")
            }
            None => std::future::pending().await,
        }
        self.name
    }

    /// Stops and waits; what does not stop in time is cut off and named.
    pub(super) async fn stop(mut self) {
        self.stop.cancel();
        let ended = timeout(GRACE, async {
            while self.tasks.join_next().await.is_some() {}
        })
        .await;
        if ended.is_err() {
            tracing::warn!(
                stage = self.name,
                left = self.tasks.len(),
                "did not stop within {} s; cut off",
                GRACE.as_secs()
            );
            self.tasks.shutdown().await;
        }
    }
}
