//! One transcode: a camera's access units through one worker process, H.264 for browsers out.
//!
//! The worker holds back whoever feeds it when it is slow, so there is one place where pictures are left out: the queue
//! here. When it is full, everything up to the next key frame is left out and counted; what is shown stays fresh.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::pipeline::H265_TO_H264;
use super::process::{Worker, WorkerInput, WorkerOutput, unexpected};
use super::protocol::{MAX_UNIT, Message, Picture, Unit};
use super::worker::Role;
use super::{Counts, Room, count};
use crate::model::{Error, Result, StreamParams, UtcMicros, VideoCodec};

/// Access units waiting for the worker: a second of video.
const QUEUE: usize = 25;
/// A worker that is fed and gives nothing for so long is ended.
const STALL: Duration = Duration::from_secs(10);
/// A feed that pauses longer than this has stopped; the worker is not to blame.
const PAUSE: Duration = Duration::from_secs(2);

/// One access unit of the camera.
#[derive(Clone, Debug)]
pub struct AccessUnit {
    pub params: Arc<StreamParams>,
    /// NAL units, each after a 4-byte length.
    pub data: Bytes,
    pub key: bool,
    /// 1/90 000 s from any origin that stays the same between two [`Feed::Break`]s.
    pub pts: i64,
    pub received: UtcMicros,
}

/// What a transcode is fed with.
#[derive(Clone, Debug)]
pub enum Feed {
    Unit(AccessUnit),
    /// A session of the camera ended; the next unit begins another time line.
    Break,
}

/// Where access units come from, usually a cursor on the camera's ring. Read at once whatever the worker does.
#[async_trait]
pub trait TranscodeFeed: Send + 'static {
    /// Waits for the next; `None` ends the transcode once everything is out.
    async fn next(&mut self) -> Option<Feed>;
}

/// Where pictures go, usually a ring. Must not wait.
pub trait TranscodeSink: Send + 'static {
    fn frame(&mut self, frame: TranscodedFrame);
    /// Nothing comes any more. `None`: stopped on purpose, or the feed ended.
    fn ended(&mut self, why: Option<&Error>);
}

/// One H.264 access unit with the times of the camera's picture it was made of.
#[derive(Clone, Debug)]
pub struct TranscodedFrame {
    pub params: Arc<StreamParams>,
    pub data: Bytes,
    pub key: bool,
    pub pts: i64,
    pub received: UtcMicros,
}

/// Runs until the feed ends, `stop`, or a failure. The worker is gone when this returns.
pub(crate) async fn run(
    room: &Room,
    feed: &mut dyn TranscodeFeed,
    sink: &mut dyn TranscodeSink,
    stop: &CancellationToken,
) -> Result<()> {
    let mut worker = room.spawner.spawn(Role::Transcode, &room.tasks).await?;
    let outcome = drive(room, &mut worker, feed, sink, stop).await;
    match outcome {
        Ok(Done::Out | Done::Stopped) => {
            worker.end().await;
            Ok(())
        }
        Ok(Done::Died) => {
            let how = worker.post_mortem().await;
            Err(Error::unavailable(
                "worker_died",
                format!("the transcode worker died: {how}"),
            ))
        }
        Err(e) => {
            worker.kill().await;
            Err(e)
        }
    }
}

enum Done {
    /// The feed ended and everything is out.
    Out,
    Stopped,
    Died,
}

async fn drive(
    room: &Room,
    worker: &mut Worker,
    feed: &mut dyn TranscodeFeed,
    sink: &mut dyn TranscodeSink,
    stop: &CancellationToken,
) -> Result<Done> {
    let (queue, mut steps) = mpsc::channel(QUEUE);
    let progress = Progress::default();
    let text = room.pipelines.text(H265_TO_H264);
    let input = async {
        tokio::join!(
            take(feed, queue, &room.counts),
            give(text, &mut steps, &mut worker.input, &progress)
        )
        .1
    };
    let output = receive(&mut worker.output, sink, &progress, &room.counts);
    let stalled = progress.stalled();
    tokio::pin!(input, output, stalled);
    let mut fed = false;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(Done::Stopped),
            done = &mut output => return done,
            given = &mut input, if !fed => {
                fed = true;
                given?;
            }
            () = &mut stalled => {
                return Err(Error::unavailable(
                    "transcode_stalled",
                    format!("the transcode gave no picture for {} s and was ended", STALL.as_secs()),
                ));
            }
        }
    }
}

struct Step {
    /// The worker must begin anew with these.
    configure: Option<Arc<StreamParams>>,
    unit: Unit,
}

