//! The faults, each with what it must leave behind.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use zhenbei::archive::HealthState;
use zhenbei::model::{Clock as _, TimeRange, UtcMicros};
use zhenbei::store::Database;
use zhenbei::store::database::Hold;

use crate::camera::Camera;
use crate::footage::{self, Footage};
use crate::inside::{Inside, archive_config, key_of};
use crate::judge::{self, Verdict, all_play, judge, lost_before};
use crate::process::Process;
use crate::table::{MOST_LOST, Row, Scene};

/// Delay of delivery on a loaded machine that is no error of the timeline.
const SLACK: i64 = 400_000;

/// How much of everything.
#[derive(Clone, Copy)]
pub struct Scale {
    full: bool,
    cameras: usize,
    seconds: u32,
}

pub fn all(full: bool) -> Vec<(String, Scene)> {
    let scale = Scale {
        full,
        cameras: if full { 16 } else { 4 },
        seconds: if full { 30 } else { 6 },
    };
    let kills = if full { 100 } else { 5 };
    let mut scenes: Vec<(String, Scene)> = vec![
        (
            format!("kill -9, {kills} times"),
            Box::pin(kill(scale, kills)),
        ),
        ("links cut".into(), Box::pin(links(scale))),
        (
            "cameras reboot, another SPS".into(),
            Box::pin(reboot(scale)),
        ),
        (
            "pictures stop, connection stays".into(),
            Box::pin(freeze(scale)),
        ),
        ("disk full (a real one)".into(), Box::pin(full_disk(scale))),
        ("disk full (ENOSPC)".into(), Box::pin(enospc(scale))),
        (
            "sync fails (EIO), then restart".into(),
            Box::pin(broken_sync(scale)),
        ),
        (
            "100 ms a write".into(),
            Box::pin(slow(scale, 100, 64 << 20)),
        ),
        ("database locked".into(), Box::pin(locked(scale))),
        ("held under pressure".into(), Box::pin(held(scale))),
    ];
    if full {
        // With few cameras even this disk keeps up.
        let scene = Box::pin(slow(scale, 400, 1 << 20));
        scenes.push(("400 ms a write, small queue".into(), scene));
    }
    for loss in if full { vec![5, 10, 20, 50] } else { vec![20] } {
        let name = format!("{}.{} % of RTP packets lost", loss / 10, loss % 10);
        scenes.push((name, Box::pin(lossy(scale, loss))));
    }
    let steps: &[(i64, &str)] = &[
        (10, "+10 s"),
        (-10, "-10 s"),
        (8 * 3_600, "+8 h"),
        (-8 * 3_600, "-8 h"),
    ];
    for (step, name) in steps {
        scenes.push((format!("clock {name}"), Box::pin(stepped(scale, *step))));
    }
    scenes
}

fn picture() -> Arc<Footage> {
    footage::footage(
        8,
        "-vf scale=160:120 -c:v libx264 -preset ultrafast -g 25 -keyint_min 25 -sc_threshold 0 -bf 0",
        None,
    )
}

fn other_picture() -> Arc<Footage> {
    footage::footage(
        8,
        "-vf scale=192:144 -c:v libx264 -preset ultrafast -g 25 -keyint_min 25 -sc_threshold 0 -bf 0",
        None,
    )
}

async fn cameras(scale: Scale) -> Vec<Camera> {
    let picture = picture();
    let mut all = Vec::with_capacity(scale.cameras);
    for n in 0..scale.cameras {
        all.push(Camera::start(&format!("cam-{n:03}"), Arc::clone(&picture)).await);
    }
    all
}

async fn wait(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}

/// Index, files and pictures of all cameras.
async fn look(db: &Database, dir: &Path, cameras: &[Camera], row: &mut Row) -> Vec<Verdict> {
    let mut all = Vec::with_capacity(cameras.len());
    for camera in cameras {
        let v = judge(db, dir, &key_of(camera), &camera.sent(), SLACK).await;
        row.add(camera, &v);
        all.push(v);
    }
    let root = dir.to_path_buf();
    let (n, said) = tokio::task::spawn_blocking(move || all_play(&root))
        .await
        .unwrap();
    row.played = n - said.len().min(n);
    row.wrong.extend(said);
    all
}

