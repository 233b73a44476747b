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

/// Feeds the watchdog while the runtime turns: while it gets any answer about the database. A database that is away or broken is
/// no reason to be killed, recording goes on without it; only what no longer turns is.
pub async fn watchdog(db: Database, stop: CancellationToken) {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        stop.cancelled().await;
        return;
    };
    let every = limit / 3;
    let mut well = true;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every.max(Duration::from_millis(100))) => {}
        }
        let pinged = db.ping().await;
        say(&[NotifyState::Watchdog]);
        match &pinged {
            Ok(()) if !well => tracing::info!("the database answers again"),
            Err(e) if well => tracing::error!(
                error = e.chain(),
                "the database does not answer as it should; recording goes on"
            ),
            Ok(()) | Err(_) => {}
        }
        well = pinged.is_ok();
    }
}
