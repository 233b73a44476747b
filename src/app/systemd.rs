//! Words for systemd (sd_notify(3)). Without a manager they go nowhere.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use crate::store::Database;

pub fn ready(address: &str) {
    say(&[
        NotifyState::Ready,
        NotifyState::Status(&format!("serving {address}")),
    ]);
}

pub fn stopping() {
    say(&[NotifyState::Stopping]);
}

fn say(states: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(states) {
        tracing::debug!(error = %e, "systemd was not told");
    }
}

/// Feeds the watchdog while the runtime turns and the database answers.
pub async fn watchdog(db: Database, stop: CancellationToken) {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        stop.cancelled().await;
        return;
    };
    let every = limit / 3;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every.max(Duration::from_millis(100))) => {}
        }
        match db.ping().await {
            Ok(()) => say(&[NotifyState::Watchdog]),
            // PostgreSQL away is no reason to be killed: recording goes on. Only a runtime that no longer turns is.
            Err(e) if e.is_transient() => say(&[NotifyState::Watchdog]),
            Err(e) => tracing::error!(
                error = e.chain(),
                "the watchdog is not fed: the database is broken"
            ),
        }
    }
}
