//! The audit log: an entry is committed before the act and closed after it.
//!
//! An entry that is never closed (a crash, a caller that went away) stays `open`: the attempt is on record either way.

use std::future::Future;
use std::sync::Arc;

use super::{Actor, Permission};
use crate::model::{Clock, Error, ErrorKind, Result};
use crate::store::Database;
use crate::store::database::{AuditFilter, AuditRow, NewAuditRow};
use crate::telemetry::{self, Metric};

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $word:literal),+ $(,)?) => {
        /// What was done. A closed list, so that the log can be searched and counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Action { $($(#[$doc])* $name),+ }

        impl Action {
            pub const ALL: &[Self] = &[$(Self::$name),+];

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word),+ }
            }
        }
    };
}

actions! {
    SignIn = "sign_in",
    SignOut = "sign_out",
    UserAdd = "user_add",
    UserChange = "user_change",
    PasswordChange = "password_change",
    TokenAdd = "token_add",
    TokenRevoke = "token_revoke",
    CaseOpen = "case_open",
    CaseFile = "case_file",
    CaseReject = "case_reject",
    CaseClose = "case_close",
    CaseComment = "case_comment",
    /// An exhibit is asked for…
    Attach = "attach",
    /// …and copied by the daemon.
    Copy = "copy",
    /// A file of an exhibit on the screen, or as a download.
    View = "view",
    Download = "download",
    /// A whole case as a bundle.
    Export = "export",
    LiveView = "live_view",
    RecordingView = "recording_view",
    RecordingDownload = "recording_download",
    Still = "still",
    CameraChange = "camera_change",
    VehicleChange = "vehicle_change",
    SiteApply = "site_apply",
    LayoutChange = "layout_change",
    HoldPut = "hold_put",
    HoldLift = "hold_lift",
    /// A permission was missing for something that is not recorded when it succeeds.
    Refused = "refused",
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Audit {
    db: Database,
    clock: Arc<dyn Clock>,
}

impl Audit {
    pub fn new(db: Database, clock: Arc<dyn Clock>) -> Self {
        Self { db, clock }
    }

    /// Commits the entry; only then may the act begin.
    pub async fn begin(
        &self,
        actor: &Actor,
        action: Action,
        object: &str,
        purpose: &str,
    ) -> Result<Entry> {
        let row = NewAuditRow {
            time: self.clock.now(),
            actor: shortened(&actor.name, 100),
            user_id: actor.user.map(|u| u.to_string()),
            role: actor.role_word().into(),
            axis: actor.axis_word().into(),
            session: actor.session_word(),
            client: actor.client.map(|c| c.to_string()),
            action: action.as_str().into(),
            object: shortened(object, 300),
            purpose: shortened(purpose, 500),
        };
        let seq = self.db.open_audit(&row).await?;
        Ok(Entry {
            audit: self.clone(),
            seq,
        })
    }

    /// For calls that are not recorded when they succeed: passes who may, records who may not.
    pub async fn check(&self, actor: &Actor, permission: Permission, what: &str) -> Result<()> {
        match actor.need(permission, what) {
            Ok(()) => Ok(()),
            refused @ Err(_) => {
                let object = format!("{} {what}", permission.as_str());
                self.begin(actor, Action::Refused, &object, "")
                    .await?
                    .settle(refused)
                    .await
            }
        }
    }

    /// Newest first. Who may not read the log may read their own entries.
    pub async fn list(&self, actor: &Actor, query: &AuditQuery) -> Result<AuditPage> {
        let own = query.actor.as_deref() == Some(&*actor.name);
        if !own {
            self.check(actor, Permission::AuditRead, "entries of others")
                .await?;
        }
        let before = match query.cursor.as_deref() {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| {
                Error::invalid(
                    "bad_cursor",
                    format!("`{text}` is not a cursor this list gave out"),
                )
            })?),
        };
        let limit = i64::from(query.limit.clamp(1, 500));
        // One more than asked for tells whether there is a next page.
        let filter = AuditFilter {
            actor: query.actor.clone(),
            action: query.action.clone(),
            before,
            limit: limit + 1,
        };
        let mut rows = self.db.audit(&filter).await?;
        let more = i64::try_from(rows.len()).unwrap_or(i64::MAX) > limit;
        if more {
            rows.pop();
        }
        let next = rows.last().filter(|_| more).map(|r| r.seq.to_string());
        Ok(AuditPage { rows, next })
    }
}

#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    pub actor: Option<String>,
    pub action: Option<String>,
    /// As an earlier page gave it.
    pub cursor: Option<String>,
    /// 1 to 500.
    pub limit: u16,
}

#[derive(Debug)]
pub struct AuditPage {
    pub rows: Vec<AuditRow>,
    pub next: Option<String>,
}

/// An act that has begun. Close it with one of its methods; dropped, it stays `open` on record.
#[must_use = "close the entry with the outcome of the act"]
pub struct Entry {
    audit: Audit,
    seq: i64,
}

impl Entry {
    pub fn seq(&self) -> i64 {
        self.seq
    }

    pub async fn ok(self) {
        self.close("ok", None).await;
    }

    pub async fn denied(self, detail: &str) {
        self.close("denied", Some(detail)).await;
    }

    pub async fn failed(self, detail: &str) {
        self.close("failed", Some(detail)).await;
    }

    /// Closes with what came of the act and hands it back.
    pub async fn settle<T>(self, result: Result<T>) -> Result<T> {
        match &result {
            Ok(_) => self.ok().await,
            Err(e) if matches!(e.kind(), ErrorKind::Forbidden | ErrorKind::Unauthenticated) => {
                self.denied(&format!("{}: {}", e.code(), e.detail())).await;
            }
            Err(e) => self.failed(&format!("{}: {}", e.code(), e.detail())).await,
        }
        result
    }

    async fn close(self, outcome: &'static str, detail: Option<&str>) {
        telemetry::count(Metric::AuditEntries, &[("outcome", outcome)], 1);
        let detail = detail.map(|d| shortened(d, 500));
        let now = self.audit.clock.now();
        // The act has happened: an error here must not look like an error of the act. The entry stays `open`.
        match self
            .audit
            .db
            .close_audit(self.seq, outcome, detail.as_deref(), now)
            .await
        {
            Ok(true) => {}
            Ok(false) => tracing::error!(seq = self.seq, outcome, "audit entry was closed before"),
            Err(e) => {
                tracing::error!(seq = self.seq, outcome, error = %e.chain(), "audit entry stays open");
            }
        }
    }
}

/// Writes the entry, acts, closes the entry. Check permissions inside the act, so that a refusal is on record.
pub async fn audited<T>(
    audit: &Audit,
    actor: &Actor,
    action: Action,
    object: &str,
    purpose: &str,
    act: impl Future<Output = Result<T>>,
) -> Result<T> {
    let entry = audit.begin(actor, action, object, purpose).await?;
    let result = act.await;
    entry.settle(result).await
}

/// The first `most` characters: what callers write must not fill the log.
fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
