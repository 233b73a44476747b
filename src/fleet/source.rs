//! What is known of one source of positions, and the messages it sent that could not be used.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;

use crate::model::{Clock, UtcMicros};
use crate::telemetry::{self, Metric, SayOncePerSecond};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceState {
    Connecting,
    Connected,
    Down,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SourceStatus {
    /// E.g. `mqtt:127.0.0.1:1883`.
    pub source: String,
    pub state: SourceState,
    pub since: UtcMicros,
    /// Messages.
    pub received: u64,
    /// Positions committed for the first time.
    pub accepted: u64,
    /// Messages, or parts of messages, refused.
    pub rejected: u64,
    /// Positions that were in the history already: a message delivered again.
    pub repeated: u64,
    /// Well-formed parts without a position: the device lives.
    pub without_position: u64,
    /// Messages a second, over the last ten seconds.
    pub rate_per_s: f64,
    pub last_error: Option<String>,
}

/// A message, or a part of one, that was refused. It was acknowledged: sent again it would be refused again.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejected {
    pub time: UtcMicros,
    pub source: String,
    pub topic: String,
    pub reason: String,
    /// At most [`SAMPLE_BYTES`] of the payload, what is not printable written as `\xNN`.
    pub sample: String,
}

pub const SAMPLE_BYTES: usize = 512;
const RATE_SECONDS: i64 = 10;

/// The newest refused messages of all sources.
pub(super) struct RejectedBook {
    kept: usize,
    entries: Mutex<VecDeque<Rejected>>,
}

impl RejectedBook {
    pub(super) fn new(kept: usize) -> Self {
        Self {
            kept,
            entries: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Rejected>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, entry: Rejected) {
        let mut entries = self.lock();
        entries.push_front(entry);
        entries.truncate(self.kept);
    }

    /// Newest first.
    pub(super) fn newest(&self, limit: usize) -> Vec<Rejected> {
        self.lock().iter().take(limit).cloned().collect()
    }
}

pub(super) struct Source {
    name: String,
    clock: Arc<dyn Clock>,
    book: Arc<RejectedBook>,
    inner: Mutex<Inner>,
}

struct Inner {
    state: SourceState,
    since: UtcMicros,
    started: UtcMicros,
    received: u64,
    accepted: u64,
    rejected: u64,
    repeated: u64,
    without_position: u64,
    last_error: Option<String>,
    /// Messages of each of the last seconds.
    seconds: VecDeque<(i64, u64)>,
    say: SayOncePerSecond<()>,
    /// Why the last one was refused.
    reason: String,
}

impl Source {
    pub(super) fn new(name: String, clock: Arc<dyn Clock>, book: Arc<RejectedBook>) -> Self {
        let now = clock.now();
        Self {
            name,
            clock,
            book,
            inner: Mutex::new(Inner {
                state: SourceState::Connecting,
                since: now,
                started: now,
                received: 0,
                accepted: 0,
                rejected: 0,
                repeated: 0,
                without_position: 0,
                last_error: None,
                seconds: VecDeque::new(),
                say: SayOncePerSecond::new(1),
                reason: String::new(),
            }),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is(&self, state: SourceState) {
        let now = self.clock.now();
        let mut i = self.lock();
        if i.state != state {
            i.state = state;
            i.since = now;
            drop(i);
            let connected = f64::from(u8::from(state == SourceState::Connected));
            let labels = [("source", self.name.as_str())];
            telemetry::gauge(Metric::FleetConnected, &labels, connected);
        }
    }

    /// What is wrong, to be read in the status until [`Source::well`].
    pub(super) fn trouble(&self, what: impl Into<String>) {
        self.lock().last_error = Some(what.into());
    }

    pub(super) fn well(&self) {
        self.lock().last_error = None;
    }

    pub(super) fn received(&self) -> UtcMicros {
        telemetry::count(Metric::FleetReceived, &[("source", &self.name)], 1);
        let now = self.clock.now();
        let second = now.0.div_euclid(1_000_000);
        let mut i = self.lock();
        i.received += 1;
        match i.seconds.back_mut() {
            Some((s, n)) if *s == second => *n += 1,
            _ => i.seconds.push_back((second, 1)),
        }
        forget_seconds(&mut i.seconds, second);
        now
    }

    pub(super) fn committed(&self, accepted: u64, repeated: u64) {
        telemetry::count(Metric::FleetAccepted, &[("source", &self.name)], accepted);
        let mut i = self.lock();
        i.accepted += accepted;
        i.repeated += repeated;
    }

    pub(super) fn without_position(&self, parts: usize) {
        self.lock().without_position += u64::try_from(parts).unwrap_or(0);
    }

    /// Counts, keeps a sample, and says so at most once a second. `class` is a word of ours, for the metric.
    pub(super) fn reject(&self, topic: &str, class: &'static str, reason: String, payload: &[u8]) {
        let labels = [("source", self.name.as_str()), ("reason", class)];
        telemetry::count(Metric::FleetRejected, &labels, 1);
        self.book.add(Rejected {
            time: self.clock.now(),
            source: self.name.clone(),
            topic: topic.chars().take(256).collect(),
            reason: reason.clone(),
            sample: sample(payload),
        });
        let mut i = self.lock();
        i.rejected += 1;
        i.reason = format!("topic {topic:?}, {reason}");
        if let Some(count) = i.say.hear(&(), Instant::now()) {
            self.warn(count, &i.reason);
        }
    }

    /// For a tick: what has been refused and not yet said.
    pub(super) fn say(&self) {
        let mut i = self.lock();
        for (_, count) in i.say.due(Instant::now()) {
            self.warn(count, &i.reason);
        }
    }

    fn warn(&self, count: u64, last: &str) {
        tracing::warn!(
            source = %self.name,
            count,
            last,
            "refused messages; see GET /api/v1/sources/rejected"
        );
    }

    #[allow(
        clippy::cast_precision_loss,
        reason = "a rate to be shown, from small counts"
    )]
    pub(super) fn status(&self) -> SourceStatus {
        let now = self.clock.now();
        let second = now.0.div_euclid(1_000_000);
        let mut i = self.lock();
        forget_seconds(&mut i.seconds, second);
        // The running second is not over: it would pull the rate down.
        let whole: u64 = i
            .seconds
            .iter()
            .filter(|(s, _)| *s < second)
            .map(|(_, n)| n)
            .sum();
        let alive = now.micros_since(i.started).div_euclid(1_000_000);
        let rate_per_s = whole as f64 / alive.clamp(1, RATE_SECONDS) as f64;
        SourceStatus {
            source: self.name.clone(),
            state: i.state,
            since: i.since,
            received: i.received,
            accepted: i.accepted,
            rejected: i.rejected,
            repeated: i.repeated,
            without_position: i.without_position,
            rate_per_s,
            last_error: i.last_error.clone(),
        }
    }
}

fn forget_seconds(seconds: &mut VecDeque<(i64, u64)>, now: i64) {
    // A clock that was set back leaves seconds in the future: those go too.
    seconds.retain(|(s, _)| (now - RATE_SECONDS..=now).contains(s));
}

/// Text as it is, control characters and broken UTF-8 as `\xNN`.
fn sample(payload: &[u8]) -> String {
    let cut = payload.get(..SAMPLE_BYTES).unwrap_or(payload);
    let mut out = String::with_capacity(cut.len());
    for chunk in cut.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                c if c.is_control() => out.push_str(&format!("\\x{:02X}", u32::from(c))),
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicI64, Ordering};

