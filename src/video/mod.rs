//! Cameras: one task a stream, one ring a stream. Everyone who wants pictures (recorder, wall, stills) is a cursor on the
//! ring.
//!
//! `supervisor` compares the wanted cameras with the tasks that run; `task` is the shell around the pure `lifecycle`; a
//! `SessionRunner` speaks with the camera (`Sessions` chooses: `RtspRunner` by retina, or a worker process with GStreamer) and
//! puts frames into the `sink`; `hub` keeps what is
//! known of each stream and is what the rest of the daemon asks, through `Video`.

mod address;
mod camera_clock;
mod faults;
mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod hosts;
mod hub;
mod lifecycle;
mod meter;
mod params;
mod placing;
mod ring;
mod rtcp;
mod rtsp;
mod session;
mod sessions;
mod shards;
mod sink;
mod supervisor;
mod task;
mod timeline;
mod worker_session;

pub use camera_clock::ClockReader;
pub use frame::{Arrival, Frame, Media};
pub use hub::{StreamList, Video};
pub use ring::{Cursor, Item, Read, Ring, SessionEnd, Start};
pub use rtcp::{SenderReport, sender_report};
pub use rtsp::RtspRunner;
pub use session::{Fault, SessionRunner, SessionSpec};
pub use sessions::Sessions;
pub use shards::{ShardThreads, Shards};
pub use sink::SessionSink;

pub use crate::model::{AudioParams, StreamParams};
