//! One tile of one wall: a cursor on a ring, held back by the client's credits.
//!
//! A client that cannot keep up makes its own tile skip to a newer key frame and is told how many frames it missed; neither
//! the camera nor another tile notices.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use super::protocol::{Format, Header, Kind, Notice};
use crate::archive::LiveFragments;
use crate::model::{CameraId, Clock, StreamParams, StreamRole, VideoCodec};
use crate::telemetry::{Metric, count};
use crate::video::{Cursor, Frame, Media, Read, Ring, Start};

/// Frames a client may have in hand at the start, and at most.
pub(super) const CREDITS: usize = 60;
/// Unread items at which a tile stops catching up frame by frame: about three seconds of a 25 fps camera with audio.
const TOO_FAR_BEHIND: u64 = 120;
/// Older than this when sent, a frame is for catching up, not for its time.
const CATCH_UP_US: i64 = 400_000;

/// A message for the socket.
#[derive(Debug)]
pub enum Out {
    Text(String),
    Binary(Bytes),
}

/// What a tile shows and how.
pub(super) struct Tile {
    pub number: u32,
    pub camera: CameraId,
    pub role: StreamRole,
    pub format: Format,
    pub source_codec: VideoCodec,
    pub transcoded: bool,
    pub credits: Arc<Semaphore>,
    pub clock: Arc<dyn Clock>,
}

/// What the client has had.
#[derive(Default)]
struct Sent {
    params: Option<Arc<StreamParams>>,
    frames: u32,
    fragments: LiveFragments,
}

impl Tile {
    /// Sends until the ring or the socket is gone. The caller aborts it when the tile is closed.
    pub(super) async fn run(self, ring: Arc<Ring>, out: mpsc::Sender<Out>) {
        let mut cursor = ring.cursor(Start::CurrentGop);
        // The cursor keeps the ring; holding it here too would hide that its stream has gone.
        drop(ring);
        let mut sent = Sent::default();
        while let Some(read) = self.read(&mut cursor, &out).await {
            let done = match read {
                Read::Frame(frame) if frame.media == Media::Video => {
                    // One credit a frame; given back by the client's `credit`.
                    let Ok(permit) = self.credits.acquire().await else {
                        return;
                    };
                    permit.forget();
                    self.frame(&frame, &mut sent, &out).await
                }
                Read::Frame(_) => Ok(()),
                Read::Skipped { frames } => self.skipped(frames, &out).await,
                // The state notice of the stream tells the client. What comes after has its own media time, so it begins
                // with a configuration of its own.
                Read::End(_) => {
                    sent.params = None;
                    Ok(())
                }
            };
            if done.is_err() {
                return;
            }
        }
    }

    /// The next item; skips ahead first when this tile has fallen too far behind.
    async fn read(&self, cursor: &mut Cursor, out: &mpsc::Sender<Out>) -> Option<Read> {
        if self.credits.available_permits() == 0 {
            // Wait for the client without moving; then see how far the camera has gone on.
            let permit = self.credits.acquire().await.ok()?;
            drop(permit);
        }
        if cursor.behind() > TOO_FAR_BEHIND {
            let frames = cursor.skip_to_newest_key();
            self.skipped(frames, out).await.ok()?;
        }
        cursor.next().await
    }

    async fn skipped(&self, frames: u64, out: &mpsc::Sender<Out>) -> Result<(), Gone> {
        if frames == 0 {
            return Ok(());
        }
        count(Metric::LiveFramesDropped, &[], frames);
        send(
            out,
            Out::Text(
                Notice::Skip {
                    tile: self.number,
                    frames,
                }
                .to_json(),
            ),
        )
        .await
    }

    async fn frame(
        &self,
        frame: &Frame,
        sent: &mut Sent,
        out: &mpsc::Sender<Out>,
    ) -> Result<(), Gone> {
        let changed = sent
            .params
            .as_ref()
            .is_none_or(|p| !Arc::ptr_eq(p, &frame.params) && **p != *frame.params);
        if changed {
            send(out, Out::Text(self.config(&frame.params).to_json())).await?;
        }
        let header = |kind, number| Header {
            kind,
            key: frame.key,
            catch_up: self.clock.now().micros_since(frame.received) > CATCH_UP_US,
            tile: self.number,
            media_us: frame.pts.saturating_mul(100) / 9,
            received: frame.received,
            number,
            lost: frame.lost,
        };
        let message = match self.format {
            Format::Avcc => header(Kind::AccessUnit, sent.frames).with_payload(&frame.data),
            Format::Fmp4 => {
                if changed {
                    sent.fragments = LiveFragments::default();
                    let init = LiveFragments::init(&frame.params);
                    send(
                        out,
                        Out::Binary(header(Kind::Init, sent.frames).with_payload(&init)),
                    )
                    .await?;
                }
                let fragment = sent.fragments.fragment(frame.pts, frame.key, &frame.data);
                header(Kind::Fragment, sent.frames).with_payload(&fragment)
            }
        };
        if changed {
            sent.params = Some(Arc::clone(&frame.params));
        }
        sent.frames = sent.frames.wrapping_add(1);
        send(out, Out::Binary(message)).await
    }

    fn config(&self, params: &StreamParams) -> Notice {
        use base64::Engine as _;
        Notice::Config {
            tile: self.number,
            camera: self.camera.clone(),
            stream: self.role.as_str(),
            codec: params.rfc6381.clone(),
            description: base64::engine::general_purpose::STANDARD.encode(&params.extra_data),
            mime: format!("video/mp4; codecs=\"{}\"", params.rfc6381),
            width: params.width,
            height: params.height,
            source_codec: self.source_codec,
            transcoded: self.transcoded,
        }
    }
}

/// The socket has gone, or has not taken a message for so long that it counts as gone.
#[derive(Debug)]
pub(super) struct Gone;

/// A client that takes nothing at all for this long is cut; its browser connects again.
const STALLED: Duration = Duration::from_secs(30);

pub(super) async fn send(out: &mpsc::Sender<Out>, message: Out) -> Result<(), Gone> {
    match timeout(STALLED, out.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Gone),
    }
}
