//! Cameras: one task a stream, one ring a stream. Everyone who wants pictures (recorder, wall, stills) is a cursor on the
//! ring.
//!
//! `supervisor` compares the wanted cameras with the tasks that run; `task` is the shell around the pure `lifecycle`; a
//! `SessionRunner` speaks with the camera (`RtspRunner`, by retina) and puts frames into the `sink`; `hub` keeps what is
//! known of each stream and is what the rest of the daemon asks, through `Video`.

mod address;
mod faults;
mod frame;
mod hosts;
mod hub;
mod lifecycle;
mod meter;
mod params;
mod ring;
mod rtsp;
mod session;
mod sink;
mod supervisor;
mod task;
mod timeline;

pub use frame::{Frame, Media};
pub use hub::{StreamList, Video};
pub use ring::{Cursor, Item, Read, Ring, SessionEnd, Start};
pub use rtsp::RtspRunner;
pub use session::{Fault, SessionRunner, SessionSpec};
pub use sink::SessionSink;

pub use crate::model::{AudioParams, StreamParams};
