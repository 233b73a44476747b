//! Single key frames, for stills; and where they are, for scrubbing and thumbnails.

use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

use super::fragment::LONGEST;
use super::gop::micros;
use super::recovery::blocking;
use super::samples::SampleTable;
use super::{Archive, params};
use crate::model::{Error, Result, StreamKey, TimeRange, UtcMicros};
use crate::store::database::{FragmentRow, SegmentPart, SegmentRow};
use crate::video::StreamParams;

/// Files looked at, backwards, for a key frame: cameras with GOPs of many minutes exist, with GOPs of hours not.
const LOOK_BACK: i64 = 8;

/// A picture that can be decoded alone.
#[derive(Clone, Debug)]
pub struct KeyFrame {
    pub params: Arc<StreamParams>,
    /// NAL units, each after a 4-byte length.
    pub data: Bytes,
    pub at: UtcMicros,
}

/// Times of key frames, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyTimes {
    pub times: Vec<UtcMicros>,
    /// There are more: ask again from here.
    pub next: Option<UtcMicros>,
}

pub(super) struct Place {
    pub(super) at: UtcMicros,
    pub(super) offset: u64,
    pub(super) size: usize,
}

impl Archive {
    /// The last durable key frame at or before `at`.
    pub async fn key_frame_at(
        &self,
        stream: &StreamKey,
        at: UtcMicros,
    ) -> Result<Option<KeyFrame>> {
        let db = &self.inner.db;
        // A file may be deleted between looking it up and pinning it: then an older picture may be the last one.
        for _ in 0..3 {
            // The newest file nearly always has one.
            let newest = db.archive_before(stream, at, 1).await?;
            let found = match last_key(newest, at)? {
                Some(found) => Some(found),
                None => last_key(db.archive_before(stream, at, LOOK_BACK).await?, at)?,
            };
            let Some((row, place)) = found else {
                return Ok(None);
            };
            let id = row.segment.id;
            if let Some(_pinned) = self.inner.pins.pin(vec![id])
                && db.archive_segment(id).await?.is_some()
            {
                return self.read_key(&row, place).await.map(Some);
            }
            tokio::task::yield_now().await;
        }
        Err(Error::unavailable(
            "archive_busy",
            format!("recordings of {stream} before {at} are being deleted; try again"),
        ))
    }

    /// When the key frames of a range are shown: the first of each `step` (microseconds, counted from the range's begin; 0: each
    /// one), at most `most`. Costs one look at the index for each file touched.
    pub async fn key_times(
        &self,
        stream: &StreamKey,
        range: TimeRange,
        step: i64,
        most: usize,
    ) -> Result<KeyTimes> {
        let mut out = KeyTimes::default();
        let mut file: Option<(TimeRange, Vec<UtcMicros>)> = None;
        let mut from = range.from;
        let mut looks = 0;
        while from < range.to {
            // Files without a key frame are rare, but they must not keep a caller busy for ever.
            looks += 1;
            if looks > 4 * most {
                out.next = Some(from);
                break;
            }
            if file.as_ref().is_none_or(|(of, _)| !of.contains(from)) {
                file = self.keys_from(stream, from, range.to).await?;
            }
            let Some((of, keys)) = &file else { break };
            let begins = keys.partition_point(|at| *at < from);
            let Some(at) = keys.get(begins).copied() else {
                from = of.to.max(from + 1);
                continue;
            };
            if at >= range.to {
                break;
            }
            if out.times.len() >= most {
                out.next = Some(from);
                break;
            }
            out.times.push(at);
            from = match at.micros_since(range.from).checked_div(step) {
                Some(steps) => range.from + (steps + 1) * step,
                None => at + 1,
            };
        }
        Ok(out)
    }

    /// The file that holds `from`, or the first behind it that begins before `to`, as the time it covers and its key frames.
    async fn keys_from(
        &self,
        stream: &StreamKey,
        from: UtcMicros,
        to: UtcMicros,
    ) -> Result<Option<(TimeRange, Vec<UtcMicros>)>> {
        let db = &self.inner.db;
        let moment = TimeRange { from, to: from + 1 };
        let part = match db.archive_between(stream, moment).await?.pop() {
            Some(part) => part,
            None => {
                let after = db.archive_after(stream, from).await?;
                let Some(row) = after.filter(|row| row.segment.started < to) else {
                    return Ok(None);
                };
                match db.archive_segment(row.segment.id).await? {
                    Some(part) => part,
                    // Deleted in between: nothing of its time is there any more.
                    None => return Ok(Some((row.range(), Vec::new()))),
                }
            }
        };
        let mut keys = Vec::new();
        for fragment in &part.fragments {
            keys.extend(key_places(fragment)?.into_iter().map(|place| place.at));
        }
        keys.sort_unstable();
        let of = TimeRange {
            from: from.min(part.row.segment.started),
            to: part.row.ended,
        };
        Ok(Some((of, keys)))
    }

