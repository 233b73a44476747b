//! What was deleted, and what must not be.

use std::collections::HashMap;

use sqlx::{Any, Row, Transaction};

use super::rows::{folded, key_of, tombstone, unfold};
use super::{Burial, Hold, Tombstone, put_gap, stream_id};
use crate::model::{GapCause, Result, SegmentId, StreamKey, TimeRange, UtcMicros};
use crate::store::database::{Database, Engine, database_error};

pub(super) const TOMBSTONE_COLUMNS: &str = "k.camera, k.role, t.segment, t.path, t.from_us, t.to_us, t.first_seq, t.last_seq, \
     t.last_sha256, t.byte_from, t.bytes, t.deletion_rule, t.actor, t.in_part, t.deleted_at";

impl Database {
    /// Takes files, or runs of their fragments, out of the index: tombstone and gap in, row or fragments out. Returns those it
    /// took; what is held by now stays as it is. Their bytes are given back afterwards by the caller, who then says so with
    /// [`Database::archive_bury_done`].
    pub async fn archive_bury(&self, burials: &[Burial]) -> Result<Vec<SegmentId>> {
        let doing = "record a deletion";
        let err = |e| database_error(doing, e);
        let mut tx = self.begin(doing).await?;
        if self.engine == Engine::Postgres {
            // READ COMMITTED would not see a hold that commits between the look and our commit. SHARE waits for whoever is
            // putting one and keeps others from it until then; SQLite has one writer anyway.
            sqlx::query("LOCK TABLE archive_holds IN SHARE MODE")
                .execute(&mut *tx)
                .await
                .map_err(err)?;
        }
        let mut streams = HashMap::new();
        let mut buried = Vec::with_capacity(burials.len());
        'files: for b in burials {
            for (t, until) in &b.runs {
                if is_held(&mut tx, t, *until).await.map_err(err)? {
                    continue 'files;
                }
            }
            let Some((first, _)) = b.runs.first() else {
                continue;
            };
            let stream = stream_id(&mut tx, &mut streams, &first.stream)
                .await
                .map_err(err)?;
            if first.in_part {
                if !take_out(&mut tx, stream, b).await? {
                    continue;
                }
            } else {
                for sql in [
                    "DELETE FROM archive_fragments WHERE stream = $1 AND first_seq = $2",
                    "DELETE FROM archive_segments WHERE stream = $1 AND first_seq = $2",
                ] {
                    sqlx::query(sql)
                        .bind(stream)
                        .bind(b.first_seq)
                        .execute(&mut *tx)
                        .await
                        .map_err(err)?;
                }
            }
            buried.push(first.segment);
            for (t, _) in &b.runs {
                put_tombstone(&mut tx, stream, t, false)
                    .await
                    .map_err(err)?;
                put_gap(&mut tx, stream, t.range, GapCause::Retention)
                    .await
                    .map_err(err)?;
            }
        }
        tx.commit().await.map_err(err)?;
        Ok(buried)
    }

    /// The bytes of these files are given back to the disk.
    pub async fn archive_bury_done(&self, segments: &[SegmentId]) -> Result<()> {
        let doing = "finish a deletion";
        let err = |e| database_error(doing, e);
        let mut tx = self.begin(doing).await?;
        for id in segments {
            sqlx::query("UPDATE archive_tombstones SET done = 1 WHERE segment = $1 AND done = 0")
                .bind(id.to_string())
                .execute(&mut *tx)
                .await
                .map_err(err)?;
        }
        tx.commit().await.map_err(err)
    }

    /// Deletions whose bytes are still to be given back, at most `limit`.
    pub async fn archive_undone(&self, limit: i64) -> Result<Vec<Tombstone>> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {TOMBSTONE_COLUMNS} FROM archive_tombstones t JOIN archive_streams k ON k.id = t.stream \
             WHERE t.done = 0 ORDER BY t.segment, t.first_seq LIMIT $1"
        )))
        .bind(limit)
        .fetch_all(self.read())
        .await
        .map_err(|e| database_error("list unfinished deletions", e))?;
        rows.iter().map(tombstone).collect()
    }

    /// What was deleted of a stream within the range, oldest first.
    pub async fn archive_tombstones(
        &self,
        stream: &StreamKey,
        range: TimeRange,
    ) -> Result<Vec<Tombstone>> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {TOMBSTONE_COLUMNS} FROM archive_tombstones t JOIN archive_streams k ON k.id = t.stream \
             WHERE k.camera = $1 AND k.role = $2 AND t.from_us < $3 AND t.to_us > $4 ORDER BY t.from_us, t.first_seq"
        )))
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
        sqlx::query("SELECT first_seq FROM archive_tombstones WHERE segment = $1 AND in_part = 0")
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
}

