//! Broker, cameras and vehicles together, and what happens when one of them dies.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, QoS};
use tokio_util::sync::CancellationToken;
use zhenbei::demo::{Plan, Servers};

fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_zhenbei").into()
}

/// The children of this test: processes whose command line names its folder.
fn children(dir: &std::path::Path) -> Vec<i32> {
    let mark = dir.display().to_string();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|p| p.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(&mark)
        })
        .collect()
}

async fn listener(address: &str) -> EventLoop {
    let address: SocketAddr = address.strip_prefix("mqtt://").unwrap().parse().unwrap();
    let options = MqttOptions::new("listener", address.ip().to_string(), address.port());
    let (client, events) = AsyncClient::new(options, 10);
    client.subscribe("fleet/#", QoS::AtLeastOnce).await.unwrap();
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn vehicles_are_heard_over_mqtt_and_nothing_is_left_after_the_stop() {
    let dir = tempfile::TempDir::new().unwrap();
    let stop = CancellationToken::new();
    let mut plan = Plan::new(6, 100, 7);
    let servers = Servers::start_with(dir.path(), &mut plan, program())
        .await
        .unwrap();
    let url = servers.mqtt_url();
    assert!(plan.cameras.iter().all(|c| c.spec.port > 0));
    assert_eq!(children(dir.path()).len(), 2);
    let mut city = tokio::task::JoinSet::new();
    city.spawn(servers.run(stop.clone()));
    let mut events = listener(&url).await;
    let (mut messages, mut vehicles) = (0, std::collections::HashSet::new());
    let end = Instant::now() + Duration::from_secs(6);
    while Instant::now() < end {
        let event = tokio::time::timeout(Duration::from_secs(5), events.poll()).await;
        if let Event::Incoming(Packet::Publish(p)) = event.unwrap().unwrap() {
            messages += 1;
            assert_eq!(p.qos, QoS::AtLeastOnce);
            vehicles.insert(p.topic.split('/').nth(1).unwrap().to_owned());
        }
    }
    assert!(
        (150..=400).contains(&messages),
        "{messages} messages in 6 s"
    );
    assert!(vehicles.len() > 90, "{} vehicles", vehicles.len());
    stop.cancel();
    city.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(children(dir.path()), Vec::<i32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_dies_is_started_again_at_the_same_address() {
    let dir = tempfile::TempDir::new().unwrap();
    let stop = CancellationToken::new();
    let mut plan = Plan::new(6, 20, 7);
    let servers = Servers::start_with(dir.path(), &mut plan, program())
        .await
        .unwrap();
    let url = servers.mqtt_url();
    let mut city = tokio::task::JoinSet::new();
    city.spawn(servers.run(stop.clone()));
    let before = children(dir.path());
    for pid in &before {
        let pid = rustix::process::Pid::from_raw(*pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
    let late = Instant::now() + Duration::from_secs(25);
    for port in plan.cameras.iter().map(|c| c.spec.port) {
        loop {
            let fresh = children(dir.path()).iter().all(|p| !before.contains(p));
            let up = tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .is_ok();
            if fresh && up {
                break;
            }
            assert!(Instant::now() < late, "port {port} is not back");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    // The vehicles found the new broker by themselves.
    let mut events = listener(&url).await;
    loop {
        assert!(Instant::now() < late, "no vehicle is heard any more");
        match tokio::time::timeout(Duration::from_secs(10), events.poll()).await {
            Ok(Ok(Event::Incoming(Packet::Publish(_)))) => break,
            Ok(Ok(_)) => {}
            Ok(Err(_)) => tokio::time::sleep(Duration::from_millis(200)).await,
            Err(_) => panic!("the broker is silent"),
        }
    }
    stop.cancel();
    city.join_next().await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_camera_program_that_cannot_run_is_an_error_that_names_it() {
    let dir = tempfile::TempDir::new().unwrap();
    let mut plan = Plan::new(6, 1, 7);
    for (wrong, words) in [
        ("/nowhere/zhenbei", "does not start"),
        ("/bin/false", "ended at its start"),
    ] {
        let error = Servers::start_with(dir.path(), &mut plan, wrong.into())
            .await
            .err()
            .unwrap();
        let text = format!("{error:#}");
        assert!(
            text.contains("the cameras' process") && text.contains(words),
            "{text}"
        );
    }
    // The broker that was already running is ended with the attempt; the kernel takes a moment for it.
    let late = Instant::now() + Duration::from_secs(5);
    while !children(dir.path()).is_empty() {
        assert!(
            Instant::now() < late,
            "left behind: {:?}",
            children(dir.path())
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
