//! After a crash everything durable plays, the hole is one gap, and the index comes back from the files.

use std::fs::{self, OpenOptions};
use std::path::PathBuf;

use zhenbei::model::GapCause;

use crate::footage;
use crate::house::{House, T0, access_units, at, key, probe, probe_file, range, tiles};

fn files(house: &House) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![house.dir()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|e| e == "mp4") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hole_is_one_gap_and_what_was_durable_plays() {
    let house = House::new().await;
    let f = footage::h264(12);
    house.play(&f, 0.0, 6.5, T0);
    house.durable(at(6.0)).await;
    let mut house = house.crash(at(10.0)).await;
    assert_eq!(house.archive.durable_until(&key()), Some(at(6.0)));
    let open = house
        .archive
        .coverage(&key(), range(0.0, 10.0))
        .await
        .unwrap();
    assert_eq!(open.gaps, [(range(6.0, 10.0), GapCause::Restart)]);
    house.play(&f, 7.0, 12.0, at(10.5));
    house.stop().await;
    let asked = range(0.0, 15.5);
    let c = house.archive.coverage(&key(), asked).await.unwrap();
    tiles(&c, asked);
    assert_eq!(c.gaps, [(range(6.0, 10.5), GapCause::Restart)]);
    let bytes = house.bytes(asked).await;
    assert_eq!(access_units(&bytes).len(), 150 + 125);
    assert!((probe(&bytes).duration - 15.5).abs() < 0.05);
    for file in files(&house) {
        probe_file(&file);
    }
}

