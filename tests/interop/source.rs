//! A film as a file, for servers that play files, and its pictures, to compare with what comes out.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;
use zhenbei::model::VideoCodec;
use zhenbei::video::Frame;

use crate::camera_test::{access_units, slices};
use crate::support::servers::program;

pub struct Film {
    folder: TempDir,
    codec: VideoCodec,
    /// The slices of each picture.
    pictures: Vec<Vec<Vec<u8>>>,
}

impl Film {
    /// Twenty seconds, 320×240 at 25 pictures a second, a key frame each second, with AAC.
    pub fn make(codec: VideoCodec) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let encoder = match codec {
            VideoCodec::H264 => {
                "-c:v libx264 -preset ultrafast -g 25 -keyint_min 25 -sc_threshold 0 -bf 0"
            }
            VideoCodec::H265 => {
                "-c:v libx265 -preset ultrafast -tag:v hvc1 \
                 -x265-params keyint=25:min-keyint=25:bframes=0:scenecut=0:log-level=none"
            }
        };
        let out = Command::new(program("ffmpeg", "ffmpeg"))
            .args(["-nostdin", "-v", "error"])
            .args([
                "-f",
                "lavfi",
                "-i",
                "testsrc2=size=320x240:rate=25:duration=20",
            ])
            .args([
                "-f",
                "lavfi",
                "-i",
                "sine=frequency=440:sample_rate=16000:duration=20",
            ])
            .args(encoder.split_whitespace())
            .args([
                "-pix_fmt", "yuv420p", "-b:v", "200k", "-c:a", "aac", "-ac", "1",
            ])
            .arg(folder.path().join("film.mp4"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "ffmpeg: {said}");
        let file = std::fs::read(folder.path().join("film.mp4")).unwrap();
        let pictures = access_units(&file)
            .iter()
            .map(|unit| {
                slices(codec, unit)
                    .into_iter()
                    .map(<[u8]>::to_vec)
                    .collect()
            })
            .collect();
        Self {
            folder,
            codec,
            pictures,
        }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("film.mp4")
    }

    /// Fails unless these are the film's pictures in their order, none missing in between.
    pub fn has_in_order(&self, received: &[Arc<Frame>]) {
        in_order(self.codec, &self.pictures, received);
    }
}

/// Fails unless `received` is a piece of `sent`, which is repeated without end; what is missing must have been counted as lost.
pub fn in_order(codec: VideoCodec, sent: &[Vec<Vec<u8>>], received: &[Arc<Frame>]) {
    let mut due = None;
    for (i, picture) in received.iter().enumerate() {
        let slices = slices(codec, &picture.data);
        let at = match due {
            Some(due) if picture.lost == 0 => (sent[due] == slices).then_some(due),
            Some(_) | None => sent.iter().position(|s| *s == slices),
        };
        let at =
            at.unwrap_or_else(|| panic!("picture {i} of {} is not what was sent", received.len()));
        due = Some((at + 1) % sent.len());
    }
}
