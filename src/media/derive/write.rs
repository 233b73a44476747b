//! The MP4 that comes out: pictures and sound from the clip and from what was encoded, one file with its tables in front.
//!
//! The same samples give the same bytes. Times are exact: each picture keeps the time it had in the clip.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::boxes::Boxes;
use crate::model::UtcMicros;

const MOVIE_SCALE: u32 = 90_000;
/// Copied between two signs of life.
const PIECE: u64 = 16 << 20;
/// ISO 14496-12 counts from 1904-01-01.
const EPOCH_1904: i64 = 2_082_844_800;

/// Where the bytes of a sample lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Clip(u64),
    Made(u64),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct OutSample {
    pub(super) place: Place,
    pub(super) size: u32,
    /// Ticks of its track from the first picture.
    pub(super) pts: i64,
    pub(super) key: bool,
    /// Which sample entry, from 0.
    pub(super) entry: u16,
}

pub(super) struct OutTrack {
    pub(super) timescale: u32,
    /// Whole sample entry boxes.
    pub(super) entries: Vec<Vec<u8>>,
    /// In the order of decoding; sound in the order of hearing.
    pub(super) samples: Vec<OutSample>,
    /// End of the last one, in ticks.
    pub(super) end: i64,
    pub(super) width: u16,
    pub(super) height: u16,
}

pub(super) struct OutMovie {
    pub(super) begins: UtcMicros,
    pub(super) video: OutTrack,
    pub(super) audio: Option<OutTrack>,
}

/// Encoded samples wait here until all sizes are known, so that memory does not grow with the film.
pub(super) struct Made {
    file: File,
    len: u64,
}

impl Made {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)?;
        // It has no name from here on: nothing is left behind, however this ends.
        std::fs::remove_file(path)?;
        Ok(Self { file, len: 0 })
    }

    pub(super) fn add(&mut self, sample: &[u8]) -> io::Result<Place> {
        let at = self.len;
        self.file.write_all(sample)?;
        self.len += u64::try_from(sample.len()).unwrap_or(0);
        Ok(Place::Made(at))
    }
}

/// Samples that lie together.
struct Chunk {
    samples: u32,
    entry: u16,
    at: u64,
}

struct Tables {
    durations: Vec<u32>,
    offsets: Vec<i32>,
    chunks: Vec<Chunk>,
}

/// Writes the whole file; refuses to make one longer than `limit`.
pub(super) fn write(
    path: &Path,
    movie: &OutMovie,
    clip: &File,
    made: &mut Made,
    limit: u64,
    mut alive: impl FnMut() -> io::Result<()>,
) -> io::Result<u64> {
    let mut video = tables(&movie.video);
    let mut audio = movie.audio.as_ref().map(tables);
    let (order, len) = interleave(movie, &mut video, audio.as_mut());
    let mut head = Vec::new();
    // The place of the media data depends on the length of the head, and that not on the place.
    for _ in 0..2 {
        let base = u64::try_from(head.len()).unwrap_or(0);
        head = self::head(movie, &video, audio.as_ref(), base, len);
    }
    let total = u64::try_from(head.len())
        .unwrap_or(u64::MAX)
        .saturating_add(len);
    if total > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!(
                "the result has {} MB, more than the {} MB it may have",
                total >> 20,
                limit >> 20
            ),
        ));
    }
    let mut out = BufWriter::with_capacity(1 << 20, File::create_new(path)?);
    out.write_all(&head)?;
    let mut clip = clip;
    for run in runs(&order) {
        let (mut source, at) = match run.0 {
            Place::Clip(at) => (&mut clip as &mut dyn ReadSeek, at),
            Place::Made(at) => (&mut made.file as &mut dyn ReadSeek, at),
        };
        source.seek(SeekFrom::Start(at))?;
        let mut left = run.1;
        while left > 0 {
            let piece = left.min(PIECE);
            let copied = io::copy(&mut (&mut source).take(piece), &mut out)?;
            if copied != piece {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the clip ended too early",
                ));
            }
            left -= piece;
            alive()?;
        }
    }
    // Not synced: evidence storage reads it once more and makes its own copy durable.
    out.flush()?;
    Ok(total)
}

trait ReadSeek: Read + Seek {}
impl<T: Read + Seek> ReadSeek for T {}

