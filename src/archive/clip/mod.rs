//! A clip: any range of a stream as one ordinary MP4 that exists nowhere as a file.
//!
//! `ftyp moov` is made from the index, `mdat` is ranges of the segment files: the pictures are the archive's own bytes. The
//! first whole GOP is physically there; an edit list begins the presentation at the asked moment. Gaps keep their real length
//! (the picture before one stays). The same range over the same recordings always gives the same bytes, so the entity tag is
//! strong and two downloads are one.

pub(in crate::archive) mod fuzzing;
mod moov;
mod plan;
mod planned;
mod read;

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;

use super::Archive;
use crate::model::{
    Error, ErrorKind, GapCause, Result, SegmentId, StreamKey, TimeRange, UtcMicros, tile,
};
use crate::store::database::SegmentPart;

use super::keys::{Lead, lead};
use super::retention::Pinned;
use plan::Plan;
pub(in crate::archive) use planned::Planned;
use planned::{Key, Made};
use read::Layout;
pub(in crate::archive) use read::{Body, of_file, stream_of};

/// A longer clip is asked for in pieces: its tables (8 to 20 bytes a picture) would not fit in memory at ease.
const LONGEST_HOURS: i64 = 48;
/// Files searched backwards for the key frame a range needs.
const LOOK_BACK: i64 = 8;

/// Whether the clip has sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClipAudio {
    /// The camera sent none.
    None,
    Included,
    /// There is some, but one track cannot say it: its parameters change within the range, or a gap is of many hours.
    LeftOut,
}

/// A fragment of the archive that the clip takes pictures from; what a manifest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClipFragment {
    pub seq: i64,
    pub range: TimeRange,
    pub sha256: [u8; 32],
    pub packets_lost: u32,
}

type Gaps = Arc<[(TimeRange, GapCause)]>;

/// Cheap to clone. While a clone lives, retention leaves its files alone.
#[derive(Clone, Debug)]
pub struct Clip {
    head: Arc<Facts>,
    gaps: Gaps,
    body: Arc<Body>,
}

#[derive(Debug)]
struct Facts {
    etag: String,
    delivered: TimeRange,
    media_from: UtcMicros,
    audio: ClipAudio,
    fragments: Vec<ClipFragment>,
    codecs: Vec<String>,
    frames: usize,
}

impl Facts {
    /// Memory it takes, about.
    fn weight(&self) -> usize {
        self.fragments.len() * size_of::<ClipFragment>()
    }
}

impl Archive {
    /// The clip of a range, at most 48 hours.
    ///
    /// Errors: `bad_range` (too long), `range_in_future`, `no_footage` (says what is nearest), `codec_changed`.
    pub async fn clip(&self, stream: &StreamKey, range: TimeRange) -> Result<Clip> {
        self.check(stream, range)?;
        // Before the look-up: what becomes durable meanwhile makes this plan one that is not found again.
        let key = || Key::new(stream, range, self.durable_until(stream));
        if let Some(clip) = self.planned(&key()).await? {
            return Ok(clip);
        }
        let _turn = self.inner.planned.turn().await?;
        let key = key();
        // Whoever had the turn before may have planned the same.
        if let Some(clip) = self.planned(&key).await? {
            return Ok(clip);
        }
        // A file may be deleted between looking it up and pinning it: then it is looked up again, and is gone.
        for _ in 0..3 {
            let parts = self.with_lead_in(stream, range).await?;
            let ids = parts.iter().map(|p| p.row.segment.id).collect();
            let Some(pinned) = self.inner.pins.pin(ids) else {
                tokio::task::yield_now().await;
                continue;
            };
            if self.still_there(stream, &parts, range).await? {
                return self.build(key, parts, pinned).await;
            }
        }
        Err(Error::unavailable(
            "archive_busy",
            format!("recordings of {stream} are being deleted in this range; try again"),
        ))
    }

