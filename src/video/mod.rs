//! Cameras: one task each, one ring a stream. Everyone who wants pictures (recorder, wall, stills) is a cursor on the ring.

mod frame;
mod lifecycle;
mod ring;

pub use frame::{Frame, Media};
pub use ring::{Cursor, Item, Read, Ring, SessionEnd, Start};

pub use crate::model::{AudioParams, StreamParams};
