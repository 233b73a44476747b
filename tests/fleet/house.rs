//! A fleet with a database of its own, and what plays around it: publishers, a faulty line, a database that refuses.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, QoS};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use zhenbei::config::{FleetConfig, MqttConfig};
use zhenbei::fleet::{Fleet, SourceStatus};
use zhenbei::model::{
    Clock, Fix, Result, Secret, SystemClock, TimeRange, UtcMicros, Vehicle, VehicleClass, VehicleId,
};
use zhenbei::store::live::MemoryLive;
use zhenbei::store::{Database, LiveState};

pub fn id(vehicle: &str) -> VehicleId {
    VehicleId::new(vehicle).unwrap()
}

pub fn now() -> UtcMicros {
    SystemClock.now()
}

pub fn truck(name: &str) -> Vehicle {
    Vehicle {
        id: id(name),
        plate: Some("陕K12345".into()),
        class: VehicleClass::Muck,
    }
}

pub fn mqtt(port: u16) -> MqttConfig {
    MqttConfig {
        url: Secret::new(format!("mqtt://127.0.0.1:{port}")),
        topics: vec![
            "fleet/{vehicle}/position".into(),
            "fleet/{vehicle}/nmea".into(),
        ],
        client_id: "zhenbei-test".into(),
        allow_no_checksum: false,
    }
}

/// Folder and database, which outlive the fleets that run on them.
pub struct House {
    pub dir: TempDir,
    pub database: Database,
}

impl House {
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("zhenbei.db").display());
        let database = Database::open(&Secret::new(url)).await.unwrap();
        Self { dir, database }
    }

    pub fn fleet(&self, mqtt: Vec<MqttConfig>) -> Running {
        self.fleet_with(mqtt, Arc::new(MemoryLive::new()))
    }

    pub fn fleet_with(&self, mqtt: Vec<MqttConfig>, live: Arc<dyn LiveState>) -> Running {
        let fleet = Fleet::start(
            FleetConfig::default(),
            mqtt,
            self.database.clone(),
            live,
            Arc::new(SystemClock),
        )
        .unwrap();
        let stop = CancellationToken::new();
        let (running, stopping) = (fleet.clone(), stop.clone());
        #[allow(clippy::disallowed_methods, reason = "awaited by `Running::stop`")]
        let task = tokio::spawn(async move { running.run(stopping).await });
        Running { fleet, stop, task }
    }

    pub async fn track(&self, vehicle: &str) -> Vec<Fix> {
        let all = TimeRange::new(UtcMicros(0), UtcMicros::from_secs(10_000_000_000)).unwrap();
        self.database
            .fixes_in(&id(vehicle), all, 1_000_000)
            .await
            .unwrap()
    }

    async fn execute(&self, sql: &'static str) {
        let path = self.dir.path().join("zhenbei.db");
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(Duration::from_secs(10));
        let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
        sqlx::query(sql).execute(&pool).await.unwrap();
        pool.close().await;
    }

    /// From here on the database refuses every position.
    pub async fn break_the_database(&self) {
        self.execute("ALTER TABLE fixes RENAME TO fixes_away").await;
    }

    /// From here on the database refuses positions of `truck-bad`, and of no other.
    pub async fn refuse_one_vehicle(&self) {
        self.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON fixes \
             WHEN NEW.vehicle_no = (SELECT no FROM fix_vehicles WHERE name = 'truck-bad') \
             BEGIN SELECT RAISE(ABORT, 'not this one'); END",
        )
        .await;
    }

    pub async fn mend_the_database(&self) {
        self.execute("ALTER TABLE fixes_away RENAME TO fixes").await;
    }
}

pub struct Running {
    pub fleet: Fleet,
    stop: CancellationToken,
    task: JoinHandle<Result<()>>,
}

impl Running {
    pub async fn stop(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(20), self.task).await;
        ended.expect("stops in time").unwrap().unwrap();
    }

    /// As kill -9 looks from outside: no last commit, no last receipt, no goodbye.
    pub async fn kill(self) {
        self.task.abort();
        self.task.await.ok();
    }

    pub fn status(&self) -> SourceStatus {
        self.fleet.sources().remove(0)
    }

    pub async fn connected(&self) {
        eventually("connected", async || {
            self.status().state == zhenbei::fleet::SourceState::Connected
        })
        .await;
        // The subscription is behind the connection; it is there when a probe comes through.
    }

    /// Waits for the subscription: publishes until something arrives.
    pub async fn listening(&self, publisher: &mut Publisher) {
        self.connected().await;
        let before = self.status().received;
        eventually("listening", async || {
            publisher.send("fleet/probe/position", b"[]").await;
            self.status().received > before
        })
        .await;
    }
}

pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(30);
    while !holds().await {
        assert!(Instant::now() < give_up, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A device, or many: QoS 1, and `send` returns when the broker has it.
pub struct Publisher {
    client: AsyncClient,
    events: EventLoop,
}

impl Publisher {
    pub fn new(port: u16) -> Self {
        let name = format!("device-{}", uuid::Uuid::now_v7());
        let mut options = MqttOptions::new(name, "127.0.0.1", port);
        options.set_max_packet_size(8 << 20, 8 << 20);
        let (client, events) = AsyncClient::new(options, 100);
        Self { client, events }
    }

    pub async fn send(&mut self, topic: &str, payload: &[u8]) {
        self.publish(topic, payload, false).await;
    }

    pub async fn retain(&mut self, topic: &str, payload: &[u8]) {
        self.publish(topic, payload, true).await;
    }

    async fn publish(&mut self, topic: &str, payload: &[u8], retain: bool) {
        let again = async |client: &AsyncClient| {
            client
                .publish(topic, QoS::AtLeastOnce, retain, payload)
                .await
                .unwrap();
        };
        again(&self.client).await;
        let mut lost = false;
        loop {
            match self.events.poll().await {
                Ok(Event::Incoming(Packet::PubAck(_))) => return,
                // A new session: what was under way in the old one is forgotten on both sides.
                Ok(Event::Incoming(Packet::ConnAck(_))) if lost => {
                    lost = false;
                    again(&self.client).await;
                }
                Ok(_) => {}
                Err(_) => {
                    lost = true;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    pub async fn position(&mut self, vehicle: &str, time: UtcMicros, lon: f64) {
        let payload = position(time, lon);
        self.send(&format!("fleet/{vehicle}/position"), payload.as_bytes())
            .await;
    }
}

pub fn position(time: UtcMicros, lon: f64) -> String {
    format!(
        r#"{{"time":"{time}","lon":{lon},"lat":38.2852,"speed_kmh":31.5,"course_deg":270,"ignition":true}}"#
    )
}

/// A line to the broker that can swallow what the client says, and break.
pub struct Line {
    pub port: u16,
    swallow: Arc<AtomicBool>,
    cut: Arc<Notify>,
    _tasks: JoinSet<()>,
}

impl Line {
    pub async fn to(broker: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (swallow, cut) = (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(
            listener,
            broker,
            Arc::clone(&swallow),
            Arc::clone(&cut),
        ));
        Self {
            port,
            swallow,
            cut,
            _tasks: tasks,
        }
    }

    /// The broker hears no more of the client, the client goes on hearing the broker.
    pub fn swallow(&self, on: bool) {
        self.swallow.store(on, Ordering::SeqCst);
    }

    pub fn cut(&self) {
        self.cut.notify_waiters();
    }
}

async fn serve(
    listener: TcpListener,
    broker: SocketAddr,
    swallow: Arc<AtomicBool>,
    cut: Arc<Notify>,
) {
    let mut lines = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let (swallow, cut) = (Arc::clone(&swallow), Arc::clone(&cut));
        lines.spawn(async move {
            let Ok(server) = TcpStream::connect(broker).await else {
                return;
            };
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            let up = async {
                let mut buffer = [0; 4096];
                while let Ok(n @ 1..) = from_client.read(&mut buffer).await {
                    if !swallow.load(Ordering::SeqCst)
                        && to_server.write_all(&buffer[..n]).await.is_err()
                    {
                        break;
                    }
                }
            };
            let down = tokio::io::copy(&mut from_server, &mut to_client);
            tokio::select! {
                () = up => {}
                _ = down => {}
                () = cut.notified() => {}
            }
        });
    }
}

pub fn truck_fix(vehicle: &str, time: UtcMicros) -> Fix {
    Fix {
        vehicle: id(vehicle),
        time,
        received: time + 1_000,
        place: zhenbei::model::GeoPoint::new(109.7345, 38.2852).unwrap(),
        speed_kmh: Some(31.5),
        course_deg: Some(270.0),
        altitude_m: None,
        ignition: None,
        source: "mqtt:127.0.0.1:1883".into(),
        flags: zhenbei::model::FixFlags::default(),
    }
}
