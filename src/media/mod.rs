//! The only room that touches GStreamer and FFmpeg, and it does so in child processes: a fault in C costs one job.
//!
//! [`Media`] makes stills ([`Media::still`]), shared transcodes of H.265 cameras ([`Media::transcodes`]) and what is derived of
//! clips ([`Media::derive`]). Recording does not pass through here, except from cameras that can only be reached by UDP, TLS,
//! HTTP or multicast ([`Media::ingest`]).

mod check;
mod derive;
#[doc(hidden)]
pub mod fuzzing;
mod h26x;
mod ingest;
mod ingest_form;
mod ingest_pipeline;
mod ingest_protocol;
mod ingest_route;
mod ingest_rtp;
mod ingest_tls;
mod ingest_worker;
mod native;
mod pipeline;
mod pipeline_run;
mod process;
mod protocol;
mod still;
mod still_pool;
mod transcode;
mod transcode_worker;
mod transcodes;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use derive::{DeriveOrder, Derived, RECIPE_VERSION, Recipe, patience};
pub use ingest::{IngestEvent, IngestFault, IngestOrder, IngestSession, IngestUnit, Lower, Medium};
pub use transcode::{AccessUnit, Feed, TranscodeFeed, TranscodeSink, TranscodedFrame};
pub use transcodes::{TranscodeStart, Transcodes, Watched};
pub use worker::worker_main;

use crate::config::MediaConfig;
use crate::model::{Error, Result, StreamParams};
use crate::telemetry::{self, Metric};
use derive::DerivePool;
use pipeline::Pipelines;
use process::Spawner;
use protocol::Picture;
use still_pool::{Limits, StillPool};

/// A still worker without work is ended after this long.
const STILL_IDLE: Duration = Duration::from_secs(20);

/// The executable of this process, as its workers' executable: works also after an upgrade replaced the file.
pub fn this_program() -> PathBuf {
    PathBuf::from("/proc/self/exe")
}

/// Native media work. Cheap to clone; [`Media::stop`] ends every worker.
#[derive(Clone)]
pub struct Media {
    inner: Arc<Inner>,
}

struct Inner {
    room: Arc<Room>,
    stills: Arc<StillPool>,
    thumbnails: Arc<StillPool>,
    derive: Arc<DerivePool>,
}

/// What every kind of job shares.
pub(crate) struct Room {
    spawner: Spawner,
    pipelines: Pipelines,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// One for each transcode that may run.
    places: Arc<Semaphore>,
    max_transcodes: usize,
    linger: Duration,
    counts: Counts,
}

/// Counted since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaStatus {
    pub stills_made: u64,
    pub stills_failed: u64,
    pub transcode_frames_in: u64,
    pub transcode_frames_out: u64,
    /// Left out because a worker was too slow, or before the first key frame.
    pub transcode_frames_left_out: u64,
    pub transcodes_failed: u64,
    pub derived_made: u64,
    pub derived_failed: u64,
    /// Right now.
    pub transcodes_running: usize,
}

impl Media {
    /// Starts no process yet. Must be called inside the async runtime. `executable` is usually [`this_program`].
    ///
    /// Fails when a pipeline file is malformed; whether this machine can run it is asked by [`Media::check_pipelines`].
    pub fn start(config: &MediaConfig, executable: PathBuf) -> Result<Self> {
        Self::start_with_idle(config, executable, STILL_IDLE)
    }

    /// As [`Media::start`], ending still workers that had nothing to do for `idle`.
    pub fn start_with_idle(
        config: &MediaConfig,
        executable: PathBuf,
        idle: Duration,
    ) -> Result<Self> {
        let room = Arc::new(Room {
            spawner: Spawner::start(executable)?,
            pipelines: Pipelines::load(config.pipelines_dir.as_deref())?,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            places: Arc::new(Semaphore::new(config.max_transcodes)),
            max_transcodes: config.max_transcodes,
            linger: Duration::from_millis(config.transcode_linger_ms),
            counts: Counts::default(),
        });
        let limit = Duration::from_millis(config.still_timeout_ms);
        let pool = |limits| {
            let pool = StillPool::new(Arc::clone(&room), limit, limits);
            room.tasks
                .spawn(Arc::clone(&pool).tend(idle, room.stop.clone()));
            pool
        };
        let (stills, thumbnails) = (pool(Limits::STILLS), pool(Limits::THUMBNAILS));
        Ok(Self {
            inner: Arc::new(Inner {
                derive: DerivePool::new(Arc::clone(&room)),
                room,
                stills,
                thumbnails,
            }),
        })
    }

