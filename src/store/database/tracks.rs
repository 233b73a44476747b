//! Track history: every accepted fix, once.
//!
//! A row per fix, small integers only. Appending says which fixes were new, so that a message which the broker delivers twice is
//! neither stored nor shown twice.

use std::collections::{HashMap, HashSet};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, Row, Transaction};

use super::{Database, database_error};
use crate::model::{Fix, FixFlag, FixFlags, Result, TimeRange, UtcMicros, VehicleId};
use crate::store::live::PackedFix;

const COLUMNS: &str = "f.time, f.delay, f.lon, f.lat, f.speed, f.course, f.altitude, f.ignition, \
                       f.flags, v.name AS vehicle, s.name AS source";
const FROM: &str = "fixes f JOIN fix_vehicles v ON v.no = f.vehicle_no \
                    JOIN fix_sources s ON s.no = f.source_no";
const VALUES: usize = 12;
/// Names kept in memory; more are asked from the table each time.
const CACHED_NAMES: usize = 200_000;

/// Statements for fixed numbers of rows: a handful of texts that each connection prepares once.
static INSERTS: LazyLock<[Insert; 5]> = LazyLock::new(|| [256, 64, 16, 4, 1].map(Insert::of_rows));

struct Insert {
    rows: usize,
    /// Counts the new rows.
    counting: String,
    /// Names the new rows: slower, needed only when some are repeats.
    naming: String,
}

impl Insert {
    fn of_rows(rows: usize) -> Self {
        let counting = insert_text(rows);
        let naming = format!("{counting} RETURNING vehicle_no, time, content");
        Self {
            rows,
            counting,
            naming,
        }
    }
}

fn insert_text(rows: usize) -> String {
    let mut text =
        "INSERT INTO fixes (vehicle_no, time, content, delay, lon, lat, speed, course, altitude, \
                    ignition, flags, source_no) VALUES "
            .to_owned();
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for value in 0..VALUES {
            if value > 0 {
                text.push_str(", ");
            }
            text.push('$');
            text.push_str(&(row * VALUES + value + 1).to_string());
        }
        text.push(')');
    }
    text.push_str(" ON CONFLICT (vehicle_no, time, content) DO NOTHING");
    text
}

/// What must not move a marker, as a mask over the `flags` column.
fn unplaceable() -> i64 {
    let mut mask = FixFlags::default();
    for flag in FixFlag::ALL {
        let mut one = FixFlags::default();
        one.set(flag);
        if one.is_unplaceable() {
            mask.set(flag);
        }
    }
    i64::from(mask.0)
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Names {
    Vehicles,
    Sources,
}

impl Names {
    const fn counter(self) -> i64 {
        match self {
            Self::Vehicles => 1,
            Self::Sources => 2,
        }
    }

    const fn find(self) -> &'static str {
        match self {
            Self::Vehicles => "SELECT no FROM fix_vehicles WHERE name = $1",
            Self::Sources => "SELECT no FROM fix_sources WHERE name = $1",
        }
    }

    const fn add(self) -> &'static str {
        match self {
            Self::Vehicles => {
                "INSERT INTO fix_vehicles (no, name) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING"
            }
            Self::Sources => {
                "INSERT INTO fix_sources (no, name) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING"
            }
        }
    }
}

/// Numbers of names that are committed; they never change and are never deleted.
#[derive(Default)]
pub(in crate::store) struct NameCache(Mutex<HashMap<(Names, String), i64>>);

impl NameCache {
    fn lock(&self) -> MutexGuard<'_, HashMap<(Names, String), i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The numbers of one transaction: those known before, and those it has just given.
struct Numbers<'a> {
    cache: &'a NameCache,
    seen: HashMap<(Names, String), i64>,
}

