//! Track history: an appended fix is there, once, in the order of device time.

use std::time::Instant;

use zhenbei::model::{
    Fix, FixFlag, FixFlags, GeoPoint, Ignition, Secret, TimeRange, UtcMicros, VehicleId,
};
use zhenbei::store::Database;

pub const T0: UtcMicros = UtcMicros(1_764_000_000_000_000);

pub fn fix(vehicle: &str, after_s: i64, lon: f64) -> Fix {
    let time = T0 + after_s * 1_000_000;
    Fix {
        vehicle: VehicleId::new(vehicle).unwrap(),
        time,
        received: time + 250_000,
        place: GeoPoint::new(lon, 38.2852).unwrap(),
        speed_kmh: Some(31.5),
        course_deg: None,
        altitude_m: Some(1_058.4),
        ignition: Some(Ignition::On),
        source: "mqtt:127.0.0.1:1883".into(),
        flags: FixFlags::default(),
    }
}

fn flagged(mut fix: Fix, flag: FixFlag) -> Fix {
    fix.flags.set(flag);
    fix
}

fn range(from_s: i64, to_s: i64) -> TimeRange {
    TimeRange::new(T0 + from_s * 1_000_000, T0 + to_s * 1_000_000).unwrap()
}

pub async fn suite(db: &Database) {
    what_is_appended_is_read_back_once(db).await;
    a_repeat_is_not_stored_again(db).await;
    the_newest_of_each_vehicle_rebuilds_the_wall(db).await;
    two_writers_share_the_names(db).await;
    old_fixes_are_deleted_and_young_ones_stay(db).await;
    a_thousand_vehicles_a_second_are_taken_many_times_over(db).await;
}

async fn what_is_appended_is_read_back_once(db: &Database) {
    let truck = VehicleId::new("read-back").unwrap();
    let fixes = [fix("read-back", 10, 109.73), fix("read-back", 0, 109.72)];
    assert_eq!(db.append_fixes(&fixes).await.unwrap(), [true, true]);
    assert!(db.append_fixes(&[]).await.unwrap().is_empty());
    let [late, early] = fixes;
    assert_eq!(
        db.fixes_in(&truck, range(0, 60), 100).await.unwrap(),
        [early.clone(), late],
        "whole, and by device time whatever the order of arrival"
    );
    assert_eq!(
        db.fixes_in(&truck, range(0, 10), 100).await.unwrap(),
        std::slice::from_ref(&early),
        "the end of a range is not in it"
    );
    assert_eq!(
        db.fixes_in(&truck, range(0, 60), 1).await.unwrap(),
        [early],
        "the oldest first"
    );
    let nobody = VehicleId::new("nobody").unwrap();
    assert_eq!(db.fixes_in(&nobody, range(0, 60), 9).await.unwrap(), []);
}

async fn a_repeat_is_not_stored_again(db: &Database) {
    let truck = VehicleId::new("repeat").unwrap();
    let first = fix("repeat", 0, 109.73);
    let mut again = flagged(first.clone(), FixFlag::Late);
    again.received = again.received + 9_000_000;
    again.source = "mqtt:other:1883".into();
    let mut other_content = first.clone();
    other_content.ignition = None;
    let new = db
        .append_fixes(&[first.clone(), first.clone(), other_content.clone()])
        .await
        .unwrap();
    assert_eq!(
        new,
        [true, false, true],
        "the same twice in one batch is one; same time and other content are two"
    );
    assert_eq!(
        db.append_fixes(&[again, fix("repeat", 1, 109.73)])
            .await
            .unwrap(),
        [false, true],
        "a redelivery is known whatever has changed on its way"
    );
    let kept = db.fixes_in(&truck, range(0, 60), 100).await.unwrap();
    assert_eq!(kept.len(), 3);
    assert!(kept.contains(&first) && kept.contains(&other_content));
}

