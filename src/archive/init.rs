//! The beginning of a segment file: `ftyp moov` that any player takes, and a box of our own that says whose file this is.

use std::sync::Arc;

use super::boxes::{Boxes, Input, u32_of};
use super::params;
use super::track::{
    AUDIO_TRACK, Track, VIDEO_CLOCK, VIDEO_TRACK, audio_stsd, ftyp, mvhd, trak, video_stsd,
};
use crate::model::{CameraId, SegmentId, StreamKey, StreamRole, UtcMicros};
use crate::video::{Media, StreamParams};

/// Type of our box in the head of a file (ISO/IEC 14496-12 §11.1).
const HEAD_UUID: [u8; 16] = *b"zhenbei:segment\x01";

/// What a file says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) id: SegmentId,
    pub(super) stream: StreamKey,
    pub(super) started: UtcMicros,
    /// `params::to_text`.
    pub(super) params: Arc<str>,
}

pub(super) fn role_code(role: StreamRole) -> u8 {
    match role {
        StreamRole::Main => 0,
        StreamRole::Sub => 1,
    }
}

pub(super) fn role_of(code: u8) -> Option<StreamRole> {
    match code {
        0 => Some(StreamRole::Main),
        1 => Some(StreamRole::Sub),
        _ => None,
    }
}

/// Writes `ftyp moov uuid`.
pub(super) fn write(b: &mut Boxes, head: &Head, stream: &StreamParams) {
    init_segment(b, stream, head.started);
    b.nest(b"uuid", |b| {
        b.bytes(&HEAD_UUID);
        b.bytes(head.id.0.as_bytes());
        b.i64(head.started.micros());
        b.u8(role_code(head.stream.role));
        let camera = head.stream.camera.as_str().as_bytes();
        b.u8(u8::try_from(camera.len()).unwrap_or(u8::MAX));
        b.bytes(camera);
        b.u32(u32_of(head.params.len()));
        b.bytes(head.params.as_bytes());
    });
}

/// `ftyp moov` for fragments of these parameters.
pub(super) fn init_segment(b: &mut Boxes, stream: &StreamParams, created: UtcMicros) {
    ftyp(b);
    b.nest(b"moov", |b| {
        mvhd(b, created, 0);
        let video = Track {
            media: Media::Video,
            timescale: VIDEO_CLOCK,
            duration: 0,
            shown: 0,
            width: stream.width,
            height: stream.height,
            created,
            edits: &[],
        };
        trak(b, &video, |b| {
            video_stsd(b, std::iter::once(stream));
            empty_tables(b);
        });
        if let Some(audio) = &stream.audio {
            let track = Track {
                media: Media::Audio,
                timescale: audio.clock_rate.max(1),
                width: 0,
                height: 0,
                ..video
            };
            trak(b, &track, |b| {
                audio_stsd(b, audio);
                empty_tables(b);
            });
        }
        b.nest(b"mvex", |b| {
            trex(b, VIDEO_TRACK);
            if stream.audio.is_some() {
                trex(b, AUDIO_TRACK);
            }
        });
    });
}

fn trex(b: &mut Boxes, track: u32) {
    b.full(b"trex", 0, 0, |b| {
        b.u32(track);
        b.u32(1); // sample description
        b.zeros(12);
    });
}

fn empty_tables(b: &mut Boxes) {
    b.full(b"stts", 0, 0, |b| b.u32(0));
    b.full(b"stsc", 0, 0, |b| b.u32(0));
    b.full(b"stsz", 0, 0, |b| b.zeros(8));
    b.full(b"stco", 0, 0, |b| b.u32(0));
}

/// Reads the head of a file and its length. `None`: torn, or not ours.
pub(super) fn read(file: &[u8]) -> Option<(Head, usize)> {
    let mut at = Input(file);
    for wanted in [b"ftyp", b"moov"] {
        let (kind, _) = at.next_box()?;
        if kind != *wanted {
            return None;
        }
    }
    let (kind, content) = at.next_box()?;
    let mut c = Input(content);
    if &kind != b"uuid" || c.array()? != HEAD_UUID {
        return None;
    }
    let id = SegmentId(uuid::Uuid::from_bytes(c.array()?));
    let started = UtcMicros(c.i64()?);
    let role = role_of(c.u8()?)?;
    let n = usize::from(c.u8()?);
    let camera = CameraId::new(std::str::from_utf8(c.slice(n)?).ok()?).ok()?;
    let n = usize::try_from(c.u32()?).ok()?;
    let text = std::str::from_utf8(c.slice(n)?).ok()?;
    params::from_text(text).ok()?;
    let head = Head {
        id,
        stream: StreamKey::new(camera, role),
        started,
        params: text.into(),
    };
    Some((head, file.len() - at.0.len()))
}
