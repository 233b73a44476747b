//! What walls receive: live pictures of many cameras over one socket, recorded pictures, and what happens.
//!
//! Promises: a slow wall slows nobody and is told what it missed; an H.265 camera is converted once however many watch; every
//! message carries the server's time, so that a page can tell the age of what it shows.

mod cameras;
mod events;
mod playback;
mod presence;
mod protocol;
mod scrub;
mod source;
mod tile;
mod views;
mod wall;

pub use cameras::Cameras;
pub use events::{Events, Subscription};
pub use playback::{Playback, Playlist, Still};
pub use protocol::{Format, HEADER_LEN, Header, Kind, Notice, Request, Wanted};
pub use scrub::Slot;
pub use source::Sources;
pub use tile::Out;
pub use views::{
    CameraView, ClockView, FixAbout, PositionView, ReasonView, StreamView, state_word,
};
pub use wall::{MAX_TILES, Walls};
