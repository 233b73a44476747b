//! What a wall asks for: where vehicles are now, and what to think of it.

use std::collections::HashMap;

use super::ingest::Seen;
use crate::config::FleetConfig;
use crate::model::{
    BoundingBox, Fix, GeoPoint, UtcMicros, Vehicle, VehicleClass, VehicleId, VehicleState,
    distance_m,
};

/// Where a vehicle was last, and what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Position {
    pub fix: Fix,
    /// `None`: seen on a feed, not in the register.
    pub vehicle: Option<Vehicle>,
    pub state: VehicleState,
    /// When anything last came from it, also a message without a position.
    pub heard: UtcMicros,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PositionFilter {
    pub bounds: Option<BoundingBox>,
    /// Nearest first, within so many metres.
    pub near: Option<(GeoPoint, f64)>,
    pub class: Option<VehicleClass>,
    /// At most so many; `None` is all.
    pub limit: Option<usize>,
}

pub(super) type Register = HashMap<VehicleId, Vehicle>;

pub(super) fn state(
    fix: &Fix,
    reckoned_kmh: Option<f64>,
    now: UtcMicros,
    config: &FleetConfig,
) -> VehicleState {
    // By the older of both clocks: an old position that arrives only now (retained message, tunnel) is old.
    let at = fix.time.min(fix.received);
    let limit = i64::try_from(config.stale_after_s.saturating_mul(1_000_000)).unwrap_or(i64::MAX);
    if now.micros_since(at) > limit {
        return VehicleState::Stale;
    }
    let kmh = fix.speed_kmh.or(reckoned_kmh);
    match kmh {
        Some(kmh) if kmh >= config.stopped_below_kmh => VehicleState::Moving,
        _ => VehicleState::Stopped,
    }
}

/// What live state answered, with what is on its way there laid over it. Vehicles that have left the place asked for are left out.
pub(super) fn overlay(held: Vec<Fix>, newer: Vec<Fix>, filter: &PositionFilter) -> Vec<Fix> {
    if newer.is_empty() {
        return held;
    }
    let mut by_vehicle: HashMap<VehicleId, Fix> =
        held.into_iter().map(|f| (f.vehicle.clone(), f)).collect();
    for fix in newer {
        if by_vehicle
            .get(&fix.vehicle)
            .is_none_or(|h| h.time < fix.time)
        {
            by_vehicle.insert(fix.vehicle.clone(), fix);
        }
    }
    let mut fixes: Vec<Fix> = by_vehicle.into_values().collect();
    if let Some(bounds) = filter.bounds {
        fixes.retain(|f| bounds.contains(f.place));
    }
    if let Some((to, radius_m)) = filter.near {
        fixes.retain(|f| distance_m(to, f.place) <= radius_m);
        fixes.sort_by(|a, b| {
            let (a_m, b_m) = (distance_m(to, a.place), distance_m(to, b.place));
            a_m.total_cmp(&b_m).then_with(|| a.vehicle.cmp(&b.vehicle))
        });
    }
    fixes
}

pub(super) fn position(
    fix: Fix,
    register: &Register,
    seen: Option<Seen>,
    now: UtcMicros,
    config: &FleetConfig,
) -> Position {
    let seen = seen.unwrap_or_default();
    Position {
        vehicle: register.get(&fix.vehicle).cloned(),
        state: state(&fix, seen.reckoned_kmh, now, config),
        heard: seen.heard.max(fix.received),
        fix,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FixFlags;

    #[test]
    fn what_is_on_its_way_to_live_state_is_seen() {
        let fix = |vehicle: &str, after: i64, lon: f64| Fix {
            vehicle: VehicleId::new(vehicle).unwrap(),
            time: UtcMicros(after),
            received: UtcMicros(after),
            place: GeoPoint { lon, lat: 38.0 },
            speed_kmh: None,
            course_deg: None,
            altitude_m: None,
            ignition: None,
            source: "mqtt:x:1".into(),
            flags: FixFlags::default(),
        };
        let filter = PositionFilter {
            near: Some((
                GeoPoint {
                    lon: 109.0,
                    lat: 38.0,
                },
                5_000.0,
            )),
            ..PositionFilter::default()
        };
        let held = vec![
            fix("stays", 1, 109.01),
            fix("leaves", 1, 109.0),
            fix("newer", 9, 109.02),
        ];
        let newer = vec![
            fix("leaves", 2, 110.0),
            fix("comes", 2, 109.001),
            fix("newer", 8, 109.0),
        ];
        let shown = overlay(held, newer, &filter);
        let names: Vec<&str> = shown.iter().map(|f| f.vehicle.as_str()).collect();
        assert_eq!(names, ["comes", "stays", "newer"]);
    }

    #[test]
    fn an_old_position_is_stale_even_when_it_comes_now() {
        let config = FleetConfig::default();
        let now = UtcMicros::from_secs(1_764_000_000);
        let mut fix = Fix {
            vehicle: VehicleId::new("truck-017").unwrap(),
            time: now - 59_000_000,
            received: now,
            place: GeoPoint {
                lon: 109.7,
                lat: 38.3,
            },
            speed_kmh: Some(31.0),
            course_deg: None,
            altitude_m: None,
            ignition: None,
            source: "mqtt:x:1".into(),
            flags: FixFlags::default(),
        };
        let is = |fix: &Fix, reckoned| state(fix, reckoned, now, &config);
        assert_eq!(is(&fix, None), VehicleState::Moving);
        fix.time = now - 61_000_000;
        assert_eq!(is(&fix, None), VehicleState::Stale);
        // A clock that runs ahead does not keep a silent vehicle fresh.
        fix.time = now + 200_000_000;
        fix.received = now - 61_000_000;
        assert_eq!(is(&fix, None), VehicleState::Stale);
        fix.time = now;
        fix.received = now;
        fix.speed_kmh = Some(2.9);
        assert_eq!(is(&fix, Some(50.0)), VehicleState::Stopped);
        fix.speed_kmh = None;
        assert_eq!(is(&fix, Some(50.0)), VehicleState::Moving);
        assert_eq!(is(&fix, None), VehicleState::Stopped);
    }
}
