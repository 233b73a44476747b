//! One fragment as bytes: `uuid prft moof mdat` in one buffer, so that it is one append.
//!
//! The `uuid` box carries our own facts, the hash of the fragment before, and first the hash of this one: SHA-256 over
//! everything behind the hash field to the end of `mdat`. Because the hash before is inside, each hash seals all before it.

use sha2::{Digest, Sha256};

use super::boxes::{Boxes, Input, u32_of};
use super::gop::ticks;
use super::init::{role_code, role_of};
use super::samples::{AudioSample, AudioTable, SampleTable, VideoSample};
use super::timeline::Take;
use super::track::{AUDIO_TRACK, VIDEO_TRACK};
use crate::model::{
    CameraClock, CameraId, FragmentClock, GapCause, SegmentId, StreamKey, TimeRange, UtcMicros,
};

const FRAGMENT_UUID: [u8; 16] = *b"zhenbei:fragment";
/// 2 added the clocks at the end of the box.
const VERSION: u8 = 2;
/// Where the hash field of a fragment begins and what it covers.
pub(super) const HASH_AT: usize = 8 + 16;
pub(super) const HASHED_FROM: usize = HASH_AT + 32;
/// Bytes that tell the length of the whole fragment.
pub(super) const PREFIX: usize = HASHED_FROM + 8;
/// Bytes that tell also whose file the fragment is of.
pub(super) const NAMED: usize = PREFIX + 8 + 32 + 16;
/// No fragment is longer; a length above this is damage.
pub(super) const LONGEST: usize = 64 << 20;

const IS_KEY: u8 = 1;
const IS_SESSION: u8 = 2;
/// NTP counts from 1900-01-01 (RFC 5905 §6).
const EPOCH_1900: i64 = 2_208_988_800;

/// ISO/IEC 14496-12 §8.8.3.1: depends on nothing / depends on others and is no sync sample.
const SYNC: u32 = 0x0200_0000;
const NOT_SYNC: u32 = 0x0101_0000;

/// What a fragment says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) segment: SegmentId,
    pub(super) stream: StreamKey,
    pub(super) seq: i64,
    pub(super) previous: [u8; 32],
    pub(super) range: TimeRange,
    /// End of the stream's fragment before this one, and why something is missing since, if it is.
    pub(super) gap: Option<(UtcMicros, GapCause)>,
    pub(super) received: (UtcMicros, UtcMicros),
    pub(super) lost: u32,
    pub(super) clock: FragmentClock,
    pub(super) key: bool,
    pub(super) session: bool,
}

/// Where the file stands; what makes its tracks continuous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clockwork {
    pub(super) started: UtcMicros,
    /// End of the audio written, in audio ticks since `started`.
    pub(super) audio_end: i64,
}

/// Written numbers of the gap causes; never reused.
fn cause_code(cause: Option<GapCause>) -> u8 {
    match cause {
        None => 0,
        Some(GapCause::CameraDown) => 1,
        Some(GapCause::SourceStalled) => 2,
        Some(GapCause::RtpLoss) => 3,
        Some(GapCause::RingOverrun) => 4,
        Some(GapCause::DiskBehind) => 5,
        Some(GapCause::DiskFull) => 6,
        Some(GapCause::DiskError) => 7,
        Some(GapCause::Restart) => 8,
        Some(GapCause::ClockStep) => 9,
        Some(GapCause::Stopped) => 10,
        Some(GapCause::Retention) => 11,
        Some(GapCause::NotRecorded) => 12,
        Some(GapCause::NotYet) => 13,
    }
}

fn cause_of(code: u8) -> Option<GapCause> {
    GapCause::ALL
        .into_iter()
        .find(|c| cause_code(Some(*c)) == code)
}

/// Ticks of a clock of `rate` between two wall times, rounded down.
pub(super) fn ticks_at(rate: u32, since: UtcMicros, at: UtcMicros) -> i64 {
    let t = i128::from(at.micros_since(since)) * i128::from(rate);
    i64::try_from(t.div_euclid(1_000_000)).unwrap_or(0)
}

