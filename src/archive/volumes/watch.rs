//! Looks after a volume: notices that its disk is gone or does not answer, and takes it back when it is there again.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Mount, State};
use crate::archive::Inner;
use crate::archive::health::HealthState;
use crate::model::Result;

/// One that is well is looked at every so many ticks.
const WELL: u32 = 5;
const TICK: Duration = Duration::from_secs(1);
/// A disk that has not answered for so long counts as lost. (An error is known at once.)
const PATIENCE: Duration = Duration::from_secs(15);

impl Inner {
    /// Takes a volume into use: what a crash left on it is read back before anything is written. Not there: no error.
    pub(in crate::archive) async fn bring_up(&self, mount: &Arc<Mount>) -> Result<()> {
        let Some(state) = mount.enter(&self.db, self.clock.now()).await? else {
            return Ok(());
        };
        if !mount.is_recovered() {
            self.recover_volume(mount).await?;
            mount.set_recovered();
            let all = self.db.archive_volume_bytes().await?;
            mount.set_bytes(all.get(&mount.name).copied().unwrap_or(0));
        }
        mount.set_state(state);
        Ok(())
    }

    pub(in crate::archive) async fn watch_volume(
        self: Arc<Self>,
        mount: Arc<Mount>,
        stop: CancellationToken,
    ) {
        let mut ticks = 0;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(TICK) => {}
            }
            // What has failed since is looked at now.
            let well = mount.state() == State::Up && mount.health().state == HealthState::Ok;
            ticks += 1;
            if well && ticks < WELL {
                continue;
            }
            ticks = 0;
            let mut look = std::pin::pin!(self.look(&mount));
            loop {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    () = &mut look => break,
                    () = tokio::time::sleep(PATIENCE) => mount.does_not_answer(),
                }
            }
        }
    }

    async fn look(&self, mount: &Arc<Mount>) {
        if mount.state() != State::Lost {
            let again = Arc::clone(mount);
            let work = tokio::task::spawn_blocking(move || again.look());
            if let Err(e) = work.await {
                tracing::error!(volume = mount.label(), error = %e, "the look at a volume ended early");
            }
            return;
        }
        match self.bring_up(mount).await {
            Ok(()) if mount.state() == State::Lost => {}
            Ok(()) => tracing::info!(volume = mount.label(), "the volume is back"),
            Err(e) => {
                if mount.troubles.away(Some(e.detail().to_owned())) {
                    tracing::error!(volume = mount.label(), error = %e.chain(), "a volume cannot be used");
                }
            }
        }
    }
}
