//! One transcode per camera, whoever watches: started with the first viewer, stopped a while after the last, and never more
//! at once than the machine is allowed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, TryAcquireError, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::transcode::{self, TranscodeFeed, TranscodeSink};
use super::{Room, count};
use crate::model::{Error, ErrorKind, Result, StreamKey};
use crate::telemetry::{self, Metric};

/// A camera whose transcode failed is left alone this long, then twice as long, up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A transcode that ran for so long begins with [`FIRST_WAIT`] again.
const HEALTHY: Duration = Duration::from_secs(60);

/// What starts a transcode: where its pictures come from, where they go, and what viewers share (usually the ring that
/// `sink` pushes into).
pub struct TranscodeStart<A> {
    pub feed: Box<dyn TranscodeFeed>,
    pub sink: Box<dyn TranscodeSink>,
    pub attached: A,
}

/// The transcodes of one kind of viewer. Cheap to clone; all share `[media] max_transcodes`.
pub struct Transcodes<A> {
    inner: Arc<Registry<A>>,
}

impl<A> Clone for Transcodes<A> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

struct Registry<A> {
    room: Arc<Room>,
    state: Mutex<State<A>>,
}

struct State<A> {
    running: HashMap<StreamKey, Arc<Shared<A>>>,
    failures: HashMap<StreamKey, Failure>,
}

struct Failure {
    detail: String,
    wait: Duration,
    until: Instant,
}

struct Shared<A> {
    key: StreamKey,
    attached: A,
    /// Changed only under the lock of the registry.
    viewers: watch::Sender<Viewers>,
    end: watch::Sender<Option<Ended>>,
    stop: CancellationToken,
    /// Taken away when another camera needs the place more.
    place: Mutex<Option<OwnedSemaphorePermit>>,
}

#[derive(Clone, Copy)]
struct Viewers {
    count: usize,
    since: Instant,
}

/// `None`: stopped on purpose, or the feed ended.
type Ended = Option<Arc<Error>>;

/// One viewer's hold on a shared transcode.
pub struct Watched<A: Send + Sync + 'static> {
    shared: Arc<Shared<A>>,
    registry: Arc<Registry<A>>,
}

impl<A: Send + Sync + 'static> Transcodes<A> {
    pub(crate) fn new(room: Arc<Room>) -> Self {
        Self {
            inner: Arc::new(Registry {
                room,
                state: Mutex::new(State {
                    running: HashMap::new(),
                    failures: HashMap::new(),
                }),
            }),
        }
    }

    /// Joins the transcode of this stream, or starts it with what `start` makes.
    ///
    /// Refuses with `transcode_limit` when all places are watched, and with `transcode_failed` while the last failure of
    /// this stream is too fresh.
    pub fn watch(
        &self,
        key: &StreamKey,
        start: impl FnOnce() -> TranscodeStart<A>,
    ) -> Result<Watched<A>> {
        let registry = &self.inner;
        let mut state = registry.state();
        if let Some(shared) = state.running.get(key) {
            shared.count(|n| n + 1);
            return Ok(registry.watched(Arc::clone(shared)));
        }
        state.admit(key)?;
        let place = registry.place(&mut state, key)?;
        let TranscodeStart {
            feed,
            sink,
            attached,
        } = start();
        let shared = Arc::new(Shared {
            key: key.clone(),
            attached,
            viewers: watch::Sender::new(Viewers {
                count: 1,
                since: Instant::now(),
            }),
            end: watch::Sender::new(None),
            stop: registry.room.stop.child_token(),
            place: Mutex::new(Some(place)),
        });
        state.running.insert(key.clone(), Arc::clone(&shared));
        drop(state);
        let task = Arc::clone(registry).run(Arc::clone(&shared), feed, sink);
        registry.room.tasks.spawn(task);
        Ok(registry.watched(shared))
    }

    /// Transcodes that run, with the number of their viewers.
    pub fn running(&self) -> Vec<(StreamKey, usize)> {
        let state = self.inner.state();
        let all = state.running.values();
        all.map(|s| (s.key.clone(), s.viewers.borrow().count))
            .collect()
    }
}

impl<A> State<A> {
    fn admit(&mut self, key: &StreamKey) -> Result<()> {
        let now = Instant::now();
        self.failures.retain(|_, f| now < f.until + HEALTHY);
        match self.failures.get(key) {
            Some(f) if now < f.until => Err(Error::unavailable(
                "transcode_failed",
                format!(
                    "the H.265 picture of {key} cannot be converted right now: {}; it is tried again in {} s",
                    f.detail,
                    (f.until - now).as_secs() + 1
                ),
            )),
            _ => Ok(()),
        }
    }

    fn remove(&mut self, shared: &Arc<Shared<A>>) {
        if self
            .running
            .get(&shared.key)
            .is_some_and(|s| Arc::ptr_eq(s, shared))
        {
            self.running.remove(&shared.key);
        }
    }
}

