//! One stream with the real runner, in real time.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use zhenbei::config::VideoConfig;
use zhenbei::model::{Camera, FaultKind, FaultReason, StreamState, SystemClock};
use zhenbei::video::{Cursor, Frame, Media, Read, RtspRunner, SessionEnd, Sessions, Start};

use crate::fakes::{Bench, camera, main_of};

/// Far more than a slow machine needs; tests end as soon as what they wait for is there.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Short waits, so that tests are short.
pub fn brisk() -> VideoConfig {
    VideoConfig {
        picture_timeout_ms: 2_000,
        answer_timeout_ms: 3_000,
        backoff_min_ms: 100,
        backoff_max_ms: 500,
        ..VideoConfig::default()
    }
}

pub fn watch(cameras: Vec<Camera>) -> Bench {
    watch_with(brisk(), cameras)
}

pub fn watch_with(config: VideoConfig, cameras: Vec<Camera>) -> Bench {
    let runner = Arc::new(RtspRunner::new(&config, Arc::new(SystemClock)));
    Bench::new(runner, config, cameras)
}

/// With every back-end, as the daemon does it. Stop the bench first, then the media.
pub fn watch_any(config: VideoConfig, cameras: Vec<Camera>) -> (Bench, zhenbei::media::Media) {
    let program = env!("CARGO_BIN_EXE_zhenbei").into();
    let media = zhenbei::media::Media::start(&Default::default(), program).unwrap();
    let sessions = Sessions::new(&config, Arc::new(SystemClock), media.clone());
    (Bench::new(Arc::new(sessions), config, cameras), media)
}

pub fn watch_one(url: &str) -> Bench {
    watch(vec![camera("a", url)])
}

/// Waits for the ring of camera `a`.
pub async fn cursor(bench: &Bench) -> Cursor {
    bench
        .until("the stream is known", PATIENCE, |b| {
            b.video.ring(&main_of("a")).is_some()
        })
        .await;
    bench
        .video
        .ring(&main_of("a"))
        .unwrap()
        .cursor(Start::Oldest)
}

pub async fn streaming(bench: &Bench) {
    bench
        .until("plays", PATIENCE, |b| {
            b.state("a") == Some(StreamState::Streaming)
        })
        .await;
}

/// The next reason why camera `a` is not playing.
pub async fn fault(bench: &Bench) -> FaultReason {
    bench
        .until("fails", PATIENCE, |b| b.fault("a").is_some())
        .await;
    bench.video.status(&main_of("a")).unwrap().reason.unwrap()
}

pub async fn fault_of(bench: &Bench, kind: FaultKind) -> FaultReason {
    let reason = fault(bench).await;
    assert_eq!(reason.kind, kind, "{}", reason.message);
    reason
}

/// Frames until `enough`, or until the session ends.
pub async fn frames(
    cursor: &mut Cursor,
    mut enough: impl FnMut(&[Arc<Frame>]) -> bool,
) -> (Vec<Arc<Frame>>, Option<SessionEnd>) {
    let mut got = Vec::new();
    let start = Instant::now();
    while !enough(&got) {
        let left = PATIENCE
            .checked_sub(start.elapsed())
            .unwrap_or_else(|| panic!("only {} frames", got.len()));
        match timeout(left, cursor.next())
            .await
            .unwrap_or_else(|_| panic!("only {} frames", got.len()))
        {
            Some(Read::Frame(f)) => got.push(f),
            Some(Read::End(end)) => return (got, Some(end)),
            Some(Read::Skipped { frames }) => panic!("the test is too slow by {frames} frames"),
            None => panic!("the ring was closed"),
        }
    }
    (got, None)
}

pub fn pictures(frames: &[Arc<Frame>]) -> Vec<&Frame> {
    frames
        .iter()
        .map(Arc::as_ref)
        .filter(|f| f.media == Media::Video)
        .collect()
}

pub fn sounds(frames: &[Arc<Frame>]) -> Vec<&Frame> {
    frames
        .iter()
        .map(Arc::as_ref)
        .filter(|f| f.media == Media::Audio)
        .collect()
}
