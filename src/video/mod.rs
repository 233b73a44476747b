//! Cameras: one task each, one ring a stream. Everyone who wants pictures (recorder, wall, stills) is a cursor on the ring.

mod frame;
mod lifecycle;
mod ring;

pub use frame::{AudioParams, Frame, Media, StreamParams};
pub use ring::{Cursor, Item, Read, Ring, SessionEnd, Start};
