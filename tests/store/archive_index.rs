//! The archive's index: written once or twice it is the same, a range finds what overlaps it, what is deleted leaves a tombstone.

use zhenbei::model::{
    CameraId, Fragment, Gap, GapCause, Segment, SegmentId, StreamKey, TimeRange, UtcMicros,
};
use zhenbei::store::Database;
use zhenbei::store::database::{
    ArchiveCommit, Burial, FragmentRow, Hold, SegmentPart, SegmentRow, Tombstone,
};

fn r(from: i64, to: i64) -> TimeRange {
    TimeRange {
        from: UtcMicros(from),
        to: UtcMicros(to),
    }
}

/// A file with `n` fragments of 10 µs from `from` on, the first with number `seq`.
fn part(stream: &StreamKey, seq: i64, from: i64, n: i64, closed: bool) -> SegmentPart {
    let id = SegmentId::generate();
    let fragments = (0..n)
        .map(|i| FragmentRow {
            key: i == 0,
            fragment: Fragment {
                segment: id,
                seq: seq + i,
                range: r(from + i * 10, from + i * 10 + 10),
                offset: u64::try_from(i * 100 + 50).unwrap(),
                len: 100,
                sha256: [u8::try_from(seq + i).unwrap(); 32],
                packets_lost: 3,
                clock: zhenbei::model::FragmentClock {
                    camera: zhenbei::model::CameraClock::Known {
                        offset_us: -28_800_000_000 + i,
                        uncertainty_us: 900,
                        method: zhenbei::model::ClockMethod::RtcpSenderReport,
                    },
                    ahead_us: 10_000_000 - i,
                },
                samples: vec![0, 1, 2, 0xff],
            },
        })
        .collect();
    SegmentPart {
        row: SegmentRow {
            segment: Segment {
                id,
                stream: stream.clone(),
                path: format!("{}/main/20261124/{id}.mp4", stream.camera),
                started: UtcMicros(from),
                init_len: 50,
            },
            first_seq: seq,
            ended: UtcMicros(from + n * 10),
            bytes: u64::try_from(50 + n * 100).unwrap(),
            freed: 0,
            whole: true,
            closed,
            params: "{\"codec\":\"h264\"}".into(),
        },
        fragments,
    }
}

