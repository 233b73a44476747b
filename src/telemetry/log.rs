//! Logs go to standard error: text for people, JSON lines for machines.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use crate::config::{LogConfig, LogFormat};
use crate::model::{Error, Result};

/// Once in a process, before anything else says something.
pub fn start_logging(config: &LogConfig) -> Result<()> {
    let filter: EnvFilter = config.filter.parse().map_err(|e| {
        Error::invalid(
            "bad_log_filter",
            format!("[log] filter `{}` is not one", config.filter),
        )
        .because(e)
    })?;
    let output = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    // The journal stamps each line itself (systemd.exec(5), JOURNAL_STREAM).
    let stamped = std::env::var_os("JOURNAL_STREAM").is_none();
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match config.format {
        LogFormat::Json => output.json().flatten_event(true).boxed(),
        LogFormat::Text => {
            let output = output.with_ansi(std::io::stderr().is_terminal());
            if stamped {
                output.boxed()
            } else {
                output.without_time().boxed()
            }
        }
    };
    tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .try_init()
        .map_err(|e| Error::internal("logging", "logging was started twice").because(e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_filter_is_refused_before_anything_starts() {
        let config = LogConfig {
            filter: "zhenbei=loud".into(),
            format: LogFormat::Json,
        };
        let error = start_logging(&config).unwrap_err();
        assert_eq!(error.code(), "bad_log_filter");
    }
}
