//! Which pictures a clip has, when each is shown, and where its bytes lie.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{ClipAudio, ClipFragment};
use crate::archive::fragment::ticks_at;
use crate::archive::gop::ticks;
use crate::archive::keys::{Lead, lead, shown_at, table};
use crate::archive::params;
use crate::archive::samples::SampleTable;
use crate::archive::track::VIDEO_CLOCK;
use crate::model::{Error, Result, StreamKey, TimeRange, UtcMicros};
use crate::store::database::{FragmentRow, SegmentPart, SegmentRow};
use crate::video::{AudioParams, StreamParams};

/// Goes up when the same recordings would give other bytes.
const FORMAT: u32 = 2;

/// Clocks of the video track. 90 kHz, the clock of RTP; a coarser one only when a gap is so long that its picture would last
/// more than 2³¹ ticks, which FFmpeg and the players built on it read as negative.
const CLOCKS: [u32; 3] = [VIDEO_CLOCK, 8_000, 1_000];

/// A run of bytes of a segment file.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) path: Arc<str>,
    pub(super) offset: u64,
    pub(super) len: u64,
}

/// Samples that lie together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk {
    pub(super) samples: u32,
    /// Number of the sample entry, from 1.
    pub(super) entry: u32,
    /// From the start of the media data.
    pub(super) at: u64,
}

#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) durations: Vec<u32>,
    pub(super) offsets: Vec<i32>,
    pub(super) sizes: Vec<u32>,
    /// Numbers of the sync samples, from 1.
    pub(super) keys: Vec<u32>,
    pub(super) chunks: Vec<Chunk>,
}

impl Tables {
    pub(super) fn duration(&self) -> u64 {
        self.durations.iter().map(|d| u64::from(*d)).sum()
    }
}

#[derive(Debug)]
pub(super) struct Plan {
    /// Wall time of media time zero.
    pub(super) origin: UtcMicros,
    pub(super) delivered: TimeRange,
    /// Ticks a second of the video track.
    pub(super) clock: u32,
    /// End of the samples so far, in those ticks.
    placed: i64,
    /// Sample entries, in order of use.
    pub(super) entries: Vec<StreamParams>,
    pub(super) codecs: Vec<String>,
    pub(super) video: Tables,
    pub(super) audio: Option<AudioPlan>,
    pub(super) audio_said: ClipAudio,
    pub(super) pieces: Vec<Piece>,
    /// Bytes of all pieces.
    pub(super) media_len: u64,
    pub(super) fragments: Vec<ClipFragment>,
    taken: Vec<u32>,
}

#[derive(Debug)]
pub(super) struct AudioPlan {
    pub(super) params: AudioParams,
    pub(super) tables: Tables,
    /// Media time zero of the audio track relative to the origin, in audio ticks.
    pub(super) start: i64,
    /// End of the samples so far, relative to the origin.
    end: i64,
}

struct Source<'a> {
    row: &'a SegmentRow,
    fragment: &'a FragmentRow,
    table: SampleTable,
}

impl Plan {
    /// `None`: nothing of the range can be shown.
    pub(super) fn new(parts: &[SegmentPart], range: TimeRange) -> Result<Option<Self>> {
        let sources = select(parts, range)?;
        let (Some(first), Some(last)) = (sources.first(), sources.last()) else {
            return Ok(None);
        };
        let origin = first.fragment.fragment.range.from;
        let shown = sources
            .iter()
            .map(|s| s.fragment.fragment.range)
            .find(|r| r.to > range.from);
        // Where the key frame before is lost, pictures that lead a key frame (RASL) cannot be decoded.
        let decodable = shown_at(&first.table, origin);
        let delivered = TimeRange {
            from: range
                .from
                .max(shown.map_or(origin, |r| r.from))
                .max(decodable),
            to: range.to.min(last.fragment.fragment.range.to),
        };
        if delivered.from >= delivered.to {
            return Ok(None);
        }
        let longest = sources
            .array_windows::<2>()
            .map(|[a, b]| {
                let (a, b) = (a.fragment.fragment.range, b.fragment.fragment.range);
                b.from.micros_since(a.from)
            })
            .max()
            .unwrap_or(0);
        let mut plan = Self {
            origin,
            delivered,
            clock: CLOCKS
                .into_iter()
                .find(|clock| fits(*clock, longest))
                .unwrap_or(1_000),
            placed: 0,
            entries: Vec::new(),
            codecs: Vec::new(),
            video: Tables::default(),
            audio: None,
            audio_said: ClipAudio::None,
            pieces: Vec::with_capacity(sources.len()),
            media_len: 0,
            fragments: Vec::with_capacity(sources.len()),
            taken: Vec::with_capacity(sources.len()),
        };
        let entry_of = plan.take_params(&sources)?;
        if let Some(audio) = &plan.audio
            && !fits(audio.params.clock_rate, longest)
        {
            plan.audio = None;
            plan.audio_said = ClipAudio::LeftOut;
        }
        for (i, source) in sources.iter().enumerate() {
            let next = sources.get(i + 1);
            let entry = entry_of.get(i).copied().unwrap_or(1);
            plan.add(source, next, entry);
        }
        if let Some(audio) = &mut plan.audio
            && audio.tables.sizes.is_empty()
        {
            plan.audio = None;
            plan.audio_said = ClipAudio::None;
        }
        Ok(Some(plan))
    }

