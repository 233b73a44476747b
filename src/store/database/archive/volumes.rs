//! Which disk belongs to which volume's name.

use uuid::Uuid;

use super::rows::bad_row;
use crate::model::{Result, UtcMicros};
use crate::store::database::{Database, database_error};

impl Database {
    /// The id that the volume's disk must carry, if it was ever used.
    pub async fn archive_volume(&self, name: &str) -> Result<Option<Uuid>> {
        let id: Option<String> =
            sqlx::query_scalar("SELECT id FROM archive_volumes WHERE name = $1")
                .bind(name)
                .fetch_optional(self.read())
                .await
                .map_err(|e| database_error("look up a volume", e))?;
        id.map(|id| {
            Uuid::parse_str(&id).map_err(|e| {
                bad_row(format!("the id of the volume `{name}` is damaged")).because(e)
            })
        })
        .transpose()
    }

    /// From now on this disk is the volume.
    pub async fn put_archive_volume(&self, name: &str, id: Uuid, now: UtcMicros) -> Result<()> {
        let doing = "remember a volume";
        let mut tx = self.begin(doing).await?;
        sqlx::query(
            "INSERT INTO archive_volumes (name, id, since) VALUES ($1, $2, $3) \
             ON CONFLICT (name) DO UPDATE SET id = excluded.id, since = excluded.since",
        )
        .bind(name)
        .bind(id.to_string())
        .bind(now.micros())
        .execute(&mut *tx)
        .await
        .map_err(|e| database_error(doing, e))?;
        tx.commit().await.map_err(|e| database_error(doing, e))
    }
}
