//! Reads a segment file: what is whole in it, and where it is torn.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::boxes::u32_of;
use super::fragment::{self, PREFIX, Parsed};
use super::freed::{self, Hole, NOTE_MAX};
use super::init::{self, Head};
use super::params;
use crate::model::Fragment;
use crate::store::database::FragmentRow;

/// The head of a file is never longer: parameter sets are a few hundred bytes.
const HEAD_MAX: usize = 1 << 20;
/// How far behind damage the next whole fragment is looked for at once.
const SEARCH: usize = 4 << 20;

/// What a file holds from some offset on.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) fragments: Vec<(FragmentRow, Parsed)>,
    /// End of the last whole fragment (or of the head).
    pub(super) whole: u64,
    /// Of the file as found.
    pub(super) len: u64,
    /// Fragments given back to the disk, and where.
    pub(super) freed: Vec<(u64, Hole)>,
    /// Damaged bytes with whole fragments behind them.
    pub(super) damaged: Vec<(u64, u64)>,
}

/// The head and its length. `Ok(None)`: torn, or not a file of ours.
pub(super) fn head(path: &Path) -> io::Result<Option<(Head, u32)>> {
    let file = File::open(path)?;
    let bytes = read_up_to(&file, 0, HEAD_MAX)?;
    Ok(init::read(&bytes).map(|(head, n)| (head, u32_of(n))))
}

/// Everything whole from `offset` on.
pub(super) fn scan(path: &Path, head: &Head, offset: u64) -> io::Result<Scan> {
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    let audio_rate = params::from_text(&head.params)
        .ok()
        .and_then(|p| p.audio)
        .map(|a| a.clock_rate.max(1));
    let mut scan = Scan {
        fragments: Vec::new(),
        whole: offset,
        len,
        freed: Vec::new(),
        damaged: Vec::new(),
    };
    let mut at = offset;
    while at < len {
        let found = one(&file, at, len, head, audio_rate)?;
        if let Some((row, parsed)) = found {
            if at > scan.whole {
                scan.damaged.push((scan.whole, at));
            }
            at += u64::from(row.fragment.len);
            scan.whole = at;
            scan.fragments.push((row, parsed));
            continue;
        }
        let hole = freed::read(&read_up_to(&file, at, NOTE_MAX)?);
        if let Some(hole) = hole.filter(|h| at.checked_add(h.len).is_some_and(|end| end <= len)) {
            if at > scan.whole {
                scan.damaged.push((scan.whole, at));
            }
            scan.freed.push((at, hole.clone()));
            at += hole.len;
            scan.whole = at;
            continue;
        }
        // Damage: perhaps a whole fragment lies behind it. A torn tail has none.
        match next_candidate(&file, at + 8, len)? {
            Some(next) => at = next,
            None => break,
        }
    }
    Ok(scan)
}

fn one(
    file: &File,
    at: u64,
    len: u64,
    head: &Head,
    audio_rate: Option<u32>,
) -> io::Result<Option<(FragmentRow, Parsed)>> {
    let prefix = read_up_to(file, at, PREFIX)?;
    let Some(n) = fragment::length(&prefix) else {
        return Ok(None);
    };
    if at + n as u64 > len {
        return Ok(None);
    }
    let bytes = read_up_to(file, at, n)?;
    if bytes.len() != n {
        return Ok(None);
    }
    let Some(parsed) = fragment::read(&bytes, head.started, audio_rate) else {
        return Ok(None);
    };
    if parsed.header.segment != head.id || parsed.header.stream != head.stream {
        return Ok(None);
    }
    let h = &parsed.header;
    let row = FragmentRow {
        key: h.key,
        fragment: Fragment {
            segment: h.segment,
            seq: h.seq,
            range: h.range,
            offset: at,
            len: u32_of(n),
            sha256: parsed.sha256,
            packets_lost: h.lost,
            samples: parsed.samples.pack(),
        },
    };
    Ok(Some((row, parsed)))
}

fn next_candidate(file: &File, mut at: u64, len: u64) -> io::Result<Option<u64>> {
    while at < len {
        let bytes = read_up_to(file, at, SEARCH)?;
        if let Some(found) = fragment::search(&bytes) {
            return Ok(Some(at + found as u64 - 4));
        }
        if bytes.len() < SEARCH {
            return Ok(None);
        }
        // The pattern may straddle the border.
        at += (SEARCH - 64) as u64;
    }
    Ok(None)
}

fn read_up_to(file: &File, at: u64, n: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; n];
    let mut got = 0;
    while got < n {
        let Some(rest) = bytes.get_mut(got..) else {
            break;
        };
        match file.read_at(rest, at + got as u64) {
            Ok(0) => break,
            Ok(k) => got += k,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    bytes.truncate(got);
    Ok(bytes)
}
