//! Stills: a few worker processes, started when needed, used again, ended when nobody asks.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::process::{Worker, unexpected};
use super::protocol::{MAX_UNIT, Message, Picture};
use super::worker::Role;
use super::{Room, count};
use crate::model::{Error, ErrorKind, Result};
use crate::telemetry::{self, Metric};

/// How much a pool may do side by side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) workers: usize,
    /// Callers waiting beyond those being served.
    pub(crate) waiting: usize,
}

impl Limits {
    /// Two: one still must not wait for another, and more would take the processor from the recorder.
    pub(crate) const STILLS: Self = Self {
        workers: 2,
        waiting: 32,
    };
    /// One, of its own: a time line full of thumbnails takes no worker from a still that becomes evidence.
    pub(crate) const THUMBNAILS: Self = Self {
        workers: 1,
        waiting: 64,
    };
}

/// The code of a picture that cannot be shown, through no fault of the worker.
const UNDECODABLE: &str = "still_undecodable";
/// A worker is replaced after so many stills, so that what native code leaks is bounded.
const JOBS_PER_WORKER: u32 = 1_000;

pub(crate) struct StillPool {
    room: Arc<Room>,
    limit: Duration,
    limits: Limits,
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// Newest last: the warm one is used first, and the other can fall idle.
    idle: Mutex<VecDeque<Idle>>,
    next_job: AtomicU32,
}

struct Idle {
    worker: Worker,
    jobs: u32,
    since: Instant,
}

/// Counts down when its caller has a place or gives up.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl StillPool {
    pub(crate) fn new(room: Arc<Room>, limit: Duration, limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            room,
            limit,
            limits,
            places: Arc::new(Semaphore::new(limits.workers)),
            waiting: AtomicUsize::new(0),
            idle: Mutex::default(),
            next_job: AtomicU32::new(0),
        })
    }

    /// Ends workers that had nothing to do for `idle`; runs until `stop`, then ends all.
    pub(crate) async fn tend(self: Arc<Self>, idle: Duration, stop: CancellationToken) {
        loop {
            let going_on = tokio::select! {
                () = stop.cancelled() => false,
                () = tokio::time::sleep(idle / 2) => true,
            };
            let now = Instant::now();
            while let Some(old) = self.take_idle_before(if going_on {
                now.checked_sub(idle)
            } else {
                Some(now)
            }) {
                old.worker.end().await;
            }
            if !going_on {
                return;
            }
        }
    }

    pub(crate) async fn still(
        self: &Arc<Self>,
        picture: Picture,
        unit: Bytes,
        max_width: u32,
    ) -> Result<Bytes> {
        if unit.len() > MAX_UNIT {
            return Err(Error::invalid(
                "still_too_large",
                format!(
                    "the key frame has {} bytes; the limit for a still is {MAX_UNIT}",
                    unit.len()
                ),
            ));
        }
        let place = {
            let Limits { workers, waiting } = self.limits;
            if self.waiting.fetch_add(1, Ordering::Relaxed) >= waiting + workers {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                return Err(Error::new(
                    ErrorKind::TooMuch,
                    "still_queue_full",
                    format!("{waiting} stills are waiting already; try again in a second"),
                ));
            }
            let _waiting = Waiting(&self.waiting);
            timeout(self.limit, Arc::clone(&self.places).acquire_owned())
                .await
                .ok()
                .and_then(std::result::Result::ok)
                .ok_or_else(|| {
                    Error::unavailable(
                        "still_busy",
                        format!(
                            "no still worker was free for {} ms; try again in a second",
                            self.limit.as_millis()
                        ),
                    )
                })?
        };
        let job = self.next_job.fetch_add(1, Ordering::Relaxed);
        let order = Message::Still {
            job,
            max_width,
            picture,
            unit,
        };
        // In a task of its own: a caller who walks away does not cost a worker.
        let (answer, done) = oneshot::channel();
        let pool = Arc::clone(self);
        self.room.tasks.spawn(async move {
            let begun = Instant::now();
            let result = pool.serve(job, order).await;
            let counts = &pool.room.counts;
            match &result {
                Ok(_) => {
                    count(&counts.stills_made);
                    telemetry::observe(Metric::MediaStill, &[], begun.elapsed());
                }
                Err(e) => {
                    count(&counts.stills_failed);
                    // A picture that cannot be decoded is no failure of the worker.
                    if e.code() != UNDECODABLE {
                        telemetry::count(Metric::MediaFailures, &[("job", "still")], 1);
                    }
                }
            }
            drop(place);
            drop(answer.send(result));
        });
        done.await
            .unwrap_or_else(|_| Err(Error::unavailable("stopping", "the daemon is stopping")))
    }

    async fn serve(&self, job: u32, order: Message) -> Result<Bytes> {
        let Idle {
            mut worker, jobs, ..
        } = match self.take_idle() {
            Some(idle) => idle,
            None => Idle {
                worker: self
                    .room
                    .spawner
                    .spawn(Role::Still, &self.room.tasks)
                    .await?,
                jobs: 0,
                since: Instant::now(),
            },
        };
        let asked = timeout(self.limit, async {
            worker.input.send(&order).await?;
            worker.output.next().await
        })
        .await;
        match asked {
            Err(_) => {
                worker.kill().await;
                Err(Error::unavailable(
                    "still_timeout",
                    format!(
                        "decoding the still took longer than {} ms and was ended; [media] still_timeout_ms sets the limit",
                        self.limit.as_millis()
                    ),
                ))
            }
            Ok(Ok(Some(Message::StillDone { job: of, jpeg }))) if of == job => {
                self.put_back(worker, jobs + 1).await;
                Ok(jpeg)
            }
            Ok(Ok(Some(Message::StillRefused { job: of, why }))) if of == job => {
                self.put_back(worker, jobs + 1).await;
                Err(Error::new(
                    ErrorKind::Conflict,
                    UNDECODABLE,
                    format!("no still can be made of this key frame: {why}"),
                ))
            }
            Ok(Ok(Some(other))) => {
                worker.kill().await;
                Err(unexpected(Role::Still, &other))
            }
            Ok(Ok(None) | Err(_)) => {
                let how = worker.post_mortem().await;
                tracing::warn!(how, "a still worker died");
                Err(Error::unavailable(
                    "worker_died",
                    format!(
                        "the worker decoding the still died: {how}; the next still gets a new one"
                    ),
                ))
            }
        }
    }

    async fn put_back(&self, worker: Worker, jobs: u32) {
        if jobs >= JOBS_PER_WORKER || self.room.tasks.is_closed() {
            worker.end().await;
            return;
        }
        let since = Instant::now();
        self.idle_workers().push_back(Idle {
            worker,
            jobs,
            since,
        });
    }

    fn take_idle(&self) -> Option<Idle> {
        self.idle_workers().pop_back()
    }

    fn take_idle_before(&self, limit: Option<Instant>) -> Option<Idle> {
        let limit = limit?;
        self.idle_workers().pop_front_if(|idle| idle.since <= limit)
    }

    fn idle_workers(&self) -> std::sync::MutexGuard<'_, VecDeque<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
