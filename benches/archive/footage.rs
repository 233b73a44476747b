//! What lies on the disk after a run: pictures in the segment files, by their `trun` boxes (ISO/IEC 14496-12 §8.8.8).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// Files below a folder.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut folders = vec![dir.to_path_buf()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found
}

pub(crate) fn bytes(dir: &Path) -> u64 {
    files(dir)
        .iter()
        .filter_map(|f| f.metadata().ok())
        .map(|m| m.len())
        .sum()
}

/// Pictures in all fragmented MP4 files below a folder.
pub(crate) fn frames(dir: &Path) -> io::Result<u64> {
    let mut frames = 0;
    for path in files(dir) {
        if path.extension().is_some_and(|e| e == "mp4") {
            frames += frames_of(&File::open(path)?)?;
        }
    }
    Ok(frames)
}

fn frames_of(file: &File) -> io::Result<u64> {
    let end = file.metadata()?.len();
    let (mut at, mut frames) = (0, 0);
    while at + 8 <= end {
        let mut head = [0; 8];
        file.read_exact_at(&mut head, at)?;
        let [a, b, c, d, kind @ ..] = head;
        let size = u64::from(u32::from_be_bytes([a, b, c, d]));
        if size < 8 || at + size > end {
            return Err(io::Error::other(format!("a torn box at {at}")));
        }
        if &kind == b"moof" {
            let mut moof = vec![0; usize::try_from(size - 8).unwrap_or(0)];
            file.read_exact_at(&mut moof, at + 8)?;
            frames += frames_in(&moof);
        }
        at += size;
    }
    Ok(frames)
}

/// The sample count of the first track run: video lies before sound.
fn frames_in(moof: &[u8]) -> u64 {
    let at = moof.windows(4).position(|w| w == b"trun");
    at.and_then(|at| moof.get(at + 8..at + 12))
        .and_then(|n| n.try_into().ok())
        .map_or(0, |n| u64::from(u32::from_be_bytes(n)))
}
