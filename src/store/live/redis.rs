//! Live state shared by several processes, in Redis.
//!
//! Keys, all under the prefix: `fix:{vehicle}` a hash with `t` (device time) and `f` (the fix), `geo` the places, `seen` the
//! vehicles by receive time. A script compares device times, so two writers cannot bring an older fix back. A Redis that does not
//! answer costs a caller at most [`PATIENCE`]; one that restarts empty is simply empty.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Pipeline, RedisResult, Script};

use super::memory::nearest_first;
use super::{LiveState, PackedFix};
use crate::model::{BoundingBox, Error, Fix, GeoPoint, Result, Secret, UtcMicros, VehicleId};

const PATIENCE: Duration = Duration::from_millis(900);
/// Fixes in one script call, vehicles in one pipeline: a call of this size takes Redis about a millisecond.
const CHUNK: usize = 500;
/// Redis keeps places only up to this latitude (EPSG:3857).
const GEO_MAX_LAT: f64 = 85.05;

const PUT: &str = r"
local taken = {}
for i = 0, (#ARGV - 1) / 6 - 1 do
  local at = 2 + i * 6
  local id, time = ARGV[at], ARGV[at + 1]
  local key = ARGV[1] .. 'fix:' .. id
  local held = redis.call('HGET', key, 't')
  if not held or tonumber(held) < tonumber(time) then
    redis.call('HSET', key, 't', time, 'f', ARGV[at + 5])
    redis.call('ZADD', KEYS[2], ARGV[at + 2], id)
    redis.call('GEOADD', KEYS[1], ARGV[at + 3], ARGV[at + 4], id)
    taken[#taken + 1] = i
  end
end
return taken
";

pub struct RedisLive {
    connection: ConnectionManager,
    prefix: String,
    put: Script,
    /// For error texts, without the password.
    address: String,
}

impl RedisLive {
    /// Does not connect yet: a Redis that is down must not stop the daemon from starting. Needs a tokio runtime.
    pub fn open(url: &Secret, prefix: Option<&str>) -> Result<Self> {
        let address = url.redacted();
        let bad = |e: redis::RedisError| {
            Error::invalid(
                "bad_redis_url",
                format!("[redis] url `{address}` cannot be used; write redis://HOST:6379/0"),
            )
            .because(e)
        };
        let client = redis::Client::open(url.reveal()).map_err(bad)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(Duration::from_millis(500)))
            .set_response_timeout(Some(Duration::from_millis(800)))
            .set_min_delay(Duration::from_millis(50))
            .set_max_delay(Duration::from_millis(500))
            .set_number_of_retries(2);
        let connection = ConnectionManager::new_lazy_with_config(client, config).map_err(bad)?;
        Ok(Self {
            connection,
            prefix: prefix.unwrap_or("zhenbei:").to_owned(),
            put: Script::new(PUT),
            address,
        })
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn fix_key(&self, vehicle: &str) -> String {
        format!("{}fix:{vehicle}", self.prefix)
    }

    async fn ask<T>(
        &self,
        doing: &'static str,
        answer: impl Future<Output = RedisResult<T>> + Send,
    ) -> Result<T> {
        let down = |why: &str| {
            Error::unavailable(
                "live_state_down",
                format!(
                    "Redis at {} could not {doing}: {why}; positions are served from this process until it is back",
                    self.address
                ),
            )
        };
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(e)) => Err(down("it refused or the connection failed").because(e)),
            Err(_) => Err(down("no answer in time")),
        }
    }

    /// The fixes of these vehicles; those that are not held are left out.
    async fn fixes(&self, vehicles: &[String]) -> Result<Vec<Fix>> {
        let mut found = Vec::with_capacity(vehicles.len());
        for chunk in vehicles.chunks(CHUNK) {
            let mut pipe = Pipeline::with_capacity(chunk.len());
            for id in chunk {
                pipe.cmd("HGET").arg(self.fix_key(id)).arg("f");
            }
            let mut connection = self.connection.clone();
            let texts: Vec<Option<String>> = self
                .ask("read positions", pipe.query_async(&mut connection))
                .await?;
            found.extend(
                chunk
                    .iter()
                    .zip(texts)
                    .filter_map(|(id, text)| parse(id, &text?)),
            );
        }
        Ok(found)
    }

    async fn everyone(&self) -> Result<Vec<String>> {
        let mut connection = self.connection.clone();
        let mut command = redis::cmd("ZRANGE");
        command.arg(self.key("seen")).arg(0).arg(-1);
        self.ask("list vehicles", command.query_async(&mut connection))
            .await
    }

    async fn search(&self, command: redis::Cmd) -> Result<Vec<String>> {
        let mut connection = self.connection.clone();
        self.ask(
            "search positions",
            command.query_async::<Vec<String>>(&mut connection),
        )
        .await
    }
}

/// `packed;source`
fn parse(id: &str, text: &str) -> Option<Fix> {
    let (packed, source) = text.split_once(';')?;
    Some(PackedFix::from_text(packed)?.unpack(VehicleId::new(id).ok()?, source.to_owned()))
}

const METRES_PER_DEGREE: f64 = 111_320.0;

