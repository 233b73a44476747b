//! The archive's index: which file holds which moment, and why a moment is missing.
//!
//! Rows exist only for durable data. The fragments of a file being written are rows of their own; closing the file folds them
//! into one value of its segment row.

use std::collections::HashMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};

use super::{Database, database_error};
use crate::model::{
    CameraId, Error, Fragment, Gap, GapCause, Result, Segment, SegmentId, StreamKey, StreamRole,
    TimeRange, UtcMicros,
};

const SEGMENT_COLUMNS: &str = "s.stream, s.first_seq, s.id, s.path, s.started, s.ended, s.init_len, s.bytes, s.whole, \
     s.closed, s.fragments, p.content";

/// One file with what the index adds to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentRow {
    pub segment: Segment,
    /// Sequence number of its first fragment; with the stream it names the row.
    pub first_seq: i64,
    pub ended: UtcMicros,
    /// How much of the file the index describes.
    pub bytes: u64,
    /// Its fragments follow each other without a hole.
    pub whole: bool,
    /// Nothing will be appended any more.
    pub closed: bool,
    /// Stream parameters, as the archive writes them.
    pub params: Arc<str>,
}

impl SegmentRow {
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
    /// Recording switched off since (or on again: `None`).
    pub stopped: Vec<(StreamKey, Option<UtcMicros>)>,
}

impl ArchiveCommit {
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.gaps.is_empty() && self.stopped.is_empty()
    }
}

