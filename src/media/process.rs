//! The daemon's end of a worker process: starting it, talking to it, and making sure that it is gone.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::protocol::{self, Message};
use super::worker::{Role, name_of};
use crate::model::{Error, Result};

/// Between a polite request to end and SIGKILL.
pub(crate) const GRACE: Duration = Duration::from_secs(1);
/// Lines of one worker copied to the log in a second; a broken stream makes a decoder complain for every slice.
const LOG_LINES: u32 = 10;
const LOG_LINE_BYTES: usize = 500;

/// Starts processes from one thread that lives as long as the room. `PR_SET_PDEATHSIG` fires when the *thread* that
/// started the child ends, and threads of the async runtime come and go.
pub(crate) struct Spawner {
    orders: mpsc::Sender<Order>,
    alive: Alive,
}

/// Process ids of the workers that run.
type Alive = Arc<Mutex<BTreeMap<u32, Role>>>;

/// Takes its worker off the list when it is gone.
struct Listed {
    pid: u32,
    alive: Alive,
}

impl Drop for Listed {
    fn drop(&mut self) {
        locked(&self.alive).remove(&self.pid);
    }
}

fn locked(alive: &Alive) -> MutexGuard<'_, BTreeMap<u32, Role>> {
    alive.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Order {
    role: Role,
    answer: oneshot::Sender<io::Result<Child>>,
}

impl Spawner {
    /// `executable` is started as `executable worker ROLE`.
    pub(crate) fn start(executable: PathBuf) -> Result<Self> {
        let (orders, mut waiting) = mpsc::channel::<Order>(8);
        let runtime = tokio::runtime::Handle::current();
        thread::Builder::new()
            .name("media-spawner".into())
            .spawn(move || {
                while let Some(order) = waiting.blocking_recv() {
                    let _inside = runtime.enter();
                    let started = command(&executable, order.role).spawn();
                    // The one who asked has gone: the child ends with the handle.
                    drop(order.answer.send(started));
                }
            })
            .map_err(|e| {
                Error::unavailable(
                    "worker_start",
                    "no thread for starting media workers could be made: raise the limit of processes",
                )
                .because(e)
            })?;
        Ok(Self {
            orders,
            alive: Alive::default(),
        })
    }

    /// Workers that run now: what for, and their process ids.
    pub(crate) fn workers(&self) -> Vec<(Role, u32)> {
        locked(&self.alive)
            .iter()
            .map(|(pid, role)| (*role, *pid))
            .collect()
    }

    pub(crate) async fn spawn(&self, role: Role, tasks: &TaskTracker) -> Result<Worker> {
        let (answer, started) = oneshot::channel();
        let gone = || Error::unavailable("stopping", "the daemon is stopping");
        self.orders
            .send(Order { role, answer })
            .await
            .map_err(|_| gone())?;
        let child = started.await.map_err(|_| gone())?;
        let mut child = child.map_err(|e| {
            Error::unavailable(
                "worker_start",
                format!("the {} worker could not be started", role.as_str()),
            )
            .because(e)
        })?;
        let pid = child.id().unwrap_or_default();
        let (Some(input), Some(output), Some(log)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(Error::internal(
                "worker_start",
                "the pipes of a new worker are missing",
            ));
        };
        tasks.spawn(copy_log(log, role, pid));
        locked(&self.alive).insert(pid, role);
        tracing::debug!(role = role.as_str(), pid, "worker started");
        Ok(Worker {
            listed: Listed {
                pid,
                alive: Arc::clone(&self.alive),
            },
            child,
            role,
            input: WorkerInput {
                pipe: input,
                buffer: BytesMut::new(),
            },
            output: WorkerOutput {
                pipe: output,
                buffer: BytesMut::with_capacity(64 << 10),
            },
        })
    }
}