impl<A: Send + Sync + 'static> Registry<A> {
    fn watched(self: &Arc<Self>, shared: Arc<Shared<A>>) -> Watched<A> {
        Watched {
            shared,
            registry: Arc::clone(self),
        }
    }

    /// A free place, or that of the transcode nobody has watched for longest.
    fn place(&self, state: &mut State<A>, key: &StreamKey) -> Result<OwnedSemaphorePermit> {
        match Arc::clone(&self.room.places).try_acquire_owned() {
            Ok(place) => return Ok(place),
            Err(TryAcquireError::Closed) => {
                return Err(Error::unavailable("stopping", "the daemon is stopping"));
            }
            Err(TryAcquireError::NoPermits) => {}
        }
        let unwatched = |s: &&Arc<Shared<A>>| s.viewers.borrow().count == 0;
        let oldest = state
            .running
            .values()
            .filter(unwatched)
            .min_by_key(|s| s.viewers.borrow().since)
            .cloned();
        let place = oldest.and_then(|old| {
            state.remove(&old);
            old.stop.cancel();
            old.place().take()
        });
        place.ok_or_else(|| {
            let detail = match self.room.max_transcodes {
                0 => format!(
                    "the H.265 picture of {key} is not converted: [media] max_transcodes is 0; use a browser that plays H.265"
                ),
                most => format!(
                    "the H.265 picture of {key} cannot be converted: {most} cameras are being converted, the most that \
                     [media] max_transcodes allows; close another H.265 tile, or use a browser that plays H.265"
                ),
            };
            Error::new(ErrorKind::TooMuch, "transcode_limit", detail)
        })
    }

    async fn run(
        self: Arc<Self>,
        shared: Arc<Shared<A>>,
        mut feed: Box<dyn TranscodeFeed>,
        mut sink: Box<dyn TranscodeSink>,
    ) {
        let begun = Instant::now();
        self.room.show_running();
        tracing::info!(stream = %shared.key, "transcode started");
        let unwatched = async {
            self.unwatched(&shared).await;
            shared.stop.cancel();
            std::future::pending::<()>().await;
        };
        let result = tokio::select! {
            result = transcode::run(&self.room, &mut *feed, &mut *sink, &shared.stop) => result,
            () = unwatched => Ok(()),
        };
        let error = result.err().map(Arc::new);
        {
            let mut state = self.state();
            state.remove(&shared);
            match &error {
                Some(e) => state.note_failure(&shared.key, e, begun),
                None => {
                    state.failures.remove(&shared.key);
                }
            }
        }
        drop(shared.place().take());
        self.room.show_running();
        match &error {
            Some(e) => {
                count(&self.room.counts.transcodes_failed);
                telemetry::count(Metric::MediaFailures, &[("job", "transcode")], 1);
                tracing::warn!(stream = %shared.key, error = e.chain(), "transcode failed");
            }
            None => tracing::info!(stream = %shared.key, "transcode stopped"),
        }
        sink.ended(error.as_deref());
        shared.end.send_replace(Some(error));
    }

    /// Ends when nobody has watched for the configured time; the stream is off the list then.
    async fn unwatched(&self, shared: &Arc<Shared<A>>) {
        let mut viewers = shared.viewers.subscribe();
        loop {
            if viewers.wait_for(|v| v.count == 0).await.is_err() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(self.room.linger) => {}
                _ = viewers.wait_for(|v| v.count > 0) => continue,
            }
            let mut state = self.state();
            if shared.viewers.borrow().count == 0 {
                state.remove(shared);
                return;
            }
        }
    }
}

impl<A> State<A> {
    fn note_failure(&mut self, key: &StreamKey, error: &Error, begun: Instant) {
        let now = Instant::now();
        let before = self.failures.get(key).map(|f| f.wait);
        let wait = match before {
            Some(wait) if now - begun < HEALTHY => (wait * 2).min(LONGEST_WAIT),
            Some(_) | None => FIRST_WAIT,
        };
        self.failures.insert(
            key.clone(),
            Failure {
                detail: error.detail().to_owned(),
                wait,
                until: now + wait,
            },
        );
    }
}

impl<A> Registry<A> {
    fn state(&self) -> MutexGuard<'_, State<A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A> Shared<A> {
    fn place(&self) -> MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Call under the lock of the registry.
    fn count(&self, change: impl FnOnce(usize) -> usize) {
        self.viewers.send_modify(|v| {
            *v = Viewers {
                count: change(v.count),
                since: Instant::now(),
            };
        });
    }
}

impl<A: Send + Sync + 'static> Watched<A> {
    /// What the first viewer's `start` attached.
    pub fn attached(&self) -> &A {
        &self.shared.attached
    }

    /// Waits until nothing comes any more. `Some`: why it failed; watch again for a new try.
    pub async fn ended(&self) -> Option<Arc<Error>> {
        let mut end = self.shared.end.subscribe();
        let ended = end.wait_for(Option::is_some).await;
        ended.ok().and_then(|e| e.clone()).flatten()
    }
}

impl<A: Send + Sync + 'static> Drop for Watched<A> {
    fn drop(&mut self) {
        let _state = self.registry.state();
        self.shared.count(|n| n.saturating_sub(1));
    }
}