/// Reads the feed as it comes; leaves out what the queue has no room for.
async fn take(feed: &mut dyn TranscodeFeed, queue: mpsc::Sender<Step>, counts: &Counts) {
    let mut current: Option<Arc<StreamParams>> = None;
    let mut need_key = true;
    while let Some(item) = feed.next().await {
        let Feed::Unit(unit) = item else {
            (current, need_key) = (None, true);
            continue;
        };
        count(&counts.frames_in);
        let same = current.as_ref().is_some_and(|c| *c == unit.params);
        let fits = unit.data.len() <= MAX_UNIT;
        if !fits || !unit.key && (need_key || !same) {
            need_key = true;
            count(&counts.frames_left_out);
            continue;
        }
        let step = Step {
            configure: (!same).then(|| Arc::clone(&unit.params)),
            unit: Unit {
                key: unit.key,
                pts: unit.pts,
                received: unit.received.micros(),
                data: unit.data,
            },
        };
        match queue.try_send(step) {
            Ok(()) => (current, need_key) = (Some(unit.params), false),
            Err(mpsc::error::TrySendError::Full(_)) => {
                need_key = true;
                count(&counts.frames_left_out);
            }
            Err(mpsc::error::TrySendError::Closed(_)) => return,
        }
    }
}

/// Writes to the worker at its pace. A broken pipe is told by the other end, with the reason.
async fn give(
    text: String,
    steps: &mut mpsc::Receiver<Step>,
    worker: &mut WorkerInput,
    progress: &Progress,
) -> Result<()> {
    let name = H265_TO_H264.to_owned();
    if worker
        .send(&Message::Pipeline { name, text })
        .await
        .is_err()
    {
        return Ok(());
    }
    while let Some(step) = steps.recv().await {
        if let Some(params) = step.configure {
            if params.codec != VideoCodec::H265 {
                return Err(Error::conflict(
                    "transcode_codec",
                    "the camera no longer sends H.265: its stream can be shown as it is",
                ));
            }
            let configure = Message::Configure(Picture::of(&params));
            if worker.send(&configure).await.is_err() {
                return Ok(());
            }
        }
        progress.giving();
        if worker.send(&Message::Unit(step.unit)).await.is_err() {
            return Ok(());
        }
        progress.given();
    }
    // As above: if it cannot be written, the other end says why.
    let _told = worker.send(&Message::Stop).await;
    Ok(())
}

async fn receive(
    worker: &mut WorkerOutput,
    sink: &mut dyn TranscodeSink,
    progress: &Progress,
    counts: &Counts,
) -> Result<Done> {
    let mut params = None;
    loop {
        let message = worker.next().await.map_err(|e| {
            Error::internal(
                "worker_protocol",
                "the transcode worker's answer cannot be read",
            )
            .because(e)
        })?;
        let Some(message) = message else {
            return Ok(Done::Died);
        };
        match (message, &params) {
            (Message::Output(picture), _) => params = Some(Arc::new(params_of(picture)?)),
            (Message::Unit(unit), Some(params)) => {
                progress.got();
                count(&counts.frames_out);
                sink.frame(TranscodedFrame {
                    params: Arc::clone(params),
                    data: unit.data,
                    key: unit.key,
                    pts: unit.pts,
                    received: UtcMicros(unit.received),
                });
            }
            (Message::Failed { why }, _) => {
                return Err(Error::unavailable(
                    "transcode_failed",
                    format!("the pipeline {H265_TO_H264} failed: {why}"),
                ));
            }
            (Message::Ended, _) => return Ok(Done::Out),
            (other, _) => return Err(unexpected(Role::Transcode, &other)),
        }
    }
}

/// The parameters a player needs, from what the worker says of its output.
fn params_of(picture: Picture) -> Result<StreamParams> {
    let side = |n: u32| u16::try_from(n).ok();
    let (Some([_, profile, compatible, level]), Some(width), Some(height)) = (
        picture.extra_data.first_chunk::<4>(),
        side(picture.width),
        side(picture.height),
    ) else {
        return Err(Error::internal(
            "worker_protocol",
            "the transcode worker gave parameters that no player can use",
        ));
    };
    Ok(StreamParams {
        codec: picture.codec,
        // RFC 6381 §3.3.
        rfc6381: format!("avc1.{profile:02x}{compatible:02x}{level:02x}"),
        extra_data: picture.extra_data,
        width,
        height,
        pixel_aspect: None,
        audio: None,
    })
}

/// Whether a worker that is fed also answers.
struct Progress(Mutex<Times>);

#[derive(Clone, Copy)]
struct Times {
    /// First unit given since the last picture came, while the feed flows.
    unanswered: Option<Instant>,
    last_given: Instant,
    giving: bool,
}

impl Default for Progress {
    fn default() -> Self {
        Self(Mutex::new(Times {
            unanswered: None,
            last_given: Instant::now(),
            giving: false,
        }))
    }
}

impl Progress {
    fn times(&self) -> MutexGuard<'_, Times> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn giving(&self) {
        let now = Instant::now();
        let mut t = self.times();
        if now.duration_since(t.last_given) > PAUSE {
            // What is still inside from before the pause waits for company, not for the worker.
            t.unanswered = None;
        }
        t.unanswered.get_or_insert(now);
        t.giving = true;
    }

    fn given(&self) {
        let mut t = self.times();
        t.giving = false;
        t.last_given = Instant::now();
    }

    fn got(&self) {
        self.times().unanswered = None;
    }

    /// Ends when the worker does not answer though it is fed.
    async fn stalled(&self) {
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let t = *self.times();
            let flows = t.giving || t.last_given.elapsed() < PAUSE;
            if flows && t.unanswered.is_some_and(|since| since.elapsed() > STALL) {
                return;
            }
        }
    }
}