fn command(executable: &Path, role: Role) -> Command {
    let mut command = Command::new(executable);
    command
        .arg0("zhenbei")
        .args(["worker", role.as_str()])
        // A worker parses what strangers send: it does not get the passwords in the daemon's environment.
        .env_clear()
        .envs(std::env::vars_os().filter(|(name, _)| is_harmless(name)))
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

fn is_harmless(name: &OsString) -> bool {
    const NAMES: [&str; 8] = [
        "PATH",
        "HOME",
        "LANG",
        "TZ",
        "TMPDIR",
        "LD_LIBRARY_PATH",
        "XDG_CACHE_HOME",
        "XDG_RUNTIME_DIR",
    ];
    name.to_str()
        .is_some_and(|n| NAMES.contains(&n) || n.starts_with("GST_"))
}

/// One child process; dropping it kills it.
pub(crate) struct Worker {
    child: Child,
    role: Role,
    /// After `child`: off the list once it is dropped.
    #[allow(dead_code, reason = "does its work when dropped")]
    listed: Listed,
    pub(crate) input: WorkerInput,
    pub(crate) output: WorkerOutput,
}

pub(crate) struct WorkerInput {
    pipe: ChildStdin,
    buffer: BytesMut,
}

pub(crate) struct WorkerOutput {
    pipe: ChildStdout,
    buffer: BytesMut,
}

impl WorkerInput {
    pub(crate) async fn send(&mut self, message: &Message) -> io::Result<()> {
        self.buffer.clear();
        protocol::encode(message, &mut self.buffer).map_err(io::Error::other)?;
        self.pipe.write_all(&self.buffer).await
    }
}

impl WorkerOutput {
    /// The next message; `None` when the worker closed its end. Cancel-safe.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Message>> {
        loop {
            if let Some(message) = protocol::decode(&mut self.buffer).map_err(io::Error::other)? {
                return Ok(Some(message));
            }
            if self.pipe.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}

impl Worker {
    /// Asks it to end, kills it after [`GRACE`], waits until the kernel has let it go.
    pub(crate) async fn end(mut self) -> String {
        let asked = tokio::time::timeout(GRACE, async {
            // A worker that is gone already cannot be asked.
            let _gone = self.input.send(&Message::Stop).await;
            drop(self.input);
            self.child.wait().await
        })
        .await;
        match asked {
            Ok(Ok(status)) => words(status),
            Ok(Err(_)) | Err(_) => kill(self.child, self.role).await,
        }
    }

    pub(crate) async fn kill(self) -> String {
        kill(self.child, self.role).await
    }

    /// How it ended, when its pipe is closed already.
    pub(crate) async fn post_mortem(mut self) -> String {
        match tokio::time::timeout(GRACE, self.child.wait()).await {
            Ok(Ok(status)) => words(status),
            Ok(Err(_)) | Err(_) => kill(self.child, self.role).await,
        }
    }
}

async fn kill(mut child: Child, role: Role) -> String {
    if let Err(e) = child.start_kill() {
        tracing::warn!(role = role.as_str(), error = %e, "a worker could not be killed");
    }
    match child.wait().await {
        Ok(status) => words(status),
        Err(e) => format!("it cannot be waited for: {e}"),
    }
}

fn words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => "it ended".into(),
        (Some(code), _) => format!("it ended with code {code}"),
        (None, Some(signal)) => {
            let hint = match signal {
                6 => " (abort: often the memory limit)",
                9 => " (killed)",
                11 => " (a fault in native code)",
                _ => "",
            };
            format!("it was ended by signal {signal}{hint}")
        }
        (None, None) => "it ended in an unknown way".into(),
    }
}

/// What a reply of the wrong kind is called.
pub(crate) fn unexpected(role: Role, message: &Message) -> Error {
    Error::internal(
        "worker_protocol",
        format!(
            "the {} worker answered {} where that cannot be",
            role.as_str(),
            name_of(message)
        ),
    )
}

async fn copy_log(mut log: ChildStderr, role: Role, pid: u32) {
    let mut line = Vec::with_capacity(LOG_LINE_BYTES);
    let mut piece = [0; 4096];
    let mut second = Instant::now();
    let (mut said, mut unsaid) = (0_u32, 0_u64);
    while let Ok(n @ 1..) = log.read(&mut piece).await {
        for &byte in piece.get(..n).unwrap_or_default() {
            if byte != b'\n' {
                if line.len() < LOG_LINE_BYTES {
                    line.push(byte);
                }
                continue;
            }
            if second.elapsed() >= Duration::from_secs(1) {
                if unsaid > 0 {
                    tracing::warn!(
                        role = role.as_str(),
                        pid,
                        lines = unsaid,
                        "worker said more than is kept"
                    );
                }
                (second, said, unsaid) = (Instant::now(), 0, 0);
            }
            if said < LOG_LINES {
                said += 1;
                let text = String::from_utf8_lossy(&line);
                tracing::warn!(role = role.as_str(), pid, "worker: {}", text.trim_end());
            } else {
                unsaid += 1;
            }
            line.clear();
        }
    }
    if unsaid > 0 {
        tracing::warn!(
            role = role.as_str(),
            pid,
            lines = unsaid,
            "worker said more than is kept"
        );
    }
}
