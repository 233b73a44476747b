//! The worker process: native code (FFmpeg, GStreamer) at arm's length. `zhenbei worker still|transcode|ingest|derive`, started
//! only by the daemon.
//!
//! Messages come on standard input and leave on standard output; standard error is the log. The process has a memory
//! limit, never writes a core file (it would hold pictures), yields the processor to the recorder, and does not outlive
//! the daemon: the kernel ends it with its parent, and the end of standard input ends it in any case.

use std::ffi::OsString;
use std::io::{self, Read, Stdin, Stdout, Write};
use std::process::ExitCode;

use bytes::BytesMut;
use rustix::process::{Resource, Rlimit, Signal};

use super::protocol::{self, Message};
use super::{derive, ingest_worker, still, transcode_worker};

/// What a worker is for; the words of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    Still,
    Transcode,
    Ingest,
    /// Makes cuts, sheets and copies of clips; files in, files out.
    Derive,
}

impl Role {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Still => "still",
            Self::Transcode => "transcode",
            Self::Ingest => "ingest",
            Self::Derive => "derive",
        }
    }

    /// Bytes of private writable memory (`RLIMIT_DATA`) beyond what the process has at its start, which depends on the
    /// allocator. This is the limit that bites: an 8K still needs about 350 MB, a transcode of 4K about 500 MB.
    const fn memory(self) -> u64 {
        match self {
            Self::Still | Self::Ingest => 1 << 30,
            // Of a clip of a day the tables alone are some 300 MB; x265 wants the most of the rest.
            Self::Transcode | Self::Derive => 2 << 30,
        }
    }

    /// Recording goes before looking, and looking before what can wait.
    const fn nice(self) -> i32 {
        match self {
            Self::Ingest => 0,
            Self::Still | Self::Transcode => 5,
            Self::Derive => 15,
        }
    }
}

/// `RLIMIT_AS` counts reservations too: thread stacks, allocator arenas and the mapped libraries of GStreamer are some
/// gigabytes that are never touched. So it stands well above what is used and only stops a runaway.
const ADDRESS_SPACE: u64 = 16 << 30;

/// The whole of a worker process; `args` are what follows `zhenbei worker`.
pub fn worker_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let role = args.into_iter().next();
    let role = [Role::Still, Role::Transcode, Role::Ingest, Role::Derive]
        .into_iter()
        .find(|r| role.as_deref().is_some_and(|a| a == r.as_str()));
    let Some(role) = role else {
        say("zhenbei worker is started by the daemon and not meant for people");
        return ExitCode::from(2);
    };
    if let Err(e) = confine(role) {
        say(&format!("cannot set the limits of the worker: {e}"));
        return ExitCode::FAILURE;
    }
    let (input, output) = (Input::new(), Output::new());
    let served = match role {
        Role::Still => stills(input, output),
        Role::Transcode => transcode_worker::serve(input, output),
        Role::Ingest => ingest_worker::serve(input, output),
        Role::Derive => derive::serve(input, output),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            say(&e.to_string());
            ExitCode::FAILURE
        }
    }
}

/// One line on standard error, which the daemon copies to its log.
pub(crate) fn say(line: &str) {
    // Nobody is left to tell when this fails.
    let _lost = writeln!(io::stderr(), "{line}");
}

fn confine(role: Role) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let at_most = |bytes| Rlimit {
        current: Some(bytes),
        maximum: Some(bytes),
    };
    rustix::process::setrlimit(Resource::Core, at_most(0))?;
    rustix::process::setrlimit(Resource::Data, at_most(private_memory()? + role.memory()))?;
    rustix::process::setrlimit(Resource::As, at_most(ADDRESS_SPACE))?;
    match role.nice() {
        0 => {}
        nice => {
            rustix::process::nice(nice)?;
        }
    }
    Ok(())
}

/// Bytes that the kernel counts for `RLIMIT_DATA` now: `VmData` of proc(5).
fn private_memory() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmData:"));
    line.and_then(|l| l.split_whitespace().next())
        .and_then(|kb| kb.parse::<u64>().ok())
        .map(|kb| kb << 10)
        .ok_or_else(|| io::Error::other("/proc/self/status has no VmData"))
}

/// Messages from the daemon, blocking.
pub(crate) struct Input {
    stdin: Stdin,
    waiting: BytesMut,
}

/// Messages to the daemon, blocking.
pub(crate) struct Output {
    stdout: Stdout,
    buffer: BytesMut,
}

impl Input {
    fn new() -> Self {
        Self {
            stdin: io::stdin(),
            waiting: BytesMut::new(),
        }
    }

    /// The next message; `None` when the daemon closed the pipe.
    pub(crate) fn next(&mut self) -> io::Result<Option<Message>> {
        let mut piece = [0; 64 << 10];
        loop {
            if let Some(message) = protocol::decode(&mut self.waiting).map_err(io::Error::other)? {
                return Ok(Some(message));
            }
            let n = self.stdin.read(&mut piece)?;
            if n == 0 {
                return Ok(None);
            }
            self.waiting
                .extend_from_slice(piece.get(..n).unwrap_or_default());
        }
    }
}

impl Output {
    fn new() -> Self {
        Self {
            stdout: io::stdout(),
            buffer: BytesMut::new(),
        }
    }

    pub(crate) fn send(&mut self, message: &Message) -> io::Result<()> {
        self.buffer.clear();
        protocol::encode(message, &mut self.buffer).map_err(io::Error::other)?;
        self.stdout.write_all(&self.buffer)?;
        self.stdout.flush()
    }
}

fn stills(mut input: Input, mut output: Output) -> io::Result<()> {
    ffmpeg_next::init().map_err(io::Error::other)?;
    ffmpeg_next::log::set_level(ffmpeg_next::log::Level::Error);
    while let Some(message) = input.next()? {
        let name = name_of(&message);
        if message == Message::Stop {
            return Ok(());
        }
        let Message::Still {
            job,
            max_width,
            picture,
            unit,
        } = message
        else {
            return Err(io::Error::other(format!("a still worker was sent {name}")));
        };
        output.send(&match still::jpeg(&picture, &unit, max_width) {
            Ok(jpeg) => Message::StillDone {
                job,
                jpeg: jpeg.into(),
            },
            Err(why) => Message::StillRefused { job, why },
        })?;
    }
    Ok(())
}

/// The kind of a message, for the log; its content may be pictures.
pub(crate) fn name_of(message: &Message) -> &'static str {
    match message {
        Message::Still { .. } => "Still",
        Message::Pipeline { .. } => "Pipeline",
        Message::Check => "Check",
        Message::Configure(_) => "Configure",
        Message::Unit(_) => "Unit",
        Message::Ingest(_) => "Ingest",
        Message::Stop => "Stop",
        Message::StillDone { .. } => "StillDone",
        Message::StillRefused { .. } => "StillRefused",
        Message::Checked { .. } => "Checked",
        Message::Output(_) => "Output",
        Message::Failed { .. } => "Failed",
        Message::Ended => "Ended",
        Message::Derive { .. } => "Derive",
        Message::Progress { .. } => "Progress",
        Message::DeriveDone { .. } => "DeriveDone",
        Message::DeriveRefused { .. } => "DeriveRefused",
    }
}
