//! Single key frames, for stills.

use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

use super::fragment::LONGEST;
use super::gop::micros;
use super::recovery::blocking;
use super::samples::SampleTable;
use super::{Archive, params};
use crate::model::{Error, Result, StreamKey, UtcMicros};
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
            let parts = db.archive_before(stream, at, LOOK_BACK).await?;
            let Some((row, place)) = last_key(parts, at)? else {
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