async fn is_held(
    tx: &mut Transaction<'static, Any>,
    t: &Tombstone,
    until: UtcMicros,
) -> sqlx::Result<bool> {
    sqlx::query(
        "SELECT id FROM archive_holds \
         WHERE camera = $1 AND role = $2 AND from_us < $3 AND to_us > $4 LIMIT 1",
    )
    .bind(t.stream.camera.as_str())
    .bind(t.stream.role.as_str())
    .bind(until.max(t.range.to).micros())
    .bind(t.range.from.micros())
    .fetch_optional(&mut **tx)
    .await
    .map(|row| row.is_some())
}

/// Takes the runs out of a closed file's row. `false`: they are not there (any more), or nothing would be left.
async fn take_out(tx: &mut Transaction<'static, Any>, stream: i64, b: &Burial) -> Result<bool> {
    let err = |e| database_error("record a deletion", e);
    let found: Option<Vec<u8>> = sqlx::query_scalar(
        "SELECT fragments FROM archive_segments WHERE stream = $1 AND first_seq = $2 AND closed = 1",
    )
    .bind(stream)
    .bind(b.first_seq)
    .fetch_optional(&mut **tx)
    .await
    .map_err(err)?
    .flatten();
    let (Some(found), Some((first, _))) = (found, b.runs.first()) else {
        return Ok(false);
    };
    let goes = |seq: i64| {
        let inside = |t: &Tombstone| (t.first_seq..=t.last_seq).contains(&seq);
        b.runs.iter().any(|(t, _)| inside(t))
    };
    let mut fragments = unfold(&found, first.segment)?;
    let before = fragments.len();
    let freed: u64 = fragments
        .iter()
        .filter(|f| goes(f.fragment.seq))
        .map(|f| u64::from(f.fragment.len))
        .sum();
    fragments.retain(|f| !goes(f.fragment.seq));
    if fragments.is_empty() || fragments.len() == before {
        return Ok(false);
    }
    sqlx::query(
        "UPDATE archive_segments SET fragments = $1, freed = freed + $2, whole = 0 \
         WHERE stream = $3 AND first_seq = $4",
    )
    .bind(folded(&fragments))
    .bind(i64::try_from(freed).unwrap_or(i64::MAX))
    .bind(stream)
    .bind(b.first_seq)
    .execute(&mut **tx)
    .await
    .map_err(err)?;
    Ok(true)
}

pub(super) async fn put_tombstone(
    tx: &mut Transaction<'static, Any>,
    stream: i64,
    t: &Tombstone,
    done: bool,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO archive_tombstones (segment, stream, path, from_us, to_us, first_seq, last_seq, last_sha256, byte_from, \
         bytes, deletion_rule, actor, in_part, deleted_at, done) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT (segment, first_seq) DO NOTHING",
    )
    .bind(t.segment.to_string())
    .bind(stream)
    .bind(t.path.as_str())
    .bind(t.range.from.micros())
    .bind(t.range.to.micros())
    .bind(t.first_seq)
    .bind(t.last_seq)
    .bind(t.last_sha256.to_vec())
    .bind(i64::try_from(t.byte_from).unwrap_or(i64::MAX))
    .bind(i64::try_from(t.bytes).unwrap_or(i64::MAX))
    .bind(t.rule.as_str())
    .bind(t.actor.as_str())
    .bind(i64::from(t.in_part))
    .bind(t.deleted_at.micros())
    .bind(i64::from(done))
    .execute(&mut **tx)
    .await
    .map(|_| ())
}