/// A scene in this process ends: everything is written, judged and checked.
async fn end_inside(mut inside: Inside, cameras: &[Camera], row: &mut Row) -> Vec<Verdict> {
    inside.stop().await;
    let health = inside.archive.health();
    if health.state != HealthState::Ok {
        row.wrong.push(format!("not well at the end: {health:?}"));
    }
    let root = inside.root();
    let (dir, db, found) = inside.fsck().await;
    let wrong = found.iter().filter(|f| !f.note);
    row.wrong.extend(wrong.map(|f| format!("fsck: {f}")));
    let all = look(&db, &root, cameras, row).await;
    db.close().await;
    drop(dir);
    all
}

async fn end_process(process: &mut Process, cameras: &[Camera], row: &mut Row) -> Vec<Verdict> {
    let code = process.stop();
    if code != Some(0) {
        row.wrong
            .push(format!("stopped with {code:?}: {}", process.log_tail()));
    }
    let (code, found) = process.fsck();
    if code != Some(0) || found["summary"]["found"] != 0 {
        row.wrong.push(format!("fsck says {code:?}: {found:#}"));
    }
    let db = process.db().await;
    let all = look(&db, &process.archive(), cameras, row).await;
    db.close().await;
    all
}

fn must(row: &mut Row, holds: bool, what: &str) {
    if !holds {
        row.wrong.push(what.to_owned());
    }
}

fn needs_gap(row: &mut Row, cause: &str) {
    let there = row.gaps.contains_key(cause);
    must(row, there, &format!("no gap {cause}"));
}

async fn kill(scale: Scale, times: usize) -> Row {
    let (cameras, mut row) = (cameras(scale).await, Row::default());
    let mut process = Process::prepare(&cameras, None);
    let mut random = StdRng::seed_from_u64(7);
    let mut kills: Vec<Instant> = vec![Instant::now()];
    for n in 0..times {
        process.start();
        // Some in the middle of the start, most while it records.
        let young = n % 10 == 9;
        if !young {
            process.ready().await;
        }
        let most = if young { 400 } else { 5_000 };
        let pause = random.random_range(50..most);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        process.kill();
        kills.push(Instant::now());
    }
    process.start();
    process.ready().await;
    wait(4.0).await;
    let all = end_process(&mut process, &cameras, &mut row).await;
    for (camera, v) in cameras.iter().zip(&all) {
        let sent = camera.sent();
        for pair in kills.windows(2) {
            let lost = lost_before(v, &sent, pair[1], pair[0]);
            row.worst_loss = row.worst_loss.max(lost);
            if lost > MOST_LOST {
                row.wrong
                    .push(format!("{}: a kill cost {lost} µs", camera.name));
            }
        }
    }
    row
}

async fn links(scale: Scale) -> Row {
    let (cameras, mut row) = (cameras(scale).await, Row::default());
    let mut process = Process::prepare(&cameras, None);
    process.start();
    process.ready().await;
    wait(3.0).await;
    let mut random = StdRng::seed_from_u64(11);
    for _ in 0..scale.seconds * 4 {
        cameras[random.random_range(0..cameras.len())].cut_link();
        wait(0.25).await;
    }
    wait(3.0).await;
    end_process(&mut process, &cameras, &mut row).await;
    needs_gap(&mut row, "camera_down");
    row
}

async fn reboot(scale: Scale) -> Row {
    let (mut cameras, mut row) = (cameras(scale).await, Row::default());
    let mut process = Process::prepare(&cameras, None);
    process.start();
    process.ready().await;
    wait(4.0).await;
    let (one, other) = (picture(), other_picture());
    for round in 0..if scale.full { 6 } else { 2 } {
        for camera in &mut cameras {
            camera.power_off().await;
        }
        wait(1.0).await;
        let next = if round % 2 == 0 { &other } else { &one };
        for camera in &mut cameras {
            camera.power_on(Some(Arc::clone(next))).await;
        }
        wait(4.0).await;
    }
    end_process(&mut process, &cameras, &mut row).await;
    needs_gap(&mut row, "camera_down");
    row
}

async fn freeze(scale: Scale) -> Row {
    let (cameras, mut row) = (cameras(scale).await, Row::default());
    let inside = Inside::start(&cameras, archive_config()).await;
    inside.recording(&cameras).await;
    for camera in &cameras {
        camera.freeze(true);
    }
    wait(4.0).await;
    for camera in &cameras {
        camera.freeze(false);
    }
    wait(3.0).await;
    end_inside(inside, &cameras, &mut row).await;
    needs_gap(&mut row, "source_stalled");
    row
}

