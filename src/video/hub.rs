//! What is known of every stream now, for everyone who asks: its ring, its status, and a counter that says "look again".

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use super::meter::Meter;
use super::shards::Shards;
use super::{Frame, Item, Media, Ring, SessionEnd, StreamParams};
use crate::model::{
    Clock, FaultKind, FaultReason, StreamKey, StreamState, StreamStatus, Transport, UtcMicros,
};
use crate::telemetry::{Counter, Metric, count, counter};

/// Streams with their rings, and whether each is to be recorded.
pub type StreamList = Arc<Vec<(StreamKey, Arc<Ring>, bool)>>;

/// One stream as the hub knows it. Lives as long as the stream is configured, over sessions and changes of its address.
pub(super) struct Stream {
    pub(super) ring: Arc<Ring>,
    clock: Arc<dyn Clock>,
    changes: watch::Sender<u64>,
    /// Counts the retries that people have asked for.
    pub(super) retries: watch::Sender<u64>,
    known: Mutex<Known>,
    numbers: StreamNumbers,
}

/// Kept, because looking a counter up costs more than counting.
struct StreamNumbers {
    key: StreamKey,
    frames: Counter,
    bytes: Counter,
    lost: Counter,
}

impl StreamNumbers {
    fn new(key: &StreamKey) -> Self {
        let labels = [
            ("camera", key.camera.as_str()),
            ("stream", key.role.as_str()),
        ];
        Self {
            key: key.clone(),
            frames: counter(Metric::VideoFrames, &labels),
            bytes: counter(Metric::VideoBytes, &labels),
            lost: counter(Metric::VideoPacketsLost, &labels),
        }
    }

    /// A session that has ended and will be tried again.
    fn reconnect(&self, cause: FaultKind) {
        let (camera, stream) = (self.key.camera.as_str(), self.key.role.as_str());
        let labels = [
            ("camera", camera),
            ("stream", stream),
            ("cause", cause.as_str()),
        ];
        count(Metric::VideoReconnects, &labels, 1);
    }
}

struct Known {
    status: StreamStatus,
    meter: Option<Meter>,
    streamed_before: bool,
    /// The fault that the ring was last told, so that a camera that is down does not fill it with ends.
    told: Option<SessionEnd>,
    pictures_since_end: bool,
}

impl Stream {
    fn new(
        key: &StreamKey,
        ring: Arc<Ring>,
        clock: Arc<dyn Clock>,
        changes: watch::Sender<u64>,
    ) -> Self {
        let status = StreamStatus::new(StreamState::Connecting, clock.now());
        Self {
            ring,
            clock,
            changes,
            retries: watch::Sender::new(0),
            known: Mutex::new(Known {
                status,
                meter: None,
                streamed_before: false,
                told: None,
                pictures_since_end: false,
            }),
            numbers: StreamNumbers::new(key),
        }
    }

    pub(super) fn now(&self) -> UtcMicros {
        self.clock.now()
    }

    pub(super) fn status(&self) -> StreamStatus {
        let known = self.known();
        let mut status = known.status.clone();
        if let Some((fps, kbps)) = known.meter.as_ref().and_then(|m| m.rates(monotonic_now())) {
            (status.fps, status.kbps) = (Some(fps), Some(kbps));
        }
        status
    }

    /// Notes the state and why it is so, and tells everyone.
    pub(super) fn set_state(&self, state: StreamState, reason: Option<FaultReason>) {
        let now = self.clock.now();
        let mut known = self.known();
        if known.status.state != state {
            known.status.since = now;
            if state == StreamState::Streaming {
                known.status.reconnects += u64::from(known.streamed_before);
                known.streamed_before = true;
            }
        }
        if state != StreamState::Streaming {
            known.meter = None;
        }
        if let (StreamState::Backoff, Some(reason)) = (state, &reason) {
            self.numbers.reconnect(reason.kind);
        }
        known.status.state = state;
        known.status.reason = reason;
        drop(known);
        self.changed();
    }

    /// Puts a frame into the ring and into the account.
    pub(super) fn push(&self, frame: Frame) {
        let now = monotonic_now();
        let mut known = self.known();
        let video = frame.media == Media::Video;
        let meter = known.meter.get_or_insert_with(|| Meter::new(now));
        meter.count(now, u32::from(video), frame.data.len());
        let mut news = false;
        if video {
            known.status.last_frame = Some(frame.received);
            known.status.camera_clock = Some(frame.camera_clock);
            known.pictures_since_end = true;
            news = known.note_params(&frame.params);
        }
        drop(known);
        self.numbers.frames.increment(u64::from(video));
        self.numbers.bytes.increment(frame.data.len() as u64);
        self.ring.push(Item::Frame(Arc::new(frame)));
        if news {
            self.changed();
        }
    }

    pub(super) fn set_transport(&self, transport: Transport) {
        self.known().status.transport = Some(transport);
    }

    pub(super) fn count_lost(&self, packets: u32) {
        self.numbers.lost.increment(u64::from(packets));
        let mut known = self.known();
        known.status.packets_lost = known.status.packets_lost.saturating_add(u64::from(packets));
    }

