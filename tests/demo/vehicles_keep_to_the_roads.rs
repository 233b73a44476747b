//! Ten minutes of traffic, looked at twice a second.

use std::collections::HashSet;

use zhenbei::demo::{City, Traffic};
use zhenbei::model::VehicleClass;

const STEP_S: f64 = 0.5;

#[test]
fn the_same_seed_drives_the_same_way() {
    let city = City::new(7);
    let mut one = Traffic::new(city.roads.clone(), 40, 7);
    let mut two = Traffic::new(city.roads, 40, 7);
    for _ in 0..120 {
        one.step(STEP_S);
        two.step(STEP_S);
    }
    for i in 0..one.len() {
        assert_eq!(
            one.motion(i).unwrap().measured,
            two.motion(i).unwrap().measured
        );
    }
}

#[test]
fn ids_and_plates_are_unique_and_every_kind_drives() {
    let traffic = Traffic::new(City::new(7).roads, 200, 7);
    assert_eq!(traffic.len(), 200);
    let ids: HashSet<_> = traffic.vehicles().map(|v| v.id.clone()).collect();
    let plates: HashSet<_> = traffic.vehicles().map(|v| v.plate.clone()).collect();
    assert_eq!((ids.len(), plates.len()), (200, 200));
    assert!(plates.iter().all(|p| p.starts_with("陕K")));
    for class in [
        VehicleClass::Taxi,
        VehicleClass::Bus,
        VehicleClass::Muck,
        VehicleClass::Sanitation,
    ] {
        let n = traffic.vehicles().filter(|v| v.class == class).count();
        assert!(n >= 20, "{n} of {class:?}");
    }
}

#[test]
fn nobody_leaves_the_road_jumps_or_outruns_its_speed() {
    let mut traffic = Traffic::new(City::new(7).roads, 100, 7);
    let mut before: Vec<_> = (0..traffic.len())
        .map(|i| traffic.motion(i).unwrap())
        .collect();
    let mut driven = vec![0.0; traffic.len()];
    let (mut error_sum, mut samples, mut stood) = (0.0, 0_u32, 0_u32);
    for tick in 0..1_200 {
        traffic.step(STEP_S);
        for i in 0..traffic.len() {
            let (was, is) = (before[i], traffic.motion(i).unwrap());
            let moved = was.place.distance(is.place);
            let fastest = was.speed_ms.max(is.speed_ms);
            let id = &traffic.vehicles().nth(i).unwrap().id;
            assert!(
                moved <= fastest * STEP_S * 1.7 + 0.5,
                "{id} moved {moved} m at {fastest} m/s"
            );
            assert!(fastest < 90.0 / 3.6, "{id} drives {fastest} m/s");
            let change = (is.speed_ms - was.speed_ms) / STEP_S;
            assert!(
                (-5.0..=2.5).contains(&change),
                "{id} changed speed by {change} m/s²"
            );
            if tick % 20 == 0 {
                let off = traffic.roads().distance_to_road(is.place);
                assert!(off < 15.0, "{id} is {off} m off the road");
                error_sum += is.measured.distance(is.place).powi(2);
                samples += 1;
                stood += u32::from(is.speed_ms < 0.1);
            }
            // Driving straight on, the heading is the way it went.
            if moved > 5.0 && (was.course_deg - is.course_deg).abs() < 0.5 {
                let went = (is.place - was.place).course_deg();
                let turn = (went - is.course_deg + 540.0).rem_euclid(360.0) - 180.0;
                assert!(
                    turn.abs() < 35.0,
                    "{id} heads {} and goes {went}",
                    is.course_deg
                );
            }
            driven[i] += moved;
            before[i] = is;
        }
    }
    let sigma = (error_sum / f64::from(samples)).sqrt();
    assert!((3.0..5.5).contains(&sigma), "receivers are {sigma} m off");
    let still = f64::from(stood) / f64::from(samples);
    assert!(
        (0.05..0.7).contains(&still),
        "{still} of the time vehicles stand"
    );
    for (i, v) in traffic.vehicles().enumerate() {
        assert!(
            driven[i] > 80.0,
            "{} drove only {} m in ten minutes",
            v.id,
            driven[i]
        );
        if v.class == VehicleClass::Sanitation {
            assert!(driven[i] < 2_500.0, "{} swept {} m", v.id, driven[i]);
        }
    }
}
