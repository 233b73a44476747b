//! Live state: the newest by device time wins, found by place; a lost Redis is quick to say so and quick to come back.

use std::time::{Duration, Instant};

use zhenbei::model::{BoundingBox, ErrorKind, Fix, GeoPoint, Secret, VehicleId};
use zhenbei::store::LiveState;
use zhenbei::store::live::{MemoryLive, RedisLive};

use super::support::servers;
use super::tracks::fix;

fn at(vehicle: &str, after_s: i64, lon: f64, lat: f64) -> Fix {
    let mut f = fix(vehicle, after_s, lon);
    f.place = GeoPoint::new(lon, lat).unwrap();
    f
}

fn names(fixes: &[Fix]) -> Vec<&str> {
    let mut names: Vec<_> = fixes.iter().map(|f| f.vehicle.as_str()).collect();
    names.sort_unstable();
    names
}

async fn suite(live: &dyn LiveState) {
    live.ping().await.unwrap();
    newest_by_device_time_wins(live).await;
    found_by_place(live).await;
    forgotten_when_told(live).await;
}

async fn newest_by_device_time_wins(live: &dyn LiveState) {
    let truck = VehicleId::new("truck-017").unwrap();
    assert_eq!(live.latest(&truck).await.unwrap(), None);
    let (old, new) = (fix("truck-017", 0, 109.70), fix("truck-017", 9, 109.74));
    assert_eq!(
        live.put(&[old.clone(), new.clone()]).await.unwrap(),
        [old.clone(), new.clone()]
    );
    assert_eq!(
        live.put(&[old]).await.unwrap(),
        [],
        "an older one is not taken"
    );
    let mut rival = new.clone();
    rival.place.lon = 109.99;
    assert_eq!(
        live.put(&[rival]).await.unwrap(),
        [],
        "of two with the same time the first stays"
    );
    assert_eq!(
        live.latest(&truck).await.unwrap(),
        Some(new),
        "read back whole"
    );
    assert_eq!(live.put(&[]).await.unwrap(), []);
}

async fn found_by_place(live: &dyn LiveState) {
    live.put(&[
        at("yulin-1", 0, 109.7300, 38.2900),
        at("yulin-2", 0, 109.7310, 38.2900),
        at("yulin-3", 0, 109.8300, 38.2900),
        at("fiji-east", 0, 179.9, -17.0),
        at("fiji-west", 0, -179.9, -17.0),
        at("north", 0, 15.0, 88.0),
    ])
    .await
    .unwrap();
    let yulin = GeoPoint::new(109.7301, 38.2900).unwrap();
    let near = live.nearest(yulin, 1_000.0, 10).await.unwrap();
    let order: Vec<_> = near
        .iter()
        .map(|f| f.vehicle.as_str())
        .filter(|v| v.starts_with("yulin"))
        .collect();
    assert_eq!(order, ["yulin-1", "yulin-2"], "nearest first");
    assert_eq!(live.nearest(yulin, 1_000.0, 1).await.unwrap().len(), 1);
    assert_eq!(live.nearest(yulin, 0.001, 10).await.unwrap(), []);

    let bounds = |west, south, east, north| {
        Some(BoundingBox {
            west,
            south,
            east,
            north,
        })
    };
    let city = live
        .within(bounds(109.725, 38.28, 109.735, 38.30))
        .await
        .unwrap();
    assert_eq!(names(&city), ["yulin-1", "yulin-2"]);
    let edge = live
        .within(bounds(109.7300, 38.2900, 109.7310, 38.2900))
        .await
        .unwrap();
    assert_eq!(names(&edge), ["yulin-1", "yulin-2"], "edges are inside");
    let fiji = live
        .within(bounds(179.0, -18.0, -179.0, -16.0))
        .await
        .unwrap();
    assert_eq!(
        names(&fiji),
        ["fiji-east", "fiji-west"],
        "over the 180° meridian"
    );
    let date_line = GeoPoint::new(179.95, -17.0).unwrap();
    assert_eq!(
        names(&live.nearest(date_line, 30_000.0, 5).await.unwrap()),
        ["fiji-east", "fiji-west"]
    );
    let arctic = live.within(bounds(0.0, 80.0, 30.0, 90.0)).await.unwrap();
    assert_eq!(names(&arctic), ["north"]);
    let all = live.within(None).await.unwrap();
    assert_eq!(all.len(), 7);
    let pole = GeoPoint::new(15.0, 88.1).unwrap();
    assert_eq!(
        names(&live.nearest(pole, 50_000.0, 5).await.unwrap()),
        ["north"]
    );

    // It moves away: found at the new place only.
    live.put(&[at("yulin-1", 5, 110.5, 38.29)]).await.unwrap();
    let city = live
        .within(bounds(109.725, 38.28, 109.735, 38.30))
        .await
        .unwrap();
    assert_eq!(names(&city), ["yulin-2"]);
}

