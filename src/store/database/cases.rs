//! Case files and what happened to them.

use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};

use super::{Database, database_error};
use crate::model::{
    AreaCode, Case, CaseEvent, CaseId, CaseSource, CaseState, Error, GeoPoint, Result, UtcMicros,
};

/// A case has changed; for whoever watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseChange {
    pub id: CaseId,
    pub no: String,
    pub state: CaseState,
}

/// What to list; newest first.
#[derive(Clone, Debug, Default)]
pub struct CaseFilter {
    pub state: Option<CaseState>,
    /// Found in number, title, description or address.
    pub text: Option<String>,
    /// Only cases older than this one.
    pub before: Option<(UtcMicros, CaseId)>,
    pub limit: i64,
}

/// A step that was decided on the case as it stood at `revision`.
#[derive(Clone, Debug)]
pub struct CaseStep {
    pub case: CaseId,
    pub revision: i64,
    pub state: CaseState,
    pub filed_by: Option<String>,
    pub closed_by: Option<String>,
    pub closed_at: Option<UtcMicros>,
    pub event: CaseEvent,
}

const COLUMNS: &str = "c.id, c.no, c.title, c.description, c.category, c.state, c.source, c.occurred_from, c.occurred_to, \
                       c.lon, c.lat, c.address, c.area, c.opened_by, c.opened_at, c.filed_by, c.closed_by, c.closed_at, c.revision";

impl Database {
    /// Adds the case with its first event and returns its number: `DAY-NNNN`, the next of that day, never twice.
    /// `case.no` is not read.
    pub async fn open_case(&self, case: &Case, day: &str, event: &CaseEvent) -> Result<String> {
        let doing = "open a case";
        let mut tx = self.begin(doing).await?;
        let last: i64 = sqlx::query_scalar(
            "INSERT INTO case_numbers (day, last) VALUES ($1, 1) \
             ON CONFLICT (day) DO UPDATE SET last = case_numbers.last + 1 RETURNING last",
        )
        .bind(day)
        .fetch_one(&mut *tx)
        .await
        .map_err(|e| database_error(doing, e))?;
        let no = format!("{day}-{last:04}");
        sqlx::query(
            "INSERT INTO cases (id, no, title, description, category, state, source, occurred_from, occurred_to, lon, \
             lat, address, area, opened_by, opened_at, filed_by, closed_by, closed_at, revision) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)",
        )
        .bind(case.id.to_string())
        .bind(no.as_str())
        .bind(case.title.as_str())
        .bind(case.description.as_str())
        .bind(case.category.as_str())
        .bind(case.state.as_str())
        .bind(case.source.as_str())
        .bind(case.occurred_from.0)
        .bind(case.occurred_to.map(|t| t.0))
        .bind(case.place.lon)
        .bind(case.place.lat)
        .bind(case.address.as_str())
        .bind(case.area.as_ref().map(AreaCode::as_str))
        .bind(case.opened_by.as_str())
        .bind(case.opened_at.0)
        .bind(case.filed_by.as_deref())
        .bind(case.closed_by.as_deref())
        .bind(case.closed_at.map(|t| t.0))
        .bind(case.revision)
        .execute(&mut *tx)
        .await
        .map_err(|e| database_error(doing, e))?;
        add_event(&mut tx, case.id, event)
            .await
            .map_err(|e| database_error(doing, e))?;
        tx.commit().await.map_err(|e| database_error(doing, e))?;
        Ok(no)
    }

