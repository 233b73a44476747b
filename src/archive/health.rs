//! Whether recording works, in one sentence for a person.

use std::io;
use std::sync::{Mutex, PoisonError};

use crate::model::GapCause;

/// The worse, the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HealthState {
    Ok,
    /// Recording goes on; something needs attention.
    Degraded,
    /// Nothing can be written. It is tried again by itself.
    Paused,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    pub state: HealthState,
    /// What is wrong and what to do.
    pub message: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Troubles(Mutex<Parts>);

#[derive(Debug, Default)]
struct Parts {
    disk: Option<String>,
    /// The disk is not there at all.
    away: Option<String>,
    /// Apart from `disk`: a write into the page cache that works says nothing about it.
    sync: Option<String>,
    /// Only held recordings are left.
    full: Option<String>,
    /// It will not hold what the law asks for.
    short: Option<String>,
    index: Option<String>,
    /// What only a restart mends.
    unindexed: Option<String>,
    retention: Option<String>,
}

impl Troubles {
    pub(super) fn disk(&self, message: Option<String>) -> bool {
        set(&mut self.lock().disk, message)
    }

    pub(super) fn away(&self, message: Option<String>) -> bool {
        set(&mut self.lock().away, message)
    }

    /// Whether the last write or sync failed.
    pub(super) fn is_writing_bad(&self) -> bool {
        let parts = self.lock();
        parts.disk.is_some() || parts.sync.is_some()
    }

    /// Only a sync that worked takes it back.
    pub(super) fn sync(&self, message: Option<String>) -> bool {
        set(&mut self.lock().sync, message)
    }

    /// Stands until the daemon is started again.
    pub(super) fn unindexed(&self, message: String) -> bool {
        set(&mut self.lock().unindexed, Some(message))
    }

    pub(super) fn index(&self, message: Option<String>) -> bool {
        set(&mut self.lock().index, message)
    }

    pub(super) fn full(&self, message: Option<String>) -> bool {
        set(&mut self.lock().full, message)
    }

    pub(super) fn short(&self, message: Option<String>) -> bool {
        set(&mut self.lock().short, message)
    }

    pub(super) fn retention(&self, message: Option<String>) -> bool {
        set(&mut self.lock().retention, message)
    }

    pub(super) fn health(&self) -> Health {
        let parts = self.lock();
        let degraded = [
            &parts.index,
            &parts.unindexed,
            &parts.retention,
            &parts.short,
        ];
        let paused = [&parts.away, &parts.full, &parts.disk, &parts.sync];
        let state = if paused.iter().any(|p| p.is_some()) {
            HealthState::Paused
        } else if degraded.iter().any(|p| p.is_some()) {
            HealthState::Degraded
        } else {
            HealthState::Ok
        };
        let said: Vec<&str> = paused
            .into_iter()
            .chain(degraded)
            .flatten()
            .map(String::as_str)
            .collect();
        Health {
            state,
            message: (!said.is_empty()).then(|| said.join("; ")),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Parts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether this is news, to be logged once.
fn set(place: &mut Option<String>, message: Option<String>) -> bool {
    let news = place.is_some() != message.is_some();
    *place = message;
    news
}

/// `ENOSPC` and `EDQUOT` are cured by freeing space; anything else is the disk.
pub(super) fn cause_of(e: &io::Error) -> GapCause {
    if matches!(
        e.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    ) {
        GapCause::DiskFull
    } else {
        GapCause::DiskError
    }
}

pub(super) fn disk_message(folder: &std::path::Path, e: &io::Error) -> String {
    let folder = folder.display();
    if cause_of(e) == GapCause::DiskFull {
        format!(
            "recording is paused: the disk of {folder} is full; free space, or lower [archive] retention_days or max_bytes; \
             it is tried again every few seconds"
        )
    } else {
        format!(
            "recording is paused: cannot write to {folder} ({e}); check that the disk is mounted, healthy and writable for \
             the daemon; it is tried again every second"
        )
    }
}

pub(super) fn sync_message(folder: &std::path::Path, e: &io::Error) -> String {
    let folder = folder.display();
    format!(
        "recording does not work: what is written to {folder} cannot be made durable ({e}) and is not kept; check the disk's \
         health and free space, and replace it if this comes back; every new file is tried again"
    )
}
