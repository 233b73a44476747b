//! What the fuzzer (`fuzz/bodies.rs`) calls: each reader of the archive, with what must hold of everything it takes.
//!
//! Bytes come as a torn disk, a damaged index or a hostile camera leaves them. A broken promise is a panic here, so nothing
//! of the daemon calls this.
#![allow(
    clippy::panic,
    reason = "a broken promise is a panic, for the fuzzer to find"
)]

mod recorded;
#[cfg(test)]
mod seeds;

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::boxes::{Boxes, Input};
use super::fragment::{self, HASH_AT, HASHED_FROM, LONGEST, PREFIX};
use super::samples::SampleTable;
use super::{LiveFragments, init, params, scan};
use crate::model::UtcMicros;

pub use super::clip::fuzzing::clip_plan;
pub use recorded::recorded_frames;

/// When the files of the corpus were begun, and the rate of their sound.
const STARTED: UtcMicros = UtcMicros::from_secs(1_795_000_000);
const RATE: u32 = 8_000;

/// The head of a file: what is understood is written the same again, and nothing behind it matters.
pub fn segment_head(data: &[u8]) {
    let Some((head, len)) = init::read(data) else {
        return;
    };
    assert!(len <= data.len(), "a head of {len} in {}", data.len());
    let alone = data.get(..len).and_then(init::read);
    assert_eq!(alone, Some((head.clone(), len)));
    let torn = data.get(..len - 1).and_then(init::read);
    assert_eq!(torn, None, "a torn head was taken");
    let Ok(stream) = params::from_text(&head.params) else {
        panic!("a head with parameters that cannot be read");
    };
    let mut b = Boxes::default();
    init::write(&mut b, &head, &stream);
    well_formed(&b.buf);
    assert_eq!(init::read(&b.buf), Some((head, b.len())));
}

/// Stream parameters as text: read, written and read they are the same, and every box made of them is whole.
pub fn stream_params(data: &[u8]) {
    let Some(read) = std::str::from_utf8(data)
        .ok()
        .and_then(|text| params::from_text(text).ok())
    else {
        return;
    };
    let text = params::to_text(&read);
    let Ok(again) = params::from_text(&text) else {
        panic!("wrote what cannot be read: {text}");
    };
    assert_eq!(again, read);
    assert_eq!(params::to_text(&again), text);
    well_formed(&LiveFragments::init(&read));
    let mut b = Boxes::default();
    init::init_segment(&mut b, &read, STARTED);
    well_formed(&b.buf);
}

/// One fragment, as it is and with a hash made to fit: a hash proves no more than that the bytes are those that were hashed.
pub fn fragment(data: &[u8]) {
    if let Some(n) = fragment::length(data) {
        assert!((PREFIX + 1..=LONGEST).contains(&n), "{n} bytes");
    }
    if let Some(at) = fragment::search(data) {
        assert_eq!(data.get(at..at + 4), Some(&b"uuid"[..]));
    }
    let mut sealed = data.to_vec();
    seal(&mut sealed);
    for rate in [None, Some(RATE)] {
        let Some(parsed) = fragment::read(&sealed, STARTED, rate) else {
            continue;
        };
        let table = &parsed.samples;
        let media = u64::from(table.data) + table.video_bytes() + table.audio_bytes();
        assert_eq!(media, sealed.len() as u64, "samples outside the fragment");
        assert_eq!(SampleTable::unpack(&table.pack()).as_ref(), Some(table));
        let mut b = Boxes::default();
        fragment::header(&mut b, &parsed.header);
        let content = Input(&b.buf).find(b"uuid");
        let again = content.and_then(|c| fragment::read_header(c.0));
        assert_eq!(again.as_ref(), Some(&parsed.header));
        if data != sealed {
            let unsealed = fragment::read(data, STARTED, rate);
            assert_eq!(unsealed, None, "a wrong hash was believed");
        }
    }
}

