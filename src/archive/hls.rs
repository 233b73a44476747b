//! Playback with HTTP Live Streaming (RFC 8216): a playlist over the recorded fragments, as byte ranges of the segment files.
//!
//! Each fragment is a media segment, the head of its file the initialization section. Every file has media time of its own,
//! so a new file, like a gap, is a discontinuity; the wall time of each piece is told by `EXT-X-PROGRAM-DATE-TIME`.

use std::fmt::Write as _;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;

use super::Archive;
use super::clip::{Body, of_file, stream_of};
use crate::model::{Error, Result, SegmentId, StreamKey, TimeRange, UtcMicros};

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
    id: SegmentId,
}

impl Archive {
    /// The playlist of a range. Begins at the fragment that holds `from`, or at the key frame it needs.
    pub async fn hls(&self, stream: &StreamKey, range: TimeRange) -> Result<HlsPlaylist> {
        if range.micros() > LONGEST_US {
            return Err(Error::invalid(
                "bad_range",
                "a playlist can be at most 24 hours long; ask for it in pieces",
            ));
        }
        let parts = self.inner.db.archive_between(stream, range).await?;
        let all: Vec<_> = parts
            .iter()
            .flat_map(|p| p.fragments.iter().map(move |f| (&p.row, f)))
            .filter(|(_, f)| f.fragment.range.from < range.to)
            .collect();
        let first = all
            .iter()
            .position(|(_, f)| f.fragment.range.to > range.from)
            .map(|first| {
                let lead = all.iter().take(first + 1).rposition(|(_, f)| f.key);
                lead.unwrap_or(first)
            });
        let used = all.get(first.unwrap_or(all.len())..).unwrap_or(&[]);
        let (Some((_, head)), Some((_, tail))) = (used.first(), used.last()) else {
            return Err(Error::not_found(
                "no_footage",
                format!(
                    "nothing of {stream} is recorded from {} to {}; its coverage says why",
                    range.from, range.to
                ),
            ));
        };
        let longest = used
            .iter()
            .map(|(_, f)| f.fragment.range.micros())
            .max()
            .unwrap_or(0);
        let target = (longest + 999_999) / 1_000_000;
        let mut text = String::with_capacity(256 + used.len() * 96);
        let offset = range.from.micros_since(head.fragment.range.from).max(0);
        let mut end: Option<UtcMicros> = None;
        let mut file: Option<SegmentId> = None;
        // Writing to a String cannot fail.
        let mut write = || -> std::fmt::Result {
            write!(
                text,
                "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{}\n#EXT-X-PLAYLIST-TYPE:VOD\n\
                 {}#EXT-X-START:TIME-OFFSET={},PRECISE=YES\n",
                target.max(1),
                // Not so when a GOP is longer than a fragment.
                if used.iter().all(|(_, f)| f.key) {
                    "#EXT-X-INDEPENDENT-SEGMENTS\n"
                } else {
                    ""
                },
                seconds(offset)
            )?;
            for (row, f) in used {
                let f = &f.fragment;
                let gap = end.is_some_and(|end| end != f.range.from);
                let changed = file != Some(f.segment);
                if (gap || changed) && file.is_some() {
                    text.push_str("#EXT-X-DISCONTINUITY\n");
                }
                if changed {
                    writeln!(
                        text,
                        "#EXT-X-MAP:URI=\"segment/{}.mp4\",BYTERANGE=\"{}@0\"",
                        f.segment, row.segment.init_len
                    )?;
                }
                if gap || changed {
                    writeln!(text, "#EXT-X-PROGRAM-DATE-TIME:{}", f.range.from)?;
                }
                write!(
                    text,
                    "#EXTINF:{},\n#EXT-X-BYTERANGE:{}@{}\nsegment/{}.mp4\n",
                    seconds(f.range.micros()),
                    f.len,
                    f.offset,
                    f.segment
                )?;
                end = Some(f.range.to);
                file = Some(f.segment);
            }
            text.push_str("#EXT-X-ENDLIST\n");
            Ok(())
        };
        write().map_err(|e| {
            Error::internal("playlist_failed", "the playlist could not be written").because(e)
        })?;
        Ok(HlsPlaylist {
            text,
            range: TimeRange {
                from: head.fragment.range.from,
                to: tail.fragment.range.to,
            },
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

    /// Strong entity tag: a file only grows.
    pub fn etag(&self) -> String {
        format!("\"{}-{}\"", self.id.0.simple(), self.len)
    }

    pub fn read(&self, range: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        stream_of(&self.body, range)
    }
}

/// Microseconds as decimal seconds.
fn seconds(us: i64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}
