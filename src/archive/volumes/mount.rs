//! One volume at work: whether it is there, what ails it, how full it is.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use super::mark::{self, Entered, Mark, Refused};
use crate::archive::health::{Health, HealthState, Troubles, cause_of, disk_message, sync_message};
use crate::archive::ledger::Journal;
use crate::archive::retention::Forecast;
use crate::archive::volume::Volume;
use crate::config::{ArchiveConfig, CameraPattern};
use crate::model::{Error, GapCause, Result, UtcMicros};
use crate::store::Database;
use crate::store::database::Hold;

/// A volume with less than this above its watermark takes no other volume's cameras.
const SPARE: u64 = 64 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::archive) enum State {
    /// Its disk is not there, or is not the one we know. Nothing is read or written.
    Lost,
    /// Can be read; writing fails for another reason than a full disk.
    ReadOnly,
    Up,
}

pub(in crate::archive) struct Mount {
    /// Empty: `[archive] dir`.
    pub(in crate::archive) name: String,
    pub(in crate::archive) dir: PathBuf,
    pub(in crate::archive) volume: Arc<dyn Volume>,
    pub(in crate::archive) troubles: Arc<Troubles>,
    /// Gaps that the database could not be told yet.
    pub(in crate::archive) journal: Journal,
    pub(in crate::archive) max_bytes: u64,
    pub(in crate::archive) min_free_bytes: u64,
    /// Patterns of the cameras that belong here; empty: all that are left. `None`: only those that nobody takes.
    pub(super) takes: Option<Vec<CameraPattern>>,
    state: AtomicU8,
    /// Read back what a crash left on it, in the life of this process.
    recovered: AtomicBool,
    /// Its files can have holes.
    can_punch: AtomicBool,
    /// Nothing but held recordings would fit: it takes no more.
    full: AtomicBool,
    forecast: Mutex<Option<Forecast>>,
    /// The holds that the forecast knew.
    holds: Mutex<Vec<Hold>>,
    /// End of the newest recording that went for want of space; `i64::MIN`: none.
    taken: AtomicI64,
    bytes: AtomicU64,
    /// As told last; `u64::MAX`: never.
    free: AtomicU64,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    mark: Option<Mark>,
    /// Held while this process uses the folder.
    _lock: Option<File>,
}

impl Mount {
    pub(super) fn new(name: String, dir: PathBuf, volume: Arc<dyn Volume>) -> Self {
        Self {
            journal: Journal::new(&dir),
            name,
            dir,
            volume,
            troubles: Arc::default(),
            max_bytes: 0,
            min_free_bytes: 0,
            takes: None,
            state: AtomicU8::new(0),
            recovered: AtomicBool::new(false),
            can_punch: AtomicBool::new(false),
            full: AtomicBool::new(false),
            forecast: Mutex::default(),
            holds: Mutex::default(),
            taken: AtomicI64::new(i64::MIN),
            bytes: AtomicU64::new(0),
            free: AtomicU64::new(u64::MAX),
            seen: Mutex::default(),
        }
    }

    pub(super) fn default_one(
        config: &ArchiveConfig,
        dir: PathBuf,
        volume: Arc<dyn Volume>,
    ) -> Self {
        Self {
            max_bytes: config.max_bytes,
            min_free_bytes: config.min_free_bytes,
            ..Self::new(String::new(), dir, volume)
        }
    }

    /// What paths of its files begin with in the index.
    pub(in crate::archive) fn prefix(&self) -> String {
        if self.name.is_empty() {
            String::new()
        } else {
            format!("@{}/", self.name)
        }
    }

    /// For people and metrics.
    pub(in crate::archive) fn label(&self) -> &str {
        if self.name.is_empty() {
            "default"
        } else {
            &self.name
        }
    }

