//! What is known of one stream right now: where its timeline ends, what is missing, what is durable. The gap ledger.
//!
//! Every interval between two recorded fragments becomes a gap with a cause. A gap that is still open is visible at once; its
//! row is written when it closes. After a crash an open gap is found again as `restart`: from the last durable picture to the
//! first new one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::timeline::Standing;
use crate::model::{Gap, GapCause, StreamKey, TimeRange, UtcMicros};

/// End of the hash chain: the next fragment's number and the hash it must carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChainHead {
    pub(super) next_seq: i64,
    pub(super) hash: [u8; 32],
    /// End of the last fragment written.
    pub(super) end: Option<UtcMicros>,
}

impl ChainHead {
    pub(super) const EMPTY: Self = Self {
        next_seq: 1,
        hash: [0; 32],
        end: None,
    };
}

#[derive(Debug)]
pub(super) struct StreamState {
    pub(super) key: StreamKey,
    durable: watch::Sender<Option<UtcMicros>>,
    now: Mutex<Now>,
    /// The volume it records to; `usize::MAX`: none yet.
    seat: AtomicUsize,
    /// Fragments that wait for their disk thread.
    queued: AtomicUsize,
}

#[derive(Debug)]
struct Now {
    recording: bool,
    chain: ChainHead,
    /// End of the last fragment accepted for writing.
    end: Option<UtcMicros>,
    /// How the stream's time stands to the server's clocks.
    standing: Standing,
    open: Option<(UtcMicros, GapCause)>,
    /// Closed, not yet in the index.
    closed: Vec<Gap>,
    /// The disk refuses this stream until then.
    blocked: Option<(GapCause, UtcMicros)>,
    /// Switched off or on, not yet in the index.
    stopped: Option<Option<UtcMicros>>,
}

/// What coverage needs to know beside the index.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub(super) recording: bool,
    pub(super) open: Option<(UtcMicros, GapCause)>,
    pub(super) closed: Vec<Gap>,
    pub(super) durable_until: Option<UtcMicros>,
    end: Option<UtcMicros>,
    standing: Standing,
}

impl Snapshot {
    /// A time of the server's clock on the stream's timeline.
    pub(super) fn place(&self, at: UtcMicros) -> UtcMicros {
        self.end.map_or(at, |end| self.standing.by_wall(at, end))
    }
}

impl StreamState {
    pub(super) fn new(key: StreamKey) -> Self {
        Self {
            key,
            durable: watch::Sender::new(None),
            seat: AtomicUsize::new(usize::MAX),
            queued: AtomicUsize::new(0),
            now: Mutex::new(Now {
                recording: false,
                chain: ChainHead::EMPTY,
                end: None,
                standing: Standing::default(),
                open: None,
                closed: Vec::new(),
                blocked: None,
                stopped: None,
            }),
        }
    }

    /// After recovery: recorded until `chain.end`, nothing known since `missing`.
    pub(super) fn resume(
        &self,
        chain: ChainHead,
        missing: Option<(UtcMicros, GapCause)>,
        standing: Standing,
    ) {
        let mut now = self.lock();
        now.standing = standing;
        now.end = chain.end.max(missing.map(|(from, _)| from));
        now.chain = chain;
        now.open = missing;
        self.durable.send_replace(chain.end);
    }

    pub(super) fn seat(&self) -> Option<usize> {
        Some(self.seat.load(Ordering::Acquire)).filter(|n| *n != usize::MAX)
    }

    pub(super) fn sit(&self, seat: usize) {
        self.seat.store(seat, Ordering::Release);
    }

    pub(super) fn queued(&self) -> usize {
        self.queued.load(Ordering::Acquire)
    }

