//! The clip that something is made of: its tables read, its samples fetched one by one.
//!
//! It is a finished, not fragmented MP4 of our own making, but it comes from a disk: every number is checked against the
//! file before it is used, and the tables are bounded.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::boxes::Input;
use crate::model::VideoCodec;

/// Tables of a day at 50 pictures a second are about 100 MB.
const MAX_MOOV: u64 = 256 << 20;
const MAX_SAMPLES: usize = 6_000_000;
/// Above every picture a camera sends; the limit of the worker's messages too.
const MAX_SAMPLE: u32 = 16 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) offset: u64,
    pub(super) size: u32,
    /// Order of showing, in ticks of the track from the start of what is shown.
    pub(super) pts: i64,
    pub(super) duration: u32,
    pub(super) key: bool,
    /// Which sample entry, from 0.
    pub(super) entry: u16,
}

/// A sample entry of a video track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) codec: VideoCodec,
    /// The whole box.
    pub(super) raw: Vec<u8>,
    /// `avcC` or `hvcC` record.
    pub(super) record: Vec<u8>,
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) aspect: (u32, u32),
}

pub(super) struct VideoTrack {
    pub(super) timescale: u32,
    pub(super) entries: Vec<Entry>,
    /// In the order of decoding.
    pub(super) samples: Vec<Sample>,
    /// End of what is shown, in ticks.
    pub(super) end: i64,
}

pub(super) struct AudioTrack {
    pub(super) timescale: u32,
    /// The whole sample entry box.
    pub(super) entry: Vec<u8>,
    pub(super) samples: Vec<Sample>,
}

impl AudioTrack {
    /// `mp4a`, `alaw` …
    pub(super) fn kind(&self) -> [u8; 4] {
        let kind = self.entry.get(4..8).and_then(|k| k.first_chunk());
        kind.copied().unwrap_or_default()
    }
}

pub(super) struct Movie {
    file: File,
    pub(super) video: VideoTrack,
    pub(super) audio: Option<AudioTrack>,
}

impl Movie {
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let file = File::open(path).map_err(|e| format!("the clip cannot be opened: {e}"))?;
        let len = file
            .metadata()
            .map_err(|e| format!("the clip cannot be looked at: {e}"))?
            .len();
        let moov = moov(&file, len)?;
        let (video, audio) =
            tracks(Input(&moov), len).ok_or("the clip's tables are not those of a whole MP4")?;
        let video = video.ok_or("the clip has no H.264 or H.265 track")?;
        if video.samples.is_empty() {
            return Err("the clip has no pictures".into());
        }
        Ok(Self { file, video, audio })
    }

    pub(super) fn read(&self, sample: &Sample) -> Result<Vec<u8>, String> {
        let mut data = vec![0; usize::try_from(sample.size).unwrap_or(0)];
        self.file
            .read_exact_at(&mut data, sample.offset)
            .map_err(|e| format!("the clip cannot be read at byte {}: {e}", sample.offset))?;
        Ok(data)
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }
}

fn moov(file: &File, len: u64) -> Result<Vec<u8>, String> {
    let failed = |e: std::io::Error| format!("the head of the clip cannot be read: {e}");
    let mut at = 0;
    while at + 8 <= len {
        let mut head = [0; 16];
        let known = usize::try_from((len - at).min(16)).unwrap_or(16);
        file.read_exact_at(head.get_mut(..known).unwrap_or_default(), at)
            .map_err(failed)?;
        let mut fields = Input(&head);
        let (size, kind) = (fields.u32().unwrap_or(0), fields.u32().unwrap_or(0));
        let (size, skip) = match size {
            0 => (len - at, 8),
            1 => (fields.u64().unwrap_or(0), 16),
            n => (u64::from(n), 8),
        };
        if size < skip || size > len - at {
            return Err(format!(
                "the box at byte {at} of the clip does not fit into it"
            ));
        }
        if kind == u32::from_be_bytes(*b"moov") {
            if size > MAX_MOOV {
                return Err(format!("the tables of the clip have {} MB", size >> 20));
            }
            let mut moov = vec![0; usize::try_from(size - skip).unwrap_or(0)];
            file.read_exact_at(&mut moov, at + skip).map_err(failed)?;
            return Ok(moov);
        }
        at += size;
    }
    Err("the file is not a whole MP4: it has no `moov`".into())
}

