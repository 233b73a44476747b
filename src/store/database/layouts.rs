//! Arrangements of cameras on a wall.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Database, database_error};
use crate::model::{CameraId, Error, LayoutId, Result, UserId, UtcMicros};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayoutRow {
    pub id: LayoutId,
    pub owner: UserId,
    pub name: String,
    pub tiles: i64,
    /// One for each tile; `None` is an empty tile.
    pub cameras: Vec<Option<CameraId>>,
    pub shared: bool,
    pub updated_at: UtcMicros,
}

const COLUMNS: &str = "id, owner, name, tiles, cameras, shared, updated_at";

impl Database {
    /// Those of `owner` and the shared ones, by name.
    pub async fn layouts(&self, owner: Option<UserId>) -> Result<Vec<LayoutRow>> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM layouts WHERE owner = $1 OR shared = 1 ORDER BY name, id"
        )))
        .bind(owner.map_or_else(String::new, |o| o.to_string()))
        .fetch_all(self.read())
        .await
        .map_err(|e| database_error("list layouts", e))?;
        rows.iter().map(layout).collect()
    }

    pub async fn layout(&self, id: LayoutId) -> Result<Option<LayoutRow>> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM layouts WHERE id = $1"
        )))
        .bind(id.to_string())
        .fetch_optional(self.read())
        .await
        .map_err(|e| database_error("read a layout", e))?;
        row.as_ref().map(layout).transpose()
    }

    pub async fn count_layouts(&self, owner: UserId) -> Result<i64> {
        sqlx::query_scalar("SELECT COUNT(*) FROM layouts WHERE owner = $1")
            .bind(owner.to_string())
            .fetch_one(self.read())
            .await
            .map_err(|e| database_error("count layouts", e))
    }

    /// Adds or replaces; the owner stays who it was.
    pub async fn put_layout(&self, l: &LayoutRow) -> Result<()> {
        let cameras = serde_json::to_string(&l.cameras).map_err(|e| {
            Error::internal("bad_layout", "the cameras of a layout cannot be written").because(e)
        })?;
        sqlx::query(
            "INSERT INTO layouts (id, owner, name, tiles, cameras, shared, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO UPDATE SET name = excluded.name, \
             tiles = excluded.tiles, cameras = excluded.cameras, shared = excluded.shared, \
             updated_at = excluded.updated_at",
        )
        .bind(l.id.to_string())
        .bind(l.owner.to_string())
        .bind(l.name.as_str())
        .bind(l.tiles)
        .bind(cameras)
        .bind(i64::from(l.shared))
        .bind(l.updated_at.0)
        .execute(&self.write)
        .await
        .map(|_| ())
        .map_err(|e| database_error("save a layout", e))
    }

    pub async fn delete_layout(&self, id: LayoutId) -> Result<()> {
        sqlx::query("DELETE FROM layouts WHERE id = $1")
            .bind(id.to_string())
            .execute(&self.write)
            .await
            .map(|_| ())
            .map_err(|e| database_error("delete a layout", e))
    }
}

fn layout(row: &AnyRow) -> Result<LayoutRow> {
    let read = || -> sqlx::Result<_> {
        let ids: (String, String) = (row.try_get("id")?, row.try_get("owner")?);
        let texts: (String, String) = (row.try_get("name")?, row.try_get("cameras")?);
        let numbers: (i64, i64, i64) = (
            row.try_get("tiles")?,
            row.try_get("shared")?,
            row.try_get("updated_at")?,
        );
        Ok((ids, texts, numbers))
    };
    let (ids, texts, numbers) = read().map_err(|e| database_error("read a layout", e))?;
    let cameras = serde_json::from_str(&texts.1).map_err(|e| {
        Error::internal(
            "bad_row",
            format!("the layout `{}` has unreadable cameras", ids.0),
        )
        .because(e)
    })?;
    Ok(LayoutRow {
        id: LayoutId::parse(&ids.0)?,
        owner: UserId::parse(&ids.1)?,
        name: texts.0,
        cameras,
        tiles: numbers.0,
        shared: numbers.1 != 0,
        updated_at: UtcMicros(numbers.2),
    })
}
