//! Real servers for tests, each on a free port and in a folder of its own, ended with the test.
//!
//! A server that is not installed fails the test with the command that installs it; nothing is skipped.
#![allow(dead_code, reason = "each test binary uses a part")]

pub mod rtsp;
pub mod servers;
