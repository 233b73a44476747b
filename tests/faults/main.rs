//! What is left after everything that goes wrong: kills, full, broken and slow disks, clocks that are set, links that break,
//! packets that are lost, cameras that come back as others.
//!
//! `make test-faults` runs it in full and prints a table; `make test` runs the same with less of everything.
#![allow(unreachable_pub, reason = "a test binary has no outside")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "clippy.toml allows them in tests, but does not know helpers of tests as such"
)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../archive/footage.rs"]
#[allow(dead_code, reason = "shared with the tests of the archive")]
mod footage;

mod camera;
mod faulty;
mod inside;
mod judge;
mod process;
mod scenes;
mod table;

use table::Table;

/// Each fault has cameras, a clock and a disk of its own.
#[tokio::test(flavor = "multi_thread")]
async fn after_every_fault_the_archive_says_the_truth() {
    let full = std::env::var("ZHENBEI_FAULTS").is_ok_and(|v| v == "full");
    let only = std::env::var("ZHENBEI_FAULTS_ONLY").ok();
    let mut table = Table::default();
    let mut scenes: Vec<_> = scenes::all(full)
        .into_iter()
        .filter(|(name, _)| only.as_deref().is_none_or(|o| name.contains(o)))
        .collect();
    // In full one fault at a time, with all cameras; in short a few side by side, with few cameras each.
    let at_once = if full { 1 } else { 4 };
    while !scenes.is_empty() {
        let some = scenes.drain(..at_once.min(scenes.len()));
        table.run(some.collect()).await;
    }
    table.print();
    table.verdict();
}
