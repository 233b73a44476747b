//! What a stream's task does next: a pure state machine. Time and chance come in as arguments; no clock, socket or task.
//!
//! ```text
//!             ┌──────────────── backoff elapsed, retry asked ───────────────┐
//!             ▼                                                             │
//!        Connecting ──first picture──▶ Streaming ──session ended──▶ Backoff ┤
//!             │  └──────────────session ended──────────────────────▶   ▲    │
//!             └──a person is needed──▶ Faulted ──retry asked────────────────┘
//!        any ──stop──▶ Stopped
//! ```
//!
//! A changed configuration is not an event: the supervisor ends the task and starts a new one.

use std::time::{Duration, Instant};

use crate::model::{FaultKind, StreamState};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The how-many-eth attempt since the last stable session, counted from 1.
    Connecting {
        attempt: u32,
    },
    Streaming {
        attempt: u32,
        since: Instant,
    },
    Backoff {
        attempt: u32,
        until: Instant,
        fault: FaultKind,
    },
    /// Nothing is tried until a person asks for it or changes the camera's configuration.
    Faulted {
        fault: FaultKind,
    },
    Stopped,
}

impl State {
    pub(super) fn word(self) -> StreamState {
        match self {
            Self::Connecting { .. } => StreamState::Connecting,
            Self::Streaming { .. } => StreamState::Streaming,
            Self::Backoff { .. } => StreamState::Backoff,
            Self::Faulted { .. } => StreamState::Faulted,
            Self::Stopped => StreamState::Stopped,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The session's first key frame is in the ring.
    FirstPicture,
    SessionEnded(FaultKind),
    /// A user and password that were right a moment ago were refused: worth one more try.
    RefusedOnce,
    BackoffElapsed,
    /// A person does not want to wait, or the password that was refused is now known to be right.
    RetryRequested,
    StopRequested,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BackoffPolicy {
    pub(super) min: Duration,
    pub(super) max: Duration,
    /// A session that showed pictures for this long makes the next failure count as the first.
    pub(super) stable_after: Duration,
}

impl BackoffPolicy {
    /// Doubles with each attempt. `jitter` in `0.0..1.0` spreads the wait over the upper half of its step (1–2 s, 2–4 s, …
    /// 30–60 s), so that a switch that comes back does not bring back all its cameras in the same second.
    pub(super) fn delay(&self, attempt: u32, jitter: f64) -> Duration {
        let doubled = 2u32.checked_pow(attempt.clamp(1, 31)).unwrap_or(u32::MAX);
        let high = self.min.saturating_mul(doubled).min(self.max);
        let low = (high / 2).max(self.min).min(high);
        let jitter = if jitter.is_finite() {
            jitter.clamp(0.0, 1.0)
        } else {
            1.0
        };
        low + (high - low).mul_f64(jitter)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Lifecycle {
    policy: BackoffPolicy,
    state: State,
}

impl Lifecycle {
    pub(super) fn new(policy: BackoffPolicy) -> Self {
        Self {
            policy,
            state: State::Connecting { attempt: 1 },
        }
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    /// Applies one event; an event that means nothing in this state changes nothing.
    pub(super) fn on(&mut self, event: Event, now: Instant, jitter: f64) -> State {
        self.state = match (self.state, event) {
            (_, Event::StopRequested) => State::Stopped,
            (State::Connecting { attempt }, Event::FirstPicture) => State::Streaming {
                attempt,
                since: now,
            },
            (State::Connecting { .. } | State::Streaming { .. }, Event::SessionEnded(fault))
                if !fault.is_transient() =>
            {
                State::Faulted { fault }
            }
            (State::Connecting { attempt }, Event::SessionEnded(fault)) => {
                self.back_off(attempt, fault, now, jitter)
            }
            (State::Connecting { attempt }, Event::RefusedOnce) => {
                self.back_off(attempt, FaultKind::Unauthorized, now, jitter)
            }
            (State::Streaming { attempt, since }, Event::SessionEnded(fault)) => {
                let attempt = self.attempt_after(attempt, since, now);
                self.back_off(attempt, fault, now, jitter)
            }
            (State::Streaming { attempt, since }, Event::RefusedOnce) => {
                let attempt = self.attempt_after(attempt, since, now);
                self.back_off(attempt, FaultKind::Unauthorized, now, jitter)
            }
            (State::Backoff { attempt, .. }, Event::BackoffElapsed | Event::RetryRequested) => {
                State::Connecting {
                    attempt: attempt.saturating_add(1),
                }
            }
            (State::Faulted { .. }, Event::RetryRequested) => State::Connecting { attempt: 1 },
            (
                state @ (State::Connecting { .. }
                | State::Streaming { .. }
                | State::Backoff { .. }
                | State::Faulted { .. }
                | State::Stopped),
                Event::FirstPicture
                | Event::SessionEnded(_)
                | Event::RefusedOnce
                | Event::BackoffElapsed
                | Event::RetryRequested,
            ) => state,
        };
        self.state
    }

    /// A stable session makes the next failure count as the first.
    fn attempt_after(&self, attempt: u32, since: Instant, now: Instant) -> u32 {
        let stable = now.saturating_duration_since(since) >= self.policy.stable_after;
        if stable { 1 } else { attempt }
    }

    fn back_off(&self, attempt: u32, fault: FaultKind, now: Instant, jitter: f64) -> State {
        State::Backoff {
            attempt,
            until: now + self.policy.delay(attempt, jitter),
            fault,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POLICY: BackoffPolicy = BackoffPolicy {
        min: Duration::from_secs(1),
        max: Duration::from_secs(60),
        stable_after: Duration::from_secs(30),
    };

    fn wait(state: State, now: Instant) -> Duration {
        match state {
            State::Backoff { until, .. } => until - now,
            State::Connecting { .. }
            | State::Streaming { .. }
            | State::Faulted { .. }
            | State::Stopped => panic!("{state:?} is not a backoff"),
        }
    }

    #[test]
    fn waits_double_from_one_second_to_a_minute() {
        let (mut l, now) = (Lifecycle::new(POLICY), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..8 {
            waits.push(
                wait(
                    l.on(Event::SessionEnded(FaultKind::Unreachable), now, 0.0),
                    now,
                )
                .as_secs(),
            );
            l.on(Event::BackoffElapsed, now, 0.0);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(POLICY.delay(1, 0.999).as_millis(), 1999);
        assert_eq!(POLICY.delay(u32::MAX, 1.0), POLICY.max);
    }

    #[test]
    fn a_stable_session_makes_the_next_failure_the_first() {
        let (mut l, now) = (Lifecycle::new(POLICY), Instant::now());
        for _ in 0..4 {
            l.on(Event::SessionEnded(FaultKind::TimedOut), now, 0.0);
            l.on(Event::BackoffElapsed, now, 0.0);
        }
        l.on(Event::FirstPicture, now, 0.0);
        let soon = now + Duration::from_secs(29);
        let mut short = l.clone();
        assert_eq!(
            wait(
                short.on(Event::SessionEnded(FaultKind::Closed), soon, 0.0),
                soon
            )
            .as_secs(),
            16
        );
        let later = now + Duration::from_secs(30);
        assert_eq!(
            wait(
                l.on(Event::SessionEnded(FaultKind::Closed), later, 0.0),
                later
            )
            .as_secs(),
            1
        );
    }

    #[test]
    fn a_wrong_password_waits_for_a_person() {
        let (mut l, now) = (Lifecycle::new(POLICY), Instant::now());
        let refused = State::Faulted {
            fault: FaultKind::Unauthorized,
        };
        assert_eq!(
            l.on(Event::SessionEnded(FaultKind::Unauthorized), now, 0.5),
            refused
        );
        assert_eq!(
            l.on(
                Event::BackoffElapsed,
                now + Duration::from_secs(86_400),
                0.5
            ),
            refused
        );
        assert_eq!(
            l.on(Event::RetryRequested, now, 0.5),
            State::Connecting { attempt: 1 }
        );
    }

    #[test]
    fn every_fault_leads_where_its_kind_says() {
        for fault in [
            FaultKind::Unreachable,
            FaultKind::TimedOut,
            FaultKind::Closed,
            FaultKind::Protocol,
            FaultKind::Unauthorized,
            FaultKind::UnsupportedCodec,
            FaultKind::PictureStopped,
            FaultKind::Panicked,
        ] {
            let mut l = Lifecycle::new(POLICY);
            let state = l.on(Event::SessionEnded(fault), Instant::now(), 0.5);
            assert_eq!(
                state.word() == StreamState::Backoff,
                fault.is_transient(),
                "{fault:?}"
            );
            assert_eq!(
                state.word() == StreamState::Faulted,
                !fault.is_transient(),
                "{fault:?}"
            );
        }
    }

    fn any_event() -> impl Strategy<Value = Event> {
        prop_oneof![
            Just(Event::FirstPicture),
            Just(Event::SessionEnded(FaultKind::Closed)),
            Just(Event::SessionEnded(FaultKind::PictureStopped)),
            Just(Event::SessionEnded(FaultKind::Unauthorized)),
            Just(Event::RefusedOnce),
            Just(Event::BackoffElapsed),
            Just(Event::RetryRequested),
            Just(Event::StopRequested),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_waits_are_bounded_and_stop_is_final(
            events in prop::collection::vec((any_event(), 0u64..200, 0.0f64..1.0), 0..60),
        ) {
            let (mut l, mut now) = (Lifecycle::new(POLICY), Instant::now());
            for (event, seconds, jitter) in events {
                now += Duration::from_secs(seconds);
                let before = l.state();
                let after = l.on(event, now, jitter);
                if before == State::Stopped || event == Event::StopRequested {
                    prop_assert_eq!(after, State::Stopped);
                }
                if after != before && let State::Backoff { .. } = after {
                    prop_assert!((POLICY.min..=POLICY.max).contains(&wait(after, now)));
                }
                if let State::Faulted { .. } = before {
                    let moved = matches!(event, Event::RetryRequested | Event::StopRequested);
                    prop_assert!(moved || after == before);
                }
                if let State::Streaming { .. } = after {
                    let from = before == after || before.word() == StreamState::Connecting;
                    prop_assert!(from, "streaming comes after connecting");
                }
            }
        }
    }
}
