//! An index of a month, made in bulk.
//!
//! One minute of one camera is really recorded (60 fragments of one second, 25 pictures each, 4 Mbit/s, written by the archive itself);
//! its index row is the pattern. Every minute of every camera gets a row like it, in the order in which a running archive would write
//! them. The list of fragments is about 13 kB a row, which would be 110 GB: it is whole in the rows that are asked for, in their
//! neighbours and in the newest, and cut to what SQLite keeps of such a row in the leaf of its tree (4 kB pages: the rest lies in
//! overflow pages, which a look-up of other rows never touches). So the tree has the shape and the depth of the real one.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use zhenbei::archive::{Archive, Wanted};
use zhenbei::config::ArchiveConfig;
use zhenbei::model::{
    CameraId, Clock, Secret, StreamKey, StreamParams, TimeRange, UtcMicros, VideoCodec,
};
use zhenbei::store::Database;
use zhenbei::store::database::{SegmentPart, folded};
use zhenbei::video::{Frame, Item, Media, Ring};

/// Some time that has passed on every machine.
const BEGIN: i64 = 1_700_000_040_000_000;
const MINUTE: i64 = 60_000_000;
/// What SQLite keeps in the leaf of a row of 13 kB, less its other columns.
const LEAF: usize = 280;

pub struct Plan {
    pub cameras: usize,
    pub days: usize,
    pub picks: usize,
}

impl Plan {
    pub const fn rows(&self) -> usize {
        self.cameras * self.minutes()
    }

    const fn minutes(&self) -> usize {
        self.days * 1440
    }

    fn random(&self) -> Vec<(usize, usize)> {
        let mut random = StdRng::seed_from_u64(1);
        (0..self.picks + 5)
            .map(|_| {
                (
                    random.random_range(0..self.cameras),
                    random.random_range(2..self.minutes() - 15),
                )
            })
            .collect()
    }
}

pub fn camera(n: usize) -> String {
    format!("cam-{:04}", n + 1)
}

/// When the file of that minute begins: each stream has its own second.
pub fn minute(camera: usize, minute: usize) -> i64 {
    let n = |n: usize| i64::try_from(n).unwrap();
    BEGIN + n(minute) * MINUTE + n(camera) * 137_000 % MINUTE
}

/// Camera and minute of each clip to ask for.
pub async fn ready(plan: &Plan, dir: &Path) -> Vec<(usize, usize)> {
    let picks = plan.random();
    if dir.join("made").try_exists().unwrap() {
        return picks;
    }
    if dir.try_exists().unwrap() {
        std::fs::remove_dir_all(dir).unwrap();
    }
    std::fs::create_dir_all(dir).unwrap();
    let begun = std::time::Instant::now();
    let part = record(dir).await;
    let url = SqliteConnectOptions::new()
        .filename(dir.join("zhenbei.db"))
        .pragma("journal_mode", "OFF")
        .pragma("synchronous", "OFF")
        .pragma("cache_size", "-1000000");
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(url)
        .await
        .unwrap();
    fill(&pool, plan, &part).await;
    for (camera, at) in &picks {
        for n in at.saturating_sub(1)..at + 12 {
            whole(&pool, &part, *camera, n).await;
        }
    }
    for camera in 0..plan.cameras {
        whole(&pool, &part, camera, plan.minutes() - 1).await;
    }
    sqlx::query("PRAGMA journal_mode = WAL")
        .execute(&pool)
        .await
        .unwrap();
    pool.close().await;
    std::fs::write(dir.join("made"), "").unwrap();
    println!(
        "index made in {:.0} s, {:.2} GB; {} bytes of fragments in a whole row",
        begun.elapsed().as_secs_f64(),
        std::fs::metadata(dir.join("zhenbei.db")).unwrap().len() as f64 / 1e9,
        folded(&part.fragments).len()
    );
    picks
}

async fn fill(pool: &SqlitePool, plan: &Plan, part: &SegmentPart) {
    let run = async |sql: &str| {
        sqlx::query(sqlx::AssertSqlSafe(sql.to_owned()))
            .execute(pool)
            .await
            .unwrap_or_else(|e| panic!("{sql}: {e}"))
    };
    // Sorted afterwards: the same trees, made in a tenth of the time.
    let indexes: Vec<(String, String)> = sqlx::query_as(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'archive_segments' AND sql IS NOT NULL",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    for (name, _) in &indexes {
        run(&format!("DROP INDEX {name}")).await;
    }
    run("DELETE FROM archive_segments").await;
    run("DELETE FROM archive_streams").await;
    for n in 0..plan.cameras {
        sqlx::query("INSERT INTO archive_streams (id, camera, role) VALUES ($1, $2, 'main')")
            .bind(i64::try_from(n + 1).unwrap())
            .bind(camera(n))
            .execute(pool)
            .await
            .unwrap();
    }
    let mut leaf = folded(&part.fragments);
    leaf.truncate(LEAF);
    for day in 0..plan.days {
        sqlx::query(
            "INSERT INTO archive_segments (stream, first_seq, id, path, started, ended, init_len, bytes, params, whole, closed, \
             volume, fragments) \
             WITH RECURSIVE m(i) AS (SELECT $1 UNION ALL SELECT i + 1 FROM m WHERE i + 1 < $2), \
               c(s) AS (SELECT 1 UNION ALL SELECT s + 1 FROM c WHERE s < $3), \
               r AS (SELECT i, s, $4 + i * 60000000 + (s - 1) * 137000 % 60000000 AS t FROM m CROSS JOIN c), \
               n AS (SELECT r.*, printf('%08x-%04x-7%03x-8%03x-%012x', t / 1000 / 65536, t / 1000 % 65536, s & 4095, i & 4095, \
                 t & 281474976710655) AS id FROM r) \
             SELECT s, i * 60 + 1, id, printf('cam-%04d/main/%s/%s000000Z-%s.mp4', s, strftime('%Y%m%d', t / 1000000, 'unixepoch'), \
               strftime('%Y%m%dT%H%M%S', t / 1000000, 'unixepoch'), id), \
               t, t + 60000000, $5, $6, 1, 1, 1, '', $7 FROM n",
        )
        .bind(i64::try_from(day * 1440).unwrap())
        .bind(i64::try_from((day + 1) * 1440).unwrap())
        .bind(i64::try_from(plan.cameras).unwrap())
        .bind(BEGIN)
        .bind(i64::from(part.row.segment.init_len))
        .bind(i64::try_from(part.row.bytes).unwrap())
        .bind(&leaf)
        .execute(pool)
        .await
        .unwrap();
    }
    for (_, sql) in &indexes {
        run(sql).await;
    }
}