    pub(super) fn enter_queue(&self) {
        self.queued.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn leave_queue(&self) {
        self.queued.fetch_sub(1, Ordering::AcqRel);
    }

    pub(super) fn durable_until(&self) -> Option<UtcMicros> {
        *self.durable.borrow()
    }

    pub(super) fn watch_durable(&self) -> watch::Receiver<Option<UtcMicros>> {
        self.durable.subscribe()
    }

    pub(super) fn publish(&self, until: UtcMicros) {
        self.durable
            .send_if_modified(|now| match *now >= Some(until) {
                true => false,
                false => {
                    *now = Some(until);
                    true
                }
            });
    }

    pub(super) fn end(&self) -> Option<UtcMicros> {
        self.lock().end
    }

    pub(super) fn standing(&self) -> Standing {
        self.lock().standing
    }

    pub(super) fn stand(&self, standing: Standing) {
        self.lock().standing = standing;
    }

    pub(super) fn is_recording(&self) -> bool {
        self.lock().recording
    }

    /// A recorder begins. Until its first picture the stream is missing, for the cause already known or because no camera
    /// is there yet.
    pub(super) fn started(&self, at: UtcMicros) {
        let mut now = self.lock();
        now.recording = true;
        let at = now.place(at);
        if now.open.map(|(_, c)| c) == Some(GapCause::Stopped) {
            now.close(&self.key, at);
            now.open = Some((at, GapCause::CameraDown));
            now.stopped = Some(None);
        }
        if now.open.is_none() {
            let from = now.end.unwrap_or(at);
            now.open = Some((from, GapCause::CameraDown));
        }
    }

    /// The recorder is gone. `switched_off`: by the operator, else because the daemon stops.
    pub(super) fn ended(&self, at: UtcMicros, switched_off: bool) {
        let mut now = self.lock();
        let at = now.place(at);
        now.recording = false;
        now.blocked = None;
        if switched_off {
            // Missing already: for that cause until now. Else what was recorded ends here.
            let ended = now.end.unwrap_or(at);
            let from = now.close(&self.key, at).unwrap_or(ended);
            now.open = Some((from, GapCause::Stopped));
            now.stopped = Some(Some(from));
        }
    }

    /// Pictures stop.
    pub(super) fn missing(&self, at: UtcMicros, cause: GapCause) {
        let mut now = self.lock();
        let at = now.place(at);
        now.missing(&self.key, at, cause);
    }

    /// Pictures that have a place in time already are left out, from `at` on.
    pub(super) fn left_out(&self, at: UtcMicros, cause: GapCause) {
        let mut now = self.lock();
        let at = now.end.map_or(at, |end| at.max(end));
        now.missing(&self.key, at, cause);
    }

    /// The cause of what is missing now; `before` if no better is known.
    pub(super) fn peek(&self, before: GapCause) -> GapCause {
        self.lock().open.map_or(before, |(_, cause)| cause)
    }

    /// A fragment goes to the disk. Whatever lies between it and the one before is a gap; `before` is its cause if no better
    /// is known.
    pub(super) fn accept(&self, range: TimeRange, before: GapCause) {
        let mut now = self.lock();
        match now.open {
            Some(_) => {
                now.close(&self.key, range.from);
            }
            None => {
                if let Some(end) = now.end {
                    now.gap(
                        &self.key,
                        TimeRange {
                            from: end,
                            to: range.from,
                        },
                        before,
                    );
                }
            }
        }
        now.open = None;
        now.end = Some(range.to);
    }

    /// A fragment that was accepted did not reach the disk.
    pub(super) fn lost(&self, range: TimeRange, cause: GapCause) {
        self.lock().gap(&self.key, range, cause);
    }

    pub(super) fn block(&self, cause: GapCause, until: UtcMicros) {
        self.lock().blocked = Some((cause, until));
    }

    /// Whether the disk refuses this stream at `at`, and why.
    pub(super) fn blocked(&self, at: UtcMicros) -> Option<GapCause> {
        let mut now = self.lock();
        let (cause, until) = now.blocked?;
        if at < until {
            return Some(cause);
        }
        now.blocked = None;
        None
    }

    pub(super) fn chain(&self) -> ChainHead {
        self.lock().chain
    }

    pub(super) fn advance(&self, chain: ChainHead) {
        self.lock().chain = chain;
    }

    /// Gap rows to be committed; given back by `give_back` when that failed.
    pub(super) fn take_closed(&self) -> (Vec<Gap>, Option<Option<UtcMicros>>) {
        let now = self.lock();
        (now.closed.clone(), now.stopped)
    }

    /// The first `n` gap rows, and this switch, are in the index now.
    pub(super) fn committed(&self, n: usize, stopped: Option<Option<UtcMicros>>) {
        let mut now = self.lock();
        let n = n.min(now.closed.len());
        now.closed.drain(..n);
        if now.stopped == stopped {
            now.stopped = None;
        }
    }

    /// Gaps that wait for the index.
    pub(super) fn owed(&self) -> usize {
        self.lock().closed.len()
    }

    /// The first `n` gaps stand in the journal now.
    pub(super) fn spilled(&self, n: usize) {
        let mut now = self.lock();
        let n = n.min(now.closed.len());
        now.closed.drain(..n);
    }

    /// Drops the oldest gaps beyond `most`; returns how many.
    pub(super) fn squeeze(&self, most: usize) -> usize {
        let mut now = self.lock();
        let n = now.closed.len().saturating_sub(most);
        now.closed.drain(..n);
        n
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let now = self.lock();
        Snapshot {
            recording: now.recording,
            open: now.open,
            closed: now.closed.clone(),
            durable_until: self.durable_until(),
            end: now.end,
            standing: now.standing,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        // No code in here panics half-way.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Now {
    /// A time of the server's clock on the stream's timeline, which may be ahead of the clock: what is recorded is not missing.
    fn place(&self, at: UtcMicros) -> UtcMicros {
        self.end
            .map_or(at, |end| self.standing.by_wall(at, end).max(end))
    }

    fn missing(&mut self, key: &StreamKey, at: UtcMicros, cause: GapCause) {
        match self.open {
            Some((_, c)) if c == cause => {}
            // Known missing for another cause until now: that part is over.
            Some((from, _)) if at > from => {
                self.close(key, at);
                self.open = Some((at, cause));
            }
            Some((from, _)) => self.open = Some((from, cause)),
            None => {
                let from = self.end.unwrap_or(at);
                self.open = Some((from, cause));
            }
        }
    }

    /// Ends the open gap at `to`, if there is one; returns its end.
    fn close(&mut self, key: &StreamKey, to: UtcMicros) -> Option<UtcMicros> {
        let (from, cause) = self.open.take()?;
        let to = to.max(from);
        self.gap(key, TimeRange { from, to }, cause);
        self.end = self.end.max(Some(to));
        Some(to)
    }

    fn gap(&mut self, key: &StreamKey, range: TimeRange, cause: GapCause) {
        if range.from < range.to {
            self.closed.push(Gap {
                stream: key.clone(),
                range,
                cause,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::CameraId;

    fn state() -> StreamState {
        StreamState::new(StreamKey::main(CameraId::new("cam-1").unwrap()))
    }

    fn r(from: i64, to: i64) -> TimeRange {
        TimeRange {
            from: UtcMicros(from),
            to: UtcMicros(to),
        }
    }

    fn gaps(s: &StreamState) -> Vec<(TimeRange, GapCause)> {
        s.take_closed()
            .0
            .into_iter()
            .map(|g| (g.range, g.cause))
            .collect()
    }

    #[test]
    fn every_interval_between_fragments_has_a_cause() {
        let s = state();
        s.started(UtcMicros(10));
        s.accept(r(20, 30), GapCause::SourceStalled);
        s.accept(r(30, 40), GapCause::SourceStalled);
        s.accept(r(45, 50), GapCause::RtpLoss);
        s.missing(UtcMicros(52), GapCause::CameraDown);
        assert_eq!(
            s.snapshot().open,
            Some((UtcMicros(50), GapCause::CameraDown))
        );
        s.accept(r(70, 80), GapCause::SourceStalled);
        assert_eq!(
            gaps(&s),
            [
                (r(10, 20), GapCause::CameraDown),
                (r(40, 45), GapCause::RtpLoss),
                (r(50, 70), GapCause::CameraDown)
            ]
        );
    }

    #[test]
    fn a_clock_set_back_puts_no_gap_over_what_is_recorded() {
        let s = state();
        let chain = ChainHead {
            end: Some(UtcMicros(100)),
            ..ChainHead::EMPTY
        };
        s.resume(
            chain,
            Some((UtcMicros(100), GapCause::Stopped)),
            Standing::default(),
        );
        // The clock says 50, the recordings reach 100.
        s.started(UtcMicros(50));
        s.missing(UtcMicros(70), GapCause::SourceStalled);
        s.accept(r(100, 110), GapCause::CameraDown);
        s.missing(UtcMicros(80), GapCause::CameraDown);
        s.missing(UtcMicros(130), GapCause::SourceStalled);
        s.accept(r(140, 150), GapCause::CameraDown);
        assert_eq!(
            gaps(&s),
            [
                (r(110, 130), GapCause::CameraDown),
                (r(130, 140), GapCause::SourceStalled)
            ]
        );
    }

    #[test]
    fn a_restart_is_one_gap_and_a_switch_is_remembered() {
        let s = state();
        let chain = ChainHead {
            end: Some(UtcMicros(100)),
            ..ChainHead::EMPTY
        };
        s.resume(
            chain,
            Some((UtcMicros(100), GapCause::Restart)),
            Standing::default(),
        );
        s.started(UtcMicros(150));
        s.accept(r(160, 170), GapCause::CameraDown);
        assert_eq!(gaps(&s), [(r(100, 160), GapCause::Restart)]);
        s.ended(UtcMicros(172), true);
        assert_eq!(s.take_closed().1, Some(Some(UtcMicros(170))));
        s.started(UtcMicros(300));
        s.accept(r(310, 320), GapCause::CameraDown);
        assert_eq!(
            gaps(&s)[1..],
            [
                (r(170, 300), GapCause::Stopped),
                (r(300, 310), GapCause::CameraDown)
            ]
        );
        assert_eq!(s.take_closed().1, Some(None));
    }
}
