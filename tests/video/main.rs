//! Cameras: supervision with fakes on a paused clock, and sessions with real RTSP servers and real accidents.

#![allow(unreachable_pub, reason = "a test binary has no outside")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what helpers of tests do not find fails the test"
)]

#[path = "../support/mod.rs"]
mod support;

mod cameras_of_every_kind;
mod cameras_over_every_transport;
mod cameras_that_fail;
mod clocks_of_cameras;
mod fakes;
mod passwords_are_tried_once;
mod quirks_of_cameras;
mod rig;
mod scripted;
mod supervision;
