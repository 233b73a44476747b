//! The archive's index: which file holds which moment, and why a moment is missing. Here what is written; `read` asks, `rows`
//! turns rows into values, `deleted` is what went and what must not go.
//!
//! Rows exist only for durable data. The fragments of a file being written are rows of their own; closing the file folds them
//! into one value of its segment row.

mod check;
mod deleted;
mod marks;
mod read;
mod rows;
mod volumes;

use std::collections::HashMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use sqlx::{Any, Transaction};

use super::{Database, database_error};
use crate::model::{
    Fragment, Gap, GapCause, Result, Segment, SegmentId, StreamKey, TimeRange, UtcMicros,
};

use rows::{FRAGMENT_COLUMNS, fragment, unfold};
#[doc(hidden)]
pub use rows::{folded, folded_rows};

/// One file with what the index adds to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentRow {
    pub segment: Segment,
    /// Sequence number of its first fragment; with the stream it names the row.
    pub first_seq: i64,
    pub ended: UtcMicros,
    /// How much of the file the index describes.
    pub bytes: u64,
    /// Bytes of these that were given back to the disk while the rest is held.
    pub freed: u64,
    /// Its fragments follow each other without a hole.
    pub whole: bool,
    /// Nothing will be appended any more.
    pub closed: bool,
    /// Stream parameters, as the archive writes them.
    pub params: Arc<str>,
}

impl SegmentRow {
    /// What it takes of the disk.
    pub fn kept_bytes(&self) -> u64 {
        self.bytes.saturating_sub(self.freed)
    }

    pub fn range(&self) -> TimeRange {
        TimeRange {
            from: self.segment.started,
            to: self.ended,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FragmentRow {
    pub fragment: Fragment,
    /// Begins with a key frame.
    pub key: bool,
}

/// A file and (some of) its fragments, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentPart {
    pub row: SegmentRow,
    pub fragments: Vec<FragmentRow>,
}

/// What one round of syncing has made durable; written in one transaction.
#[derive(Clone, Debug, Default)]
pub struct ArchiveCommit {
    /// New or grown files, each with its new fragments only.
    pub segments: Vec<SegmentPart>,
    pub gaps: Vec<Gap>,
    /// What files say of holes in them; their bytes are given back already.
    pub tombstones: Vec<Tombstone>,
    /// Recording switched off since (or on again: `None`).
    pub stopped: Vec<(StreamKey, Option<UtcMicros>)>,
}

impl ArchiveCommit {
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
            && self.gaps.is_empty()
            && self.tombstones.is_empty()
            && self.stopped.is_empty()
    }
}

/// Proof that something was here: a run of fragments of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    pub segment: SegmentId,
    pub stream: StreamKey,
    pub path: String,
    pub range: TimeRange,
    pub first_seq: i64,
    pub last_seq: i64,
    /// Head of the hash chain behind the deleted run: what the next fragment says of the one before.
    pub last_sha256: [u8; 32],
    /// Where in the file.
    pub byte_from: u64,
    pub bytes: u64,
    pub rule: String,
    /// `retention`, or the person who ordered it.
    pub actor: String,
    /// The file stays, because other fragments of it are held.
    pub in_part: bool,
    pub deleted_at: UtcMicros,
}

/// A file that is to go, whole or in part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Burial {
    /// Of the file's row.
    pub first_seq: i64,
    /// All of one file; not empty. The second is the end of the last picture that needs the run to be decoded: a hold
    /// anywhere before it keeps the file as it is.
    pub runs: Vec<(Tombstone, UtcMicros)>,
}

impl From<Tombstone> for Burial {
    /// A whole file of one run.
    fn from(t: Tombstone) -> Self {
        let until = t.range.to;
        Self {
            first_seq: t.first_seq,
            runs: vec![(t, until)],
        }
    }
}

/// A range that retention must not touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    pub id: String,
    pub stream: StreamKey,
    pub range: TimeRange,
    pub reason: String,
    pub created_at: UtcMicros,
}

