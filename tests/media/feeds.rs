//! A camera and a wall for transcodes: clips played at their pace, pictures collected with the time they came.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use zhenbei::media::{
    AccessUnit, Feed, TranscodeFeed, TranscodeSink, TranscodeStart, TranscodedFrame,
};
use zhenbei::model::{CameraId, Error, StreamKey, StreamParams, UtcMicros};

use crate::clips::{Clip, Sample};

pub(crate) fn key(camera: &str) -> StreamKey {
    StreamKey::main(CameraId::new(camera).unwrap())
}

/// Plays scenes at 25 pictures a second; between two the session breaks.
pub(crate) struct Player {
    scenes: Vec<(Arc<StreamParams>, Vec<Sample>)>,
    at: (usize, usize),
    again: bool,
    begun: Instant,
    sent: u32,
}

impl Player {
    pub(crate) fn once(clips: &[&Clip]) -> Self {
        let scene = |c: &&Clip| (Arc::new(c.params.clone()), c.samples.clone());
        Self {
            scenes: clips.iter().map(scene).collect(),
            at: (0, 0),
            again: false,
            begun: Instant::now(),
            sent: 0,
        }
    }

    pub(crate) fn forever(clip: &Clip) -> Self {
        Self {
            again: true,
            ..Self::once(&[clip])
        }
    }
}

#[async_trait]
impl TranscodeFeed for Player {
    async fn next(&mut self) -> Option<Feed> {
        let (params, samples) = self.scenes.get(self.at.0)?;
        let Some(sample) = samples.get(self.at.1) else {
            self.at = (if self.again { 0 } else { self.at.0 + 1 }, 0);
            if self.again {
                // The same time line goes on.
                return self.next().await;
            }
            return Some(Feed::Break);
        };
        let due = self.begun + Duration::from_millis(40) * self.sent;
        tokio::time::sleep_until(due.into()).await;
        let pts = if self.again {
            i64::from(self.sent) * 3600
        } else {
            sample.pts
        };
        self.at.1 += 1;
        self.sent += 1;
        Some(Feed::Unit(AccessUnit {
            params: Arc::clone(params),
            data: sample.data.clone(),
            key: sample.key,
            pts,
            received: UtcMicros(i64::try_from(self.begun.elapsed().as_micros()).unwrap()),
        }))
    }
}

/// What came out. Shared by the sink and the test.
#[derive(Clone)]
pub(crate) struct Screen {
    begun: Instant,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    /// With microseconds since the begin.
    frames: Vec<(i64, TranscodedFrame)>,
    ended: Option<Option<String>>,
}

impl Screen {
    pub(crate) fn frames(&self) -> Vec<(i64, TranscodedFrame)> {
        self.seen.lock().unwrap().frames.clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.seen.lock().unwrap().frames.len()
    }

    /// `Some(None)`: ended without failure.
    pub(crate) fn ended(&self) -> Option<Option<String>> {
        self.seen.lock().unwrap().ended.clone()
    }
}

impl TranscodeSink for Screen {
    fn frame(&mut self, frame: TranscodedFrame) {
        let at = i64::try_from(self.begun.elapsed().as_micros()).unwrap();
        self.seen.lock().unwrap().frames.push((at, frame));
    }

    fn ended(&mut self, why: Option<&Error>) {
        self.seen.lock().unwrap().ended = Some(why.map(|e| format!("{}: {e}", e.code())));
    }
}

pub(crate) fn show(player: Player) -> TranscodeStart<Screen> {
    let screen = Screen {
        begun: player.begun,
        seen: Arc::default(),
    };
    TranscodeStart {
        feed: Box::new(player),
        sink: Box::new(screen.clone()),
        attached: screen,
    }
}

/// An H.264 byte stream of pictures, as a player would be fed.
pub(crate) fn byte_stream(frames: &[TranscodedFrame]) -> Vec<u8> {
    let mut out = Vec::new();
    for frame in frames {
        if frame.key {
            // avcC with one SPS and one PPS.
            let record = &frame.params.extra_data;
            let sps = usize::from(u16::from_be_bytes([record[6], record[7]]));
            let pps = &record[8 + sps + 1..];
            let length = usize::from(u16::from_be_bytes([pps[0], pps[1]]));
            for set in [&record[8..8 + sps], &pps[2..2 + length]] {
                out.extend([0, 0, 0, 1]);
                out.extend(set);
            }
        }
        let mut rest = &frame.data[..];
        while !rest.is_empty() {
            let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
            out.extend([0, 0, 0, 1]);
            out.extend(&rest[4..4 + length]);
            rest = &rest[4 + length..];
        }
    }
    out
}
