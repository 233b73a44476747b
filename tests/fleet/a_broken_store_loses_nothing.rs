use std::time::{Duration, Instant};

use zhenbei::fleet::PositionFilter;

use crate::house::{House, Publisher, eventually, mqtt, now, position};
use crate::support::servers;

const SECOND: i64 = 1_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_acknowledged_while_the_database_refuses() {
    let (broker, _dir) = servers::mosquitto();
    let house = House::new().await;
    let running = house.fleet(vec![mqtt(broker.port)]);
    let mut device = Publisher::new(broker.port);
    running.listening(&mut device).await;
    house.break_the_database().await;
    let start = now() - 1_000 * SECOND;
    for i in 0..100 {
        device
            .position("truck-017", start + i * SECOND, 109.7345)
            .await;
    }
    eventually("it is said", async || {
        running
            .status()
            .last_error
            .is_some_and(|e| e.contains("database") && e.contains("not acknowledged"))
    })
    .await;
    assert_eq!(running.status().accepted, 0);
    // Stopped in order, with a database that still refuses: it gives up, and has acknowledged nothing.
    running.stop().await;
    house.mend_the_database().await;
    assert_eq!(house.track("truck-017").await.len(), 0);
    let running = house.fleet(vec![mqtt(broker.port)]);
    eventually("the broker had kept all", async || {
        house.track("truck-017").await.len() == 100
    })
    .await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_comes_back_takes_what_has_waited() {
    let (broker, _dir) = servers::mosquitto();
    let house = House::new().await;
    let running = house.fleet(vec![mqtt(broker.port)]);
    let mut device = Publisher::new(broker.port);
    running.listening(&mut device).await;
    let mut updates = running.fleet.updates();
    house.break_the_database().await;
    let start = now() - 1_000 * SECOND;
    for i in 0..50 {
        device
            .position("truck-017", start + i * SECOND, 109.7345)
            .await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(
        updates.try_recv().is_err(),
        "the wall is not told what is not stored"
    );
    house.mend_the_database().await;
    eventually("all are stored", async || {
        running.status().accepted == 50 && running.status().last_error.is_none()
    })
    .await;
    assert_eq!(house.track("truck-017").await.len(), 50);
    running.stop().await;
}

/// mosquitto sends 20 messages ahead of the receipts: a commit that waited out its interval each time would allow 200 a second.
#[tokio::test(flavor = "multi_thread")]
async fn a_burst_is_not_slowed_down_by_waiting_for_receipts() {
    let (broker, _dir) = servers::mosquitto();
    let house = House::new().await;
    // The session first, then the messages while nobody listens, so that the broker holds them all.
    let running = house.fleet(vec![mqtt(broker.port)]);
    let mut device = Publisher::new(broker.port);
    running.listening(&mut device).await;
    running.stop().await;
    let start = now() - 10_000 * SECOND;
    for i in 0..2_000 {
        device
            .position("truck-017", start + i * SECOND, 109.7345)
            .await;
    }
    let began = Instant::now();
    let running = house.fleet(vec![mqtt(broker.port)]);
    eventually("all are stored", async || {
        running.status().accepted == 2_000
    })
    .await;
    let rate = 2_000.0 / began.elapsed().as_secs_f64();
    println!("{rate:.0} messages/s from a broker with 20 in flight");
    assert!(rate > 300.0, "{rate:.0}");
    assert_eq!(house.track("truck-017").await.len(), 2_000);

    // One message with many positions is one commit.
    let many: Vec<String> = (0..1_500)
        .map(|i| position(start + 5_000 * SECOND + i * SECOND, 109.7345))
        .collect();
    let payload = format!("[{}]", many.join(","));
    device
        .send("fleet/truck-018/position", payload.as_bytes())
        .await;
    eventually("the batch is stored", async || {
        house.track("truck-018").await.len() == 1_500
    })
    .await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_the_database_refuses_holds_up_no_other() {
    let (broker, _dir) = servers::mosquitto();
    let house = House::new().await;
    house.refuse_one_vehicle().await;
    // All of it waits at the broker, so that good and bad come in the same batches.
    let running = house.fleet(vec![mqtt(broker.port)]);
    let mut device = Publisher::new(broker.port);
    running.listening(&mut device).await;
    running.stop().await;
    let start = now() - 1_000 * SECOND;
    for i in 0..60 {
        let name = if i % 20 == 7 {
            "truck-bad"
        } else {
            "truck-017"
        };
        device.position(name, start + i * SECOND, 109.7345).await;
    }
    let running = house.fleet(vec![mqtt(broker.port)]);
    eventually(
        "the good ones are stored, the bad ones are told",
        async || {
            let status = running.status();
            (status.accepted, status.rejected) == (57, 3)
        },
    )
    .await;
    assert_eq!(house.track("truck-017").await.len(), 57);
    assert_eq!(house.track("truck-bad").await.len(), 0);
    let rejected = running.fleet.rejected(10);
    assert_eq!(rejected.len(), 3);
    for entry in rejected {
        assert!(entry.topic.contains("truck-bad"), "{entry:?}");
        assert!(entry.reason.contains("not this one"), "{entry:?}");
    }
    let wall = running.fleet.positions(&PositionFilter::default()).await;
    assert!(wall.iter().all(|p| p.fix.vehicle.as_str() != "truck-bad"));
    running.stop().await;
    // They were acknowledged: the broker has nothing left to send.
    let running = house.fleet(vec![mqtt(broker.port)]);
    running.listening(&mut device).await;
    assert_eq!(running.status().rejected, 0);
    running.stop().await;
}
