//! What the city runs on: a broker, the cameras' process, and the vehicles that publish. A child that dies is said and started
//! again, a few times.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::feed::{Feed, FeedCounts, FeedOptions, publish};
use super::plan::Plan;
use crate::media::this_program;
use crate::model::SystemClock;

const STARTS_WITHIN: Duration = Duration::from_secs(20);
const ENDS_WITHIN: Duration = Duration::from_secs(3);
/// A child that dies more often than this is broken.
const RESTARTS: u32 = 5;

pub struct Servers {
    broker: Server,
    cameras: Server,
    feed: Feed,
}

/// A child process and how to start it again.
struct Server {
    name: &'static str,
    command: Box<dyn Fn() -> Command + Send + Sync>,
    ports: Vec<u16>,
    /// What it says goes here, not between the lines of the demo.
    log: PathBuf,
    child: Option<Child>,
    /// Its end is how the child learns that it is to stop. Held here because waiting for a child closes what it holds itself.
    input: Option<ChildStdin>,
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Ports nobody listens on right now, all different.
fn free_ports(n: usize) -> Result<Vec<u16>> {
    let held: Vec<TcpListener> = (0..n)
        .map(|_| TcpListener::bind(local(0)))
        .collect::<Result<_, _>>()?;
    held.iter().map(|l| Ok(l.local_addr()?.port())).collect()
}

impl Servers {
    /// Everything answers when this returns. Gives the plan's cameras their ports.
    pub async fn start(dir: &Path, plan: &mut Plan) -> Result<Self> {
        Self::start_with(dir, plan, this_program()).await
    }

    /// As [`Servers::start`], with this `program` as the cameras' process.
    pub async fn start_with(dir: &Path, plan: &mut Plan, program: PathBuf) -> Result<Self> {
        let mut ports = free_ports(plan.cameras.len() + 1)?;
        let broker_port = ports.pop().context("no port is free")?;
        for (camera, port) in plan.cameras.iter_mut().zip(&ports) {
            camera.spec.port = *port;
            // No password is known before it is made, not even of a demo camera.
            if let Some((_, password)) = &mut camera.spec.auth {
                *password = format!("{:016x}", rand::random::<u64>());
            }
        }
        let mut broker = Server {
            name: "mosquitto",
            command: Box::new(mosquitto(dir, broker_port)?),
            ports: vec![broker_port],
            log: dir.join("mosquitto.log"),
            child: None,
            input: None,
        };
        let spec = dir.join("cameras.json");
        let specs: Vec<_> = plan.cameras.iter().map(|c| &c.spec).collect();
        std::fs::write(&spec, serde_json::to_string_pretty(&specs)?)?;
        let mut cameras = Server {
            name: "the cameras' process",
            command: Box::new(move || {
                let mut c = Command::new(&program);
                c.arg("demo-cameras").arg(&spec);
                c
            }),
            ports,
            log: dir.join("cameras.log"),
            child: None,
            input: None,
        };
        broker.start().await?;
        cameras.start().await?;
        let feed = Feed::new(plan.traffic(), FeedOptions::default(), plan.seed);
        Ok(Self {
            broker,
            cameras,
            feed,
        })
    }

    pub fn mqtt_url(&self) -> String {
        format!(
            "mqtt://127.0.0.1:{}",
            self.broker.ports.first().copied().unwrap_or(0)
        )
    }

    /// Drives the vehicles and keeps the children alive until `stop`; then ends them all. An error: one cannot be kept alive.
    pub async fn run(self, stop: CancellationToken) -> Result<()> {
        let Self {
            mut broker,
            mut cameras,
            feed,
        } = self;
        let address = local(broker.ports.first().copied().unwrap_or(0));
        let counts = Arc::new(FeedCounts::default());
        let result = tokio::select! {
            () = stop.cancelled() => Ok(()),
            () = publish(feed, address, Arc::new(SystemClock), counts, stop.child_token()) => {
                stop.cancelled().await;
                Ok(())
            }
            failed = broker.keep() => failed,
            failed = cameras.keep() => failed,
        };
        tokio::join!(broker.stop(), cameras.stop());
        result
    }
}

impl Server {
    async fn start(&mut self) -> Result<()> {
        let mut command = (self.command)();
        let log = std::fs::File::create(&self.log)
            .with_context(|| format!("cannot write {}", self.log.display()))?;
        // A group of its own: Ctrl-C is for us, and we end our children in order.
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .process_group(0);
        let mut child = command
            .spawn()
            .with_context(|| format!("{} does not start", self.name))?;
        self.input = child.stdin.take();
        let child = self.child.insert(child);
        let deadline = Instant::now() + STARTS_WITHIN;
        for port in &self.ports {
            while TcpStream::connect(local(*port)).await.is_err() {
                if let Some(status) = child.try_wait()? {
                    bail!(
                        "{} ended at its start ({status}); what it said is in {}",
                        self.name,
                        self.log.display()
                    );
                }
                if Instant::now() > deadline {
                    bail!(
                        "{} does not answer on port {port} after {} s",
                        self.name,
                        STARTS_WITHIN.as_secs()
                    );
                }
                sleep(Duration::from_millis(30)).await;
            }
        }
        Ok(())
    }

    /// Returns only when the child cannot be kept alive.
    async fn keep(&mut self) -> Result<()> {
        for _ in 0..RESTARTS {
            let Some(child) = &mut self.child else {
                bail!("{} was never started", self.name)
            };
            let status = child.wait().await?;
            tracing::error!(child = self.name, %status, "a server of the synthetic city died; starting it again");
            sleep(Duration::from_secs(1)).await;
            self.start().await?;
        }
        bail!("{} died {RESTARTS} times", self.name)
    }

    async fn stop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        // The cameras end with their input; mosquitto wants a signal and writes its sessions down.
        self.input = None;
        if let Some(pid) = child
            .id()
            .and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()))
        {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
        }
        if timeout(ENDS_WITHIN, child.wait()).await.is_err() {
            child.kill().await.ok();
        }
    }
}

fn mosquitto(dir: &Path, port: u16) -> Result<impl Fn() -> Command + Send + Sync + use<>> {
    let program = find("mosquitto")
        .context("mosquitto is not installed; install it: apt-get install mosquitto")?;
    let folder = dir.join("mosquitto");
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    let config = folder.join("mosquitto.conf");
    // As root, mosquitto would turn into a user that may not write here.
    std::fs::write(
        &config,
        format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\npersistence true\n\
             persistence_location {}/\nuser root\nlog_type error\nlog_dest stderr\n",
            folder.display()
        ),
    )?;
    Ok(move || {
        // It knows nothing of our death by itself.
        let mut c = Command::new("setpriv");
        c.args(["--pdeathsig", "KILL"])
            .arg(&program)
            .arg("-c")
            .arg(&config);
        c
    })
}

/// On PATH, or where Debian keeps server programs.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    places.map(|p| p.join(name)).find(|p| p.is_file())
}
