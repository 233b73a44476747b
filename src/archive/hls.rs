//! Playback with HTTP Live Streaming (RFC 8216): playlists over the recorded fragments, as byte ranges of the segment files.
//!
//! Each fragment is a media segment, the head of its file the initialization section. Every file has media time of its own,
//! so a new file, like a gap, is a discontinuity; the wall time of each piece is told by `EXT-X-PROGRAM-DATE-TIME`. A second
//! playlist has the key frames only (§4.3.3.6), for players that scrub; a third names both.

use std::fmt::Write as _;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;

use super::Archive;
use super::clip::{Body, of_file, stream_of};
use super::keys::{Lead, lead, table};
use super::params;
use crate::model::{Error, Fragment, Result, SegmentId, StreamKey, TimeRange, UtcMicros};
use crate::store::database::{FragmentRow, SegmentPart, SegmentRow};

/// A longer playlist is asked for in pieces.
const LONGEST_US: i64 = 24 * 3_600 * 1_000_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HlsPlaylist {
    /// `application/vnd.apple.mpegurl`. Its URIs are `segment/{id}.mp4`, relative to the playlist.
    pub text: String,
    pub range: TimeRange,
}

/// One segment file, as far as it is durable.
#[derive(Clone, Debug)]
pub struct SegmentReader {
    body: Arc<Body>,
    len: u64,
    freed: u64,
    id: SegmentId,
}

/// What a playlist is made of.
struct Recorded {
    parts: Vec<SegmentPart>,
    /// Fragments of the first files that are not used.
    first: usize,
    range: TimeRange,
}

impl Recorded {
    fn used(&self) -> Vec<(&SegmentRow, &FragmentRow)> {
        self.parts
            .iter()
            .flat_map(|p| p.fragments.iter().map(move |f| (&p.row, f)))
            .skip(self.first)
            .collect()
    }
}

/// Where a playlist stands: file and time.
#[derive(Default)]
struct Place {
    file: Option<SegmentId>,
    end: Option<UtcMicros>,
}

impl Place {
    /// Tells what changes before the next piece.
    fn move_to(
        &mut self,
        text: &mut String,
        row: &SegmentRow,
        next: TimeRange,
    ) -> std::fmt::Result {
        let id = row.segment.id;
        let gap = self.end.is_some_and(|end| end != next.from);
        let changed = self.file != Some(id);
        if (gap || changed) && self.file.is_some() {
            text.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if changed {
            writeln!(
                text,
                "#EXT-X-MAP:URI=\"segment/{id}.mp4\",BYTERANGE=\"{}@0\"",
                row.segment.init_len
            )?;
        }
        if gap || changed {
            writeln!(text, "#EXT-X-PROGRAM-DATE-TIME:{}", next.from)?;
        }
        (self.file, self.end) = (Some(id), Some(next.to));
        Ok(())
    }
}

fn head(text: &mut String, longest: i64) -> std::fmt::Result {
    let target = ((longest + 999_999) / 1_000_000).max(1);
    writeln!(
        text,
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{target}\n#EXT-X-PLAYLIST-TYPE:VOD"
    )
}

/// One piece.
fn media(text: &mut String, f: &Fragment, lasts: i64, bytes: u32) -> std::fmt::Result {
    writeln!(
        text,
        "#EXTINF:{},\n#EXT-X-BYTERANGE:{bytes}@{}\nsegment/{}.mp4",
        seconds(lasts),
        f.offset,
        f.segment
    )
}

fn unwritten(e: std::fmt::Error) -> Error {
    Error::internal("playlist_failed", "the playlist could not be written").because(e)
}

impl Archive {
    /// The playlist of a range. Begins at the fragment that holds `from`, or at the key frame it needs.
    pub async fn hls(&self, stream: &StreamKey, range: TimeRange) -> Result<HlsPlaylist> {
        let recorded = self.recorded(stream, range).await?;
        let used = recorded.used();
        let longest = used.iter().map(|(_, f)| f.fragment.range.micros()).max();
        let mut text = String::with_capacity(256 + used.len() * 96);
        let begins = recorded.range.from;
        let offset = range.from.micros_since(begins).max(0);
        // Writing to a String cannot fail.
        let write = || -> std::fmt::Result {
            head(&mut text, longest.unwrap_or(0))?;
            // Not so when a GOP is longer than a fragment.
            if used.iter().all(|(_, f)| f.key) {
                text.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
            }
            writeln!(
                text,
                "#EXT-X-START:TIME-OFFSET={},PRECISE=YES",
                seconds(offset)
            )?;
            let mut place = Place::default();
            for (row, f) in used {
                let f = &f.fragment;
                place.move_to(&mut text, row, f.range)?;
                media(&mut text, f, f.range.micros(), f.len)?;
            }
            text.push_str("#EXT-X-ENDLIST\n");
            Ok(())
        };
        write().map_err(unwritten)?;
        Ok(HlsPlaylist {
            text,
            range: recorded.range,
        })
    }

