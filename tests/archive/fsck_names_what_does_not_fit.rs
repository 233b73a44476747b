//! Every inconsistency is planted, found and named; what can be mended is mended, and footage is never deleted.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use sqlx::Executor as _;
use tempfile::TempDir;
use zhenbei::archive::{Finding, FindingKind, Fsck, FsckOptions, FsckSummary};
use zhenbei::config::ArchiveConfig;
use zhenbei::model::{FaultKind, GapCause, Secret, SystemClock, TimeRange, UtcMicros};
use zhenbei::store::Database;
use zhenbei::store::database::{Burial, Hold, SegmentPart, Tombstone};

use crate::footage;
use crate::house::{House, at, key, range};

const CHECK: FsckOptions = FsckOptions {
    repair: false,
    rebuild: false,
    quick: false,
};
const QUICK: FsckOptions = FsckOptions {
    quick: true,
    ..CHECK
};
const REPAIR: FsckOptions = FsckOptions {
    repair: true,
    ..CHECK
};
const REBUILD: FsckOptions = FsckOptions {
    rebuild: true,
    ..CHECK
};

/// An archive that nobody uses: five files and more, with gaps between.
struct Rest {
    folder: Arc<TempDir>,
    config: ArchiveConfig,
    db: Database,
    parts: Vec<SegmentPart>,
}

async fn at_rest() -> Rest {
    let mut config = crate::house::config();
    config.segment_ms = 4_000;
    let mut house = House::with(config, None).await;
    let f = footage::h264(12);
    let end = house.play(&f, 0.0, 10.0, at(1.0));
    house.end(end, Some(FaultKind::Closed));
    let end = house.play(&f, 0.0, 8.0, at(20.0));
    house.end(end, Some(FaultKind::PictureStopped));
    house.play(&f, 0.0, 3.0, at(40.0));
    house.stop().await;
    let House {
        folder,
        config,
        db,
        archive,
        ..
    } = house;
    drop(archive);
    let parts = db.archive_between(&key(), range(0.0, 60.0)).await.unwrap();
    let sizes: Vec<usize> = parts.iter().map(|p| p.fragments.len()).collect();
    assert!(
        parts.len() >= 5 && sizes[1] >= 3 && sizes[2] >= 2,
        "{sizes:?}"
    );
    Rest {
        folder,
        config,
        db,
        parts,
    }
}

impl Rest {
    fn dir(&self) -> PathBuf {
        self.folder.path().join("archive")
    }

    /// The bytes of a clip, from the archive opened for it.
    async fn clip(&self, asked: TimeRange, now: UtcMicros) -> Vec<u8> {
        let (folder, config) = (Arc::clone(&self.folder), self.config.clone());
        let mut house = House::open(folder, config, None, now).await;
        let bytes = house.bytes(asked).await;
        house.stop().await;
        bytes
    }

    fn file(&self, n: usize) -> PathBuf {
        self.dir().join(&self.parts[n].row.segment.path)
    }

    async fn sql(&self, statement: &str) {
        let url = format!("sqlite:{}", self.folder.path().join("index.db").display());
        sqlx::any::install_default_drivers();
        let pool = sqlx::AnyPool::connect(&url).await.unwrap();
        pool.execute(sqlx::AssertSqlSafe(statement.to_owned()))
            .await
            .unwrap();
        pool.close().await;
    }

    async fn fsck(&self, options: FsckOptions) -> (Vec<Finding>, FsckSummary) {
        let mut found = Vec::new();
        let clock = Arc::new(SystemClock);
        let fsck = Fsck::open(&self.config, self.dir(), self.db.clone(), clock, options)
            .await
            .unwrap();
        let summary = fsck
            .run(&mut |f: &Finding| found.push(f.clone()))
            .await
            .unwrap();
        (found, summary)
    }

    /// Found by a check that changes nothing.
    async fn kinds(&self) -> Vec<FindingKind> {
        let (first, a) = self.fsck(CHECK).await;
        let (_, b) = self.fsck(CHECK).await;
        assert_eq!(a, b, "a check changes nothing: {first:#?}");
        first.iter().map(|f| f.kind).collect()
    }