    /// Whether anything of the range is recorded, without the work of a clip.
    ///
    /// Errors: as of [`Archive::clip`], but a change of codec is not seen.
    pub async fn has_footage(&self, stream: &StreamKey, range: TimeRange) -> Result<()> {
        self.check(stream, range)?;
        if self
            .inner
            .db
            .archive_spans(stream, range)
            .await?
            .iter()
            .any(|span| span.overlaps(&range))
        {
            return Ok(());
        }
        Err(self.no_footage(stream, range).await?)
    }

    async fn planned(&self, key: &Key) -> Result<Option<Clip>> {
        let Some((made, pinned)) = self.inner.planned.find(key, &self.inner.pins) else {
            return Ok(None);
        };
        let gaps = match made.gaps {
            Some(gaps) => gaps,
            None => self.gaps(&key.stream, key.range, &made.facts).await?,
        };
        Ok(Some(Clip {
            head: made.facts,
            gaps,
            body: Arc::new(Body::new(made.layout, pinned)),
        }))
    }

    /// What the plan does not show of the asked range, and why.
    async fn gaps(&self, stream: &StreamKey, asked: TimeRange, facts: &Facts) -> Result<Gaps> {
        let coverage = self.coverage(stream, asked).await?;
        let shown: Vec<TimeRange> = facts
            .fragments
            .iter()
            .filter_map(|f| f.range.intersect(&facts.delivered))
            .collect();
        let end = facts.delivered.to;
        // Recorded and yet not in the plan: durable only since it was made, or, before its first picture, not to be decoded
        // because the key frame is lost.
        let (_, gaps) = tile(asked, &shown, &coverage.gaps, |at| {
            if at >= end {
                GapCause::NotYet
            } else {
                GapCause::RtpLoss
            }
        });
        Ok(gaps.into())
    }

    fn check(&self, stream: &StreamKey, range: TimeRange) -> Result<()> {
        if range.micros() > LONGEST_HOURS * 3_600_000_000 {
            return Err(Error::invalid(
                "bad_range",
                format!("a clip can be at most {LONGEST_HOURS} hours long; ask for it in pieces"),
            ));
        }
        let now = self.inner.clock.now();
        let known = now.max(self.durable_until(stream).unwrap_or(UtcMicros::MIN));
        if range.from >= known {
            return Err(Error::new(
                ErrorKind::Invalid,
                "range_in_future",
                format!(
                    "`from` ({}) is in the future: it is {now} now; ask for a time that has passed",
                    range.from
                ),
            ));
        }
        Ok(())
    }

    async fn build(&self, key: Key, parts: Vec<SegmentPart>, pinned: Pinned) -> Result<Clip> {
        let (stream, range) = (&key.stream, key.range);
        let files: Arc<[SegmentId]> = parts.iter().map(|p| p.row.segment.id).collect();
        // Tables of a day are two million pictures: not on a thread that serves others.
        let planned = tokio::task::spawn_blocking(move || {
            let plan = Plan::new(&parts, range)?;
            Ok::<_, Error>(plan.map(|plan| {
                let head = moov::head(&plan);
                (plan, head)
            }))
        });
        let planned = planned.await.map_err(|e| {
            Error::internal("clip_failed", "the clip could not be planned").because(e)
        })?;
        let Some((plan, head)) = planned? else {
            return Err(self.no_footage(stream, range).await?);
        };
        let facts = Arc::new(Facts {
            etag: plan.etag(stream),
            delivered: plan.delivered,
            media_from: plan.origin,
            audio: plan.audio_said,
            frames: plan.video.sizes.len(),
            fragments: plan.fragments,
            codecs: plan.codecs,
        });
        let layout = Arc::new(Layout::new(
            Arc::clone(&self.inner.volumes),
            head,
            plan.pieces,
        ));
        let gaps = self.gaps(stream, range, &facts).await?;
        let made = Made {
            facts: Arc::clone(&facts),
            layout: Arc::clone(&layout),
            files,
            gaps: key.settled().then(|| Arc::clone(&gaps)),
        };
        self.inner.planned.keep(key, made);
        Ok(Clip {
            head: facts,
            gaps,
            body: Arc::new(Body::new(layout, pinned)),
        })
    }

