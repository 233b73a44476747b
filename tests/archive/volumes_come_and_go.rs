//! Several disks: cameras are spread over them, one that is lost is left and taken up again, nothing falls into its mount point.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tempfile::TempDir;
use zhenbei::archive::HealthState;
use zhenbei::config::{ArchiveConfig, VolumeConfig};
use zhenbei::model::{CameraId, GapCause, StreamKey};
use zhenbei::video::Ring;

use crate::footage;
use crate::house::{House, SECOND, T0, at, config, key, probe, range, tiles, until};
use crate::the_disk_fails::Faulty;

fn volume(folder: &TempDir, name: &str, cameras: &[&str]) -> VolumeConfig {
    let dir = folder.path().join(name);
    fs::create_dir_all(&dir).unwrap();
    VolumeConfig {
        name: name.into(),
        dir,
        cameras: cameras.iter().map(|c| (*c).to_owned()).collect(),
        ..VolumeConfig::default()
    }
}

/// `a` is the home of the camera, `b` takes the rest.
fn two(folder: &TempDir) -> ArchiveConfig {
    ArchiveConfig {
        volumes: vec![volume(folder, "a", &["cam-0*"]), volume(folder, "b", &[])],
        segment_ms: 4_000,
        ..config()
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![dir.to_path_buf()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|e| e == "mp4") {
                found.push(path);
            }
        }
    }
    found
}

