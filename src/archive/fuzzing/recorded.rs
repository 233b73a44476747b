//! From a camera's frames to bytes on disk and back.

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use crate::archive::boxes::Boxes;
use crate::archive::fragment::{self, Clockwork, Header};
use crate::archive::gop::Gop;
use crate::archive::timeline::{Standing, Take, Timeline};
use crate::model::{
    CameraClock, CameraId, ClockMethod, GapCause, SegmentId, StreamKey, UtcMicros, VideoCodec,
};
use crate::video::{AudioParams, Frame, Media, StreamParams};

const RATE: u32 = 8_000;
/// Frames of one input; more only repeats.
const MOST: usize = 2_000;

/// Frames with the times that a session lets through, however absurd: what is recorded never overlaps, no frame is lost on the
/// way, and every fragment is read back as it was written.
///
/// For each frame flags, media time since the frame before (2), receive time since then (2), length (1). Flags: 1 key, 2
/// sound, 4 a new session, 8 frames went by unread, 16 packets lost and a camera's clock, 32 and 64 how much longer the media
/// and receive times are, 128 other parameters.
pub fn recorded_frames(data: &[u8]) {
    let params = [false, true].map(|sound| Arc::new(parameters(sound)));
    let (mut gop, mut line) = (
        Gop::new(2_000, GapCause::CameraDown),
        Timeline::new(None, Standing::default()),
    );
    let mut paper = Paper::default();
    let (mut pts, mut received) = (0i64, super::STARTED);
    let (mut pictures, mut which) = (0, false);
    for frame in data.chunks_exact(6).take(MOST) {
        let &[flags, a, b, c, d, len] = frame else {
            return;
        };
        let (media, real) = (i16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let media = i64::from(media) << (if flags & 32 == 0 { 0 } else { 14 });
        let real = i64::from(real) << (if flags & 64 == 0 { 4 } else { 16 });
        which ^= flags & 128 != 0;
        if flags & 4 != 0 {
            let last = gop.flush().map(|raw| line.place(raw)).unwrap_or_default();
            paper.write(last);
            gop.end_session(GapCause::CameraDown);
            // Media time begins at zero, and the clock may have been set back.
            pts = media.clamp(0, 90_000);
            received = received + if flags & 64 == 0 { real } else { -real };
        } else {
            pts += media;
            // Later than the one before: the session sees to that.
            received = received + real.max(1);
        }
        if flags & 8 != 0 {
            gop.skipped(GapCause::RingOverrun);
        }
        let sound = flags & 2 != 0;
        pictures += usize::from(!sound);
        let params = params.get(usize::from(which)).unwrap_or(&params[0]);
        let frame = Frame {
            media: if sound { Media::Audio } else { Media::Video },
            pts: if sound {
                pts * i64::from(RATE) / 90_000
            } else {
                pts
            },
            received,
            arrival: crate::video::Arrival::unmoved(received),
            key: flags & 1 != 0,
            data: Bytes::from(vec![len; usize::from(len)]),
            lost: u32::from(flags & 16),
            camera_clock: match flags & 16 {
                0 => CameraClock::default(),
                _ => CameraClock::Known {
                    offset_us: media << 32,
                    uncertainty_us: 100,
                    method: ClockMethod::RtcpSenderReport,
                },
            },
            params: Arc::clone(params),
        };
        if let Some(raw) = gop.push(Arc::new(frame)) {
            paper.write(line.place(raw));
        }
    }
    let last = gop.flush().map(|raw| line.place(raw)).unwrap_or_default();
    paper.write(last);
    paper.write(line.flush());
    assert_eq!(paper.pictures, pictures, "pictures were lost on the way");
}

/// What a disk would hold, one fragment at a time.
#[derive(Default)]
struct Paper {
    file: Option<(Clockwork, Arc<StreamParams>)>,
    end: Option<UtcMicros>,
    seq: i64,
    pictures: usize,
}

impl Paper {
    fn write(&mut self, takes: Vec<Take>) {
        for take in takes {
            self.one(&take);
        }
    }

    fn one(&mut self, take: &Take) {
        let range = take.range;
        assert!(range.from < range.to, "{range:?} is empty");
        let before = self.end.unwrap_or(range.from);
        assert!(
            before <= range.from,
            "{range:?} overlaps what ended at {before}"
        );
        let (mut clockwork, _) = self
            .file
            .take()
            .filter(|(_, params)| !take.session && *params == take.params)
            .unwrap_or_else(|| {
                let new = Clockwork {
                    started: range.from,
                    audio_end: 0,
                };
                (new, Arc::clone(&take.params))
            });
        let Ok(camera) = CameraId::new("cam-1") else {
            return;
        };
        self.seq += 1;
        let header = Header {
            segment: SegmentId(Uuid::nil()),
            stream: StreamKey::main(camera),
            seq: self.seq,
            previous: [0; 32],
            range,
            gap: (before < range.from).then_some((before, take.before)),
            received: take.received,
            lost: take.lost,
            clock: take.clock,
            key: take.key,
            session: take.session,
        };
        let mut b = Boxes::default();
        let (sha256, samples) = fragment::write(&mut b, &header, take, &mut clockwork);
        assert_eq!(samples.video.len(), take.samples.len());
        assert_eq!(fragment::length(&b.buf), Some(b.len()));
        super::well_formed(&b.buf);
        let read = fragment::read(&b.buf, clockwork.started, Some(RATE));
        let wrote = fragment::Parsed {
            header,
            sha256,
            samples,
        };
        assert_eq!(read, Some(wrote), "read something else than was written");
        self.pictures += take.samples.len();
        self.end = Some(range.to);
        self.file = Some((clockwork, Arc::clone(&take.params)));
    }
}

fn parameters(sound: bool) -> StreamParams {
    StreamParams {
        codec: VideoCodec::H264,
        extra_data: Bytes::new(),
        rfc6381: String::new(),
        width: 640,
        height: 360,
        pixel_aspect: None,
        audio: sound.then(|| AudioParams {
            sample_entry: Bytes::new(),
            rfc6381: None,
            clock_rate: RATE,
            channels: 1,
        }),
    }
}