/// Centre, width and height in metres of a box that holds `b` with a margin. `None` where Redis' search does not reach: near the
/// poles, over the 180° meridian, half the world at once.
fn geo_box(b: BoundingBox) -> Option<(f64, f64, f64, f64)> {
    let (width, height) = (b.east - b.west, b.north - b.south);
    let reaches = b.south >= -80.0
        && b.north <= 80.0
        && (0.0..=60.0).contains(&width)
        && (0.0..=60.0).contains(&height);
    if !reaches {
        return None;
    }
    let nearest_equator = if b.south <= 0.0 && b.north >= 0.0 {
        0.0
    } else {
        b.south.abs().min(b.north.abs())
    };
    // Great circles bow towards the pole, hence the margin; the answer is filtered exactly.
    let wide = width * METRES_PER_DEGREE * nearest_equator.to_radians().cos() * 1.05 + 100.0;
    let high = height * METRES_PER_DEGREE * 1.05 + 100.0;
    Some((
        f64::midpoint(b.west, b.east),
        f64::midpoint(b.south, b.north),
        wide,
        high,
    ))
}

/// Whether a circle stays where Redis' search works.
fn circle_reaches(centre: GeoPoint, radius_m: f64) -> bool {
    let degrees = radius_m / METRES_PER_DEGREE;
    let lat = centre.lat.abs() + degrees;
    lat < 80.0 && centre.lon.abs() + degrees / lat.to_radians().cos() < 180.0
}

#[async_trait]
impl LiveState for RedisLive {
    async fn put(&self, fixes: &[Fix]) -> Result<Vec<Fix>> {
        let mut taken = Vec::new();
        for chunk in fixes.chunks(CHUNK) {
            let mut call = self.put.prepare_invoke();
            call.key(self.key("geo"))
                .key(self.key("seen"))
                .arg(&self.prefix);
            for fix in chunk {
                let packed = PackedFix::of(fix);
                call.arg(fix.vehicle.as_str())
                    .arg(fix.time.0)
                    .arg(fix.received.0)
                    .arg(fix.place.lon)
                    .arg(fix.place.lat.clamp(-GEO_MAX_LAT, GEO_MAX_LAT))
                    .arg(format!("{};{}", packed.to_text(), fix.source));
            }
            let mut connection = self.connection.clone();
            let indexes: Vec<usize> = self
                .ask("take positions", call.invoke_async(&mut connection))
                .await?;
            taken.extend(indexes.into_iter().filter_map(|i| chunk.get(i)).cloned());
        }
        Ok(taken)
    }

    async fn latest(&self, vehicle: &VehicleId) -> Result<Option<Fix>> {
        Ok(self.fixes(&[vehicle.as_str().to_owned()]).await?.pop())
    }

    async fn within(&self, bounds: Option<BoundingBox>) -> Result<Vec<Fix>> {
        let ids = match bounds.and_then(geo_box) {
            Some((lon, lat, wide, high)) => {
                let mut command = redis::cmd("GEOSEARCH");
                command
                    .arg(self.key("geo"))
                    .arg("FROMLONLAT")
                    .arg(lon)
                    .arg(lat)
                    .arg("BYBOX")
                    .arg(wide)
                    .arg(high)
                    .arg("m");
                self.search(command).await?
            }
            None => self.everyone().await?,
        };
        let mut fixes = self.fixes(&ids).await?;
        if let Some(b) = bounds {
            fixes.retain(|f| b.contains(f.place));
        }
        Ok(fixes)
    }

    async fn nearest(&self, to: GeoPoint, radius_m: f64, limit: usize) -> Result<Vec<Fix>> {
        let ids = if !circle_reaches(to, radius_m) {
            self.everyone().await?
        } else {
            let mut command = redis::cmd("GEOSEARCH");
            // Redis rounds places to half a metre: ask for a little more, then measure exactly.
            command
                .arg(self.key("geo"))
                .arg("FROMLONLAT")
                .arg(to.lon)
                .arg(to.lat)
                .arg("BYRADIUS")
                .arg(radius_m.max(0.0) * 1.001 + 1.0)
                .arg("m")
                .arg("ASC")
                .arg("COUNT")
                .arg(limit.clamp(1, 1_000_000) + 16);
            self.search(command).await?
        };
        let fixes = self.fixes(&ids).await?;
        Ok(nearest_first(fixes.into_iter(), to, radius_m, limit))
    }

    async fn forget(&self, vehicle: &VehicleId) -> Result<()> {
        let mut pipe = redis::pipe();
        pipe.atomic();
        pipe.cmd("DEL").arg(self.fix_key(vehicle.as_str())).ignore();
        pipe.cmd("ZREM")
            .arg(self.key("geo"))
            .arg(vehicle.as_str())
            .ignore();
        pipe.cmd("ZREM")
            .arg(self.key("seen"))
            .arg(vehicle.as_str())
            .ignore();
        let mut connection = self.connection.clone();
        self.ask("forget a vehicle", async {
            pipe.query_async::<()>(&mut connection).await
        })
        .await
    }

    async fn forget_older(&self, received: UtcMicros) -> Result<usize> {
        let mut command = redis::cmd("ZRANGE");
        command
            .arg(self.key("seen"))
            .arg("-inf")
            .arg(format!("({}", received.0))
            .arg("BYSCORE");
        let ids = self.search(command).await?;
        // A vehicle may have come back since the question: only what is still old is forgotten.
        let held: HashMap<String, Fix> = self
            .fixes(&ids)
            .await?
            .into_iter()
            .map(|f| (f.vehicle.as_str().to_owned(), f))
            .collect();
        let mut forgotten = 0;
        for id in &ids {
            let old = held.get(id).is_none_or(|f| f.received < received);
            if old && let Ok(vehicle) = VehicleId::new(id) {
                self.forget(&vehicle).await?;
                forgotten += 1;
            }
        }
        Ok(forgotten)
    }

    async fn ping(&self) -> Result<()> {
        let mut connection = self.connection.clone();
        let command = redis::cmd("PING");
        self.ask("answer a ping", async {
            command.query_async::<()>(&mut connection).await
        })
        .await
    }
}