/// A whole file. All hashes are made to fit, so that what is behind them is tried.
pub fn segment_scan(data: &[u8]) {
    let mut bytes = data.to_vec();
    let mut at = 0;
    while let Some(next) = bytes.get(at..).and_then(fragment::search) {
        let begin = (at + next).saturating_sub(4);
        at += next + 20;
        let rest = bytes.get_mut(begin..).unwrap_or_default();
        if let Some(n) = fragment::length(rest)
            && let Some(whole) = rest.get_mut(..n)
        {
            seal(whole);
            // A fragment inside another would spoil the outer one's hash.
            at = begin + n;
        }
    }
    let Some((path, _file)) = in_memory(&bytes) else {
        return;
    };
    let (Ok(head), len) = (scan::head(&path), bytes.len() as u64) else {
        panic!("a file in memory cannot be read");
    };
    assert_eq!(
        head.as_ref().map(|(h, n)| (h.clone(), *n as usize)),
        init::read(&bytes)
    );
    let Some((head, begin)) = head else {
        return;
    };
    let of = |from: u64| match scan::scan(&path, &head, from) {
        Ok(scan) => scan,
        Err(e) => panic!("a file in memory cannot be read: {e}"),
    };
    let begin = u64::from(begin);
    let found = of(begin);
    assert_eq!(found.len, len);
    assert!(begin <= found.whole && found.whole <= len);
    let mut told: Vec<(u64, u64)> = found.damaged.clone();
    for (row, parsed) in &found.fragments {
        let f = &row.fragment;
        told.push((f.offset, f.offset + u64::from(f.len)));
        assert_eq!(f.segment, head.id);
        assert_eq!(parsed.header.stream, head.stream);
        assert_eq!(
            SampleTable::unpack(&f.samples).as_ref(),
            Some(&parsed.samples)
        );
    }
    for (at, hole) in &found.freed {
        told.push((*at, at + hole.len));
    }
    told.sort_unstable();
    let (mut end, mut sum) = (begin, 0);
    for (from, to) in told {
        assert!(end <= from && from < to, "{from}..{to} behind {end}");
        end = to;
        sum += to - from;
    }
    assert_eq!(begin + sum, found.whole, "bytes that nothing was said of");
    let tail = of(found.whole);
    assert!(
        tail.fragments.is_empty(),
        "whole fragments behind the end of what is whole"
    );
}

/// A packed table from the index.
pub fn sample_table(data: &[u8]) {
    let Some(table) = SampleTable::unpack(data) else {
        return;
    };
    let packed = table.pack();
    assert!(packed.len() <= data.len(), "longer than it was read from");
    assert_eq!(SampleTable::unpack(&packed), Some(table));
    let torn = packed.get(..packed.len() - 1).unwrap_or_default();
    assert_eq!(SampleTable::unpack(torn), None, "a torn table was taken");
}

/// Live pictures with whatever times a camera or a worker gives them: for each 9 bytes of picture time and key flag, then the
/// number of bytes of picture.
pub fn live_fragments(data: &[u8]) {
    let mut live = LiveFragments::default();
    let (mut input, mut before) = (Input(data), None);
    while let (Some(pts), Some(flags)) = (input.i64(), input.u8()) {
        let n = usize::from(flags >> 1).min(input.0.len());
        let picture = input.slice(n).unwrap_or_default();
        let bytes = live.fragment(pts, flags & 1 != 0, picture);
        well_formed(&bytes);
        assert!(bytes.ends_with(picture) && bytes.len() < n + 200);
        let traf = Input(&bytes).find(b"moof").and_then(|m| m.find(b"traf"));
        let dts = traf.and_then(|t| t.find(b"tfdt")).and_then(|mut t| {
            t.u32()?;
            t.i64()
        });
        assert!(dts.is_some_and(|d| d >= 0), "{dts:?} at {pts}");
        // At the end of what 64 bits hold it can only stand still.
        assert!(
            before < dts || dts == Some(i64::MAX),
            "{dts:?} after {before:?}"
        );
        before = dts;
    }
}

/// Puts the right hash into a fragment.
fn seal(fragment: &mut [u8]) {
    let hash: Option<[u8; 32]> = fragment
        .get(HASHED_FROM..)
        .map(|b| Sha256::digest(b).into());
    if let (Some(hash), Some(place)) = (hash, fragment.get_mut(HASH_AT..HASHED_FROM)) {
        place.copy_from_slice(&hash);
    }
}

/// A file that no disk has; the path holds while the file is open.
fn in_memory(bytes: &[u8]) -> Option<(PathBuf, File)> {
    let file = rustix::fs::memfd_create("segment", rustix::fs::MemfdFlags::CLOEXEC).ok()?;
    let mut file = File::from(file);
    file.write_all(bytes).ok()?;
    Some((format!("/proc/self/fd/{}", file.as_raw_fd()).into(), file))
}

/// Boxes without a rest, down to those that hold none.
pub(super) fn well_formed(bytes: &[u8]) {
    const HOLDERS: [&[u8; 4]; 11] = [
        b"moov", b"trak", b"mdia", b"minf", b"stbl", b"dinf", b"edts", b"mvex", b"moof", b"traf",
        b"udta",
    ];
    let mut rest = Input(bytes);
    while let Some((kind, content)) = rest.next_box() {
        if HOLDERS.contains(&&kind) {
            well_formed(content);
        }
    }
    assert!(rest.0.is_empty(), "{} bytes are no box", rest.0.len());
}
