//! Any range of any kind of stream: the bytes are the camera's own, and what a decoder shows is exactly the pictures asked for.
//!
//! `ZHENBEI_CLIP_RANGES` sets how many ranges of each kind are tried (`make test-clips`: many; `make test`: a few). Each range is
//! decided by its number alone, so that a failure is found again.

use std::collections::HashMap;
use std::process::Command;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use zhenbei::model::FaultKind;

use crate::footage::{self, Footage};
use crate::house::{House, T0, access_units, at, range, read};

const PICTURE: f64 = 0.04;
const SECONDS: u32 = 12;

/// Hash of each picture that a player shows: FFmpeg decodes everything, the edit list decides.
pub fn shown(file: &[u8]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("clip.mp4");
    std::fs::write(&path, file).unwrap();
    shown_of(&path, &[])
}

pub fn shown_of(path: &std::path::Path, before_input: &[&str]) -> Vec<String> {
    let out = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error"])
        .args(before_input)
        .arg("-i")
        .arg(path)
        .args([
            "-map",
            "0:v",
            "-fps_mode",
            "passthrough",
            "-f",
            "framemd5",
            "-",
        ])
        .output()
        .expect("ffmpeg is installed");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && said.is_empty(), "ffmpeg: {said}");
    String::from_utf8(out.stdout)
        .unwrap()
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.rsplit(',').next().unwrap().trim().to_owned())
        .collect()
}

fn ranges() -> usize {
    std::env::var("ZHENBEI_CLIP_RANGES").map_or(4, |n| n.parse().expect("a number"))
}

/// Records `f`, with a gap in the middle when `gap` is not 0, and tries ranges of it.
async fn try_ranges(f: &Footage, gap: f64) {
    let mut config = crate::house::config();
    // Several files, and a GOP never ends with one.
    config.segment_ms = 3_500;
    let mut house = House::with(config, None).await;
    let half = f64::from(SECONDS) / 2.0;
    if gap > 0.0 {
        house.play(f, 0.0, half, T0);
        house.end(at(half), Some(FaultKind::Closed));
        house.play(f, half, f64::from(SECONDS), at(half + gap));
    } else {
        house.play(f, 0.0, f64::from(SECONDS), T0);
    }
    house.stop().await;

    // Wall time of each picture, in the order in which they are shown.
    let time = |i: usize| {
        #[allow(clippy::cast_precision_loss, reason = "few pictures")]
        let t = i as f64 * PICTURE;
        if gap > 0.0 && t >= half - 0.001 {
            t + gap
        } else {
            t
        }
    };
    let count = f.video.len();
    let whole = house.bytes(range(0.0, f64::from(SECONDS) + gap)).await;
    let all = shown(&whole);
    assert_eq!(all.len(), count, "every picture of the recording is shown");
    let sent: HashMap<&[u8], usize> = f
        .video
        .iter()
        .enumerate()
        .map(|(i, v)| (&*v.2, i))
        .collect();

    let mut runner = TestRunner::deterministic();
    for n in 0..ranges() {
        let (a, length) = (0..count - 1, 1..count)
            .new_tree(&mut runner)
            .unwrap()
            .current();
        // Short ones too: most mistakes hide at borders.
        let length = if n % 2 == 0 { length % 12 + 1 } else { length };
        let b = (a + length).min(count);
        // A range that ends where a gap begins ends with the picture before it.
        let to = time(b - 1) + PICTURE;
        let what = format!("pictures {a}..{b} ({}..{to})", time(a));
        let clip = house.clip(range(time(a), to)).await;
        assert_eq!(clip.delivered(), range(time(a), to), "{what}");
        let bytes = read(&clip, 0, u64::MAX).await;
        let units = access_units(&bytes);
        assert_eq!(units.len(), clip.frames(), "{what}");
        let first = sent[&*units[0]];
        assert!(f.video[first].1, "{what}: begins with a key frame");
        for (unit, (_, _, data)) in units.iter().zip(&f.video[first..]) {
            assert!(
                unit == data,
                "{what}: the camera's own bytes, none left out"
            );
        }
        assert_eq!(shown(&bytes), all[a..b], "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_h264() {
    try_ranges(&footage::h264(SECONDS), 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_h264_with_b_pictures_and_a_gap() {
    try_ranges(&footage::h264_reordered(SECONDS), 1.7).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_h264_with_sound() {
    try_ranges(&footage::with_aac(SECONDS), 0.0).await;
    try_ranges(&footage::with_g711(SECONDS), 2.5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_h265() {
    try_ranges(&footage::h265(SECONDS), 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_h265_with_b_pictures() {
    try_ranges(&footage::h265_reordered(SECONDS), 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_h265_with_open_gops() {
    try_ranges(&footage::h265_open_gop(SECONDS), 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_h265_with_b_pictures_and_sound() {
    try_ranges(&footage::h265_with_aac(SECONDS), 1.3).await;
}
