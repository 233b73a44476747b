//! Old recordings go, held ones stay, and what went is said.

use std::fs;
use std::time::Duration;

use futures_util::StreamExt;
use sqlx::Connection;
use zhenbei::model::{GapCause, Secret, TimeRange};
use zhenbei::store::Database;
use zhenbei::store::database::{ArchiveCommit, Burial, Hold, SegmentPart, Tombstone};

use crate::house::{House, T0, at, key, range, tiles};
use crate::{footage, support};

async fn house() -> House {
    let mut config = crate::house::config();
    config.segment_ms = 2_000;
    config.retention_days = 1.0;
    let mut house = House::with(config, None).await;
    house.play(&footage::h264(12), 0.0, 12.0, T0);
    house.stop().await;
    house
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_old_goes_and_leaves_a_tombstone() {
    let house = house().await;
    let files = house.db.archive_paths(&key()).await.unwrap();
    assert!(files.len() >= 5);
    let bytes = house.archive.bytes();
    assert_eq!(house.archive.tidy().await.unwrap(), 0);
    // A day after the first six seconds.
    house.clock.set(at(86_400.0 + 6.1));
    let gone = house.archive.tidy().await.unwrap();
    assert!(gone >= 2 && gone < files.len(), "{gone}");
    assert!(house.archive.bytes() < bytes);
    let asked = range(0.0, 12.0);
    let c = house.archive.coverage(&key(), asked).await.unwrap();
    tiles(&c, asked);
    assert_eq!(c.gaps.len(), 1);
    assert_eq!(
        (c.gaps[0].0.from, c.gaps[0].1),
        (at(0.0), GapCause::Retention)
    );
    let tombstones = house.db.archive_tombstones(&key(), asked).await.unwrap();
    assert_eq!(tombstones.len(), gone);
    assert!(tombstones.iter().all(|t| t.rule == "retention_days = 1"));
    for (path, _) in files {
        let stays = !tombstones.iter().any(|t| t.path == path);
        assert_eq!(
            house.dir().join(&path).try_exists().unwrap(),
            stays,
            "{path}"
        );
    }
    let e = house
        .archive
        .clip(&key(), range(0.0, 1.0))
        .await
        .unwrap_err();
    assert!(e.detail().contains("retention"), "{e}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_stays_and_what_is_read_waits() {
    let house = house().await;
    house
        .db
        .put_archive_hold(&hold(range(3.0, 3.1)))
        .await
        .unwrap();
    let clip = house.clip(range(8.0, 9.0)).await;
    house.clock.set(at(10.0 * 86_400.0));
    house.archive.tidy().await.unwrap();
    let asked = range(0.0, 12.0);
    let c = house.archive.coverage(&key(), asked).await.unwrap();
    tiles(&c, asked);
    let covered = |t: f64| c.spans.iter().any(|s| s.contains(at(t)));
    assert!(covered(3.0) && covered(3.05) && covered(8.5), "{c:?}");
    assert!(!covered(0.5) && !covered(11.5), "{c:?}");
    {
        // Half-way through a download, without the clip.
        let mut stream = Box::pin(clip.read(0..u64::MAX));
        drop(clip);
        stream.next().await.unwrap().unwrap();
        house.archive.tidy().await.unwrap();
        while let Some(chunk) = stream.next().await {
            chunk.unwrap();
        }
    }
    house.archive.tidy().await.unwrap();
    let e = house
        .archive
        .clip(&key(), range(8.0, 9.0))
        .await
        .unwrap_err();
    assert_eq!(e.code(), "no_footage", "nobody reads it any more");
    assert!(
        house.archive.clip(&key(), range(2.9, 3.2)).await.is_ok(),
        "held"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_put_at_the_last_moment_still_counts() {
    let house = house().await;
    let asked = range(0.0, 12.0);
    let parts = house.db.archive_between(&key(), asked).await.unwrap();
    // Retention has looked at the holds and decided; now somebody puts one.
    let tombstones: Vec<Burial> = parts[..2].iter().map(burial).collect();
    let hold = hold(parts[1].row.range());
    house.db.put_archive_hold(&hold).await.unwrap();
    let buried = house.db.archive_bury(&tombstones).await.unwrap();
    assert_eq!(buried, [parts[0].row.segment.id]);
    let left = house.db.archive_between(&key(), asked).await.unwrap();
    assert_eq!(left, parts[1..]);
    let held = parts[1].row.segment.id;
    assert!(!house.db.archive_is_buried(held).await.unwrap());
    house.db.delete_archive_hold(&hold.id).await.unwrap();
    let buried = house.db.archive_bury(&tombstones[1..]).await.unwrap();
    assert_eq!(buried, [held]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_being_put_on_postgresql_is_waited_for() {
    let house = house().await;
    let parts = house
        .db
        .archive_between(&key(), range(0.0, 12.0))
        .await
        .unwrap();
    let server = support::servers::postgres();
    let db = Database::open(&Secret::new(server.url())).await.unwrap();
    let commit = ArchiveCommit {
        segments: parts[..2].to_vec(),
        ..ArchiveCommit::default()
    };
    db.archive_commit(&commit).await.unwrap();
    let hold = hold(parts[1].row.range());

    // Another process has put it and not yet committed.
    let mut other = sqlx::PgConnection::connect(&server.url()).await.unwrap();
    sqlx::query("BEGIN").execute(&mut other).await.unwrap();
    sqlx::query(
        "INSERT INTO archive_holds (id, camera, role, from_us, to_us, reason, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(&hold.id)
    .bind(hold.stream.camera.as_str())
    .bind(hold.stream.role.as_str())
    .bind(hold.range.from.micros())
    .bind(hold.range.to.micros())
    .bind(&hold.reason)
    .bind(hold.created_at.micros())
    .execute(&mut other)
    .await
    .unwrap();
    let tombstones: Vec<Burial> = parts[..2].iter().map(burial).collect();
    let mut bury = Box::pin(db.archive_bury(&tombstones));
    let early = tokio::time::timeout(Duration::from_millis(500), &mut bury).await;
    assert!(early.is_err(), "decided without the hold: {early:?}");
    sqlx::query("COMMIT").execute(&mut other).await.unwrap();
    let buried = tokio::time::timeout(Duration::from_secs(20), bury).await;
    assert_eq!(buried.unwrap().unwrap(), [parts[0].row.segment.id]);
    db.close().await;
}

fn burial(part: &SegmentPart) -> Burial {
    Burial {
        first_seq: part.row.first_seq,
        runs: vec![(tombstone(part), part.row.ended)],
    }
}

fn tombstone(part: &SegmentPart) -> Tombstone {
    let (row, last) = (&part.row, part.fragments.last().unwrap());
    Tombstone {
        segment: row.segment.id,
        stream: row.segment.stream.clone(),
        path: row.segment.path.clone(),
        range: row.range(),
        first_seq: row.first_seq,
        last_seq: last.fragment.seq,
        last_sha256: last.fragment.sha256,
        byte_from: 0,
        bytes: row.bytes,
        rule: "retention_days = 1".into(),
        actor: "retention".into(),
        in_part: false,
        deleted_at: at(90_000.0),
    }
}

fn hold(range: TimeRange) -> Hold {
    Hold {
        id: "hold-1".into(),
        stream: key(),
        range,
        reason: "case 17".into(),
        created_at: T0,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_counts_against_max_bytes_is_what_is_on_the_disk() {
    let house = house().await;
    let files = house.db.archive_paths(&key()).await.unwrap();
    assert!(files.len() >= 5);
    let on_disk = |path| fs::metadata(house.dir().join(path)).unwrap().len();
    assert_eq!(
        house.archive.bytes(),
        files.keys().map(on_disk).sum::<u64>(),
        "heads of files too"
    );
    house.clock.set(at(10.0 * 86_400.0));
    house.archive.tidy().await.unwrap();
    assert_eq!(house.archive.bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_go_when_there_is_too_much() {
    let mut house = house().await;
    let half = house.archive.bytes() / 2;
    house.config.max_bytes = half;
    let mut house = house.again(None, at(20.0)).await;
    house.archive.tidy().await.unwrap();
    assert!(house.archive.bytes() <= half);
    let c = house
        .archive
        .coverage(&key(), range(0.0, 12.0))
        .await
        .unwrap();
    assert_eq!(c.gaps[0].0.from, at(0.0), "the oldest go first");
    assert_eq!(c.gaps.len(), 1);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_cut_short_is_finished_and_nothing_comes_back() {
    let mut house = house().await;
    let files = house.db.archive_paths(&key()).await.unwrap();
    let kept: Vec<(String, Vec<u8>)> = files
        .keys()
        .map(|p| (p.clone(), fs::read(house.dir().join(p)).unwrap()))
        .collect();
    house.clock.set(at(10.0 * 86_400.0));
    let gone = house.archive.tidy().await.unwrap();
    assert_eq!(gone, files.len());
    // The crash came after the tombstones and before the files went.
    for (path, bytes) in &kept {
        let path = house.dir().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    house.stop().await;
    let house = house.again(None, at(10.0 * 86_400.0)).await;
    for (path, _) in &kept {
        assert!(!house.dir().join(path).try_exists().unwrap(), "{path}");
    }
    assert!(house.db.archive_paths(&key()).await.unwrap().is_empty());
    assert_eq!(
        house.archive.durable_until(&key()),
        Some(at(12.0)),
        "the chain goes on"
    );
}
