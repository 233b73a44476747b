use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::archive::Archive;
use crate::archive::disk::Site;
use crate::archive::gop::Sample;
use crate::archive::timeline::Take;
use crate::config::ArchiveConfig;
use crate::model::{CameraId, Clock, Secret, StreamRole, UtcMicros, VideoCodec};
use crate::store::Database;
use crate::video::{Frame, Media, StreamParams};

const STARTED: UtcMicros = UtcMicros::from_secs(1_795_000_000);
const SECOND: i64 = 1_000_000;

struct Standing;

impl Clock for Standing {
    fn now(&self) -> UtcMicros {
        STARTED + 100 * SECOND
    }
}

/// One picture that stands for the second `n`.
fn second(n: i64) -> Take {
    let params = Arc::new(StreamParams {
        codec: VideoCodec::H264,
        extra_data: Bytes::from_static(&[1, 0x64, 0, 0x1e, 0xff, 0xe0, 0]),
        rfc6381: "avc1.64001e".into(),
        width: 64,
        height: 48,
        pixel_aspect: None,
        audio: None,
    });
    let range = TimeRange {
        from: STARTED + n * SECOND,
        to: STARTED + (n + 1) * SECOND,
    };
    let frame = Frame {
        media: Media::Video,
        pts: n * 90_000,
        received: range.from,
        arrival: crate::video::Arrival::unmoved(range.from),
        key: true,
        data: vec![7; 1_000].into(),
        lost: 0,
        camera_clock: crate::model::CameraClock::default(),
        params: Arc::clone(&params),
    };
    Take {
        params,
        samples: vec![Sample {
            frame: Arc::new(frame),
            duration: 90_000,
            offset: 0,
        }],
        audio: Vec::new(),
        audio_start: 0,
        range,
        key: true,
        received: (range.from, range.to),
        lost: 0,
        clock: crate::model::FragmentClock::default(),
        before: GapCause::SourceStalled,
        session: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_index_missed_in_a_long_outage_is_read_back_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", dir.path().join("index.db").display());
    let db = Database::open(&Secret::new(url)).await.unwrap();
    let open = || {
        let folder = dir.path().join("archive");
        Archive::open(
            ArchiveConfig::default(),
            folder,
            db.clone(),
            Arc::new(Standing),
        )
    };
    let archive = open().await.unwrap();
    let inner = &archive.inner;
    let site = Site {
        segment_us: 3_600 * SECOND,
        ..inner.site(&inner.volumes.all()[0])
    };
    let disk = DiskPool::start(&site, 1 << 30).unwrap();
    let mut carry = Carry {
        limit: 4,
        ..Carry::default()
    };
    let camera = CameraId::new("cam-1").unwrap();
    let [main, sub] =
        [StreamRole::Main, StreamRole::Sub].map(|role| StreamKey::new(camera.clone(), role));
    let offer = |stream: &StreamKey, n| {
        let mut take = second(n);
        // A second session begins with the tenth second, and with it a new file.
        take.session = n == 10;
        let state = inner.state(stream);
        state.accept(take.range, take.before);
        disk.offer(&state, take).unwrap();
    };

    // The first second of `main` is in the index; then the database is away for six.
    offer(&main, 0);
    inner.sync_round(&disk, &mut carry).await.unwrap();
    for n in 1..7 {
        offer(&main, n);
        if n == 6 {
            offer(&sub, n);
        }
        inner.keep(&disk, &mut carry).await;
    }
    assert!(carry.fragments <= 4 && carry.given_up.len() == 1);
    let said = || archive.health().message.unwrap_or_default();
    assert!(said().contains("restart the daemon"), "{}", said());

    // It is back. The file goes on and is closed, and another is begun.
    offer(&main, 7);
    inner.sync_round(&disk, &mut carry).await.unwrap();
    offer(&main, 10);
    inner.sync_round(&disk, &mut carry).await.unwrap();
    disk.close_all().await;
    inner.sync_round(&disk, &mut carry).await.unwrap();
    assert!(carry.given_up.is_empty(), "the file is closed");
    assert!(said().contains("restart the daemon"), "{}", said());
    let ever = TimeRange {
        from: STARTED,
        to: STARTED + 20 * SECOND,
    };
    let spans = db.archive_spans(&main, ever).await.unwrap();
    assert_eq!(spans, [second(0).range, second(10).range]);
    let spans = db.archive_spans(&sub, ever).await.unwrap();
    assert_eq!(spans, [second(6).range], "other files are not touched");

    disk.join();
    drop((archive, site));
    let archive = open().await.unwrap();
    assert_eq!(archive.health().message, None);
    let coverage = archive.coverage(&main, ever).await.unwrap();
    let first_eight = TimeRange {
        from: STARTED,
        to: second(7).range.to,
    };
    assert_eq!(coverage.spans, [first_eight, second(10).range]);
    let seqs: Vec<i64> = db
        .archive_between(&main, ever)
        .await
        .unwrap()
        .iter()
        .flat_map(|p| p.fragments.iter().map(|f| f.fragment.seq))
        .collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let indexed: u64 = db.archive_bytes().await.unwrap().iter().map(|b| b.1).sum();
    assert_eq!(archive.bytes(), indexed);
}

#[tokio::test(flavor = "multi_thread")]
async fn gaps_of_a_long_outage_wait_in_a_journal_and_none_is_lost() {
    const MANY: i64 = 3_000;
    let dir = tempfile::tempdir().unwrap();
    let open_db = async || {
        let url = format!("sqlite:{}", dir.path().join("index.db").display());
        Database::open(&Secret::new(url)).await.unwrap()
    };
    let open = async |db: &Database| {
        let folder = dir.path().join("archive");
        Archive::open(
            ArchiveConfig::default(),
            folder,
            db.clone(),
            Arc::new(Standing),
        )
        .await
        .unwrap()
    };
    let db = open_db().await;
    let archive = open(&db).await;
    let inner = &archive.inner;
    let disk = DiskPool::start(&inner.site(&inner.volumes.all()[0]), 1 << 30).unwrap();
    let mut carry = Carry::default();
    let key = StreamKey::main(CameraId::new("cam-1").unwrap());
    let state = inner.state(&key);

    // The database is away while the camera comes and goes.
    db.close().await;
    let mut most = 0;
    for n in 0..MANY {
        state.accept(second(n * 2).range, GapCause::RtpLoss);
        if n % 100 == 99 {
            inner.sync_round(&disk, &mut carry).await.unwrap_err();
            most = most.max(state.owed());
        }
    }
    assert!(most <= GAPS_IN_MEMORY, "{most} gaps in memory");
    let journal = dir.path().join("archive").join(ledger::JOURNAL);
    assert!(std::fs::metadata(&journal).unwrap().len() > 100_000);
    disk.join();
    drop(state);
    drop(archive);

    // The next start tells the index; what was still in memory went with the process.
    let db = open_db().await;
    let archive = open(&db).await;
    let ever = TimeRange {
        from: STARTED,
        to: STARTED + 3 * MANY * SECOND,
    };
    let told = db.archive_gaps(&key, ever).await.unwrap();
    let rtp = told.iter().filter(|(_, c)| *c == GapCause::RtpLoss).count();
    let most = usize::try_from(MANY).unwrap() - 1;
    assert!((most - GAPS_IN_MEMORY..=most).contains(&rtp), "{rtp}");
    assert!(std::fs::metadata(&journal).is_err(), "nothing is owed");

    // A database that comes back while the daemon runs takes them in its first round.
    let inner = &archive.inner;
    let mount = &inner.volumes.all()[0];
    let late = Gap {
        stream: key.clone(),
        range: TimeRange {
            from: STARTED + 4 * MANY * SECOND,
            to: STARTED + (4 * MANY + 1) * SECOND,
        },
        cause: GapCause::DiskBehind,
    };
    mount.journal.append(std::slice::from_ref(&late)).unwrap();
    let disk = DiskPool::start(&inner.site(mount), 1 << 30).unwrap();
    inner.sync_round(&disk, &mut carry).await.unwrap();
    assert!(!mount.journal.owes());
    let told = db.archive_gaps(&key, late.range).await.unwrap();
    assert_eq!(told, [(late.range, late.cause)]);
    disk.join();
}
