//! Cameras and vehicles of the site.

use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};

use super::{Database, database_error};
use crate::model::{
    AreaCode, Camera, CameraId, CameraPolicies, Error, GeoPoint, Result, Secret, Transport,
    Vehicle, VehicleClass, VehicleId,
};

const CAMERA_COLUMNS: &str = "id, name, lon, lat, area, heading_deg, fov_deg, main_url, sub_url, transport, record, policies";

/// A change of the site, made as a whole or not at all.
#[derive(Clone, Debug, Default)]
pub struct SiteChange {
    pub put_cameras: Vec<Camera>,
    pub delete_cameras: Vec<CameraId>,
    pub put_vehicles: Vec<Vehicle>,
    pub delete_vehicles: Vec<VehicleId>,
}

impl SiteChange {
    pub fn is_empty(&self) -> bool {
        self.put_cameras.is_empty()
            && self.delete_cameras.is_empty()
            && self.put_vehicles.is_empty()
            && self.delete_vehicles.is_empty()
    }
}

impl Database {
    /// Goes up with every change of cameras or vehicles, by whichever node or command.
    pub async fn site_revision(&self) -> Result<i64> {
        sqlx::query_scalar("SELECT revision FROM site_revision WHERE id = 1")
            .fetch_one(self.read())
            .await
            .map_err(|e| database_error("read the site revision", e))
    }

    /// All cameras, by id.
    pub async fn cameras(&self) -> Result<Vec<Camera>> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {CAMERA_COLUMNS} FROM cameras ORDER BY id"
        )))
        .fetch_all(self.read())
        .await
        .map_err(|e| database_error("list cameras", e))?;
        rows.iter().map(camera).collect()
    }

    pub async fn camera(&self, id: &CameraId) -> Result<Option<Camera>> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {CAMERA_COLUMNS} FROM cameras WHERE id = $1"
        )))
        .bind(id.as_str())
        .fetch_optional(self.read())
        .await
        .map_err(|e| database_error("read a camera", e))?;
        row.as_ref().map(camera).transpose()
    }

    /// All vehicles, by id.
    pub async fn vehicles(&self) -> Result<Vec<Vehicle>> {
        let rows = sqlx::query("SELECT id, plate, class FROM vehicles ORDER BY id")
            .fetch_all(self.read())
            .await
            .map_err(|e| database_error("list vehicles", e))?;
        rows.iter().map(vehicle).collect()
    }

    /// Makes the change and counts the revision up, in one transaction.
    pub async fn change_site(&self, change: &SiteChange) -> Result<()> {
        let doing = "change the site";
        let mut tx = self.begin(doing).await?;
        for c in &change.put_cameras {
            put_camera(&mut tx, c)
                .await
                .map_err(|e| database_error(doing, e))?;
        }
        for id in &change.delete_cameras {
            sqlx::query("DELETE FROM cameras WHERE id = $1")
                .bind(id.as_str())
                .execute(&mut *tx)
                .await
                .map_err(|e| database_error(doing, e))?;
        }
        for v in &change.put_vehicles {
            sqlx::query(
                "INSERT INTO vehicles (id, plate, class) VALUES ($1, $2, $3) \
                 ON CONFLICT (id) DO UPDATE SET plate = excluded.plate, class = excluded.class",
            )
            .bind(v.id.as_str())
            .bind(v.plate.as_deref())
            .bind(v.class.as_str())
            .execute(&mut *tx)
            .await
            .map_err(|e| database_error(doing, e))?;
        }
        for id in &change.delete_vehicles {
            sqlx::query("DELETE FROM vehicles WHERE id = $1")
                .bind(id.as_str())
                .execute(&mut *tx)
                .await
                .map_err(|e| database_error(doing, e))?;
        }
        sqlx::query("UPDATE site_revision SET revision = revision + 1 WHERE id = 1")
            .execute(&mut *tx)
            .await
            .map_err(|e| database_error(doing, e))?;
        tx.commit().await.map_err(|e| database_error(doing, e))
    }
}

async fn put_camera(tx: &mut Transaction<'static, Any>, c: &Camera) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO cameras (id, name, lon, lat, area, heading_deg, fov_deg, main_url, sub_url, transport, record, \
         policies) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, lon = excluded.lon, lat = excluded.lat, \
         area = excluded.area, heading_deg = excluded.heading_deg, fov_deg = excluded.fov_deg, \
         main_url = excluded.main_url, sub_url = excluded.sub_url, transport = excluded.transport, \
         record = excluded.record, policies = excluded.policies",
    )
    .bind(c.id.as_str())
    .bind(c.name.as_str())
    .bind(c.place.lon)
    .bind(c.place.lat)
    .bind(c.area.as_str())
    .bind(c.heading_deg)
    .bind(c.fov_deg)
    .bind(c.main.reveal())
    .bind(c.sub.as_ref().map(Secret::reveal))
    .bind(c.transport.as_str())
    .bind(i64::from(c.record))
    .bind(c.policies.to_json().to_string())
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

fn camera(row: &AnyRow) -> Result<Camera> {
    let read = || -> sqlx::Result<Result<Camera>> {
        let (id, area): (String, String) = (row.try_get("id")?, row.try_get("area")?);
        let (lon, lat): (f64, f64) = (row.try_get("lon")?, row.try_get("lat")?);
        let main: String = row.try_get("main_url")?;
        let sub: Option<String> = row.try_get("sub_url")?;
        let name: String = row.try_get("name")?;
        let (transport, policies): (String, String) =
            (row.try_get("transport")?, row.try_get("policies")?);
        let record: i64 = row.try_get("record")?;
        let (heading_deg, fov_deg) = (row.try_get("heading_deg")?, row.try_get("fov_deg")?);
        Ok((|| {
            let bad = |what: &str, why: &dyn std::fmt::Display| {
                Error::internal("bad_row", format!("camera `{id}`: its {what}: {why}"))
            };
            let transport: Transport = transport.parse().map_err(|e| bad("transport", &e))?;
            let policies: CameraPolicies =
                serde_json::from_str(&policies).map_err(|e| bad("policies", &e))?;
            Ok(Camera {
                id: CameraId::new(&id)?,
                name,
                place: GeoPoint::new(lon, lat)?,
                area: AreaCode::new(&area)?,
                heading_deg,
                fov_deg,
                main: Secret::new(main),
                sub: sub.map(Secret::new),
                transport,
                policies,
                record: record != 0,
            })
        })())
    };
    read().map_err(|e| database_error("read a camera", e))?
}

fn vehicle(row: &AnyRow) -> Result<Vehicle> {
    let read = || -> sqlx::Result<(String, Option<String>, String)> {
        Ok((
            row.try_get("id")?,
            row.try_get("plate")?,
            row.try_get("class")?,
        ))
    };
    let (id, plate, class) = read().map_err(|e| database_error("read a vehicle", e))?;
    let class = VehicleClass::parse(&class).ok_or_else(|| {
        Error::internal(
            "bad_row",
            format!("vehicle `{id}` has the unknown class `{class}`"),
        )
    })?;
    Ok(Vehicle {
        id: VehicleId::new(&id)?,
        plate,
        class,
    })
}