    /// Tells the ring's readers that a session is over. One that showed nothing and failed like the one before is not told.
    pub(super) fn end_session(&self, fault: Option<FaultKind>) {
        let mut known = self.known();
        let again = known.told.is_some_and(|t| t.fault == fault) && !known.pictures_since_end;
        if again {
            return;
        }
        // Not before the last frame: receive times may run ahead of a clock that was set back.
        let at = known
            .status
            .last_frame
            .map_or(self.clock.now(), |f| f.max(self.clock.now()));
        let end = SessionEnd { at, fault };
        known.told = Some(end);
        known.pictures_since_end = false;
        drop(known);
        self.ring.push(Item::End(end));
    }

    fn changed(&self) {
        self.changes.send_modify(|n| *n = n.wrapping_add(1));
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        // Plain values, each whole on its own.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Returns whether codec or size is news.
    fn note_params(&mut self, params: &StreamParams) -> bool {
        let s = &mut self.status;
        let now = (Some(params.codec), Some(params.width), Some(params.height));
        let news = (s.codec, s.width, s.height) != now;
        (s.codec, s.width, s.height) = now;
        news
    }
}

/// tokio's clock, so that tests can turn it.
pub(super) fn monotonic_now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The handle that the rest of the daemon holds.
#[derive(Clone)]
pub struct Video {
    pub(super) hub: Arc<Hub>,
}

pub(super) struct Hub {
    streams: Mutex<BTreeMap<StreamKey, Arc<Stream>>>,
    pub(super) shards: Shards,
    list: watch::Sender<StreamList>,
    changes: watch::Sender<u64>,
    clock: Arc<dyn Clock>,
    ring_bytes: usize,
}

impl Hub {
    pub(super) fn new(ring_bytes: usize, clock: Arc<dyn Clock>, shards: Shards) -> Self {
        Self {
            streams: Mutex::default(),
            shards,
            list: watch::Sender::new(Arc::default()),
            changes: watch::Sender::new(0),
            clock,
            ring_bytes,
        }
    }

    pub(super) fn stream(&self, key: &StreamKey) -> Option<Arc<Stream>> {
        self.streams().get(key).cloned()
    }

    /// The stream of this name; a new one if there is none.
    pub(super) fn stream_or_new(&self, key: &StreamKey) -> Arc<Stream> {
        let mut streams = self.streams();
        let stream = streams.entry(key.clone()).or_insert_with(|| {
            let (clock, changes) = (Arc::clone(&self.clock), self.changes.clone());
            let ring = Ring::at_home(self.ring_bytes, self.shards.of(&key.camera));
            Arc::new(Stream::new(key, ring, clock, changes))
        });
        Arc::clone(stream)
    }

    /// Forgets streams that nobody wants any more and closes their rings.
    pub(super) fn retain(&self, mut wanted: impl FnMut(&StreamKey) -> bool) {
        let mut gone = Vec::new();
        self.streams().retain(|key, stream| {
            let keep = wanted(key);
            if !keep {
                gone.push(Arc::clone(stream));
            }
            keep
        });
        for stream in gone {
            stream.ring.close();
            stream.changed();
        }
    }

    /// Publishes the list of streams if it differs from the one published.
    pub(super) fn publish(&self, mut record: impl FnMut(&StreamKey) -> bool) {
        let list: Vec<_> = self
            .streams()
            .iter()
            .map(|(key, s)| (key.clone(), Arc::clone(&s.ring), record(key)))
            .collect();
        self.list.send_if_modified(|now| {
            let same = now.len() == list.len()
                && now
                    .iter()
                    .zip(&list)
                    .all(|(a, b)| a.0 == b.0 && a.2 == b.2 && Arc::ptr_eq(&a.1, &b.1));
            if !same {
                *now = Arc::new(list);
            }
            !same
        });
    }

    fn streams(&self) -> std::sync::MutexGuard<'_, BTreeMap<StreamKey, Arc<Stream>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Video {
    /// The ring of a stream; `None` for a stream that is not configured.
    pub fn ring(&self, key: &StreamKey) -> Option<Arc<Ring>> {
        self.hub.stream(key).map(|s| Arc::clone(&s.ring))
    }

    pub fn status(&self, key: &StreamKey) -> Option<StreamStatus> {
        self.hub.stream(key).map(|s| s.status())
    }

    /// In order of the keys.
    pub fn statuses(&self) -> Vec<(StreamKey, StreamStatus)> {
        self.hub
            .streams()
            .iter()
            .map(|(key, s)| (key.clone(), s.status()))
            .collect()
    }

    /// A counter that moves with every change of a state, a reason, a codec or a size. Frame counts do not move it.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.hub.changes.subscribe()
    }

    /// The streams there are, with their rings and whether to record them. A stream that is taken away leaves the list
    /// when its task has ended and its ring is closed.
    pub fn streams(&self) -> watch::Receiver<StreamList> {
        self.hub.list.subscribe()
    }

    /// Does not wait for the end of a backoff, or for a change of the configuration after a fault. `false` for a stream
    /// that is not configured.
    pub fn retry(&self, key: &StreamKey) -> bool {
        let stream = self.hub.stream(key);
        if let Some(s) = &stream {
            s.retries.send_modify(|n| *n = n.wrapping_add(1));
        }
        stream.is_some()
    }
}
