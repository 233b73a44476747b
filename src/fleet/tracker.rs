//! Judges each report against what is known of its vehicle. Marks, never deletes; pure: no clock, no store.

use std::collections::HashMap;

use super::decode::Report;
use crate::model::{Fix, FixFlag, GeoPoint, UtcMicros, VehicleId, distance_m};
use crate::store::live::at_stored_precision;

/// Device clocks are allowed to be this far ahead.
const FUTURE_MICROS: i64 = 5 * 60 * 1_000_000;
/// 2010-01-01: earlier is a clock that was never set, or a GPS week count that rolled over.
const STALE_BEFORE: UtcMicros = UtcMicros(1_262_304_000_000_000);
const MAX_SPEED_KMH: f64 = 250.0;
/// What a receiver between houses wanders without the vehicle moving.
const WANDER_M: f64 = 50.0;
/// Vehicles remembered. Beyond it all are forgotten once and learnt anew: some marks are missed, nothing is lost.
const MAX_VEHICLES: usize = 200_000;

#[derive(Clone, Copy)]
struct Spot {
    time: UtcMicros,
    place: GeoPoint,
}

impl Spot {
    /// Whether a vehicle can have driven from one to the other, whichever was first.
    fn reaches(&self, other: &Self) -> bool {
        let hours = micros_to_hours(self.time.micros_since(other.time));
        distance_m(self.place, other.place) <= WANDER_M + MAX_SPEED_KMH * 1_000.0 * hours
    }

    fn kmh_to(&self, later: &Self) -> Option<f64> {
        let hours = micros_to_hours(later.time.micros_since(self.time));
        (hours > 0.0).then(|| distance_m(self.place, later.place) / 1_000.0 / hours)
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "an interval for a speed estimate"
)]
fn micros_to_hours(micros: i64) -> f64 {
    micros.unsigned_abs() as f64 / 3.6e9
}

struct Trail {
    newest: Spot,
    /// A fix that jumped away from `newest`. If the next one agrees with it, the vehicle is there, and it was no jump but a gap
    /// (tunnel, transport): comparing with the last good one only would mark every later fix for ever.
    suspect: Option<Spot>,
}

#[derive(Default)]
pub(super) struct Tracker {
    trails: HashMap<VehicleId, Trail>,
}

/// A fix, and how fast the vehicle was between its last two places.
pub(super) struct Judged {
    pub(super) fix: Fix,
    pub(super) reckoned_kmh: Option<f64>,
}

impl Tracker {
    /// Takes up where the history ends.
    pub(super) fn remember(&mut self, fix: &Fix) {
        let newest = Spot {
            time: fix.time,
            place: fix.place,
        };
        self.trails.insert(
            fix.vehicle.clone(),
            Trail {
                newest,
                suspect: None,
            },
        );
    }

    pub(super) fn judge(
        &mut self,
        vehicle: &VehicleId,
        received: UtcMicros,
        source: &str,
        report: Report,
    ) -> Judged {
        let mut fix = at_stored_precision(Fix {
            vehicle: vehicle.clone(),
            time: report.time.unwrap_or(received),
            received,
            place: report.place,
            speed_kmh: report.speed_kmh,
            course_deg: report.course_deg,
            altitude_m: report.altitude_m,
            ignition: report.ignition,
            source: source.to_owned(),
            flags: report.flags,
        });
        if report.time.is_none() {
            fix.flags.set(FixFlag::NoDeviceTime);
        }
        if fix.time.micros_since(received) > FUTURE_MICROS {
            fix.flags.set(FixFlag::Future);
        }
        if fix.time < STALE_BEFORE {
            fix.flags.set(FixFlag::StaleTime);
        }
        if fix.place.lon == 0.0 && fix.place.lat == 0.0 {
            fix.flags.set(FixFlag::NullIsland);
        }
        let reckoned_kmh = if fix.flags.is_unplaceable() {
            None
        } else {
            self.compare(&mut fix)
        };
        Judged { fix, reckoned_kmh }
    }

