//! Decoders: bytes in, positions and refusals out. No clock, no socket, no panic on any input.

pub mod json;
pub mod nmea;

use std::fmt;

use crate::model::{FixFlags, GeoPoint, Ignition, UtcMicros};

/// One position as a device told it, before we know what the server knows.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// By the device's clock; `None` when it told none.
    pub time: Option<UtcMicros>,
    pub place: GeoPoint,
    pub speed_kmh: Option<f64>,
    /// 0 ≤ c < 360.
    pub course_deg: Option<f64>,
    pub altitude_m: Option<f64>,
    pub ignition: Option<Ignition>,
    /// Only what the payload itself shows: `no_checksum`, `low_quality`.
    pub flags: FixFlags,
}

/// What a payload held. Good parts are kept beside refused ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decoded {
    pub reports: Vec<Report>,
    pub refusals: Vec<Refusal>,
    /// Well-formed parts that carry no position: the device is alive, its marker stays where it is.
    pub without_position: usize,
}

/// Where in the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Offset from the start of the payload.
    Byte(usize),
    /// Index in the array.
    Element(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Byte(n) => write!(f, "at byte {n}"),
            Self::Element(n) => write!(f, "in element {n}"),
        }
    }
}

/// Which rule was broken, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub place: Place,
    pub rule: String,
}

impl Refusal {
    pub fn new(place: Place, rule: impl Into<String>) -> Self {
        Self {
            place,
            rule: rule.into(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.rule)
    }
}

/// Faster than any vehicle; a number above is a broken number.
const MAX_SPEED_KMH: f64 = 2_000.0;

fn speed(kmh: f64) -> Result<f64, String> {
    if (0.0..=MAX_SPEED_KMH).contains(&kmh) {
        Ok(kmh)
    } else {
        Err(format!("speed {kmh} km/h is outside 0..{MAX_SPEED_KMH}"))
    }
}

/// 360° is north, as 0°.
fn course(deg: f64) -> Result<f64, String> {
    match deg {
        360.0 => Ok(0.0),
        d if (0.0..360.0).contains(&d) => Ok(d),
        d => Err(format!("course {d}° is outside 0..360")),
    }
}

fn altitude(m: f64) -> Result<f64, String> {
    if (-1_000.0..=100_000.0).contains(&m) {
        Ok(m)
    } else {
        Err(format!("altitude {m} m is outside -1000..100000"))
    }
}

/// A bit of refused input for a message: short, printable.
fn shown(text: &str) -> String {
    let mut short: String = text
        .chars()
        .take(40)
        .flat_map(char::escape_default)
        .collect();
    if text.chars().nth(40).is_some() {
        short.push('…');
    }
    short
}
