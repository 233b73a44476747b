//! FFmpeg's own programs as the judge of what we made.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::process::Command;

/// Length in seconds and number of pictures, by decoding all of it. Fails on anything the decoder complains about.
pub(super) async fn decode(file: &Path) -> Result<(f64, u64)> {
    let out = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-count_frames",
            "-select_streams",
            "v:0",
            "-of",
            "json",
        ])
        .args(["-show_entries", "stream=nb_read_frames:format=duration"])
        .arg(file)
        .stdin(Stdio::null())
        .output()
        .await
        .context("ffprobe does not start; install it: apt-get install ffmpeg")?;
    let complaints = String::from_utf8_lossy(&out.stderr);
    if !out.status.success() || !complaints.trim().is_empty() {
        bail!(
            "ffprobe does not accept {}: {}",
            file.display(),
            complaints.trim()
        );
    }
    let json: Value = serde_json::from_slice(&out.stdout).context("ffprobe's answer")?;
    let seconds = json
        .pointer("/format/duration")
        .and_then(Value::as_str)
        .and_then(|s| s.parse().ok());
    let frames = json
        .pointer("/streams/0/nb_read_frames")
        .and_then(Value::as_str)
        .and_then(|s| s.parse().ok());
    match (seconds, frames) {
        (Some(seconds), Some(frames)) => Ok((seconds, frames)),
        (_, _) => bail!("ffprobe finds no pictures in {}", file.display()),
    }
}