type Tracks = (Option<VideoTrack>, Option<AudioTrack>);

fn tracks(mut moov: Input<'_>, len: u64) -> Option<Tracks> {
    let (version, mut mvhd) = moov.find_full(b"mvhd")?;
    mvhd.skip(if version == 1 { 16 } else { 8 })?;
    let movie_scale = i64::from(mvhd.u32()?.max(1));
    let (mut video, mut audio) = (None, None);
    while let Some((kind, content)) = moov.next_box() {
        if kind != *b"trak" {
            continue;
        }
        let trak = Input(content);
        let mdia = trak.find(b"mdia")?;
        let (version, mut mdhd) = mdia.find_full(b"mdhd")?;
        mdhd.skip(if version == 1 { 16 } else { 8 })?;
        let timescale = mdhd.u32()?.max(1);
        let (_, mut hdlr) = mdia.find_full(b"hdlr")?;
        hdlr.skip(4)?;
        let handler = hdlr.slice(4)?;
        let stbl = mdia.find(b"minf")?.find(b"stbl")?;
        let shift = shift(trak, i64::from(timescale), movie_scale)?;
        let samples = samples(stbl, len, shift.start)?;
        if handler == b"vide" && video.is_none() {
            let Some(entries) = entries(stbl) else {
                continue;
            };
            let used = samples.iter().map(|s| usize::from(s.entry)).max();
            if used.unwrap_or(0) >= entries.len() {
                return None;
            }
            let last = samples
                .iter()
                .map(|s| s.pts.saturating_add(s.duration.into()))
                .max();
            video = Some(VideoTrack {
                timescale,
                entries,
                samples,
                end: shift.length.or(last).unwrap_or(0),
            });
        } else if handler == b"soun" && audio.is_none() {
            let (_, mut stsd) = stbl.find_full(b"stsd")?;
            if stsd.u32()? != 1 {
                continue;
            }
            let size = usize::try_from(Input(stsd.0).u32()?).ok()?;
            let entry = stsd.slice(size)?.to_vec();
            audio = Some(AudioTrack {
                timescale,
                entry,
                samples,
            });
        }
    }
    Some((video, audio))
}

/// What the edit list does to the times of a track.
struct Shift {
    /// Added to a media time.
    start: i64,
    /// In ticks of the track.
    length: Option<i64>,
}

/// One edit, or an empty one and then one: all that the archive's clips have.
fn shift(trak: Input<'_>, timescale: i64, movie_scale: i64) -> Option<Shift> {
    let found = trak.find(b"edts").and_then(|e| e.find_full(b"elst"));
    let Some((version, mut elst)) = found else {
        return Some(Shift {
            start: 0,
            length: None,
        });
    };
    let (mut delay, mut length) = (0i64, 0i64);
    for _ in 0..elst.u32()?.min(2) {
        let (duration, time) = if version == 1 {
            (i64::try_from(elst.u64()?).ok()?, elst.i64()?)
        } else {
            (i64::from(elst.u32()?), i64::from(elst.i32()?))
        };
        elst.skip(4)?;
        let ticks =
            i64::try_from(i128::from(duration) * i128::from(timescale) / i128::from(movie_scale))
                .ok()?;
        length = length.checked_add(ticks)?;
        if time >= 0 {
            return Some(Shift {
                start: delay.checked_sub(time)?,
                length: Some(length),
            });
        }
        delay = delay.checked_add(ticks)?;
    }
    None
}

fn samples(stbl: Input<'_>, len: u64, start: i64) -> Option<Vec<Sample>> {
    let (_, mut stsz) = stbl.find_full(b"stsz")?;
    let (same, count) = (stsz.u32()?, usize::try_from(stsz.u32()?).ok()?);
    // No two samples share a byte: a few bytes of table cannot ask for millions of samples.
    let room = match len.checked_div(same.into()) {
        Some(samples) => samples,
        None => (stsz.0.len() / 4) as u64,
    };
    if count > MAX_SAMPLES || count as u64 > room {
        return None;
    }
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let size = if same == 0 { stsz.u32()? } else { same };
        all.push(Sample {
            offset: 0,
            size,
            pts: 0,
            duration: 0,
            key: false,
            entry: 0,
        });
    }
    times(stbl, &mut all, start)?;
    places(stbl, &mut all)?;
    match stbl.find_full(b"stss") {
        None => all.iter_mut().for_each(|s| s.key = true),
        Some((_, mut stss)) => {
            for _ in 0..stss.u32()? {
                let number = usize::try_from(stss.u32()?).ok()?;
                all.get_mut(number.checked_sub(1)?)?.key = true;
            }
        }
    }
    let fits = |s: &Sample| {
        s.size <= MAX_SAMPLE
            && s.offset
                .checked_add(s.size.into())
                .is_some_and(|e| e <= len)
    };
    all.iter().all(fits).then_some(all)
}

