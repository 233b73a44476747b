//! The same camera test against servers of every make: what a camera sends lies in the archive, whoever wrote its server.
//!
//! `docs/cameras-interop.md` is the list of what is tried here and of what comes out; a test holds it to that.

#![allow(unreachable_pub, reason = "a test binary has no outside")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what helpers of tests do not find fails the test"
)]

#[path = "../support/mod.rs"]
mod support;

#[allow(dead_code, reason = "only the camera of it")]
#[path = "../video/fakes.rs"]
mod fakes;
#[allow(dead_code, reason = "only the plain pictures of it")]
#[path = "../archive/footage.rs"]
mod footage;

mod camera_test;
mod exchange;
mod house;
mod packets;
mod relay;
mod replayed;
mod source;
mod vlc;

mod devices_are_taken_as_they_are;
mod gstreamer_servers_are_recorded;
mod the_page_tells_what_is_tried;
mod vlc_is_recorded;
mod what_ffmpeg_publishes_is_recorded;
