//! Does the copying: a few exhibits at a time, taken up again after a restart. What is derived has a lane of its own, so that
//! nobody's copy waits for an encoder.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use super::copying;
use super::exhibits::Inner;
use super::making;
use crate::model::{Error, ErrorKind, ExhibitId, ExhibitKind};

/// Copies side by side: disks are fastest with few.
const AT_ONCE: usize = 2;
/// Encoding is for the processor what copying is for the disk.
const DERIVED_AT_ONCE: usize = 1;
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

pub struct Copier {
    inner: Arc<Inner>,
    queue: mpsc::Receiver<ExhibitId>,
    derive_queue: mpsc::Receiver<ExhibitId>,
}

impl Copier {
    pub(super) fn new(
        inner: Arc<Inner>,
        queue: mpsc::Receiver<ExhibitId>,
        derive_queue: mpsc::Receiver<ExhibitId>,
    ) -> Self {
        Self {
            inner,
            queue,
            derive_queue,
        }
    }

    /// Until stop. What is then unfinished stays `working` and is taken up by the next start.
    pub async fn run(self, stop: CancellationToken) {
        let Self {
            inner,
            queue,
            derive_queue,
        } = self;
        let scratch = &inner.parts.scratch;
        if let Err(e) = making::empty(scratch).await {
            tracing::warn!(folder = %scratch.display(), error = %e, "the folder for derived items cannot be used");
        }
        let unfinished = tokio::select! {
            () = stop.cancelled() => return,
            unfinished = unfinished(&inner) => unfinished,
        };
        let of = |derived: bool| {
            let mine = unfinished
                .iter()
                .filter(|(_, kind)| kind.is_derived() == derived);
            mine.map(|(id, _)| *id).collect()
        };
        let copies = Lane {
            inner: inner.clone(),
            queue,
            waiting: of(false),
            at_once: AT_ONCE,
        };
        let made = Lane {
            inner: inner.clone(),
            queue: derive_queue,
            waiting: of(true),
            at_once: DERIVED_AT_ONCE,
        };
        tokio::join!(copies.run(&stop), made.run(&stop));
    }
}

struct Lane {
    inner: Arc<Inner>,
    queue: mpsc::Receiver<ExhibitId>,
    waiting: VecDeque<ExhibitId>,
    at_once: usize,
}

impl Lane {
    async fn run(mut self, stop: &CancellationToken) {
        let mut copies: JoinSet<()> = JoinSet::new();
        let mut running: HashMap<Id, ExhibitId> = HashMap::new();
        loop {
            while copies.len() < self.at_once
                && let Some(id) = self.waiting.pop_front()
            {
                // Attached while the unfinished were listed: in both.
                if !running.values().any(|r| *r == id) {
                    let inner = self.inner.clone();
                    let task = copies.spawn(async move { until_settled(&inner, id).await });
                    running.insert(task.id(), id);
                }
            }
            tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = copies.join_next_with_id(), if !copies.is_empty() => match ended {
                    Ok((task, ())) => drop(running.remove(&task)),
                    Err(e) => if let Some(id) = running.remove(&e.id()) {
                        let broken = Error::internal("copy_broke_off", "copying the exhibit broke off by a defect; attach it again").because(e);
                        tracing::error!(exhibit = %id, error = %broken.chain(), "copying broke off");
                        give_up(&self.inner, id, &broken).await;
                    },
                },
                next = self.queue.recv(), if self.waiting.is_empty() => match next {
                    Some(id) => self.waiting.push_back(id),
                    None => break,
                },
            }
        }
        copies.shutdown().await;
    }
}

async fn unfinished(inner: &Inner) -> Vec<(ExhibitId, ExhibitKind)> {
    let mut wait = FIRST_WAIT;
    loop {
        match inner.parts.db.working_exhibits().await {
            Ok(ids) => {
                if !ids.is_empty() {
                    tracing::info!(exhibits = ids.len(), "taking up unfinished exhibits");
                }
                return ids;
            }
            Err(e) => {
                tracing::warn!(error = %e.chain(), "cannot look for unfinished exhibits yet")
            }
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Copies until the row says `ready` or `failed`. While the database is away there is nothing to decide: waits for it.
async fn until_settled(inner: &Inner, id: ExhibitId) {
    let mut wait = FIRST_WAIT;
    loop {
        match copying::copy(inner, id).await {
            Ok(()) => break,
            Err(e) if e.code() == "database_down" => {
                tracing::warn!(exhibit = %id, error = %e.chain(), "exhibit waits for the database");
            }
            Err(e) => {
                tracing::warn!(exhibit = %id, error = %e.chain(), "exhibit failed");
                if give_up(inner, id, &e).await {
                    break;
                }
            }
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
    // Nobody waiting is no error.
    drop(inner.settled.send(id));
}

/// Frees what was copied and says in the row what to do. False when not even that could be written.
async fn give_up(inner: &Inner, id: ExhibitId, why: &Error) -> bool {
    let hint = match why.kind() {
        ErrorKind::Unavailable | ErrorKind::TooMuch => " Then attach it again.",
        ErrorKind::Invalid
        | ErrorKind::Unauthenticated
        | ErrorKind::Forbidden
        | ErrorKind::NotFound
        | ErrorKind::Conflict
        | ErrorKind::Internal => "",
    };
    let words = format!("{}.{hint}", why.detail().trim_end_matches('.'));
    match inner.parts.db.fail_exhibit(id, &words).await {
        Ok(changed) => {
            if changed {
                inner.failed.fetch_add(1, Ordering::Relaxed);
                copying::bury(inner, id).await;
            }
            true
        }
        Err(e) => {
            tracing::warn!(exhibit = %id, error = %e.chain(), "cannot mark the exhibit as failed yet");
            false
        }
    }
}
