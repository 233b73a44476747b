//! Holds: what a person says must stay. Retention passes over it, whatever its rules say.

use std::sync::Arc;

use crate::access::{Action, Actor, Audit, Permission, audited};
use crate::model::{Clock, Error, Result, StreamKey, TimeRange};
use crate::store::Database;
use crate::store::database::Hold;

/// Holds that stand at the same time: each pass of retention looks at all of them.
const MOST: usize = 10_000;
const REASON_MAX: usize = 500;
/// A hold is about a matter, not about a camera for ever.
const LONGEST_US: i64 = 366 * 86_400 * 1_000_000;

#[derive(Clone)]
pub struct Holds {
    db: Database,
    audit: Audit,
    clock: Arc<dyn Clock>,
}

impl Holds {
    pub fn new(db: Database, audit: Audit, clock: Arc<dyn Clock>) -> Self {
        Self { db, audit, clock }
    }

    /// All that stand, oldest first.
    pub async fn list(&self, actor: &Actor) -> Result<Vec<Hold>> {
        self.audit
            .check(actor, Permission::SystemRead, "the holds")
            .await?;
        self.db.archive_holds().await
    }

    /// From now on nothing of the range is deleted. What is gone already does not come back: the coverage tells.
    pub async fn put(
        &self,
        actor: &Actor,
        stream: StreamKey,
        range: TimeRange,
        reason: &str,
    ) -> Result<Hold> {
        let object = format!("camera/{}/{}", stream.camera, stream.role);
        let said = format!("{} to {}: {}", range.from, range.to, reason.trim());
        audited(&self.audit, actor, Action::HoldPut, &object, &said, async {
            actor.need(Permission::HoldWrite, &object)?;
            let reason = reason.trim();
            if reason.is_empty() || reason.chars().count() > REASON_MAX {
                return Err(Error::invalid(
                    "bad_reason",
                    format!("say in 1 to {REASON_MAX} characters why it must stay"),
                ));
            }
            if range.micros() > LONGEST_US {
                return Err(Error::invalid(
                    "range_too_long",
                    "a hold is at most 366 days long; put several",
                ));
            }
            let streams = self.db.archive_streams().await?;
            if !streams.iter().any(|(known, _)| *known == stream) {
                return Err(Error::not_found(
                    "not_found",
                    format!("nothing was ever recorded of {stream}"),
                ));
            }
            if self.db.archive_holds().await?.len() >= MOST {
                return Err(Error::conflict(
                    "too_many_holds",
                    format!("there are {MOST} holds already; lift those that are no longer needed"),
                ));
            }
            let hold = Hold {
                id: uuid::Uuid::now_v7().to_string(),
                stream,
                range,
                reason: format!("{reason} ({})", actor.who()),
                created_at: self.clock.now(),
            };
            self.db.put_archive_hold(&hold).await?;
            Ok(hold)
        })
        .await
    }

    /// The rules apply to its range again.
    pub async fn lift(&self, actor: &Actor, id: &str) -> Result<()> {
        let object = format!("hold/{id}");
        audited(&self.audit, actor, Action::HoldLift, &object, "", async {
            actor.need(Permission::HoldWrite, &object)?;
            let holds = self.db.archive_holds().await?;
            if !holds.iter().any(|h| h.id == id) {
                return Err(Error::not_found(
                    "not_found",
                    format!("no hold has the id `{id}`"),
                ));
            }
            self.db.delete_archive_hold(id).await
        })
        .await
    }
}
