//! What travels through the ring.

use std::sync::Arc;

use bytes::Bytes;

use crate::model::{UtcMicros, VideoCodec};

/// Parameters of a stream; constant until the camera changes them at a key frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamParams {
    pub codec: VideoCodec,
    /// `avcC` (ISO/IEC 14496-15 §5.3.3.1) or `hvcC` (§8.3.3.1) record, without the box header.
    pub extra_data: Bytes,
    /// RFC 6381, e.g. `avc1.64001f`.
    pub rfc6381: String,
    pub width: u16,
    pub height: u16,
    /// Width and height of a pixel, when not square.
    pub pixel_aspect: Option<(u32, u32)>,
    pub audio: Option<AudioParams>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioParams {
    /// A whole `AudioSampleEntry` box (`mp4a`, `alaw`, `ulaw` …) for the `stsd`.
    pub sample_entry: Bytes,
    /// RFC 6381, e.g. `mp4a.40.2`.
    pub rfc6381: Option<String>,
    pub clock_rate: u32,
    pub channels: u16,
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
    /// Server clock when the last packet of the frame was read.
    pub received: UtcMicros,
    /// Random access point (IDR / IRAP). Always true for audio.
    pub key: bool,
    /// Video: NAL units, each after a 4-byte length. Audio: the raw frame.
    pub data: Bytes,
    /// RTP packets lost just before this frame.
    pub lost: u32,
    pub params: Arc<StreamParams>,
}