fn times(stbl: Input<'_>, all: &mut [Sample], start: i64) -> Option<()> {
    let (_, mut stts) = stbl.find_full(b"stts")?;
    let (mut next, mut at) = (0usize, start);
    for _ in 0..stts.u32()? {
        let (n, duration) = (usize::try_from(stts.u32()?).ok()?, stts.u32()?);
        for sample in all.get_mut(next..next.checked_add(n)?)? {
            (sample.pts, sample.duration) = (at, duration);
            at = at.checked_add(duration.into())?;
        }
        next += n;
    }
    if next != all.len() {
        return None;
    }
    let Some((_, mut ctts)) = stbl.find_full(b"ctts") else {
        return Some(());
    };
    next = 0;
    for _ in 0..ctts.u32()? {
        let (n, offset) = (usize::try_from(ctts.u32()?).ok()?, ctts.i32()?);
        for sample in all.get_mut(next..next.checked_add(n)?)? {
            sample.pts = sample.pts.checked_add(offset.into())?;
        }
        next += n;
    }
    Some(())
}

fn places(stbl: Input<'_>, all: &mut [Sample]) -> Option<()> {
    let wide = stbl.find_full(b"co64");
    let (_, mut offsets) = wide.or_else(|| stbl.find_full(b"stco"))?;
    let chunks = offsets.u32()?;
    let (_, mut stsc) = stbl.find_full(b"stsc")?;
    let mut runs = stsc.u32()?;
    let run = |stsc: &mut Input<'_>| Some((stsc.u32()?, stsc.u32()?, stsc.u32()?));
    let mut ahead = (runs > 0).then(|| run(&mut stsc)).flatten();
    let (mut each, mut entry) = (0, 1);
    let mut next = 0usize;
    for chunk in 1..=chunks {
        if let Some((first, samples, of)) = ahead
            && first == chunk
        {
            (each, entry) = (samples, of);
            runs -= 1;
            ahead = (runs > 0).then(|| run(&mut stsc)).flatten();
        }
        let mut at = if wide.is_some() {
            offsets.u64()?
        } else {
            offsets.u32()?.into()
        };
        for sample in all.get_mut(next..next.checked_add(usize::try_from(each).ok()?)?)? {
            sample.offset = at;
            sample.entry = u16::try_from(entry.checked_sub(1)?).ok()?;
            at = at.checked_add(sample.size.into())?;
            next += 1;
        }
    }
    (next == all.len()).then_some(())
}

/// `None` when one of them is neither H.264 nor H.265 with its parameter sets apart.
fn entries(stbl: Input<'_>) -> Option<Vec<Entry>> {
    let (_, mut stsd) = stbl.find_full(b"stsd")?;
    let mut entries = Vec::new();
    for _ in 0..stsd.u32()?.min(1_000) {
        let before = stsd.0;
        let (kind, content) = stsd.next_box()?;
        let raw = before.get(..before.len() - stsd.0.len())?.to_vec();
        let (codec, config) = match &kind {
            b"avc1" | b"avc3" => (VideoCodec::H264, b"avcC"),
            b"hvc1" | b"hev1" => (VideoCodec::H265, b"hvcC"),
            _ => return None,
        };
        // §12.1.3: a visual sample entry has 78 bytes before its boxes.
        let mut fields = Input(content);
        fields.skip(24)?;
        let (width, height) = (fields.u16()?, fields.u16()?);
        fields.skip(50)?;
        let aspect = fields
            .find(b"pasp")
            .and_then(|mut p| Some((p.u32()?, p.u32()?)));
        entries.push(Entry {
            codec,
            raw,
            record: fields.find(config)?.0.to_vec(),
            width,
            height,
            aspect: aspect.unwrap_or((1, 1)),
        });
    }
    Some(entries)
}
