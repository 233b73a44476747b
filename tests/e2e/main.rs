//! The real binary with real cameras and a real broker: what an operator sees when things go wrong.
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

mod bad_input;
mod derived;
mod events;
mod kill;
mod operator;
mod playback;