    /// The key frames of a range as an `EXT-X-I-FRAMES-ONLY` playlist: each a byte range from the begin of its fragment to the
    /// end of its first picture.
    pub async fn hls_key_frames(
        &self,
        stream: &StreamKey,
        range: TimeRange,
    ) -> Result<HlsPlaylist> {
        let recorded = self.recorded(stream, range).await?;
        let mut keys: Vec<(&SegmentRow, &FragmentRow, TimeRange, u32)> = Vec::new();
        for (row, f) in recorded.used() {
            let of = f.fragment.range;
            if f.key
                && let table = table(f)?
                && let Some(first) = table.video.first()
            {
                keys.push((row, f, of, table.data.saturating_add(first.size)));
            } else if let Some((_, _, shown, _)) = keys.last_mut()
                && shown.to == of.from
            {
                // Until the next key frame or the next gap.
                shown.to = of.to;
            }
        }
        let longest = keys.iter().map(|(_, _, shown, _)| shown.micros()).max();
        let mut text = String::with_capacity(256 + keys.len() * 96);
        let mut write = || -> std::fmt::Result {
            head(&mut text, longest.unwrap_or(0))?;
            text.push_str("#EXT-X-I-FRAMES-ONLY\n");
            let mut place = Place::default();
            for (row, f, shown, bytes) in &keys {
                place.move_to(&mut text, row, *shown)?;
                media(&mut text, &f.fragment, shown.micros(), *bytes)?;
            }
            text.push_str("#EXT-X-ENDLIST\n");
            Ok(())
        };
        write().map_err(unwritten)?;
        Ok(HlsPlaylist {
            text,
            range: recorded.range,
        })
    }

