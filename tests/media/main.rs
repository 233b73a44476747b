//! Native media work: real pictures through real worker processes, and what is left when those die.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy.toml allows them in tests, but does not know helpers of tests as such"
)]

mod clips;
mod derived;
mod feeds;
mod pipelines;
mod stills;
mod transcodes;
mod workers;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use zhenbei::config::MediaConfig;
use zhenbei::media::Media;

pub(crate) fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_zhenbei"))
}

pub(crate) fn media(change: impl FnOnce(&mut MediaConfig)) -> Media {
    let mut config = MediaConfig::default();
    change(&mut config);
    Media::start(&config, program()).unwrap()
}

/// Waits for another process; ours is told by conditions, never by time.
pub(crate) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < give_up, "{what} did not come about");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) fn is_running(pid: u32) -> bool {
    // A zombie has ended.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .trim_start()
            .starts_with('Z')
    })
}

pub(crate) fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}