/// Appends the fragment to `b`; returns its hash and sample table.
pub(super) fn write(
    b: &mut Boxes,
    head: &Header,
    take: &Take,
    file: &mut Clockwork,
) -> ([u8; 32], SampleTable) {
    let begin = b.len();
    let mut table = table(take, file);
    header(b, head);
    let length_at = begin + HASHED_FROM + 4;
    prft(b, head.range.from, file.started);
    let moof = b.len();
    let mut data_fields = Vec::with_capacity(2);
    b.nest(b"moof", |b| {
        b.full(b"mfhd", 0, 0, |b| {
            let [.., a, c, d, e] = head.seq.to_be_bytes();
            b.bytes(&[a, c, d, e]);
        });
        let start = ticks(head.range.from.micros_since(file.started)).max(0);
        let offsets = table.video.iter().any(|s| s.offset != 0);
        let flags = 0x1 | 0x100 | 0x200 | 0x400 | if offsets { 0x800 } else { 0 };
        data_fields.push(traf(b, VIDEO_TRACK, start, flags, table.video.len(), |b| {
            for s in &table.video {
                b.u32(s.duration);
                b.u32(s.size);
                b.u32(if s.key { SYNC } else { NOT_SYNC });
                if offsets {
                    b.i32(s.offset);
                }
            }
        }));
        if let (Some(audio), Some(rate)) = (&table.audio, rate(take)) {
            let start = ticks_at(rate, file.started, head.range.from) + audio.start;
            let n = audio.samples.len();
            let flags = 0x1 | 0x100 | 0x200;
            data_fields.push(traf(b, AUDIO_TRACK, start.max(0), flags, n, |b| {
                for s in &audio.samples {
                    b.u32(s.duration);
                    b.u32(s.size);
                }
            }));
        }
    });
    let mdat = b.len();
    b.nest(b"mdat", |b| {
        for s in &take.samples {
            b.bytes(&s.frame.data);
        }
        for (frame, _) in &take.audio {
            b.bytes(&frame.data);
        }
    });
    // `data_offset` counts from the start of `moof` (default-base-is-moof).
    let video_at = mdat + 8 - moof;
    let audio_at = video_at + usize::try_from(table.video_bytes()).unwrap_or(usize::MAX);
    for (field, at) in data_fields.iter().zip([video_at, audio_at]) {
        b.put_u32(*field, u32_of(at));
    }
    table.data = u32_of(mdat + 8 - begin);
    b.put_u32(length_at, u32_of(b.len() - begin));
    let hash: [u8; 32] = Sha256::digest(b.buf.get(begin + HASHED_FROM..).unwrap_or(&[])).into();
    b.put(begin + HASH_AT, &hash);
    (hash, table)
}

fn rate(take: &Take) -> Option<u32> {
    take.params.audio.as_ref().map(|a| a.clock_rate.max(1))
}

/// Sizes and durations as they are written; moves the file's clockwork on.
fn table(take: &Take, file: &mut Clockwork) -> SampleTable {
    let mut video: Vec<VideoSample> = take
        .samples
        .iter()
        .map(|s| VideoSample {
            duration: s.duration,
            size: u32_of(s.frame.data.len()),
            offset: s.offset,
            key: s.frame.key,
        })
        .collect();
    // The last picture lasts until the fragment's end on the wall clock: slewing and rounding end here and add up nowhere.
    let total = ticks(take.range.to.micros_since(file.started))
        - ticks(take.range.from.micros_since(file.started));
    if let Some((last, rest)) = video.split_last_mut() {
        let others: i64 = rest.iter().map(|s| i64::from(s.duration)).sum();
        last.duration = u32::try_from(total - others).unwrap_or(1).max(1);
    }
    let audio = rate(take).filter(|_| !take.audio.is_empty()).map(|rate| {
        let zero = ticks_at(rate, file.started, take.range.from);
        let mut start = zero + take.audio_start;
        // Rounding must not tear a continuous track; real steps are kept, overlaps and a begin before the file are not.
        if (start - file.audio_end).abs() <= i64::from(rate / 50) || start < file.audio_end {
            start = file.audio_end;
        }
        let samples: Vec<AudioSample> = take
            .audio
            .iter()
            .map(|(frame, duration)| AudioSample {
                duration: *duration,
                size: u32_of(frame.data.len()),
            })
            .collect();
        file.audio_end = start + samples.iter().map(|s| i64::from(s.duration)).sum::<i64>();
        AudioTable {
            start: start - zero,
            samples,
        }
    });
    SampleTable {
        data: 0,
        video,
        audio,
    }
}

