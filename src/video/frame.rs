//! What travels through the ring.

use std::sync::Arc;

use bytes::Bytes;

use crate::model::{CameraClock, StreamParams, UtcMicros};

/// When a frame came in, by the machine's two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Monotonic, in µs. Only differences mean anything, and only within this process: nobody sets this clock.
    pub steady: i64,
    /// What the server's clock said, even when it was set back meanwhile.
    pub wall: UtcMicros,
}

impl Arrival {
    /// The clock was not set.
    pub const fn unmoved(at: UtcMicros) -> Self {
        Self {
            steady: at.micros(),
            wall: at,
        }
    }

    /// So many µs earlier.
    pub(crate) fn before(self, micros: i64) -> Self {
        Self {
            steady: self.steady.saturating_sub(micros),
            wall: self.wall - micros,
        }
    }

    /// The earlier by each clock.
    pub(crate) fn min(self, other: Self) -> Self {
        Self {
            steady: self.steady.min(other.steady),
            wall: self.wall.min(other.wall),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    Video,
    Audio,
}

/// One access unit or audio frame, as it will lie in `mdat`.
#[derive(Clone, Debug)]
pub struct Frame {
    pub media: Media,
    /// Units of 1/90 000 s (video) or 1/`clock_rate` s (audio), unwrapped, zero at the session's start.
    pub pts: i64,
    /// Server clock when the last packet of the frame was read; only goes forward within a session.
    pub received: UtcMicros,
    pub arrival: Arrival,
    /// Random access point (IDR / IRAP). Always true for audio.
    pub key: bool,
    /// Video: NAL units, each after a 4-byte length. Audio: the raw frame.
    pub data: Bytes,
    /// RTP packets lost just before this frame.
    pub lost: u32,
    /// The camera's clock minus `received`. Never moves a timeline; kept beside it.
    pub camera_clock: CameraClock,
    pub params: Arc<StreamParams>,
}
