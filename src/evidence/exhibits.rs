//! The service: ask for an exhibit, look at it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{broadcast, mpsc};

use super::copier::Copier;
use super::derived;
use super::files::Seen;
use super::request::{MOST_FIXES, NewExhibit, Subject, no_positions, too_many_fixes};
use super::sources::Sources;
use crate::access::{Action, Actor, Audit, Permission};
use crate::model::{
    Case, CaseEvent, CaseId, CaseState, Clock, Error, ErrorKind, Exhibit, ExhibitId, ExhibitState,
    Result, StreamKey,
};
use crate::store::database::{CaseChange, ExhibitOrigin};
use crate::store::{BlobName, Blobs, Database};

/// Exhibits waiting to be copied; beyond it people are told to wait.
const WAITING: usize = 256;

/// What this room stands on.
#[derive(Clone)]
pub struct Parts {
    pub db: Database,
    pub audit: Audit,
    pub blobs: Arc<dyn Blobs>,
    pub sources: Arc<dyn Sources>,
    pub clock: Arc<dyn Clock>,
    /// Where changes of cases are told, from the case file room.
    pub changes: broadcast::Sender<CaseChange>,
    /// A folder of this room alone, for what is being made; emptied at the start.
    pub scratch: PathBuf,
}

/// Since the start of the daemon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub ready: u64,
    pub failed: u64,
    pub bytes: u64,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Exhibits(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) parts: Parts,
    pub(super) queue: mpsc::Sender<ExhibitId>,
    pub(super) derive_queue: mpsc::Sender<ExhibitId>,
    /// Tells that an exhibit is no longer `working`.
    pub(super) settled: broadcast::Sender<ExhibitId>,
    pub(super) seen: Seen,
    pub(super) ready: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) bytes: AtomicU64,
}

impl Exhibits {
    /// The service, and what does the copying: run that until stop.
    pub fn new(parts: Parts) -> (Self, Copier) {
        let (queue, waiting) = mpsc::channel(WAITING);
        let (derive_queue, underived) = mpsc::channel(derived::WAITING);
        let inner = Arc::new(Inner {
            parts,
            queue,
            derive_queue,
            settled: broadcast::Sender::new(WAITING),
            seen: Seen::default(),
            ready: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        });
        (Self(inner.clone()), Copier::new(inner, waiting, underived))
    }

    pub fn counts(&self) -> Counts {
        Counts {
            ready: self.0.ready.load(Ordering::Relaxed),
            failed: self.0.failed.load(Ordering::Relaxed),
            bytes: self.0.bytes.load(Ordering::Relaxed),
        }
    }

    /// Asks for an exhibit. Returns it `working`; the copy follows by itself, also over a restart.
    pub async fn attach(&self, actor: &Actor, case: CaseId, new: NewExhibit) -> Result<Exhibit> {
        let object = format!(
            "case/{case} {} {}..{}",
            new.subject.words(),
            new.range.from,
            new.range.to
        );
        let audit = &self.0.parts.audit;
        let entry = audit
            .begin(actor, Action::Attach, &object, new.purpose.trim())
            .await?;
        let attached = self.attach_recorded(actor, case, new, entry.seq()).await;
        entry.settle(attached).await
    }

    async fn attach_recorded(
        &self,
        actor: &Actor,
        case: CaseId,
        new: NewExhibit,
        audit_seq: i64,
    ) -> Result<Exhibit> {
        let parts = &self.0.parts;
        let now = parts.clock.now();
        actor.need(Permission::ExhibitAttach, &format!("case/{case}"))?;
        match &new.subject {
            Subject::Camera { camera, .. } => {
                actor.need_recorded(new.range.from, now, camera.as_str())?;
            }
            Subject::Vehicle(v) => actor.need(Permission::PositionView, v.as_str())?,
        }
        new.check(now)?;
        let case = self.case(case).await?;
        if !takes_exhibits(case.state) {
            return Err(takes_no_more(&case));
        }
        let place = self.0.queue.try_reserve().map_err(|_| {
            Error::new(
                ErrorKind::TooMuch,
                "too_many_exhibits",
                format!("{WAITING} exhibits wait to be copied already; try again in a few minutes"),
            )
        })?;
        self.something_is_there(&new).await?;
        let (camera, stream, vehicle) = match new.subject.clone() {
            Subject::Camera { camera, stream } => (Some(camera), Some(stream), None),
            Subject::Vehicle(v) => (None, None, Some(v)),
        };
        let exhibit = Exhibit {
            id: ExhibitId::generate(),
            case: case.id,
            kind: new.subject.kind(),
            state: ExhibitState::Working,
            error: None,
            camera,
            stream,
            vehicle,
            requested: new.range,
            delivered: None,
            gaps: Vec::new(),
            purpose: new.purpose.trim().to_owned(),
            created_by: actor.name.to_string(),
            created_at: now,
            files: Vec::new(),
            derived_from: None,
            recipe: None,
            fragments: None,
        };
        let origin = ExhibitOrigin {
            role: actor.role_word().into(),
            audit_seq,
        };
        let event = CaseEvent {
            time: now,
            actor: actor.name.to_string(),
            action: "attach".into(),
            text: format!(
                "{} {}: {}",
                exhibit.kind.as_str(),
                exhibit.id,
                exhibit.purpose
            ),
        };
        if !parts.db.add_exhibit(&exhibit, &origin, &event).await? {
            return Err(takes_no_more(&self.case(case.id).await?));
        }
        place.send(exhibit.id);
        self.0.announce(&case);
        Ok(exhibit)
    }