pub async fn suite(db: &Database) {
    let stream = StreamKey::main(CameraId::new("cam-archive").unwrap());
    let other = StreamKey::main(CameraId::new("cam-other").unwrap());

    // A file that grows: first two fragments, then three more and closed.
    let whole = part(&stream, 1, 1_000, 5, true);
    let mut first = whole.clone();
    first.fragments.truncate(2);
    first.row.ended = UtcMicros(1_020);
    first.row.bytes = 250;
    first.row.closed = false;
    let mut rest = whole.clone();
    rest.fragments.drain(..2);
    let round = |parts: &[&SegmentPart]| ArchiveCommit {
        segments: parts.iter().map(|p| (*p).clone()).collect(),
        ..ArchiveCommit::default()
    };
    db.archive_commit(&round(&[&first])).await.unwrap();
    let found = db.archive_between(&stream, r(1_000, 1_005)).await.unwrap();
    assert_eq!(found, [first]);
    // Twice: a commit whose answer was lost is sent again.
    for _ in 0..2 {
        db.archive_commit(&round(&[&rest])).await.unwrap();
        let found = db.archive_between(&stream, r(1_040, 9_000)).await.unwrap();
        assert_eq!(found.as_slice(), std::slice::from_ref(&whole));
    }
    let second = part(&stream, 6, 1_100, 3, false);
    let elsewhere = part(&other, 1, 1_000, 1, true);
    db.archive_commit(&round(&[&second, &elsewhere]))
        .await
        .unwrap();

    // Ranges are half-open at both ends.
    let between = async |from, to| {
        let parts = db.archive_between(&stream, r(from, to)).await.unwrap();
        parts.iter().map(|p| p.row.first_seq).collect::<Vec<_>>()
    };
    assert_eq!(between(0, 1_000).await, Vec::<i64>::new());
    assert_eq!(between(0, 1_001).await, [1]);
    assert_eq!(between(1_049, 1_101).await, [1, 6]);
    assert_eq!(between(1_050, 1_100).await, Vec::<i64>::new());
    assert_eq!(between(1_129, 2_000).await, [6]);
    assert_eq!(between(1_130, 2_000).await, Vec::<i64>::new());
    let before = db.archive_before(&stream, UtcMicros::MAX, 5).await.unwrap();
    assert_eq!(before, [second.clone(), whole.clone()]);
    let after = db.archive_after(&stream, UtcMicros(1_001)).await.unwrap();
    assert_eq!(after.as_ref(), Some(&second.row));
    let by_id = db.archive_segment(whole.row.segment.id).await.unwrap();
    assert_eq!(by_id.as_ref(), Some(&whole));
    assert_eq!(
        db.archive_spans(&stream, r(0, 2_000)).await.unwrap(),
        [r(1_000, 1_050), r(1_100, 1_130)]
    );

    // Gaps that touch and have one cause are one row.
    let gap = |from, to, cause| Gap {
        stream: stream.clone(),
        range: r(from, to),
        cause,
    };
    let gaps = ArchiveCommit {
        gaps: vec![
            gap(1_050, 1_080, GapCause::DiskFull),
            gap(1_080, 1_090, GapCause::DiskFull),
            gap(1_090, 1_100, GapCause::CameraDown),
        ],
        stopped: vec![(stream.clone(), Some(UtcMicros(1_130)))],
        ..ArchiveCommit::default()
    };
    for _ in 0..2 {
        db.archive_commit(&gaps).await.unwrap();
        assert_eq!(
            db.archive_gaps(&stream, r(1_070, 1_095)).await.unwrap(),
            [
                (r(1_050, 1_090), GapCause::DiskFull),
                (r(1_090, 1_100), GapCause::CameraDown)
            ]
        );
    }
    let streams = db.archive_streams().await.unwrap();
    assert!(streams.contains(&(stream.clone(), Some(UtcMicros(1_130)))));
    assert!(streams.contains(&(other.clone(), None)));
    assert_eq!(
        db.archive_first(&stream).await.unwrap(),
        Some(UtcMicros(1_000))
    );
    assert_eq!(
        db.archive_last_gap(&stream).await.unwrap(),
        Some(UtcMicros(1_100))
    );
    assert_eq!(
        db.archive_bytes().await.unwrap(),
        [(stream.clone(), 550 + 350), (other.clone(), 150)]
    );
    let paths = db.archive_paths(&stream).await.unwrap();
    assert_eq!(paths.get(&whole.row.segment.path), Some(&(550, true)));
    assert_eq!(paths.get(&second.row.segment.path), Some(&(350, false)));

    // Only closed files are offered for deletion, oldest first.
    let oldest = db
        .archive_oldest("", (UtcMicros::MIN, ""), 10)
        .await
        .unwrap();
    let ids: Vec<_> = oldest.iter().map(|o| o.segment.id).collect();
    assert_eq!(
        ids,
        [whole.row.segment.id, elsewhere.row.segment.id],
        "both begin at 1 000; ids sort by age"
    );
    let t = Tombstone {
        segment: whole.row.segment.id,
        stream: stream.clone(),
        path: whole.row.segment.path.clone(),
        range: whole.row.range(),
        first_seq: 1,
        last_seq: 5,
        last_sha256: [5; 32],
        byte_from: 0,
        bytes: 550,
        rule: "retention_days = 30".into(),
        actor: "retention".into(),
        in_part: false,
        deleted_at: UtcMicros(5_000),
    };
    let burial = Burial {
        first_seq: 1,
        runs: vec![(t.clone(), t.range.to)],
    };
    db.archive_bury(&[burial]).await.unwrap();
    assert_eq!(
        db.archive_undone(10).await.unwrap(),
        std::slice::from_ref(&t)
    );
    db.archive_bury_done(&[t.segment]).await.unwrap();
    assert!(db.archive_undone(10).await.unwrap().is_empty());
    assert!(db.archive_is_buried(t.segment).await.unwrap());
    assert!(!db.archive_is_buried(second.row.segment.id).await.unwrap());
    assert_eq!(
        db.archive_tombstones(&stream, r(0, 2_000)).await.unwrap(),
        [t]
    );
    assert_eq!(
        db.archive_spans(&stream, r(0, 2_000)).await.unwrap(),
        [r(1_100, 1_130)]
    );
    let told = db.archive_gaps(&stream, r(0, 1_050)).await.unwrap();
    assert_eq!(told, [(r(1_000, 1_050), GapCause::Retention)]);

    // What recovery finds behind the end of a closed file joins what is folded.
    let more = part(&other, 2, 1_010, 2, true);
    let mut grown = elsewhere.clone();
    for mut f in more.fragments {
        f.fragment.segment = grown.row.segment.id;
        grown.fragments.push(f);
    }
    let mut found_later = grown.clone();
    found_later.fragments.remove(0);
    db.archive_commit(&round(&[&found_later])).await.unwrap();
    let found = db.archive_segment(grown.row.segment.id).await.unwrap();
    assert_eq!(found.unwrap().fragments, grown.fragments);

    let hold = Hold {
        id: "hold-1".into(),
        stream,
        range: r(1_110, 1_120),
        reason: "case 17".into(),
        created_at: UtcMicros(7),
    };
    db.put_archive_hold(&hold).await.unwrap();
    db.put_archive_hold(&hold).await.unwrap();
    assert_eq!(db.archive_holds().await.unwrap(), [hold]);
    db.delete_archive_hold("hold-1").await.unwrap();
    assert!(db.archive_holds().await.unwrap().is_empty());
}
