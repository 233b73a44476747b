//! Where a session puts its frames. Lets nothing through before the first key frame, and keeps the time of the last
//! picture for the watchdog.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::Instant;

use super::hosts::Proving;
use super::hub::Stream;
use super::session::Fault;
use super::{Frame, Media};
use crate::model::{FaultKind, Transport};

/// Longest time from opening a session to its PLAY, with waiting for a stale session of an old live555 server (65 s).
const OPENING_LIMIT: Duration = Duration::from_secs(90);
/// Longest wait for the first key frame while pictures come. "Smart" codecs send one only every 10 to 20 s.
const KEY_LIMIT: Duration = Duration::from_secs(30);

pub struct SessionSink {
    stream: Arc<Stream>,
    progress: Arc<Progress>,
    /// Held while the session is being opened: few at the same time with one host.
    opening: Option<OwnedSemaphorePermit>,
    proving: Option<Proving>,
    started: bool,
    /// Packets lost before frames that were not let through.
    lost: u32,
}

/// What the watchdog and the task see of a session.
#[derive(Default)]
pub(super) struct Progress {
    at: Mutex<Times>,
    /// PLAY was answered, or a frame came.
    playing: Notify,
    /// The first key frame is in the ring.
    pub(super) first_picture: Notify,
}

#[derive(Clone, Copy, Default)]
struct Times {
    playing: Option<Instant>,
    picture: Option<Instant>,
    key: bool,
}

impl SessionSink {
    pub(super) fn new(
        stream: Arc<Stream>,
        opening: OwnedSemaphorePermit,
        proving: Option<Proving>,
    ) -> Self {
        Self {
            stream,
            progress: Arc::default(),
            opening: Some(opening),
            proving,
            started: false,
            lost: 0,
        }
    }

    pub(super) fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// The camera has answered PLAY: user and password are right, and pictures are due from now on.
    pub fn playing(&mut self) {
        self.opening = None;
        if let Some(proving) = self.proving.take() {
            proving.accepted();
        }
        let mut at = self.progress.times();
        at.playing.get_or_insert_with(Instant::now);
        drop(at);
        self.progress.playing.notify_one();
    }

    /// How packets travel in this session.
    pub fn transport(&mut self, transport: Transport) {
        self.stream.set_transport(transport);
    }

    /// Whether the camera has answered PLAY.
    pub(super) fn is_playing(&self) -> bool {
        self.opening.is_none()
    }

    /// Whether a key frame has come.
    pub(super) fn has_pictures(&self) -> bool {
        self.started
    }

    /// A picture came that nobody can decode, because the camera has not sent its parameter sets yet.
    pub fn undecodable(&mut self, lost: u32) {
        self.stream.count_lost(lost);
        self.lost = self.lost.saturating_add(lost);
        self.progress.times().picture = Some(Instant::now());
    }

    pub fn push(&mut self, mut frame: Frame) {
        if self.opening.is_some() {
            self.playing();
        }
        self.stream.count_lost(frame.lost);
        let first_picture = self.note(&frame);
        if !self.started {
            self.lost = self.lost.saturating_add(frame.lost);
            return;
        }
        if frame.media == Media::Video {
            frame.lost = frame.lost.saturating_add(std::mem::take(&mut self.lost));
        }
        self.stream.push(frame);
        if first_picture {
            self.progress.first_picture.notify_one();
        }
    }

    /// Returns whether this is the session's first key frame.
    fn note(&mut self, frame: &Frame) -> bool {
        if frame.media != Media::Video {
            return false;
        }
        let first = frame.key && !self.started;
        self.started |= frame.key;
        let mut at = self.progress.times();
        at.picture = Some(Instant::now());
        at.key |= frame.key;
        first
    }
}

impl Progress {
    /// Ends when pictures do not come as they should, whatever else the camera still sends (sound, RTCP, answers).
    pub(super) async fn watch(&self, picture_timeout: Duration) -> Fault {
        if tokio::time::timeout(OPENING_LIMIT, self.playing.notified())
            .await
            .is_err()
        {
            let limit = OPENING_LIMIT.as_secs();
            return Fault::new(
                FaultKind::TimedOut,
                format!(
                    "the session was not opened in {limit} s; restart the camera if this goes on"
                ),
            );
        }
        loop {
            let at = *self.times();
            let now = Instant::now();
            let since = at.picture.or(at.playing).unwrap_or(now);
            if now >= since + picture_timeout {
                return stopped(at, picture_timeout);
            }
            let key_due = at
                .playing
                .filter(|_| !at.key)
                .map(|p| p + KEY_LIMIT.max(picture_timeout));
            if key_due.is_some_and(|due| now >= due) {
                return Fault::new(
                    FaultKind::TimedOut,
                    format!(
                        "pictures come, but none to begin with (a key frame and its parameter sets) in {} s; set a shorter \
                         I-frame interval in the camera (1 to 2 s)",
                        KEY_LIMIT.max(picture_timeout).as_secs()
                    ),
                );
            }
            let due = since + picture_timeout;
            tokio::time::sleep_until(key_due.map_or(due, |k| k.min(due))).await;
        }
    }

    fn times(&self) -> std::sync::MutexGuard<'_, Times> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stopped(at: Times, picture_timeout: Duration) -> Fault {
    let seconds = picture_timeout.as_secs_f64();
    match at.picture {
        Some(_) => Fault::new(
            FaultKind::PictureStopped,
            format!(
                "no picture for {seconds} s although the connection stands; if it goes on, restart the camera"
            ),
        ),
        None => Fault::new(
            FaultKind::TimedOut,
            format!(
                "the camera accepted PLAY and sent no picture in {seconds} s; check that the stream is enabled in the \
                 camera and that its limit of viewers is not reached"
            ),
        ),
    }
}
