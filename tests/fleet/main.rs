//! Vehicles, from a real broker to the wall and the history.
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

mod house;

mod a_broken_broker_loses_nothing;
mod a_broken_store_loses_nothing;
mod bad_messages_do_not_stop_good_ones;
mod brokers_that_refuse_are_named;
mod positions_reach_the_wall;
mod vectors;