    fn compare(&mut self, fix: &mut Fix) -> Option<f64> {
        let here = Spot {
            time: fix.time,
            place: fix.place,
        };
        if self.trails.len() >= MAX_VEHICLES && !self.trails.contains_key(&fix.vehicle) {
            self.trails.clear();
        }
        let Some(trail) = self.trails.get_mut(&fix.vehicle) else {
            self.remember(fix);
            return None;
        };
        let reachable = trail.newest.reaches(&here);
        if here.time < trail.newest.time {
            fix.flags.set(FixFlag::Late);
            if !reachable {
                fix.flags.set(FixFlag::Jump);
            }
            return None;
        }
        let kmh = trail.newest.kmh_to(&here);
        if reachable || trail.suspect.is_some_and(|s| s.reaches(&here)) {
            trail.newest = here;
            trail.suspect = None;
            return if reachable { kmh } else { None };
        }
        fix.flags.set(FixFlag::Jump);
        trail.suspect = Some(here);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FixFlags;

    const NOW: UtcMicros = UtcMicros(1_764_000_000_000_000);

    fn flags(t: &mut Tracker, after_s: i64, lon: f64) -> Vec<FixFlag> {
        judge(t, Some(NOW + after_s * 1_000_000), lon, 38.29)
    }

    fn judge(t: &mut Tracker, time: Option<UtcMicros>, lon: f64, lat: f64) -> Vec<FixFlag> {
        let report = Report {
            time,
            place: GeoPoint { lon, lat },
            speed_kmh: None,
            course_deg: None,
            altitude_m: None,
            ignition: None,
            flags: FixFlags::default(),
        };
        let truck = VehicleId::new("truck-017").unwrap();
        t.judge(&truck, NOW, "mqtt:x:1", report)
            .fix
            .flags
            .iter()
            .collect()
    }

    #[test]
    fn clocks_are_judged() {
        let mut t = Tracker::default();
        assert_eq!(judge(&mut t, None, 109.7, 38.3), [FixFlag::NoDeviceTime]);
        assert_eq!(flags(&mut t, 299, 109.7), []);
        assert_eq!(flags(&mut t, 301, 109.7), [FixFlag::Future]);
        assert_eq!(
            judge(
                &mut t,
                Some(UtcMicros::from_secs(1_262_303_999)),
                109.7,
                38.3
            ),
            [FixFlag::StaleTime]
        );
        assert_eq!(
            judge(&mut t, Some(NOW + 300_000_000), 0.0, 0.0),
            [FixFlag::NullIsland]
        );
        // None of the marked ones has become the newest.
        assert_eq!(flags(&mut t, 300, 109.7), []);
    }

    #[test]
    fn a_late_one_is_marked_and_does_not_turn_time_back() {
        let mut t = Tracker::default();
        assert_eq!(flags(&mut t, -100, 109.70), []);
        assert_eq!(flags(&mut t, -200, 109.70), [FixFlag::Late]);
        assert_eq!(flags(&mut t, -150, 109.70), [FixFlag::Late]);
        assert_eq!(flags(&mut t, -100, 109.70), [], "the same time is not late");
        assert_eq!(flags(&mut t, -90, 109.70), []);
    }

    #[test]
    fn one_outlier_does_not_poison_what_follows() {
        let mut t = Tracker::default();
        assert_eq!(flags(&mut t, 0, 109.70), []);
        assert_eq!(flags(&mut t, 10, 110.70), [FixFlag::Jump]);
        assert_eq!(
            flags(&mut t, 20, 109.701),
            [],
            "the track goes on from the good one"
        );
        assert_eq!(flags(&mut t, 30, 110.70), [FixFlag::Jump]);
        assert_eq!(
            flags(&mut t, 40, 110.701),
            [],
            "two agree: it is really there"
        );
        assert_eq!(flags(&mut t, 50, 110.702), []);
        assert_eq!(flags(&mut t, 60, 109.701), [FixFlag::Jump]);
    }

    #[test]
    fn wandering_of_the_receiver_is_no_jump() {
        let mut t = Tracker::default();
        judge(&mut t, Some(NOW), 109.7, 38.29);
        assert_eq!(judge(&mut t, Some(NOW + 1_000), 109.7004, 38.29), []);
    }
}
