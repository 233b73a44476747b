//! Child processes of the demo: started again when they die, ended with the demo whatever ends it.
//!
//! Each has a thread of its own that starts it, waits for it and ends it. A thread and not a task: the kernel's
//! parent-death signal follows the *thread* that started a process (prctl(2), PR_SET_PDEATHSIG), and a runtime's threads
//! come and go.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::model::{Error, Result};

/// How to start a child.
pub(super) struct Recipe {
    /// For messages.
    pub(super) name: &'static str,
    pub(super) command: Command,
    /// Written to its standard input, which then stays open: its end tells the child that we are gone.
    pub(super) input: Vec<u8>,
}

/// Ends its process when dropped.
pub(super) struct Kept {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    pid: AtomicU32,
    starts: AtomicU32,
    /// Why it is not started again.
    given_up: Mutex<Option<String>>,
}

/// So many deaths in a row, each within [`SHORT_LIFE`], and it is not started again.
const SHORT_LIVES: u32 = 5;
const SHORT_LIFE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(100);
/// From asking a child to end to ending it.
const GRACE: Duration = Duration::from_secs(2);

impl Kept {
    /// Starts the child; that it cannot be started at all is an error at once.
    pub(super) fn start(recipe: Recipe) -> Result<Self> {
        let name = recipe.name;
        let state = Arc::new(State::default());
        let (stop, stopped) = sync_channel(1);
        let (first, first_started) = sync_channel(1);
        let failed = |e: &dyn std::fmt::Display| {
            Error::unavailable(
                "demo_child",
                format!("cannot start {name} of the demo: {e}"),
            )
        };
        let thread = std::thread::Builder::new()
            .name(format!("demo-{name}"))
            .spawn({
                let state = state.clone();
                move || keep(recipe, &state, &stopped, &first)
            })
            .map_err(|e| failed(&e))?;
        match first_started.recv() {
            Ok(Ok(())) => Ok(Self {
                stop: Some(stop),
                thread: Some(thread),
                state,
            }),
            Ok(Err(e)) => Err(failed(&e)),
            Err(_) => Err(failed(&"its thread ended")),
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.state.pid.load(Ordering::Relaxed)
    }

    /// How often it was started.
    pub(super) fn starts(&self) -> u32 {
        self.state.starts.load(Ordering::Relaxed)
    }

    pub(super) fn given_up(&self) -> Option<String> {
        let why = self.state.given_up.lock();
        why.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn keep(
    mut recipe: Recipe,
    state: &State,
    stopped: &Receiver<()>,
    first: &SyncSender<std::io::Result<()>>,
) {
    let mut short_lives = 0;
    let mut told = false;
    loop {
        let born = Instant::now();
        match spawn(&mut recipe) {
            Ok(mut child) => {
                state.pid.store(child.id(), Ordering::Relaxed);
                state.starts.fetch_add(1, Ordering::Relaxed);
                if !told {
                    first.send(Ok(())).ok();
                    told = true;
                }
                match wait(&mut child, stopped) {
                    None => {
                        end(&mut child);
                        return;
                    }
                    Some(how) => tracing::warn!(
                        child = recipe.name,
                        "{} of the demo ended by itself ({how}); starting it again",
                        recipe.name
                    ),
                }
            }
            Err(error) if !told => {
                first.send(Err(error)).ok();
                return;
            }
            Err(error) => tracing::warn!(child = recipe.name, %error, "cannot start it again"),
        }
        short_lives = if born.elapsed() < SHORT_LIFE {
            short_lives + 1
        } else {
            1
        };
        if short_lives >= SHORT_LIVES {
            let why = format!(
                "{} of the demo died {SHORT_LIVES} times at its start and is not started again",
                recipe.name
            );
            tracing::error!("{why}");
            *state
                .given_up
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(why);
            // Nothing more to do, but the end of the demo is still waited for.
            stopped.recv().ok();
            return;
        }
        match stopped.recv_timeout(Duration::from_millis(300) * short_lives) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn spawn(recipe: &mut Recipe) -> std::io::Result<Child> {
    // A process group of its own: Ctrl-C goes to us, and we end our children in order.
    let mut child = recipe
        .command
        .stdin(Stdio::piped())
        .process_group(0)
        .spawn()?;
    if let Some(stdin) = child.stdin.as_mut() {
        // A child that died already is found by the wait that follows.
        stdin.write_all(&recipe.input).ok();
    }
    Ok(child)
}

/// How it ended, or `None` when it is to be ended.
fn wait(child: &mut Child, stopped: &Receiver<()>) -> Option<String> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status.to_string()),
            Err(e) => return Some(e.to_string()),
            Ok(None) => {}
        }
        match stopped.recv_timeout(LOOK) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
}

/// End of input and SIGTERM first, SIGKILL after the grace.
fn end(child: &mut Child) {
    drop(child.stdin.take());
    if let Some(pid) = i32::try_from(child.id())
        .ok()
        .and_then(rustix::process::Pid::from_raw)
    {
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
    }
    let late = Instant::now() + GRACE;
    while Instant::now() < late {
        if matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().ok();
    child.wait().ok();
}
