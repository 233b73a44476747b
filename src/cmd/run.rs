//! `zhenbei run`: the daemon.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
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
    let data = loaded.config.data.dir.clone();
    runtime.block_on(async {
        let mut daemon = Daemon::start(Arc::new(loaded.config), this_program(), numbers).await?;
        if let Some(first) = daemon.first_sign_in() {
            tell_first_sign_in(&data, &first.name, &first.password);
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

/// The password goes into a file for the daemon's user only: a log is read by many, and kept.
fn tell_first_sign_in(data: &Path, name: &str, password: &str) {
    match write_first_sign_in(data, name, password) {
        Ok(file) => tracing::warn!(
            "first start: name and password are in {}; delete it after the first sign-in",
            file.display()
        ),
        Err(e) => tracing::error!(
            error = %e,
            "first start: the password of `{name}` could not be written to {}; add another person with `zhenbei user add NAME --role admin`",
            data.display()
        ),
    }
}

/// Never over a file that is there already, which may be someone's, or a link to somewhere.
fn write_first_sign_in(data: &Path, name: &str, password: &str) -> std::io::Result<PathBuf> {
    let names = std::iter::once("first-sign-in.txt".to_owned())
        .chain((2..10).map(|n| format!("first-sign-in-{n}.txt")));
    for file in names.map(|n| data.join(n)) {
        let mut out = match OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&file)
        {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => continue,
            opened => opened?,
        };
        writeln!(out, "name: {name}\npassword: {password}")?;
        // It stands nowhere else: a power cut now must not make the system a locked one.
        out.sync_all()?;
        std::fs::File::open(data)?.sync_all()?;
        return Ok(file);
    }
    Err(std::io::Error::new(
        ErrorKind::AlreadyExists,
        "there are too many old files first-sign-in*.txt",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_first_password_is_for_the_owner_only_and_overwrites_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = write_first_sign_in(dir.path(), "admin", "one").unwrap();
        assert_eq!(file, dir.path().join("first-sign-in.txt"));
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let second = write_first_sign_in(dir.path(), "admin", "two").unwrap();
        let read = |f: &Path| std::fs::read_to_string(f).unwrap();
        assert_eq!(read(&file), "name: admin\npassword: one\n");
        assert_eq!(read(&second), "name: admin\npassword: two\n");
        for _ in 0..7 {
            write_first_sign_in(dir.path(), "admin", "more").unwrap();
        }
        assert!(write_first_sign_in(dir.path(), "admin", "too many").is_err());
    }
}
