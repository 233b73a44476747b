//! Vehicles and their fixes. Device time and receive time are apart; unknown is `None`, never zero.

use serde::{Deserialize, Serialize};

use super::{GeoPoint, UtcMicros, VehicleId};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VehicleClass {
    /// 环卫车
    Sanitation,
    /// 渣土车
    Muck,
    Bus,
    Taxi,
    Patrol,
    #[default]
    Other,
}

impl VehicleClass {
    pub const ALL: [Self; 6] = [
        Self::Sanitation,
        Self::Muck,
        Self::Bus,
        Self::Taxi,
        Self::Patrol,
        Self::Other,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sanitation => "sanitation",
            Self::Muck => "muck",
            Self::Bus => "bus",
            Self::Taxi => "taxi",
            Self::Patrol => "patrol",
            Self::Other => "other",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.as_str() == text)
    }
}

/// A vehicle of the site's register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vehicle {
    pub id: VehicleId,
    pub plate: Option<String>,
    pub class: VehicleClass,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VehicleState {
    Moving,
    Stopped,
    /// No fix for `[fleet] stale_after_s`.
    Stale,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ignition {
    On,
    Off,
}

/// Marks on a fix that is kept but should be read with care. A mark never deletes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FixFlag {
    /// Device time more than 5 minutes ahead of the server.
    Future,
    /// Device time older than 2010: the GNSS week count has rolled over or the clock was never set.
    StaleTime,
    /// Exactly 0°, 0°.
    NullIsland,
    /// Farther from its neighbour than the vehicle can have driven.
    Jump,
    /// Arrived after a fix with a later device time.
    Late,
    /// NMEA sentence without a checksum, taken because the source allows it.
    NoChecksum,
    /// The device reports poor quality (dead reckoning, high HDOP).
    LowQuality,
    /// The device gave no time of its own; the receive time stands in.
    NoDeviceTime,
}

impl FixFlag {
    pub const ALL: [Self; 8] = [
        Self::Future,
        Self::StaleTime,
        Self::NullIsland,
        Self::Jump,
        Self::Late,
        Self::NoChecksum,
        Self::LowQuality,
        Self::NoDeviceTime,
    ];

    const fn bit(self) -> u32 {
        1 << self as u32
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Future => "future",
            Self::StaleTime => "stale_time",
            Self::NullIsland => "null_island",
            Self::Jump => "jump",
            Self::Late => "late",
            Self::NoChecksum => "no_checksum",
            Self::LowQuality => "low_quality",
            Self::NoDeviceTime => "no_device_time",
        }
    }
}

/// A set of marks; stored as its bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FixFlags(pub u32);

impl FixFlags {
    pub fn set(&mut self, flag: FixFlag) {
        self.0 |= flag.bit();
    }

    pub const fn has(self, flag: FixFlag) -> bool {
        self.0 & flag.bit() != 0
    }

    pub fn iter(self) -> impl Iterator<Item = FixFlag> {
        FixFlag::ALL.into_iter().filter(move |f| self.has(*f))
    }

    /// Whether the place must not move a marker.
    pub const fn is_unplaceable(self) -> bool {
        self.has(FixFlag::Future) || self.has(FixFlag::StaleTime) || self.has(FixFlag::NullIsland)
    }
}

/// One position of one vehicle.
#[derive(Clone, Debug, PartialEq)]
pub struct Fix {
    pub vehicle: VehicleId,
    /// By the device (GNSS) clock.
    pub time: UtcMicros,
    /// By the server's clock.
    pub received: UtcMicros,
    pub place: GeoPoint,
    pub speed_kmh: Option<f64>,
    /// Degrees clockwise from true north, 0 ≤ c < 360.
    pub course_deg: Option<f64>,
    pub altitude_m: Option<f64>,
    pub ignition: Option<Ignition>,
    /// Where it came in, e.g. `mqtt:127.0.0.1:1883`.
    pub source: String,
    pub flags: FixFlags,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_a_set() {
        let mut flags = FixFlags::default();
        flags.set(FixFlag::Late);
        flags.set(FixFlag::Late);
        flags.set(FixFlag::NullIsland);
        assert_eq!(
            flags.iter().collect::<Vec<_>>(),
            [FixFlag::NullIsland, FixFlag::Late]
        );
        assert!(flags.is_unplaceable());
    }
}