    struct Turned(AtomicI64);

    impl Clock for Turned {
        fn now(&self) -> UtcMicros {
            UtcMicros(self.0.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn the_list_is_bounded_and_the_sample_readable() {
        let clock = Arc::new(Turned(AtomicI64::new(0)));
        let book = Arc::new(RejectedBook::new(3));
        let source = Source::new("mqtt:x:1".into(), clock, Arc::clone(&book));
        for i in 0..10 {
            source.reject(
                "fleet/7/position",
                "json",
                format!("rule {i}"),
                b"\x00{\xFF\xE6\xA6\x86\n",
            );
        }
        let kept = book.newest(100);
        assert_eq!(kept.len(), 3);
        assert_eq!(kept[0].reason, "rule 9", "newest first");
        assert_eq!(kept[0].sample, "\\x00{\\xFF榆\\n");
        assert_eq!(sample(&[b'a'; 5_000]).len(), SAMPLE_BYTES);
        assert_eq!(source.status().rejected, 10);
    }

    #[test]
    fn the_rate_is_of_the_last_ten_seconds() {
        let clock = Arc::new(Turned(AtomicI64::new(0)));
        let source = Source::new(
            "mqtt:x:1".into(),
            Arc::clone(&clock) as Arc<dyn Clock>,
            Arc::new(RejectedBook::new(3)),
        );
        for second in 0..20 {
            clock.0.store(second * 1_000_000 + 5, Ordering::Relaxed);
            for _ in 0..7 {
                source.received();
            }
        }
        assert!((source.status().rate_per_s - 7.0).abs() < 0.001);
        clock.0.store(60_000_000, Ordering::Relaxed);
        assert!(source.status().rate_per_s.abs() < 0.001);
        assert_eq!(source.status().received, 140);
    }
}
