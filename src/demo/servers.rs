//! The running city: mosquitto, the camera process and the vehicles, started in this order and stopped in reverse.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::model::{Clock, Error, Result};

use super::children::{Kept, Recipe};
use super::feed::{FeedCounts, publish};
use super::plan::Plan;

/// The program that serves the cameras: `zhenbei demo-cameras`, this very binary.
#[derive(Clone, Debug)]
pub struct CameraProgram {
    pub program: PathBuf,
    pub args: Vec<String>,
}

impl CameraProgram {
    pub fn this_binary() -> Result<Self> {
        let program = std::env::current_exe().map_err(|e| {
            Error::internal("demo_child", "cannot find the path of this program").because(e)
        })?;
        Ok(Self {
            program,
            args: vec!["demo-cameras".into()],
        })
    }
}

/// Ends everything when dropped; [`Servers::stop`] also waits for the vehicles to say goodbye.
pub struct Servers {
    broker: SocketAddr,
    counts: Arc<FeedCounts>,
    // Dropped in this order: vehicles first, then cameras, the broker last.
    vehicles: JoinSet<()>,
    stop_vehicles: CancellationToken,
    cameras: Option<Kept>,
    mosquitto: Kept,
}

/// From start to answering.
const READY: Duration = Duration::from_secs(30);

/// Starts the city of `plan`; `dir` holds the broker's files. It stops by [`Servers::stop`], by dropping, or by `stop`
/// for the vehicles.
pub async fn run_servers(
    dir: &Path,
    plan: &Plan,
    cameras: &CameraProgram,
    clock: Arc<dyn Clock>,
    stop: &CancellationToken,
) -> Result<Servers> {
    let (mosquitto, broker) = start_mosquitto(dir)?;
    answers(broker, &mosquitto, "mosquitto").await?;
    let camera_process = if plan.cameras.is_empty() {
        None
    } else {
        Some(start_cameras(plan, cameras)?)
    };
    if let Some(process) = &camera_process {
        for camera in &plan.cameras {
            answers(camera.listen, process, &camera.id).await?;
        }
    }
    let counts = Arc::new(FeedCounts::default());
    let stop_vehicles = stop.child_token();
    let mut vehicles = JoinSet::new();
    vehicles.spawn(publish(
        plan.feed(),
        broker,
        clock,
        counts.clone(),
        stop_vehicles.clone(),
    ));
    Ok(Servers {
        broker,
        counts,
        vehicles,
        stop_vehicles,
        cameras: camera_process,
        mosquitto,
    })
}

impl Servers {
    pub fn mqtt_url(&self) -> String {
        format!("mqtt://{}", self.broker)
    }

    pub fn broker(&self) -> SocketAddr {
        self.broker
    }

    /// Messages handed to the broker so far.
    pub fn published(&self) -> u64 {
        self.counts.published.load(Ordering::Relaxed)
    }

    pub fn counts(&self) -> &FeedCounts {
        &self.counts
    }

    /// Process ids of the children, for tests and for people.
    pub fn pids(&self) -> Vec<u32> {
        let cameras = self.cameras.iter().map(Kept::pid);
        std::iter::once(self.mosquitto.pid())
            .chain(cameras)
            .collect()
    }

    /// How often the camera process was started; more than once means it died.
    pub fn camera_starts(&self) -> u32 {
        self.cameras.as_ref().map_or(0, Kept::starts)
    }

    /// Why a part is gone for good, if one is.
    pub fn failed(&self) -> Option<String> {
        let cameras = self.cameras.as_ref().and_then(Kept::given_up);
        cameras.or_else(|| self.mosquitto.given_up())
    }

    pub async fn stop(mut self) {
        self.stop_vehicles.cancel();
        while self.vehicles.join_next().await.is_some() {}
        let ended = tokio::task::spawn_blocking(move || {
            drop(self.cameras.take());
            drop(self.mosquitto);
        });
        if ended.await.is_err() {
            tracing::warn!("the demo's child processes were not ended in order");
        }
    }
}

fn start_mosquitto(dir: &Path) -> Result<(Kept, SocketAddr)> {
    let program = find("mosquitto").ok_or_else(|| {
        Error::unavailable(
            "no_mosquitto",
            "the demo needs the MQTT broker mosquitto, which is not installed: apt-get install mosquitto",
        )
    })?;
    let files = dir.join("mosquitto");
    let broken = |e: std::io::Error| {
        let text = format!("cannot write the broker's files in {}", files.display());
        Error::unavailable("demo_dir", text).because(e)
    };
    std::fs::create_dir_all(&files).map_err(broken)?;
    let broker = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|l| l.local_addr())
        .map_err(|e| Error::unavailable("no_port", "no free TCP port on 127.0.0.1").because(e))?;
    let config = files.join("mosquitto.conf");
    // Without TCP_NODELAY an acknowledgement waits up to 40 ms for the next one (RFC 896). As root mosquitto would change
    // to its own user, who may not write here.
    let user = if rustix::process::geteuid().is_root() {
        "user root\n"
    } else {
        ""
    };
    let text = format!(
        "listener {} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\nmax_queued_messages 100000\n\
         persistence true\npersistence_location {}/\nautosave_interval 30\nlog_type error\n{user}",
        broker.port(),
        files.display(),
    );
    std::fs::write(&config, text).map_err(broken)?;
    let log = std::fs::File::create(files.join("mosquitto.log")).map_err(broken)?;
    // mosquitto does not read its standard input: setpriv (util-linux) ties it to us.
    let mut command = match find("setpriv") {
        Some(setpriv) => {
            let mut c = Command::new(setpriv);
            c.args(["--pdeathsig", "TERM", "--"]).arg(program);
            c
        }
        None => Command::new(program),
    };
    command
        .arg("-c")
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(log);
    let kept = Kept::start(Recipe {
        name: "mosquitto",
        command,
        input: Vec::new(),
    })?;
    Ok((kept, broker))
}

fn start_cameras(plan: &Plan, program: &CameraProgram) -> Result<Kept> {
    let mut input = serde_json::to_vec(&plan.cameras).map_err(|e| {
        Error::internal("demo_spec", "cannot write the cameras down as JSON").because(e)
    })?;
    input.push(b'\n');
    let mut command = Command::new(&program.program);
    command.args(&program.args).stdout(Stdio::null());
    // One malloc arena a thread would keep hundreds of megabytes of freed pictures.
    command.env("MALLOC_ARENA_MAX", "2");
    Kept::start(Recipe {
        name: "cameras",
        command,
        input,
    })
}

async fn answers(address: SocketAddr, process: &Kept, who: &str) -> Result<()> {
    let late = tokio::time::Instant::now() + READY;
    loop {
        let tried = tokio::time::timeout(
            Duration::from_secs(1),
            tokio::net::TcpStream::connect(address),
        );
        if matches!(tried.await, Ok(Ok(_))) {
            return Ok(());
        }
        if let Some(why) = process.given_up() {
            return Err(Error::unavailable("demo_child", why));
        }
        if tokio::time::Instant::now() > late {
            let text = format!("{who} of the demo does not answer on {address}");
            return Err(Error::unavailable("demo_child", text));
        }
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
}

/// On PATH, or where Debian keeps server programs.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|dir| dir.join(name))
        .find(|p| p.is_file())
}
