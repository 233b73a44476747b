//! The disk pool: two threads, a queue bounded in bytes. Ingest offers a fragment and never waits.
//!
//! A stream always meets the same thread, so its file, its hash chain and its order need no lock. The thread builds the
//! fragment's bytes, hashes and appends them with one write. A write that fails loses that fragment only: the file is cut
//! back, the chain stays at the last fragment that is really there, and the loss is a gap with its cause.

mod writer;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use super::health::Troubles;
use super::state::StreamState;
use super::timeline::Take;
use super::volume::{SegmentFile, Volume};
use super::volumes::Mount;
use crate::model::{Clock, Error, GapCause, Result, StreamKey};
use crate::store::database::SegmentPart;

/// Two, so that one slow write does not stop all streams; more only make an HDD seek.
const THREADS: usize = 2;
/// Jobs a thread may have waiting; the bytes limit is reached before in any real load.
const JOBS: usize = 4_096;

pub(super) enum Job {
    Write(Arc<StreamState>, Box<Take>),
    /// No more fragments of this stream.
    Close(StreamKey),
    CloseAll,
    /// Hand over what was written since the last time.
    Collect(oneshot::Sender<Vec<Written>>),
}

/// What was appended to one file since the last collection; becomes durable when `file` is synced.
pub(super) struct Written {
    pub(super) file: Arc<dyn SegmentFile>,
    pub(super) part: SegmentPart,
    /// How the row was before these fragments; `None`: the file is new.
    pub(super) before: Option<crate::store::database::SegmentRow>,
    /// Set when a sync fails: the writer leaves the file alone from then on.
    pub(super) suspect: Arc<AtomicBool>,
    /// Folders whose entries are new.
    pub(super) folders: Vec<PathBuf>,
}

pub(super) struct DiskPool {
    mount: Arc<Mount>,
    queues: Vec<mpsc::Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
    waiting: Arc<AtomicUsize>,
    limit: usize,
}

#[derive(Clone)]
pub(super) struct Site {
    pub(super) mount: Arc<Mount>,
    pub(super) volume: Arc<dyn Volume>,
    pub(super) root: PathBuf,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) troubles: Arc<Troubles>,
    pub(super) segment_us: i64,
}

impl DiskPool {
    pub(super) fn start(site: &Site, limit: usize) -> Result<Self> {
        let waiting = Arc::new(AtomicUsize::new(0));
        let mut pool = Self {
            mount: Arc::clone(&site.mount),
            queues: Vec::with_capacity(THREADS),
            threads: Vec::with_capacity(THREADS),
            waiting: Arc::clone(&waiting),
            limit,
        };
        for n in 0..THREADS {
            let (queue, jobs) = mpsc::channel(JOBS);
            let writer = writer::Writer::new(site.clone(), Arc::clone(&waiting));
            let thread = std::thread::Builder::new()
                .name(format!("archive-disk-{n}"))
                .spawn(move || writer.run(jobs))
                .map_err(|e| {
                    Error::unavailable("no_thread", "cannot start a disk thread of the archive")
                        .because(e)
                })?;
            pool.queues.push(queue);
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Queues a fragment. `Err`: the disk is behind; nothing was queued.
    pub(super) fn offer(&self, state: &Arc<StreamState>, take: Take) -> Result<(), GapCause> {
        let cost = take.bytes();
        let before = self.waiting.fetch_add(cost, Ordering::Relaxed);
        // An empty queue takes any fragment, however large.
        let fits = before == 0 || before.saturating_add(cost) <= self.limit;
        let job = || Job::Write(Arc::clone(state), Box::new(take));
        state.enter_queue();
        if fits
            && self
                .queue(&state.key)
                .is_some_and(|q| q.try_send(job()).is_ok())
        {
            return Ok(());
        }
        state.leave_queue();
        self.waiting.fetch_sub(cost, Ordering::Relaxed);
        Err(GapCause::DiskBehind)
    }

    pub(super) fn mount(&self) -> &Arc<Mount> {
        &self.mount
    }

    /// As `close`, without waiting for room in the queue. Returns whether there was any.
    pub(super) fn try_close(&self, key: &StreamKey) -> bool {
        self.queue(key)
            .is_some_and(|q| q.try_send(Job::Close(key.clone())).is_ok())
    }

    pub(super) async fn close(&self, key: &StreamKey) {
        if let Some(queue) = self.queue(key) {
            queue.send(Job::Close(key.clone())).await.ok();
        }
    }

    pub(super) async fn close_all(&self) {
        for queue in &self.queues {
            queue.send(Job::CloseAll).await.ok();
        }
    }

    /// What all threads have written since the last time.
    pub(super) async fn collect(&self) -> Vec<Written> {
        let mut answers = Vec::with_capacity(self.queues.len());
        for queue in &self.queues {
            let (answer, wait) = oneshot::channel();
            if queue.send(Job::Collect(answer)).await.is_ok() {
                answers.push(wait);
            }
        }
        let mut all = Vec::new();
        for wait in answers {
            all.extend(wait.await.unwrap_or_default());
        }
        all
    }

    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Lets the threads finish what is queued and waits for them.
    pub(super) fn join(mut self) {
        self.queues.clear();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a disk thread of the archive had panicked");
            }
        }
    }

    fn queue(&self, key: &StreamKey) -> Option<&mpsc::Sender<Job>> {
        let n = usize::try_from(stable_hash(key)).unwrap_or(0) % self.queues.len().max(1);
        self.queues.get(n)
    }
}

/// The same for a stream as long as the daemon runs.
pub(super) fn stable_hash(key: &StreamKey) -> u32 {
    let mut h = DefaultHasher::new();
    key.hash(&mut h);
    let [a, b, c, d, ..] = h.finish().to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}