impl Database {
    /// Writes one round: files, fragments, gaps. All or nothing; writing the same round again changes nothing.
    pub async fn archive_commit(&self, commit: &ArchiveCommit) -> Result<()> {
        let doing = "write the archive's index";
        let err = |e| database_error(doing, e);
        let mut tx = self.begin(doing).await?;
        let mut streams = HashMap::new();
        let mut params = HashMap::new();
        for part in &commit.segments {
            let stream = stream_id(&mut tx, &mut streams, &part.row.segment.stream)
                .await
                .map_err(err)?;
            put_segment(&mut tx, &mut params, stream, &part.row)
                .await
                .map_err(err)?;
            for f in &part.fragments {
                put_fragment(&mut tx, stream, part.row.first_seq, f)
                    .await
                    .map_err(err)?;
            }
            if part.row.closed {
                fold(&mut tx, stream, &part.row).await?;
            }
        }
        for gap in &commit.gaps {
            let stream = stream_id(&mut tx, &mut streams, &gap.stream)
                .await
                .map_err(err)?;
            put_gap(&mut tx, stream, gap.range, gap.cause)
                .await
                .map_err(err)?;
        }
        for t in &commit.tombstones {
            let stream = stream_id(&mut tx, &mut streams, &t.stream)
                .await
                .map_err(err)?;
            deleted::put_tombstone(&mut tx, stream, t, true)
                .await
                .map_err(err)?;
            put_gap(&mut tx, stream, t.range, GapCause::Retention)
                .await
                .map_err(err)?;
        }
        for (key, from) in &commit.stopped {
            let stream = stream_id(&mut tx, &mut streams, key).await.map_err(err)?;
            sqlx::query("UPDATE archive_streams SET stopped_from = $1 WHERE id = $2")
                .bind(from.map(UtcMicros::micros))
                .bind(stream)
                .execute(&mut *tx)
                .await
                .map_err(err)?;
        }
        tx.commit().await.map_err(err)
    }
}

async fn stream_id(
    tx: &mut Transaction<'static, Any>,
    known: &mut HashMap<StreamKey, i64>,
    key: &StreamKey,
) -> sqlx::Result<i64> {
    if let Some(id) = known.get(key) {
        return Ok(*id);
    }
    let find = "SELECT id FROM archive_streams WHERE camera = $1 AND role = $2";
    let found: Option<i64> = sqlx::query_scalar(find)
        .bind(key.camera.as_str())
        .bind(key.role.as_str())
        .fetch_optional(&mut **tx)
        .await?;
    let id = match found {
        Some(id) => id,
        None => {
            sqlx::query_scalar(
                "INSERT INTO archive_streams (id, camera, role) \
                 SELECT COALESCE(MAX(id), 0) + 1, $1, $2 FROM archive_streams RETURNING id",
            )
            .bind(key.camera.as_str())
            .bind(key.role.as_str())
            .fetch_one(&mut **tx)
            .await?
        }
    };
    known.insert(key.clone(), id);
    Ok(id)
}

async fn params_id(
    tx: &mut Transaction<'static, Any>,
    known: &mut HashMap<Arc<str>, i64>,
    text: &Arc<str>,
) -> sqlx::Result<i64> {
    if let Some(id) = known.get(text) {
        return Ok(*id);
    }
    let sha256 = hex::encode(Sha256::digest(text.as_bytes()));
    let found: Option<i64> = sqlx::query_scalar("SELECT id FROM archive_params WHERE sha256 = $1")
        .bind(sha256.as_str())
        .fetch_optional(&mut **tx)
        .await?;
    let id = match found {
        Some(id) => id,
        None => {
            sqlx::query_scalar(
                "INSERT INTO archive_params (id, sha256, content) \
                 SELECT COALESCE(MAX(id), 0) + 1, $1, $2 FROM archive_params RETURNING id",
            )
            .bind(sha256.as_str())
            .bind(&**text)
            .fetch_one(&mut **tx)
            .await?
        }
    };
    known.insert(Arc::clone(text), id);
    Ok(id)
}

