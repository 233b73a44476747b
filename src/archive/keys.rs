//! Single key frames: for stills and for looking around quickly.

use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

use super::gop::micros;
use super::recovery::{blocking, open};
use super::samples::SampleTable;
use super::{Archive, params};
use crate::model::{Error, Result, StreamKey, TimeRange, UtcMicros};
use crate::store::database::{FragmentRow, SegmentPart, SegmentRow};
use crate::video::StreamParams;

/// Files looked at, backwards, for a key frame: cameras with GOPs of many minutes exist, with GOPs of hours not.
const LOOK_BACK: i64 = 8;
/// Key frames in one answer.
const MOST: usize = 1_000;

/// A picture that can be decoded alone.
#[derive(Clone, Debug)]
pub struct KeyFrame {
    pub params: Arc<StreamParams>,
    /// NAL units, each after a 4-byte length.
    pub data: Bytes,
    pub at: UtcMicros,
}

struct Place {
    at: UtcMicros,
    offset: u64,
    size: usize,
}

impl Archive {
    /// The last durable key frame at or before `at`.
    pub async fn key_frame_at(
        &self,
        stream: &StreamKey,
        at: UtcMicros,
    ) -> Result<Option<KeyFrame>> {
        let parts = self.inner.db.archive_before(stream, at, LOOK_BACK).await?;
        for part in &parts {
            for row in part.fragments.iter().rev() {
                if row.fragment.range.from > at {
                    continue;
                }
                let found = key_places(row)?.into_iter().rev().find(|p| p.at <= at);
                if let Some(place) = found {
                    return self.read_key(&part.row, place).await.map(Some);
                }
            }
        }
        Ok(None)
    }

    /// Key frames of a range, in order, at most `limit`, spread evenly when there are more.
    pub async fn key_frames(
        &self,
        stream: &StreamKey,
        range: TimeRange,
        limit: usize,
    ) -> Result<Vec<KeyFrame>> {
        let parts = self.inner.db.archive_between(stream, range).await?;
        let mut places: Vec<(&SegmentRow, Place)> = Vec::new();
        for SegmentPart { row, fragments } in &parts {
            for fragment in fragments {
                let keys = key_places(fragment)?;
                places.extend(
                    keys.into_iter()
                        .filter(|p| range.contains(p.at))
                        .map(|p| (row, p)),
                );
            }
        }
        let limit = limit.clamp(1, MOST);
        let total = places.len();
        let mut out = Vec::with_capacity(total.min(limit));
        for (i, (row, place)) in places.into_iter().enumerate() {
            // The i-th is taken when it begins another of `limit` equal shares.
            let share = |i: usize| i * limit / total.max(1);
            if total <= limit || i == 0 || share(i) != share(i - 1) {
                out.push(self.read_key(row, place).await?);
            }
        }
        Ok(out)
    }

    async fn read_key(&self, row: &SegmentRow, place: Place) -> Result<KeyFrame> {
        let params = Arc::new(params::from_text(&row.params)?);
        let (dir, path) = (self.inner.dir.clone(), row.segment.path.clone());
        let data = blocking("read a key frame", move || {
            let mut data = vec![0; place.size];
            open(&dir, &path)?.read_exact_at(&mut data, place.offset)?;
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

fn key_places(row: &FragmentRow) -> Result<Vec<Place>> {
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

/// The sample table of an index row.
pub(super) fn table(row: &FragmentRow) -> Result<SampleTable> {
    SampleTable::unpack(&row.fragment.samples).ok_or_else(|| {
        Error::internal(
            "bad_row",
            format!(
                "the sample table of fragment {} in segment {} is damaged; rebuild the index",
                row.fragment.seq, row.fragment.segment
            ),
        )
    })
}
