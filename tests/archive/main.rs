//! The archive on real pictures: what goes in comes out, what is missing is said, whatever happens in between.

mod footage;
mod house;

mod clips_play_what_was_asked_for;
