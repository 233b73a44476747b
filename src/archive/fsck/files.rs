//! The files of a stream as they are on the disk, and one of them against what the index says of it.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use super::finding::{Finding, FindingKind};
use crate::archive::init::Head;
use crate::archive::scan::{self, Scan};
use crate::model::{CameraId, Segment, SegmentId, StreamKey, StreamRole, TimeRange};
use crate::store::database::{FragmentRow, SegmentPart, SegmentRow};

/// Files of the archive itself, beside the cameras' folders.
const OURS: [&str; 7] = [
    "archive.lock",
    "archive.volume",
    "archive.adopt",
    "archive.probe",
    super::super::ledger::JOURNAL,
    super::super::ledger::UNINDEXED,
    "lost+found",
];

#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Segment files, relative to the volume's folder, sorted: by time.
    pub(super) segments: Vec<String>,
    pub(super) torn: Vec<String>,
    pub(super) foreign: Vec<String>,
}

/// Streams with a folder, and what else lies beside them.
pub(super) fn streams(dir: &Path) -> io::Result<(Vec<StreamKey>, Vec<String>)> {
    let (mut found, mut foreign) = (Vec::new(), Vec::new());
    for (camera, is_dir) in names(dir)? {
        if !is_dir || camera == "lost+found" {
            if !OURS.contains(&camera.as_str()) {
                foreign.push(camera);
            }
            continue;
        }
        let id = CameraId::new(&camera).ok();
        for (role, is_dir) in names(&dir.join(&camera))? {
            match (&id, StreamRole::parse(&role)) {
                (Some(id), Some(role)) if is_dir => found.push(StreamKey::new(id.clone(), role)),
                _ => foreign.push(format!("{camera}/{role}")),
            }
        }
    }
    Ok((found, foreign))
}

/// Everything in a stream's folder.
pub(super) fn list(dir: &Path, stream: &StreamKey) -> io::Result<Listing> {
    let base = format!("{}/{}", stream.camera, stream.role);
    let mut found = Listing::default();
    for (day, is_dir) in names(&dir.join(&base))? {
        let day = format!("{base}/{day}");
        if !is_dir {
            found.foreign.push(day);
            continue;
        }
        for (name, is_dir) in names(&dir.join(&day))? {
            let path = format!("{day}/{name}");
            if is_dir {
                found.foreign.push(path);
            } else if name.ends_with(".mp4") {
                found.segments.push(path);
            } else if name.ends_with(".torn") {
                found.torn.push(path);
            } else {
                found.foreign.push(path);
            }
        }
    }
    Ok(found)
}

/// Names in a folder and whether they are folders, sorted; none if it is not there.
fn names(dir: &Path) -> io::Result<Vec<(String, bool)>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        found.push((name, entry.file_type()?.is_dir()));
    }
    found.sort_unstable();
    Ok(found)
}

/// A file read from its begin to its end.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) head: Head,
    pub(super) init_len: u32,
    pub(super) scan: Scan,
    /// The head itself was not there; what the index says of it was used.
    pub(super) headless: bool,
}

#[derive(Debug)]
pub(super) enum Look {
    Missing,
    NoHead,
    Unreadable(io::Error),
    Read(Box<Content>),
}

/// Reads and hashes a file. `known`: what to go by when its head is damaged.
pub(super) fn look(full: &Path, known: Option<&SegmentRow>) -> Look {
    let read = || -> io::Result<Option<Content>> {
        let (head, init_len, headless) = match (scan::head(full)?, known) {
            (Some((head, init_len)), _) => (head, init_len, false),
            (None, Some(row)) => (head_of(row), row.segment.init_len, true),
            (None, None) => return Ok(None),
        };
        let scan = scan::scan(full, &head, u64::from(init_len))?;
        Ok(Some(Content {
            head,
            init_len,
            scan,
            headless,
        }))
    };
    match read() {
        Ok(Some(content)) => Look::Read(Box::new(content)),
        Ok(None) => Look::NoHead,
        Err(e) if e.kind() == io::ErrorKind::NotFound => Look::Missing,
        Err(e) => Look::Unreadable(e),
    }
}

