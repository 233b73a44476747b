//! What is read of a clip and its pictures before something is made of them.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;

use super::movie::Movie;
use super::nal::{
    AvcRecord, Refresh, hevc_sets, is_parameter_set, kind, put_unit, refresh, units,
    units_of_stream,
};
use crate::model::VideoCodec;

/// A whole MP4: refused, or each sample lies in the file and has an entry.
pub fn mp4_movie(data: &[u8]) {
    let Ok(file) = rustix::fs::memfd_create("clip", rustix::fs::MemfdFlags::CLOEXEC) else {
        return;
    };
    let mut file = File::from(file);
    if file.write_all(data).is_err() {
        return;
    }
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let Ok(movie) = Movie::open(&path) else {
        return;
    };
    let video = &movie.video;
    assert!(video.timescale > 0 && !video.samples.is_empty());
    let sound = movie.audio.iter().flat_map(|a| &a.samples);
    for sample in video.samples.iter().chain(sound) {
        let end = sample.offset.checked_add(sample.size.into());
        assert!(end.is_some_and(|end| end <= data.len() as u64));
    }
    for sample in &video.samples {
        assert!(usize::from(sample.entry) < video.entries.len());
    }
    // Any of them can be read.
    if let Some(sample) = video.samples.last() {
        let read = movie.read(sample);
        assert!(read.is_ok_and(|bytes| bytes.len() == sample.size as usize));
    }
}

/// Parameter records and access units as the seams of a cut see them. First byte: 0 `avcC`, 1 `hvcC`, 2 a byte stream, 3 and 4
/// a sample of H.264 or H.265.
pub fn parameter_sets(data: &[u8]) {
    match data.split_first() {
        Some((0, record)) => avcc(record),
        Some((1, record)) => {
            let Some(sets) = hevc_sets(record) else {
                return;
            };
            let whole: usize = units(&sets).map(|unit| 4 + unit.len()).sum();
            assert_eq!(whole, sets.len());
            assert!(units(&sets).all(|unit| is_parameter_set(VideoCodec::H265, unit)));
            assert!(sets.len() <= 2 * record.len());
        }
        Some((2, stream)) => {
            let found = units_of_stream(stream);
            let mut sample = Vec::new();
            for unit in &found {
                assert!(unit.last().is_some_and(|last| *last != 0));
                assert!(
                    !unit.windows(3).any(|w| w == [0, 0, 1]),
                    "a start code in a unit"
                );
                put_unit(&mut sample, unit);
            }
            assert!(units(&sample).eq(found.iter().copied()));
        }
        Some((which @ (3 | 4), sample)) => {
            let codec = match which {
                3 => VideoCodec::H264,
                _ => VideoCodec::H265,
            };
            let bytes: usize = units(sample).map(|unit| 4 + unit.len()).sum();
            assert!(bytes <= sample.len());
            // Slices of types that the standards reserve are nobody's.
            if units(sample).any(|unit| reserved(codec, unit)) {
                return;
            }
            let key = crate::media::ingest_form::is_key(codec, sample) == Some(true);
            assert!(key || refresh(codec, sample) == Refresh::Gradual);
        }
        _ => {}
    }
}

fn reserved(codec: VideoCodec, unit: &[u8]) -> bool {
    match codec {
        VideoCodec::H264 => (2..=4).contains(&kind(codec, unit)),
        VideoCodec::H265 => (22..=31).contains(&kind(codec, unit)),
    }
}

fn avcc(record: &[u8]) {
    let Some(mut parsed) = AvcRecord::parse(record) else {
        return;
    };
    assert!(parsed.free_id().is_none_or(|id| (1..=31).contains(&id)));
    let bytes = parsed.bytes();
    assert_eq!(bytes.len(), record.len());
    assert_eq!(AvcRecord::parse(&bytes).as_ref(), Some(&parsed));
    // With one more set of each kind, where there is room.
    if parsed.free_id().is_none() {
        return;
    }
    parsed.add(&[vec![0x67, 66, 0, 30, 0x80], vec![0x68, 0x80]]);
    let bytes = parsed.bytes();
    assert_eq!(AvcRecord::parse(&bytes), Some(parsed));
}