pub(super) fn header(b: &mut Boxes, h: &Header) {
    b.nest(b"uuid", |b| {
        b.bytes(&FRAGMENT_UUID);
        b.zeros(32); // hash, filled in at the end
        b.u8(VERSION);
        b.u8(if h.key { IS_KEY } else { 0 } | if h.session { IS_SESSION } else { 0 });
        b.u8(cause_code(h.gap.map(|(_, cause)| cause)));
        b.u8(role_code(h.stream.role));
        b.u32(0); // length of the fragment, filled in at the end
        b.i64(h.seq);
        b.bytes(&h.previous);
        b.bytes(h.segment.0.as_bytes());
        b.i64(h.range.from.micros());
        b.i64(h.range.to.micros());
        b.i64(h.gap.map_or(h.range.from, |(from, _)| from).micros());
        b.i64(h.received.0.micros());
        b.i64(h.received.1.micros());
        b.u32(h.lost);
        let camera = h.stream.camera.as_str().as_bytes();
        b.u8(u8::try_from(camera.len()).unwrap_or(u8::MAX));
        b.bytes(camera);
        let (code, offset, uncertainty) = h.clock.camera.to_parts();
        b.u8(code);
        b.i64(offset);
        b.u32(uncertainty);
        b.i64(h.clock.ahead_us);
    });
}

/// Producer reference time (ISO/IEC 14496-12 §8.16.5): the NTP time of the fragment's first decode time.
fn prft(b: &mut Boxes, at: UtcMicros, started: UtcMicros) {
    // Flag 8: consistent along the file. It is the server's receive time, slewed; not the camera's capture time.
    b.full(b"prft", 1, 8, |b| {
        b.u32(VIDEO_TRACK);
        let seconds = at.micros().div_euclid(1_000_000) + EPOCH_1900;
        let fraction = (i128::from(at.micros().rem_euclid(1_000_000)) << 32) / 1_000_000;
        b.u32(u32::try_from(seconds & 0xffff_ffff).unwrap_or(0));
        b.u32(u32::try_from(fraction).unwrap_or(0));
        b.i64(ticks(at.micros_since(started)).max(0));
    });
}

/// Returns where the `data_offset` is to be filled in.
fn traf(
    b: &mut Boxes,
    track: u32,
    start: i64,
    flags: u32,
    n: usize,
    rows: impl FnOnce(&mut Boxes),
) -> usize {
    let mut data_at = 0;
    b.nest(b"traf", |b| {
        b.full(b"tfhd", 0, 0x02_0000, |b| b.u32(track)); // default-base-is-moof
        b.full(b"tfdt", 1, 0, |b| b.i64(start));
        b.full(b"trun", 1, flags, |b| {
            b.u32(u32_of(n));
            data_at = b.len();
            b.u32(0);
            rows(b);
        });
    });
    data_at
}

/// Length of the fragment that begins here, from its first `PREFIX` bytes. `None`: no fragment begins here.
pub(super) fn length(prefix: &[u8]) -> Option<usize> {
    let mut at = Input(prefix);
    at.u32()?;
    if at.array()? != *b"uuid" || at.array()? != FRAGMENT_UUID {
        return None;
    }
    at.slice(32)?;
    if !(1..=VERSION).contains(&at.u8()?) {
        return None;
    }
    at.slice(3)?;
    let n = usize::try_from(at.u32()?).ok()?;
    (n > PREFIX && n <= LONGEST).then_some(n)
}

/// The file that the fragment that begins here says it is of, from its first `NAMED` bytes.
pub(super) fn segment(prefix: &[u8]) -> Option<SegmentId> {
    let mut at = Input(prefix.get(NAMED - 16..)?);
    at.array().map(uuid::Uuid::from_bytes).map(SegmentId)
}

/// Where in `bytes` the type of the next fragment's first box is: the fragment may begin four bytes before.
pub(super) fn search(bytes: &[u8]) -> Option<usize> {
    let mut needle = *b"uuid____________________";
    needle[4..20].copy_from_slice(&FRAGMENT_UUID);
    let needle = needle.get(..20).unwrap_or(&[]);
    bytes.windows(needle.len()).position(|w| w == needle)
}

/// A whole fragment read back and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) header: Header,
    pub(super) sha256: [u8; 32],
    pub(super) samples: SampleTable,
}

