//! The only room that touches GStreamer and FFmpeg, and it does so in child processes: a fault in C costs one job.
//!
//! [`Media`] makes stills ([`Media::still`]). Recording does not pass through here.

mod h26x;
mod native;
mod process;
mod protocol;
mod still;
mod still_pool;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use worker::worker_main;

use crate::config::MediaConfig;
use crate::model::{Result, StreamParams};
use process::Spawner;
use protocol::Picture;
use still_pool::StillPool;

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
    spawner: Arc<Spawner>,
    stills: Arc<StillPool>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Media {
    /// Starts no process yet. Must be called inside the async runtime. `executable` is usually [`this_program`].
    pub fn start(config: &MediaConfig, executable: PathBuf) -> Result<Self> {
        Self::start_with_idle(config, executable, STILL_IDLE)
    }

    /// As [`Media::start`], ending still workers that had nothing to do for `idle`.
    pub fn start_with_idle(
        config: &MediaConfig,
        executable: PathBuf,
        idle: Duration,
    ) -> Result<Self> {
        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        let spawner = Arc::new(Spawner::start(executable)?);
        let limit = Duration::from_millis(config.still_timeout_ms);
        let stills = StillPool::new(Arc::clone(&spawner), tasks.clone(), limit);
        tasks.spawn(Arc::clone(&stills).tend(idle, stop.clone()));
        Ok(Self {
            inner: Arc::new(Inner {
                spawner,
                stills,
                tasks,
                stop,
            }),
        })
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

    /// The worker processes that run now: `still` or `transcode`, and the process id.
    pub fn workers(&self) -> Vec<(&'static str, u32)> {
        let workers = self.inner.spawner.workers();
        workers.into_iter().map(|(role, pid)| (role.as_str(), pid)).collect()
    }

    /// Ends every worker and waits for it.
    pub async fn stop(&self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }
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