    /// Fills the sample entries; returns the entry number of each source.
    fn take_params(&mut self, sources: &[Source<'_>]) -> Result<Vec<u32>> {
        let mut texts: Vec<&str> = Vec::new();
        let mut entry_of = Vec::with_capacity(sources.len());
        for s in sources {
            let known = texts.iter().position(|t| *t == &*s.row.params);
            let n = match known {
                Some(n) => n,
                None => {
                    let p = params::from_text(&s.row.params)?;
                    if let Some(first) = self.entries.first()
                        && first.codec != p.codec
                    {
                        let at = s.fragment.fragment.range.from;
                        return Err(Error::conflict(
                            "codec_changed",
                            format!(
                                "the camera changed from {} to {} at {at}; ask for the time before and after as two clips",
                                first.codec.as_str(),
                                p.codec.as_str()
                            ),
                        ));
                    }
                    texts.push(&s.row.params);
                    self.codecs.push(p.rfc6381.clone());
                    self.entries.push(p);
                    texts.len() - 1
                }
            };
            entry_of.push(u32::try_from(n + 1).unwrap_or(u32::MAX));
        }
        // Parameters that differ in their audio only share one video sample entry.
        let mut unique: Vec<StreamParams> = Vec::new();
        let mut renamed = Vec::with_capacity(self.entries.len());
        let sounds: Vec<Option<AudioParams>> =
            self.entries.iter().map(|p| p.audio.clone()).collect();
        for p in &self.entries {
            let mut p = p.clone();
            p.audio = None;
            let n = unique.iter().position(|u| *u == p).unwrap_or_else(|| {
                unique.push(p);
                unique.len() - 1
            });
            renamed.push(u32::try_from(n + 1).unwrap_or(u32::MAX));
        }
        self.entries = unique;
        self.codecs = self.entries.iter().map(|p| p.rfc6381.clone()).collect();
        for n in &mut entry_of {
            let at = usize::try_from(*n).unwrap_or(1) - 1;
            *n = renamed.get(at).copied().unwrap_or(1);
        }
        let mut same = sounds.iter();
        let first = same.next().cloned().flatten();
        if same.any(|a| *a != first) {
            self.audio_said = ClipAudio::LeftOut;
        } else if let Some(params) = first {
            self.audio_said = ClipAudio::Included;
            self.audio = Some(AudioPlan {
                params,
                tables: Tables::default(),
                start: 0,
                end: 0,
            });
        }
        Ok(entry_of)
    }

    fn add(&mut self, source: &Source<'_>, next: Option<&Source<'_>>, entry: u32) {
        let f = &source.fragment.fragment;
        let table = &source.table;
        let start = ticks(f.range.from.micros_since(self.origin));
        let end = ticks(self.delivered.to.micros_since(self.origin));
        let keep = if next.is_some() {
            table.video.len()
        } else {
            kept(table, start, end)
        };
        let next_start =
            next.map(|n| ticks(n.fragment.fragment.range.from.micros_since(self.origin)));
        let (chunk_at, mut bytes, mut at) = (self.media_len, 0u64, start);
        for (i, s) in table.video.iter().take(keep).enumerate() {
            let until = match next_start {
                // Until the next fragment: over a gap the last picture stays.
                Some(next) if i + 1 == keep => next,
                Some(_) | None => at.saturating_add(i64::from(s.duration)),
            };
            // From the end of the sample before and not from its own time: what one rounds away the next makes up for.
            let duration = u32::try_from(self.scaled(until).saturating_sub(self.placed))
                .unwrap_or(0)
                .max(1);
            let shown = self.scaled(at.saturating_add(i64::from(s.offset)));
            let offset = shown.saturating_sub(self.scaled(at));
            self.video.durations.push(duration);
            self.video.offsets.push(i32::try_from(offset).unwrap_or(0));
            self.video.sizes.push(s.size);
            if s.key {
                self.video
                    .keys
                    .push(u32::try_from(self.video.sizes.len()).unwrap_or(u32::MAX));
            }
            self.placed = self.placed.saturating_add(i64::from(duration));
            at = at.saturating_add(i64::from(s.duration));
            bytes += u64::from(s.size);
        }
        if keep > 0 {
            self.video.chunks.push(Chunk {
                samples: u32::try_from(keep).unwrap_or(u32::MAX),
                entry,
                at: chunk_at,
            });
        }
        let path: Arc<str> = source.row.segment.path.as_str().into();
        let data = f.offset + u64::from(table.data);
        self.piece(&path, data, bytes);
        let sound = self.add_audio(source);
        self.piece(&path, data + table.video_bytes(), sound);
        self.fragments.push(ClipFragment {
            seq: f.seq,
            range: f.range,
            sha256: f.sha256,
            packets_lost: f.packets_lost,
        });
        self.taken.push(u32::try_from(keep).unwrap_or(u32::MAX));
    }

    /// Adds the fragment's audio behind its video; returns its bytes.
    fn add_audio(&mut self, source: &Source<'_>) -> u64 {
        let (Some(plan), Some(table)) = (&mut self.audio, &source.table.audio) else {
            return 0;
        };
        let rate = plan.params.clock_rate.max(1);
        let zero = ticks_at(rate, self.origin, source.fragment.fragment.range.from);
        let end = ticks_at(rate, self.origin, self.delivered.to);
        let mut start = zero.saturating_add(table.start);
        if plan.tables.sizes.is_empty() {
            plan.start = start;
        }
        // The last sample before this fragment ends where this one begins.
        if let Some(last) = plan.tables.durations.last_mut() {
            let begun = plan.end.saturating_sub(i64::from(*last));
            let duration = u32::try_from(start.saturating_sub(begun).max(1)).unwrap_or(u32::MAX);
            *last = duration;
            start = begun.saturating_add(i64::from(duration));
        }
        let (mut bytes, mut n, mut at) = (0u64, 0u32, start);
        for s in &table.samples {
            if at >= end {
                break;
            }
            plan.tables.durations.push(s.duration);
            plan.tables.sizes.push(s.size);
            bytes += u64::from(s.size);
            at = at.saturating_add(i64::from(s.duration));
            n += 1;
        }
        plan.end = at;
        if n > 0 {
            plan.tables.chunks.push(Chunk {
                samples: n,
                entry: 1,
                at: self.media_len,
            });
        }
        bytes
    }

    /// 90 kHz ticks in those of the track.
    pub(super) fn scaled(&self, ticks: i64) -> i64 {
        if self.clock == VIDEO_CLOCK {
            return ticks;
        }
        let scaled =
            (i128::from(ticks) * i128::from(self.clock)).div_euclid(i128::from(VIDEO_CLOCK));
        i64::try_from(scaled).unwrap_or(0)
    }

    fn piece(&mut self, path: &Arc<str>, offset: u64, len: u64) {
        if len == 0 {
            return;
        }
        self.media_len += len;
        match self.pieces.last_mut() {
            Some(last) if last.path == *path && last.offset + last.len == offset => last.len += len,
            Some(_) | None => self.pieces.push(Piece {
                path: Arc::clone(path),
                offset,
                len,
            }),
        }
    }

    /// Of everything that decides the bytes.
    pub(super) fn etag(&self, stream: &StreamKey) -> String {
        let mut h = Sha256::new();
        h.update(FORMAT.to_be_bytes());
        h.update(stream.to_string());
        h.update(self.delivered.from.micros().to_be_bytes());
        h.update(self.delivered.to.micros().to_be_bytes());
        h.update([u8::from(self.audio.is_some())]);
        for (f, taken) in self.fragments.iter().zip(&self.taken) {
            h.update(f.sha256);
            h.update(taken.to_be_bytes());
        }
        let digest = hex::encode(h.finalize());
        format!("\"{}\"", digest.get(..32).unwrap_or(&digest))
    }
}

/// The fragments of the range, from the key frame that its first picture needs.
fn select(parts: &[SegmentPart], range: TimeRange) -> Result<Vec<Source<'_>>> {
    let all: Vec<(&SegmentRow, &FragmentRow)> = parts
        .iter()
        .flat_map(|p| p.fragments.iter().map(move |f| (&p.row, f)))
        .filter(|(_, f)| f.fragment.range.from < range.to)
        .collect();
    let rows: Vec<&FragmentRow> = all.iter().map(|(_, f)| *f).collect();
    let lead = match lead(&rows, range.from)? {
        Lead::Nothing => return Ok(Vec::new()),
        Lead::At(lead) => lead,
        // The one needed is lost: begin at the first that can be decoded.
        Lead::Missing(first) => match rows.iter().skip(first).position(|f| f.key) {
            Some(key) => first + key,
            None => return Ok(Vec::new()),
        },
    };
    all.into_iter()
        .skip(lead)
        .map(|(row, fragment)| {
            Ok(Source {
                row,
                fragment,
                table: table(fragment)?,
            })
        })
        .collect()
}

/// A sample of this many microseconds can be told in a track of this clock.
fn fits(clock: u32, longest: i64) -> bool {
    i128::from(longest) * i128::from(clock) < i128::from(i32::MAX) * 1_000_000
}

/// Pictures of the last fragment, in decode order, up to the last one that is shown before `end`.
fn kept(table: &SampleTable, start: i64, end: i64) -> usize {
    let mut at = start;
    let mut keep = 0;
    for (i, s) in table.video.iter().enumerate() {
        if at.saturating_add(i64::from(s.offset)) < end {
            keep = i + 1;
        }
        at = at.saturating_add(i64::from(s.duration));
    }
    keep.max(1)
}
