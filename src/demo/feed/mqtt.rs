//! Publishes the feed with QoS 1 until told to stop. A broker that is away is tried again; terminals here have no
//! memory for that time, so what was not taken is counted as dropped.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rumqttc::{AsyncClient, EventLoop, MqttOptions, NetworkOptions, QoS};
use tokio_util::sync::CancellationToken;

use crate::model::Clock;

use super::Feed;

#[derive(Debug, Default)]
pub struct FeedCounts {
    pub published: AtomicU64,
    pub dropped: AtomicU64,
    pub disconnects: AtomicU64,
}

/// How often terminals are asked whether they have something to send.
const TICK: Duration = Duration::from_millis(100);
/// Publications waiting for the connection.
const QUEUE: usize = 1_024;

pub async fn publish(
    mut feed: Feed,
    broker: SocketAddr,
    clock: Arc<dyn Clock>,
    counts: Arc<FeedCounts>,
    stop: CancellationToken,
) {
    let mut options =
        MqttOptions::new("zhenbei-demo-fleet", broker.ip().to_string(), broker.port());
    options.set_keep_alive(Duration::from_secs(15));
    options.set_inflight(500);
    let (client, mut events) = AsyncClient::new(options, QUEUE);
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    events.set_network_options(network);
    let produce = async {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tick.tick().await;
            for message in feed.advance(clock.now()) {
                let sent =
                    client.try_publish(message.topic, QoS::AtLeastOnce, false, message.payload);
                let count = if sent.is_ok() {
                    &counts.published
                } else {
                    &counts.dropped
                };
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = drive(&mut events, &counts) => {}
        () = produce => {}
    }
    // Says goodbye if the connection stands; the broker notices a dropped one as well.
    if client.try_disconnect().is_ok() {
        let goodbye = async { while events.poll().await.is_ok() {} };
        // Not answered in time: the process ends anyway.
        tokio::time::timeout(Duration::from_millis(500), goodbye)
            .await
            .ok();
    }
}

async fn drive(events: &mut EventLoop, counts: &FeedCounts) {
    let mut down = false;
    loop {
        match events.poll().await {
            Ok(_) => down = false,
            Err(error) => {
                if !down {
                    tracing::warn!(%error, "demo vehicles lost the MQTT broker; trying again");
                    counts.disconnects.fetch_add(1, Ordering::Relaxed);
                }
                down = true;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    }
}
