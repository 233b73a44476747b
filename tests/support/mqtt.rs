//! Publishes as a tracker does.

use std::time::Duration;

use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};

/// Sends one message with QoS 1 and waits for the broker's acknowledgement.
pub async fn publish(port: u16, topic: &str, payload: &[u8]) {
    let mut options = MqttOptions::new(format!("test-{}", uuid::Uuid::now_v7()), "127.0.0.1", port);
    options.set_keep_alive(Duration::from_secs(30));
    let (client, mut events) = AsyncClient::new(options, 10);
    client
        .publish(topic, QoS::AtLeastOnce, false, payload)
        .await
        .unwrap();
    loop {
        if let Event::Incoming(Packet::PubAck(_)) =
            events.poll().await.expect("the broker is there")
        {
            client.disconnect().await.ok();
            return;
        }
    }
}
