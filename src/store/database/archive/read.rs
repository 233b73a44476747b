//! Questions to the archive's index.

use std::collections::HashMap;

use sqlx::Row;
use sqlx::any::AnyRow;

use super::rows::{FRAGMENT_COLUMNS, bad_row, fragment, key_of, segment, unfold};
use super::{FragmentRow, SegmentPart, SegmentRow};
use crate::model::{GapCause, Result, SegmentId, StreamKey, TimeRange, UtcMicros};
use crate::store::database::{Database, database_error};

pub(super) const SEGMENT_COLUMNS: &str = "s.stream, s.first_seq, s.id, s.path, s.started, s.ended, s.init_len, s.bytes, s.freed, s.whole, \
     s.closed, s.fragments, p.content";

impl Database {
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
            "SELECT t.camera, t.role, CAST(SUM(s.bytes - s.freed) AS BIGINT) AS bytes FROM archive_streams t \
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

    /// Bytes in the archive, by volume.
    pub async fn archive_volume_bytes(&self) -> Result<HashMap<String, u64>> {
        let doing = "add up the volumes";
        let rows = sqlx::query(
            "SELECT volume, CAST(SUM(bytes - freed) AS BIGINT) AS bytes FROM archive_segments GROUP BY volume",
        )
        .fetch_all(self.read())
        .await
        .map_err(|e| database_error(doing, e))?;
        rows.iter()
            .map(|row| {
                let read = || -> sqlx::Result<(String, i64)> {
                    Ok((row.try_get("volume")?, row.try_get("bytes")?))
                };
                let (volume, bytes) = read().map_err(|e| database_error(doing, e))?;
                Ok((volume, u64::try_from(bytes).unwrap_or(0)))
            })
            .collect()
    }

    /// Closed files of a volume after `(started, id)`, oldest first, over all streams. For retention.
    pub async fn archive_oldest(
        &self,
        volume: &str,
        after: (UtcMicros, &str),
        limit: i64,
    ) -> Result<Vec<SegmentRow>> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT t.camera, t.role, {SEGMENT_COLUMNS} FROM archive_segments s \
             JOIN archive_streams t ON t.id = s.stream JOIN archive_params p ON p.id = s.params \
             WHERE s.volume = $1 AND s.closed = 1 AND (s.started > $2 OR (s.started = $3 AND s.id > $4)) \
             ORDER BY s.started, s.id LIMIT $5"
        )))
        .bind(volume)
        .bind(after.0.micros())
        .bind(after.0.micros())
        .bind(after.1)
        .bind(limit)
        .fetch_all(self.read())
        .await
        .map_err(|e| database_error("list the oldest recordings", e))?;
        rows.iter().map(|row| segment(row, &key_of(row)?)).collect()
    }

    /// As `archive_oldest`, of one stream.
    pub async fn archive_oldest_of(
        &self,
        volume: &str,
        stream: &StreamKey,
        after: (UtcMicros, &str),
        limit: i64,
    ) -> Result<Vec<SegmentRow>> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {SEGMENT_COLUMNS} FROM archive_streams t \
             JOIN archive_segments s ON s.stream = t.id JOIN archive_params p ON p.id = s.params \
             WHERE t.camera = $1 AND t.role = $2 AND s.volume = $3 AND s.closed = 1 \
             AND (s.started > $4 OR (s.started = $5 AND s.id > $6)) ORDER BY s.started, s.id LIMIT $7"
        )))
        .bind(stream.camera.as_str())
        .bind(stream.role.as_str())
        .bind(volume)
        .bind(after.0.micros())
        .bind(after.0.micros())
        .bind(after.1)
        .bind(limit)
        .fetch_all(self.read())
        .await
        .map_err(|e| database_error("list the oldest recordings", e))?;
        rows.iter().map(|row| segment(row, stream)).collect()
    }

    /// Bytes of the files of a volume that begin at or after `since`, and when the first of them begins.
    pub async fn archive_recorded_since(
        &self,
        volume: &str,
        since: UtcMicros,
    ) -> Result<(u64, Option<UtcMicros>)> {
        let doing = "measure what is recorded";
        let row = sqlx::query(
            "SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) AS bytes, MIN(started) AS first FROM archive_segments \
             WHERE volume = $1 AND started >= $2",
        )
        .bind(volume)
        .bind(since.micros())
        .fetch_one(self.read())
        .await
        .map_err(|e| database_error(doing, e))?;
        let read = || -> sqlx::Result<(i64, Option<i64>)> {
            Ok((row.try_get("bytes")?, row.try_get("first")?))
        };
        let (bytes, first) = read().map_err(|e| database_error(doing, e))?;
        Ok((u64::try_from(bytes).unwrap_or(0), first.map(UtcMicros)))
    }

    /// When the oldest file of a volume begins.
    pub async fn archive_oldest_time(&self, volume: &str) -> Result<Option<UtcMicros>> {
        let first: Option<i64> =
            sqlx::query_scalar("SELECT MIN(started) FROM archive_segments WHERE volume = $1")
                .bind(volume)
                .fetch_one(self.read())
                .await
                .map_err(|e| database_error("look up the oldest recording", e))?;
        Ok(first.map(UtcMicros))
    }

    /// Bytes of a stream's files on a volume that lie wholly in the range.
    pub async fn archive_bytes_inside(
        &self,
        volume: &str,
        stream: &StreamKey,
        range: TimeRange,
    ) -> Result<u64> {
        let bytes: i64 = sqlx::query_scalar(
            "SELECT CAST(COALESCE(SUM(s.bytes - s.freed), 0) AS BIGINT) FROM archive_streams t \
             JOIN archive_segments s ON s.stream = t.id \
             WHERE t.camera = $1 AND t.role = $2 AND s.volume = $3 AND s.started >= $4 AND s.started < $5 AND s.ended <= $6",
        )
        .bind(stream.camera.as_str())
        .bind(stream.role.as_str())
        .bind(volume)
        .bind(range.from.micros())
        .bind(range.to.micros())
        .bind(range.to.micros())
        .fetch_one(self.read())
        .await
        .map_err(|e| database_error("add up what is held", e))?;
        Ok(u64::try_from(bytes).unwrap_or(0))
    }

    pub(super) async fn parts(
        &self,
        stream: &StreamKey,
        rows: Vec<AnyRow>,
    ) -> Result<Vec<SegmentPart>> {
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
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {FRAGMENT_COLUMNS} FROM archive_fragments WHERE stream = $1 AND first_seq = $2 ORDER BY seq"
        )))
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