    /// The names of the pipelines, when each has its elements on this machine and its parameters fit them. Otherwise
    /// `bad_pipeline` with every problem and, for a missing element, the package that brings it.
    pub async fn check_pipelines(&self) -> Result<Vec<&'static str>> {
        let problems = check::problems(&self.inner.room).await?;
        if problems.is_empty() {
            return Ok(self.inner.room.pipelines.names().collect());
        }
        Err(Error::invalid("bad_pipeline", problems.join("; ")))
    }

    /// A list of shared transcodes. Make one for each kind of viewer, once: lists do not share transcodes, only the limit.
    pub fn transcodes<A: Send + Sync + 'static>(&self) -> Transcodes<A> {
        Transcodes::new(Arc::clone(&self.inner.room))
    }

    /// A JPEG of what a key frame shows: square pixels, at most `max_width` wide. The same input gives the same bytes.
    ///
    /// `access_unit` holds NAL units after 4-byte lengths, as in the archive. A damaged picture is an error
    /// (`still_undecodable`), never a patched picture.
    pub async fn still(
        &self,
        params: &StreamParams,
        access_unit: Bytes,
        max_width: Option<u32>,
    ) -> Result<Bytes> {
        let picture = Picture::of(params);
        self.inner
            .stills
            .still(picture, access_unit, max_width.unwrap_or(0))
            .await
    }

    /// As [`Media::still`], behind other thumbnails and never before a still: at most one is made at a time.
    pub async fn thumbnail(
        &self,
        params: &StreamParams,
        access_unit: Bytes,
        max_width: u32,
    ) -> Result<Bytes> {
        let picture = Picture::of(params);
        self.inner
            .thumbnails
            .still(picture, access_unit, max_width)
            .await
    }

    /// Makes something of a clip: reads one file, writes another. One job at a time, at low priority.
    ///
    /// Errors: `derive_busy` (too many wait already), `cannot_derive` (says what in the clip or the order stands against it),
    /// `derive_timeout`, `worker_died`. Nothing is left at `out` then.
    pub async fn derive(&self, order: DeriveOrder) -> Result<Derived> {
        self.inner.derive.derive(order).await
    }

    /// The worker processes that run now: `still`, `transcode` or `derive`, and the process id.
    pub fn workers(&self) -> Vec<(&'static str, u32)> {
        let workers = self.inner.room.spawner.workers();
        workers
            .into_iter()
            .map(|(role, pid)| (role.as_str(), pid))
            .collect()
    }

    pub fn status(&self) -> MediaStatus {
        let counts = &self.inner.room.counts;
        let of = |n: &AtomicU64| n.load(Ordering::Relaxed);
        MediaStatus {
            stills_made: of(&counts.stills_made),
            stills_failed: of(&counts.stills_failed),
            transcode_frames_in: of(&counts.frames_in),
            transcode_frames_out: of(&counts.frames_out),
            transcode_frames_left_out: of(&counts.frames_left_out),
            transcodes_failed: of(&counts.transcodes_failed),
            derived_made: of(&counts.derived_made),
            derived_failed: of(&counts.derived_failed),
            transcodes_running: self.inner.room.running(),
        }
    }

    /// Ends every worker and waits for it.
    pub async fn stop(&self) {
        let room = &self.inner.room;
        room.places.close();
        room.stop.cancel();
        room.tasks.close();
        room.tasks.wait().await;
    }
}

impl Room {
    /// Transcodes that hold a place.
    fn running(&self) -> usize {
        self.max_transcodes
            .saturating_sub(self.places.available_permits())
    }

    fn show_running(&self) {
        let running = u32::try_from(self.running()).unwrap_or(u32::MAX);
        telemetry::gauge(Metric::MediaTranscodes, &[], running.into());
    }
}

/// Plain counters of the room, read by [`Media::status`].
#[derive(Debug, Default)]
pub(crate) struct Counts {
    stills_made: AtomicU64,
    stills_failed: AtomicU64,
    frames_in: AtomicU64,
    frames_out: AtomicU64,
    frames_left_out: AtomicU64,
    transcodes_failed: AtomicU64,
    derived_made: AtomicU64,
    derived_failed: AtomicU64,
}

/// One more.
fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Picture {
    fn of(params: &StreamParams) -> Self {
        Self {
            codec: params.codec,
            width: params.width.into(),
            height: params.height.into(),
            pixel_aspect: params.pixel_aspect.unwrap_or((1, 1)),
            extra_data: params.extra_data.clone(),
        }
    }
}
