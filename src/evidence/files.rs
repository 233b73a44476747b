//! Reading the files of exhibits. A player asks for a file in many parts: that is one act of viewing, not hundreds.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::exhibits::{Exhibits, blob};
use crate::access::{Action, Actor, Permission, audited};
use crate::model::{
    CaseId, Error, Exhibit, ExhibitFile, ExhibitId, ExhibitState, Result, UtcMicros,
};
use crate::store::ByteStream;

/// Parts asked for within this time belong to one act.
const ONE_ACT_US: i64 = 10 * 60 * 1_000_000;
const ACTS_KEPT: usize = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reading {
    /// On the screen.
    View,
    /// As a file in the person's hand.
    Download,
}

pub struct OpenFile {
    pub file: ExhibitFile,
    /// The part that comes.
    pub range: Range<u64>,
    pub bytes: ByteStream,
}

/// Which acts were recorded a short while ago.
#[derive(Default)]
pub(super) struct Seen(Mutex<HashMap<(String, ExhibitId, String, Reading), UtcMicros>>);

impl Seen {
    fn lately(&self, key: &(String, ExhibitId, String, Reading), now: UtcMicros) -> bool {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(key).is_some_and(|at| is_one_act(*at, now))
    }

    fn note(&self, key: (String, ExhibitId, String, Reading), now: UtcMicros) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= ACTS_KEPT {
            held.retain(|_, at| is_one_act(*at, now));
        }
        // Full of recent ones: then this act is recorded again, rather than one too few.
        if held.len() < ACTS_KEPT {
            held.insert(key, now);
        }
    }
}

fn is_one_act(at: UtcMicros, now: UtcMicros) -> bool {
    (0..ONE_ACT_US).contains(&now.micros_since(at))
}

impl Exhibits {
    /// What is known of a file, for headers; its bytes are not touched.
    pub async fn file(
        &self,
        actor: &Actor,
        case: CaseId,
        id: ExhibitId,
        name: &str,
    ) -> Result<ExhibitFile> {
        let object = format!("case/{case} exhibit/{id}/{name}");
        self.0
            .parts
            .audit
            .check(actor, Permission::ExhibitView, &object)
            .await?;
        let exhibit = self.0.exhibit(case, id).await?;
        named(&exhibit, name).cloned()
    }

    /// Opens a file or a part of it. On record once for each session, file and way of reading within ten minutes.
    pub async fn open_file(
        &self,
        actor: &Actor,
        case: CaseId,
        id: ExhibitId,
        name: &str,
        range: Option<Range<u64>>,
        reading: Reading,
    ) -> Result<OpenFile> {
        let object = format!("case/{case} exhibit/{id}/{name}");
        let open = async {
            actor.need(Permission::ExhibitView, &object)?;
            if reading == Reading::Download {
                actor.need(Permission::RecordingDownload, &object)?;
            }
            let exhibit = self.0.exhibit(case, id).await?;
            self.open_part(&exhibit, name, range).await
        };
        let who = actor
            .session_word()
            .unwrap_or_else(|| actor.name.to_string());
        let key = (who, id, name.to_owned(), reading);
        let now = self.0.parts.clock.now();
        if self.0.seen.lately(&key, now) {
            return open.await;
        }
        let action = match reading {
            Reading::View => Action::View,
            Reading::Download => Action::Download,
        };
        let opened = audited(&self.0.parts.audit, actor, action, &object, "", open).await?;
        self.0.seen.note(key, now);
        Ok(opened)
    }

    async fn open_part(
        &self,
        exhibit: &Exhibit,
        name: &str,
        range: Option<Range<u64>>,
    ) -> Result<OpenFile> {
        let file = named(exhibit, name)?.clone();
        let range = range.unwrap_or(0..file.bytes);
        if range.start > range.end || range.end > file.bytes {
            return Err(Error::invalid(
                "bad_range",
                format!(
                    "{name} has {} bytes; {}..{} is outside",
                    file.bytes, range.start, range.end
                ),
            ));
        }
        self.undamaged_length(exhibit, &file).await?;
        let bytes = self
            .0
            .parts
            .blobs
            .read(&blob(exhibit, name)?, range.clone())
            .await?;
        Ok(OpenFile { file, range, bytes })
    }

    /// The cheap half of checking a file: its length. The bundle checks the hash.
    pub(super) async fn undamaged_length(
        &self,
        exhibit: &Exhibit,
        file: &ExhibitFile,
    ) -> Result<()> {
        let name = blob(exhibit, &file.name)?;
        match self.0.parts.blobs.len(&name).await? {
            Some(bytes) if bytes == file.bytes => Ok(()),
            found => Err(damaged(&format!(
                "{name} in evidence storage {}, not {} bytes as recorded",
                found.map_or_else(|| "is missing".to_owned(), |n| format!("has {n} bytes")),
                file.bytes
            ))),
        }
    }
}

pub(super) fn damaged(what: &str) -> Error {
    Error::internal(
        "evidence_damaged",
        format!("{what}; restore the file from a backup and tell the custodian"),
    )
}

fn named<'a>(exhibit: &'a Exhibit, name: &str) -> Result<&'a ExhibitFile> {
    match exhibit.state {
        ExhibitState::Ready => {}
        ExhibitState::Working => {
            return Err(Error::conflict(
                "not_ready",
                format!(
                    "exhibit {} is still being copied; try again in a moment",
                    exhibit.id
                ),
            ));
        }
        ExhibitState::Failed => {
            return Err(Error::conflict(
                "not_ready",
                format!(
                    "exhibit {} failed: {}",
                    exhibit.id,
                    exhibit.error.as_deref().unwrap_or("unknown")
                ),
            ));
        }
    }
    exhibit
        .files
        .iter()
        .find(|f| f.name == name)
        .ok_or_else(|| {
            let names: Vec<_> = exhibit.files.iter().map(|f| f.name.as_str()).collect();
            Error::not_found(
                "not_found",
                format!(
                    "exhibit {} has no file of that name; it has {}",
                    exhibit.id,
                    names.join(", ")
                ),
            )
        })
}
