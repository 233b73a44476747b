//! Broker, cameras and vehicles together, and what happens when one of them dies.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use tokio_util::sync::CancellationToken;
use zhenbei::demo::{CameraProgram, Plan, PlanOptions, Ports, run_servers};
use zhenbei::model::SystemClock;

fn program() -> CameraProgram {
    CameraProgram {
        program: env!("CARGO_BIN_EXE_zhenbei").into(),
        args: vec!["demo-cameras".into()],
    }
}

fn plan(cameras: usize, vehicles: usize) -> Plan {
    let options = PlanOptions {
        cameras,
        vehicles,
        ports: Ports::Any,
        ..PlanOptions::default()
    };
    Plan::new(&options).unwrap()
}

fn lives(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| !s.contains(") Z "))
}

#[tokio::test(flavor = "multi_thread")]
async fn vehicles_are_heard_over_mqtt_and_nothing_is_left_after_the_stop() {
    let dir = tempfile::TempDir::new().unwrap();
    let stop = CancellationToken::new();
    let plan = plan(1, 100);
    let servers = run_servers(dir.path(), &plan, &program(), Arc::new(SystemClock), &stop)
        .await
        .unwrap();
    let broker = servers.broker();
    assert_eq!(servers.mqtt_url(), format!("mqtt://{broker}"));
    let options = MqttOptions::new("listener", broker.ip().to_string(), broker.port());
    let (client, mut events) = AsyncClient::new(options, 10);
    client.subscribe("fleet/#", QoS::AtLeastOnce).await.unwrap();
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
    assert!(servers.published() > 150);
    let pids = servers.pids();
    assert!(pids.len() == 2 && pids.iter().all(|p| lives(*p)));
    servers.stop().await;
    assert!(!pids.iter().any(|p| lives(*p)), "{pids:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_dies_is_started_again_at_the_same_address() {
    let dir = tempfile::TempDir::new().unwrap();
    let stop = CancellationToken::new();
    let plan = plan(1, 20);
    let servers = run_servers(dir.path(), &plan, &program(), Arc::new(SystemClock), &stop)
        .await
        .unwrap();
    let before = servers.pids();
    for pid in &before {
        let pid = rustix::process::Pid::from_raw(i32::try_from(*pid).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
    let late = Instant::now() + Duration::from_secs(20);
    let camera = plan.cameras[0].listen;
    loop {
        let pids = servers.pids();
        let fresh = pids.iter().zip(&before).all(|(now, then)| now != then);
        let up = |a| TcpStream::connect(a).is_ok();
        if fresh && up(servers.broker()) && up(camera) {
            break;
        }
        assert!(
            Instant::now() < late,
            "not back: {pids:?}, {:?}",
            servers.failed()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!((servers.camera_starts(), servers.failed()), (2, None));
    let published = servers.published();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(
        servers.published() > published,
        "vehicles are back on the broker"
    );
    servers.stop().await;
}

#[tokio::test]
async fn a_camera_program_that_cannot_run_is_an_error_that_names_it() {
    let dir = tempfile::TempDir::new().unwrap();
    let stop = CancellationToken::new();
    let wrong = CameraProgram {
        program: "/nowhere/zhenbei".into(),
        args: Vec::new(),
    };
    let plan = plan(1, 1);
    let error = run_servers(dir.path(), &plan, &wrong, Arc::new(SystemClock), &stop).await;
    let text = error.err().unwrap().to_string();
    assert!(text.contains("cannot start cameras"), "{text}");
    // It runs, but is no camera: given up after a few attempts.
    let wrong = CameraProgram {
        program: "/bin/false".into(),
        args: Vec::new(),
    };
    let error = run_servers(dir.path(), &plan, &wrong, Arc::new(SystemClock), &stop).await;
    let text = error.err().unwrap().to_string();
    assert!(text.contains("died 5 times"), "{text}");
}
