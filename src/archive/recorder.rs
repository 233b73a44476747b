//! One task per recorded stream: a cursor on the ring, cut into fragments, placed in time, offered to the disk.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Inner;
use super::gop::{Gop, Raw, micros};
use super::state::StreamState;
use super::timeline::{Take, Timeline};
use super::volumes::Disks;
use crate::model::{FaultKind, GapCause, StreamKey};
use crate::video::{Read, Ring, SessionEnd, Start};

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
            line: Timeline::new(state.end()),
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
            let patience = u64::try_from(micros(self.gop.patience())).unwrap_or(1_500_000);
            let read = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                read = tokio::time::timeout(Duration::from_micros(patience), cursor.next()) => read,
            };
            match read {
                Ok(Some(read)) => {
                    idle = false;
                    self.take(read);
                }
                Ok(None) => break,
                // No picture for too long: write what there is instead of keeping it in memory, and say that it stalls.
                Err(_) if !idle => {
                    idle = true;
                    self.flush();
                    self.state
                        .missing(self.inner.clock.now(), GapCause::SourceStalled);
                }
                Err(_) => {}
            }
        }
        while let Some(read) = cursor.try_next() {
            self.take(read);
        }
        self.flush();
        self.disk.close(&self.state).await;
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
        if let Some(raw) = self.gop.flush() {
            self.place(raw);
        }
        for take in self.line.flush() {
            self.offer(take);
        }
    }

    fn place(&mut self, raw: Raw) {
        for take in self.line.place(raw) {
            self.offer(take);
        }
    }

    fn offer(&mut self, mut take: Take) {
        self.ahead = super::clocks::watch(&self.state.key, take.clock.ahead_us, self.ahead);
        let blocked = self.state.blocked(self.inner.clock.now());
        if let Some(cause) = blocked.or(self.need_key.filter(|_| !take.key)) {
            self.need_key = Some(cause);
            self.state.missing(take.range.from, cause);
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
                self.state.missing(range.from, cause);
            }
        }
    }
}