/// Reads a fragment of which all bytes are here. `None` when the hash or the structure is not right.
pub(super) fn read(fragment: &[u8], started: UtcMicros, audio_rate: Option<u32>) -> Option<Parsed> {
    let told: [u8; 32] = Input(fragment.get(HASH_AT..)?).array()?;
    let sha256: [u8; 32] = Sha256::digest(fragment.get(HASHED_FROM..)?).into();
    if told != sha256 {
        return None;
    }
    let mut boxes = Input(fragment);
    let (_, head) = boxes.next_box()?;
    let header = read_header(head)?;
    let (kind, _) = boxes.next_box()?;
    let moof_at = fragment.len() - boxes.0.len();
    let (moof_kind, moof) = boxes.next_box()?;
    let mdat_at = fragment.len() - boxes.0.len();
    let (mdat_kind, mdat) = boxes.next_box()?;
    if (&kind, &moof_kind, &mdat_kind) != (b"prft", b"moof", b"mdat") || !boxes.0.is_empty() {
        return None;
    }
    let mut table = SampleTable {
        data: u32_of(mdat_at + 8),
        ..SampleTable::default()
    };
    let mut tracks = Input(moof);
    while let Some((kind, traf)) = tracks.next_box() {
        if &kind != b"traf" {
            continue;
        }
        let traf = Input(traf);
        let mut tfhd = traf.find(b"tfhd")?;
        tfhd.u32()?;
        let track = tfhd.u32()?;
        let mut tfdt = traf.find(b"tfdt")?;
        tfdt.u32()?;
        let start = tfdt.i64()?;
        let mut trun = traf.find(b"trun")?;
        let flags = trun.u32()? & 0x00ff_ffff;
        let n = usize::try_from(trun.u32()?).ok()?;
        let data = usize::try_from(trun.u32()?).ok()?;
        if n > trun.0.len() {
            return None;
        }
        if track == VIDEO_TRACK {
            if moof_at + data != mdat_at + 8 {
                return None;
            }
            for _ in 0..n {
                let (duration, size) = (trun.u32()?, trun.u32()?);
                let key = trun.u32()? == SYNC;
                let offset = if flags & 0x800 != 0 { trun.i32()? } else { 0 };
                table.video.push(VideoSample {
                    duration,
                    size,
                    offset,
                    key,
                });
            }
        } else {
            let zero = ticks_at(audio_rate?, started, header.range.from);
            let mut samples = Vec::with_capacity(n);
            for _ in 0..n {
                samples.push(AudioSample {
                    duration: trun.u32()?,
                    size: trun.u32()?,
                });
            }
            table.audio = Some(AudioTable {
                start: start.checked_sub(zero)?,
                samples,
            });
        }
    }
    let bytes = table.video_bytes() + table.audio_bytes();
    (bytes == mdat.len() as u64 && !table.video.is_empty()).then_some(Parsed {
        header,
        sha256,
        samples: table,
    })
}

