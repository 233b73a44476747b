use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use zhenbei::config::{FleetConfig, MqttConfig};
use zhenbei::fleet::{Fleet, SourceState};
use zhenbei::model::{Secret, SystemClock};
use zhenbei::store::live::MemoryLive;

use crate::house::{House, Publisher, Running, eventually, mqtt, now};
use crate::support::servers;

async fn says(running: &Running, what: &str) -> String {
    eventually(what, async || {
        running
            .status()
            .last_error
            .is_some_and(|e| e.contains(what))
    })
    .await;
    running.status().last_error.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_listening_is_said_and_waited_for() {
    let house = House::new().await;
    let port = servers::free_port();
    let running = house.fleet(vec![mqtt(port)]);
    says(&running, "is it running").await;
    assert_eq!(running.status().source, format!("mqtt:127.0.0.1:{port}"));
    let dir = tempfile::tempdir().unwrap();
    let _broker = servers::mosquitto_at(port, dir.path());
    let mut device = Publisher::new(port);
    running.listening(&mut device).await;
    assert_eq!(running.status().last_error, None);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_a_broker_is_called_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream
                .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .await
                .ok();
        }
    });
    let house = House::new().await;
    let running = house.fleet(vec![mqtt(port)]);
    says(&running, "does not speak MQTT").await;
    running.stop().await;
}

struct Guarded {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Only `fleet` with the password `p@ss` comes in, and may read `fleet/+/position` only.
async fn guarded_broker() -> Guarded {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let made = Command::new(servers::program("mosquitto_passwd", "mosquitto"))
        .args(["-c", "-b", &at("passwords"), "fleet", "p@ss"])
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(made.success());
    std::fs::write(
        at("acl"),
        "user fleet\ntopic read fleet/+/position\ntopic write #\n",
    )
    .unwrap();
    let port = servers::free_port();
    std::fs::write(
        at("conf"),
        format!(
            "listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {}\nacl_file {}\nuser root\n",
            at("passwords"),
            at("acl")
        ),
    )
    .unwrap();
    let child = Command::new(servers::program("mosquitto", "mosquitto"))
        .args(["-c", &at("conf")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("the guarded broker answers", async || {
        tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .is_ok()
    })
    .await;
    Guarded {
        child,
        port,
        _dir: dir,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_from_a_missing_one() {
    let broker = guarded_broker().await;
    let house = House::new().await;
    let with = |user: &str| MqttConfig {
        url: Secret::new(format!("mqtt://{user}127.0.0.1:{}", broker.port)),
        ..mqtt(broker.port)
    };
    let running = house.fleet(vec![with("fleet:wrong-word@")]);
    let text = says(&running, "refuses user `fleet`").await;
    assert!(!text.contains("wrong-word"), "{text}");
    assert_ne!(running.status().state, SourceState::Connected);
    running.stop().await;

    let running = house.fleet(vec![with("")]);
    says(&running, "wants a user and password").await;
    running.stop().await;

    let running = house.fleet(vec![with("fleet:p%40ss@")]);
    running.connected().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_daemons_with_one_client_id_are_told_so() {
    let (broker, _dir) = servers::mosquitto();
    let house = House::new().await;
    let (one, two) = (
        house.fleet(vec![mqtt(broker.port)]),
        house.fleet(vec![mqtt(broker.port)]),
    );
    eventually("one of them says so", async || {
        [&one, &two].iter().any(|r| {
            r.status()
                .last_error
                .is_some_and(|e| e.contains("another client uses client_id `zhenbei-test`"))
        })
    })
    .await;
    one.stop().await;
    // The other is alone now, and all is well.
    let mut device = Publisher::new(broker.port);
    two.listening(&mut device).await;
    device.position("truck-017", now(), 109.7345).await;
    eventually("it is stored", async || {
        house.track("truck-017").await.len() == 1
    })
    .await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_cannot_work_is_refused_at_the_start() {
    let house = House::new().await;
    let start = |config: MqttConfig| {
        Fleet::start(
            FleetConfig::default(),
            vec![config],
            house.database.clone(),
            Arc::new(MemoryLive::new()),
            Arc::new(SystemClock),
        )
        .err()
        .expect("refused")
    };
    let bad_url = MqttConfig {
        url: Secret::new("http://u:secret@127.0.0.1"),
        ..mqtt(1)
    };
    let e = start(bad_url);
    assert!(
        e.detail().contains("[[mqtt]] url") && !e.detail().contains("secret"),
        "{e}"
    );
    let bad_topic = MqttConfig {
        topics: vec!["fleet/+/position".into()],
        ..mqtt(1)
    };
    assert!(start(bad_topic).detail().contains("{vehicle}"));
    let no_id = MqttConfig {
        client_id: String::new(),
        ..mqtt(1)
    };
    assert!(start(no_id).detail().contains("client_id"));
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_is_quick_whatever_the_broker_does() {
    let house = House::new().await;
    // Accepts and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let running = house.fleet(vec![mqtt(silent.local_addr().unwrap().port())]);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let began = std::time::Instant::now();
    running.stop().await;
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
}