/// Neighbours as one.
fn runs(order: &[(Place, u32)]) -> Vec<(Place, u64)> {
    let mut out: Vec<(Place, u64)> = Vec::new();
    for (place, size) in order {
        let joined = out.last_mut().is_some_and(|(last, len)| {
            let next = match (*last, *place) {
                (Place::Clip(a), Place::Clip(b)) | (Place::Made(a), Place::Made(b)) => {
                    a + *len == b
                }
                (Place::Clip(_), Place::Made(_)) | (Place::Made(_), Place::Clip(_)) => false,
            };
            if next {
                *len += u64::from(*size);
            }
            next
        });
        if !joined {
            out.push((*place, u64::from(*size)));
        }
    }
    out
}

/// Decoding times are the times of showing put in order, so that they rise whatever the order of the pictures; the offsets
/// say the rest (`ctts` version 1).
fn tables(track: &OutTrack) -> Tables {
    let mut sorted: Vec<i64> = track.samples.iter().map(|s| s.pts).collect();
    sorted.sort_unstable();
    let next = sorted.iter().skip(1).chain([&track.end]);
    let durations = sorted
        .iter()
        .zip(next)
        .map(|(a, b)| u32::try_from((b - a).max(1)).unwrap_or(u32::MAX))
        .collect();
    let offset = |(s, dts): (&OutSample, &i64)| i32::try_from(s.pts - dts).unwrap_or(0);
    Tables {
        durations,
        offsets: track.samples.iter().zip(&sorted).map(offset).collect(),
        chunks: Vec::new(),
    }
}

/// About a second of pictures, then its sound. Returns what lies where and how long all is.
fn interleave(
    movie: &OutMovie,
    video: &mut Tables,
    mut audio: Option<&mut Tables>,
) -> (Vec<(Place, u32)>, u64) {
    let mut order = Vec::with_capacity(movie.video.samples.len());
    let mut len = 0u64;
    let mut put = |samples: &[OutSample], chunks: &mut Vec<Chunk>| {
        for same in samples.chunk_by(|a, b| a.entry == b.entry) {
            let Some(first) = same.first() else { continue };
            chunks.push(Chunk {
                samples: u32::try_from(same.len()).unwrap_or(u32::MAX),
                entry: first.entry,
                at: len,
            });
            order.extend(same.iter().map(|s| (s.place, s.size)));
            len += same.iter().map(|s| u64::from(s.size)).sum::<u64>();
        }
    };
    let second = i64::from(movie.video.timescale);
    let mut rest = movie.video.samples.as_slice();
    let sound = movie.audio.as_ref();
    let mut unheard = sound.map(|a| a.samples.as_slice()).unwrap_or_default();
    let mut until = 0;
    while !rest.is_empty() || !unheard.is_empty() {
        until += 1;
        let last = rest.is_empty();
        let n = rest
            .iter()
            .position(|s| s.pts >= until * second)
            .unwrap_or(rest.len());
        let (now, later) = rest.split_at(n);
        put(now, &mut video.chunks);
        rest = later;
        if let (Some(track), Some(tables)) = (sound, audio.as_deref_mut()) {
            let end = until * i64::from(track.timescale);
            let n = if last {
                unheard.len()
            } else {
                unheard
                    .iter()
                    .position(|s| s.pts >= end)
                    .unwrap_or(unheard.len())
            };
            let (now, later) = unheard.split_at(n);
            put(now, &mut tables.chunks);
            unheard = later;
        }
    }
    (order, len)
}

fn head(movie: &OutMovie, video: &Tables, audio: Option<&Tables>, base: u64, len: u64) -> Vec<u8> {
    let mut b = Boxes::default();
    b.nest(b"ftyp", |b| {
        b.bytes(b"iso6");
        b.u32(1);
        b.bytes(b"iso6isommp41");
    });
    let shown = movie_ticks(movie.video.end, movie.video.timescale);
    b.nest(b"moov", |b| {
        b.full(b"mvhd", 1, 0, |b| {
            times(b, movie.begins);
            b.u32(MOVIE_SCALE);
            b.u64(shown);
            b.u32(0x0001_0000);
            b.u16(0x0100);
            b.zeros(10);
            matrix(b);
            b.zeros(24);
            b.u32(3);
        });
        trak(b, movie, &movie.video, video, 1, base);
        if let (Some(track), Some(tables)) = (&movie.audio, audio) {
            trak(b, movie, track, tables, 2, base);
        }
    });
    // Always 64 bits: the length of the head then does not depend on that of the data.
    b.u32(1);
    b.bytes(b"mdat");
    b.u64(len + 16);
    b.buf
}

