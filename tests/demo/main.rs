//! The synthetic city: its plan, its traffic, its feed and its cameras.
#![allow(unreachable_pub, reason = "a test binary has no outside")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "clippy.toml allows them in tests, but does not know helpers of tests as such"
)]

mod cameras_are_real;
mod terminals_send_what_terminals_send;
mod the_city_is_planned;
mod the_city_runs;
mod vehicles_keep_to_the_roads;
