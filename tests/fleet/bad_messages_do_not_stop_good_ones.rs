use std::time::Duration;

use crate::house::{House, Publisher, eventually, mqtt, now};
use crate::support::servers;

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_counted_shown_acknowledged_and_passed() {
    let (broker, _dir) = servers::mosquitto();
    let house = House::new().await;
    let running = house.fleet(vec![mqtt(broker.port)]);
    let mut device = Publisher::new(broker.port);
    running.listening(&mut device).await;

    let bad: [(&str, Vec<u8>, &str); 9] = [
        (
            "fleet/a/position",
            b"\x00\xFF\xFEgarbage".to_vec(),
            "not JSON",
        ),
        (
            "fleet/a/position",
            br#"{"lon":109.7,"lat":91}"#.to_vec(),
            "latitude 91",
        ),
        (
            "fleet/a/position",
            br#"{"lat":38.2}"#.to_vec(),
            "`lon` is missing",
        ),
        ("fleet/a/position", br#""hello""#.to_vec(), "not a position"),
        ("fleet/a/nmea", b"hello".to_vec(), "no sentence"),
        (
            "fleet/a/nmea",
            b"$GPRMC,063709.000,A,2238.1998,N,11401.9670,E,0.00,,250313,,,A*7F".to_vec(),
            "checksum",
        ),
        (
            "fleet/a b/position",
            br#"{"lon":1,"lat":1}"#.to_vec(),
            "cannot be the id",
        ),
        ("fleet/a/position", vec![b'['; 300 << 10], "larger than"),
        // Larger than what is usually read: the broker would send it first for ever.
        ("fleet/a/position", vec![b'x'; 2 << 20], "larger than"),
    ];
    let before = running.status();
    for (i, (topic, payload, _)) in bad.iter().enumerate() {
        if payload.len() > 1 << 20 {
            // The connection breaks at this one; what has no receipt by then comes, and is counted, again.
            eventually("the others are done", async || {
                running.status().accepted == 8
            })
            .await;
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        device.send(topic, payload).await;
        let i = i64::try_from(i).unwrap();
        device.position("truck-017", now() + i, 109.7345).await;
    }
    eventually("the good ones are stored", async || {
        house.track("truck-017").await.len() == bad.len()
    })
    .await;
    eventually("the bad ones are counted", async || {
        running.status().rejected >= 9
    })
    .await;
    let status = running.status();
    assert_eq!(status.rejected, 9);
    assert!(status.received >= before.received + 18);

    let mut listed = running.fleet.rejected(100);
    assert_eq!(listed.len(), 9);
    listed.reverse();
    let mut missing: Vec<_> = bad.iter().collect();
    for entry in &listed {
        let found = missing
            .iter()
            .position(|(topic, _, why)| *topic == entry.topic && entry.reason.contains(why));
        missing.remove(found.unwrap_or_else(|| panic!("unexpected: {entry:?}")));
        assert!(entry.sample.chars().count() <= 512);
        assert_eq!(entry.source, status.source);
    }
    assert_eq!(listed[0].sample, "\\x00\\xFF\\xFEgarbage");

    // They are acknowledged: a new start does not meet them again.
    running.stop().await;
    let running = house.fleet(vec![mqtt(broker.port)]);
    running.listening(&mut device).await;
    assert_eq!(running.status().rejected, 0);
    assert_eq!(running.status().repeated, 0);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_good_part_of_a_message_is_kept() {
    let (broker, _dir) = servers::mosquitto();
    let house = House::new().await;
    let running = house.fleet(vec![mqtt(broker.port)]);
    let mut device = Publisher::new(broker.port);
    running.listening(&mut device).await;
    let batch =
        br#"[{"time":1767254400,"lon":109.7,"lat":38.2},{"time":1767254401,"lon":109.7,"lat":98.2},
        {"time":1767254402,"lon":109.7,"lat":38.2}]"#;
    device.send("fleet/truck-017/position", batch).await;
    eventually("two are stored", async || {
        house.track("truck-017").await.len() == 2
    })
    .await;
    assert_eq!(running.status().rejected, 1);
    let listed = running.fleet.rejected(1);
    assert!(listed[0].reason.contains("in element 1"), "{listed:?}");
    running.stop().await;
}
