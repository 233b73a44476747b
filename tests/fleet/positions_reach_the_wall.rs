use std::sync::Arc;
use std::time::Duration;

use zhenbei::fleet::PositionFilter;
use zhenbei::model::{
    BoundingBox, FixFlag, GeoPoint, Secret, TimeRange, VehicleClass, VehicleState,
};
use zhenbei::store::LiveState;
use zhenbei::store::live::{MemoryLive, RedisLive};

use crate::house::{House, Publisher, eventually, id, mqtt, now, position, truck};
use crate::support::servers;

const SECOND: i64 = 1_000_000;

/// An RMC of this moment, at 109.7345 E (109°44.070′) 38.2852 N (38°17.112′).
fn rmc() -> String {
    let text = now().to_string();
    let digits = |range: std::ops::Range<usize>| text.get(range).unwrap().replace([':', '-'], "");
    let body = format!(
        "GNRMC,{}.00,A,3817.1120,N,10944.0700,E,17.00,270.0,{}{}{},,,A",
        digits(11..19),
        digits(8..10),
        digits(5..7),
        digits(2..4)
    );
    let sum = body.bytes().fold(0u8, |c, b| c ^ b);
    format!("${body}*{sum:02X}\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn json_and_nmea_reach_the_wall_and_the_history() {
    let (broker, _dir) = servers::mosquitto();
    let house = House::new().await;
    let running = house.fleet(vec![mqtt(broker.port)]);
    running.fleet.set_register(vec![truck("truck-017")]);
    let mut updates = running.fleet.updates();
    let mut device = Publisher::new(broker.port);
    running.listening(&mut device).await;

    let at = now();
    device.position("truck-017", at, 109.7345).await;
    device.send("fleet/bus-3/nmea", rmc().as_bytes()).await;
    device
        .send(
            "fleet/bus-3/nmea",
            b"$GPRMC,192350.000,V,0000.0000,N,00000.0000,E,,,110318,,*12",
        )
        .await;

    let mut told = Vec::new();
    while told.len() < 2 {
        let fixes = tokio::time::timeout(Duration::from_secs(10), updates.recv())
            .await
            .expect("walls are told")
            .unwrap();
        told.extend(fixes.iter().cloned());
    }
    eventually("both are heard", async || {
        running.status().without_position >= 1 && running.status().accepted == 2
    })
    .await;

    let all = running.fleet.positions(&PositionFilter::default()).await;
    assert_eq!(all.len(), 2);
    let (bus, truck) = (&all[0], &all[1]);
    assert_eq!(bus.fix.vehicle, id("bus-3"));
    assert_eq!(
        bus.vehicle, None,
        "not in the register, and shown all the same"
    );
    assert!(
        (bus.fix.place.lon - 109.7345).abs() < 1e-6 && (bus.fix.place.lat - 38.2852).abs() < 1e-6
    );
    assert!(
        (bus.fix.speed_kmh.unwrap() - 31.48).abs() < 0.001,
        "17 knots"
    );
    assert_eq!(truck.fix.time, at);
    assert_eq!(truck.vehicle.as_ref().unwrap().class, VehicleClass::Muck);
    assert_eq!(truck.state, VehicleState::Moving);
    assert_eq!(truck.fix.source, format!("mqtt:127.0.0.1:{}", broker.port));
    assert!(truck.fix.received >= at);
    assert!(
        bus.heard > bus.fix.received,
        "a void sentence is a sign of life"
    );

    let of = |filter: PositionFilter| {
        let fleet = running.fleet.clone();
        async move {
            let found = fleet.positions(&filter).await;
            found
                .iter()
                .map(|p| p.fix.vehicle.to_string())
                .collect::<Vec<_>>()
        }
    };
    let class = |class| PositionFilter {
        class: Some(class),
        ..PositionFilter::default()
    };
    assert_eq!(of(class(VehicleClass::Muck)).await, ["truck-017"]);
    assert_eq!(of(class(VehicleClass::Other)).await, ["bus-3"]);
    let near = PositionFilter {
        near: Some((GeoPoint::new(109.7345, 38.2852).unwrap(), 500.0)),
        limit: Some(1),
        ..PositionFilter::default()
    };
    assert_eq!(of(near).await.len(), 1);
    let elsewhere = PositionFilter {
        bounds: Some(BoundingBox {
            west: 100.0,
            south: 30.0,
            east: 101.0,
            north: 31.0,
        }),
        ..PositionFilter::default()
    };
    assert!(of(elsewhere).await.is_empty());

    let range = TimeRange::new(at - SECOND, at + SECOND).unwrap();
    let track = running
        .fleet
        .track(&id("truck-017"), range, 10)
        .await
        .unwrap();
    assert_eq!(track, std::slice::from_ref(&truck.fix));
    assert_eq!(
        running.fleet.position(&id("truck-017")).await.as_ref(),
        Some(truck)
    );
    assert_eq!(running.fleet.position(&id("nobody")).await, None);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_positions_fill_the_history_and_do_not_move_the_marker_back() {
    let (broker, _dir) = servers::mosquitto();
    let house = House::new().await;
    let running = house.fleet(vec![mqtt(broker.port)]);
    let mut device = Publisher::new(broker.port);
    running.listening(&mut device).await;
    let at = now();
    device.position("truck-017", at, 109.7345).await;
    let batch = format!(
        "[{},{},{}]",
        position(at - 20 * SECOND, 109.7330),
        position(at - 10 * SECOND, 109.7335),
        position(at + 600 * SECOND, 109.9)
    );
    device
        .send("fleet/truck-017/position", batch.as_bytes())
        .await;
    eventually("all are stored", async || running.status().accepted == 4).await;
    let track = house.track("truck-017").await;
    let order: Vec<f64> = track.iter().map(|f| f.place.lon).collect();
    assert_eq!(order, [109.7330, 109.7335, 109.7345, 109.9]);
    assert!(track[0].flags.has(FixFlag::Late) && track[1].flags.has(FixFlag::Late));
    assert!(track[3].flags.has(FixFlag::Future));
    let shown = running.fleet.position(&id("truck-017")).await.unwrap();
    assert_eq!(shown.fix.time, at, "neither back nor into the future");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retained_message_is_as_old_as_it_says() {
    let (broker, _dir) = servers::mosquitto();
    let house = House::new().await;
    let mut device = Publisher::new(broker.port);
    let two_hours_ago = now() - 7_200 * SECOND;
    device
        .retain(
            "fleet/truck-017/position",
            position(two_hours_ago, 109.7345).as_bytes(),
        )
        .await;
    let running = house.fleet(vec![mqtt(broker.port)]);
    eventually("it has come", async || {
        running.fleet.position(&id("truck-017")).await.is_some()
    })
    .await;
    let shown = running.fleet.position(&id("truck-017")).await.unwrap();
    assert_eq!(shown.fix.time, two_hours_ago);
    assert_eq!(shown.state, VehicleState::Stale);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wall_is_rebuilt_from_the_history_after_a_restart() {
    let (broker, _dir) = servers::mosquitto();
    let house = House::new().await;
    let running = house.fleet(vec![mqtt(broker.port)]);
    let mut device = Publisher::new(broker.port);
    running.listening(&mut device).await;
    let at = now();
    device.position("truck-017", at, 109.7345).await;
    eventually("it is stored", async || running.status().accepted == 1).await;
    let before = running.fleet.position(&id("truck-017")).await.unwrap();
    running.stop().await;

    let running = house.fleet(vec![mqtt(broker.port)]);
    eventually("it is on the wall again", async || {
        running.fleet.position(&id("truck-017")).await.is_some()
    })
    .await;
    let after = running.fleet.position(&id("truck-017")).await.unwrap();
    assert_eq!(after.fix, before.fix);
    // And time does not turn back for it: what is older than the history's end is late.
    running.listening(&mut device).await;
    device.position("truck-017", at - SECOND, 109.7345).await;
    eventually("it is stored", async || {
        house.track("truck-017").await.len() == 2
    })
    .await;
    assert!(house.track("truck-017").await[0].flags.has(FixFlag::Late));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_redis_costs_nothing_but_is_said_and_is_filled_when_it_is_back() {
    let (broker, _dir) = servers::mosquitto();
    let mut redis = servers::redis();
    let url = Secret::new(format!("redis://127.0.0.1:{}/", redis.port));
    let open = || RedisLive::open(&url, None).unwrap();
    let house = House::new().await;
    let running = house.fleet_with(vec![mqtt(broker.port)], Arc::new(open()));
    let mut device = Publisher::new(broker.port);
    running.listening(&mut device).await;
    device.position("truck-1", now(), 109.7345).await;
    let elsewhere = open();
    eventually("it is in Redis", async || {
        elsewhere.within(None).await.is_ok_and(|f| f.len() == 1)
    })
    .await;
    assert_eq!(running.fleet.live_state_trouble(), None);

    redis.kill();
    device.position("truck-2", now(), 109.7345).await;
    eventually("it is said", async || {
        running.fleet.live_state_trouble().is_some()
    })
    .await;
    eventually("history and receipts go on", async || {
        running.status().accepted == 2
    })
    .await;
    let began = std::time::Instant::now();
    let all = running.fleet.positions(&PositionFilter::default()).await;
    assert_eq!(all.len(), 2, "the wall goes on too");
    assert!(began.elapsed() < Duration::from_millis(200));

    let _again = servers::redis_at(redis.port);
    eventually("the new Redis has all", async || {
        open().within(None).await.is_ok_and(|f| f.len() == 2)
            && running.fleet.live_state_trouble().is_none()
    })
    .await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_history_is_swept() {
    let house = House::new().await;
    let mut old = crate::house::truck_fix("truck-1", now() - 200 * 86_400 * SECOND);
    old.received = old.time;
    let young = crate::house::truck_fix("truck-1", now() - 100 * 86_400 * SECOND);
    house
        .database
        .append_fixes(&[old, young.clone()])
        .await
        .unwrap();
    let running = house.fleet_with(Vec::new(), Arc::new(MemoryLive::new()));
    eventually("the first sweep is at the start", async || {
        house.track("truck-1").await == [young.clone()]
    })
    .await;
    assert_eq!(running.fleet.sweep().await.unwrap(), 0);
    running.stop().await;
}