pub(super) fn read_header(content: &[u8]) -> Option<Header> {
    let mut at = Input(content);
    at.slice(16 + 32)?;
    let version = at.u8()?;
    let flags = at.u8()?;
    let cause = cause_of(at.u8()?);
    let role = role_of(at.u8()?)?;
    at.u32()?;
    let seq = at.i64()?;
    let previous = at.array()?;
    let segment = SegmentId(uuid::Uuid::from_bytes(at.array()?));
    let range = TimeRange::new(UtcMicros(at.i64()?), UtcMicros(at.i64()?)).ok()?;
    let gap_from = UtcMicros(at.i64()?);
    let received = (UtcMicros(at.i64()?), UtcMicros(at.i64()?));
    let lost = at.u32()?;
    let n = usize::from(at.u8()?);
    let camera = CameraId::new(std::str::from_utf8(at.slice(n)?).ok()?).ok()?;
    let clock = match version {
        1 => FragmentClock::default(),
        _ => FragmentClock {
            camera: CameraClock::from_parts(at.u8()?, at.i64()?, at.u32()?)?,
            ahead_us: at.i64()?,
        },
    };
    Some(Header {
        segment,
        stream: StreamKey::new(camera, role),
        seq,
        previous,
        range,
        gap: cause
            .filter(|_| gap_from < range.from)
            .map(|c| (gap_from, c)),
        received,
        lost,
        clock,
        key: flags & IS_KEY != 0,
        session: flags & IS_SESSION != 0,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::archive::gop::Sample;
    use crate::model::VideoCodec;
    use crate::video::{AudioParams, Frame, Media, StreamParams};

    const STARTED: UtcMicros = UtcMicros::from_secs(1_795_000_000);

    fn fragment(sizes: &[usize]) -> (Vec<u8>, Header, SampleTable, [u8; 32]) {
        let params = Arc::new(StreamParams {
            codec: VideoCodec::H264,
            extra_data: Bytes::new(),
            rfc6381: String::new(),
            width: 64,
            height: 48,
            pixel_aspect: None,
            audio: Some(AudioParams {
                sample_entry: Bytes::new(),
                rfc6381: None,
                clock_rate: 8_000,
                channels: 1,
            }),
        });
        let frame = |media, key, n| {
            Arc::new(Frame {
                media,
                pts: 0,
                received: STARTED,
                arrival: crate::video::Arrival::unmoved(STARTED),
                key,
                data: vec![7u8; n].into(),
                lost: 0,
                camera_clock: crate::model::CameraClock::default(),
                params: Arc::clone(&params),
            })
        };
        let from = STARTED + 3_000_000;
        let range = TimeRange {
            from,
            to: from + i64::try_from(sizes.len()).unwrap() * 40_000 + 17,
        };
        let clock = FragmentClock {
            camera: CameraClock::Known {
                offset_us: -28_800_000_000,
                uncertainty_us: 12_000,
                method: crate::model::ClockMethod::RtcpSenderReport,
            },
            ahead_us: 1_234,
        };
        let take = Take {
            params: Arc::clone(&params),
            samples: sizes
                .iter()
                .enumerate()
                .map(|(i, n)| Sample {
                    frame: frame(Media::Video, i == 0, *n),
                    duration: 3_600,
                    offset: if i % 3 == 0 { 0 } else { -3_600 },
                })
                .collect(),
            audio: vec![(frame(Media::Audio, true, 160), 160)],
            audio_start: 5,
            range,
            key: true,
            received: (from, range.to),
            lost: 2,
            clock,
            before: GapCause::RtpLoss,
            session: false,
        };
        let header = Header {
            segment: SegmentId::generate(),
            stream: StreamKey::main(CameraId::new("cam-1").unwrap()),
            seq: 42,
            previous: [9; 32],
            range,
            gap: Some((from - 500_000, GapCause::RtpLoss)),
            received: take.received,
            lost: 2,
            clock,
            key: true,
            session: false,
        };
        let mut b = Boxes::default();
        let mut clockwork = Clockwork {
            started: STARTED,
            audio_end: 0,
        };
        let (sha256, table) = write(&mut b, &header, &take, &mut clockwork);
        (b.buf, header, table, sha256)
    }

    #[test]
    fn what_is_written_is_read_back() {
        let (bytes, header, samples, sha256) = fragment(&[100, 20, 30, 40]);
        assert_eq!(length(&bytes), Some(bytes.len()));
        assert_eq!(search(&bytes), Some(4));
        assert_eq!(segment(&bytes[..NAMED]), Some(header.segment));
        assert_eq!(segment(&bytes[..NAMED - 1]), None);
        let parsed = Parsed {
            header,
            sha256,
            samples,
        };
        assert_eq!(read(&bytes, STARTED, Some(8_000)), Some(parsed));
        for i in HASH_AT..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[i] ^= 1;
            assert_eq!(
                read(&wrong, STARTED, Some(8_000)),
                None,
                "a flipped bit at {i}"
            );
        }
    }

    /// What version 1 wrote ends behind the camera's name.
    #[test]
    fn a_fragment_of_version_1_is_read() {
        let (mut bytes, header, samples, _) = fragment(&[100, 20, 30, 40]);
        let added = 1 + 8 + 4 + 8;
        let uuid = u32::from_be_bytes(*bytes.first_chunk().unwrap());
        let end = usize::try_from(uuid).unwrap();
        bytes.drain(end - added..end);
        bytes[..4].copy_from_slice(&(uuid - u32::try_from(added).unwrap()).to_be_bytes());
        bytes[HASHED_FROM] = 1;
        let length_at = HASHED_FROM + 4;
        let whole = u32_of(bytes.len());
        bytes[length_at..length_at + 4].copy_from_slice(&whole.to_be_bytes());
        let sha256: [u8; 32] = Sha256::digest(&bytes[HASHED_FROM..]).into();
        bytes[HASH_AT..HASHED_FROM].copy_from_slice(&sha256);
        assert_eq!(length(&bytes), Some(bytes.len()));
        let parsed = read(&bytes, STARTED, Some(8_000)).unwrap();
        assert_eq!(parsed.header.clock, FragmentClock::default());
        assert_eq!(parsed.header.received, header.received);
        assert_eq!(parsed.samples.video, samples.video);
    }

    proptest! {
        /// Bytes made to look right by a right hash: refused or read, never a panic.
        #[test]
        fn no_content_makes_the_reader_panic(
            changes in prop::collection::vec((HASHED_FROM..600, any::<u8>()), 1..12),
            cut in 0usize..700,
        ) {
            let (mut bytes, ..) = fragment(&[100, 20, 30, 40]);
            for (at, value) in changes {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
            }
            bytes.truncate(bytes.len().saturating_sub(cut / 10));
            let hash: [u8; 32] = Sha256::digest(&bytes[HASHED_FROM..]).into();
            bytes[HASH_AT..HASHED_FROM].copy_from_slice(&hash);
            length(&bytes);
            read(&bytes, STARTED, Some(8_000));
        }
    }
}