impl Numbers<'_> {
    async fn of(
        &mut self,
        tx: &mut Transaction<'static, Any>,
        names: Names,
        name: &str,
    ) -> sqlx::Result<i64> {
        let key = (names, name.to_owned());
        if let Some(no) = self.seen.get(&key) {
            return Ok(*no);
        }
        let cached = self.cache.lock().get(&key).copied();
        let no = match cached {
            Some(no) => no,
            None => Self::find_or_add(tx, names, name).await?,
        };
        self.seen.insert(key, no);
        Ok(no)
    }

    async fn find_or_add(
        tx: &mut Transaction<'static, Any>,
        names: Names,
        name: &str,
    ) -> sqlx::Result<i64> {
        let found: Option<i64> = sqlx::query_scalar(names.find())
            .bind(name)
            .fetch_optional(&mut **tx)
            .await?;
        if let Some(no) = found {
            return Ok(no);
        }
        // The counter's row lock makes writers of several nodes take turns.
        let no: i64 = sqlx::query_scalar(
            "UPDATE fix_numbers SET last = last + 1 WHERE id = $1 RETURNING last",
        )
        .bind(names.counter())
        .fetch_one(&mut **tx)
        .await?;
        sqlx::query(names.add())
            .bind(no)
            .bind(name)
            .execute(&mut **tx)
            .await?;
        // Another node may have been first with this name.
        sqlx::query_scalar(names.find())
            .bind(name)
            .fetch_one(&mut **tx)
            .await
    }

    /// Call after the commit only.
    fn remember(self) {
        let mut cache = self.cache.lock();
        if cache.len() + self.seen.len() > CACHED_NAMES {
            cache.clear();
        }
        cache.extend(self.seen);
    }
}

impl Database {
    /// Stores the fixes in one transaction. For each, whether it was new: the same vehicle, device time and content is stored once.
    pub async fn append_fixes(&self, fixes: &[Fix]) -> Result<Vec<bool>> {
        if fixes.is_empty() {
            return Ok(Vec::new());
        }
        // Nearly always all are new, which a count shows. When it does not, the whole is done again, asking for names.
        if let Some(new) = self.append_as(fixes, Answer::Count).await? {
            return Ok(new);
        }
        let new = self.append_as(fixes, Answer::Names).await?;
        Ok(new.unwrap_or_default())
    }

    /// `None`: nothing was stored, the count does not tell which are new.
    async fn append_as(&self, fixes: &[Fix], answer: Answer) -> Result<Option<Vec<bool>>> {
        let doing = "store positions";
        let failed = |e| database_error(doing, e);
        let mut tx = self.begin(doing).await?;
        let mut numbers = Numbers {
            cache: &self.names,
            seen: HashMap::new(),
        };
        let Some(new) = append(&mut tx, &mut numbers, fixes, answer)
            .await
            .map_err(failed)?
        else {
            tx.rollback().await.map_err(failed)?;
            return Ok(None);
        };
        tx.commit().await.map_err(failed)?;
        numbers.remember();
        Ok(Some(new))
    }

    /// At most `limit` fixes of the vehicle, oldest first by device time.
    pub async fn fixes_in(
        &self,
        vehicle: &VehicleId,
        range: TimeRange,
        limit: usize,
    ) -> Result<Vec<Fix>> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM {FROM} WHERE v.name = $1 AND f.time >= $2 AND f.time < $3 \
             ORDER BY f.time, f.delay, f.content LIMIT $4"
        )))
        .bind(vehicle.as_str())
        .bind(range.from.0)
        .bind(range.to.0)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(self.read())
        .await
        .map_err(|e| database_error("read a track", e))?;
        rows.iter().map(fix).collect()
    }

    /// The newest fix of every vehicle that may move a marker, to rebuild live state from. Of several with the same device time
    /// the one received first, as live state would have kept.
    pub async fn latest_fixes(&self) -> Result<Vec<Fix>> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM {FROM} WHERE f.flags & $1 = 0 AND f.time = (\
               SELECT g.time FROM fixes g WHERE g.vehicle_no = v.no AND g.flags & $1 = 0 \
               ORDER BY g.time DESC LIMIT 1) \
             ORDER BY v.name, f.delay, f.content"
        )))
        .bind(unplaceable())
        .fetch_all(self.read())
        .await
        .map_err(|e| database_error("read the newest positions", e))?;
        let mut fixes: Vec<Fix> = rows.iter().map(fix).collect::<Result<_>>()?;
        fixes.dedup_by(|b, a| a.vehicle == b.vehicle);
        Ok(fixes)
    }

    /// Deletes fixes with a device time before `time`; returns how many. One short transaction for each vehicle, so that the
    /// stream of new positions never waits long for the sweep.
    pub async fn delete_fixes_before(&self, time: UtcMicros) -> Result<u64> {
        let doing = "delete old positions";
        let vehicles: Vec<i64> = sqlx::query_scalar(
            "SELECT v.no FROM fix_vehicles v WHERE EXISTS (\
               SELECT 1 FROM fixes f WHERE f.vehicle_no = v.no AND f.time < $1)",
        )
        .bind(time.0)
        .fetch_all(self.read())
        .await
        .map_err(|e| database_error(doing, e))?;
        let mut deleted = 0;
        for no in vehicles {
            let mut tx = self.begin(doing).await?;
            deleted += sqlx::query("DELETE FROM fixes WHERE vehicle_no = $1 AND time < $2")
                .bind(no)
                .bind(time.0)
                .execute(&mut *tx)
                .await
                .map_err(|e| database_error(doing, e))?
                .rows_affected();
            tx.commit().await.map_err(|e| database_error(doing, e))?;
        }
        Ok(deleted)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Count,
    Names,
}

