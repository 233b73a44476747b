//! Inputs the fuzzer begins with: small files as the writer writes them, whole and broken.
//!
//! `ZHENBEI_WRITE_CORPUS=1 cargo test --lib seeds` writes them into `fuzz/corpus` after a change of the format; those of older
//! formats stay beside them, under their names.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::*;
use crate::archive::fragment::{Clockwork, Header, NAMED};
use crate::archive::freed;
use crate::archive::gop::Sample;
use crate::archive::init::Head;
use crate::archive::samples::SampleTable;
use crate::archive::timeline::Take;
use crate::model::{
    CameraClock, CameraId, ClockMethod, FragmentClock, GapCause, SegmentId, StreamKey, StreamRole,
    TimeRange, VideoCodec,
};
use crate::store::database::Tombstone;
use crate::video::{AudioParams, Frame, Media, StreamParams};

fn parameters(sound: bool) -> StreamParams {
    StreamParams {
        codec: if sound {
            VideoCodec::H264
        } else {
            VideoCodec::H265
        },
        extra_data: Bytes::from_static(&[1, 0x64, 0, 0x1f, 0xff]),
        rfc6381: "avc1.64001f".into(),
        width: 640,
        height: 360,
        pixel_aspect: (!sound).then_some((4, 3)),
        audio: sound.then(|| AudioParams {
            sample_entry: Bytes::from_static(b"\0\0\0\x0calaw\0\0\0\0"),
            rfc6381: None,
            clock_rate: RATE,
            channels: 1,
        }),
    }
}

struct Written {
    bytes: Vec<u8>,
    head: usize,
    fragments: Vec<(usize, usize, TimeRange, SampleTable)>,
}

/// Fragments of so many pictures.
fn file(sound: bool, pictures: &[i64]) -> Written {
    let params = Arc::new(parameters(sound));
    let stream = StreamKey::new(
        CameraId::new("cam-1").unwrap(),
        if sound {
            StreamRole::Main
        } else {
            StreamRole::Sub
        },
    );
    let id = SegmentId(Uuid::from_u128(7));
    let head = Head {
        id,
        stream: stream.clone(),
        started: STARTED,
        params: params::to_text(&params),
    };
    let mut b = Boxes::default();
    init::write(&mut b, &head, &params);
    let head = b.len();
    let frame = |media, key, n: usize| {
        Arc::new(Frame {
            media,
            pts: 0,
            received: STARTED,
            arrival: crate::video::Arrival::unmoved(STARTED),
            key,
            data: vec![7u8; n].into(),
            lost: 0,
            camera_clock: CameraClock::default(),
            params: Arc::clone(&params),
        })
    };
    let mut clockwork = Clockwork {
        started: STARTED,
        audio_end: 0,
    };
    let (mut at, mut previous, mut fragments) = (STARTED, [0; 32], Vec::new());
    for (seq, n) in (1i64..).zip(pictures) {
        // One gap, before the second.
        let from = at + if seq == 2 { 500_000 } else { 0 };
        let range = TimeRange {
            from,
            to: from + n * 40_000,
        };
        let clock = FragmentClock {
            camera: CameraClock::Known {
                offset_us: -28_800_000_000,
                uncertainty_us: 12_000,
                method: ClockMethod::RtcpSenderReport,
            },
            ahead_us: 1_234,
        };
        let take = Take {
            params: Arc::clone(&params),
            samples: (0..*n)
                .map(|i| Sample {
                    frame: frame(Media::Video, i == 0, if i == 0 { 30 } else { 9 }),
                    duration: 3_600,
                    // As with B-frames, in the file without sound.
                    offset: if sound || i % 3 == 0 { 0 } else { 7_200 },
                })
                .collect(),
            audio: if sound {
                (0..2)
                    .map(|_| (frame(Media::Audio, true, 16), 160))
                    .collect()
            } else {
                Vec::new()
            },
            audio_start: 5,
            range,
            key: true,
            received: (from, range.to),
            lost: 2,
            clock,
            before: GapCause::RtpLoss,
            session: seq == 1,
        };
        let header = Header {
            segment: id,
            stream: stream.clone(),
            seq,
            previous,
            range,
            gap: (seq == 2).then_some((at, GapCause::RtpLoss)),
            received: take.received,
            lost: take.lost,
            clock,
            key: true,
            session: take.session,
        };
        let begin = b.len();
        let (hash, table) = fragment::write(&mut b, &header, &take, &mut clockwork);
        fragments.push((begin, b.len() - begin, range, table));
        (at, previous) = (range.to, hash);
    }
    Written {
        bytes: b.buf,
        head,
        fragments,
    }
}