    /// The files of the range, and before them those needed to decode its first picture.
    pub(in crate::archive) async fn with_lead_in(
        &self,
        stream: &StreamKey,
        range: TimeRange,
    ) -> Result<Vec<SegmentPart>> {
        let db = &self.inner.db;
        let mut parts = db.archive_between(stream, range).await?;
        let Some(first) = parts.first() else {
            return Ok(parts);
        };
        let first_started = first.row.segment.started;
        {
            let rows: Vec<_> = parts.iter().flat_map(|p| &p.fragments).collect();
            if !matches!(lead(&rows, range.from)?, Lead::Missing(_)) {
                return Ok(parts);
            }
        }
        let before = db
            .archive_before(stream, first_started - 1, LOOK_BACK)
            .await?;
        for part in before {
            let found = part.fragments.iter().any(|f| f.key);
            parts.insert(0, part);
            if found {
                break;
            }
        }
        Ok(parts)
    }

    /// Whether the index still says of these files, which are pinned by now, what it said when they were looked up.
    async fn still_there(
        &self,
        stream: &StreamKey,
        parts: &[SegmentPart],
        range: TimeRange,
    ) -> Result<bool> {
        let Some(first) = parts.first() else {
            return Ok(true);
        };
        let range = TimeRange {
            from: first.row.segment.started,
            to: range.to,
        };
        let now = self.inner.db.archive_marks(stream, range).await?;
        Ok(parts.iter().all(|p| {
            now.get(&p.row.segment.id)
                .is_some_and(|mark| mark.is_of(&p.row))
        }))
    }

    async fn no_footage(&self, stream: &StreamKey, range: TimeRange) -> Result<Error> {
        let db = &self.inner.db;
        let before = db.archive_before(stream, range.from, 1).await?;
        let after = db.archive_after(stream, range.to).await?;
        let mut near = Vec::new();
        if let Some(part) = before.first() {
            near.push(format!("the recording before ends at {}", part.row.ended));
        }
        if let Some(row) = after {
            near.push(format!("the next one begins at {}", row.segment.started));
        }
        let coverage = self.coverage(stream, range).await?;
        let cause = coverage
            .gaps
            .iter()
            .max_by_key(|(r, _)| r.micros())
            .map_or("not_recorded", |(_, c)| c.as_str());
        if near.is_empty() {
            near.push("nothing of this stream is recorded yet".into());
        }
        Ok(Error::not_found(
            "no_footage",
            format!(
                "nothing of {stream} is recorded from {} to {} ({cause}); {}",
                range.from,
                range.to,
                near.join(", ")
            ),
        ))
    }
}

impl Clip {
    /// Bytes of the whole MP4.
    pub fn len(&self) -> u64 {
        self.body.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Strong entity tag (RFC 9110 §8.8.3), quotes included.
    pub fn etag(&self) -> &str {
        &self.head.etag
    }

    /// The part of the asked range that plays.
    pub fn delivered(&self) -> TimeRange {
        self.head.delivered
    }

    /// Time of the first picture that is physically in the file; pictures before [`Clip::delivered`] are only there to be
    /// decoded.
    pub fn media_from(&self) -> UtcMicros {
        self.head.media_from
    }

    /// What is missing of the range that was asked for, also before and behind [`Clip::delivered`]. An end that is not durable
    /// yet is `NotYet`: the same clip asked for a little later is longer.
    pub fn gaps(&self) -> &[(TimeRange, GapCause)] {
        &self.gaps
    }

    pub fn audio(&self) -> ClipAudio {
        self.head.audio
    }

    /// In the order of the file.
    pub fn fragments(&self) -> &[ClipFragment] {
        &self.head.fragments
    }

    /// RFC 6381 names of the video's parameter sets, in order of use.
    pub fn codecs(&self) -> &[String] {
        &self.head.codecs
    }

    /// Pictures in the file.
    pub fn frames(&self) -> usize {
        self.head.frames
    }

    /// The bytes of a part of the MP4, in bounded chunks. What lies beyond the end is not there.
    pub fn read(&self, range: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        Arc::clone(&self.body).read(range)
    }
}
