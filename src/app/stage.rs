//! A group of tasks that start and stop together.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Longest a stage may take to stop. The sum over all stages stays below `TimeoutStopSec` of the unit.
const GRACE: Duration = Duration::from_secs(6);
/// The archive makes the last seconds durable: nothing is worth more of the time there is.
const ARCHIVE_GRACE: Duration = Duration::from_secs(12);

pub(super) struct Stage {
    name: &'static str,
    grace: Duration,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Stage {
    pub(super) fn new(name: &'static str) -> Self {
        Self::with_grace(name, GRACE)
    }

    /// The archive's own: it makes the last seconds of every camera durable.
    pub(super) fn archive() -> Self {
        Self::with_grace("archive", ARCHIVE_GRACE)
    }

    fn with_grace(name: &'static str, grace: Duration) -> Self {
        Self {
            name,
            grace,
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
        let ended = timeout(self.grace, async {
            while self.tasks.join_next().await.is_some() {}
        })
        .await;
        if ended.is_err() {
            tracing::warn!(
                stage = self.name,
                left = self.tasks.len(),
                "did not stop within {} s; cut off",
                self.grace.as_secs()
            );
            self.tasks.shutdown().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many as `Daemon` has beside the archive.
    const OTHER_STAGES: u32 = 5;

    #[test]
    fn all_stages_stop_within_systemds_patience() {
        let unit = include_str!("../../systemd/zhenbei.service");
        let patience = unit
            .lines()
            .find_map(|l| l.strip_prefix("TimeoutStopSec="))
            .expect("the unit says how long");
        let patience = Duration::from_secs(patience.trim_end_matches('s').parse().unwrap());
        let longest = GRACE * OTHER_STAGES + ARCHIVE_GRACE;
        assert!(longest < patience, "{longest:?} of {patience:?}");
    }
}
