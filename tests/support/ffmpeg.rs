//! FFmpeg as the judge.

use std::path::Path;
use std::process::Command;

use super::servers::program;

/// Decodes everything; panics on any complaint. Returns the length in seconds.
pub fn decodes_without_complaint(file: &Path) -> f64 {
    let out = Command::new(program("ffmpeg", "ffmpeg"))
        .args(["-v", "error", "-xerror", "-i"])
        .arg(file)
        // Each picture at its own time: cameras do not keep to a rate, and the muxer would complain of it.
        .args(["-fps_mode", "passthrough", "-enc_time_base:v", "1:90000"])
        .args(["-f", "null", "-"])
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&out.stderr);
    assert!(
        out.status.success() && complaints.trim().is_empty(),
        "{}: {complaints}",
        file.display()
    );
    let out = Command::new(program("ffprobe", "ffmpeg"))
        .args([
            "-v",
            "error",
            "-show_entries",
            "format=duration",
            "-of",
            "csv=p=0",
        ])
        .arg(file)
        .output()
        .unwrap();
    String::from_utf8_lossy(&out.stdout)
        .trim()
        .parse()
        .expect("a length in seconds")
}