/// As `clip_plan` reads it: all of the file, except the first and last picture.
fn rows(files: &[(u8, &Written)]) -> Vec<u8> {
    let mut b = Boxes::default();
    b.i64(STARTED.micros() + 50_000);
    let all = files.iter().flat_map(|(_, f)| &f.fragments);
    let end = all.map(|(_, _, range, _)| range.to).max().unwrap();
    b.i64(end.micros() - 50_000);
    b.u8(u8::try_from(files.len()).unwrap());
    for (params, file) in files {
        b.u8(*params);
        b.i64(STARTED.micros());
        b.u8(u8::try_from(file.fragments.len()).unwrap());
        for (at, len, range, table) in &file.fragments {
            b.i64(range.from.micros());
            b.i64(range.to.micros());
            b.i64(i64::try_from(*at).unwrap());
            b.u32(u32::try_from(*len).unwrap());
            b.u8(1);
            let table = table.pack();
            b.u16(u16::try_from(table.len()).unwrap());
            b.bytes(&table);
        }
    }
    b.buf
}

/// The second fragment is damaged and full of what looks like fragments: what a camera may send, were it to know the format.
fn false_fragments(file: &Written) -> Vec<u8> {
    let (at, len, ..) = file.fragments[1];
    let mut bytes = file.bytes.clone();
    let mut other = bytes[at..at + NAMED].to_vec();
    other[NAMED - 1] ^= 1;
    let tail = bytes.split_off(at + len);
    bytes.truncate(at + NAMED);
    for _ in 0..6 {
        bytes.extend(&other);
    }
    bytes.extend(tail);
    bytes
}

fn all() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let (sound, silent) = (file(true, &[4, 3, 2]), file(false, &[6, 1, 1]));
    let mut out = Vec::new();
    for (name, file) in [("sound", &sound), ("b_frames", &silent)] {
        let (at, len, _, table) = &file.fragments[1];
        out.push(("segment_scan", name, file.bytes.clone()));
        out.push(("segment_head", name, file.bytes[..file.head].to_vec()));
        out.push(("fragment", name, file.bytes[*at..at + len].to_vec()));
        out.push(("sample_table", name, table.pack()));
        out.push(("stream_params", name, {
            let text = params::to_text(&parameters(name == "sound"));
            text.as_bytes().to_vec()
        }));
    }
    let torn = sound.bytes[..sound.bytes.len() - 3].to_vec();
    out.push(("segment_scan", "torn_tail", torn));
    let (at, len, ..) = sound.fragments[1];
    let mut hole = sound.bytes.clone();
    hole.drain(at + len / 2..at + len / 2 + 9);
    out.push(("segment_scan", "hole", hole));
    let mut zeros = sound.bytes.clone();
    zeros[at..at + len].fill(0);
    let false_ones = false_fragments(&sound);
    out.push(("segment_scan", "false_fragments", false_ones));
    let mut hole = sound.bytes.clone();
    hole[at..at + len].fill(0);
    hole[at..at + 4].copy_from_slice(&u32::try_from(len).unwrap().to_be_bytes());
    hole[at + 4..at + 8].copy_from_slice(b"free");
    out.push(("segment_scan", "given_back", hole.clone()));
    let note = freed::head(&Tombstone {
        segment: SegmentId(Uuid::from_u128(7)),
        stream: StreamKey::main(CameraId::new("cam-1").unwrap()),
        path: "cam-1/main/7.mp4".into(),
        range: sound.fragments[1].2,
        first_seq: 2,
        last_seq: 2,
        last_sha256: [7; 32],
        byte_from: at as u64,
        bytes: len as u64,
        rule: "age".into(),
        actor: "retention".into(),
        in_part: true,
        deleted_at: STARTED,
    });
    hole[at..at + note.len()].copy_from_slice(&note);
    out.push(("segment_scan", "given_back_with_note", hole));
    out.push(("segment_scan", "zeros_in_the_middle", zeros));
    out.push((
        "segment_head",
        "torn",
        sound.bytes[..sound.head - 9].to_vec(),
    ));
    out.push(("clip_plan", "sound", rows(&[(1, &sound)])));
    out.push((
        "clip_plan",
        "sound_changes",
        rows(&[(1, &sound), (2, &sound)]),
    ));
    out.push(("clip_plan", "b_frames", rows(&[(3, &silent)])));
    out.push((
        "clip_plan",
        "codec_changes",
        rows(&[(0, &sound), (3, &silent)]),
    ));
    let mut live = Boxes::default();
    for pts in [0, 10_800, 3_600, 7_200, i64::MAX, i64::MIN, 14_400] {
        live.i64(pts);
        live.u8(5 << 1 | u8::from(pts == 0));
        live.bytes(b"piece");
    }
    out.push(("live_fragments", "b_frames_and_extremes", live.buf));
    out
}