async fn put_segment(
    tx: &mut Transaction<'static, Any>,
    params: &mut HashMap<Arc<str>, i64>,
    stream: i64,
    row: &SegmentRow,
) -> sqlx::Result<()> {
    let bytes = i64::try_from(row.bytes).unwrap_or(i64::MAX);
    let grown = sqlx::query(
        "UPDATE archive_segments SET ended = $1, bytes = $2, whole = $3, closed = $4 \
         WHERE stream = $5 AND first_seq = $6",
    )
    .bind(row.ended.micros())
    .bind(bytes)
    .bind(i64::from(row.whole))
    .bind(i64::from(row.closed))
    .bind(stream)
    .bind(row.first_seq)
    .execute(&mut **tx)
    .await?;
    if grown.rows_affected() > 0 {
        return Ok(());
    }
    let params = params_id(tx, params, &row.params).await?;
    sqlx::query(
        "INSERT INTO archive_segments (stream, first_seq, id, path, started, ended, init_len, bytes, params, whole, closed, volume, freed) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(stream)
    .bind(row.first_seq)
    .bind(row.segment.id.to_string())
    .bind(row.segment.path.as_str())
    .bind(row.segment.started.micros())
    .bind(row.ended.micros())
    .bind(i64::from(row.segment.init_len))
    .bind(bytes)
    .bind(params)
    .bind(i64::from(row.whole))
    .bind(i64::from(row.closed))
    .bind(row.segment.volume())
    .bind(i64::try_from(row.freed).unwrap_or(i64::MAX))
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

async fn put_fragment(
    tx: &mut Transaction<'static, Any>,
    stream: i64,
    first_seq: i64,
    row: &FragmentRow,
) -> sqlx::Result<()> {
    let f = &row.fragment;
    let (clock_code, clock_offset, clock_uncertainty) = f.clock.camera.to_parts();
    sqlx::query(
        "INSERT INTO archive_fragments (stream, seq, first_seq, from_us, to_us, byte_from, byte_len, sha256, is_key, \
         packets_lost, samples, clock_code, clock_offset_us, clock_uncertainty_us, ahead_us) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) \
         ON CONFLICT (stream, seq) DO NOTHING",
    )
    .bind(stream)
    .bind(f.seq)
    .bind(first_seq)
    .bind(f.range.from.micros())
    .bind(f.range.to.micros())
    .bind(i64::try_from(f.offset).unwrap_or(i64::MAX))
    .bind(i64::from(f.len))
    .bind(f.sha256.to_vec())
    .bind(i64::from(row.key))
    .bind(i64::from(f.packets_lost))
    .bind(f.samples.clone())
    .bind(i64::from(clock_code))
    .bind(clock_offset)
    .bind(i64::from(clock_uncertainty))
    .bind(f.clock.ahead_us)
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

/// Lengthens the gap that ends where this one begins, if it has the same cause; else a row of its own.
async fn put_gap(
    tx: &mut Transaction<'static, Any>,
    stream: i64,
    range: TimeRange,
    cause: GapCause,
) -> sqlx::Result<()> {
    // Also when this one, or a part of it, was written before: a commit may be sent again.
    let joined = sqlx::query(
        "UPDATE archive_gaps SET to_us = CASE WHEN to_us > $1 THEN to_us ELSE $2 END \
         WHERE stream = $3 AND cause = $4 AND from_us <= $5 AND to_us >= $6",
    )
    .bind(range.to.micros())
    .bind(range.to.micros())
    .bind(stream)
    .bind(cause.as_str())
    .bind(range.from.micros())
    .bind(range.from.micros())
    .execute(&mut **tx)
    .await?;
    if joined.rows_affected() > 0 {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO archive_gaps (stream, from_us, to_us, cause) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (stream, from_us, cause) DO UPDATE SET to_us = \
         CASE WHEN excluded.to_us > archive_gaps.to_us THEN excluded.to_us ELSE archive_gaps.to_us END",
    )
    .bind(stream)
    .bind(range.from.micros())
    .bind(range.to.micros())
    .bind(cause.as_str())
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

async fn fold(tx: &mut Transaction<'static, Any>, stream: i64, row: &SegmentRow) -> Result<()> {
    let err = |e| database_error("fold the fragments of a closed file", e);
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT {FRAGMENT_COLUMNS} FROM archive_fragments WHERE stream = $1 AND first_seq = $2 ORDER BY seq"
    )))
    .bind(stream)
    .bind(row.first_seq)
    .fetch_all(&mut **tx)
    .await
    .map_err(err)?;
    if rows.is_empty() {
        return Ok(()); // folded before
    }
    // What recovery finds behind the end of a closed file joins what was folded before.
    let before: Option<Vec<u8>> = sqlx::query_scalar(
        "SELECT fragments FROM archive_segments WHERE stream = $1 AND first_seq = $2",
    )
    .bind(stream)
    .bind(row.first_seq)
    .fetch_optional(&mut **tx)
    .await
    .map_err(err)?
    .flatten();
    let mut fragments = before.map_or_else(|| Ok(Vec::new()), |b| unfold(&b, row.segment.id))?;
    for r in &rows {
        fragments.push(fragment(r, row.segment.id)?);
    }
    fragments.sort_by_key(|f| f.fragment.seq);
    fragments.dedup_by_key(|f| f.fragment.seq);
    sqlx::query("UPDATE archive_segments SET fragments = $1 WHERE stream = $2 AND first_seq = $3")
        .bind(folded(&fragments))
        .bind(stream)
        .bind(row.first_seq)
        .execute(&mut **tx)
        .await
        .map_err(err)?;
    sqlx::query("DELETE FROM archive_fragments WHERE stream = $1 AND first_seq = $2")
        .bind(stream)
        .bind(row.first_seq)
        .execute(&mut **tx)
        .await
        .map_err(err)?;
    Ok(())
}
