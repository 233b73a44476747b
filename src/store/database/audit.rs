//! The record of acts: opened before, closed after, never changed again.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Database, database_error};
use crate::model::{Result, UtcMicros};

/// What is known before the act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAuditRow {
    pub time: UtcMicros,
    pub actor: String,
    pub user_id: Option<String>,
    pub role: String,
    pub axis: String,
    pub session: Option<String>,
    pub client: Option<String>,
    pub action: String,
    pub object: String,
    pub purpose: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    pub seq: i64,
    pub entry: NewAuditRow,
    /// `open`, `ok`, `denied`, `failed`.
    pub outcome: String,
    pub detail: Option<String>,
    pub closed_at: Option<UtcMicros>,
}

/// What to list; newest first.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    pub actor: Option<String>,
    pub action: Option<String>,
    /// Only entries with a smaller number.
    pub before: Option<i64>,
    pub limit: i64,
}

impl Database {
    /// Writes the entry and returns its number. Numbers go up by one, without holes: the number is taken inside the
    /// transaction that writes the row, under the lock of `audit_head`, so an entry that fails gives it back.
    pub async fn open_audit(&self, e: &NewAuditRow) -> Result<i64> {
        let doing = "write to the audit log";
        let mut tx = self.begin(doing).await?;
        let seq: i64 =
            sqlx::query_scalar("UPDATE audit_head SET seq = seq + 1 WHERE id = 1 RETURNING seq")
                .fetch_one(&mut *tx)
                .await
                .map_err(|e| database_error(doing, e))?;
        sqlx::query(
            "INSERT INTO audit (seq, time, actor, user_id, role, axis, session, client, action, object, purpose, outcome) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'open')",
        )
        .bind(seq)
        .bind(e.time.0)
        .bind(e.actor.as_str())
        .bind(e.user_id.as_deref())
        .bind(e.role.as_str())
        .bind(e.axis.as_str())
        .bind(e.session.as_deref())
        .bind(e.client.as_deref())
        .bind(e.action.as_str())
        .bind(e.object.as_str())
        .bind(e.purpose.as_str())
        .execute(&mut *tx)
        .await
        .map_err(|e| database_error(doing, e))?;
        tx.commit().await.map_err(|e| database_error(doing, e))?;
        Ok(seq)
    }

    /// False when the entry is not open (any more): an outcome is written once.
    pub async fn close_audit(
        &self,
        seq: i64,
        outcome: &str,
        detail: Option<&str>,
        now: UtcMicros,
    ) -> Result<bool> {
        sqlx::query(
            "UPDATE audit SET outcome = $2, detail = $3, closed_at = $4 WHERE seq = $1 AND outcome = 'open'",
        )
        .bind(seq)
        .bind(outcome)
        .bind(detail)
        .bind(now.0)
        .execute(&self.write)
        .await
        .map(|r| r.rows_affected() == 1)
        .map_err(|e| database_error("close an entry of the audit log", e))
    }

    /// Newest first.
    pub async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditRow>> {
        // A condition that is switched off compares a text with itself: one statement for every filter on both engines.
        let rows = sqlx::query(
            "SELECT seq, time, actor, user_id, role, axis, session, client, action, object, purpose, outcome, detail, \
             closed_at FROM audit WHERE seq < $1 AND ($2 = '' OR actor = $2) AND ($3 = '' OR action = $3) \
             ORDER BY seq DESC LIMIT $4",
        )
        .bind(filter.before.unwrap_or(i64::MAX))
        .bind(filter.actor.as_deref().unwrap_or_default())
        .bind(filter.action.as_deref().unwrap_or_default())
        .bind(filter.limit)
        .fetch_all(self.read())
        .await
        .map_err(|e| database_error("read the audit log", e))?;
        rows.iter()
            .map(|r| audit_row(r).map_err(|e| database_error("read the audit log", e)))
            .collect()
    }
}

fn audit_row(row: &AnyRow) -> sqlx::Result<AuditRow> {
    Ok(AuditRow {
        seq: row.try_get("seq")?,
        entry: NewAuditRow {
            time: UtcMicros(row.try_get("time")?),
            actor: row.try_get("actor")?,
            user_id: row.try_get("user_id")?,
            role: row.try_get("role")?,
            axis: row.try_get("axis")?,
            session: row.try_get("session")?,
            client: row.try_get("client")?,
            action: row.try_get("action")?,
            object: row.try_get("object")?,
            purpose: row.try_get("purpose")?,
        },
        outcome: row.try_get("outcome")?,
        detail: row.try_get("detail")?,
        closed_at: row.try_get::<Option<i64>, _>("closed_at")?.map(UtcMicros),
    })
}
