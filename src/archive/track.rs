//! The parts of a `moov` that segment files and clips share (ISO/IEC 14496-12 §8.2 to §8.5, 14496-15 §5.4 and §8.4).

use super::boxes::{Boxes, u32_of};
use crate::model::{UtcMicros, VideoCodec};
use crate::video::{AudioParams, Media, StreamParams};

/// Ticks of video tracks and of the movie header.
pub(super) const VIDEO_CLOCK: u32 = 90_000;
pub(super) const VIDEO_TRACK: u32 = 1;
pub(super) const AUDIO_TRACK: u32 = 2;

/// ISO 14496-12 counts from 1904-01-01.
const EPOCH_1904: i64 = 2_082_844_800;

/// `isom` and `iso6` for `trun`/`tfdt` version 1; `mp41` for players that look for nothing else.
pub(super) fn ftyp(b: &mut Boxes) {
    b.nest(b"ftyp", |b| {
        b.bytes(b"iso6");
        b.u32(1);
        b.bytes(b"iso6isommp41");
    });
}

/// One edit: `media_time` of -1 is an empty edit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edit {
    pub(super) duration: u64,
    pub(super) media_time: i64,
}

pub(super) struct Track<'a> {
    pub(super) media: Media,
    pub(super) timescale: u32,
    /// In `timescale`.
    pub(super) duration: u64,
    /// In movie ticks.
    pub(super) shown: u64,
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) created: UtcMicros,
    pub(super) edits: &'a [Edit],
}

fn seconds_1904(t: UtcMicros) -> u64 {
    u64::try_from(t.micros().div_euclid(1_000_000) + EPOCH_1904).unwrap_or(0)
}

/// Version 1 throughout: a 32-bit duration at 90 kHz overflows after 13 hours.
pub(super) fn mvhd(b: &mut Boxes, created: UtcMicros, duration: u64) {
    b.full(b"mvhd", 1, 0, |b| {
        b.u64(seconds_1904(created));
        b.u64(seconds_1904(created));
        b.u32(VIDEO_CLOCK);
        b.u64(duration);
        b.u32(0x0001_0000); // rate 1
        b.u16(0x0100); // volume 1
        b.zeros(10);
        matrix(b);
        b.zeros(24);
        b.u32(AUDIO_TRACK + 1); // next track
    });
}

pub(super) fn trak(b: &mut Boxes, t: &Track<'_>, stbl: impl FnOnce(&mut Boxes)) {
    let video = t.media == Media::Video;
    b.nest(b"trak", |b| {
        b.full(b"tkhd", 1, 3, |b| {
            b.u64(seconds_1904(t.created));
            b.u64(seconds_1904(t.created));
            b.u32(if video { VIDEO_TRACK } else { AUDIO_TRACK });
            b.u32(0);
            b.u64(t.shown);
            b.zeros(8);
            b.u16(0); // layer
            b.u16(0); // alternate group
            b.u16(if video { 0 } else { 0x0100 });
            b.u16(0);
            matrix(b);
            b.u32(u32::from(t.width) << 16);
            b.u32(u32::from(t.height) << 16);
        });
        if !t.edits.is_empty() {
            b.nest(b"edts", |b| {
                b.full(b"elst", 1, 0, |b| {
                    b.u32(u32_of(t.edits.len()));
                    for e in t.edits {
                        b.u64(e.duration);
                        b.i64(e.media_time);
                        b.u32(0x0001_0000); // rate 1
                    }
                });
            });
        }
        b.nest(b"mdia", |b| {
            b.full(b"mdhd", 1, 0, |b| {
                b.u64(seconds_1904(t.created));
                b.u64(seconds_1904(t.created));
                b.u32(t.timescale);
                b.u64(t.duration);
                b.u16(0x55c4); // und
                b.u16(0);
            });
            b.full(b"hdlr", 0, 0, |b| {
                b.u32(0);
                b.bytes(if video { b"vide" } else { b"soun" });
                b.zeros(12);
                b.bytes(if video { b"video\0" } else { b"audio\0" });
            });
            b.nest(b"minf", |b| {
                if video {
                    b.full(b"vmhd", 0, 1, |b| b.zeros(8));
                } else {
                    b.full(b"smhd", 0, 0, |b| b.zeros(4));
                }
                b.nest(b"dinf", |b| {
                    b.full(b"dref", 0, 0, |b| {
                        b.u32(1);
                        b.full(b"url ", 0, 1, |_| {});
                    });
                });
                b.nest(b"stbl", stbl);
            });
        });
    });
}

/// `stsd` of a video track.
pub(super) fn video_stsd<'a>(
    b: &mut Boxes,
    entries: impl ExactSizeIterator<Item = &'a StreamParams>,
) {
    b.full(b"stsd", 0, 0, |b| {
        b.u32(u32_of(entries.len()));
        for p in entries {
            video_entry(b, p);
        }
    });
}

pub(super) fn audio_stsd(b: &mut Boxes, audio: &AudioParams) {
    b.full(b"stsd", 0, 0, |b| {
        b.u32(1);
        b.bytes(&audio.sample_entry);
    });
}

fn video_entry(b: &mut Boxes, p: &StreamParams) {
    // hvc1, not hev1: Safari plays nothing else, and parameter sets are in the record.
    let (kind, config) = match p.codec {
        VideoCodec::H264 => (b"avc1", b"avcC"),
        VideoCodec::H265 => (b"hvc1", b"hvcC"),
    };
    b.nest(kind, |b| {
        b.zeros(6);
        b.u16(1); // data reference
        b.zeros(16);
        b.u16(p.width);
        b.u16(p.height);
        b.u32(0x0048_0000); // 72 dpi
        b.u32(0x0048_0000);
        b.u32(0);
        b.u16(1); // frames a sample
        b.zeros(32);
        b.u16(0x0018); // depth
        b.u16(0xffff);
        b.nest(config, |b| b.bytes(&p.extra_data));
        if let Some((h, v)) = p.pixel_aspect {
            b.nest(b"pasp", |b| {
                b.u32(h);
                b.u32(v);
            });
        }
    });
}

fn matrix(b: &mut Boxes) {
    for v in [0x0001_0000, 0, 0, 0, 0x0001_0000, 0, 0, 0, 0x4000_0000] {
        b.u32(v);
    }
}
