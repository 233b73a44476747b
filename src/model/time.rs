//! Instants and ranges. Stored and compared as whole microseconds since the Unix epoch, shown as RFC 3339 UTC.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Error, Result};

/// Microseconds since 1970-01-01T00:00:00Z, leap seconds not counted (POSIX time).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UtcMicros(pub i64);

impl UtcMicros {
    pub const MIN: Self = Self(i64::MIN);
    pub const MAX: Self = Self(i64::MAX);

    pub const fn from_millis(ms: i64) -> Self {
        Self(ms.saturating_mul(1_000))
    }

    pub const fn from_secs(s: i64) -> Self {
        Self(s.saturating_mul(1_000_000))
    }

    pub const fn micros(self) -> i64 {
        self.0
    }

    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// `self - earlier`, negative when `earlier` is later.
    pub const fn micros_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    pub fn plus(self, d: Duration) -> Self {
        self + i64::try_from(d.as_micros()).unwrap_or(i64::MAX)
    }

    pub fn minus(self, d: Duration) -> Self {
        self - i64::try_from(d.as_micros()).unwrap_or(i64::MAX)
    }

    /// RFC 3339, or whole milliseconds since the epoch as the HTTP interface also takes.
    pub fn parse(text: &str) -> Result<Self> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
            return text.parse().map(Self::from_millis).map_err(|_| {
                Error::invalid(
                    "bad_time",
                    format!("`{text}` is too large for a time in milliseconds"),
                )
            });
        }
        text.parse::<jiff::Timestamp>().map(|t| Self(t.as_microsecond())).map_err(|_| {
            Error::invalid(
                "bad_time",
                format!(
                    "`{text}` is not a time; write RFC 3339 such as 2026-01-01T08:00:00Z, or milliseconds since 1970"
                ),
            )
        })
    }
}

impl Add<i64> for UtcMicros {
    type Output = Self;
    fn add(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }
}

impl Sub<i64> for UtcMicros {
    type Output = Self;
    fn sub(self, micros: i64) -> Self {
        Self(self.0.saturating_sub(micros))
    }
}

impl fmt::Display for UtcMicros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(t) => write!(f, "{t:.6}"),
            // Outside the years jiff knows; still say something exact.
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

impl fmt::Debug for UtcMicros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for UtcMicros {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        Self::parse(s)
    }
}

impl Serialize for UtcMicros {
    fn serialize<S: Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UtcMicros {
    fn deserialize<D: Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Text(String),
            Millis(i64),
        }
        match Either::deserialize(d)? {
            Either::Text(text) => Self::parse(&text).map_err(serde::de::Error::custom),
            Either::Millis(ms) => Ok(Self::from_millis(ms)),
        }
    }
}

/// Half-open: `from <= t < to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TimeRange {
    pub from: UtcMicros,
    pub to: UtcMicros,
}

impl TimeRange {
    /// `from` must be before `to`.
    pub fn new(from: UtcMicros, to: UtcMicros) -> Result<Self> {
        if from >= to {
            return Err(Error::invalid(
                "bad_range",
                format!("`from` ({from}) must be earlier than `to` ({to})"),
            ));
        }
        Ok(Self { from, to })
    }

    pub const fn micros(&self) -> i64 {
        self.to.micros_since(self.from)
    }

    pub fn duration(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.micros()).unwrap_or(0))
    }

    pub fn contains(&self, t: UtcMicros) -> bool {
        self.from <= t && t < self.to
    }

    pub fn overlaps(&self, other: &Self) -> bool {
        self.from < other.to && other.from < self.to
    }

    /// The common part, if there is one.
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        let (from, to) = (self.from.max(other.from), self.to.min(other.to));
        (from < to).then_some(Self { from, to })
    }
}

/// The only way to ask for the time, so that tests can turn it.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> UtcMicros;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clock"
    )]
    fn now(&self) -> UtcMicros {
        match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
            Ok(d) => UtcMicros(i64::try_from(d.as_micros()).unwrap_or(i64::MAX)),
            // A machine whose clock stands before 1970: zero is wrong by the least.
            Err(_) => UtcMicros(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_with_microseconds_and_read_back() {
        let t = UtcMicros(1_764_000_000_000_001);
        assert_eq!(t.to_string(), "2025-11-24T16:00:00.000001Z");
        assert_eq!(UtcMicros::parse(&t.to_string()).unwrap(), t);
        assert_eq!(
            UtcMicros::from_secs(0).to_string(),
            "1970-01-01T00:00:00.000000Z"
        );
    }

    #[test]
    fn digits_alone_are_milliseconds() {
        assert_eq!(
            UtcMicros::parse("1764000000000").unwrap(),
            UtcMicros(1_764_000_000_000_000)
        );
        assert!(UtcMicros::parse("").is_err());
        assert!(UtcMicros::parse("yesterday").is_err());
    }

    #[test]
    fn ranges_are_half_open_and_never_empty() {
        let r = TimeRange::new(UtcMicros(1), UtcMicros(3)).unwrap();
        assert!(r.contains(UtcMicros(1)) && r.contains(UtcMicros(2)) && !r.contains(UtcMicros(3)));
        assert!(TimeRange::new(UtcMicros(3), UtcMicros(3)).is_err());
        assert_eq!(
            r.intersect(&TimeRange {
                from: UtcMicros(3),
                to: UtcMicros(9)
            }),
            None
        );
    }
}
