//! Where a tile's pictures come from: the camera's own ring, or a ring fed by the camera's one shared transcode.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::MediaConfig;
use crate::media::Media;
use crate::model::{Error, Result, StreamKey, VideoCodec};
use crate::video::{Read, Ring, Start, Video};

/// How often a tile looks whether a stream has appeared or been replaced.
const LOOK_EVERY: Duration = Duration::from_millis(250);

#[derive(Clone)]
pub struct Sources {
    inner: Arc<Inner>,
}

struct Inner {
    video: Video,
    media: Media,
    config: MediaConfig,
    /// Transcodes that run, by stream. A dead `Weak` is one that has ended.
    shared: Mutex<HashMap<StreamKey, Weak<Transcoded>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// What a tile reads.
pub struct Opened {
    pub ring: Arc<Ring>,
    pub source_codec: VideoCodec,
    pub transcoded: bool,
    /// Keeps a shared transcode running while held.
    pub lease: Option<Arc<Transcoded>>,
    /// Resolves when this ring is no longer where the stream's pictures come.
    pub replaced: BoxFuture<'static, ()>,
}

/// One transcode for all viewers of a stream.
pub struct Transcoded {
    ring: Arc<Ring>,
    ended: CancellationToken,
}

impl Sources {
    pub fn new(video: Video, media: Media, config: MediaConfig, stop: CancellationToken) -> Self {
        let inner = Inner { video, media, config, shared: Mutex::default(), tasks: TaskTracker::new(), stop };
        Self { inner: Arc::new(inner) }
    }

    /// Waits for the stream's pictures and gives them in a codec the viewer plays.
    ///
    /// Errors: `transcode_limit` when a transcode is needed and all are taken.
    pub async fn open(&self, key: &StreamKey, decodes: &[VideoCodec]) -> Result<Opened> {
        let (ring, codec) = self.first_picture(key).await;
        let replaced = self.clone().replaced(key.clone(), Arc::clone(&ring), codec);
        if decodes.contains(&codec) {
            return Ok(Opened { ring, source_codec: codec, transcoded: false, lease: None, replaced });
        }
        if !decodes.contains(&VideoCodec::H264) {
            return Err(Error::invalid(
                "no_common_codec",
                format!("this viewer plays neither {} nor H.264, which is all that can be made of it", codec.as_str()),
            ));
        }
        let shared = self.shared(key, &ring)?;
        let ended = shared.ended.clone();
        let replaced: BoxFuture<'static, ()> = Box::pin(async move {
            tokio::select! {
                () = replaced => {}
                () = ended.cancelled_owned() => {}
            }
        });
        Ok(Opened {
            ring: Arc::clone(&shared.ring),
            source_codec: codec,
            transcoded: true,
            lease: Some(shared),
            replaced,
        })
    }

    /// Transcodes that run now.
    pub fn transcodes(&self) -> usize {
        let shared = self.inner.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.values().filter(|t| t.upgrade().is_some_and(|t| !t.ended.is_cancelled())).count()
    }

    /// Waits until every transcode has stopped; call after cancelling the token given to `new`.
    pub async fn finished(&self) {
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    /// The stream's ring once it holds a key frame.
    async fn first_picture(&self, key: &StreamKey) -> (Arc<Ring>, VideoCodec) {
        loop {
            if let Some(ring) = self.inner.video.ring(key)
                && let Some(frame) = ring.newest_key()
            {
                return (ring, frame.params.codec);
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Resolves when the stream has another ring (the camera was changed) or another codec.
    fn replaced(self, key: StreamKey, ring: Arc<Ring>, codec: VideoCodec) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            loop {
                sleep(LOOK_EVERY).await;
                let same = self.inner.video.ring(&key).is_some_and(|now| Arc::ptr_eq(&now, &ring));
                let same_codec = ring.newest_key().is_none_or(|f| f.params.codec == codec);
                if !same || !same_codec {
                    return;
                }
            }
        })
    }

    fn shared(&self, key: &StreamKey, source: &Arc<Ring>) -> Result<Arc<Transcoded>> {
        let inner = &self.inner;
        let mut shared = inner.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.retain(|_, t| t.upgrade().is_some_and(|t| !t.ended.is_cancelled()));
        if let Some(running) = shared.get(key).and_then(Weak::upgrade) {
            return Ok(running);
        }
        if shared.len() >= inner.config.max_transcodes {
            return Err(Error::new(
                crate::model::ErrorKind::TooMuch,
                "transcode_limit",
                format!(
                    "{} pictures are being converted for browsers already, the most this machine allows ([media] \
                     max_transcodes); close one, or use the camera's H.264 sub stream",
                    shared.len()
                ),
            ));
        }
        let transcoded =
            Arc::new(Transcoded { ring: Ring::new(TRANSCODED_RING_BYTES), ended: CancellationToken::new() });
        shared.insert(key.clone(), Arc::downgrade(&transcoded));
        inner.tasks.spawn(self.clone().transcode(key.clone(), Arc::clone(source), Arc::clone(&transcoded)));
        Ok(transcoded)
    }
}