/// Proof that something was here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    pub segment: SegmentId,
    pub stream: StreamKey,
    pub path: String,
    pub range: TimeRange,
    pub first_seq: i64,
    pub last_seq: i64,
    /// Head of the hash chain at the end of the deleted file.
    pub last_sha256: [u8; 32],
    pub bytes: u64,
    pub rule: String,
    pub deleted_at: UtcMicros,
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

    /// Every stream that was ever recorded, with the time since when its recording is switched off.
    pub async fn archive_streams(&self) -> Result<Vec<(StreamKey, Option<UtcMicros>)>> {
        let rows = sqlx::query(
            "SELECT camera, role, stopped_from FROM archive_streams ORDER BY camera, role",
        )
        .fetch_all(self.read())
        .await
        .map_err(|e| database_error("list recorded streams", e))?;
        rows.iter()
            .map(|row| {
                let stopped: Option<i64> = row
                    .try_get("stopped_from")
                    .map_err(|e| database_error("list recorded streams", e))?;
                Ok((key_of(row)?, stopped.map(UtcMicros)))
            })
            .collect()
    }

    /// The files that overlap the range with all their fragments, oldest first.
    pub async fn archive_between(
        &self,
        stream: &StreamKey,
        range: TimeRange,
    ) -> Result<Vec<SegmentPart>> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {SEGMENT_COLUMNS} FROM archive_streams t \
             JOIN archive_segments s ON s.stream = t.id JOIN archive_params p ON p.id = s.params \
             WHERE t.camera = $1 AND t.role = $2 AND s.started < $3 AND s.ended > $4 \
             AND s.started >= COALESCE((SELECT MAX(b.started) FROM archive_segments b \
                WHERE b.stream = t.id AND b.started <= $5), $6) \
             ORDER BY s.started"
        )))
        .bind(stream.camera.as_str())
        .bind(stream.role.as_str())
        .bind(range.to.micros())
        .bind(range.from.micros())
        .bind(range.from.micros())
        .bind(i64::MIN)
        .fetch_all(self.read())
        .await
        .map_err(|e| database_error("look up recordings", e))?;
        self.parts(stream, rows).await
    }

    /// The files that begin at or before `at`, newest first, with all their fragments.
    pub async fn archive_before(
        &self,
        stream: &StreamKey,
        at: UtcMicros,
        limit: i64,
    ) -> Result<Vec<SegmentPart>> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {SEGMENT_COLUMNS} FROM archive_streams t \
             JOIN archive_segments s ON s.stream = t.id JOIN archive_params p ON p.id = s.params \
             WHERE t.camera = $1 AND t.role = $2 AND s.started <= $3 ORDER BY s.started DESC LIMIT $4"
        )))
        .bind(stream.camera.as_str())
        .bind(stream.role.as_str())
        .bind(at.micros())
        .bind(limit)
        .fetch_all(self.read())
        .await
        .map_err(|e| database_error("look up recordings", e))?;
        self.parts(stream, rows).await
    }

    /// The first file that begins at or after `at`.
    pub async fn archive_after(
        &self,
        stream: &StreamKey,
        at: UtcMicros,
    ) -> Result<Option<SegmentRow>> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {SEGMENT_COLUMNS} FROM archive_streams t \
             JOIN archive_segments s ON s.stream = t.id JOIN archive_params p ON p.id = s.params \
             WHERE t.camera = $1 AND t.role = $2 AND s.started >= $3 ORDER BY s.started LIMIT 1"
        )))
        .bind(stream.camera.as_str())
        .bind(stream.role.as_str())
        .bind(at.micros())
        .fetch_optional(self.read())
        .await
        .map_err(|e| database_error("look up recordings", e))?;
        row.as_ref().map(|r| segment(r, stream)).transpose()
    }

    /// One file by its id, with its fragments.
    pub async fn archive_segment(&self, id: SegmentId) -> Result<Option<SegmentPart>> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT t.camera, t.role, {SEGMENT_COLUMNS} FROM archive_segments s \
             JOIN archive_streams t ON t.id = s.stream JOIN archive_params p ON p.id = s.params WHERE s.id = $1"
        )))
        .bind(id.to_string())
        .fetch_optional(self.read())
        .await
        .map_err(|e| database_error("look up a recording", e))?;
        let Some(row) = row else { return Ok(None) };
        let stream = key_of(&row)?;
        Ok(self.parts(&stream, vec![row]).await?.pop())
    }

    /// Recorded spans that overlap the range, in order; neighbours are not joined.
    pub async fn archive_spans(
        &self,
        stream: &StreamKey,
        range: TimeRange,
    ) -> Result<Vec<TimeRange>> {
        let doing = "look up recorded spans";
        let rows = sqlx::query(
            "SELECT s.first_seq, s.started, s.ended, s.whole FROM archive_streams t \
             JOIN archive_segments s ON s.stream = t.id \
             WHERE t.camera = $1 AND t.role = $2 AND s.started < $3 AND s.ended > $4 \
             AND s.started >= COALESCE((SELECT MAX(b.started) FROM archive_segments b \
                WHERE b.stream = t.id AND b.started <= $5), $6) \
             ORDER BY s.started",
        )
        .bind(stream.camera.as_str())
        .bind(stream.role.as_str())
        .bind(range.to.micros())
        .bind(range.from.micros())
        .bind(range.from.micros())
        .bind(i64::MIN)
        .fetch_all(self.read())
        .await
        .map_err(|e| database_error(doing, e))?;
        let mut spans = Vec::with_capacity(rows.len());
        for row in &rows {
            let read = || -> sqlx::Result<(TimeRange, bool)> {
                let range = TimeRange {
                    from: UtcMicros(row.try_get("started")?),
                    to: UtcMicros(row.try_get("ended")?),
                };
                Ok((range, row.try_get::<i64, _>("whole")? != 0))
            };
            let (span, whole) = read().map_err(|e| database_error(doing, e))?;
            if whole {
                spans.push(span);
                continue;
            }
            // A file with holes: its fragments tell.
            for part in self.archive_between(stream, span).await? {
                spans.extend(part.fragments.iter().map(|f| f.fragment.range));
            }
        }
        spans.sort_unstable_by_key(|s| (s.from, s.to));
        spans.dedup();
        Ok(spans)
    }

    /// Known gaps that overlap the range, in order.
    pub async fn archive_gaps(
        &self,
        stream: &StreamKey,
        range: TimeRange,
    ) -> Result<Vec<(TimeRange, GapCause)>> {
        let rows = sqlx::query(
            "SELECT g.from_us, g.to_us, g.cause FROM archive_streams t JOIN archive_gaps g ON g.stream = t.id \
             WHERE t.camera = $1 AND t.role = $2 AND g.from_us < $3 AND g.to_us > $4 ORDER BY g.from_us, g.to_us",
        )
        .bind(stream.camera.as_str())
        .bind(stream.role.as_str())
        .bind(range.to.micros())
        .bind(range.from.micros())
        .fetch_all(self.read())
        .await
        .map_err(|e| database_error("look up gaps", e))?;
        rows.iter()
            .map(|row| {
                let read = || -> sqlx::Result<(TimeRange, String)> {
                    let range = TimeRange {
                        from: UtcMicros(row.try_get("from_us")?),
                        to: UtcMicros(row.try_get("to_us")?),
                    };
                    Ok((range, row.try_get("cause")?))
                };
                let (range, cause) = read().map_err(|e| database_error("look up gaps", e))?;
                let cause = GapCause::parse(&cause)
                    .ok_or_else(|| bad_row(format!("a gap has the unknown cause `{cause}`")))?;
                Ok((range, cause))
            })
            .collect()
    }

    /// First moment the index knows anything of, recorded or missing.
    pub async fn archive_first(&self, stream: &StreamKey) -> Result<Option<UtcMicros>> {
        let first: Option<i64> = sqlx::query_scalar(
            "SELECT MIN(x.t) FROM ( \
               SELECT MIN(s.started) AS t FROM archive_segments s JOIN archive_streams k ON k.id = s.stream \
                 WHERE k.camera = $1 AND k.role = $2 \
               UNION ALL \
               SELECT MIN(g.from_us) AS t FROM archive_gaps g JOIN archive_streams k ON k.id = g.stream \
                 WHERE k.camera = $3 AND k.role = $4) x",
        )
        .bind(stream.camera.as_str())
        .bind(stream.role.as_str())
        .bind(stream.camera.as_str())
        .bind(stream.role.as_str())
        .fetch_one(self.read())
        .await
        .map_err(|e| database_error("look up the first recording", e))?;
        Ok(first.map(UtcMicros))
    }

    /// The end of the last known gap.
    pub async fn archive_last_gap(&self, stream: &StreamKey) -> Result<Option<UtcMicros>> {
        let last: Option<i64> = sqlx::query_scalar(
            "SELECT MAX(g.to_us) FROM archive_gaps g JOIN archive_streams k ON k.id = g.stream \
             WHERE k.camera = $1 AND k.role = $2",
        )
        .bind(stream.camera.as_str())
        .bind(stream.role.as_str())
        .fetch_one(self.read())
        .await
        .map_err(|e| database_error("look up the last gap", e))?;
        Ok(last.map(UtcMicros))
    }

    /// Path, indexed bytes and whether closed, of every file of a stream.
    pub async fn archive_paths(&self, stream: &StreamKey) -> Result<HashMap<String, (u64, bool)>> {
        let doing = "list recorded files";
        let rows = sqlx::query(
            "SELECT s.path, s.bytes, s.closed FROM archive_streams t JOIN archive_segments s ON s.stream = t.id \
             WHERE t.camera = $1 AND t.role = $2",
        )
        .bind(stream.camera.as_str())
        .bind(stream.role.as_str())
        .fetch_all(self.read())
        .await
        .map_err(|e| database_error(doing, e))?;
        rows.iter()
            .map(|row| {
                let read = || -> sqlx::Result<(String, i64, i64)> {
                    Ok((
                        row.try_get("path")?,
                        row.try_get("bytes")?,
                        row.try_get("closed")?,
                    ))
                };
                let (path, bytes, closed) = read().map_err(|e| database_error(doing, e))?;
                Ok((path, (u64::try_from(bytes).unwrap_or(0), closed != 0)))
            })
            .collect()
    }

    /// Bytes in the archive, by stream.
    pub async fn archive_bytes(&self) -> Result<Vec<(StreamKey, u64)>> {
        let doing = "add up the archive";
        // PostgreSQL sums BIGINT into NUMERIC, which the portable driver does not read.
        let rows = sqlx::query(
            "SELECT t.camera, t.role, CAST(SUM(s.bytes) AS BIGINT) AS bytes FROM archive_streams t \
             JOIN archive_segments s ON s.stream = t.id GROUP BY t.camera, t.role ORDER BY t.camera, t.role",
        )
        .fetch_all(self.read())
        .await
        .map_err(|e| database_error(doing, e))?;
        rows.iter()
            .map(|row| {
                let bytes: i64 = row.try_get("bytes").map_err(|e| database_error(doing, e))?;
                Ok((key_of(row)?, u64::try_from(bytes).unwrap_or(0)))
            })
            .collect()
    }

    /// Closed files after `(started, id)`, oldest first, over all streams. For retention.
    pub async fn archive_oldest(
        &self,
        after: (UtcMicros, &str),
        limit: i64,
    ) -> Result<Vec<SegmentRow>> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT t.camera, t.role, {SEGMENT_COLUMNS} FROM archive_segments s \
             JOIN archive_streams t ON t.id = s.stream JOIN archive_params p ON p.id = s.params \
             WHERE s.closed = 1 AND (s.started > $1 OR (s.started = $2 AND s.id > $3)) \
             ORDER BY s.started, s.id LIMIT $4"
        )))
        .bind(after.0.micros())
        .bind(after.0.micros())
        .bind(after.1)
        .bind(limit)
        .fetch_all(self.read())
        .await
        .map_err(|e| database_error("list the oldest recordings", e))?;
        rows.iter().map(|row| segment(row, &key_of(row)?)).collect()
    }

    /// Takes files out of the index: tombstone and gap in, row out. The files are removed afterwards by the caller.
    pub async fn archive_bury(&self, tombstones: &[Tombstone]) -> Result<()> {
        let doing = "record a deletion";
        let err = |e| database_error(doing, e);
        let mut tx = self.begin(doing).await?;
        let mut streams = HashMap::new();
        for t in tombstones {
            let stream = stream_id(&mut tx, &mut streams, &t.stream)
                .await
                .map_err(err)?;
            sqlx::query(
                "INSERT INTO archive_tombstones (segment, stream, path, from_us, to_us, first_seq, last_seq, \
                 last_sha256, bytes, deletion_rule, deleted_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (segment) DO NOTHING",
            )
            .bind(t.segment.to_string())
            .bind(stream)
            .bind(t.path.as_str())
            .bind(t.range.from.micros())
            .bind(t.range.to.micros())
            .bind(t.first_seq)
            .bind(t.last_seq)
            .bind(t.last_sha256.to_vec())
            .bind(i64::try_from(t.bytes).unwrap_or(i64::MAX))
            .bind(t.rule.as_str())
            .bind(t.deleted_at.micros())
            .execute(&mut *tx)
            .await
            .map_err(err)?;
            put_gap(&mut tx, stream, t.range, GapCause::Retention)
                .await
                .map_err(err)?;
            for sql in [
                "DELETE FROM archive_fragments WHERE stream = $1 AND first_seq = $2",
                "DELETE FROM archive_segments WHERE stream = $1 AND first_seq = $2",
            ] {
                sqlx::query(sql)
                    .bind(stream)
                    .bind(t.first_seq)
                    .execute(&mut *tx)
                    .await
                    .map_err(err)?;
            }
        }
        tx.commit().await.map_err(err)
    }

    /// What was deleted of a stream within the range, oldest first.
    pub async fn archive_tombstones(
        &self,
        stream: &StreamKey,
        range: TimeRange,
    ) -> Result<Vec<Tombstone>> {
        let rows = sqlx::query(
            "SELECT k.camera, k.role, t.segment, t.path, t.from_us, t.to_us, t.first_seq, t.last_seq, t.last_sha256, \
             t.bytes, t.deletion_rule, t.deleted_at FROM archive_tombstones t JOIN archive_streams k ON k.id = t.stream \
             WHERE k.camera = $1 AND k.role = $2 AND t.from_us < $3 AND t.to_us > $4 ORDER BY t.from_us",
        )
        .bind(stream.camera.as_str())
        .bind(stream.role.as_str())
        .bind(range.to.micros())
        .bind(range.from.micros())
        .fetch_all(self.read())
        .await
        .map_err(|e| database_error("list deletions", e))?;
        rows.iter().map(tombstone).collect()
    }

    /// Whether this file was deleted by a rule (and its removal only has to be finished).
    pub async fn archive_is_buried(&self, id: SegmentId) -> Result<bool> {
        sqlx::query("SELECT first_seq FROM archive_tombstones WHERE segment = $1")
            .bind(id.to_string())
            .fetch_optional(self.read())
            .await
            .map(|row| row.is_some())
            .map_err(|e| database_error("look up a deletion", e))
    }

    pub async fn archive_holds(&self) -> Result<Vec<Hold>> {
        let doing = "list holds";
        let rows = sqlx::query(
            "SELECT id, camera, role, from_us, to_us, reason, created_at FROM archive_holds ORDER BY id",
        )
        .fetch_all(self.read())
        .await
        .map_err(|e| database_error(doing, e))?;
        rows.iter()
            .map(|row| {
                let stream = key_of(row)?;
                let read = || -> sqlx::Result<Hold> {
                    Ok(Hold {
                        id: row.try_get("id")?,
                        stream,
                        range: TimeRange {
                            from: UtcMicros(row.try_get("from_us")?),
                            to: UtcMicros(row.try_get("to_us")?),
                        },
                        reason: row.try_get("reason")?,
                        created_at: UtcMicros(row.try_get("created_at")?),
                    })
                };
                read().map_err(|e| database_error(doing, e))
            })
            .collect()
    }

    pub async fn put_archive_hold(&self, hold: &Hold) -> Result<()> {
        let doing = "put a hold";
        let mut tx = self.begin(doing).await?;
        sqlx::query(
            "INSERT INTO archive_holds (id, camera, role, from_us, to_us, reason, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING",
        )
        .bind(hold.id.as_str())
        .bind(hold.stream.camera.as_str())
        .bind(hold.stream.role.as_str())
        .bind(hold.range.from.micros())
        .bind(hold.range.to.micros())
        .bind(hold.reason.as_str())
        .bind(hold.created_at.micros())
        .execute(&mut *tx)
        .await
        .map_err(|e| database_error(doing, e))?;
        tx.commit().await.map_err(|e| database_error(doing, e))
    }

    pub async fn delete_archive_hold(&self, id: &str) -> Result<()> {
        let doing = "lift a hold";
        let mut tx = self.begin(doing).await?;
        sqlx::query("DELETE FROM archive_holds WHERE id = $1")
            .bind(id)
            .execute(&mut *tx)
            .await
            .map_err(|e| database_error(doing, e))?;
        tx.commit().await.map_err(|e| database_error(doing, e))
    }

    async fn parts(&self, stream: &StreamKey, rows: Vec<AnyRow>) -> Result<Vec<SegmentPart>> {
        let mut parts = Vec::with_capacity(rows.len());
        for row in &rows {
            let head = segment(row, stream)?;
            let folded: Option<Vec<u8>> = row
                .try_get("fragments")
                .map_err(|e| database_error("look up recordings", e))?;
            let fragments = match folded {
                Some(bytes) => unfold(&bytes, head.segment.id)?,
                None => {
                    let number: i64 = row
                        .try_get("stream")
                        .map_err(|e| database_error("look up recordings", e))?;
                    let found = self.open_fragments(number, &head).await?;
                    if found.is_empty() {
                        // Folded between the two reads: read the row again.
                        self.folded_since(number, &head).await?
                    } else {
                        found
                    }
                }
            };
            parts.push(SegmentPart {
                row: head,
                fragments,
            });
        }
        Ok(parts)
    }

    async fn open_fragments(&self, stream: i64, head: &SegmentRow) -> Result<Vec<FragmentRow>> {
        let rows = sqlx::query(
            "SELECT seq, from_us, to_us, byte_from, byte_len, sha256, is_key, packets_lost, samples \
             FROM archive_fragments WHERE stream = $1 AND first_seq = $2 ORDER BY seq",
        )
        .bind(stream)
        .bind(head.first_seq)
        .fetch_all(self.read())
        .await
        .map_err(|e| database_error("look up recordings", e))?;
        rows.iter().map(|r| fragment(r, head.segment.id)).collect()
    }

    async fn folded_since(&self, stream: i64, head: &SegmentRow) -> Result<Vec<FragmentRow>> {
        let folded: Option<Vec<u8>> = sqlx::query_scalar(
            "SELECT fragments FROM archive_segments WHERE stream = $1 AND first_seq = $2",
        )
        .bind(stream)
        .bind(head.first_seq)
        .fetch_optional(self.read())
        .await
        .map_err(|e| database_error("look up recordings", e))?
        .flatten();
        folded.map_or_else(|| Ok(Vec::new()), |b| unfold(&b, head.segment.id))
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
        "INSERT INTO archive_segments (stream, first_seq, id, path, started, ended, init_len, bytes, params, whole, closed) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
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
    sqlx::query(
        "INSERT INTO archive_fragments (stream, seq, first_seq, from_us, to_us, byte_from, byte_len, sha256, is_key, \
         packets_lost, samples) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
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
    let joined = sqlx::query(
        "UPDATE archive_gaps SET to_us = $1 WHERE stream = $2 AND to_us = $3 AND cause = $4",
    )
    .bind(range.to.micros())
    .bind(stream)
    .bind(range.from.micros())
    .bind(cause.as_str())
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
    let rows = sqlx::query(
        "SELECT seq, from_us, to_us, byte_from, byte_len, sha256, is_key, packets_lost, samples \
         FROM archive_fragments WHERE stream = $1 AND first_seq = $2 ORDER BY seq",
    )
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

/// Version byte, then for each fragment: seq, from, to, offset (8 bytes each), len, lost (4), key (1), hash (32), length of
/// the sample table (4) and the table. Little-endian.
fn folded(fragments: &[FragmentRow]) -> Vec<u8> {
    let mut out = vec![1];
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
    }
    out
}

fn unfold(bytes: &[u8], segment: SegmentId) -> Result<Vec<FragmentRow>> {
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
    fn one(r: &mut In<'_>, segment: SegmentId) -> Option<FragmentRow> {
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
        Some(FragmentRow {
            fragment: Fragment {
                segment,
                seq,
                range: TimeRange { from, to },
                offset,
                len,
                sha256,
                packets_lost,
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
    let Some((1, rest)) = bytes.split_first() else {
        return Err(broken());
    };
    let mut input = In(rest);
    let mut rows = Vec::new();
    while !input.0.is_empty() {
        rows.push(one(&mut input, segment).ok_or_else(broken)?);
    }
    Ok(rows)
}

fn segment(row: &AnyRow, stream: &StreamKey) -> Result<SegmentRow> {
    let read = || -> sqlx::Result<Result<SegmentRow>> {
        let (id, path): (String, String) = (row.try_get("id")?, row.try_get("path")?);
        let started: i64 = row.try_get("started")?;
        let init_len: i64 = row.try_get("init_len")?;
        let bytes: i64 = row.try_get("bytes")?;
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
            whole,
            closed,
            params: content.into(),
        }))
    };
    read().map_err(|e| database_error("read a segment row", e))?
}

fn fragment(row: &AnyRow, segment: SegmentId) -> Result<FragmentRow> {
    let read = || -> sqlx::Result<Option<FragmentRow>> {
        let sha256: Vec<u8> = row.try_get("sha256")?;
        let offset: i64 = row.try_get("byte_from")?;
        let len: i64 = row.try_get("byte_len")?;
        let lost: i64 = row.try_get("packets_lost")?;
        let (seq, from): (i64, i64) = (row.try_get("seq")?, row.try_get("from_us")?);
        let to: i64 = row.try_get("to_us")?;
        let samples = row.try_get("samples")?;
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

fn tombstone(row: &AnyRow) -> Result<Tombstone> {
    let stream = key_of(row)?;
    let read = || -> sqlx::Result<Result<Tombstone>> {
        let id: String = row.try_get("segment")?;
        let sha: Vec<u8> = row.try_get("last_sha256")?;
        let bytes: i64 = row.try_get("bytes")?;
        let path = row.try_get("path")?;
        let from = UtcMicros(row.try_get("from_us")?);
        let to = UtcMicros(row.try_get("to_us")?);
        let (first_seq, last_seq) = (row.try_get("first_seq")?, row.try_get("last_seq")?);
        let rule = row.try_get("deletion_rule")?;
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
                bytes: u64::try_from(bytes).unwrap_or(0),
                rule,
                deleted_at,
            })
        }))
    };
    read().map_err(|e| database_error("read a tombstone", e))?
}

fn key_of(row: &AnyRow) -> Result<StreamKey> {
    let read =
        || -> sqlx::Result<(String, String)> { Ok((row.try_get("camera")?, row.try_get("role")?)) };
    let (camera, role) = read().map_err(|e| database_error("read a stream's name", e))?;
    let role = StreamRole::parse(&role)
        .ok_or_else(|| bad_row(format!("camera `{camera}` has the unknown stream `{role}`")))?;
    Ok(StreamKey::new(CameraId::new(&camera)?, role))
}

fn bad_row(detail: String) -> Error {
    Error::internal("bad_row", detail)
}
