//! What a check of the archive asks and mends: pages of rows in the order of the chain, the newest of everything, gap rows
//! cut to what is really missing.

use std::collections::HashMap;

use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};

use super::deleted::TOMBSTONE_COLUMNS;
use super::read::SEGMENT_COLUMNS;
use super::rows::{bad_row, tombstone};
use super::{SegmentPart, Tombstone, fold, put_fragment, put_gap, put_segment, stream_id};
use crate::model::{GapCause, Result, SegmentId, StreamKey, TimeRange, UtcMicros};
use crate::store::database::{Database, database_error};

impl Database {
    /// Files with all their fragments in the order of the chain, after `after_seq`.
    pub async fn archive_page(
        &self,
        stream: &StreamKey,
        after_seq: i64,
        limit: i64,
    ) -> Result<Vec<SegmentPart>> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {SEGMENT_COLUMNS} FROM archive_streams t \
             JOIN archive_segments s ON s.stream = t.id JOIN archive_params p ON p.id = s.params \
             WHERE t.camera = $1 AND t.role = $2 AND s.first_seq > $3 ORDER BY s.first_seq LIMIT $4"
        )))
        .bind(stream.camera.as_str())
        .bind(stream.role.as_str())
        .bind(after_seq)
        .bind(limit)
        .fetch_all(self.read())
        .await
        .map_err(|e| database_error("list recordings", e))?;
        self.parts(stream, rows).await
    }

    /// Path, indexed bytes and whether closed, of the files that begin within the range.
    pub async fn archive_paths_in(
        &self,
        stream: &StreamKey,
        range: TimeRange,
    ) -> Result<HashMap<String, (u64, bool)>> {
        let rows = sqlx::query(
            "SELECT s.path, s.bytes, s.closed FROM archive_streams t JOIN archive_segments s ON s.stream = t.id \
             WHERE t.camera = $1 AND t.role = $2 AND s.started >= $3 AND s.started < $4",
        )
        .bind(stream.camera.as_str())
        .bind(stream.role.as_str())
        .bind(range.from.micros())
        .bind(range.to.micros())
        .fetch_all(self.read())
        .await
        .map_err(|e| database_error("list recorded files", e))?;
        rows.iter().map(path_of).collect()
    }

    /// As `archive_paths_in`, of the files before `at` that were never closed.
    pub async fn archive_paths_open(
        &self,
        stream: &StreamKey,
        at: UtcMicros,
    ) -> Result<HashMap<String, (u64, bool)>> {
        let rows = sqlx::query(
            "SELECT s.path, s.bytes, s.closed FROM archive_streams t JOIN archive_segments s ON s.stream = t.id \
             WHERE t.camera = $1 AND t.role = $2 AND s.closed = 0 AND s.started < $3",
        )
        .bind(stream.camera.as_str())
        .bind(stream.role.as_str())
        .bind(at.micros())
        .fetch_all(self.read())
        .await
        .map_err(|e| database_error("list recorded files", e))?;
        rows.iter().map(path_of).collect()
    }

    /// The last deletion of a stream that begins before `at`.
    pub async fn archive_tombstone_before(
        &self,
        stream: &StreamKey,
        at: UtcMicros,
    ) -> Result<Option<Tombstone>> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {TOMBSTONE_COLUMNS} FROM archive_streams k JOIN archive_tombstones t ON t.stream = k.id \
             WHERE k.camera = $1 AND k.role = $2 AND t.from_us < $3 ORDER BY t.from_us DESC LIMIT 1"
        )))
        .bind(stream.camera.as_str())
        .bind(stream.role.as_str())
        .bind(at.micros())
        .fetch_optional(self.read())
        .await
        .map_err(|e| database_error("look up the last deletion", e))?;
        row.as_ref().map(tombstone).transpose()
    }

    /// Puts a file's row and fragments in the place of whatever the index says of it. Rows with its sequence number or its id
    /// go first, so that a damaged row is replaced whole.
    pub async fn archive_replace(&self, part: &SegmentPart) -> Result<()> {
        let doing = "mend the archive's index";
        let err = |e| database_error(doing, e);
        let mut tx = self.begin(doing).await?;
        let mut known = HashMap::new();
        let stream = stream_id(&mut tx, &mut known, &part.row.segment.stream)
            .await
            .map_err(err)?;
        forget_segment(&mut tx, part.row.segment.id)
            .await
            .map_err(err)?;
        put_segment(&mut tx, &mut HashMap::new(), stream, &part.row)
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
        tx.commit().await.map_err(err)
    }

    /// Takes a file out of the index. No file is touched, nothing says that it was deleted.
    pub async fn archive_forget(&self, id: SegmentId) -> Result<()> {
        let doing = "mend the archive's index";
        let err = |e| database_error(doing, e);
        let mut tx = self.begin(doing).await?;
        forget_segment(&mut tx, id).await.map_err(err)?;
        tx.commit().await.map_err(err)
    }

    /// Empties the index of files. Gaps, deletions and holds stay: no file tells them.
    pub async fn archive_forget_all(&self) -> Result<()> {
        let doing = "empty the archive's index";
        let err = |e| database_error(doing, e);
        let mut tx = self.begin(doing).await?;
        for sql in [
            "DELETE FROM archive_fragments",
            "DELETE FROM archive_segments",
        ] {
            sqlx::query(sql).execute(&mut *tx).await.map_err(err)?;
        }
        tx.commit().await.map_err(err)
    }

    /// Writes gap rows anew: each `old` row goes, its `new` pieces come.
    pub async fn archive_put_gaps(
        &self,
        stream: &StreamKey,
        old: &[(TimeRange, GapCause)],
        new: &[(TimeRange, GapCause)],
    ) -> Result<()> {
        if old.is_empty() && new.is_empty() {
            return Ok(());
        }
        let doing = "mend the list of gaps";
        let err = |e| database_error(doing, e);
        let mut tx = self.begin(doing).await?;
        let stream = stream_id(&mut tx, &mut HashMap::new(), stream)
            .await
            .map_err(err)?;
        for (range, cause) in old {
            sqlx::query(
                "DELETE FROM archive_gaps WHERE stream = $1 AND from_us = $2 AND cause = $3",
            )
            .bind(stream)
            .bind(range.from.micros())
            .bind(cause.as_str())
            .execute(&mut *tx)
            .await
            .map_err(err)?;
        }
        for (range, cause) in new {
            put_gap(&mut tx, stream, *range, *cause)
                .await
                .map_err(err)?;
        }
        tx.commit().await.map_err(err)
    }

    /// Cuts out of the gap rows what is recorded after all.
    pub async fn archive_uncover(&self, stream: &StreamKey, recorded: &[TimeRange]) -> Result<()> {
        for range in recorded {
            let old = self.archive_gaps(stream, *range).await?;
            let mut new = Vec::new();
            for (gap, cause) in &old {
                for (from, to) in [(gap.from, range.from), (range.to, gap.to)] {
                    if from < to {
                        new.push((TimeRange { from, to }, *cause));
                    }
                }
            }
            self.archive_put_gaps(stream, &old, &new).await?;
        }
        Ok(())
    }

    /// Gap rows of a stream after this one, in order of their begin.
    pub async fn archive_gap_page(
        &self,
        stream: &StreamKey,
        after: (UtcMicros, &str),
        limit: i64,
    ) -> Result<Vec<(TimeRange, GapCause)>> {
        let doing = "list gaps";
        let rows = sqlx::query(
            "SELECT g.from_us, g.to_us, g.cause FROM archive_streams t JOIN archive_gaps g ON g.stream = t.id \
             WHERE t.camera = $1 AND t.role = $2 AND (g.from_us > $3 OR (g.from_us = $4 AND g.cause > $5)) \
             ORDER BY g.from_us, g.cause LIMIT $6",
        )
        .bind(stream.camera.as_str())
        .bind(stream.role.as_str())
        .bind(after.0.micros())
        .bind(after.0.micros())
        .bind(after.1)
        .bind(limit)
        .fetch_all(self.read())
        .await
        .map_err(|e| database_error(doing, e))?;
        rows.iter()
            .map(|row| {
                let read = || -> sqlx::Result<(i64, i64, String)> {
                    Ok((
                        row.try_get("from_us")?,
                        row.try_get("to_us")?,
                        row.try_get("cause")?,
                    ))
                };
                let (from, to, cause) = read().map_err(|e| database_error(doing, e))?;
                let cause = GapCause::parse(&cause)
                    .ok_or_else(|| bad_row(format!("a gap has the unknown cause `{cause}`")))?;
                let range = TimeRange {
                    from: UtcMicros(from),
                    to: UtcMicros(to),
                };
                Ok((range, cause))
            })
            .collect()
    }
}

fn path_of(row: &AnyRow) -> Result<(String, (u64, bool))> {
    let read = || -> sqlx::Result<(String, i64, i64)> {
        Ok((
            row.try_get("path")?,
            row.try_get("bytes")?,
            row.try_get("closed")?,
        ))
    };
    let (path, bytes, closed) = read().map_err(|e| database_error("list recorded files", e))?;
    Ok((path, (u64::try_from(bytes).unwrap_or(0), closed != 0)))
}

async fn forget_segment(tx: &mut Transaction<'static, Any>, id: SegmentId) -> sqlx::Result<()> {
    let row = sqlx::query("SELECT stream, first_seq FROM archive_segments WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(&mut **tx)
        .await?;
    let Some(row) = row else { return Ok(()) };
    let (stream, first_seq): (i64, i64) = (row.try_get("stream")?, row.try_get("first_seq")?);
    for sql in [
        "DELETE FROM archive_fragments WHERE stream = $1 AND first_seq = $2",
        "DELETE FROM archive_segments WHERE stream = $1 AND first_seq = $2",
    ] {
        sqlx::query(sql)
            .bind(stream)
            .bind(first_seq)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}
