//! Clips planned from rows of a damaged index.

use super::plan::{Plan, Tables};
use super::{LONGEST_HOURS, moov};
use crate::archive::boxes::Input;
use crate::archive::fuzzing::well_formed;
use crate::archive::keys::key_places;
use crate::model::{
    CameraId, Fragment, FragmentClock, Segment, SegmentId, StreamKey, TimeRange, UtcMicros,
};
use crate::store::database::{FragmentRow, SegmentPart, SegmentRow};

/// Parameters of the files, by their number.
const PARAMS: [&str; 5] = [
    r#"{"codec":"h264","extra_data":"AWQAH//hAAA=","rfc6381":"avc1.64001f","width":640,"height":360}"#,
    r#"{"codec":"h264","extra_data":"AWQAH//hAAA=","rfc6381":"avc1.64001f","width":640,"height":360,"audio":{"sample_entry":"AAAACGFsYXc=","clock_rate":8000,"channels":1}}"#,
    r#"{"codec":"h264","extra_data":"AWQAH//hAAE=","rfc6381":"avc1.64001f","width":1920,"height":1080,"pixel_aspect":[4,3],"audio":{"sample_entry":"AAAACG1wNGE=","clock_rate":4294967295,"channels":2}}"#,
    r#"{"codec":"h265","extra_data":"AQ==","rfc6381":"hvc1.1.6.L93.B0","width":1920,"height":1080}"#,
    "damaged",
];
/// Files and fragments of one file.
const MOST: u8 = 8;

/// A range and rows, however they contradict each other: refused, or a plan whose numbers agree and that reads nothing outside
/// its fragments.
///
/// Input: the range (16 bytes), number of files; for each the number of its parameters, when it began (8) and the number of
/// fragments; for each range (16), offset (8), length (4), key flag (1), length of the sample table (2) and the table.
pub fn clip_plan(data: &[u8]) {
    let Some((range, parts)) = rows(&mut Input(data)) else {
        return;
    };
    for row in parts.iter().flat_map(|p| &p.fragments) {
        let f = &row.fragment;
        for place in key_places(row).unwrap_or_default() {
            let end = place.offset + place.size as u64;
            assert!(f.offset <= place.offset && end <= f.offset + u64::from(f.len));
        }
    }
    // The daemon has refused other ranges before it asks the index.
    if range.from >= range.to || range.micros() > LONGEST_HOURS * 3_600_000_000 {
        return;
    }
    let Ok(Some(plan)) = Plan::new(&parts, range) else {
        return;
    };
    let sound = plan.audio.as_ref().map(|a| &a.tables);
    let of = |t: &Tables| t.sizes.iter().map(|s| u64::from(*s)).sum::<u64>();
    let media = of(&plan.video) + sound.map_or(0, of);
    assert_eq!(plan.media_len, media);
    assert_eq!(plan.pieces.iter().map(|p| p.len).sum::<u64>(), media);
    consistent(&plan.video, media);
    if let Some(sound) = sound {
        consistent(sound, media);
    }
    for piece in &plan.pieces {
        let mut inside = parts.iter().flat_map(|p| &p.fragments).map(|f| &f.fragment);
        // A piece may go over the border of fragments that touch.
        assert!(
            inside
                .any(|f| (f.offset..f.offset.saturating_add(f.len.into())).contains(&piece.offset))
        );
    }
    let head = moov::head(&plan);
    let mdat = if media + 8 > u64::from(u32::MAX) {
        16
    } else {
        8
    };
    let (boxes, last) = head.split_at(head.len() - mdat);
    well_formed(boxes);
    let mut last = Input(last);
    let size = match (last.u32(), last.array(), last.i64()) {
        (Some(1), Some(kind), Some(n)) if &kind == b"mdat" => u64::try_from(n).ok(),
        (Some(n), Some(kind), None) if &kind == b"mdat" => Some(u64::from(n)),
        _ => None,
    };
    assert_eq!(size, Some(media + mdat as u64));
}

fn consistent(t: &Tables, media: u64) {
    assert_eq!(t.durations.len(), t.sizes.len());
    assert!(t.offsets.is_empty() || t.offsets.len() == t.sizes.len());
    assert!(
        t.keys.is_sorted()
            && t.keys
                .iter()
                .all(|k| (1..=t.sizes.len() as u64).contains(&u64::from(*k)))
    );
    let mut sizes = t.sizes.iter();
    for chunk in &t.chunks {
        assert!(chunk.entry >= 1 && chunk.samples >= 1);
        let bytes: u64 = sizes
            .by_ref()
            .take(chunk.samples as usize)
            .map(|s| u64::from(*s))
            .sum();
        assert!(chunk.at + bytes <= media, "samples outside the file");
    }
    assert_eq!(sizes.next(), None, "samples of no chunk");
}

fn rows(input: &mut Input<'_>) -> Option<(TimeRange, Vec<SegmentPart>)> {
    let range = range(input)?;
    let stream = StreamKey::main(CameraId::new("cam-1").ok()?);
    let mut parts = Vec::new();
    for n in 0..input.u8()?.min(MOST) {
        let id = SegmentId(uuid::Uuid::from_u128(u128::from(n)));
        let params = PARAMS.get(usize::from(input.u8()?) % PARAMS.len())?;
        let started = UtcMicros(input.i64()?);
        let mut fragments = Vec::new();
        for seq in 0..input.u8()?.min(MOST) {
            let range = self::range(input)?;
            let (offset, len) = (input.i64()?.cast_unsigned(), input.u32()?);
            let key = input.u8()? & 1 != 0;
            let n = usize::from(u16::from_be_bytes(input.array()?));
            fragments.push(FragmentRow {
                fragment: Fragment {
                    segment: id,
                    seq: i64::from(seq),
                    range,
                    offset,
                    len,
                    sha256: [0; 32],
                    packets_lost: 0,
                    clock: FragmentClock::default(),
                    samples: input.slice(n)?.to_vec(),
                },
                key,
            });
        }
        parts.push(SegmentPart {
            row: SegmentRow {
                segment: Segment {
                    id,
                    stream: stream.clone(),
                    path: format!("{n}.mp4"),
                    started,
                    init_len: 0,
                },
                first_seq: 0,
                ended: started,
                bytes: 0,
                freed: 0,
                whole: true,
                closed: true,
                params: (*params).into(),
            },
            fragments,
        });
    }
    Some((range, parts))
}

fn range(input: &mut Input<'_>) -> Option<TimeRange> {
    let (from, to) = (UtcMicros(input.i64()?), UtcMicros(input.i64()?));
    Some(TimeRange { from, to })
}
