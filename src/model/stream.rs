//! What a decoder must know of a stream before its first picture.

use bytes::Bytes;

use super::VideoCodec;

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