/// The file as it stands when the power goes after `keep` of its bytes.
#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_is_cut_wherever_it_tears() {
    let f = footage::h264(6);
    let mut house = House::new().await;
    house.play(&f, 0.0, 5.0, T0);
    house.stop().await;
    let parts = house
        .db
        .archive_between(&key(), range(0.0, 5.0))
        .await
        .unwrap();
    assert_eq!(parts.len(), 1);
    let row = &parts[0].row;
    let path = row.segment.path.clone();
    let whole = fs::read(house.dir().join(&path)).unwrap();
    let fragments: Vec<_> = parts[0]
        .fragments
        .iter()
        .map(|f| f.fragment.clone())
        .collect();
    let last = fragments.last().unwrap();
    let (begin, end) = (usize::try_from(last.offset).unwrap(), whole.len());
    let mdat = begin
        + whole[begin..]
            .windows(4)
            .position(|w| w == b"mdat")
            .unwrap();
    let moof = begin
        + whole[begin..]
            .windows(4)
            .position(|w| w == b"moof")
            .unwrap();
    let prft = begin
        + whole[begin..]
            .windows(4)
            .position(|w| w == b"prft")
            .unwrap();
    let mut tears = vec![
        begin,
        begin + 1,
        begin + 7,
        begin + 30,
        begin + 60,
        begin + 100,
    ];
    for field in [prft, moof, mdat] {
        tears.extend([field - 4, field - 1, field, field + 3, field + 4, field + 9]);
    }
    tears.extend([(mdat + end) / 2, end - 1]);
    // Into the fragment before, too.
    let before = usize::try_from(fragments[fragments.len() - 2].offset).unwrap();
    tears.extend([before + 5, begin - 1]);
    house.db.close().await;
    drop(house);

    for keep in tears {
        let folder = std::sync::Arc::new(tempfile::tempdir().unwrap());
        let at_home = folder.path().join("archive").join(&path);
        fs::create_dir_all(at_home.parent().unwrap()).unwrap();
        // What a power cut leaves: the length is there, the last bytes are not; or the length is not there either.
        for zeros in [0, 5_000] {
            let mut torn = whole[..keep].to_vec();
            torn.resize(keep + zeros, 0);
            fs::write(&at_home, &torn).unwrap();
            let mut house = House::open(
                std::sync::Arc::clone(&folder),
                crate::house::config(),
                None,
                at(60.0),
            )
            .await;
            let expected: Vec<_> = fragments
                .iter()
                .filter(|f| f.offset + u64::from(f.len) <= keep as u64)
                .cloned()
                .collect();
            let found = house
                .db
                .archive_between(&key(), range(0.0, 5.0))
                .await
                .unwrap();
            let rows: Vec<_> = found[0]
                .fragments
                .iter()
                .map(|f| f.fragment.clone())
                .collect();
            assert_eq!(
                rows, expected,
                "torn after {keep} of {end}, {zeros} zeros behind"
            );
            let now = expected.last().unwrap();
            assert_eq!(
                fs::metadata(&at_home).unwrap().len(),
                now.offset + u64::from(now.len)
            );
            assert_eq!(house.archive.durable_until(&key()), Some(now.range.to));
            probe_file(&at_home);
            house.stop().await;
            house.db.close().await;
            drop(house);
            fs::remove_file(folder.path().join("index.db")).unwrap();
            for rest in ["index.db-wal", "index.db-shm"] {
                fs::remove_file(folder.path().join(rest)).ok();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_index_comes_back_equal() {
    let mut config = crate::house::config();
    config.segment_ms = 4_000;
    let mut house = House::with(config, None).await;
    let f = footage::with_aac(8);
    let end = house.play(&f, 0.0, 8.0, T0);
    house.end(end, Some(zhenbei::model::FaultKind::Closed));
    house.play(&f, 0.0, 8.0, at(20.0));
    house.stop().await;
    let asked = range(0.0, 28.0);
    let before = house.db.archive_between(&key(), asked).await.unwrap();
    let gaps = house.db.archive_gaps(&key(), asked).await.unwrap();
    let clip = house.bytes(range(1.0, 27.0)).await;
    assert!(before.len() >= 4);
    house.db.close().await;
    for name in ["index.db", "index.db-wal", "index.db-shm"] {
        fs::remove_file(house.folder.path().join(name)).ok();
    }
    let house = house.again(None, at(30.0)).await;
    assert_eq!(
        house.db.archive_between(&key(), asked).await.unwrap(),
        before
    );
    assert_eq!(house.db.archive_gaps(&key(), asked).await.unwrap(), gaps);
    assert!(
        house.bytes(range(1.0, 27.0)).await == clip,
        "the same clip, byte for byte"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hash_chain_goes_on_over_restarts() {
    let f = footage::h264(4);
    let mut house = House::new().await;
    for i in 0..3 {
        let begin = at(f64::from(i) * 10.0);
        house.play(&f, 0.0, 4.0, begin);
        house.stop().await;
        house = house.again(None, begin + 9_000_000).await;
    }
    let parts = house
        .db
        .archive_between(&key(), range(0.0, 30.0))
        .await
        .unwrap();
    let mut previous = [0u8; 32];
    let mut seq = 1;
    for part in &parts {
        let bytes = fs::read(house.dir().join(&part.row.segment.path)).unwrap();
        for f in &part.fragments {
            let f = &f.fragment;
            let from = usize::try_from(f.offset).unwrap();
            let fragment = &bytes[from..from + usize::try_from(f.len).unwrap()];
            // As docs/storage.md describes it, without a line of the archive's code.
            assert_eq!(&fragment[4..24], b"uuidzhenbei:fragment");
            assert_eq!(fragment[24..56], f.sha256);
            let digest: [u8; 32] = <sha2::Sha256 as sha2::Digest>::digest(&fragment[56..]).into();
            assert_eq!(digest, f.sha256);
            assert_eq!(
                i64::from_be_bytes(fragment[64..72].try_into().unwrap()),
                seq
            );
            assert_eq!(fragment[72..104], previous);
            previous = f.sha256;
            seq += 1;
        }
    }
    assert_eq!(seq, 13);
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_in_the_middle_keeps_what_lies_behind_it() {
    let f = footage::h264(6);
    let mut house = House::new().await;
    house.play(&f, 0.0, 6.0, T0);
    house.stop().await;
    let parts = house
        .db
        .archive_between(&key(), range(0.0, 6.0))
        .await
        .unwrap();
    let third = parts[0].fragments[2].fragment.clone();
    let path = house.dir().join(&parts[0].row.segment.path);
    let len = fs::metadata(&path).unwrap().len();
    house.db.close().await;
    fs::remove_file(house.folder.path().join("index.db")).unwrap();
    {
        use std::os::unix::fs::FileExt;
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&[0xff; 64], third.offset + u64::from(third.len) - 100)
            .unwrap();
    }
    let house = house.again(None, at(20.0)).await;
    let found = house
        .db
        .archive_between(&key(), range(0.0, 6.0))
        .await
        .unwrap();
    let seqs: Vec<i64> = found[0].fragments.iter().map(|f| f.fragment.seq).collect();
    assert_eq!(seqs, [1, 2, 4, 5, 6]);
    assert_eq!(
        fs::metadata(&path).unwrap().len(),
        len,
        "nothing is cut off"
    );
    let asked = range(0.0, 6.0);
    let c = house.archive.coverage(&key(), asked).await.unwrap();
    tiles(&c, asked);
    assert_eq!(c.gaps, [(range(2.0, 3.0), GapCause::DiskError)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_daemons_cannot_share_a_folder() {
    let house = House::new().await;
    let e = zhenbei::archive::Archive::open(
        house.config.clone(),
        house.dir(),
        house.db.clone(),
        house.clock.clone(),
    )
    .await
    .err()
    .expect("is refused");
    assert_eq!(e.code(), "archive_in_use");
}
