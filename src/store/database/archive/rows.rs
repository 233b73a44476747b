//! Rows of the archive's index as values, and the fragments of a closed file as one value.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::{FragmentRow, SegmentRow, Tombstone};
use crate::model::{
    CameraClock, CameraId, Error, Fragment, FragmentClock, Result, Segment, SegmentId, StreamKey,
    StreamRole, TimeRange, UtcMicros,
};
use crate::store::database::database_error;

pub(super) const FRAGMENT_COLUMNS: &str = "seq, from_us, to_us, byte_from, byte_len, sha256, is_key, packets_lost, \
     samples, clock_code, clock_offset_us, clock_uncertainty_us, ahead_us";

/// Version byte, then for each fragment: seq, from, to, offset (8 bytes each), len, lost (4), key (1), hash (32), length of
/// the sample table (4) and the table; since version 2 also the camera's clock (code 1, offset 8, uncertainty 4) and how far
/// the recording is ahead (8). Little-endian.
pub fn folded(fragments: &[FragmentRow]) -> Vec<u8> {
    let mut out = vec![2];
    for row in fragments {
        let f = &row.fragment;
        out.extend(f.seq.to_le_bytes());
        out.extend(f.range.from.micros().to_le_bytes());
        out.extend(f.range.to.micros().to_le_bytes());
        out.extend(f.offset.to_le_bytes());
        out.extend(f.len.to_le_bytes());
        out.extend(f.packets_lost.to_le_bytes());
        out.push(u8::from(row.key));
        out.extend(f.sha256);
        out.extend(
            u32::try_from(f.samples.len())
                .unwrap_or(u32::MAX)
                .to_le_bytes(),
        );
        out.extend(&f.samples);
        let (code, offset, uncertainty) = f.clock.camera.to_parts();
        out.push(code);
        out.extend(offset.to_le_bytes());
        out.extend(uncertainty.to_le_bytes());
        out.extend(f.clock.ahead_us.to_le_bytes());
    }
    out
}

pub(super) fn unfold(bytes: &[u8], segment: SegmentId) -> Result<Vec<FragmentRow>> {
    struct In<'a>(&'a [u8]);
    impl<'a> In<'a> {
        fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
            let (head, tail) = self.0.split_first_chunk::<N>()?;
            self.0 = tail;
            Some(*head)
        }
        fn slice(&mut self, n: usize) -> Option<&'a [u8]> {
            let (head, tail) = self.0.split_at_checked(n)?;
            self.0 = tail;
            Some(head)
        }
    }
    fn one(r: &mut In<'_>, version: u8, segment: SegmentId) -> Option<FragmentRow> {
        let seq = i64::from_le_bytes(r.take()?);
        let from = UtcMicros(i64::from_le_bytes(r.take()?));
        let to = UtcMicros(i64::from_le_bytes(r.take()?));
        let offset = u64::from_le_bytes(r.take()?);
        let len = u32::from_le_bytes(r.take()?);
        let packets_lost = u32::from_le_bytes(r.take()?);
        let [key] = r.take()?;
        let sha256 = r.take()?;
        let n = u32::from_le_bytes(r.take()?);
        let samples = r.slice(usize::try_from(n).ok()?)?.to_vec();
        let clock = match version {
            1 => FragmentClock::default(),
            _ => FragmentClock {
                camera: CameraClock::from_parts(
                    u8::from_le_bytes(r.take()?),
                    i64::from_le_bytes(r.take()?),
                    u32::from_le_bytes(r.take()?),
                )?,
                ahead_us: i64::from_le_bytes(r.take()?),
            },
        };
        Some(FragmentRow {
            fragment: Fragment {
                segment,
                seq,
                range: TimeRange { from, to },
                offset,
                len,
                sha256,
                packets_lost,
                clock,
                samples,
            },
            key: key != 0,
        })
    }
    let broken = || {
        bad_row(format!(
            "the fragment list of segment {segment} is damaged; rebuild the index"
        ))
    };
    let Some((version @ (1 | 2), rest)) = bytes.split_first() else {
        return Err(broken());
    };
    let mut input = In(rest);
    let mut rows = Vec::new();
    while !input.0.is_empty() {
        rows.push(one(&mut input, *version, segment).ok_or_else(broken)?);
    }
    Ok(rows)
}

/// For the fuzzer: rows that are understood are written and read the same again.
pub fn folded_rows(data: &[u8]) {
    let id = SegmentId(uuid::Uuid::nil());
    if let Ok(rows) = unfold(data, id) {
        let again = folded(&rows);
        assert!(
            data.first() != Some(&2) || again.len() == data.len(),
            "bytes that belong to no row"
        );
        assert!(unfold(&again, id).is_ok_and(|r| r == rows));
    }
}