async fn the_newest_of_each_vehicle_rebuilds_the_wall(db: &Database) {
    let newest = fix("rebuild-a", 20, 109.74);
    let mut same_time_later = fix("rebuild-a", 20, 109.99);
    same_time_later.received = same_time_later.received + 1_000_000;
    db.append_fixes(&[
        same_time_later,
        newest.clone(),
        fix("rebuild-a", 5, 109.73),
        flagged(fix("rebuild-a", 4_000, 109.75), FixFlag::Future),
        flagged(fix("rebuild-a", 30, 0.0), FixFlag::NullIsland),
        flagged(fix("rebuild-b", 1, 109.73), FixFlag::Jump),
        flagged(fix("rebuild-c", 1, 109.73), FixFlag::StaleTime),
    ])
    .await
    .unwrap();
    let mut latest = db.latest_fixes().await.unwrap();
    latest.retain(|f| f.vehicle.as_str().starts_with("rebuild"));
    assert_eq!(
        latest,
        [newest, flagged(fix("rebuild-b", 1, 109.73), FixFlag::Jump)],
        "the newest that may move a marker, and of equals the first received"
    );
}

async fn two_writers_share_the_names(db: &Database) {
    let (a, b): (Vec<Fix>, Vec<Fix>) = (0..40)
        .map(|i| {
            let name = format!("shared-{i}");
            (fix(&name, 0, 109.7), fix(&name, 1, 109.7))
        })
        .unzip();
    let (x, y) = tokio::join!(db.append_fixes(&a), db.append_fixes(&b));
    assert!(x.unwrap().into_iter().chain(y.unwrap()).all(|new| new));
    for f in &a {
        assert_eq!(
            db.fixes_in(&f.vehicle, range(0, 60), 9)
                .await
                .unwrap()
                .len(),
            2
        );
    }
}

async fn old_fixes_are_deleted_and_young_ones_stay(db: &Database) {
    let truck = VehicleId::new("retention").unwrap();
    let fixes: Vec<Fix> = (0..10)
        .map(|i| fix("retention", i - 1_000_000, 109.73))
        .collect();
    db.append_fixes(&fixes).await.unwrap();
    let cut = T0 - 999_995 * 1_000_000;
    assert_eq!(db.delete_fixes_before(cut).await.unwrap(), 5);
    assert_eq!(db.delete_fixes_before(cut).await.unwrap(), 0);
    let left = db
        .fixes_in(&truck, range(-2_000_000, 0), 100)
        .await
        .unwrap();
    assert_eq!(left, fixes[5..]);
}

async fn a_thousand_vehicles_a_second_are_taken_many_times_over(db: &Database) {
    let batches: Vec<Vec<Fix>> = (0..10)
        .map(|s| {
            (0..2_000)
                .map(|v| fix(&format!("fast-{v}"), s, 109.73))
                .collect()
        })
        .collect();
    let started = Instant::now();
    for batch in &batches {
        assert!(db.append_fixes(batch).await.unwrap().iter().all(|n| *n));
    }
    let rate = 20_000.0 / started.elapsed().as_secs_f64();
    println!(
        "{:?}: {rate:.0} fixes/s appended in commits of 2000",
        db.engine()
    );
    // An unoptimised build on a busy machine; the figure that counts is measured by the benches.
    assert!(rate > 500.0, "{rate:.0} fixes/s");
}

#[tokio::test]
async fn names_outlive_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let url = Secret::new(format!("sqlite:{}", dir.path().join("t.db").display()));
    for second in 0..3 {
        let db = Database::open(&url).await.unwrap();
        db.append_fixes(&[fix("truck-017", second, 109.73)])
            .await
            .unwrap();
        db.close().await;
    }
    let db = Database::open(&url).await.unwrap();
    let truck = VehicleId::new("truck-017").unwrap();
    assert_eq!(db.fixes_in(&truck, range(0, 60), 9).await.unwrap().len(), 3);
}
