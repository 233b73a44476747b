//! One stream's task: the shell around `lifecycle`. Every wait is beside the stop token.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::address::Address;
use super::hosts::{Account, Host, Leave, Playing, Proving, Refusal};
use super::hub::{Stream, monotonic_now};
use super::lifecycle::{Event, Lifecycle, State};
use super::session::{Fault, SessionRunner, SessionSpec};
use super::sink::{Progress, SessionSink};
use crate::model::{FaultKind, FaultReason, StreamState};

/// A session that was told to stop has this long to leave the camera; after that it is dropped.
const GRACE: Duration = Duration::from_secs(6);

pub(super) struct StreamTask {
    pub(super) stream: Arc<Stream>,
    pub(super) spec: SessionSpec,
    pub(super) runner: Arc<dyn SessionRunner>,
    pub(super) host: Arc<Host>,
    pub(super) lifecycle: Lifecycle,
    pub(super) picture_timeout: Duration,
    pub(super) stop: CancellationToken,
}

/// What the task remembers between sessions.
struct Memory {
    account: Option<Account>,
    retries: watch::Receiver<u64>,
    accepted: watch::Receiver<u64>,
    /// The last refusal, if that is how the last session ended.
    refusal: Option<Refusal>,
    /// Refused once, and no picture since.
    doubted: bool,
    /// The running session was opened to prove the account, and has no picture yet.
    proving: bool,
    /// There were pictures since the start of the task.
    played: bool,
    /// The fault last said at full voice.
    said: Option<FaultKind>,
    reason: Option<Fault>,
}

enum Ended {
    Stopped,
    Failed(Fault),
}

impl StreamTask {
    pub(super) async fn run(mut self) {
        let mut memory = Memory {
            account: Address::parse(&self.spec.url)
                .ok()
                .as_ref()
                .and_then(Account::of),
            retries: self.stream.retries.subscribe(),
            accepted: self.host.accepted(),
            refusal: None,
            doubted: false,
            proving: false,
            played: false,
            said: None,
            reason: None,
        };
        loop {
            self.publish(&memory);
            let event = match self.lifecycle.state() {
                State::Connecting { .. } | State::Streaming { .. } => {
                    match self.session(&mut memory).await {
                        Ended::Stopped => Event::StopRequested,
                        Ended::Failed(fault) => self.failed(fault, &mut memory),
                    }
                }
                State::Backoff { until, .. } => tokio::select! {
                    biased;
                    () = self.stop.cancelled() => Event::StopRequested,
                    Ok(()) = memory.retries.changed() => self.asked_to_retry(&mut memory),
                    () = tokio::time::sleep_until(until.into()) => Event::BackoffElapsed,
                },
                State::Faulted { .. } => tokio::select! {
                    biased;
                    () = self.stop.cancelled() => Event::StopRequested,
                    Ok(()) = memory.retries.changed() => self.asked_to_retry(&mut memory),
                    Ok(()) = memory.accepted.changed(), if memory.refusal == Some(Refusal::Account) => {
                        if !memory.account.is_some_and(|a| self.host.is_right(a)) {
                            continue;
                        }
                        info!("the user and password that were refused are accepted now; trying again");
                        Event::RetryRequested
                    }
                },
                State::Stopped => break,
            };
            self.step(event);
        }
        self.stream.end_session(None);
    }

    fn step(&mut self, event: Event) -> State {
        self.lifecycle.on(event, monotonic_now(), rand::random())
    }

    fn asked_to_retry(&self, memory: &mut Memory) -> Event {
        info!("a person asked for a new attempt");
        if let Some(account) = memory.account {
            self.host.forgive(account);
        }
        memory.said = None;
        memory.doubted = false;
        Event::RetryRequested
    }

    fn failed(&self, fault: Fault, memory: &mut Memory) -> Event {
        let kind = fault.kind;
        self.stream.end_session(Some(kind));
        let was_streaming = matches!(self.lifecycle.state(), State::Streaming { .. });
        // A camera that is down says so once, not once a minute for a week.
        if was_streaming || memory.said != Some(kind) {
            warn!(kind = kind.as_str(), "session ended: {}", fault.message);
        } else {
            debug!(kind = kind.as_str(), "session ended: {}", fault.message);
        }
        memory.said = Some(kind);
        memory.reason = Some(fault);
        // Requests made while the session ran are answered by what comes now.
        memory.retries.mark_unchanged();
        if memory.refusal == Some(Refusal::Doubtful) {
            Event::RefusedOnce
        } else {
            Event::SessionEnded(kind)
        }
    }

