//! A hold keeps exactly the pictures it names, in a file that still plays; what it does not need goes, and that is said.

use std::fs;
use std::os::unix::fs::MetadataExt;

use zhenbei::archive::{FloorState, HealthState};
use zhenbei::config::RetentionConfig;
use zhenbei::model::{GapCause, TimeRange};
use zhenbei::store::database::Hold;

use crate::footage;
use crate::house::{
    House, SECOND, T0, access_units, at, config, key, probe, probe_file, range, tiles, until,
};

const TWO_DAYS: f64 = 2.0 * 86_400.0;

fn hold(id: &str, range: TimeRange) -> Hold {
    Hold {
        id: id.into(),
        stream: key(),
        range,
        reason: "case 17".into(),
        created_at: T0,
    }
}

/// Twelve seconds in one file, to be deleted after a day.
async fn house() -> House {
    let mut config = config();
    config.segment_ms = 3_600_000;
    config.retention_days = 1.0;
    let mut house = House::with(config, None).await;
    house.play(&footage::h264(12), 0.0, 12.0, T0);
    house.stop().await;
    house
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_held_in_part_gives_the_rest_back_and_still_plays() {
    let house = house().await;
    let files = house.db.archive_paths(&key()).await.unwrap();
    assert_eq!(files.len(), 1);
    let path = house.dir().join(files.keys().next().unwrap());
    let (blocks, whole) = (fs::metadata(&path).unwrap().blocks(), house.archive.bytes());
    let held = range(5.0, 5.2);
    let before = house.bytes(held).await;
    let segment = house.db.archive_between(&key(), held).await.unwrap()[0]
        .row
        .segment
        .id;
    let tag = house.archive.segment(&key(), segment).await.unwrap().etag();
    house.db.put_archive_hold(&hold("h1", held)).await.unwrap();

    house.clock.set(at(TWO_DAYS));
    assert_eq!(
        house.archive.tidy().await.unwrap(),
        0,
        "no file goes as a whole"
    );
    assert_eq!(
        house.bytes(held).await,
        before,
        "the held range is the same bytes"
    );
    let played = probe_file(&path);
    assert!(played.frames > 0 && played.frames < 12 * 25, "{played:?}");
    let left = house.archive.bytes();
    assert!(left < whole / 2, "{left} of {whole}");
    let now = fs::metadata(&path).unwrap();
    assert!(now.blocks() < blocks, "the disk has them back");
    let again = house.archive.segment(&key(), segment).await.unwrap();
    assert!(
        again.len() > left && again.etag() != tag,
        "no cache answers with what is gone"
    );
    drop(again);

    let asked = range(0.0, 12.0);
    let c = house.archive.coverage(&key(), asked).await.unwrap();
    tiles(&c, asked);
    assert!(
        c.spans.len() == 1 && c.spans[0].contains(held.from),
        "{c:?}"
    );
    assert!(
        c.spans[0].micros() <= 2 * SECOND,
        "a GOP, not a file: {c:?}"
    );
    assert!(
        c.gaps.iter().all(|g| g.1 == GapCause::Retention) && c.gaps.len() == 2,
        "{c:?}"
    );
    let stones = house.db.archive_tombstones(&key(), asked).await.unwrap();
    assert_eq!(stones.len(), 2);
    assert!(
        stones
            .iter()
            .all(|t| t.in_part && t.actor == "retention" && t.rule == "retention_days = 1")
    );
    // The chain can be followed over the hole: its head is what the next fragment was sealed on.
    let parts = house.db.archive_between(&key(), asked).await.unwrap();
    let first_kept = parts[0].fragments[0].fragment.seq;
    assert_eq!(stones[0].last_seq + 1, first_kept);
    let bytes = fs::read(&path).unwrap();
    let at_seal = usize::try_from(parts[0].fragments[0].fragment.offset).unwrap() + 72;
    assert_eq!(bytes[at_seal..at_seal + 32], stones[0].last_sha256);
    assert!(house.db.archive_undone(10).await.unwrap().is_empty());
    assert_eq!(house.archive.tidy().await.unwrap(), 0, "nothing more");

    // The file alone tells all of it.
    let folder = std::sync::Arc::clone(&house.folder);
    let config = house.config.clone();
    house.db.close().await;
    drop(house);
    for name in ["index.db", "index.db-wal", "index.db-shm"] {
        fs::remove_file(folder.path().join(name)).ok();
    }
    let house = House::open(folder, config, None, at(TWO_DAYS)).await;
    let rebuilt = house.archive.coverage(&key(), asked).await.unwrap();
    assert_eq!((rebuilt.spans, &rebuilt.gaps[0]), (c.spans, &c.gaps[0]));
    assert_eq!(house.bytes(held).await, before);
    let told = house.db.archive_tombstones(&key(), asked).await.unwrap();
    assert_eq!(told, stones);
    assert_eq!(house.archive.bytes(), left);

    // Nobody needs it any more.
    assert_eq!(house.archive.tidy().await.unwrap(), 1);
    assert!(!path.try_exists().unwrap());
    assert_eq!(house.archive.bytes(), 0);
    assert_eq!(
        house
            .db
            .archive_tombstones(&key(), asked)
            .await
            .unwrap()
            .len(),
        3
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn holes_that_a_crash_left_unmade_are_made_later() {
    let house = house().await;
    let held = range(8.0, 9.0);
    house.db.put_archive_hold(&hold("h1", held)).await.unwrap();
    let path = house.dir().join(
        house
            .db
            .archive_paths(&key())
            .await
            .unwrap()
            .keys()
            .next()
            .unwrap(),
    );
    let full = fs::read(&path).unwrap();
    let before = access_units(&house.bytes(held).await);
    house.clock.set(at(TWO_DAYS));
    house.archive.tidy().await.unwrap();
    let punched = fs::read(&path).unwrap();
    assert_ne!(punched, full);
    // The crash came after the index and before the disk.
    fs::write(&path, &full).unwrap();
    let sql = "UPDATE archive_tombstones SET done = 0";
    let url = format!("sqlite:{}", house.folder.path().join("index.db").display());
    {
        use sqlx::Connection;
        let mut db = sqlx::SqliteConnection::connect(&url).await.unwrap();
        sqlx::query(sql).execute(&mut db).await.unwrap();
        db.close().await.unwrap();
    }
    let house = house.again(None, at(TWO_DAYS)).await;
    house.archive.tidy().await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), punched);
    assert_eq!(access_units(&house.bytes(held).await), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_only_held_recordings_are_left_the_volume_stops_and_says_so() {
    let f = footage::h264(20);
    let mut config = config();
    // What goes for want of space here is seconds old.
    config.legal_floor_days = 0.0;
    let mut house = House::with(config, None).await;
    house.play(&f, 0.0, 8.0, T0);
    house.stop().await;
    let bytes = house.archive.bytes();
    let all = range(0.0, 8.0);
    house.db.put_archive_hold(&hold("h1", all)).await.unwrap();
    house.config.max_bytes = bytes - 1;
    let mut house = house.again(None, at(10.0)).await;
    house.archive.tidy().await.unwrap();
    let health = house.archive.health();
    assert_eq!(health.state, HealthState::Paused);
    let message = health.message.unwrap();
    assert!(
        message.contains("only held recordings are left"),
        "{message}"
    );
    house.play(&f, 0.0, 4.0, at(10.0));
    house.end(at(14.0), None);
    let archive = house.archive.clone();
    let asked = range(0.0, 14.0);
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    house.archive.tidy().await.unwrap();
    let c = archive.coverage(&key(), asked).await.unwrap();
    tiles(&c, asked);
    assert_eq!(
        c.spans,
        [all],
        "nothing held is touched, nothing else fits: {c:?}"
    );
    assert!(
        c.gaps
            .iter()
            .any(|g| g.1 == GapCause::DiskFull && g.0.contains(at(12.0))),
        "{c:?}"
    );

    house.db.delete_archive_hold("h1").await.unwrap();
    house.archive.tidy().await.unwrap();
    assert_eq!(house.archive.health().state, HealthState::Ok);
    house.play(&f, 0.0, 4.0, at(20.0));
    house.stop().await;
    let c = house
        .archive
        .coverage(&key(), range(20.0, 24.0))
        .await
        .unwrap();
    assert_eq!(c.gaps, [], "it goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_class_of_cameras_has_its_own_limits() {
    let mut config = config();
    config.segment_ms = 2_000;
    config.retention = vec![
        RetentionConfig {
            class: "others".into(),
            cameras: vec!["cam-9*".into()],
            days: 90.0,
            max_bytes: 0,
        },
        RetentionConfig {
            class: "short".into(),
            cameras: vec!["area:6108*".into()],
            days: 0.5,
            max_bytes: 0,
        },
        RetentionConfig {
            class: "small".into(),
            cameras: vec!["cam-0*".into()],
            days: 0.0,
            max_bytes: 0,
        },
    ];
    let mut house = House::with(config, None).await;
    house.play(&footage::h264(12), 0.0, 12.0, T0);
    house.stop().await;
    let bytes = house.archive.bytes();
    house.config.retention[2].max_bytes = bytes / 2;
    let mut house = house.again(None, at(20.0)).await;
    assert!(house.archive.tidy().await.unwrap() > 0);
    assert!(house.archive.bytes() <= bytes / 2);
    let rule = format!("class_max_bytes = {} (small)", bytes / 2);
    let stones = house
        .db
        .archive_tombstones(&key(), range(0.0, 12.0))
        .await
        .unwrap();
    assert!(stones.iter().all(|t| t.rule == rule), "{stones:?}");
    house.stop().await;
    // The area is known now, and another rule counts.
    let house = house.again(None, at(86_400.0 * 0.6)).await;
    house
        .archive
        .know_areas(std::sync::Arc::new(|_| Some("610802".into())));
    house.archive.tidy().await.unwrap();
    assert_eq!(house.archive.bytes(), 0);
    let stones = house
        .db
        .archive_tombstones(&key(), range(0.0, 12.0))
        .await
        .unwrap();
    assert_eq!(stones.last().unwrap().rule, "class_days = 0.5 (short)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_will_not_hold_the_legal_floor_says_so_days_ahead() {
    let mut house = House::new().await;
    house.play(&footage::h264(12), 0.0, 12.0, T0);
    house.stop().await;
    let bytes = house.archive.bytes();
    house.clock.set(at(7_200.0));
    house.archive.tidy().await.unwrap();
    let f = house.archive.volumes()[0].forecast.clone().unwrap();
    assert_eq!(f.bytes_per_day, Some(bytes * 12), "of two hours");
    assert_eq!(f.floor, FloorState::Kept);
    assert_eq!(house.archive.health().state, HealthState::Ok);

    // Ten days fit, thirty are asked for.
    house.config.max_bytes = bytes * 120;
    let house = house.again(None, at(7_200.0)).await;
    house.archive.tidy().await.unwrap();
    let f = house.archive.volumes()[0].forecast.clone().unwrap();
    assert!(
        matches!(f.floor, FloorState::Short { hours } if hours > 72.0 && hours < 240.0),
        "{f:?}"
    );
    let health = house.archive.health();
    assert_eq!(health.state, HealthState::Degraded);
    let message = health.message.unwrap();
    assert!(
        message.contains("it will hold 10.0 days, not 30"),
        "{message}"
    );
    let archive = house.archive.clone();
    until("recording goes on", move || archive.is_recording(&key())).await;
    probe(&house.bytes(range(0.0, 12.0)).await);
}
