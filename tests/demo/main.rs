//! The synthetic city: its plan, its traffic, its feed and its cameras.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod cameras_are_real;
mod terminals_send_what_terminals_send;
mod the_city_is_planned;
mod the_city_runs;
mod vehicles_keep_to_the_roads;