fn head_of(row: &SegmentRow) -> Head {
    Head {
        id: row.segment.id,
        stream: row.segment.stream.clone(),
        started: row.segment.started,
        params: row.params.clone(),
    }
}

/// The row that this file would have. `None`: no fragment of it is whole.
pub(super) fn part(path: &str, content: &Content) -> Option<SegmentPart> {
    let fragments: Vec<FragmentRow> = content
        .scan
        .fragments
        .iter()
        .map(|(row, _)| row.clone())
        .collect();
    let first = fragments.first()?;
    let mut row = new_row(path, &content.head, content.init_len, first.fragment.seq);
    row.bytes = content.scan.whole;
    for f in &fragments {
        row.whole &= row.ended == f.fragment.range.from;
        row.ended = f.fragment.range.to;
    }
    row.freed = content.scan.freed_bytes();
    row.whole &= row.freed == 0;
    row.closed = true;
    Some(SegmentPart { row, fragments })
}

/// A row of a file of which nothing but the head is known yet.
pub(in crate::archive) fn new_row(
    path: &str,
    head: &Head,
    init_len: u32,
    first_seq: i64,
) -> SegmentRow {
    SegmentRow {
        segment: Segment {
            id: head.id,
            stream: head.stream.clone(),
            path: path.to_owned(),
            started: head.started,
            init_len,
        },
        first_seq,
        ended: head.started,
        bytes: u64::from(init_len),
        freed: 0,
        whole: true,
        closed: true,
        params: head.params.clone(),
    }
}

/// Row against file.
#[derive(Debug, Default)]
pub(super) struct Compared {
    pub(super) findings: Vec<Finding>,
    /// The row must be written anew.
    pub(super) differs: bool,
    /// Footage that the index had and the file has not: numbers and time.
    pub(super) lost: Vec<(i64, i64, TimeRange)>,
    /// Bytes behind the last whole fragment, to be cut off.
    pub(super) tail: u64,
}

/// `found`: as [`part`]. `None`: nothing of the file is whole.
pub(super) fn compare(
    known: &SegmentPart,
    found: Option<&SegmentPart>,
    content: &Content,
) -> Compared {
    let mut out = Compared::default();
    let (row, path) = (&known.row, known.row.segment.path.as_str());
    let stream = &row.segment.stream;
    let say = |kind, text: String| Finding::new(kind, text).of(stream).file(path);
    let scan = &content.scan;
    if content.headless {
        out.findings.push(say(
            FindingKind::HeadDamaged,
            "the head of the file is damaged".into(),
        ));
    }
    let theirs: HashMap<i64, &FragmentRow> = found
        .iter()
        .flat_map(|p| &p.fragments)
        .map(|f| (f.fragment.seq, f))
        .collect();
    // What is lost, neighbours as one.
    let mut lost: Vec<(&FragmentRow, &FragmentRow)> = Vec::new();
    for f in &known.fragments {
        if theirs.contains_key(&f.fragment.seq) {
            continue;
        }
        match lost.last_mut() {
            Some((_, last)) if last.fragment.seq + 1 == f.fragment.seq => *last = f,
            Some(_) | None => lost.push((f, f)),
        }
    }
    for (first, last) in &lost {
        let (a, b) = (&first.fragment, &last.fragment);
        let range = TimeRange {
            from: a.range.from,
            to: b.range.to,
        };
        let short = a.offset + u64::from(a.len) > scan.len;
        let (kind, what) = if short {
            (FindingKind::FileShort, "is gone: the file ends before it")
        } else {
            (
                FindingKind::Damaged,
                "is damaged: its bytes do not have its hash",
            )
        };
        let text = format!("{} {what}", fragments_named(a.seq, b.seq));
        let finding = say(kind, text).fragment(a.seq).offset(a.offset);
        out.findings.push(finding.range(range));
        out.lost.push((a.seq, b.seq, range));
        out.differs = true;
    }
    for (from, to) in &scan.damaged {
        let told = known.fragments.iter().any(|f| {
            f.fragment.offset < *to && f.fragment.offset + u64::from(f.fragment.len) > *from
        });
        if !told {
            // The index has nothing there: the loss was written down when it was found.
            let text = format!(
                "{} bytes are no fragment; the index knows of none there",
                to - from
            );
            out.findings
                .push(say(FindingKind::LossKnown, text).offset(*from));
        }
    }
    let indexed_end = known
        .fragments
        .last()
        .map_or(0, |f| f.fragment.offset + u64::from(f.fragment.len));
    if scan.len > scan.whole {
        out.tail = scan.len - scan.whole;
        if scan.damaged_tail && indexed_end <= scan.whole {
            let text = "a damaged fragment at the end; the index knows of none there";
            let finding = say(FindingKind::LossKnown, text.into());
            out.findings.push(finding.offset(scan.whole));
            out.tail = 0;
        } else if indexed_end <= scan.whole {
            let text = format!("{} bytes at the end are no whole fragment", out.tail);
            out.findings
                .push(say(FindingKind::TornTail, text).offset(scan.whole));
        } else if scan.damaged_tail {
            out.tail = 0; // damaged footage is not cut off
        }
    }
    let Some(found) = found else {
        return out;
    };
    let ours: HashMap<i64, &FragmentRow> = known
        .fragments
        .iter()
        .map(|f| (f.fragment.seq, f))
        .collect();
    let new: Vec<&FragmentRow> = found
        .fragments
        .iter()
        .filter(|f| !ours.contains_key(&f.fragment.seq))
        .collect();
    if let (Some(a), Some(b)) = (new.first(), new.last()) {
        let (a, b) = (&a.fragment, &b.fragment);
        let text = format!(
            "{} is whole in the file and not in the index",
            fragments_named(a.seq, b.seq)
        );
        let range = TimeRange {
            from: a.range.from,
            to: b.range.to,
        };
        let finding = say(FindingKind::FileLonger, text).fragment(a.seq);
        out.findings.push(finding.offset(a.offset).range(range));
        out.differs = true;
    }
    let facts = differences(known, found, &theirs);
    if !facts.is_empty() {
        let text = format!("the index is wrong about: {}", facts.join(", "));
        out.findings.push(say(FindingKind::RowDiffers, text));
        out.differs = true;
    }
    if !row.closed {
        out.findings.push(say(
            FindingKind::NotClosed,
            "the file was being written when the daemon ended".into(),
        ));
        out.differs = true;
    }
    out
}