async fn append(
    tx: &mut Transaction<'static, Any>,
    numbers: &mut Numbers<'_>,
    fixes: &[Fix],
    answer: Answer,
) -> sqlx::Result<Option<Vec<bool>>> {
    let mut rows: Vec<PackedRow> = Vec::with_capacity(fixes.len());
    for fix in fixes {
        let fields = PackedFix::of(fix);
        rows.push(PackedRow {
            vehicle: numbers
                .of(tx, Names::Vehicles, fix.vehicle.as_str())
                .await?,
            source: numbers.of(tx, Names::Sources, &fix.source).await?,
            content: fields.content(),
            fields,
        });
    }
    let mut stored: HashSet<(i64, i64, i64)> = HashSet::new();
    let mut count = 0;
    let mut rest = rows.as_slice();
    for insert in INSERTS.iter() {
        while let Some((now, later)) = rest.split_at_checked(insert.rows) {
            rest = later;
            match answer {
                Answer::Count => {
                    let query = bind(sqlx::query(insert.counting.as_str()), now);
                    count += query.execute(&mut **tx).await?.rows_affected();
                }
                Answer::Names => {
                    let query = bind(sqlx::query(insert.naming.as_str()), now);
                    for row in query.fetch_all(&mut **tx).await? {
                        stored.insert((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
                    }
                }
            }
        }
    }
    match answer {
        Answer::Count if usize::try_from(count) == Ok(rows.len()) => {
            Ok(Some(vec![true; rows.len()]))
        }
        Answer::Count => Ok(None),
        // Of a repeat within the batch the first counts as new: `remove` answers `true` once.
        Answer::Names => Ok(Some(rows.iter().map(|r| stored.remove(&r.key())).collect())),
    }
}

struct PackedRow {
    vehicle: i64,
    source: i64,
    content: i64,
    fields: PackedFix,
}

impl PackedRow {
    fn key(&self) -> (i64, i64, i64) {
        (self.vehicle, self.fields.time, self.content)
    }
}

fn bind<'q>(
    mut query: Query<'q, Any, AnyArguments>,
    rows: &[PackedRow],
) -> Query<'q, Any, AnyArguments> {
    for row in rows {
        let p = &row.fields;
        query = query
            .bind(row.vehicle)
            .bind(p.time)
            .bind(row.content)
            .bind(p.delay)
            .bind(p.lon)
            .bind(p.lat)
            .bind(p.speed)
            .bind(p.course)
            .bind(p.altitude)
            .bind(p.ignition)
            .bind(p.flags)
            .bind(row.source);
    }
    query
}

fn fix(row: &AnyRow) -> Result<Fix> {
    let read = || -> sqlx::Result<(PackedFix, String, String)> {
        Ok((
            PackedFix {
                time: row.try_get("time")?,
                delay: row.try_get("delay")?,
                lon: row.try_get("lon")?,
                lat: row.try_get("lat")?,
                speed: row.try_get("speed")?,
                course: row.try_get("course")?,
                altitude: row.try_get("altitude")?,
                ignition: row.try_get("ignition")?,
                flags: row.try_get("flags")?,
            },
            row.try_get("vehicle")?,
            row.try_get("source")?,
        ))
    };
    let (packed, vehicle, source) = read().map_err(|e| database_error("read a position", e))?;
    Ok(packed.unpack(VehicleId::new(&vehicle)?, source))
}
