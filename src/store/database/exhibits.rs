//! Exhibits: the rows beside the files in evidence storage.

use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};

use super::cases::add_event;
use super::{Database, database_error};
use crate::model::{
    CameraId, CaseEvent, CaseId, Error, Exhibit, ExhibitFile, ExhibitId, ExhibitKind, ExhibitState,
    GapCause, Result, StreamRole, TakenFragments, TimeRange, UtcMicros, VehicleId,
};

/// A file with what only the bundle's ZIP directory needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    pub file: ExhibitFile,
    pub crc32: u32,
}

/// Where an exhibit comes from, beyond what lists show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExhibitOrigin {
    /// The role the person had at the time.
    pub role: String,
    /// The audit entry of the request.
    pub audit_seq: i64,
}

const COLUMNS: &str = "id, case_id, kind, state, error, camera, stream, vehicle, requested_from, requested_to, \
                       delivered_from, delivered_to, gaps, purpose, created_by, created_role, created_at, audit_seq, \
                       derived_from, recipe, fragments";

impl Database {
    /// Adds the exhibit with the event on its case. False when the case takes no more (closed or rejected, or not there).
    pub async fn add_exhibit(
        &self,
        x: &Exhibit,
        origin: &ExhibitOrigin,
        event: &CaseEvent,
    ) -> Result<bool> {
        let doing = "add an exhibit";
        let mut tx = self.begin(doing).await?;
        let open = sqlx::query(
            "UPDATE cases SET revision = revision + 1 WHERE id = $1 AND state IN ('reported', 'filed')",
        )
        .bind(x.case.to_string())
        .execute(&mut *tx)
        .await
        .map_err(|e| database_error(doing, e))?;
        if open.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO exhibits (id, case_id, kind, state, error, camera, stream, vehicle, requested_from, requested_to, \
             delivered_from, delivered_to, gaps, purpose, created_by, created_role, created_at, audit_seq, derived_from, recipe, fragments) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)",
        )
        .bind(x.id.to_string())
        .bind(x.case.to_string())
        .bind(x.kind.as_str())
        .bind(x.state.as_str())
        .bind(x.error.as_deref())
        .bind(x.camera.as_ref().map(CameraId::as_str))
        .bind(x.stream.map(StreamRole::as_str))
        .bind(x.vehicle.as_ref().map(VehicleId::as_str))
        .bind(x.requested.from.0)
        .bind(x.requested.to.0)
        .bind(x.delivered.map(|d| d.from.0))
        .bind(x.delivered.map(|d| d.to.0))
        .bind(gaps_text(&x.gaps)?)
        .bind(x.purpose.as_str())
        .bind(x.created_by.as_str())
        .bind(origin.role.as_str())
        .bind(x.created_at.0)
        .bind(origin.audit_seq)
        .bind(x.derived_from.map(|id| id.to_string()))
        .bind(x.recipe.as_ref().map(serde_json::Value::to_string))
        .bind(fragments_text(x.fragments.as_ref())?)
        .execute(&mut *tx)
        .await
        .map_err(|e| database_error(doing, e))?;
        add_event(&mut tx, x.case, event)
            .await
            .map_err(|e| database_error(doing, e))?;
        tx.commit().await.map_err(|e| database_error(doing, e))?;
        Ok(true)
    }

    /// Notes what the files will cover, before the first byte is copied.
    pub async fn plan_exhibit(
        &self,
        id: ExhibitId,
        delivered: TimeRange,
        gaps: &[(TimeRange, GapCause)],
        fragments: Option<&TakenFragments>,
    ) -> Result<()> {
        sqlx::query(
            "UPDATE exhibits SET delivered_from = $2, delivered_to = $3, gaps = $4, fragments = $5 \
             WHERE id = $1 AND state = 'working'",
        )
        .bind(id.to_string())
        .bind(delivered.from.0)
        .bind(delivered.to.0)
        .bind(gaps_text(gaps)?)
        .bind(fragments_text(fragments)?)
        .execute(&self.write)
        .await
        .map(|_| ())
        .map_err(|e| database_error("plan an exhibit", e))
    }

    /// Completes the recipe of a derived exhibit with what its maker says.
    pub async fn complete_recipe(&self, id: ExhibitId, recipe: &serde_json::Value) -> Result<()> {
        sqlx::query("UPDATE exhibits SET recipe = $2 WHERE id = $1 AND state = 'working'")
            .bind(id.to_string())
            .bind(recipe.to_string())
            .execute(&self.write)
            .await
            .map(|_| ())
            .map_err(|e| database_error("complete the recipe of an exhibit", e))
    }

    /// `working` becomes `ready` with its files, in one transaction; false when it was not `working` (any more).
    /// `note` says what is missing although the exhibit stands.
    pub async fn finish_exhibit(
        &self,
        id: ExhibitId,
        files: &[StoredFile],
        note: Option<&str>,
    ) -> Result<bool> {
        let doing = "finish an exhibit";
        let mut tx = self.begin(doing).await?;
        let changed = sqlx::query(
            "UPDATE exhibits SET state = 'ready', error = $2 WHERE id = $1 AND state = 'working'",
        )
        .bind(id.to_string())
        .bind(note)
        .execute(&mut *tx)
        .await
        .map_err(|e| database_error(doing, e))?;
        if changed.rows_affected() == 0 {
            return Ok(false);
        }
        for (position, f) in (0_i64..).zip(files) {
            add_file(&mut tx, id, position, f)
                .await
                .map_err(|e| database_error(doing, e))?;
        }
        tx.commit().await.map_err(|e| database_error(doing, e))?;
        Ok(true)
    }

    pub async fn fail_exhibit(&self, id: ExhibitId, error: &str) -> Result<bool> {
        sqlx::query(
            "UPDATE exhibits SET state = 'failed', error = $2 WHERE id = $1 AND state = 'working'",
        )
        .bind(id.to_string())
        .bind(error)
        .execute(&self.write)
        .await
        .map(|r| r.rows_affected() == 1)
        .map_err(|e| database_error("mark an exhibit as failed", e))
    }

    /// The exhibits of a case in the order they were attached, with their files.
    pub async fn exhibits(&self, case: CaseId) -> Result<Vec<Exhibit>> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM exhibits WHERE case_id = $1 ORDER BY created_at, id"
        )))
        .bind(case.to_string())
        .fetch_all(self.read())
        .await
        .map_err(|e| database_error("list exhibits", e))?;
        let files = sqlx::query(
            "SELECT f.exhibit_id, f.name, f.bytes, f.sha256, f.crc32, f.media_type, f.derived_from, f.recipe \
             FROM exhibit_files f JOIN exhibits x ON x.id = f.exhibit_id WHERE x.case_id = $1 \
             ORDER BY f.exhibit_id, f.position",
        )
        .bind(case.to_string())
        .fetch_all(self.read())
        .await
        .map_err(|e| database_error("list the files of exhibits", e))?;
        let mut exhibits: Vec<Exhibit> = rows
            .iter()
            .map(|r| exhibit(r).map(|(x, _)| x))
            .collect::<Result<_>>()?;
        for row in &files {
            let (id, f) = file(row)?;
            if let Some(x) = exhibits.iter_mut().find(|x| x.id == id) {
                x.files.push(f.file);
            }
        }
        Ok(exhibits)
    }

    pub async fn exhibit(&self, id: ExhibitId) -> Result<Option<(Exhibit, ExhibitOrigin)>> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM exhibits WHERE id = $1"
        )))
        .bind(id.to_string())
        .fetch_optional(self.read())
        .await
        .map_err(|e| database_error("read an exhibit", e))?;
        let Some(row) = row else { return Ok(None) };
        let (mut x, origin) = exhibit(&row)?;
        x.files = self
            .exhibit_files(id)
            .await?
            .into_iter()
            .map(|f| f.file)
            .collect();
        Ok(Some((x, origin)))
    }

    pub async fn exhibit_files(&self, id: ExhibitId) -> Result<Vec<StoredFile>> {
        let rows = sqlx::query(
            "SELECT exhibit_id, name, bytes, sha256, crc32, media_type, derived_from, recipe FROM exhibit_files \
             WHERE exhibit_id = $1 ORDER BY position",
        )
        .bind(id.to_string())
        .fetch_all(self.read())
        .await
        .map_err(|e| database_error("list the files of an exhibit", e))?;
        rows.iter().map(|r| file(r).map(|(_, f)| f)).collect()
    }

    /// What a stop or crash left unfinished, oldest first.
    pub async fn working_exhibits(&self) -> Result<Vec<(ExhibitId, ExhibitKind)>> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM exhibits WHERE state = 'working' ORDER BY created_at, id"
        )))
        .fetch_all(self.read())
        .await
        .map_err(|e| database_error("list unfinished exhibits", e))?;
        rows.iter()
            .map(|row| exhibit(row).map(|(x, _)| (x.id, x.kind)))
            .collect()
    }
}

