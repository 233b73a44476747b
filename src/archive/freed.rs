//! What stands where fragments were given back to the disk: a `free` box (ISO/IEC 14496-12 §8.1.2) over the hole, so that
//! players and scans step over it, and in it what was there, so that the file alone still tells the truth and its hash chain
//! can be followed.

use super::boxes::Input;
use crate::model::{SegmentId, TimeRange, UtcMicros};
use crate::store::database::Tombstone;

const MAGIC: [u8; 16] = *b"zhenbei:freed\0\0\x01";
/// The head of a `free` box and our note are never longer.
pub(super) const NOTE_MAX: usize = 512;

/// What a hole says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) segment: SegmentId,
    pub(super) range: TimeRange,
    pub(super) first_seq: i64,
    pub(super) last_seq: i64,
    pub(super) last_sha256: [u8; 32],
    pub(super) deleted_at: UtcMicros,
    pub(super) rule: String,
    pub(super) actor: String,
}

/// A hole found in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hole {
    /// Of the whole box.
    pub(super) len: u64,
    /// `None`: a `free` box of somebody else, or its note is damaged.
    pub(super) note: Option<Note>,
}

/// Head of the box and note for a deleted run. Cut off where the run is shorter.
pub(super) fn head(t: &Tombstone) -> Vec<u8> {
    let mut out = Vec::with_capacity(NOTE_MAX);
    match u32::try_from(t.bytes) {
        Ok(n) => {
            out.extend(n.to_be_bytes());
            out.extend(b"free");
        }
        // A `largesize` behind the type.
        Err(_) => {
            out.extend(1u32.to_be_bytes());
            out.extend(b"free");
            out.extend(t.bytes.to_be_bytes());
        }
    }
    out.extend(MAGIC);
    out.extend(t.segment.0.as_bytes());
    for n in [
        t.range.from.micros(),
        t.range.to.micros(),
        t.first_seq,
        t.last_seq,
        t.deleted_at.micros(),
    ] {
        out.extend(n.to_be_bytes());
    }
    out.extend(t.last_sha256);
    for text in [&t.rule, &t.actor] {
        let bytes = text.as_bytes();
        let n = bytes.len().min(120);
        out.push(u8::try_from(n).unwrap_or(0));
        out.extend(bytes.get(..n).unwrap_or_default());
    }
    out.truncate(usize::try_from(t.bytes).unwrap_or(usize::MAX));
    out
}

/// The hole that begins with these bytes (up to `NOTE_MAX` of it).
pub(super) fn read(bytes: &[u8]) -> Option<Hole> {
    let mut input = Input(bytes);
    let size = input.u32()?;
    if input.array::<4>()? != *b"free" {
        return None;
    }
    let (len, least) = match size {
        1 => (u64::from_be_bytes(input.array()?), 16),
        n => (u64::from(n), 8),
    };
    (len >= least).then(|| Hole {
        len,
        note: note(&mut input),
    })
}

fn note(input: &mut Input<'_>) -> Option<Note> {
    if input.array::<16>()? != MAGIC {
        return None;
    }
    let segment = SegmentId(uuid::Uuid::from_bytes(input.array()?));
    let (from, to) = (UtcMicros(input.i64()?), UtcMicros(input.i64()?));
    let (first_seq, last_seq) = (input.i64()?, input.i64()?);
    let deleted_at = UtcMicros(input.i64()?);
    let last_sha256 = input.array()?;
    let mut text = || {
        let n = input.u8()?;
        let bytes = input.slice(usize::from(n))?;
        Some(String::from_utf8_lossy(bytes).into_owned())
    };
    Some(Note {
        segment,
        range: TimeRange { from, to },
        first_seq,
        last_seq,
        last_sha256,
        deleted_at,
        rule: text()?,
        actor: text()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CameraId, StreamKey};

    fn stone(bytes: u64) -> Tombstone {
        Tombstone {
            segment: SegmentId::generate(),
            stream: StreamKey::main(CameraId::new("cam-1").unwrap()),
            path: "x".into(),
            range: TimeRange {
                from: UtcMicros(5),
                to: UtcMicros(9),
            },
            first_seq: 3,
            last_seq: 4,
            last_sha256: [7; 32],
            byte_from: 100,
            bytes,
            rule: "retention_days = 30".into(),
            actor: "retention".into(),
            in_part: true,
            deleted_at: UtcMicros(99),
        }
    }

    #[test]
    fn a_hole_says_what_was_there() {
        for bytes in [400, 5 << 30] {
            let t = stone(bytes);
            let hole = read(&head(&t)).unwrap();
            assert_eq!(hole.len, bytes);
            let note = hole.note.unwrap();
            assert_eq!((note.segment, note.range), (t.segment, t.range));
            assert_eq!((note.first_seq, note.last_seq), (3, 4));
            assert_eq!(
                (note.last_sha256, note.deleted_at),
                ([7; 32], UtcMicros(99))
            );
            assert_eq!((note.rule, note.actor), (t.rule, t.actor));
        }
    }

    #[test]
    fn other_bytes_are_no_note_and_short_holes_have_none() {
        assert_eq!(read(&head(&stone(20))).unwrap().note, None);
        assert_eq!(read(b"\0\0\0\x07free"), None, "shorter than its head");
        assert_eq!(read(b"\0\0\0\x10moof"), None);
        assert_eq!(read(b"\0\0"), None);
        let hole = read(b"\0\0\0\x10free12345678").unwrap();
        assert_eq!((hole.len, hole.note), (16, None));
    }
}
