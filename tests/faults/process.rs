//! The daemon itself, killed and started as the world does it.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use zhenbei::model::Secret;
use zhenbei::store::Database;

use crate::camera::Camera;
use crate::support::daemon::{BINARY, apply, camera_toml, eventually, run_any};
use crate::support::servers::free_port;

pub struct Process {
    dir: TempDir,
    config: PathBuf,
    archive: PathBuf,
    port: u16,
    child: Option<Child>,
    starts: usize,
}

impl Process {
    /// `archive`: where recordings go when not into the data folder.
    pub fn prepare(cameras: &[Camera], archive: Option<PathBuf>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let config = dir.path().join("zhenbei.toml");
        let archive = archive.unwrap_or_else(|| dir.path().join("archive"));
        let text = format!(
            "[http]\nlisten = \"127.0.0.1:{port}\"\n[data]\ndir = \"{}\"\n[archive]\ndir = \"{}\"\n\
             segment_ms = 10000\nmin_free_bytes = 1\n\
             [video]\nbackoff_min_ms = 100\nbackoff_max_ms = 500\nconnects_per_host = 16\n",
            dir.path().join("data").display(),
            archive.display()
        );
        std::fs::write(&config, text).unwrap();
        let site: String = cameras
            .iter()
            .map(|c| camera_toml(&c.name, &c.url()))
            .collect();
        apply(&config, &site);
        Self {
            dir,
            config,
            archive,
            port,
            child: None,
            starts: 0,
        }
    }

    pub fn archive(&self) -> PathBuf {
        self.archive.clone()
    }

    pub fn start(&mut self) {
        self.starts += 1;
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join("daemon.log"))
            .unwrap();
        let child = Command::new(BINARY)
            .arg("run")
            .arg("--config")
            .arg(&self.config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("starts");
        self.child = Some(child);
    }

    pub async fn ready(&self) {
        let http = reqwest::Client::new();
        let url = format!("http://127.0.0.1:{}/readyz", self.port);
        eventually("the daemon is ready", Duration::from_secs(60), || async {
            match http.get(&url).send().await {
                Ok(r) if r.status().is_success() => Ok(()),
                Ok(r) => Err(r.status().to_string()),
                Err(e) => Err(format!("{e}; log: {}", self.log_tail())),
            }
        })
        .await;
    }

    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        assert_eq!(
            child.try_wait().unwrap(),
            None,
            "ended by itself: {}",
            self.log_tail()
        );
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM; its exit code.
    #[allow(
        clippy::unwrap_in_result,
        reason = "None is a signal, a panic a failed test"
    )]
    pub fn stop(&mut self) -> Option<i32> {
        let mut child = self.child.take().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        child.wait().unwrap().code()
    }

    pub fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(self.dir.path().join("daemon.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// Exit code and what was found.
    pub fn fsck(&self) -> (Option<i32>, Value) {
        let (code, out, err) = run_any(&self.config, &["fsck", "--json"], None);
        let found = serde_json::from_str(&out)
            .unwrap_or_else(|e| panic!("fsck wrote no JSON ({e}): {out} {err}"));
        (code, found)
    }

    pub async fn db(&self) -> Database {
        let file = self.dir.path().join("data/zhenbei.db");
        let url = format!("sqlite:{}", file.display());
        Database::open(&Secret::new(url)).await.unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}