async fn becomes(house: &House, name: &'static str, state: HealthState) {
    let archive = house.archive.clone();
    until("the volume's state", move || {
        let all = archive.volumes();
        all.iter()
            .any(|v| v.name == name && v.health.state == state)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_volume_is_left_and_taken_up_again() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let config = two(&folder);
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    let away = folder.path().join("away");
    let mut house = House::open(Arc::clone(&folder), config, None, T0).await;
    let f = footage::h264(30);
    house.play(&f, 0.0, 8.0, T0);
    house.durable(at(7.0)).await;
    assert!(!files(&a).is_empty() && files(&b).is_empty() && files(&house.dir()).is_empty());

    // The disk goes; its mount point stays.
    fs::rename(&a, &away).unwrap();
    fs::create_dir(&a).unwrap();
    becomes(&house, "a", HealthState::Paused).await;
    let health = house.archive.health();
    assert_eq!(health.state, HealthState::Degraded);
    let message = health.message.unwrap();
    assert!(
        message.contains("volume a: ") && message.contains("is gone"),
        "{message}"
    );
    house.play_on(&f, 8.0, 18.0, T0);
    house.durable(at(17.0)).await;
    assert!(!files(&b).is_empty());
    assert_eq!(
        fs::read_dir(&a).unwrap().count(),
        0,
        "the mount point stays empty"
    );

    fs::remove_dir(&a).unwrap();
    fs::rename(&away, &a).unwrap();
    let before = files(&a).len();
    becomes(&house, "a", HealthState::Ok).await;
    house.play_on(&f, 18.0, 30.0, T0);
    house.stop().await;
    assert!(files(&a).len() > before, "it is used again");
    assert_eq!(house.archive.health().state, HealthState::Ok);

    let asked = range(0.0, 30.0);
    let c = house.archive.coverage(&key(), asked).await.unwrap();
    assert_eq!(tiles(&c, asked), 30 * SECOND, "{c:?}");
    assert_eq!(
        probe(&house.bytes(asked).await).frames,
        750,
        "a clip over both"
    );
    let bytes: u64 = house.archive.volumes().iter().map(|v| v.bytes).sum();
    assert_eq!(bytes, house.archive.bytes());

    // All of it is found again, wherever it lies.
    let house = house.again(None, at(31.0)).await;
    let c = house.archive.coverage(&key(), asked).await.unwrap();
    assert_eq!(tiles(&c, asked), 30 * SECOND, "{c:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_is_away_at_the_start_is_read_back_when_it_comes() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let config = ArchiveConfig {
        // Nothing is in the index before the crash.
        sync_interval_ms: 10_000,
        ..two(&folder)
    };
    let (a, away) = (folder.path().join("a"), folder.path().join("away"));
    let house = House::open(Arc::clone(&folder), config, None, T0).await;
    let f = footage::h264(20);
    house.play(&f, 0.0, 10.0, T0);
    let dir = a.clone();
    until("it is written", move || files(&dir).len() >= 2).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    fs::rename(&a, &away).unwrap();
    fs::create_dir(&a).unwrap();
    let mut house = house.crash(at(12.0)).await;
    becomes(&house, "a", HealthState::Paused).await;
    house.play(&f, 12.0, 16.0, at(12.0));
    let archive = house.archive.clone();
    until("b records", move || archive.is_recording(&key())).await;
    assert_eq!(fs::read_dir(&a).unwrap().count(), 0);
    fs::remove_dir(&a).unwrap();
    fs::rename(&away, &a).unwrap();
    becomes(&house, "a", HealthState::Ok).await;
    house.play_on(&f, 16.0, 20.0, T0);
    house.stop().await;
    let asked = range(0.0, 20.0);
    let c = house.archive.coverage(&key(), asked).await.unwrap();
    tiles(&c, asked);
    // The last fragment before the crash was never written; the daemon was away for two seconds.
    let missing: Vec<_> = c.gaps.iter().map(|g| g.0).collect();
    assert_eq!(missing.len(), 1, "{c:?}");
    assert!(
        missing[0].from >= at(7.9) && missing[0].to <= at(12.1),
        "{c:?}"
    );
    let parts = house.db.archive_between(&key(), asked).await.unwrap();
    let mut seqs: Vec<i64> = parts
        .iter()
        .flat_map(|p| p.fragments.iter().map(|f| f.fragment.seq))
        .collect();
    let found = seqs.len();
    seqs.dedup();
    assert!(seqs.is_sorted() && seqs.len() == found, "{seqs:?}");
    probe(&house.bytes(asked).await);
}

/// `[archive] dir` with faults; `b` is a good disk that only takes `cam-9*`.
async fn one_bad_one_good() -> (House, Faulty) {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let config = ArchiveConfig {
        volumes: vec![volume(&folder, "b", &["cam-9*"])],
        ..config()
    };
    let bad = Faulty::new(folder.path().join("archive"));
    let house = House::open(folder, config, Some(Arc::new(bad.clone())), T0).await;
    (house, bad)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_disk_holds_up_nobody_elses_recordings() {
    let (mut house, slow) = one_bad_one_good().await;
    let other = StreamKey::main(CameraId::new("cam-900").unwrap());
    let ring = Ring::new(256 << 20);
    house.record_also(other.clone(), Arc::clone(&ring));
    let (archive, key_of_other) = (house.archive.clone(), other.clone());
    until("it records", move || archive.is_recording(&key_of_other)).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    // Each of its fragments takes four seconds: no round of its timer ends in the life of this test.
    slow.faults.write_ms.store(4_000, Ordering::Relaxed);
    let f = footage::h264(10);
    house.play(&f, 0.0, 10.0, T0);
    let first = std::mem::replace(&mut house.ring, ring);
    house.play(&f, 0.0, 10.0, T0);
    let mut durable = house.archive.watch_durable(&other);
    let good = durable.wait_for(|d| *d >= Some(at(9.0)));
    tokio::time::timeout(Duration::from_secs(20), good)
        .await
        .expect("the good disk's recordings are durable")
        .unwrap();
    let behind = house.archive.durable_until(&key());
    assert!(behind < Some(at(9.0)), "the slow disk was slow: {behind:?}");
    slow.faults.write_ms.store(0, Ordering::Relaxed);
    house.ring = first;
    house.durable(at(9.0)).await;
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cameras_leave_a_disk_that_cannot_be_written_and_come_back() {
    let (mut house, bad) = one_bad_one_good().await;
    let b = house.folder.path().join("b");
    let f = footage::h264(24);
    house.play(&f, 0.0, 4.0, T0);
    house.durable(at(3.0)).await;
    bad.faults.broken.store(true, Ordering::Relaxed);
    house.play_on(&f, 4.0, 6.0, T0);
    becomes(&house, "", HealthState::Paused).await;
    // The look at the disk comes every second.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    house.play_on(&f, 6.0, 14.0, T0);
    house.durable(at(13.0)).await;
    assert!(!files(&b).is_empty());
    assert_eq!(house.archive.health().state, HealthState::Degraded);
    bad.faults.broken.store(false, Ordering::Relaxed);
    becomes(&house, "", HealthState::Ok).await;
    let before = files(&house.dir()).len();
    house.play_on(&f, 14.0, 24.0, T0);
    house.stop().await;
    assert!(files(&house.dir()).len() > before, "they come back");
    let asked = range(0.0, 24.0);
    let c = house.archive.coverage(&key(), asked).await.unwrap();
    let recorded = tiles(&c, asked);
    assert!(recorded >= 19 * SECOND, "{c:?}");
    // While the test waited no picture came; a person would call that a stalled source.
    let causes = [GapCause::DiskError, GapCause::SourceStalled];
    assert!(c.gaps.iter().all(|g| causes.contains(&g.1)), "{c:?}");
    assert_eq!(c.gaps[0].1, GapCause::DiskError, "{c:?}");
    probe(&house.bytes(asked).await);
}