    /// Mended, and sound from then on.
    async fn mended(&self) {
        let (found, summary) = self.fsck(REPAIR).await;
        assert!(
            summary.found > 0 && summary.remaining == 0,
            "{found:#?} {summary:?}"
        );
        assert!(found.iter().all(|f| f.repaired || f.note), "{found:#?}");
        self.sound().await;
    }

    async fn sound(&self) {
        for options in [CHECK, QUICK] {
            let (found, summary) = self.fsck(options).await;
            assert_eq!(summary.found, 0, "{found:#?}");
        }
    }

    /// The loss is told once more while it is written down, and known from then on.
    async fn written_down(&self) {
        let (found, summary) = self.fsck(REPAIR).await;
        assert!(summary.remaining > 0, "{found:#?}");
        let (found, summary) = self.fsck(CHECK).await;
        assert_eq!(summary.found, 0, "{found:#?}");
        assert!(
            found.iter().any(|f| f.kind == FindingKind::LossKnown),
            "{found:#?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_archive_has_no_findings() {
    let r = at_rest().await;
    let (found, s) = r.fsck(CHECK).await;
    assert!(found.is_empty(), "{found:#?}");
    let fragments: usize = r.parts.iter().map(|p| p.fragments.len()).sum();
    assert_eq!(
        (s.files, s.fragments, s.streams),
        (r.parts.len() as u64, fragments as u64, 1)
    );
    assert!(s.bytes > 0 && s.gaps >= 3);
    r.sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_refuses_while_the_daemon_runs() {
    let house = House::new().await;
    let refused = Fsck::open(
        &house.config,
        house.dir(),
        house.db.clone(),
        house.clock.clone(),
        CHECK,
    )
    .await;
    assert_eq!(refused.err().unwrap().code(), "archive_in_use");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_gone_short_damaged_or_torn() {
    use FindingKind::{Damaged, FileMissing, FileShort, HeadDamaged, HeldMissing, TornTail};
    let write = |r: &Rest, n: usize, bytes: &[u8], at: u64| {
        let file = fs::OpenOptions::new().write(true).open(r.file(n)).unwrap();
        file.write_all_at(bytes, at).unwrap();
    };

    let r = at_rest().await;
    // Junk behind the last fragment.
    let len = fs::metadata(r.file(0)).unwrap().len();
    write(&r, 0, &[7; 900], len);
    assert_eq!(r.kinds().await, [TornTail]);
    r.mended().await;
    assert_eq!(fs::metadata(r.file(0)).unwrap().len(), len);

    // A fragment in the middle: its number and its place are named, and the hold that stands on it.
    let second = &r.parts[1].fragments[1].fragment;
    write(
        &r,
        1,
        &[0xff; 8],
        second.offset + u64::from(second.len) - 50,
    );
    let (found, _) = r.fsck(CHECK).await;
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(
        (
            found[0].kind,
            found[0].fragment,
            found[0].offset,
            found[0].range
        ),
        (
            Damaged,
            Some(second.seq),
            Some(second.offset),
            Some(second.range)
        )
    );
    let hold = Hold {
        id: "h1".into(),
        stream: key(),
        range: second.range,
        reason: "case 7".into(),
        created_at: at(50.0),
    };
    r.db.put_archive_hold(&hold).await.unwrap();
    assert_eq!(r.kinds().await, [Damaged, HeldMissing]);
    r.written_down().await;
    let c = r.coverage().await;
    assert!(
        c.contains(&(second.range, GapCause::DiskError)),
        "the loss is a gap: {c:?}"
    );
    assert!(r.file(1).is_file());

    // Shorter than what was durable.
    let r = at_rest().await;
    let last = r.parts[2].fragments.last().unwrap().fragment.clone();
    let file = fs::OpenOptions::new().write(true).open(r.file(2)).unwrap();
    file.set_len(last.offset + 10).unwrap();
    let (found, _) = r.fsck(CHECK).await;
    assert_eq!(found[0].kind, FileShort, "{found:#?}");
    assert_eq!(found[0].fragment, Some(last.seq));
    assert_eq!(r.fsck(QUICK).await.0[0].kind, FileShort);
    r.written_down().await;

    // Gone.
    let r = at_rest().await;
    fs::rename(r.file(1), r.folder.path().join("kept.mp4")).unwrap();
    assert_eq!(r.kinds().await, [FileMissing]);
    assert_eq!(r.fsck(QUICK).await.0[0].kind, FileMissing);
    r.written_down().await;
    // And back: a file the index does not know, whose gap goes away again.
    fs::rename(r.folder.path().join("kept.mp4"), r.file(1)).unwrap();
    assert_eq!(
        r.kinds().await,
        [FindingKind::FileUnknown, FindingKind::GapOverlaps]
    );
    let (found, s) = r.fsck(REPAIR).await;
    assert_eq!(s.remaining, 0, "{found:#?}");
    r.sound().await;
    let again =
        r.db.archive_between(&key(), range(0.0, 60.0))
            .await
            .unwrap();
    assert_eq!(again, r.parts);

    // The head: the pictures are still found through the index.
    write(&r, 0, b"junk", 4);
    assert_eq!(r.kinds().await, [HeadDamaged]);
    assert_eq!(r.fsck(REPAIR).await.1.remaining, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_say_something_else_than_their_files() {
    use FindingKind::{FileLonger, FileMoved, FileUnknown, NotClosed, RowDiffers};
    let r = at_rest().await;
    let id = |n: usize| r.parts[n].row.segment.id;
    let same = async || {
        let now =
            r.db.archive_between(&key(), range(0.0, 60.0))
                .await
                .unwrap();
        assert_eq!(now, r.parts);
    };
    r.sql(&format!(
        "UPDATE archive_segments SET ended = ended + 7, bytes = bytes + 1 WHERE id = '{}'",
        id(0)
    ))
    .await;
    let (found, _) = r.fsck(CHECK).await;
    assert_eq!(found[0].kind, RowDiffers);
    assert!(
        found[0].message.contains("end") && found[0].message.contains("length"),
        "{found:#?}"
    );
    r.mended().await;
    same().await;

    r.sql(&format!(
        "DELETE FROM archive_segments WHERE id = '{}'",
        id(1)
    ))
    .await;
    let found = r.kinds().await;
    assert_eq!(found, [FileUnknown]);
    r.mended().await;
    same().await;

    // As a crash leaves it: the row is open, the last two fragments are not in it.
    let mut open = r.parts[2].clone();
    let rest = open.fragments.split_off(1);
    open.row.closed = false;
    open.row.ended = open.fragments[0].fragment.range.to;
    open.row.bytes = rest[0].fragment.offset;
    r.db.archive_replace(&open, 0).await.unwrap();
    let found = r.kinds().await;
    assert!(
        found.contains(&FileLonger) && found.contains(&NotClosed),
        "{found:?}"
    );
    r.mended().await;
    same().await;

    // A fragment's own facts.
    let mut wrong = r.parts[3].clone();
    wrong.fragments[0].fragment.packets_lost += 5;
    r.db.archive_replace(&wrong, 0).await.unwrap();
    let (found, _) = r.fsck(CHECK).await;
    assert_eq!(found[0].kind, RowDiffers);
    assert!(found[0].message.contains("fragment"), "{found:#?}");
    r.mended().await;
    same().await;

    // Put into another day's folder by hand.
    let day = r.file(0).parent().unwrap().with_file_name("20200101");
    fs::create_dir(&day).unwrap();
    let moved = day.join(r.file(0).file_name().unwrap());
    fs::rename(r.file(0), &moved).unwrap();
    let found = r.kinds().await;
    assert_eq!(found, [FindingKind::FileMissing, FileMoved]);
}

#[tokio::test(flavor = "multi_thread")]
async fn chains_that_break_and_numbers_that_are_missing() {
    use FindingKind::{ChainBroken, ChainHole, SequenceTwice};
    let r = at_rest().await;
    // A file of another recording of the same stream in the place of one of ours: whole in itself, and not of this chain.
    let other = at_rest().await;
    let bytes = fs::read(other.file(1)).unwrap();
    fs::write(r.file(1).with_file_name("stranger.mp4"), &bytes).unwrap();
    assert_eq!(r.kinds().await, [SequenceTwice]);
    let (_, s) = r.fsck(REPAIR).await;
    assert_eq!(
        s.remaining, 1,
        "two recordings of one number: a person decides"
    );
    fs::remove_file(r.file(1).with_file_name("stranger.mp4")).unwrap();

    // Ours is gone and theirs is there: found by the chain alone.
    fs::remove_file(r.file(1)).unwrap();
    fs::write(r.file(1), &bytes).unwrap();
    r.db.archive_forget(r.parts[1].row.segment.id)
        .await
        .unwrap();
    let found = r.kinds().await;
    assert_eq!(
        found.iter().filter(|k| **k == ChainBroken).count(),
        2,
        "{found:?}"
    );

    // Row and file gone, and nothing says why.
    let r = at_rest().await;
    fs::remove_file(r.file(1)).unwrap();
    r.db.archive_forget(r.parts[1].row.segment.id)
        .await
        .unwrap();
    let (found, _) = r.fsck(CHECK).await;
    let first = r.parts[1].row.first_seq;
    assert_eq!((found[0].kind, found[0].fragment), (ChainHole, Some(first)));
    r.written_down().await;

    // The same with a tombstone is a deletion.
    let r = at_rest().await;
    let tombstone = r.tombstone(1);
    r.db.archive_bury(&[whole(tombstone)]).await.unwrap();
    fs::remove_file(r.file(1)).unwrap();
    let (found, _) = r.fsck(CHECK).await;
    assert!(found.is_empty(), "{found:#?}");
    // Unless the hash it keeps is not the one that the next file carries.
    r.sql("UPDATE archive_tombstones SET last_sha256 = zeroblob(32)")
        .await;
    assert_eq!(r.kinds().await, [ChainBroken]);
}

#[tokio::test(flavor = "multi_thread")]
async fn gaps_that_are_missing_or_say_too_much() {
    use FindingKind::{GapMissing, GapOverlaps, GapsWaiting};
    let r = at_rest().await;
    let before = r.coverage().await;
    r.sql("DELETE FROM archive_gaps WHERE cause = 'camera_down' AND from_us > 1795000005000000")
        .await;
    let (found, _) = r.fsck(CHECK).await;
    assert_eq!(found[0].kind, GapMissing);
    assert!(found[0].message.contains("camera_down"), "{found:#?}");
    assert_eq!(r.fsck(QUICK).await.0[0].kind, GapMissing);
    r.mended().await;
    assert_eq!(r.coverage().await, before);

    r.sql("UPDATE archive_gaps SET to_us = to_us + 2000000 WHERE cause = 'source_stalled'")
        .await;
    assert_eq!(r.kinds().await, [GapOverlaps]);
    r.mended().await;
    assert_eq!(r.coverage().await, before);

    // What the daemon could not write.
    let stalled = before
        .iter()
        .find(|(_, c)| *c == GapCause::SourceStalled)
        .unwrap();
    r.sql("DELETE FROM archive_gaps WHERE cause = 'source_stalled'")
        .await;
    let line = format!(
        "cam-001 main {} {} source_stalled",
        stalled.0.from.micros(),
        stalled.0.to.micros()
    );
    let sum = crc32(line.as_bytes());
    fs::write(
        r.dir().join("gaps.journal"),
        format!("{line} {sum:08x}\ncam-001 main 17"),
    )
    .unwrap();
    assert_eq!(r.kinds().await, [GapsWaiting, GapMissing]);
    let (found, s) = r.fsck(REPAIR).await;
    assert_eq!(s.remaining, 0, "{found:#?}");
    r.sound().await;
    assert_eq!(r.coverage().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_not_finished_and_files_that_are_not_ours() {
    use FindingKind::{DeletionUnfinished, FileForeign, FileTorn, HeldDeleted};
    let r = at_rest().await;
    r.db.archive_bury(&[whole(r.tombstone(0))]).await.unwrap();
    assert_eq!(r.kinds().await, [DeletionUnfinished]);

    // A hold put since: it stays, and a person is told.
    let hold = Hold {
        id: "late".into(),
        stream: key(),
        range: r.parts[0].row.range(),
        reason: "case 9".into(),
        created_at: at(90.0),
    };
    r.db.put_archive_hold(&hold).await.unwrap();
    let (_, s) = r.fsck(REPAIR).await;
    assert_eq!(s.remaining, 1);
    assert!(r.file(0).is_file(), "held");
    r.db.delete_archive_hold("late").await.unwrap();
    r.mended().await;
    assert!(!r.file(0).is_file());

    // A hold that stood there before the deletion.
    let hold = Hold {
        id: "early".into(),
        created_at: at(0.0),
        ..hold
    };
    r.db.put_archive_hold(&hold).await.unwrap();
    assert_eq!(r.kinds().await, [HeldDeleted]);
    r.db.delete_archive_hold("early").await.unwrap();

    fs::write(r.dir().join("holiday.jpg"), b"x").unwrap();
    fs::write(r.file(1).with_extension("torn"), b"x").unwrap();
    fs::write(r.file(1).with_file_name("empty.mp4"), b"").unwrap();
    let (found, s) = r.fsck(CHECK).await;
    let kinds: Vec<_> = found.iter().map(|f| f.kind).collect();
    assert_eq!(kinds, [FileForeign, FileTorn, FileTorn]);
    assert_eq!((s.remaining, s.notes), (0, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_made_anew_from_the_files_is_the_same() {
    for lost in [false, true] {
        let mut r = at_rest().await;
        let (coverage, asked) = (r.coverage().await, range(1.0, 43.0));
        let clip = r.clip(asked, at(60.0)).await;
        if lost {
            r.db.close().await;
            for name in ["index.db", "index.db-wal", "index.db-shm"] {
                fs::remove_file(r.folder.path().join(name)).ok();
            }
            let url = format!("sqlite:{}", r.folder.path().join("index.db").display());
            r.db = Database::open(&Secret::new(url)).await.unwrap();
        }
        let (found, s) = r.fsck(REBUILD).await;
        assert_eq!(s.remaining, 0, "{found:#?}");
        r.sound().await;
        let again =
            r.db.archive_between(&key(), range(0.0, 60.0))
                .await
                .unwrap();
        assert_eq!(again, r.parts, "fragments and chain");
        // No file tells of the time before the first picture and behind the last.
        let told =
            |(g, _): &(TimeRange, GapCause)| !lost || (at(1.0) <= g.from && g.to <= at(43.0));
        let known: Vec<_> = coverage.into_iter().filter(told).collect();
        let now: Vec<_> = r.coverage().await.into_iter().filter(told).collect();
        assert!(known.len() >= 2);
        assert_eq!(now, known);
        assert!(r.clip(asked, at(70.0)).await == clip, "byte for byte");
    }
}

impl Rest {
    /// Gaps between the first and the last moment recorded.
    async fn coverage(&self) -> Vec<(TimeRange, GapCause)> {
        let asked = range(0.0, 43.0);
        let mut gaps = self.db.archive_gaps(&key(), asked).await.unwrap();
        gaps.sort_by_key(|g| g.0.from);
        gaps
    }

    fn tombstone(&self, n: usize) -> Tombstone {
        let part = &self.parts[n];
        let last = &part.fragments.last().unwrap().fragment;
        Tombstone {
            segment: part.row.segment.id,
            stream: key(),
            path: part.row.segment.path.clone(),
            range: part.row.range(),
            first_seq: part.row.first_seq,
            last_seq: last.seq,
            last_sha256: last.sha256,
            byte_from: 0,
            bytes: part.row.bytes,
            rule: "retention_days = 1".into(),
            actor: "retention".into(),
            in_part: false,
            deleted_at: at(80.0),
        }
    }
}

/// CRC-32 (ISO 3309), bit by bit: not the archive's own code.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for b in bytes {
        crc ^= u32::from(*b);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0xedb8_8320
            } else {
                crc >> 1
            };
        }
    }
    !crc
}

/// The burial of a whole file.
fn whole(t: Tombstone) -> Burial {
    let needed = t.range.to;
    Burial {
        first_seq: t.first_seq,
        runs: vec![(t, needed)],
    }
}
