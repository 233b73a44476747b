//! The real binary, with a configuration and a folder of its own.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::servers::{free_port, program};

pub const BINARY: &str = env!("CARGO_BIN_EXE_zhenbei");

/// Waits for a condition; panics with what was seen last when it does not come true in time.
pub async fn eventually<T, F>(what: &str, patience: Duration, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, String>>,
{
    let give_up = Instant::now() + patience;
    loop {
        match look().await {
            Ok(value) => return value,
            Err(seen) => assert!(
                Instant::now() < give_up,
                "{what} did not happen in {patience:?}; last seen: {seen}"
            ),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub struct Daemon {
    child: Child,
    pub dir: Arc<TempDir>,
    pub config: PathBuf,
    pub port: u16,
    token: String,
    http: reqwest::Client,
    log: Arc<Mutex<String>>,
}

impl Daemon {
    /// Starts with `extra` lines of configuration and waits until it is ready.
    pub async fn start(extra: &str) -> Self {
        Self::start_with_site(extra, "").await
    }

    /// Applies `site` before the start, so that cameras are there from the first moment.
    pub async fn start_with_site(extra: &str, site: &str) -> Self {
        let dir = Arc::new(TempDir::new().unwrap());
        let (config, port, token) = Self::prepare(&dir, extra, site);
        Self::spawn(dir, config, port, token).await
    }

    /// Configuration, site, a person and their token.
    fn prepare(dir: &TempDir, extra: &str, site: &str) -> (PathBuf, u16, String) {
        let port = free_port();
        let config = dir.path().join("zhenbei.toml");
        let text = format!(
            "[http]\nlisten = \"127.0.0.1:{port}\"\n[data]\ndir = \"{}\"\n{extra}\n",
            dir.path().join("data").display()
        );
        std::fs::write(&config, text).unwrap();
        if !site.is_empty() {
            apply(&config, site);
        }
        run(
            &config,
            &["user", "add", "tester", "--role", "admin"],
            Some("correct horse battery\n"),
        );
        let token = run(&config, &["token", "--user", "tester"], None)
            .trim()
            .to_owned();
        (config, port, token)
    }

    /// The archive lies on a disk of its own that has no byte left.
    pub async fn start_with_full_archive(site: &str) -> Self {
        let dir = Arc::new(TempDir::new().unwrap());
        let archive = dir.path().join("archive");
        std::fs::create_dir(&archive).unwrap();
        let (config, port, token) = Self::prepare(
            &dir,
            &format!("[archive]\ndir = \"{}\"\n", archive.display()),
            site,
        );
        // A mount of its own name space: needs no clean-up, and no root where the kernel lets users make name spaces.
        let script = "mount -t tmpfs -o size=256k none \"$1\" && { cat /dev/zero > \"$1/ballast\" 2>/dev/null; \
                      exec \"$2\" run --config \"$3\"; }";
        let mut command = Command::new(program("unshare", "util-linux"));
        if !rustix::process::geteuid().is_root() {
            command.arg("--map-root-user");
        }
        command
            .args(["--mount", "sh", "-c", script, "sh"])
            .arg(&archive)
            .arg(BINARY)
            .arg(&config);
        Self::spawn_command(command, dir, config, port, token).await
    }

    async fn spawn(dir: Arc<TempDir>, config: PathBuf, port: u16, token: String) -> Self {
        let mut command = Command::new(BINARY);
        command.arg("run").arg("--config").arg(&config);
        Self::spawn_command(command, dir, config, port, token).await
    }

    async fn spawn_command(
        mut command: Command,
        dir: Arc<TempDir>,
        config: PathBuf,
        port: u16,
        token: String,
    ) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        let log = Arc::new(Mutex::new(String::new()));
        let (kept, stderr) = (Arc::clone(&log), child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut log = kept.lock().unwrap();
                if log.len() < 4 << 20 {
                    log.push_str(&line);
                    log.push('\n');
                }
            }
        });
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(30))
            .build()
            .unwrap();
        let daemon = Self {
            child,
            dir,
            config,
            port,
            token,
            http,
            log,
        };
        eventually("the daemon is ready", Duration::from_secs(30), || async {
            match daemon
                .http
                .get(format!("http://127.0.0.1:{port}/readyz"))
                .send()
                .await
            {
                Ok(r) if r.status().is_success() => Ok(()),
                Ok(r) => Err(r.status().to_string()),
                Err(e) => Err(format!("{e}; log: {}", daemon.log())),
            }
        })
        .await;
        daemon
    }

    /// SIGKILL, then the same binary on the same folder and port.
    pub async fn kill_and_restart(mut self) -> Self {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let (dir, config, port, token) = (
            Arc::clone(&self.dir),
            self.config.clone(),
            self.port,
            self.token.clone(),
        );
        drop(self);
        Self::spawn(dir, config, port, token).await
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/api/v1{path}", self.port)
    }

    /// A GET that may still get headers.
    pub fn authorized(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.get(self.url(path)).bearer_auth(&self.token)
    }

    pub async fn request(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<&Value>,
    ) -> reqwest::Response {
        let mut request = self
            .http
            .request(method, self.url(path))
            .bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        request
            .send()
            .await
            .unwrap_or_else(|e| panic!("{path}: {e}; log: {}", self.log()))
    }

    /// Status and JSON body.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        let response = self.request(reqwest::Method::GET, path, None).await;
        (
            response.status().as_u16(),
            response.json().await.unwrap_or(Value::Null),
        )
    }

    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let response = self.request(reqwest::Method::POST, path, Some(body)).await;
        (
            response.status().as_u16(),
            response.json().await.unwrap_or(Value::Null),
        )
    }

    pub async fn bytes(&self, path: &str) -> (u16, Vec<u8>) {
        let response = self.request(reqwest::Method::GET, path, None).await;
        (
            response.status().as_u16(),
            response.bytes().await.unwrap().to_vec(),
        )
    }

    /// Waits until the camera is in `state` and returns it.
    pub async fn camera_in_state(&self, id: &str, state: &str, patience: Duration) -> Value {
        eventually(&format!("camera {id} is {state}"), patience, || async {
            let (_, camera) = self.get(&format!("/cameras/{id}")).await;
            if camera["state"] == state {
                Ok(camera)
            } else {
                Err(format!("{camera}; log: {}", self.log()))
            }
        })
        .await
    }

    /// SIGTERM and wait.
    pub fn stop(mut self) -> (Option<i32>, String) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = self.child.wait().unwrap();
        std::thread::sleep(Duration::from_millis(100));
        (status.code(), self.log())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Runs a command of the binary to its end; panics with its words if it fails.