    /// Refuses at once what would fail later: a range without a picture or position.
    async fn something_is_there(&self, new: &NewExhibit) -> Result<()> {
        let sources = &self.0.parts.sources;
        match &new.subject {
            Subject::Camera { camera, stream } => {
                sources
                    .has_footage(&StreamKey::new(camera.clone(), *stream), new.range)
                    .await
            }
            Subject::Vehicle(v) => {
                let fixes = sources.track(v, new.range, MOST_FIXES + 1).await?;
                if fixes.len() > MOST_FIXES {
                    return Err(too_many_fixes());
                }
                if fixes.is_empty() {
                    return Err(no_positions(v, new.range));
                }
                Ok(())
            }
        }
    }

    /// The exhibits of a case in the order they were attached.
    pub async fn list(&self, actor: &Actor, case: CaseId) -> Result<Vec<Exhibit>> {
        let parts = &self.0.parts;
        parts
            .audit
            .check(actor, Permission::CaseRead, &format!("case/{case}"))
            .await?;
        self.case(case).await?;
        parts.db.exhibits(case).await
    }

    pub async fn get(&self, actor: &Actor, case: CaseId, id: ExhibitId) -> Result<Exhibit> {
        let object = format!("case/{case} exhibit/{id}");
        self.0
            .parts
            .audit
            .check(actor, Permission::CaseRead, &object)
            .await?;
        self.0.exhibit(case, id).await
    }

    /// The exhibit once it is `ready` or `failed`, or as it stands after `patience`.
    pub async fn settled(
        &self,
        actor: &Actor,
        case: CaseId,
        id: ExhibitId,
        patience: Duration,
    ) -> Result<Exhibit> {
        // Listening begins before looking, so that nothing is missed in between.
        let mut settled = self.0.settled.subscribe();
        let exhibit = self.get(actor, case, id).await?;
        if exhibit.state != ExhibitState::Working {
            return Ok(exhibit);
        }
        let wait = async {
            loop {
                match settled.recv().await {
                    Ok(other) if other != id => {}
                    Ok(_) | Err(_) => break,
                }
            }
        };
        match tokio::time::timeout(patience, wait).await {
            Ok(()) => self.get(actor, case, id).await,
            Err(_) => Ok(exhibit),
        }
    }

    pub(super) async fn case(&self, id: CaseId) -> Result<Case> {
        self.0.case(id).await
    }
}

impl Inner {
    pub(super) async fn case(&self, id: CaseId) -> Result<Case> {
        self.parts
            .db
            .case(id)
            .await?
            .ok_or_else(|| Error::not_found("not_found", format!("no case has the id `{id}`")))
    }

    pub(super) async fn exhibit(&self, case: CaseId, id: ExhibitId) -> Result<Exhibit> {
        let found = self.parts.db.exhibit(id).await?;
        found
            .map(|(x, _)| x)
            .filter(|x| x.case == case)
            .ok_or_else(|| {
                Error::not_found("not_found", format!("case {case} has no exhibit `{id}`"))
            })
    }

    pub(super) fn announce(&self, case: &Case) {
        let change = CaseChange {
            id: case.id,
            no: case.no.clone(),
            state: case.state,
        };
        // Nobody watching is no error.
        drop(self.parts.changes.send(change));
    }
}

/// Where a file of an exhibit lies in evidence storage.
pub(super) fn blob(exhibit: &Exhibit, file: &str) -> Result<BlobName> {
    BlobName::new(&format!("{}/{file}", folder(exhibit)))
}

pub(super) fn folder(exhibit: &Exhibit) -> String {
    format!("cases/{}/{}", exhibit.case, exhibit.id)
}

pub(super) const fn takes_exhibits(state: CaseState) -> bool {
    matches!(state, CaseState::Reported | CaseState::Filed)
}

pub(super) fn takes_no_more(case: &Case) -> Error {
    Error::conflict(
        "wrong_state",
        format!(
            "case {} is {} and takes no more exhibits; open a new case",
            case.no,
            case.state.as_str()
        ),
    )
}