/// Facts that both have and that are not the same.
fn differences(
    known: &SegmentPart,
    found: &SegmentPart,
    theirs: &HashMap<i64, &FragmentRow>,
) -> Vec<String> {
    let mut facts = Vec::new();
    let (a, b) = (&known.row, &found.row);
    let mut fact = |same: bool, name: &str| {
        if !same {
            facts.push(name.to_owned());
        }
    };
    fact(a.segment.id == b.segment.id, "id");
    fact(a.segment.stream == b.segment.stream, "stream");
    fact(a.segment.started == b.segment.started, "begin");
    fact(
        a.segment.init_len == b.segment.init_len,
        "length of the head",
    );
    fact(a.params == b.params, "stream parameters");
    // Everything else follows from the fragments, and differs when those do.
    let same_set = known.fragments.len() == found.fragments.len()
        && known
            .fragments
            .iter()
            .all(|f| theirs.contains_key(&f.fragment.seq));
    if same_set {
        fact(a.first_seq == b.first_seq, "first number");
        fact(a.ended == b.ended, "end");
        fact(a.whole == b.whole, "whether it has holes");
        fact(a.bytes == b.bytes, "length");
    }
    for f in &known.fragments {
        if let Some(other) = theirs.get(&f.fragment.seq)
            && **other != *f
        {
            facts.push(format!("fragment {}", f.fragment.seq));
        }
    }
    facts.truncate(20);
    facts
}

pub(super) fn fragments_named(from: i64, to: i64) -> String {
    if from == to {
        format!("fragment {from}")
    } else {
        format!("fragments {from} to {to}: each")
    }
}

/// Only what costs no reading: is it there, how long is it.
pub(super) fn glance(full: &Path) -> Result<u64, io::Error> {
    fs::metadata(full).map(|m| m.len())
}

/// Which file this is, by its own word.
pub(super) fn id_of(full: &Path) -> io::Result<Option<SegmentId>> {
    Ok(scan::head(full)?.map(|(head, _)| head.id))
}
