//! One task per recorded stream: a cursor on the ring, cut into fragments, placed in time, offered to the disk.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Inner;
use super::gop::{Gop, Raw, micros};
use super::state::StreamState;
use super::timeline::{Take, Timeline};
use super::volumes::Disks;
use crate::model::{FaultKind, GapCause, StreamKey};
use crate::video::{Read, Ring, SessionEnd, Start};

/// A fragment without an end in sight is cut this much later than it could be: the key frame that ends most fragments may be
/// late by its jitter, and is to be the only wake-up.
const SLACK: Duration = Duration::from_millis(80);

pub(super) struct Recorder {
    inner: Arc<Inner>,
    disk: Arc<Disks>,
    state: Arc<StreamState>,
    gop: Gop,
    line: Timeline,
    /// A fragment was given up: what follows cannot be decoded before the next key frame.
    need_key: Option<GapCause>,
    /// Recorded times are ahead of the server's clock.
    ahead: bool,
}

impl Recorder {
    pub(super) fn new(inner: Arc<Inner>, disk: Arc<Disks>, key: &StreamKey) -> Self {
        let state = inner.state(key);
        state.started(inner.clock.now());
        Self {
            gop: Gop::new(inner.config.fragment_max_ms, GapCause::CameraDown),
            line: Timeline::new(state.end(), state.standing()),
            need_key: None,
            ahead: false,
            inner,
            disk,
            state,
        }
    }

    /// Records until told to stop, then records what is still in the ring.
    pub(super) async fn run(mut self, ring: Arc<Ring>, stop: CancellationToken) {
        // What was recorded already must not be recorded again.
        let start = if self.state.end().is_some() {
            Start::NextKey
        } else {
            Start::CurrentGop
        };
        let mut cursor = ring.cursor(start);
        let mut idle = true;
        loop {
            // Not woken for every picture: at key frames and ends, and otherwise when something is due.
            let due = (!idle).then(|| self.due(&ring));
            let more = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                more = cursor.batch() => more,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => true,
            };
            if !more {
                break;
            }
            while let Some(read) = cursor.try_next() {
                idle = matches!(read, Read::End(_));
                self.take(read);
            }
            let stalled = ring
                .last_picture()
                .is_some_and(|at| at + self.patience() <= Instant::now());
            if stalled && !idle {
                // No picture for too long: write what there is instead of keeping it in memory, and say that it stalls.
                idle = true;
                self.flush();
                self.state
                    .missing(self.inner.clock.now(), GapCause::SourceStalled);
            }
        }
        while let Some(read) = cursor.try_next() {
            self.take(read);
        }
        self.flush();
        self.disk.close(&self.state).await;
    }

    /// When to look even if nothing is marked: the pictures stall, or the fragment is as long as it may be.
    fn due(&self, ring: &Ring) -> Instant {
        let now = Instant::now();
        let stalls = ring.last_picture().unwrap_or(now) + self.patience();
        let full = u64::try_from(micros(self.gop.room())).unwrap_or(0);
        stalls.min(now + Duration::from_micros(full) + SLACK)
    }

    fn patience(&self) -> Duration {
        Duration::from_micros(u64::try_from(micros(self.gop.patience())).unwrap_or(1_500_000))
    }

    fn take(&mut self, read: Read) {
        match read {
            Read::Frame(frame) => {
                if let Some(raw) = self.gop.push(frame) {
                    self.place(raw);
                }
            }
            Read::End(SessionEnd { at, fault }) => {
                self.flush();
                let cause = match fault {
                    None => GapCause::Stopped,
                    Some(FaultKind::PictureStopped) => GapCause::SourceStalled,
                    Some(FaultKind::ClockStep) => GapCause::ClockStep,
                    Some(_) => GapCause::CameraDown,
                };
                self.gop.end_session(cause);
                self.state.missing(at, cause);
            }
            Read::Skipped { frames } => {
                self.flush();
                if frames > 0 {
                    tracing::warn!(stream = %self.state.key, frames, "the recorder fell behind its ring");
                    self.gop.skipped(GapCause::RingOverrun);
                }
            }
        }
    }

    fn flush(&mut self) {
        self.keep_off();
        if let Some(raw) = self.gop.flush() {
            self.place(raw);
        }
        for take in self.line.flush() {
            self.offer(take);
        }
    }

    /// A gap whose cause changed while it was open is written down up to there; no picture may be placed over it, though its
    /// delay suggests so.
    fn keep_off(&mut self) {
        if let Some(end) = self.state.end() {
            self.line.not_before(end);
        }
    }

    fn place(&mut self, raw: Raw) {
        self.keep_off();
        for take in self.line.place(raw) {
            self.offer(take);
        }
    }

    fn offer(&mut self, mut take: Take) {
        self.state.stand(self.line.standing());
        self.ahead = super::clocks::watch(&self.state.key, take.clock.ahead_us, self.ahead);
        let blocked = self.state.blocked(self.inner.clock.now());
        if let Some(cause) = blocked.or(self.need_key.filter(|_| !take.key)) {
            self.need_key = Some(cause);
            self.state.left_out(take.range.from, cause);
            return;
        }
        let (range, before) = (take.range, take.before);
        take.before = self.state.peek(before);
        match self.disk.offer(&self.state, take) {
            Ok(()) => {
                self.need_key = None;
                self.state.accept(range, before);
            }
            Err(cause) => {
                if self.need_key.is_none() && cause == GapCause::DiskBehind {
                    tracing::warn!(
                        stream = %self.state.key, waiting = self.disk.waiting_bytes(&self.state.key),
                        "the disk is behind; pictures are left out until it has caught up"
                    );
                }
                self.need_key = Some(cause);
                self.state.left_out(range.from, cause);
            }
        }
    }
}