/// Losing packets: hurt pictures may be missing, all others are there, and each lost packet is counted.
async fn lossy(scale: Scale, per_mille: u32) -> Row {
    let (cameras, mut row) = (cameras(scale).await, Row::default());
    let inside = Inside::start(&cameras, archive_config()).await;
    inside.recording(&cameras).await;
    for camera in &cameras {
        camera.lose(per_mille);
    }
    wait(f64::from(scale.seconds)).await;
    for camera in &cameras {
        camera.lose(0);
    }
    wait(3.0).await;
    let all = end_inside(inside, &cameras, &mut row).await;
    let (mut lost, mut told) = (0, 0);
    for (camera, v) in cameras.iter().zip(&all) {
        lost += camera.log.packets_lost.load(Ordering::Relaxed);
        told += v.packets_lost;
    }
    row.note = format!("{lost} packets lost, {told} told");
    must(
        &mut row,
        told == lost,
        "packets lost and packets told differ",
    );
    row
}

/// A small disk of its own, filled by something else.
async fn full_disk(scale: Scale) -> Row {
    let (cameras, mut row) = (cameras(scale).await, Row::default());
    let Some(disk) = SmallDisk::mount() else {
        row.note = "no right to mount a disk here: only the injected one was tried".into();
        return row;
    };
    let mut process = Process::prepare(&cameras, Some(disk.path().join("archive")));
    process.start();
    process.ready().await;
    wait(3.0).await;
    disk.fill();
    wait(6.0).await;
    disk.free();
    // Five seconds until it is tried again, and a key frame.
    wait(9.0).await;
    end_process(&mut process, &cameras, &mut row).await;
    needs_gap(&mut row, "disk_full");
    row.note = "tmpfs of 48 MiB".into();
    row
}

struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let done = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=48m", "none"])
            .arg(dir.path())
            .output()
            .is_ok_and(|o| o.status.success());
        done.then(|| Self(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn fill(&self) {
        use std::io::Write as _;
        let mut file = std::fs::File::create(self.path().join("ballast")).unwrap();
        while file.write_all(&[1; 16 << 10]).is_ok() {}
    }

    fn free(&self) {
        std::fs::remove_file(self.path().join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        std::process::Command::new("umount")
            .arg("-l")
            .arg(self.path())
            .status()
            .ok();
    }
}

async fn enospc(scale: Scale) -> Row {
    let (cameras, mut row) = (cameras(scale).await, Row::default());
    let inside = Inside::start(&cameras, archive_config()).await;
    inside.recording(&cameras).await;
    for _ in 0..(scale.seconds / 10).max(1) {
        inside.faults.full.store(true, Ordering::Relaxed);
        wait(3.0).await;
        inside.faults.full.store(false, Ordering::Relaxed);
        wait(7.5).await;
    }
    end_inside(inside, &cameras, &mut row).await;
    needs_gap(&mut row, "disk_full");
    row
}

/// What a failed sync covered is a gap; a restart finds that the bytes are whole after all.
async fn broken_sync(scale: Scale) -> Row {
    let (cameras, mut row) = (cameras(scale).await, Row::default());
    let mut inside = Inside::start(&cameras, archive_config()).await;
    inside.recording(&cameras).await;
    for _ in 0..(scale.seconds / 10).max(1) {
        inside.faults.broken_sync.store(true, Ordering::Relaxed);
        wait(3.0).await;
        inside.faults.broken_sync.store(false, Ordering::Relaxed);
        wait(3.0).await;
    }
    inside.stop().await;
    let mut before: BTreeMap<&str, i64> = BTreeMap::new();
    for camera in &cameras {
        for (gap, cause) in judge::gaps_of(&inside.db, &key_of(camera)).await {
            *before.entry(cause.as_str()).or_default() += gap.micros();
        }
    }
    let suspect = before.get("disk_error").copied().unwrap_or(0);
    must(&mut row, suspect > 0, "no gap disk_error");
    let inside = inside.again(&cameras).await;
    inside.recording(&cameras).await;
    end_inside(inside, &cameras, &mut row).await;
    let open = row.gaps.contains_key("disk_error");
    must(&mut row, !open, "whole bytes were not taken back in");
    row.note = format!("{} s were suspect until the restart", suspect / 1_000_000);
    row
}

async fn slow(scale: Scale, ms: u64, queue: usize) -> Row {
    let (cameras, mut row) = (cameras(scale).await, Row::default());
    let mut config = archive_config();
    config.queue_bytes = queue;
    let inside = Inside::start(&cameras, config).await;
    inside.recording(&cameras).await;
    inside.faults.write_ms.store(ms, Ordering::Relaxed);
    wait(f64::from(scale.seconds)).await;
    inside.faults.write_ms.store(0, Ordering::Relaxed);
    wait(6.0).await;
    end_inside(inside, &cameras, &mut row).await;
    row
}

/// Another program holds the database's write lock: syncing goes on, the index catches up.
async fn locked(scale: Scale) -> Row {
    use sqlx::Executor as _;
    let (cameras, mut row) = (cameras(scale).await, Row::default());
    let inside = Inside::start(&cameras, archive_config()).await;
    inside.recording(&cameras).await;
    let url = format!("sqlite:{}", inside.dir.path().join("index.db").display());
    let pool = sqlx::any::AnyPoolOptions::new()
        .max_connections(1)
        .connect(&url)
        .await
        .unwrap();
    pool.execute("BEGIN IMMEDIATE").await.unwrap();
    wait(f64::from(scale.seconds.max(14))).await;
    let told = inside.archive.health();
    pool.execute("ROLLBACK").await.unwrap();
    pool.close().await;
    wait(4.0).await;
    end_inside(inside, &cameras, &mut row).await;
    must(
        &mut row,
        told.state == HealthState::Degraded,
        "nothing said that the index cannot be written",
    );
    let gaps: i64 = row.gaps.values().sum();
    must(
        &mut row,
        gaps < 3_000_000 * i64::try_from(cameras.len()).unwrap(),
        "a locked database cost footage",
    );
    row
}

/// A rule that would delete everything at once, all the time: what is held stays to the last byte.
async fn held(scale: Scale) -> Row {
    let (cameras, mut row) = (cameras(scale).await, Row::default());
    let mut config = archive_config();
    config.segment_ms = 2_000;
    config.max_bytes = 1;
    let mut inside = Inside::start(&cameras, config).await;
    inside.recording(&cameras).await;
    let begin = inside.clock.now();
    wait(5.0).await;
    let range = TimeRange {
        from: begin + 1_000_000,
        to: begin + 3_000_000,
    };
    let held: Vec<usize> = (0..cameras.len()).step_by(2).collect();
    let mut before = Vec::new();
    for n in &held {
        let key = key_of(&cameras[*n]);
        let hold = Hold {
            id: format!("hold-{n}"),
            stream: key.clone(),
            range,
            reason: "fault run".into(),
            created_at: inside.clock.now(),
        };
        inside.db.put_archive_hold(&hold).await.unwrap();
        let v = judge(&inside.db, &inside.root(), &key, &cameras[*n].sent(), SLACK).await;
        before.push(judge::inside(&v, range));
    }
    let mut deleted = 0;
    for n in 0..scale.seconds.max(8) {
        inside.faults.full.store(n % 4 == 3, Ordering::Relaxed);
        deleted += inside.archive.tidy().await.unwrap();
        wait(1.0).await;
        if n % 8 == 7 {
            inside.stop().await;
            inside = inside.again(&cameras).await;
        }
    }
    inside.faults.full.store(false, Ordering::Relaxed);
    wait(7.0).await;
    let all = end_inside(inside, &cameras, &mut row).await;
    let (mut kept, mut gone) = (0, 0);
    for (n, before) in held.iter().zip(&before) {
        let after = judge::inside(&all[*n], range);
        kept += before.len();
        gone += before.difference(&after).count();
    }
    row.note = format!("{deleted} files deleted, {kept} pictures held, {gone} of them gone");
    must(&mut row, gone == 0, "held pictures are gone");
    must(
        &mut row,
        deleted > 0 && kept > 0,
        "nothing was deleted, or nothing held",
    );
    row
}

async fn stepped(scale: Scale, seconds: i64) -> Row {
    let (cameras, mut row) = (cameras(scale).await, Row::default());
    let mut inside = Inside::start(&cameras, archive_config()).await;
    inside.recording(&cameras).await;
    let ends = |inside: &Inside| -> Vec<Option<UtcMicros>> {
        cameras
            .iter()
            .map(|c| inside.archive.durable_until(&key_of(c)))
            .collect()
    };
    let before = ends(&inside);
    inside.clock.step(seconds * 1_000_000);
    wait(f64::from(scale.seconds.min(12))).await;
    let after = ends(&inside);
    for (a, b) in before.iter().zip(&after) {
        must(&mut row, b > a, "nothing was recorded after the step");
    }
    // A restart in the new time.
    inside.stop().await;
    let inside = inside.again(&cameras).await;
    inside.recording(&cameras).await;
    end_inside(inside, &cameras, &mut row).await;
    row
}