#[test]
fn the_fuzzer_begins_with_inputs_that_are_understood() {
    let sound = file(true, &[4, 3, 2]);
    let (at, len, _, table) = &sound.fragments[1];
    let read = fragment::read(&sound.bytes[*at..at + len], STARTED, Some(RATE));
    assert_eq!(read.map(|p| p.samples).as_ref(), Some(table));
    let (path, _file) = in_memory(&sound.bytes).unwrap();
    let (head, n) = scan::head(&path).unwrap().unwrap();
    assert_eq!(n as usize, sound.head);
    assert_eq!(
        scan::scan(&path, &head, n.into()).unwrap().fragments.len(),
        3
    );
    for (target, name, bytes) in all() {
        match target {
            "segment_scan" => segment_scan(&bytes),
            "segment_head" => segment_head(&bytes),
            "fragment" => fragment(&bytes),
            "sample_table" => sample_table(&bytes),
            "stream_params" => stream_params(&bytes),
            "clip_plan" => clip_plan(&bytes),
            "live_fragments" => live_fragments(&bytes),
            other => panic!("{other}"),
        }
        if std::env::var_os("ZHENBEI_WRITE_CORPUS").is_some() {
            let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("fuzz/corpus")
                .join(target);
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(dir.join(name), bytes).unwrap();
        }
    }
}

#[test]
fn what_is_damaged_is_refused_and_what_lies_behind_is_found() {
    let sound = file(true, &[2, 2]);
    let (path, _file) = in_memory(&sound.bytes).unwrap();
    let (head, n) = scan::head(&path).unwrap().unwrap();
    let (at, ..) = sound.fragments[1];
    let mut wrong = sound.bytes.clone();
    wrong[at + HASHED_FROM + 80] ^= 1;
    let (path, _file) = in_memory(&wrong).unwrap();
    assert_eq!(
        scan::scan(&path, &head, n.into()).unwrap().fragments.len(),
        1
    );
    let (path, _file) = in_memory(&false_fragments(&file(true, &[2, 2, 2]))).unwrap();
    let found = scan::scan(&path, &head, n.into()).unwrap();
    assert_eq!(found.fragments.len(), 2, "those around the damage");
    assert_eq!(found.damaged.len(), 1);
    assert!(std::panic::catch_unwind(|| well_formed(&sound.bytes[..20])).is_err());
}
