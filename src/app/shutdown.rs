//! Signals: the first asks for an orderly stop, the second ends at once.

use tokio::signal::unix::{SignalKind, signal};

/// Resolves at the first SIGTERM or SIGINT; after that a second one ends the process with 1.
pub async fn signalled() -> std::io::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = term.recv() => tracing::info!("SIGTERM: stopping"),
        _ = int.recv() => tracing::info!("SIGINT: stopping; once more ends at once"),
    }
    #[allow(
        clippy::disallowed_methods,
        reason = "lives until the process ends, and ends it"
    )]
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        tracing::warn!("second signal: ending at once; recordings after durable_until are lost");
        std::process::exit(1);
    });
    Ok(())
}
