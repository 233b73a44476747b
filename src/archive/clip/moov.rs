//! `ftyp moov` and the head of `mdat` of a clip (ISO/IEC 14496-12 §8.6 and §8.7).

use super::plan::{Chunk, Plan, Tables};
use crate::archive::boxes::{Boxes, u32_of};
use crate::archive::fragment::ticks_at;
use crate::archive::gop::ticks;
use crate::archive::track::{Edit, Track, VIDEO_CLOCK, audio_stsd, ftyp, mvhd, trak, video_stsd};
use crate::video::Media;

/// Everything before the media data.
pub(super) fn head(plan: &Plan) -> Vec<u8> {
    // Chunk offsets depend on the length of `moov`, which depends only on their width.
    let mut b = write(plan, 0, false);
    let mut wide = false;
    let total = |b: &Boxes| b.len() as u64 + 16 + plan.media_len;
    if total(&b) > u64::from(u32::MAX) {
        wide = true;
        b = write(plan, 0, true);
    }
    let long_mdat = plan.media_len + 8 > u64::from(u32::MAX);
    let base = b.len() as u64 + if long_mdat { 16 } else { 8 };
    let mut b = write(plan, base, wide);
    if long_mdat {
        b.u32(1);
        b.bytes(b"mdat");
        b.u64(plan.media_len + 16);
    } else {
        b.u32(u32::try_from(plan.media_len + 8).unwrap_or(u32::MAX));
        b.bytes(b"mdat");
    }
    b.buf
}

fn write(plan: &Plan, base: u64, wide: bool) -> Boxes {
    let mut b = Boxes::with_capacity(4096 + plan.video.sizes.len() * 8);
    let shown = positive(ticks(plan.delivered.micros()));
    ftyp(&mut b);
    b.nest(b"moov", |b| {
        mvhd(b, plan.delivered.from, shown);
        let (width, height) = plan
            .entries
            .iter()
            .fold((0, 0), |(w, h), p| (p.width.max(w), p.height.max(h)));
        let video = Track {
            media: Media::Video,
            timescale: plan.clock,
            duration: plan.video.duration(),
            shown,
            width,
            height,
            created: plan.delivered.from,
            edits: &[Edit {
                duration: shown,
                media_time: plan.scaled(ticks(plan.delivered.from.micros_since(plan.origin))),
            }],
        };
        trak(b, &video, |b| {
            video_stsd(b, plan.entries.iter());
            tables(b, &plan.video, base, wide);
        });
        let Some(audio) = &plan.audio else {
            return;
        };
        let rate = audio.params.clock_rate.max(1);
        let from = ticks_at(rate, plan.origin, plan.delivered.from).saturating_sub(audio.start);
        let mut edits = Vec::with_capacity(2);
        // Sound that begins later than the picture: nothing first.
        let silent = if from < 0 {
            let silent =
                from.unsigned_abs().saturating_mul(u64::from(VIDEO_CLOCK)) / u64::from(rate);
            edits.push(Edit {
                duration: silent.min(shown),
                media_time: -1,
            });
            silent.min(shown)
        } else {
            0
        };
        edits.push(Edit {
            duration: shown - silent,
            media_time: from.max(0),
        });
        let track = Track {
            media: Media::Audio,
            timescale: rate,
            duration: audio.tables.duration(),
            width: 0,
            height: 0,
            edits: &edits,
            ..video
        };
        trak(b, &track, |b| {
            audio_stsd(b, &audio.params);
            tables(b, &audio.tables, base, wide);
        });
    });
    b
}

fn tables(b: &mut Boxes, t: &Tables, base: u64, wide: bool) {
    b.full(b"stts", 0, 0, |b| runs(b, &t.durations, Boxes::u32));
    if t.offsets.iter().any(|o| *o != 0) {
        b.full(b"ctts", 1, 0, |b| runs(b, &t.offsets, Boxes::i32));
    }
    // No `stss` means that every sample is a sync sample, which is right for audio.
    if !t.keys.is_empty() && t.keys.len() < t.sizes.len() {
        b.full(b"stss", 0, 0, |b| {
            b.u32(u32_of(t.keys.len()));
            for k in &t.keys {
                b.u32(*k);
            }
        });
    }
    b.full(b"stsc", 0, 0, |b| chunk_runs(b, &t.chunks));
    b.full(b"stsz", 0, 0, |b| {
        b.u32(0);
        b.u32(u32_of(t.sizes.len()));
        for s in &t.sizes {
            b.u32(*s);
        }
    });
    if wide {
        b.full(b"co64", 0, 0, |b| {
            b.u32(u32_of(t.chunks.len()));
            for c in &t.chunks {
                b.u64(base + c.at);
            }
        });
    } else {
        b.full(b"stco", 0, 0, |b| {
            b.u32(u32_of(t.chunks.len()));
            for c in &t.chunks {
                b.u32(u32::try_from(base + c.at).unwrap_or(u32::MAX));
            }
        });
    }
}

/// Run lengths: count, then value.
fn runs<T: Copy + PartialEq>(b: &mut Boxes, values: &[T], put: fn(&mut Boxes, T)) {
    let count_at = b.len();
    b.u32(0);
    let mut n = 0usize;
    for run in values.chunk_by(|a, b| a == b) {
        if let Some(value) = run.first() {
            b.u32(u32_of(run.len()));
            put(b, *value);
            n += 1;
        }
    }
    b.put_u32(count_at, u32_of(n));
}

fn chunk_runs(b: &mut Boxes, chunks: &[Chunk]) {
    let count_at = b.len();
    b.u32(0);
    let mut n = 0usize;
    let mut number = 1usize;
    for run in chunks.chunk_by(|a, b| (a.samples, a.entry) == (b.samples, b.entry)) {
        if let Some(first) = run.first() {
            b.u32(u32_of(number));
            b.u32(first.samples);
            b.u32(first.entry);
            n += 1;
        }
        number += run.len();
    }
    b.put_u32(count_at, u32_of(n));
}

fn positive(v: i64) -> u64 {
    u64::try_from(v).unwrap_or(0)
}
