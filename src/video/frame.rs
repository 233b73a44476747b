//! What travels through the ring.

use std::sync::Arc;

use bytes::Bytes;

use crate::model::{CameraClock, StreamParams, UtcMicros};

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
    /// Server clock when the last packet of the frame was read.
    pub received: UtcMicros,
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
