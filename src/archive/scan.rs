//! Reads a segment file: what is whole in it, and where it is torn.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::boxes::u32_of;
use super::fragment::{self, NAMED, Parsed};
use super::freed::{self, Hole, NOTE_MAX};
use super::init::{self, Head};
use super::params;
use crate::model::{Fragment, SegmentId};
use crate::store::database::FragmentRow;

/// The head of a file is a few kilobytes,
const HEAD_USUAL: usize = 16 << 10;
/// and never longer than this: parameter sets are a few hundred bytes.
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
    /// The last bytes have the length of a whole fragment, but not its hash.
    pub(super) damaged_tail: bool,
}

impl Scan {
    /// Bytes given back to the disk: deleted, while the rest of the file is held.
    pub(super) fn freed_bytes(&self) -> u64 {
        self.freed.iter().map(|(_, hole)| hole.len).sum()
    }
}

/// The head and its length. `Ok(None)`: torn, or not a file of ours.
pub(super) fn head(path: &Path) -> io::Result<Option<(Head, u32)>> {
    let file = File::open(path)?;
    let mut bytes = read_up_to(&file, 0, HEAD_USUAL)?;
    let mut read = init::read(&bytes);
    if read.is_none() && bytes.len() == HEAD_USUAL {
        bytes = read_up_to(&file, 0, HEAD_MAX)?;
        read = init::read(&bytes);
    }
    Ok(read.map(|(head, n)| (head, u32_of(n))))
}

/// Makes a file durable as it is and forgets what memory has of it, so that what is read next is what the disk has.
///
/// After a failed sync the kernel may hold pages that never reached the disk and call them clean; a process that died has
/// left pages that are not on the disk yet. Neither may be promised as durable.
pub(super) fn settle(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    file.sync_data()?;
    // Only advice: where it is not taken, the sync above still stands.
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).ok();
    Ok(())
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
        damaged_tail: false,
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
            at += hole.len;
            scan.freed.push((at - hole.len, hole));
            scan.whole = at;
            continue;
        }
        // Damage: perhaps a whole fragment lies behind it. A torn tail has none.
        match next_candidate(&file, at + 8, len, head.id)? {
            Some(next) => at = next,
            None => {
                let prefix = read_up_to(&file, at, fragment::PREFIX)?;
                scan.damaged_tail = fragment::length(&prefix).is_some_and(|n| at + n as u64 <= len);
                break;
            }
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
    let prefix = read_up_to(file, at, NAMED)?;
    if fragment::segment(&prefix) != Some(head.id) {
        return Ok(None);
    }
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
            clock: h.clock,
            samples: parsed.samples.pack(),
        },
    };
    Ok(Some((row, parsed)))
}

/// A camera can put what looks like fragments into its pictures, thousands in each, and each with a length that would have to be
/// read and hashed. It cannot know the name of the file.
fn next_candidate(file: &File, mut at: u64, len: u64, id: SegmentId) -> io::Result<Option<u64>> {
    while at < len {
        let bytes = read_up_to(file, at, SEARCH)?;
        let mut from = 0;
        while let Some(found) = bytes.get(from..).and_then(fragment::search) {
            let kind = from + found;
            let prefix = kind.checked_sub(4).and_then(|begin| bytes.get(begin..));
            // At a border of what was read it is not known whose it is.
            if prefix
                .and_then(fragment::segment)
                .is_none_or(|said| said == id)
            {
                return Ok(Some(at + kind as u64 - 4));
            }
            from = kind + 20;
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