async fn forgotten_when_told(live: &dyn LiveState) {
    let gone = VehicleId::new("yulin-2").unwrap();
    live.forget(&gone).await.unwrap();
    assert_eq!(live.latest(&gone).await.unwrap(), None);
    assert_eq!(live.within(None).await.unwrap().len(), 6);
    live.put(&[fix("ancient", -500_000, 109.7)]).await.unwrap();
    let limit = fix("x", -400_000, 0.0).received;
    assert_eq!(live.forget_older(limit).await.unwrap(), 1);
    assert_eq!(live.within(None).await.unwrap().len(), 6);
    // Forgotten means that an older one is welcome again.
    assert_eq!(
        live.put(&[fix("yulin-2", -9, 109.7)]).await.unwrap().len(),
        1
    );
}

#[tokio::test]
async fn memory_keeps_the_promises() {
    suite(&MemoryLive::new()).await;
}

#[tokio::test]
async fn redis_keeps_the_promises() {
    let server = servers::redis();
    let url = Secret::new(format!("redis://127.0.0.1:{}/", server.port));
    suite(&RedisLive::open(&url, None).unwrap()).await;
}

#[tokio::test]
async fn two_prefixes_do_not_see_each_other() {
    let server = servers::redis();
    let url = Secret::new(format!("redis://127.0.0.1:{}/", server.port));
    let a = RedisLive::open(&url, Some("a:")).unwrap();
    let b = RedisLive::open(&url, Some("b:")).unwrap();
    a.put(&[fix("truck-017", 0, 109.7)]).await.unwrap();
    assert_eq!(b.within(None).await.unwrap(), []);
    assert_eq!(a.within(None).await.unwrap().len(), 1);
}

#[tokio::test]
async fn two_writers_never_bring_an_older_fix_back() {
    let server = servers::redis();
    let url = Secret::new(format!("redis://127.0.0.1:{}/", server.port));
    let a = RedisLive::open(&url, None).unwrap();
    let b = RedisLive::open(&url, None).unwrap();
    for second in 0..50 {
        let newer = [fix("truck-017", second, 109.7)];
        let older = [fix("truck-017", second - 1, 109.6)];
        let (x, y) = tokio::join!(a.put(&newer), b.put(&older));
        x.unwrap();
        y.unwrap();
        let held = a.within(None).await.unwrap();
        assert_eq!(held, newer);
    }
}

#[tokio::test]
async fn a_dead_redis_is_said_within_a_second_and_a_new_one_is_taken_up() {
    let mut server = servers::redis();
    let url = Secret::new(format!("redis://:secret-word@127.0.0.1:{}/", server.port));
    let plain = Secret::new(format!("redis://127.0.0.1:{}/", server.port));
    let live = RedisLive::open(&plain, None).unwrap();
    live.put(&[fix("truck-017", 9, 109.7)]).await.unwrap();
    server.kill();

    for _ in 0..3 {
        let started = Instant::now();
        let error = live
            .put(&[fix("truck-017", 10, 109.7)])
            .await
            .expect_err("Redis is dead");
        assert!(
            started.elapsed() < Duration::from_millis(1_200),
            "{:?}",
            started.elapsed()
        );
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
    let error = RedisLive::open(&url, None)
        .unwrap()
        .ping()
        .await
        .expect_err("Redis is dead");
    assert!(
        error.detail().contains("Redis at") && !error.chain().contains("secret-word"),
        "{error}"
    );

    let _again = servers::redis_at(server.port);
    let give_up = Instant::now() + Duration::from_secs(10);
    while live.ping().await.is_err() {
        assert!(Instant::now() < give_up, "never came back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(
        live.within(None).await.unwrap(),
        [],
        "a restarted Redis is empty"
    );
    // What was refused as older before is taken now: the script and its data are gone with the server.
    assert_eq!(
        live.put(&[fix("truck-017", 1, 109.7)]).await.unwrap().len(),
        1
    );
}
