//! The service: open, list, read and act on cases.

use std::sync::Arc;

use tokio::sync::broadcast;

use super::new_case::{local_day, text};
use super::{NewCase, next, possible};
use crate::access::{Action, Actor, Audit, Permission, audited};
use crate::model::{
    Case, CaseAction, CaseEvent, CaseId, CaseSource, CaseState, Clock, Error, Exhibit, Result,
    UtcMicros,
};
use crate::store::Database;
use crate::store::database::{CaseChange, CaseFilter, CaseStep};

/// Whoever watches and falls this far behind is told so and asks for the list again.
const CHANGES_KEPT: usize = 256;
/// Tries against others who act on the same case at the same moment.
const TRIES: usize = 8;

/// Cheap to clone.
#[derive(Clone)]
pub struct Cases {
    db: Database,
    audit: Audit,
    clock: Arc<dyn Clock>,
    changes: broadcast::Sender<CaseChange>,
}

/// A case in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseListed {
    pub case: Case,
    pub exhibits: u64,
}

#[derive(Debug)]
pub struct CasePage {
    pub cases: Vec<CaseListed>,
    /// For the next page; `None` when this is the last.
    pub next: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub struct CaseQuery {
    pub state: Option<CaseState>,
    /// Found in number, title, description or address.
    pub text: Option<String>,
    /// As an earlier page gave it.
    pub cursor: Option<String>,
    /// 1 to 500.
    pub limit: u16,
}

/// A whole case.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseFile {
    pub case: Case,
    pub events: Vec<CaseEvent>,
    pub exhibits: Vec<Exhibit>,
}

impl Cases {
    pub fn new(db: Database, audit: Audit, clock: Arc<dyn Clock>) -> Self {
        Self {
            db,
            audit,
            clock,
            changes: broadcast::Sender::new(CHANGES_KEPT),
        }
    }

    /// Every change of every case from now on. Who falls behind gets `Lagged` and reads the list again.
    pub fn changes(&self) -> broadcast::Receiver<CaseChange> {
        self.changes.subscribe()
    }

    /// For the evidence room, whose exhibits change cases too.
    pub fn announcer(&self) -> broadcast::Sender<CaseChange> {
        self.changes.clone()
    }

    pub async fn open(&self, actor: &Actor, new: NewCase) -> Result<CaseFile> {
        let id = CaseId::generate();
        audited(
            &self.audit,
            actor,
            Action::CaseOpen,
            &format!("case/{id}"),
            "",
            async {
                actor.need(Permission::CaseOpen, "a new case")?;
                let now = self.clock.now();
                new.check(now)?;
                let mut case = Case {
                    id,
                    no: String::new(),
                    title: new.title.trim().to_owned(),
                    description: new.description.trim().to_owned(),
                    category: new.category.trim().to_owned(),
                    state: CaseState::Reported,
                    source: new.source.unwrap_or(CaseSource::Other),
                    occurred_from: new.occurred_from,
                    occurred_to: new.occurred_to,
                    place: new.place,
                    address: new.address.trim().to_owned(),
                    area: new.area.clone(),
                    opened_by: actor.name.to_string(),
                    opened_at: now,
                    filed_by: None,
                    closed_by: None,
                    closed_at: None,
                    revision: 1,
                };
                let event = self.event(actor, "open", "");
                case.no = self.db.open_case(&case, &local_day(now)?, &event).await?;
                self.announce(&case);
                Ok(CaseFile {
                    case,
                    events: vec![event],
                    exhibits: Vec::new(),
                })
            },
        )
        .await
    }

    /// Newest first.
    pub async fn list(&self, actor: &Actor, query: &CaseQuery) -> Result<CasePage> {
        self.audit
            .check(actor, Permission::CaseRead, "the list of cases")
            .await?;
        let wanted = query
            .text
            .as_deref()
            .map(str::trim)
            .filter(|t| !t.is_empty());
        if let Some(t) = wanted {
            text("q", t, 1, 100)?;
        }
        let limit = i64::from(query.limit.clamp(1, 500));
        // One more than asked for tells whether there is a next page.
        let filter = CaseFilter {
            state: query.state,
            text: wanted.map(str::to_owned),
            before: query.cursor.as_deref().map(parse_cursor).transpose()?,
            limit: limit + 1,
        };
        let mut cases: Vec<_> = self
            .db
            .cases(&filter)
            .await?
            .into_iter()
            .map(|(case, exhibits)| CaseListed { case, exhibits })
            .collect();
        let more = i64::try_from(cases.len()).unwrap_or(i64::MAX) > limit;
        if more {
            cases.pop();
        }
        let next = cases
            .last()
            .filter(|_| more)
            .map(|l| format!("{}.{}", l.case.opened_at.0, l.case.id));
        Ok(CasePage { cases, next })
    }

    pub async fn get(&self, actor: &Actor, id: CaseId) -> Result<CaseFile> {
        self.audit
            .check(actor, Permission::CaseRead, &format!("case/{id}"))
            .await?;
        let case = self.case(id).await?;
        let (events, exhibits) = tokio::try_join!(self.db.case_events(id), self.db.exhibits(id))?;
        Ok(CaseFile {
            case,
            events,
            exhibits,
        })
    }

