//! A fix in whole numbers: what the track table and Redis hold.
//!
//! Precision: 1e-7 degree (11 mm), 0.01 km/h, 0.1°, 0.1 m, 1 µs. A fix is brought to it before anything else looks at it, so that
//! the marker, the history and an exhibit show the same numbers.

use crate::model::{Fix, FixFlags, GeoPoint, Ignition, UtcMicros, VehicleId};

const PLACE: f64 = 1e7;
const SPEED: f64 = 100.0;
const COURSE: f64 = 10.0;
const ALTITUDE: f64 = 10.0;

/// Without the names of vehicle and source, which each store writes its own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedFix {
    pub time: i64,
    /// Receive time minus device time.
    pub delay: i64,
    pub lon: i64,
    pub lat: i64,
    pub speed: Option<i64>,
    pub course: Option<i64>,
    pub altitude: Option<i64>,
    pub ignition: Option<i64>,
    pub flags: i64,
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "`as` saturates, and a decoder has checked the range before"
)]
fn whole(value: f64, unit: f64) -> i64 {
    (value * unit).round() as i64
}

#[allow(clippy::cast_precision_loss, reason = "all values are below 2^53")]
fn real(value: i64, unit: f64) -> f64 {
    value as f64 / unit
}

impl PackedFix {
    pub fn of(fix: &Fix) -> Self {
        Self {
            time: fix.time.0,
            delay: fix.received.micros_since(fix.time),
            lon: whole(fix.place.lon, PLACE),
            lat: whole(fix.place.lat, PLACE),
            speed: fix.speed_kmh.map(|v| whole(v, SPEED)),
            // 359.97° is nearer to 0° than to 359.9°.
            course: fix.course_deg.map(|v| whole(v, COURSE) % 3600),
            altitude: fix.altitude_m.map(|v| whole(v, ALTITUDE)),
            ignition: fix.ignition.map(|i| i64::from(i == Ignition::On)),
            flags: i64::from(fix.flags.0),
        }
    }

    pub fn unpack(self, vehicle: VehicleId, source: String) -> Fix {
        Fix {
            vehicle,
            time: UtcMicros(self.time),
            received: UtcMicros(self.time) + self.delay,
            place: GeoPoint {
                lon: real(self.lon, PLACE),
                lat: real(self.lat, PLACE),
            },
            speed_kmh: self.speed.map(|v| real(v, SPEED)),
            course_deg: self.course.map(|v| real(v, COURSE)),
            altitude_m: self.altitude.map(|v| real(v, ALTITUDE)),
            ignition: self
                .ignition
                .map(|v| if v == 0 { Ignition::Off } else { Ignition::On }),
            source,
            flags: FixFlags(u32::try_from(self.flags).unwrap_or(0)),
        }
    }

    /// A hash of what the device said, 47 bits so that SQLite keeps it in six bytes. Not of how it came here: a message that is
    /// delivered twice, or through two brokers, is the same report.
    pub fn content(&self) -> i64 {
        // FNV-1a, 64 bits.
        let mut h: u64 = 0xcbf2_9ce4_8422_2325;
        let mut eat = |v: i64| {
            for byte in v.to_le_bytes() {
                h = (h ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        eat(self.lon);
        eat(self.lat);
        for v in [self.speed, self.course, self.altitude, self.ignition] {
            eat(i64::from(v.is_some()));
            eat(v.unwrap_or(0));
        }
        i64::try_from((h ^ (h >> 47)) & ((1 << 47) - 1)).unwrap_or(0)
    }

    /// One line of text: `1,time,delay,lon,lat,speed,course,altitude,ignition,flags`; unknown is empty.
    pub(super) fn to_text(self) -> String {
        let opt = |v: Option<i64>| v.map(|v| v.to_string()).unwrap_or_default();
        format!(
            "1,{},{},{},{},{},{},{},{},{}",
            self.time,
            self.delay,
            self.lon,
            self.lat,
            opt(self.speed),
            opt(self.course),
            opt(self.altitude),
            opt(self.ignition),
            self.flags
        )
    }

    /// `None` when another version wrote it: live state may be lost, so it is read as absent.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        let mut parts = text.split(',');
        if parts.next()? != "1" {
            return None;
        }
        let numbers: Vec<Option<i64>> = parts
            .map(|p| match p {
                "" => Ok(None),
                p => p.parse().map(Some),
            })
            .collect::<Result<_, _>>()
            .ok()?;
        let [
            time,
            delay,
            lon,
            lat,
            speed,
            course,
            altitude,
            ignition,
            flags,
        ] = numbers.try_into().ok()?;
        Some(Self {
            time: time?,
            delay: delay?,
            lon: lon?,
            lat: lat?,
            speed,
            course,
            altitude,
            ignition,
            flags: flags?,
        })
    }
}

/// The fix as it will be read back from any store.
pub fn at_stored_precision(fix: Fix) -> Fix {
    let packed = PackedFix::of(&fix);
    packed.unpack(fix.vehicle, fix.source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fix() -> Fix {
        Fix {
            vehicle: VehicleId::new("truck-017").unwrap(),
            time: UtcMicros(1_764_000_000_000_000),
            received: UtcMicros(1_764_000_000_123_456),
            place: GeoPoint::new(109.734_512_345, -38.285_2).unwrap(),
            speed_kmh: Some(31.504),
            course_deg: Some(359.97),
            altitude_m: None,
            ignition: Some(Ignition::Off),
            source: "mqtt:127.0.0.1:1883".into(),
            flags: FixFlags(5),
        }
    }

    #[test]
    fn the_stored_precision_is_a_fixed_point() {
        let once = at_stored_precision(fix());
        assert_eq!(once.place.lon, 109.734_512_3);
        assert_eq!(once.speed_kmh, Some(31.5));
        assert_eq!(once.course_deg, Some(0.0));
        assert_eq!(at_stored_precision(once.clone()), once);
    }

    #[test]
    fn unknown_and_zero_are_different_content() {
        let mut other = fix();
        other.altitude_m = Some(0.0);
        assert_ne!(
            PackedFix::of(&fix()).content(),
            PackedFix::of(&other).content()
        );
        let mut flagged = fix();
        flagged.flags = FixFlags(0);
        flagged.received = flagged.received + 5;
        assert_eq!(
            PackedFix::of(&fix()).content(),
            PackedFix::of(&flagged).content()
        );
    }

    proptest! {
        #[test]
        fn text_is_read_back(time: i64, delay: i64, lon: i64, speed: Option<i64>, flags in 0i64..256) {
            let p = PackedFix { time, delay, lon, lat: 1, speed, course: None, altitude: Some(-3), ignition: Some(1), flags };
            prop_assert_eq!(PackedFix::from_text(&p.to_text()), Some(p));
            let content = p.content();
            prop_assert!((0..1 << 47).contains(&content));
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = PackedFix::from_text(&text);
        }
    }
}
