//! Recorded pictures for people: each look is allowed, and on the audit log.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::cameras::Cameras;
use super::scrub::Thumbnails;
use crate::access::{Action, Actor, Audit, Permission, audited};
use crate::archive::{Archive, Clip, HlsPlaylist, SegmentReader};
use crate::media::Media;
use crate::model::{
    CameraId, Clock, Coverage, Error, FragmentClock, Result, SegmentId, StreamKey, StreamRole,
    TimeRange, UtcMicros,
};
use crate::video::Video;

/// A player asks for one clip in many Range requests, and for a still at each scrub: that is one look.
const SAME_LOOK: Duration = Duration::from_secs(600);
/// Looks remembered; beyond it the oldest is forgotten and would be logged again.
const LOOKS: usize = 4096;
/// Widest still made on request.
const MAX_WIDTH: u32 = 3840;

#[derive(Clone)]
pub struct Playback {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) archive: Archive,
    video: Video,
    pub(super) cameras: Cameras,
    pub(super) media: Media,
    pub(super) audit: Audit,
    clock: Arc<dyn Clock>,
    looks: Mutex<HashMap<(String, String), UtcMicros>>,
    pub(super) thumbnails: Thumbnails,
}

/// Which playlist of a range.
#[derive(Clone, Copy, Debug)]
pub enum Playlist<'a> {
    Media,
    KeyFrames,
    /// Names both; `query` is repeated in their addresses.
    Master {
        query: &'a str,
    },
}

pub struct Still {
    pub jpeg: Bytes,
    /// When the picture was taken, by the server's clock.
    pub at: UtcMicros,
}