fn trak(b: &mut Boxes, movie: &OutMovie, track: &OutTrack, tables: &Tables, id: u32, base: u64) {
    let video = id == 1;
    let first = track.samples.iter().map(|s| s.pts).min().unwrap_or(0);
    b.nest(b"trak", |b| {
        b.full(b"tkhd", 1, 3, |b| {
            times(b, movie.begins);
            b.u32(id);
            b.u32(0);
            b.u64(movie_ticks(track.end, track.timescale));
            b.zeros(12);
            b.u16(if video { 0 } else { 0x0100 });
            b.u16(0);
            matrix(b);
            b.u32(u32::from(track.width) << 16);
            b.u32(u32::from(track.height) << 16);
        });
        if first > 0 {
            // Sound that begins after the first picture: nothing first.
            b.nest(b"edts", |b| {
                b.full(b"elst", 1, 0, |b| {
                    b.u32(2);
                    b.u64(movie_ticks(first, track.timescale));
                    b.i64(-1);
                    b.u32(0x0001_0000);
                    b.u64(movie_ticks(track.end - first, track.timescale));
                    b.i64(0);
                    b.u32(0x0001_0000);
                });
            });
        }
        b.nest(b"mdia", |b| {
            b.full(b"mdhd", 1, 0, |b| {
                times(b, movie.begins);
                b.u32(track.timescale);
                b.u64(tables.durations.iter().map(|d| u64::from(*d)).sum());
                b.u16(0x55c4); // und
                b.u16(0);
            });
            b.full(b"hdlr", 0, 0, |b| {
                b.u32(0);
                b.bytes(if video { b"vide" } else { b"soun" });
                b.zeros(12);
                b.bytes(if video { b"video\0" } else { b"sound\0" });
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
                b.nest(b"stbl", |b| stbl(b, track, tables, video, base));
            });
        });
    });
}

fn stbl(b: &mut Boxes, track: &OutTrack, tables: &Tables, video: bool, base: u64) {
    b.full(b"stsd", 0, 0, |b| {
        b.u32(count(track.entries.len()));
        for entry in &track.entries {
            b.bytes(entry);
        }
    });
    b.full(b"stts", 0, 0, |b| {
        equal_runs(b, &tables.durations, Boxes::u32)
    });
    if tables.offsets.iter().any(|o| *o != 0) {
        b.full(b"ctts", 1, 0, |b| {
            equal_runs(b, &tables.offsets, Boxes::i32)
        });
    }
    if video {
        b.full(b"stss", 0, 0, |b| {
            let keys = (1u32..).zip(&track.samples).filter(|(_, s)| s.key);
            b.u32(count(keys.clone().count()));
            for (number, _) in keys {
                b.u32(number);
            }
        });
    }
    b.full(b"stsc", 0, 0, |b| {
        let mut runs = Vec::new();
        let mut number = 1u32;
        for run in tables
            .chunks
            .chunk_by(|a, b| (a.samples, a.entry) == (b.samples, b.entry))
        {
            if let Some(first) = run.first() {
                runs.push((number, first.samples, u32::from(first.entry) + 1));
            }
            number += count(run.len());
        }
        b.u32(count(runs.len()));
        for (number, samples, entry) in runs {
            b.u32(number);
            b.u32(samples);
            b.u32(entry);
        }
    });
    b.full(b"stsz", 0, 0, |b| {
        b.u32(0);
        b.u32(count(track.samples.len()));
        for s in &track.samples {
            b.u32(s.size);
        }
    });
    b.full(b"co64", 0, 0, |b| {
        b.u32(count(tables.chunks.len()));
        for c in &tables.chunks {
            b.u64(base + c.at);
        }
    });
}

/// Run lengths: count, then value.
fn equal_runs<T: Copy + PartialEq>(b: &mut Boxes, values: &[T], put: fn(&mut Boxes, T)) {
    let runs = || values.chunk_by(|a, b| a == b);
    b.u32(count(runs().count()));
    for run in runs() {
        if let Some(value) = run.first() {
            b.u32(count(run.len()));
            put(b, *value);
        }
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Created and changed when the first picture was taken: no time of writing, so that the same cut is the same file.
fn times(b: &mut Boxes, begins: UtcMicros) {
    let seconds = u64::try_from(begins.0.div_euclid(1_000_000) + EPOCH_1904).unwrap_or(0);
    b.u64(seconds);
    b.u64(seconds);
}

fn movie_ticks(ticks: i64, timescale: u32) -> u64 {
    let ticks = i128::from(ticks) * i128::from(MOVIE_SCALE) / i128::from(timescale.max(1));
    u64::try_from(ticks).unwrap_or(0)
}

fn matrix(b: &mut Boxes) {
    for v in [0x0001_0000, 0, 0, 0, 0x0001_0000, 0, 0, 0, 0x4000_0000] {
        b.u32(v);
    }
}
