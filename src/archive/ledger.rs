//! What the database could not be told yet, next to the segment files: a journal of gaps, and a note since when files may be
//! missing in the index. Both are there only while something is owed, and survive a crash.
//!
//! The journal is text, one gap a line, each with a check sum: a torn last line is no line. It is read back and emptied by the
//! first round that reaches the database, or by the next start.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::model::{CameraId, Gap, GapCause, StreamKey, StreamRole, TimeRange, UtcMicros};

pub(super) const JOURNAL: &str = "gaps.journal";
pub(super) const UNINDEXED: &str = "archive.unindexed";

/// A million gaps. A larger one would say nothing that the fragments' own account of their gaps does not.
const LONGEST: u64 = 96 << 20;
/// No line is longer.
const LINE: usize = 256;

/// The journal of gaps in one folder.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    owes: AtomicBool,
}

impl Journal {
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            path: dir.join(JOURNAL),
            // Until it was looked for.
            owes: AtomicBool::new(true),
        }
    }

    /// Whether there may be gaps in it.
    pub(super) fn owes(&self) -> bool {
        self.owes.load(Ordering::Acquire)
    }

    /// Appends gaps; returns when they would survive a power cut. Blocks.
    pub(super) fn append(&self, gaps: &[Gap]) -> io::Result<()> {
        let mut text = String::with_capacity(gaps.len() * 80);
        for gap in gaps {
            write_line(&mut text, gap);
        }
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)?;
        let len = file.metadata()?.len();
        if len + text.len() as u64 > LONGEST {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("{} has reached its limit", self.path.display()),
            ));
        }
        self.owes.store(true, Ordering::Release);
        // A line torn by an earlier failure must not swallow the first of these.
        let written = file
            .write_all(b"\n")
            .and_then(|()| file.write_all(text.as_bytes()))
            .and_then(|()| file.sync_data());
        if let Err(e) = written {
            file.set_len(len).ok();
            return Err(e);
        }
        if len == 0
            && let Some(dir) = self.path.parent()
        {
            File::open(dir)?.sync_all()?;
        }
        Ok(())
    }

    /// Gaps from byte `at` on, at most about `limit`, and where to go on; at the end `None`. Blocks.
    pub(super) fn read(&self, at: u64, limit: usize) -> io::Result<(Vec<Gap>, Option<u64>)> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                self.owes.store(false, Ordering::Release);
                return Ok((Vec::new(), None));
            }
            Err(e) => return Err(e),
        };
        file.seek(SeekFrom::Start(at))?;
        let mut bytes = Vec::new();
        file.take((limit * LINE) as u64).read_to_end(&mut bytes)?;
        let all = bytes.len() < limit * LINE;
        // Up to the last whole line; a line longer than the limit is damage and ends it.
        let end = match bytes.iter().rposition(|b| *b == b'\n') {
            Some(n) => n + 1,
            None => return Ok((Vec::new(), None)),
        };
        let gaps = read_lines(bytes.get(..end).unwrap_or(&[]));
        Ok((gaps, (!all).then_some(at + end as u64)))
    }

    /// Everything in it is in the index now. Blocks.
    pub(super) fn clear(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        self.owes.store(false, Ordering::Release);
        Ok(())
    }
}

fn write_line(text: &mut String, gap: &Gap) {
    let line = format!(
        "{} {} {} {} {}",
        gap.stream.camera,
        gap.stream.role,
        gap.range.from.micros(),
        gap.range.to.micros(),
        gap.cause.as_str()
    );
    let sum = crc32fast::hash(line.as_bytes());
    text.push_str(&line);
    text.push_str(&format!(" {sum:08x}\n"));
}

/// Lines that are whole; others are passed over.
pub(super) fn read_lines(bytes: &[u8]) -> Vec<Gap> {
    bytes
        .split(|b| *b == b'\n')
        .filter_map(|line| read_line(std::str::from_utf8(line).ok()?))
        .collect()
}

