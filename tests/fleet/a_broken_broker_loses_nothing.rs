use std::time::Duration;

use crate::house::{House, Line, Publisher, eventually, mqtt, now};
use crate::support::servers;

const SECOND: i64 = 1_000_000;

/// Every one of `times` exactly once.
async fn complete(house: &House, vehicle: &str, times: &[zhenbei::model::UtcMicros]) {
    let track = house.track(vehicle).await;
    let got: Vec<_> = track.iter().map(|f| f.time).collect();
    assert_eq!(got, times);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_has_kept_what_we_had_not_taken() {
    let (mut broker, dir) = servers::mosquitto();
    let house = House::new().await;
    let running = house.fleet(vec![mqtt(broker.port)]);
    let mut device = Publisher::new(broker.port);
    running.listening(&mut device).await;
    let start = now() - 1_000 * SECOND;
    let times: Vec<_> = (0..60).map(|i| start + i * SECOND).collect();
    for time in &times[..20] {
        device.position("truck-017", *time, 109.7345).await;
    }
    eventually("the first are stored", async || {
        running.status().accepted == 20
    })
    .await;

    house.break_the_database().await;
    for time in &times[20..40] {
        device.position("truck-017", *time, 109.7345).await;
    }
    // The broker writes its store once a second.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    broker.kill();
    eventually("it is said", async || {
        running.status().state != zhenbei::fleet::SourceState::Connected
    })
    .await;
    house.mend_the_database().await;
    let _again = servers::mosquitto_at(broker.port, dir.path());
    for time in &times[40..] {
        device.position("truck-017", *time, 109.7345).await;
    }
    eventually("all are stored", async || {
        house.track("truck-017").await.len() == 60
    })
    .await;
    complete(&house, "truck-017", &times).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_lost_our_session_is_subscribed_to_again() {
    let (mut broker, dir) = servers::mosquitto();
    let house = House::new().await;
    let running = house.fleet(vec![mqtt(broker.port)]);
    let mut device = Publisher::new(broker.port);
    running.listening(&mut device).await;
    broker.kill();
    std::fs::remove_file(dir.path().join("mosquitto.db")).ok();
    let _again = servers::mosquitto_at(broker.port, dir.path());
    running.listening(&mut device).await;
    device.position("truck-017", now(), 109.7345).await;
    eventually("it is stored", async || {
        house.track("truck-017").await.len() == 1
    })
    .await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_lost_after_the_commit_does_not_double_the_history() {
    let (broker, _dir) = servers::mosquitto();
    let line = Line::to(broker.addr()).await;
    let house = House::new().await;
    let running = house.fleet(vec![mqtt(line.port)]);
    let mut device = Publisher::new(broker.port);
    running.listening(&mut device).await;
    let start = now() - 100 * SECOND;
    let times: Vec<_> = (0..10).map(|i| start + i * SECOND).collect();
    line.swallow(true);
    for time in &times {
        device.position("truck-017", *time, 109.7345).await;
    }
    eventually("committed", async || running.status().accepted == 10).await;
    assert_eq!(running.status().repeated, 0);
    let mut updates = running.fleet.updates();
    // Now the receipts are under way into nothing: the line breaks.
    line.swallow(false);
    line.cut();
    eventually("delivered again", async || running.status().repeated == 10).await;
    complete(&house, "truck-017", &times).await;
    assert!(
        updates.try_recv().is_err(),
        "the wall is not told a second time"
    );
    assert_eq!(running.status().accepted, 10);

    // This time the receipts arrive: nothing is left to deliver.
    line.cut();
    running.listening(&mut device).await;
    assert_eq!(running.status().repeated, 10);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_killed_gets_the_rest_at_its_next_start() {
    let (broker, _dir) = servers::mosquitto();
    let house = House::new().await;
    let running = house.fleet(vec![mqtt(broker.port)]);
    let mut device = Publisher::new(broker.port);
    running.listening(&mut device).await;
    let start = now() - 1_000 * SECOND;
    let times: Vec<_> = (0..300).map(|i| start + i * SECOND).collect();
    for time in &times[..100] {
        device.position("truck-017", *time, 109.7345).await;
    }
    running.kill().await;
    for time in &times[100..200] {
        device.position("truck-017", *time, 109.7345).await;
    }
    let running = house.fleet(vec![mqtt(broker.port)]);
    for time in &times[200..] {
        device.position("truck-017", *time, 109.7345).await;
    }
    eventually("all are stored", async || {
        house.track("truck-017").await.len() == 300
    })
    .await;
    complete(&house, "truck-017", &times).await;
    running.stop().await;
}
