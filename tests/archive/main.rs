//! The archive on real pictures: what goes in comes out, what is missing is said, whatever happens in between.
#![allow(unreachable_pub, reason = "a test binary has no outside")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "clippy.toml allows them in tests, but does not know helpers of tests as such"
)]

mod footage;
mod house;

mod clips_play_what_was_asked_for;
