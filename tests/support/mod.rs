//! Real servers for tests, each on a free port and in a folder of its own, ended with the test.
//!
//! A server that is not installed fails the test with the command that installs it; nothing is skipped.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(unreachable_pub, reason = "a test binary has no outside")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot set up must fail"
)]

pub mod daemon;
pub mod ffmpeg;
pub mod index;
pub mod mqtt;
pub mod rtsp;
pub mod servers;