    /// The playlist that names both, as `index.m3u8?{query}` and `keyframes.m3u8?{query}`.
    pub async fn hls_master(
        &self,
        stream: &StreamKey,
        range: TimeRange,
        query: &str,
    ) -> Result<HlsPlaylist> {
        let recorded = self.recorded(stream, range).await?;
        let rate = |bytes: u64, us: i64| bytes.saturating_mul(8_000_000) / us.max(1).unsigned_abs();
        let (mut peak, mut key_peak, mut bytes, mut us) = (1, 1, 0u64, 0i64);
        for (_, row) in recorded.used() {
            let f = &row.fragment;
            peak = rate(f.len.into(), f.range.micros()).max(peak);
            bytes += u64::from(f.len);
            us += f.range.micros();
            if row.key {
                let table = table(row)?;
                let first = table.video.first().map_or(0, |s| s.size);
                key_peak =
                    rate(u64::from(table.data) + u64::from(first), f.range.micros()).max(key_peak);
            }
        }
        let (mut video, mut sound) = (Vec::new(), Vec::new());
        let (mut width, mut height) = (0, 0);
        let mut known: Option<&str> = None;
        for (row, _) in recorded.used() {
            if known == Some(&*row.params) {
                continue;
            }
            known = Some(&*row.params);
            let p = params::from_text(&row.params)?;
            (width, height) = (p.width.max(width), p.height.max(height));
            for (list, name) in [
                (&mut video, Some(p.rfc6381)),
                (&mut sound, p.audio.and_then(|a| a.rfc6381)),
            ] {
                if let Some(name) = name.filter(|name| !list.contains(name)) {
                    list.push(name);
                }
            }
        }
        let video = video.join(",");
        let all = [&*video, &*sound.join(",")]
            .into_iter()
            .filter(|c| !c.is_empty())
            .collect::<Vec<_>>()
            .join(",");
        let text = format!(
            "#EXTM3U\n#EXT-X-VERSION:7\n\
             #EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={},CODECS=\"{all}\",RESOLUTION={width}x{height}\n\
             index.m3u8?{query}\n\
             #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH={key_peak},CODECS=\"{video}\",RESOLUTION={width}x{height},\
             URI=\"keyframes.m3u8?{query}\"\n",
            rate(bytes, us)
        );
        Ok(HlsPlaylist {
            text,
            range: recorded.range,
        })
    }

    /// The fragments of a range, from the one with the key frame that its first picture needs.
    async fn recorded(&self, stream: &StreamKey, range: TimeRange) -> Result<Recorded> {
        if range.micros() > LONGEST_US {
            return Err(Error::invalid(
                "bad_range",
                "a playlist can be at most 24 hours long; ask for it in pieces",
            ));
        }
        // A day is some 20 MB of index: not for everybody at once.
        let _turn = self.inner.planned.turn().await?;
        let mut parts = self.with_lead_in(stream, range).await?;
        for part in &mut parts {
            part.fragments.retain(|f| f.fragment.range.from < range.to);
        }
        let rows: Vec<_> = parts.iter().flat_map(|p| &p.fragments).collect();
        let first = match lead(&rows, range.from)? {
            Lead::Nothing => rows.len(),
            Lead::At(first) | Lead::Missing(first) => first,
        };
        let (Some(head), Some(tail)) = (rows.get(first), rows.last()) else {
            return Err(Error::not_found(
                "no_footage",
                format!(
                    "nothing of {stream} is recorded from {} to {}; its coverage says why",
                    range.from, range.to
                ),
            ));
        };
        let range = TimeRange {
            from: head.fragment.range.from,
            to: tail.fragment.range.to,
        };
        Ok(Recorded {
            parts,
            first,
            range,
        })
    }

    /// A segment file of this stream, for the byte ranges of [`Archive::hls`].
    pub async fn segment(&self, stream: &StreamKey, id: SegmentId) -> Result<SegmentReader> {
        let gone = || {
            Error::not_found(
                "no_footage",
                format!("{stream} has no recorded file {id} (any more)"),
            )
        };
        // Pinned first: what is found after that stays.
        let pinned = self.inner.pins.pin(vec![id]).ok_or_else(gone)?;
        match self.inner.db.archive_segment(id).await? {
            Some(part) if part.row.segment.stream == *stream => {
                let row = part.row;
                let volumes = Arc::clone(&self.inner.volumes);
                Ok(SegmentReader {
                    body: Arc::new(of_file(volumes, &row.segment.path, row.bytes, pinned)),
                    len: row.bytes,
                    freed: row.freed,
                    id,
                })
            }
            _ => Err(gone()),
        }
    }
}

impl SegmentReader {
    /// Durable bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Strong entity tag: a file only grows, and holes only become more.
    pub fn etag(&self) -> String {
        format!("\"{}-{}-{}\"", self.id.0.simple(), self.len, self.freed)
    }

    pub fn read(&self, range: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        stream_of(&self.body, range)
    }
}

/// Microseconds as decimal seconds.
fn seconds(us: i64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}