pub(super) fn segment(row: &AnyRow, stream: &StreamKey) -> Result<SegmentRow> {
    let read = || -> sqlx::Result<Result<SegmentRow>> {
        let (id, path): (String, String) = (row.try_get("id")?, row.try_get("path")?);
        let started: i64 = row.try_get("started")?;
        let init_len: i64 = row.try_get("init_len")?;
        let bytes: i64 = row.try_get("bytes")?;
        let freed: i64 = row.try_get("freed")?;
        let content: String = row.try_get("content")?;
        let first_seq = row.try_get("first_seq")?;
        let ended = UtcMicros(row.try_get("ended")?);
        let whole = row.try_get::<i64, _>("whole")? != 0;
        let closed = row.try_get::<i64, _>("closed")? != 0;
        Ok(SegmentId::parse(&id).map(|id| SegmentRow {
            segment: Segment {
                id,
                stream: stream.clone(),
                path,
                started: UtcMicros(started),
                init_len: u32::try_from(init_len).unwrap_or(0),
            },
            first_seq,
            ended,
            bytes: u64::try_from(bytes).unwrap_or(0),
            freed: u64::try_from(freed).unwrap_or(0),
            whole,
            closed,
            params: content.into(),
        }))
    };
    read().map_err(|e| database_error("read a segment row", e))?
}

pub(super) fn fragment(row: &AnyRow, segment: SegmentId) -> Result<FragmentRow> {
    let read = || -> sqlx::Result<Option<FragmentRow>> {
        let sha256: Vec<u8> = row.try_get("sha256")?;
        let offset: i64 = row.try_get("byte_from")?;
        let len: i64 = row.try_get("byte_len")?;
        let lost: i64 = row.try_get("packets_lost")?;
        let (seq, from): (i64, i64) = (row.try_get("seq")?, row.try_get("from_us")?);
        let to: i64 = row.try_get("to_us")?;
        let samples = row.try_get("samples")?;
        let code: i64 = row.try_get("clock_code")?;
        let clock_offset: i64 = row.try_get("clock_offset_us")?;
        let uncertainty: i64 = row.try_get("clock_uncertainty_us")?;
        let ahead_us: i64 = row.try_get("ahead_us")?;
        let key = row.try_get::<i64, _>("is_key")? != 0;
        let Ok(sha256) = <[u8; 32]>::try_from(sha256) else {
            return Ok(None);
        };
        Ok(Some(FragmentRow {
            fragment: Fragment {
                segment,
                seq,
                range: TimeRange {
                    from: UtcMicros(from),
                    to: UtcMicros(to),
                },
                offset: u64::try_from(offset).unwrap_or(0),
                len: u32::try_from(len).unwrap_or(0),
                sha256,
                packets_lost: u32::try_from(lost).unwrap_or(0),
                clock: FragmentClock {
                    camera: u8::try_from(code)
                        .ok()
                        .and_then(|code| {
                            let uncertainty = u32::try_from(uncertainty).unwrap_or(u32::MAX);
                            CameraClock::from_parts(code, clock_offset, uncertainty)
                        })
                        .unwrap_or(CameraClock::NOT_KEPT),
                    ahead_us,
                },
                samples,
            },
            key,
        }))
    };
    read()
        .map_err(|e| database_error("read a fragment row", e))?
        .ok_or_else(|| {
            bad_row(format!(
                "a fragment of segment {segment} has a damaged hash"
            ))
        })
}

pub(super) fn tombstone(row: &AnyRow) -> Result<Tombstone> {
    let stream = key_of(row)?;
    let read = || -> sqlx::Result<Result<Tombstone>> {
        let id: String = row.try_get("segment")?;
        let sha: Vec<u8> = row.try_get("last_sha256")?;
        let bytes: i64 = row.try_get("bytes")?;
        let byte_from: i64 = row.try_get("byte_from")?;
        let path = row.try_get("path")?;
        let from = UtcMicros(row.try_get("from_us")?);
        let to = UtcMicros(row.try_get("to_us")?);
        let (first_seq, last_seq) = (row.try_get("first_seq")?, row.try_get("last_seq")?);
        let rule = row.try_get("deletion_rule")?;
        let actor = row.try_get("actor")?;
        let in_part = row.try_get::<i64, _>("in_part")? != 0;
        let deleted_at = UtcMicros(row.try_get("deleted_at")?);
        Ok(SegmentId::parse(&id).and_then(|segment| {
            Ok(Tombstone {
                segment,
                stream,
                path,
                range: TimeRange { from, to },
                first_seq,
                last_seq,
                last_sha256: <[u8; 32]>::try_from(sha)
                    .map_err(|_| bad_row(format!("the tombstone of {segment} is damaged")))?,
                byte_from: u64::try_from(byte_from).unwrap_or(0),
                bytes: u64::try_from(bytes).unwrap_or(0),
                rule,
                actor,
                in_part,
                deleted_at,
            })
        }))
    };
    read().map_err(|e| database_error("read a tombstone", e))?
}

pub(super) fn key_of(row: &AnyRow) -> Result<StreamKey> {
    let read =
        || -> sqlx::Result<(String, String)> { Ok((row.try_get("camera")?, row.try_get("role")?)) };
    let (camera, role) = read().map_err(|e| database_error("read a stream's name", e))?;
    let role = StreamRole::parse(&role)
        .ok_or_else(|| bad_row(format!("camera `{camera}` has the unknown stream `{role}`")))?;
    Ok(StreamKey::new(CameraId::new(&camera)?, role))
}

pub(super) fn bad_row(detail: String) -> Error {
    Error::internal("bad_row", detail)
}
