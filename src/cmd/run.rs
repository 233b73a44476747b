//! `zhenbei run`: the daemon.

use std::path::Path;
use std::sync::Arc;

use super::Failure;
use crate::app::{Daemon, ready, signalled, stopping};
use crate::config;
use crate::media::this_program;
use crate::telemetry;

pub(super) fn run(file: &Path) -> Result<(), Failure> {
    let loaded = config::load(file).map_err(Failure::Config)?;
    telemetry::start_logging(&loaded.config.log).map_err(Failure::Failed)?;
    let numbers = telemetry::Numbers::start().map_err(Failure::Failed)?;
    for warning in loaded.warning_lines() {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("zhenbei")
        .build()?;
    runtime.block_on(async {
        let mut daemon = Daemon::start(Arc::new(loaded.config), this_program(), numbers).await?;
        if let Some(first) = daemon.first_sign_in() {
            // Shown once, and only on the first start: nothing else knows it.
            tracing::warn!(
                "first start: sign in as `{}` with the password `{}` and change it",
                first.name,
                first.password
            );
        }
        ready(&daemon.url());
        let failed = tokio::select! {
            signal = signalled() => {
                signal?;
                None
            }
            failed = daemon.failed() => Some(failed),
        };
        stopping();
        daemon.stop().await;
        tracing::info!("stopped");
        match failed {
            Some(part) => {
                Err(anyhow::anyhow!("the part `{part}` ended by itself; see the log above").into())
            }
            None => Ok(()),
        }
    })
}