    /// Opens a session and sees it to its end.
    async fn session(&mut self, memory: &mut Memory) -> Ended {
        memory.refusal = None;
        let leave = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Ended::Stopped,
            leave = self.host.leave(memory.account) => leave,
        };
        let mut ended = match leave {
            Leave::Open(permit, proving) => self.run_session(permit, proving, memory).await,
            Leave::Refused => {
                memory.refusal = Some(Refusal::Account);
                return Ended::Failed(Fault::new(
                    FaultKind::Unauthorized,
                    "not tried: this host refused the same user and password for another stream; correct the password in \
                     this camera's address, or try again once it is right at the camera",
                ));
            }
        };
        if let Ended::Failed(fault) = &mut ended
            && fault.kind == FaultKind::Unauthorized
        {
            self.refused(fault, memory);
        }
        ended
    }

    /// Does the refusal need a person? A camera that showed pictures a moment ago gets a second try.
    fn refused(&self, fault: &mut Fault, memory: &mut Memory) {
        memory.accepted.mark_unchanged();
        let certain = memory.doubted || fault.forbidden;
        let refusal = match memory.account {
            Some(account) => self.host.refused(account, memory.proving, certain),
            None if memory.played && !certain => Refusal::Doubtful,
            None => Refusal::Stream,
        };
        memory.refusal = Some(refusal);
        if refusal == Refusal::Doubtful {
            memory.doubted = true;
            fault.message =
                "the camera refused what it accepted before (401); tried once more before a person is asked".to_owned();
        }
    }

    async fn run_session(
        &mut self,
        permit: tokio::sync::OwnedSemaphorePermit,
        proving: Option<Proving>,
        memory: &mut Memory,
    ) -> Ended {
        memory.proving = proving.is_some();
        let mut _playing: Option<Playing> = None;
        let mut sink = SessionSink::new(Arc::clone(&self.stream), permit, proving);
        let progress: Arc<Progress> = sink.progress();
        let token = self.stop.child_token();
        let (runner, spec) = (Arc::clone(&self.runner), self.spec.clone());
        let session = async {
            let run = AssertUnwindSafe(runner.run(&spec, &mut sink, token.clone()));
            run.catch_unwind().await.unwrap_or_else(|panic| {
                let what = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
                let what = what
                    .or_else(|| panic.downcast_ref::<String>().cloned())
                    .unwrap_or_default();
                let message =
                    format!("a defect of this program ended the session: {what}; please report it");
                Fault::new(FaultKind::Panicked, message)
            })
        };
        tokio::pin!(session);
        let watchdog = progress.watch(self.picture_timeout);
        tokio::pin!(watchdog);
        let (ended, running) = loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break (Ended::Stopped, true),
                () = progress.first_picture.notified() => {
                    self.step(Event::FirstPicture);
                    (memory.proving, memory.doubted, memory.played) = (false, false, true);
                    _playing = memory.account.map(|account| self.host.plays(account));
                    info!("streaming");
                    self.stream.set_state(StreamState::Streaming, None);
                }
                fault = &mut session => break (Ended::Failed(fault), false),
                fault = &mut watchdog => break (Ended::Failed(fault), true),
            }
        };
        if running {
            token.cancel();
            if tokio::time::timeout(GRACE, &mut session).await.is_err() {
                warn!(
                    "the session did not end in {} s and was dropped",
                    GRACE.as_secs()
                );
            }
        }
        if self.stop.is_cancelled() {
            Ended::Stopped
        } else {
            ended
        }
    }

    /// Tells everyone the state that the task is in now.
    fn publish(&self, memory: &Memory) {
        let state = self.lifecycle.state();
        let retry_at = match state {
            State::Backoff { until, .. } => Some(
                self.stream
                    .now()
                    .plus(until.saturating_duration_since(monotonic_now())),
            ),
            State::Connecting { .. }
            | State::Streaming { .. }
            | State::Faulted { .. }
            | State::Stopped => None,
        };
        let reason = match state {
            State::Stopped | State::Streaming { .. } => None,
            // While it tries again, a person still wants to know what went wrong.
            State::Connecting { .. } | State::Backoff { .. } | State::Faulted { .. } => {
                memory.reason.as_ref()
            }
        };
        let reason = reason.map(|f| FaultReason {
            kind: f.kind,
            message: f.message.clone(),
            retry_at,
        });
        self.stream.set_state(state.word(), reason);
    }
}