    pub async fn case(&self, id: CaseId) -> Result<Option<Case>> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM cases c WHERE c.id = $1"
        )))
        .bind(id.to_string())
        .fetch_optional(self.read())
        .await
        .map_err(|e| database_error("read a case", e))?;
        row.as_ref().map(case).transpose()
    }

    /// Cases with their number of exhibits, newest first.
    pub async fn cases(&self, filter: &CaseFilter) -> Result<Vec<(Case, u64)>> {
        let (before_time, before_id) = match filter.before {
            Some((t, id)) => (t.0, id.to_string()),
            None => (i64::MAX, String::new()),
        };
        // Without a text the pattern is `%`, which every title matches; the state is switched off by the empty word.
        let pattern = filter
            .text
            .as_deref()
            .map_or_else(|| "%".to_owned(), like_pattern);
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS}, (SELECT COUNT(*) FROM exhibits x WHERE x.case_id = c.id) AS exhibits FROM cases c \
             WHERE ($1 = '' OR c.state = $1) AND (c.opened_at < $2 OR (c.opened_at = $2 AND c.id < $3)) \
             AND (LOWER(c.title) LIKE $4 ESCAPE '!' OR LOWER(c.description) LIKE $4 ESCAPE '!' \
             OR LOWER(c.address) LIKE $4 ESCAPE '!' OR c.no LIKE $4 ESCAPE '!') \
             ORDER BY c.opened_at DESC, c.id DESC LIMIT $5"
        )))
        .bind(filter.state.map_or("", CaseState::as_str))
        .bind(before_time)
        .bind(before_id)
        .bind(pattern)
        .bind(filter.limit)
        .fetch_all(self.read())
        .await
        .map_err(|e| database_error("list cases", e))?;
        rows.iter()
            .map(|r| {
                let n: i64 = r
                    .try_get("exhibits")
                    .map_err(|e| database_error("list cases", e))?;
                Ok((case(r)?, u64::try_from(n).unwrap_or(0)))
            })
            .collect()
    }

    /// What happened to the case, in order.
    pub async fn case_events(&self, id: CaseId) -> Result<Vec<CaseEvent>> {
        let rows = sqlx::query(
            "SELECT time, actor, action, text FROM case_events WHERE case_id = $1 ORDER BY seq",
        )
        .bind(id.to_string())
        .fetch_all(self.read())
        .await
        .map_err(|e| database_error("read the events of a case", e))?;
        let event = |r: &AnyRow| -> sqlx::Result<CaseEvent> {
            Ok(CaseEvent {
                time: UtcMicros(r.try_get("time")?),
                actor: r.try_get("actor")?,
                action: r.try_get("action")?,
                text: r.try_get("text")?,
            })
        };
        rows.iter()
            .map(|r| event(r).map_err(|e| database_error("read the events of a case", e)))
            .collect()
    }

    /// Takes the step, if the case still stands at its revision; false when somebody was faster.
    pub async fn step_case(&self, step: &CaseStep) -> Result<bool> {
        let doing = "change a case";
        let mut tx = self.begin(doing).await?;
        let changed = sqlx::query(
            "UPDATE cases SET state = $3, filed_by = $4, closed_by = $5, closed_at = $6, revision = revision + 1 \
             WHERE id = $1 AND revision = $2",
        )
        .bind(step.case.to_string())
        .bind(step.revision)
        .bind(step.state.as_str())
        .bind(step.filed_by.as_deref())
        .bind(step.closed_by.as_deref())
        .bind(step.closed_at.map(|t| t.0))
        .execute(&mut *tx)
        .await
        .map_err(|e| database_error(doing, e))?;
        if changed.rows_affected() == 0 {
            return Ok(false);
        }
        add_event(&mut tx, step.case, &step.event)
            .await
            .map_err(|e| database_error(doing, e))?;
        tx.commit().await.map_err(|e| database_error(doing, e))?;
        Ok(true)
    }
}

/// The row of the case is locked by then, so that `seq` has no double.
pub(super) async fn add_event(
    tx: &mut Transaction<'static, Any>,
    case: CaseId,
    event: &CaseEvent,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO case_events (case_id, seq, time, actor, action, text) \
         SELECT $1, COALESCE(MAX(seq), 0) + 1, $2, $3, $4, $5 FROM case_events WHERE case_id = $1",
    )
    .bind(case.to_string())
    .bind(event.time.0)
    .bind(event.actor.as_str())
    .bind(event.action.as_str())
    .bind(event.text.as_str())
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

/// `%text%` with the signs of LIKE taken as they are.
fn like_pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.to_lowercase().chars() {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

fn case(row: &AnyRow) -> Result<Case> {
    let read = || -> sqlx::Result<Result<Case>> {
        let id: String = row.try_get("id")?;
        let (state, source): (String, String) = (row.try_get("state")?, row.try_get("source")?);
        let (lon, lat): (f64, f64) = (row.try_get("lon")?, row.try_get("lat")?);
        let area: Option<String> = row.try_get("area")?;
        let whole = Case {
            id: CaseId(uuid::Uuid::nil()),
            no: row.try_get("no")?,
            title: row.try_get("title")?,
            description: row.try_get("description")?,
            category: row.try_get("category")?,
            state: CaseState::Reported,
            source: CaseSource::Other,
            occurred_from: UtcMicros(row.try_get("occurred_from")?),
            occurred_to: row.try_get::<Option<i64>, _>("occurred_to")?.map(UtcMicros),
            place: GeoPoint { lon, lat },
            address: row.try_get("address")?,
            area: None,
            opened_by: row.try_get("opened_by")?,
            opened_at: UtcMicros(row.try_get("opened_at")?),
            filed_by: row.try_get("filed_by")?,
            closed_by: row.try_get("closed_by")?,
            closed_at: row.try_get::<Option<i64>, _>("closed_at")?.map(UtcMicros),
            revision: row.try_get("revision")?,
        };
        let unknown = |what: &str, word: &str| {
            Error::internal(
                "bad_row",
                format!("the case `{id}` has the unknown {what} `{word}`"),
            )
        };
        Ok((|| {
            Ok(Case {
                id: CaseId::parse(&id)?,
                state: CaseState::parse(&state).ok_or_else(|| unknown("state", &state))?,
                source: CaseSource::parse(&source).ok_or_else(|| unknown("source", &source))?,
                area: area.as_deref().map(AreaCode::new).transpose()?,
                ..whole
            })
        })())
    };
    read().map_err(|e| database_error("read a case", e))?
}