async fn add_file(
    tx: &mut Transaction<'static, Any>,
    id: ExhibitId,
    position: i64,
    f: &StoredFile,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO exhibit_files (exhibit_id, position, name, bytes, sha256, crc32, media_type, derived_from, recipe) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(id.to_string())
    .bind(position)
    .bind(f.file.name.as_str())
    .bind(i64::try_from(f.file.bytes).unwrap_or(i64::MAX))
    .bind(f.file.sha256.as_str())
    .bind(i64::from(f.crc32))
    .bind(f.file.media_type.as_str())
    .bind(f.file.derived_from.as_deref())
    .bind(f.file.recipe.as_deref())
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

fn gaps_text(gaps: &[(TimeRange, GapCause)]) -> Result<String> {
    let rows: Vec<_> = gaps
        .iter()
        .map(|(r, c)| (r.from.0, r.to.0, c.as_str()))
        .collect();
    serde_json::to_string(&rows).map_err(|e| {
        Error::internal("bad_gaps", "the gaps of an exhibit cannot be written").because(e)
    })
}

fn fragments_text(fragments: Option<&TakenFragments>) -> Result<Option<String>> {
    fragments
        .map(serde_json::to_string)
        .transpose()
        .map_err(|e| {
            Error::internal(
                "bad_fragments",
                "the fragments of an exhibit cannot be written",
            )
            .because(e)
        })
}

fn file(row: &AnyRow) -> Result<(ExhibitId, StoredFile)> {
    let read = || -> sqlx::Result<(String, StoredFile)> {
        let (bytes, crc32): (i64, i64) = (row.try_get("bytes")?, row.try_get("crc32")?);
        let file = ExhibitFile {
            name: row.try_get("name")?,
            bytes: u64::try_from(bytes).unwrap_or(0),
            sha256: row.try_get("sha256")?,
            media_type: row.try_get("media_type")?,
            derived_from: row.try_get("derived_from")?,
            recipe: row.try_get("recipe")?,
        };
        Ok((
            row.try_get("exhibit_id")?,
            StoredFile {
                file,
                crc32: u32::try_from(crc32).unwrap_or(0),
            },
        ))
    };
    let (id, file) = read().map_err(|e| database_error("read the file of an exhibit", e))?;
    Ok((ExhibitId::parse(&id)?, file))
}

fn exhibit(row: &AnyRow) -> Result<(Exhibit, ExhibitOrigin)> {
    let time = |column: &str| -> sqlx::Result<Option<UtcMicros>> {
        Ok(row.try_get::<Option<i64>, _>(column)?.map(UtcMicros))
    };
    let read = || -> sqlx::Result<Result<(Exhibit, ExhibitOrigin)>> {
        let (id, case): (String, String) = (row.try_get("id")?, row.try_get("case_id")?);
        let (kind, state): (String, String) = (row.try_get("kind")?, row.try_get("state")?);
        let camera: Option<String> = row.try_get("camera")?;
        let stream: Option<String> = row.try_get("stream")?;
        let vehicle: Option<String> = row.try_get("vehicle")?;
        let gaps: String = row.try_get("gaps")?;
        let requested = TimeRange {
            from: UtcMicros(row.try_get("requested_from")?),
            to: UtcMicros(row.try_get("requested_to")?),
        };
        let delivered = match (time("delivered_from")?, time("delivered_to")?) {
            (Some(from), Some(to)) => Some(TimeRange { from, to }),
            (None | Some(_), _) => None,
        };
        let error: Option<String> = row.try_get("error")?;
        let (purpose, created_by): (String, String) =
            (row.try_get("purpose")?, row.try_get("created_by")?);
        let created_at = UtcMicros(row.try_get("created_at")?);
        let derived_from: Option<String> = row.try_get("derived_from")?;
        let (recipe, fragments): (Option<String>, Option<String>) =
            (row.try_get("recipe")?, row.try_get("fragments")?);
        let origin = ExhibitOrigin {
            role: row.try_get("created_role")?,
            audit_seq: row.try_get("audit_seq")?,
        };
        let unknown = |what: &str, word: &str| {
            Error::internal(
                "bad_row",
                format!("the exhibit `{id}` has the unknown {what} `{word}`"),
            )
        };
        fn json<T: serde::de::DeserializeOwned>(
            what: &str,
            text: Option<&str>,
        ) -> Result<Option<T>> {
            text.map(serde_json::from_str).transpose().map_err(|e| {
                Error::internal(
                    "bad_row",
                    format!("the {what} of an exhibit is not understood"),
                )
                .because(e)
            })
        }
        Ok((|| {
            let gaps: Vec<(i64, i64, String)> =
                serde_json::from_str(&gaps).map_err(|e| unknown("gap list", &gaps).because(e))?;
            let x = Exhibit {
                id: ExhibitId::parse(&id)?,
                case: CaseId::parse(&case)?,
                kind: ExhibitKind::parse(&kind).ok_or_else(|| unknown("kind", &kind))?,
                state: ExhibitState::parse(&state).ok_or_else(|| unknown("state", &state))?,
                error,
                camera: camera.as_deref().map(CameraId::new).transpose()?,
                stream: match stream.as_deref() {
                    None => None,
                    Some(s) => Some(StreamRole::parse(s).ok_or_else(|| unknown("stream", s))?),
                },
                vehicle: vehicle.as_deref().map(VehicleId::new).transpose()?,
                requested,
                delivered,
                gaps: gaps
                    .iter()
                    .map(|(from, to, cause)| {
                        let cause =
                            GapCause::parse(cause).ok_or_else(|| unknown("gap cause", cause))?;
                        Ok((
                            TimeRange {
                                from: UtcMicros(*from),
                                to: UtcMicros(*to),
                            },
                            cause,
                        ))
                    })
                    .collect::<Result<_>>()?,
                purpose,
                created_by,
                created_at,
                files: Vec::new(),
                derived_from: derived_from.as_deref().map(ExhibitId::parse).transpose()?,
                recipe: json("recipe", recipe.as_deref())?,
                fragments: json("list of fragments", fragments.as_deref())?,
            };
            Ok((x, origin))
        })())
    };
    read().map_err(|e| database_error("read an exhibit", e))?
}