/// The row of that minute as a real one, its bytes in the file that was really recorded.
async fn whole(pool: &SqlitePool, part: &SegmentPart, camera: usize, n: usize) {
    let first = i64::try_from(n * 60 + 1).unwrap();
    let by = minute(camera, n) - part.row.segment.started.micros();
    let mut fragments = part.fragments.clone();
    for f in &mut fragments {
        f.fragment.seq += first - 1;
        f.fragment.range = TimeRange {
            from: f.fragment.range.from + by,
            to: f.fragment.range.to + by,
        };
        // As different as real hashes are.
        f.fragment.sha256[..8].copy_from_slice(&f.fragment.range.from.micros().to_le_bytes());
    }
    sqlx::query("UPDATE archive_segments SET fragments = $1, path = $2 WHERE stream = $3 AND first_seq = $4")
        .bind(folded(&fragments))
        .bind(part.row.segment.path.as_str())
        .bind(i64::try_from(camera + 1).unwrap())
        .bind(first)
        .execute(pool)
        .await
        .unwrap();
}

struct Turned(AtomicI64);

impl Clock for Turned {
    fn now(&self) -> UtcMicros {
        UtcMicros(self.0.load(Ordering::Relaxed))
    }
}

/// One minute of 1080p at 4 Mbit/s and 25 pictures a second, recorded by the archive.
async fn record(dir: &Path) -> SegmentPart {
    let url = format!("sqlite:{}", dir.join("zhenbei.db").display());
    let db = Database::open(&Secret::new(url)).await.unwrap();
    let clock = Arc::new(Turned(AtomicI64::new(BEGIN)));
    let config = ArchiveConfig {
        min_free_bytes: 0,
        retention_days: 36_500.0,
        segment_ms: 3_600_000,
        ..ArchiveConfig::default()
    };
    let archive = Archive::open(config, dir.join("archive"), db.clone(), clock.clone())
        .await
        .unwrap();
    let key = StreamKey::main(CameraId::new(&camera(0)).unwrap());
    let ring = Ring::new(256 << 20);
    let wanted: Wanted = Arc::new(vec![(key.clone(), Arc::clone(&ring), true)]);
    let (_keep, watch) = watch::channel(wanted);
    let stop = CancellationToken::new();
    let (running, token) = (archive.clone(), stop.clone());
    let mut task = tokio::task::JoinSet::new();
    task.spawn(async move { running.run(watch, token).await });
    while !archive.is_recording(&key) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let params = Arc::new(StreamParams {
        codec: VideoCodec::H264,
        extra_data: Bytes::from_static(&[1, 0x64, 0, 0x28, 0xff, 0xe0, 0]),
        rfc6381: "avc1.640028".into(),
        width: 1920,
        height: 1080,
        pixel_aspect: None,
        audio: None,
    });
    let mut random = StdRng::seed_from_u64(3);
    for n in 0..1_500i64 {
        let key = n % 25 == 0;
        // 4 Mbit/s: a key frame of 100 kB, the rest in between as different as they are.
        let size = if key {
            100_000
        } else {
            random.random_range(10_000..23_000)
        };
        let received = UtcMicros(BEGIN + n * 40_000);
        clock.0.store(received.micros(), Ordering::Relaxed);
        ring.push(Item::Frame(Arc::new(Frame {
            media: Media::Video,
            pts: n * 3_600,
            received,
            arrival: zhenbei::video::Arrival::unmoved(received),
            key,
            data: Bytes::from(vec![u8::try_from(n % 251).unwrap(); size]),
            lost: 0,
            camera_clock: zhenbei::model::CameraClock::default(),
            params: Arc::clone(&params),
        })));
        if key {
            // Not faster than a debug build hashes.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    stop.cancel();
    task.join_all().await;
    let range = TimeRange::new(UtcMicros(BEGIN), UtcMicros(BEGIN + MINUTE)).unwrap();
    let mut part = db
        .archive_between(&key, range)
        .await
        .unwrap()
        .pop()
        .expect("a minute is recorded");
    assert_eq!(part.fragments.len(), 60, "60 fragments of a second");
    // To the microsecond, so that the minutes of a camera follow each other without a gap.
    let begun = part.row.segment.started.micros();
    for (n, f) in part.fragments.iter_mut().enumerate() {
        let from = UtcMicros(begun + i64::try_from(n).unwrap() * 1_000_000);
        f.fragment.range = TimeRange {
            from,
            to: from + 1_000_000,
        };
    }
    drop(archive);
    db.close().await;
    part
}