fn read_line(line: &str) -> Option<Gap> {
    let (line, sum) = line.rsplit_once(' ')?;
    if u32::from_str_radix(sum, 16).ok()? != crc32fast::hash(line.as_bytes()) {
        return None;
    }
    let mut words = line.split(' ');
    let camera = CameraId::new(words.next()?).ok()?;
    let role = StreamRole::parse(words.next()?)?;
    let from = UtcMicros(words.next()?.parse().ok()?);
    let to = UtcMicros(words.next()?.parse().ok()?);
    let cause = GapCause::parse(words.next()?)?;
    Some(Gap {
        stream: StreamKey::new(camera, role),
        range: TimeRange::new(from, to).ok()?,
        cause,
    })
}

/// Notes that files which begin at or after `since` may be missing in the index. Blocks.
pub(super) fn note_unindexed(dir: &Path, since: UtcMicros) -> io::Result<()> {
    let since = since.min(unindexed(dir)?.unwrap_or(UtcMicros::MAX));
    let new = dir.join(format!("{UNINDEXED}.new"));
    let mut file = File::create(&new)?;
    file.write_all(format!("{}\n", since.micros()).as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, dir.join(UNINDEXED))?;
    File::open(dir)?.sync_all()
}

/// Since when files may be missing in the index. Blocks.
pub(super) fn unindexed(dir: &Path) -> io::Result<Option<UtcMicros>> {
    match fs::read_to_string(dir.join(UNINDEXED)) {
        // Unreadable: then all of them may be.
        Ok(text) => Ok(Some(text.trim().parse().map_or(UtcMicros::MIN, UtcMicros))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// All of them are in the index now. Blocks.
pub(super) fn clear_unindexed(dir: &Path) -> io::Result<()> {
    match fs::remove_file(dir.join(UNINDEXED)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(n: i64) -> Gap {
        Gap {
            stream: StreamKey::main(CameraId::new("cam-1").unwrap()),
            range: TimeRange {
                from: UtcMicros(n * 10),
                to: UtcMicros(n * 10 + 5),
            },
            cause: GapCause::RtpLoss,
        }
    }

    fn all(journal: &Journal, limit: usize) -> Vec<Gap> {
        let (mut found, mut at) = (Vec::new(), Some(0));
        while let Some(from) = at {
            let (gaps, next) = journal.read(from, limit).unwrap();
            found.extend(gaps);
            at = next;
        }
        found
    }

    #[test]
    fn a_journal_comes_back_in_pieces_and_a_torn_line_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::new(dir.path());
        assert!(all(&journal, 10).is_empty());
        assert!(!journal.owes());
        let gaps: Vec<Gap> = (0..500).map(gap).collect();
        journal.append(&gaps[..300]).unwrap();
        assert!(journal.owes());
        // The power went in the middle of a line.
        let path = dir.path().join(JOURNAL);
        let len = fs::metadata(&path).unwrap().len();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(len - 7).unwrap();
        journal.append(&gaps[300..]).unwrap();
        let mut expected = gaps.clone();
        expected.remove(299);
        for limit in [1, 3, 1_000] {
            assert_eq!(all(&journal, limit), expected);
        }
        journal.clear().unwrap();
        assert!(!journal.owes() && all(&journal, 10).is_empty());
    }

    #[test]
    fn the_oldest_file_owed_is_remembered() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(unindexed(dir.path()).unwrap(), None);
        for t in [50, 20, 90] {
            note_unindexed(dir.path(), UtcMicros(t)).unwrap();
        }
        assert_eq!(unindexed(dir.path()).unwrap(), Some(UtcMicros(20)));
        fs::write(dir.path().join(UNINDEXED), "torn").unwrap();
        assert_eq!(unindexed(dir.path()).unwrap(), Some(UtcMicros::MIN));
        clear_unindexed(dir.path()).unwrap();
        clear_unindexed(dir.path()).unwrap();
        assert_eq!(unindexed(dir.path()).unwrap(), None);
    }
}