    pub(in crate::archive) fn state(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            2 => State::Up,
            1 => State::ReadOnly,
            _ => State::Lost,
        }
    }

    pub(in crate::archive) fn set_state(&self, state: State) {
        let n = match state {
            State::Lost => 0,
            State::ReadOnly => 1,
            State::Up => 2,
        };
        self.state.store(n, Ordering::Release);
    }

    pub(in crate::archive) fn readable(&self) -> bool {
        self.state() != State::Lost
    }

    pub(in crate::archive) fn is_recovered(&self) -> bool {
        self.recovered.load(Ordering::Acquire)
    }

    pub(in crate::archive) fn set_recovered(&self) {
        self.recovered.store(true, Ordering::Release);
    }

    pub(in crate::archive) fn can_punch(&self) -> bool {
        self.can_punch.load(Ordering::Relaxed)
    }

    pub(in crate::archive) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    pub(in crate::archive) fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    pub(in crate::archive) fn forecast(&self) -> Option<Forecast> {
        let known = self.forecast.lock().unwrap_or_else(PoisonError::into_inner);
        known.clone()
    }

    /// Whether these holds are those of the last call.
    pub(in crate::archive) fn holds_seen(&self, holds: &[Hold]) -> bool {
        let mut seen = self.holds.lock().unwrap_or_else(PoisonError::into_inner);
        let same = *seen == holds;
        if !same {
            *seen = holds.to_vec();
        }
        same
    }

    pub(in crate::archive) fn taken(&self) -> Option<UtcMicros> {
        Some(self.taken.load(Ordering::Relaxed))
            .filter(|n| *n != i64::MIN)
            .map(UtcMicros)
    }

    pub(in crate::archive) fn set_taken(&self, end: UtcMicros) {
        self.taken.fetch_max(end.micros(), Ordering::Relaxed);
    }

    /// Whether its disk is the one that was entered. Blocks.
    pub(in crate::archive) fn is_there(&self) -> bool {
        let mark = self.seen().mark;
        mark.is_some() && Mark::of(&self.dir).ok() == mark
    }

    pub(in crate::archive) fn set_forecast(&self, forecast: Forecast) {
        let mut known = self.forecast.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some(forecast);
    }

    pub(in crate::archive) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(in crate::archive) fn set_bytes(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    pub(in crate::archive) fn grew(&self, by: u64) {
        self.bytes.fetch_add(by, Ordering::Relaxed);
    }

    pub(in crate::archive) fn shrank(&self, by: u64) {
        let less = |n: u64| Some(n.saturating_sub(by));
        self.bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .ok();
    }

    pub(in crate::archive) fn free(&self) -> Option<u64> {
        Some(self.free.load(Ordering::Relaxed)).filter(|n| *n != u64::MAX)
    }

    /// Asks the disk. Blocks.
    pub(in crate::archive) fn ask_free(&self) -> std::io::Result<u64> {
        let free = self.volume.free_bytes()?;
        self.free.store(free, Ordering::Relaxed);
        Ok(free)
    }

    /// Whether it can take the cameras of another one for a while.
    pub(super) fn has_room(&self) -> bool {
        let enough = self.min_free_bytes.saturating_add(SPARE);
        self.free().is_none_or(|free| free > enough)
    }

    pub(in crate::archive) fn health(&self) -> Health {
        let mut health = self.troubles.health();
        if self.state() == State::Lost && health.state == HealthState::Ok {
            health.state = HealthState::Paused;
        }
        if let (Some(message), false) = (&mut health.message, self.name.is_empty()) {
            *message = format!("volume {}: {message}", self.name);
        }
        health
    }

    /// Takes it into use; returns what it is good for. Not there: `None`, its troubles say so. Error: another process uses
    /// it, or no database.
    pub(in crate::archive) async fn enter(
        self: &Arc<Self>,
        db: &Database,
        now: UtcMicros,
    ) -> Result<Option<State>> {
        let known = db.archive_volume(&self.name).await?;
        let mount = Arc::clone(self);
        let work = tokio::task::spawn_blocking(move || mount.enter_now(known));
        let failed = |e| {
            Error::internal("archive_start", "the archive's folder could not be checked").because(e)
        };
        match work.await.map_err(failed)? {
            Ok((id, state)) => {
                if known != Some(id) {
                    db.put_archive_volume(&self.name, id, now).await?;
                }
                self.troubles.away(None);
                self.set_full(false);
                Ok(Some(state))
            }
            Err(Refused::NotThere(message)) => {
                self.set_full(false);
                self.is_away(&message);
                Ok(None)
            }
            Err(Refused::NoRoom(message)) => {
                self.set_full(true);
                self.is_away(&message);
                Ok(None)
            }
            Err(Refused::InUse) => Err(Error::conflict(
                "archive_in_use",
                format!(
                    "another process uses the archive in {}; stop it, or give this one a folder of its own",
                    self.dir.display()
                ),
            )),
        }
    }

    fn is_away(&self, message: &str) {
        if self.troubles.away(Some(message.to_owned())) {
            tracing::error!(volume = self.label(), "{message}");
        }
    }

    fn enter_now(&self, known: Option<Uuid>) -> std::result::Result<(Uuid, State), Refused> {
        // A lock of our own from before would be in our way.
        *self.seen() = Seen::default();
        let Entered { id, mark, lock } = mark::enter(&self.dir, self.name.is_empty(), known)?;
        *self.seen() = Seen {
            mark: Some(mark),
            _lock: lock,
        };
        self.volume.guard(mark);
        self.ask_free().ok();
        Ok((id, self.probe()))
    }

    /// Writes a few bytes to know now and not at the first picture whether it can. Blocks.
    fn probe(&self) -> State {
        let probe = Path::new("archive.probe");
        self.volume.remove(probe).ok();
        let written = self
            .volume
            .create(probe)
            .and_then(|file| file.write_at(&[0; 4096], 0).map(|()| file));
        if written.is_ok() {
            let holes = self.volume.punch(probe, 0..4096, b"hole").is_ok();
            self.can_punch.store(holes, Ordering::Relaxed);
        }
        let state = match written.map(|file| file.sync()) {
            Ok(Ok(())) => State::Up,
            Ok(Err(e)) => {
                let message = sync_message(&self.dir, &e);
                if self.troubles.sync(Some(message.clone())) {
                    tracing::error!(error = %e, "{message}");
                }
                State::ReadOnly
            }
            Err(e) => {
                let message = disk_message(&self.dir, &e);
                if self.troubles.disk(Some(message.clone())) {
                    tracing::error!(error = %e, "{message}");
                }
                // A full disk is mended by retention, not by going elsewhere.
                if cause_of(&e) == GapCause::DiskFull {
                    State::Up
                } else {
                    State::ReadOnly
                }
            }
        };
        self.volume.remove(probe).ok();
        state
    }

    /// Looks whether it is still there, and, if something ailed it, whether it can be written again. Blocks.
    pub(super) fn look(&self) {
        let mark = self.seen().mark;
        if Mark::of(&self.dir).ok() != mark {
            return self.lose(format!(
                "the disk of {} is gone; mount it again; its cameras record to another volume meanwhile, if there is one",
                self.dir.display()
            ));
        }
        self.ask_free().ok();
        let before = self.state();
        let state = if before != State::Up || self.troubles.is_writing_bad() {
            self.probe()
        } else {
            State::Up
        };
        if state == State::Up && before == State::ReadOnly {
            self.troubles.disk(None);
            tracing::info!(volume = self.label(), "the volume can be written again");
        }
        self.troubles.away(None);
        self.set_state(state);
    }

    pub(super) fn does_not_answer(&self) {
        self.lose(format!(
            "the disk of {} does not answer; check its cables and its log; its cameras record to another volume meanwhile, if \
             there is one",
            self.dir.display()
        ));
    }

    fn lose(&self, message: String) {
        self.set_state(State::Lost);
        if self.troubles.away(Some(message.clone())) {
            tracing::error!(volume = self.label(), "{message}");
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
