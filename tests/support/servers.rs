//! PostgreSQL, Redis and mosquitto as child processes.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A port nobody listens on right now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// Where a program is: on PATH, or where Debian keeps server programs.
pub fn program(name: &str, package: &str) -> PathBuf {
    let mut places: Vec<PathBuf> =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        places.extend(versions.flatten().map(|v| v.path().join("bin")));
    }
    places.extend(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    places.into_iter().map(|p| p.join(name)).find(|p| p.is_file()).unwrap_or_else(|| {
        panic!("`{name}` is not installed; this test needs it: apt-get install {package} (or scripts/setup.sh)")
    })
}

/// Ends its process when dropped.
pub struct Server {
    child: Child,
    pub port: u16,
    name: &'static str,
}

impl Server {
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Sends SIGKILL and waits: as a power cut looks to its clients.
    pub fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    fn start(name: &'static str, port: u16, command: &mut Command) -> Self {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = child.unwrap_or_else(|e| panic!("cannot start {name}: {e}"));
        let mut server = Self { child, port, name };
        server.wait_until_it_answers();
        server
    }

    fn wait_until_it_answers(&mut self) {
        let give_up = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect_timeout(&self.addr(), Duration::from_millis(200)).is_err() {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("{} ended at its start: {status}", self.name);
            }
            assert!(
                Instant::now() < give_up,
                "{} does not answer on port {}",
                self.name,
                self.port
            );
            #[allow(
                clippy::disallowed_methods,
                reason = "waits for another process before the test begins"
            )]
            std::thread::sleep(Duration::from_millis(30));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// mosquitto with persistence in its folder. Restart on the same port and folder by `start_at`.
pub fn mosquitto() -> (Server, TempDir) {
    let dir = TempDir::new().unwrap();
    let server = mosquitto_at(free_port(), dir.path());
    (server, dir)
}

pub fn mosquitto_at(port: u16, dir: &Path) -> Server {
    let config = dir.join("mosquitto.conf");
    std::fs::write(
        &config,
        format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\nmax_queued_messages 0\n\
             persistence true\npersistence_location {}/\nautosave_interval 1\nuser root\n",
            dir.display()
        ),
    )
    .unwrap();
    Server::start(
        "mosquitto",
        port,
        Command::new(program("mosquitto", "mosquitto"))
            .arg("-c")
            .arg(config),
    )
}

pub fn redis() -> Server {
    redis_at(free_port())
}

/// Empty, without persistence: a restart has lost everything, which live state must survive.
pub fn redis_at(port: u16) -> Server {
    let mut command = Command::new(program("redis-server", "redis-server"));
    command.args([
        "--port",
        &port.to_string(),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
    ]);
    Server::start("redis-server", port, &mut command)
}

pub struct Postgres {
    server: Server,
    _dir: TempDir,
}

impl Postgres {
    pub fn url(&self) -> String {
        format!("postgres://zhenbei@127.0.0.1:{}/postgres", self.server.port)
    }

    pub fn kill(&mut self) {
        self.server.kill();
    }
}

/// A new, empty cluster. PostgreSQL refuses to run as root, so root hands it to the package's own user.
pub fn postgres() -> Postgres {
    let dir = TempDir::new().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let data = dir.path().join("data");
    let as_user = |name: &str| {
        let path = program(name, "postgresql");
        if rustix::process::geteuid().is_root() {
            let mut c = Command::new("setpriv");
            c.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
                .arg(path);
            c
        } else {
            Command::new(path)
        }
    };
    let made = as_user("initdb")
        .args([
            "--auth=trust",
            "--username=zhenbei",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
            "-D",
        ])
        .arg(&data)
        .current_dir(dir.path())
        .output()
        .expect("initdb runs");
    assert!(
        made.status.success(),
        "initdb failed: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    let port = free_port();
    let mut command = as_user("postgres");
    command
        .arg("-D")
        .arg(&data)
        .args(["-p", &port.to_string(), "-h", "127.0.0.1", "-F", "-k"])
        .arg(dir.path());
    command.current_dir(dir.path());
    Postgres {
        server: Server::start("postgres", port, &mut command),
        _dir: dir,
    }
}
