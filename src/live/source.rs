//! Where a tile's pictures come from: the camera's own ring, or a ring fed by the one transcode that all viewers share.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::sleep;

use crate::media::{
    AccessUnit, Feed, Media, TranscodeFeed, TranscodeSink, TranscodeStart, TranscodedFrame,
    Transcodes, Watched,
};
use crate::model::{CameraClock, Clock, Error, FaultKind, Result, StreamKey, VideoCodec};
use crate::video::{
    Arrival, Cursor, Frame, Item, Media as Kind, Read, Ring, SessionEnd, Start, Video,
};

/// How often a tile looks whether a stream's first picture has come.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A few seconds of what a transcode makes: enough to start at once and to forgive a slow viewer.
const TRANSCODED_RING_BYTES: usize = 4 << 20;

#[derive(Clone)]
pub struct Sources {
    video: Video,
    transcodes: Transcodes<Arc<Ring>>,
    clock: Arc<dyn Clock>,
}

/// What a tile reads.
pub struct Opened {
    pub ring: Arc<Ring>,
    pub source_codec: VideoCodec,
    /// The tile's hold on the shared transcode, when there is one.
    pub transcode: Option<Watched<Arc<Ring>>>,
    camera_ring: Arc<Ring>,
}

impl Sources {
    /// Make one for the whole daemon: two would not share their transcodes.
    pub fn new(video: Video, media: &Media, clock: Arc<dyn Clock>) -> Self {
        Self {
            video,
            transcodes: media.transcodes(),
            clock,
        }
    }

    /// Waits for the stream's pictures and gives them in a codec the viewer plays.
    ///
    /// Errors: `transcode_limit` when a transcode is needed and all places are taken, `transcode_failed`,
    /// `no_common_codec`.
    pub async fn open(&self, key: &StreamKey, decodes: &[VideoCodec]) -> Result<Opened> {
        let (camera_ring, source_codec) = self.first_picture(key).await;
        if decodes.contains(&source_codec) {
            return Ok(Opened {
                ring: Arc::clone(&camera_ring),
                source_codec,
                transcode: None,
                camera_ring,
            });
        }
        if !decodes.contains(&VideoCodec::H264) {
            return Err(Error::invalid(
                "no_common_codec",
                format!(
                    "this viewer plays neither {} nor H.264, which is all that can be made of it",
                    source_codec.as_str()
                ),
            ));
        }
        let watched = self.transcodes.watch(key, || {
            let ring = Ring::new(TRANSCODED_RING_BYTES);
            TranscodeStart {
                feed: Box::new(RingFeed(camera_ring.cursor(Start::CurrentGop))),
                sink: Box::new(RingSink {
                    ring: Arc::clone(&ring),
                    clock: Arc::clone(&self.clock),
                }),
                attached: ring,
            }
        })?;
        Ok(Opened {
            ring: Arc::clone(watched.attached()),
            source_codec,
            transcode: Some(watched),
            camera_ring,
        })
    }

    /// Resolves when these are no longer the stream's pictures: the camera was taken away or has another codec, or the
    /// transcode has ended.
    pub async fn replaced(&self, key: &StreamKey, opened: &Opened) {
        let mut changes = self.video.changes();
        let changed = async {
            loop {
                let same = self
                    .video
                    .ring(key)
                    .is_some_and(|now| Arc::ptr_eq(&now, &opened.camera_ring));
                let codec = self.video.status(key).and_then(|s| s.codec);
                if !same || codec.is_some_and(|c| c != opened.source_codec) {
                    return;
                }
                // The video room is gone only when the daemon stops; then the wall stops too.
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        match &opened.transcode {
            Some(watched) => tokio::select! {
                () = changed => {}
                why = watched.ended() => if let Some(e) = why {
                    tracing::warn!(stream = %key, error = e.chain(), "a transcode ended");
                },
            },
            None => changed.await,
        }
    }

    /// Transcodes that run, with the number of their viewers.
    pub fn transcodes(&self) -> Vec<(StreamKey, usize)> {
        self.transcodes.running()
    }

    /// The stream's ring once it holds a key frame.
    async fn first_picture(&self, key: &StreamKey) -> (Arc<Ring>, VideoCodec) {
        loop {
            if let Some(ring) = self.video.ring(key)
                && let Some(frame) = ring.newest_key()
            {
                return (ring, frame.params.codec);
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

/// A camera's ring as what a transcode eats.
struct RingFeed(Cursor);

#[async_trait]
impl TranscodeFeed for RingFeed {
    async fn next(&mut self) -> Option<Feed> {
        loop {
            match self.0.next().await? {
                Read::Frame(f) if f.media == Kind::Video => {
                    return Some(Feed::Unit(AccessUnit {
                        params: Arc::clone(&f.params),
                        data: f.data.clone(),
                        key: f.key,
                        pts: f.pts,
                        received: f.received,
                    }));
                }
                // The worker was too slow for a moment; what comes next is a key frame of the same time line.
                Read::Frame(_) | Read::Skipped { .. } => {}
                Read::End(_) => return Some(Feed::Break),
            }
        }
    }
}

/// A ring as where a transcode puts its pictures.
struct RingSink {
    ring: Arc<Ring>,
    clock: Arc<dyn Clock>,
}

impl TranscodeSink for RingSink {
    fn frame(&mut self, f: TranscodedFrame) {
        self.ring.push(Item::Frame(Arc::new(Frame {
            media: Kind::Video,
            pts: f.pts,
            received: f.received,
            arrival: Arrival::unmoved(f.received),
            key: f.key,
            data: f.data,
            lost: 0,
            camera_clock: CameraClock::default(),
            params: f.params,
        })));
    }

    fn ended(&mut self, why: Option<&Error>) {
        let fault = why.map(|_| FaultKind::Closed);
        self.ring.push(Item::End(SessionEnd {
            at: self.clock.now(),
            fault,
        }));
    }
}