    async fn read_key(&self, row: &SegmentRow, place: Place) -> Result<KeyFrame> {
        let params = Arc::new(params::from_text(&row.params)?);
        let volumes = Arc::clone(&self.inner.volumes);
        let path = row.segment.path.clone();
        let data = blocking("read a key frame", move || {
            let mut data = vec![0; place.size];
            volumes
                .open(&path)?
                .read_exact_at(&mut data, place.offset)?;
            Ok(Bytes::from(data))
        })
        .await?;
        Ok(KeyFrame {
            params,
            data,
            at: place.at,
        })
    }
}

/// The last key frame at or before `at`; newest file first.
fn last_key(parts: Vec<SegmentPart>, at: UtcMicros) -> Result<Option<(SegmentRow, Place)>> {
    for SegmentPart { row, fragments } in parts {
        let before = fragments.iter().filter(|f| f.fragment.range.from <= at);
        for fragment in before.rev() {
            let mut keys = key_places(fragment)?.into_iter().rev();
            if let Some(place) = keys.find(|p| p.at <= at) {
                return Ok(Some((row, place)));
            }
        }
    }
    Ok(None)
}

pub(super) fn key_places(row: &FragmentRow) -> Result<Vec<Place>> {
    let table = table(row)?;
    let f = &row.fragment;
    let mut offset = f.offset + u64::from(table.data);
    let mut decode = 0i64;
    let mut out = Vec::new();
    for s in &table.video {
        if s.key {
            out.push(Place {
                at: f.range.from + micros(decode + i64::from(s.offset)),
                offset,
                size: usize::try_from(s.size).unwrap_or(0),
            });
        }
        offset += u64::from(s.size);
        decode += i64::from(s.duration);
    }
    Ok(out)
}

/// Where decoding must begin to show a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lead {
    /// Nothing is recorded from that moment on.
    Nothing,
    /// With this fragment.
    At(usize),
    /// Before all of these; this is the first one that is shown.
    Missing(usize),
}

/// The fragment with the key frame that the picture at `from` needs. Usually that of the fragment itself; but pictures may be
/// sent behind a key frame and shown before it (open GOP: RASL in H.265, ITU-T H.265 §3.130), and those need the one before.
pub(super) fn lead(rows: &[&FragmentRow], from: UtcMicros) -> Result<Lead> {
    let Some(first) = rows.iter().position(|f| f.fragment.range.to > from) else {
        return Ok(Lead::Nothing);
    };
    for (i, row) in rows.iter().enumerate().take(first + 1).rev() {
        if !row.key {
            continue;
        }
        let begins = row.fragment.range.from;
        if i < first || shown_at(&table(row)?, begins) <= from.max(begins) {
            return Ok(Lead::At(i));
        }
        let before = i.checked_sub(1).and_then(|before| rows.get(before));
        if before.is_some_and(|b| b.fragment.range.to != begins) {
            // Behind a gap: what those pictures need is lost.
            return Ok(Lead::At(i));
        }
    }
    Ok(Lead::Missing(first))
}

/// When the first picture of a fragment, in decode order, is shown.
pub(super) fn shown_at(table: &SampleTable, begins: UtcMicros) -> UtcMicros {
    let offset = table.video.first().map_or(0, |s| s.offset);
    begins + micros(i64::from(offset)).max(0)
}

/// The sample table of an index row. No sample of it lies outside its fragment: a damaged row must not have other bytes shown
/// for a picture, nor decide how much memory is asked for.
pub(super) fn table(row: &FragmentRow) -> Result<SampleTable> {
    let f = &row.fragment;
    let fits = |t: &SampleTable| {
        let end = u64::from(t.data) + t.video_bytes() + t.audio_bytes();
        let len = u64::from(f.len);
        end <= len && len <= LONGEST as u64 && f.offset.checked_add(len).is_some()
    };
    SampleTable::unpack(&f.samples).filter(fits).ok_or_else(|| {
        Error::internal(
            "bad_row",
            format!(
                "the sample table of fragment {} in segment {} is damaged; rebuild the index",
                row.fragment.seq, row.fragment.segment
            ),
        )
    })
}