impl Playback {
    pub fn new(
        archive: Archive,
        video: Video,
        cameras: Cameras,
        media: Media,
        audit: Audit,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                archive,
                video,
                cameras,
                media,
                audit,
                clock,
                looks: Mutex::default(),
                thumbnails: Thumbnails::default(),
            }),
        }
    }

    /// Tells what is there; shows no picture, so it is not logged.
    pub async fn coverage(
        &self,
        actor: &Actor,
        key: &StreamKey,
        range: TimeRange,
    ) -> Result<Coverage> {
        let inner = &self.inner;
        inner
            .audit
            .check(
                actor,
                Permission::RecordingView,
                &format!("coverage of {key}"),
            )
            .await?;
        let coverage = inner.archive.coverage(key, range).await?;
        if coverage.spans.is_empty() && self.inner.cameras.get(&key.camera).is_none() {
            // Deleted cameras keep their recordings; one that never was has neither.
            return Err(no_camera(key));
        }
        Ok(coverage)
    }

    /// The clocks at the newest recorded picture before `at`. Whoever asks has been let see the coverage or the clip.
    pub async fn clock_before(&self, key: &StreamKey, at: UtcMicros) -> Result<FragmentClock> {
        self.inner.archive.clock_before(key, at).await
    }

    pub async fn clip(&self, actor: &Actor, key: &StreamKey, range: TimeRange) -> Result<Clip> {
        let object = format!("{key} {} – {}", range.from, range.to);
        self.look(actor, Action::RecordingView, &object, range.from, async {
            match self.inner.archive.clip(key, range).await {
                Err(e)
                    if e.code() == "no_footage"
                        && self.inner.cameras.get(&key.camera).is_none() =>
                {
                    Err(no_camera(key))
                }
                other => other,
            }
        })
        .await
    }

    pub async fn hls(
        &self,
        actor: &Actor,
        key: &StreamKey,
        range: TimeRange,
        which: Playlist<'_>,
    ) -> Result<HlsPlaylist> {
        let object = format!("{key} {} – {}", range.from, range.to);
        let archive = &self.inner.archive;
        self.look(actor, Action::RecordingView, &object, range.from, async {
            match which {
                Playlist::Media => archive.hls(key, range).await,
                Playlist::KeyFrames => archive.hls_key_frames(key, range).await,
                Playlist::Master { query } => archive.hls_master(key, range, query).await,
            }
        })
        .await
    }

    /// A file of a playlist that was asked for before; by itself it is a look of its own.
    pub async fn segment(
        &self,
        actor: &Actor,
        camera: &CameraId,
        id: SegmentId,
    ) -> Result<SegmentReader> {
        let archive = &self.inner.archive;
        let object = format!("{camera} file {id}");
        // The id is a UUIDv7: its time is when the file was begun.
        let begun = id.0.get_timestamp().map_or(UtcMicros(0), |t| {
            UtcMicros::from_secs(t.to_unix().0.cast_signed())
        });
        self.look(actor, Action::RecordingView, &object, begun, async {
            match archive.segment(&StreamKey::main(camera.clone()), id).await {
                Err(e) if e.code() == "no_footage" => {
                    archive
                        .segment(&StreamKey::new(camera.clone(), StreamRole::Sub), id)
                        .await
                }
                found => found,
            }
        })
        .await
    }

    /// The newest picture at or before `at`; without `at` the live one.
    pub async fn still(
        &self,
        actor: &Actor,
        key: &StreamKey,
        at: Option<UtcMicros>,
        width: Option<u32>,
    ) -> Result<Still> {
        if width.is_some_and(|w| !(16..=MAX_WIDTH).contains(&w)) {
            return Err(Error::invalid(
                "bad_width",
                format!("`width` must be 16 to {MAX_WIDTH} pixels"),
            ));
        }
        let inner = &self.inner;
        match at {
            None => {
                inner
                    .audit
                    .check(
                        actor,
                        Permission::LiveView,
                        &format!("a live still of {key}"),
                    )
                    .await?;
                let object = format!("{key} live still");
                self.once(actor, Action::Still, &object, async {
                    let Some(frame) = inner.video.ring(key).and_then(|r| r.newest_key()) else {
                        if inner.cameras.get(&key.camera).is_none() {
                            return Err(no_camera(key));
                        }
                        return Err(Error::not_found(
                            "no_picture",
                            format!("camera stream {key} has sent no picture yet; see its state under /cameras/{}", key.camera),
                        ));
                    };
                    let jpeg = inner.media.still(&frame.params, frame.data.clone(), width).await?;
                    Ok(Still { jpeg, at: frame.received })
                })
                .await
            }
            Some(at) => {
                // By the minute: scrubbing over one is one look.
                let object = format!(
                    "{key} still {}",
                    UtcMicros::from_secs(at.millis() / 60_000 * 60)
                );
                self.look(actor, Action::Still, &object, at, async {
                    let found = inner.archive.key_frame_at(key, at).await?.ok_or_else(|| {
                        Error::not_found(
                            "no_footage",
                            format!("nothing of {key} is recorded at or before {at}"),
                        )
                    })?;
                    let jpeg = inner.media.still(&found.params, found.data, width).await?;
                    Ok(Still { jpeg, at: found.at })
                })
                .await
            }
        }
    }

    /// A look at what was recorded since `from`.
    pub(super) async fn look<T>(
        &self,
        actor: &Actor,
        action: Action,
        object: &str,
        from: UtcMicros,
        act: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let now = self.inner.clock.now();
        // Refusals are on record every time.
        if actor.need_recorded(from, now, object).is_err() {
            let refuse = async { actor.need_recorded(from, now, object) };
            audited(&self.inner.audit, actor, action, object, "", refuse).await?;
        }
        self.once(actor, action, object, act).await
    }

    /// Runs `act` with an audit entry around it, unless the same person has just had the same look.
    async fn once<T>(
        &self,
        actor: &Actor,
        action: Action,
        object: &str,
        act: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let inner = &self.inner;
        let now = inner.clock.now();
        let key = (actor.who(), object.to_owned());
        let seen = {
            let mut looks = inner.looks.lock().unwrap_or_else(PoisonError::into_inner);
            let horizon = now.minus(SAME_LOOK);
            if looks.len() >= LOOKS {
                looks.retain(|_, t| *t > horizon);
            }
            if looks.len() >= LOOKS {
                looks.clear();
            }
            looks.get(&key).is_some_and(|t| *t > horizon)
        };
        if seen {
            return act.await;
        }
        let result = audited(&inner.audit, actor, action, object, "", act).await;
        if result.is_ok() {
            inner
                .looks
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(key, now);
        }
        result
    }
}

pub(super) fn no_camera(key: &StreamKey) -> Error {
    Error::not_found(
        "not_found",
        format!(
            "there is no camera `{}`, and no recording of one",
            key.camera
        ),
    )
}
