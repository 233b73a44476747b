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

#[path = "../support/mod.rs"]
mod support;

mod footage;
mod held_footage_survives_anything;
mod holds_keep_frames;
mod house;

mod a_crash_loses_only_the_tail;
mod any_range_plays;
mod cameras_change_and_misbehave;
mod clips_are_long_and_large;
mod clips_play_what_was_asked_for;
mod clips_stay_the_same;
mod clocks_are_told;
mod every_missing_moment_has_a_cause;
mod exhibits_say_what_is_missing;
mod fsck_names_what_does_not_fit;
mod key_frames_are_found;
mod playlists_play;
mod retention_respects_holds;
mod the_disk_fails;
mod volumes_come_and_go;