pub fn run(config: &Path, args: &[&str], stdin: Option<&str>) -> String {
    let (code, out, err) = run_any(config, args, stdin);
    assert_eq!(code, Some(0), "{args:?} failed: {out}{err}");
    out
}

pub fn run_any(config: &Path, args: &[&str], stdin: Option<&str>) -> (Option<i32>, String, String) {
    let (command, rest) = args.split_first().unwrap();
    let mut all = vec![*command];
    // `user add` has a word of its own before the flags.
    let rest = if *command == "user" {
        all.push(rest[0]);
        &rest[1..]
    } else {
        rest
    };
    let mut child = Command::new(BINARY)
        .args(all)
        .arg("--config")
        .arg(config)
        .args(rest)
        .stdin(if stdin.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    if let Some(text) = stdin {
        use std::io::Write as _;
        child
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
    }
    let (mut out, mut err) = (String::new(), String::new());
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut out)
        .unwrap();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut err)
        .unwrap();
    (child.wait().unwrap().code(), out, err)
}

pub fn apply(config: &Path, site: &str) -> String {
    let file = config.with_file_name("site.toml");
    std::fs::write(&file, site).unwrap();
    run(config, &["apply", file.to_str().unwrap()], None)
}

/// A `[[cameras]]` table.
pub fn camera_toml(id: &str, main: &str) -> String {
    format!(
        "[[cameras]]\nid = \"{id}\"\nname = \"{id}\"\nlon = 109.7345\nlat = 38.2852\narea = \"610802\"\nmain = \"{main}\"\nrecord = true\n"
    )
}

pub fn open_case_body() -> Value {
    json!({
        "title": "渣土撒漏", "occurred_from": "2026-01-01T08:00:00Z", "lon": 109.7345, "lat": 38.2852, "source": "video",
    })
}