    /// Takes a step. With `expected` (the revision the person saw) somebody else's change in between is a conflict.
    pub async fn act(
        &self,
        actor: &Actor,
        id: CaseId,
        action: CaseAction,
        words: &str,
        expected: Option<i64>,
    ) -> Result<CaseFile> {
        let (recorded, needed) = match action {
            CaseAction::File => (Action::CaseFile, Permission::CaseFile),
            CaseAction::Reject => (Action::CaseReject, Permission::CaseFile),
            CaseAction::Close => (Action::CaseClose, Permission::CaseClose),
            CaseAction::Comment => (Action::CaseComment, Permission::CaseRead),
        };
        let object = format!("case/{id}");
        audited(&self.audit, actor, recorded, &object, words, async {
            actor.need(needed, &object)?;
            let least = usize::from(matches!(action, CaseAction::Reject | CaseAction::Comment));
            text("text", words, least, 4_000)?;
            for _ in 0..TRIES {
                let case = self.case(id).await?;
                let step = self.decide(actor, &case, action, words, expected)?;
                if self.db.step_case(&step).await? {
                    self.announce(&Case {
                        state: step.state,
                        ..case
                    });
                    return Ok(());
                }
            }
            Err(Error::unavailable(
                "busy",
                format!("others act on case {id} at this moment; look at it and try again"),
            ))
        })
        .await?;
        let case = self.case(id).await?;
        let (events, exhibits) = tokio::try_join!(self.db.case_events(id), self.db.exhibits(id))?;
        Ok(CaseFile {
            case,
            events,
            exhibits,
        })
    }

    fn decide(
        &self,
        actor: &Actor,
        case: &Case,
        action: CaseAction,
        words: &str,
        expected: Option<i64>,
    ) -> Result<CaseStep> {
        if let Some(seen) = expected.filter(|r| *r != case.revision) {
            return Err(Error::conflict(
                "changed_meanwhile",
                format!(
                    "case {} was changed since you read it (revision {seen}, now {}); read it again",
                    case.no, case.revision
                ),
            ));
        }
        let Some(state) = next(case.state, action) else {
            let can: Vec<_> = possible(case.state)
                .into_iter()
                .map(CaseAction::as_str)
                .collect();
            return Err(Error::conflict(
                "wrong_state",
                format!(
                    "case {} is {}: `{}` is not possible now, only: {}",
                    case.no,
                    case.state.as_str(),
                    action.as_str(),
                    can.join(", ")
                ),
            ));
        };
        let by = actor.name.to_string();
        let now = self.clock.now();
        let mut step = CaseStep {
            case: case.id,
            revision: case.revision,
            state,
            filed_by: case.filed_by.clone(),
            closed_by: case.closed_by.clone(),
            closed_at: case.closed_at,
            event: self.event(actor, action.as_str(), words.trim()),
        };
        match action {
            CaseAction::File => step.filed_by = Some(by),
            CaseAction::Close => {
                another_person_closes(actor, case)?;
                step.closed_by = Some(by);
                step.closed_at = Some(now);
            }
            // By whom and why says the event.
            CaseAction::Reject | CaseAction::Comment => {}
        }
        Ok(step)
    }

    async fn case(&self, id: CaseId) -> Result<Case> {
        self.db
            .case(id)
            .await?
            .ok_or_else(|| Error::not_found("not_found", format!("no case has the id `{id}`")))
    }

    fn event(&self, actor: &Actor, action: &str, words: &str) -> CaseEvent {
        CaseEvent {
            time: self.clock.now(),
            actor: actor.name.to_string(),
            action: action.into(),
            text: words.into(),
        }
    }

    fn announce(&self, case: &Case) {
        let change = CaseChange {
            id: case.id,
            no: case.no.clone(),
            state: case.state,
        };
        // Nobody watching is no error.
        drop(self.changes.send(change));
    }
}

/// The two axes (监督 / 指挥) check one another; one person is never both. Holds for every post, the trial post too.
fn another_person_closes(actor: &Actor, case: &Case) -> Result<()> {
    let did = if *actor.name == *case.opened_by {
        "opened"
    } else if case.filed_by.as_deref() == Some(&*actor.name) {
        "filed"
    } else {
        return Ok(());
    };
    Err(Error::forbidden(
        "forbidden",
        format!(
            "{} {did} case {} and so cannot close it; another person has to",
            actor.who(),
            case.no
        ),
    ))
}

fn parse_cursor(text: &str) -> Result<(UtcMicros, CaseId)> {
    text.split_once('.')
        .and_then(|(t, id)| Some((UtcMicros(t.parse().ok()?), CaseId::parse(id).ok()?)))
        .ok_or_else(|| {
            Error::invalid(
                "bad_cursor",
                format!("`{text}` is not a cursor this list gave out"),
            )
        })
}
