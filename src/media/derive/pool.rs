//! The daemon's end: one derived item at a time, a process for each, a short queue, and a clear word when it is full.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout};

use super::order::{DeriveOrder, Derived};
use crate::media::process::{Worker, unexpected};
use crate::media::protocol::Message;
use crate::media::worker::Role;
use crate::media::{Room, count};
use crate::model::{Error, ErrorKind, Result};
use crate::telemetry::{self, Metric};

/// One: making things of recordings must not take the processor from recording or from live pictures.
const AT_ONCE: usize = 1;
/// Waiting beyond that.
const WAITING: usize = 16;
/// However much it says, a job ends after this.
const LONGEST: Duration = Duration::from_secs(4 * 3_600);

/// The code of a clip that the recipe cannot be made of, through no fault of the worker.
const REFUSED: &str = "cannot_derive";

pub(crate) struct DerivePool {
    room: Arc<Room>,
    places: Arc<Semaphore>,
    inside: AtomicUsize,
}

/// Counts down when the job has ended or its caller gave up waiting.
struct Inside(Arc<DerivePool>);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::Relaxed);
    }
}

impl DerivePool {
    pub(crate) fn new(room: Arc<Room>) -> Arc<Self> {
        Arc::new(Self {
            room,
            places: Arc::new(Semaphore::new(AT_ONCE)),
            inside: AtomicUsize::new(0),
        })
    }

    pub(crate) async fn derive(self: &Arc<Self>, order: DeriveOrder) -> Result<Derived> {
        if self.inside.fetch_add(1, Ordering::Relaxed) >= WAITING + AT_ONCE {
            self.inside.fetch_sub(1, Ordering::Relaxed);
            return Err(Error::new(
                ErrorKind::TooMuch,
                "derive_busy",
                format!("{WAITING} derived items are waiting already; try again in some minutes"),
            ));
        }
        let inside = Inside(Arc::clone(self));
        let stopping = || Error::unavailable("stopping", "the daemon is stopping");
        let place = tokio::select! {
            place = Arc::clone(&self.places).acquire_owned() => place.map_err(|_| stopping())?,
            () = self.room.stop.cancelled() => return Err(stopping()),
        };
        // In a task of its own: the worker is ended and the file removed even when the caller walks away.
        let (mut answer, done) = oneshot::channel();
        let pool = Arc::clone(self);
        self.room.tasks.spawn(async move {
            let begun = Instant::now();
            let result = tokio::select! {
                result = pool.serve(&order) => result,
                () = pool.room.stop.cancelled() => Err(stopping()),
                () = answer.closed() => Err(stopping()),
            };
            let counts = &pool.room.counts;
            match &result {
                Ok(_) => {
                    count(&counts.derived_made);
                    telemetry::observe(Metric::MediaDerive, &[], begun.elapsed());
                }
                Err(e) => {
                    count(&counts.derived_failed);
                    if e.code() != REFUSED && e.code() != "stopping" {
                        telemetry::count(Metric::MediaFailures, &[("job", "derive")], 1);
                    }
                    remove(&order.out).await;
                }
            }
            drop((place, inside));
            drop(answer.send(result));
        });
        done.await.unwrap_or_else(|_| Err(stopping()))
    }

    async fn serve(&self, order: &DeriveOrder) -> Result<Derived> {
        let text = serde_json::to_string(order).map_err(|e| {
            Error::internal(
                "worker_protocol",
                "the order of a derived item cannot be written",
            )
            .because(e)
        })?;
        let mut worker = self
            .room
            .spawner
            .spawn(Role::Derive, &self.room.tasks)
            .await?;
        let asked = timeout(LONGEST, talk(&mut worker, text, order.patience)).await;
        match asked {
            Ok(Talk::Done(text)) => {
                worker.end().await;
                serde_json::from_str(&text).map_err(|e| {
                    Error::internal(
                        "worker_protocol",
                        "the derive worker's answer is not understood",
                    )
                    .because(e)
                })
            }
            Ok(Talk::Refused(why)) => {
                worker.end().await;
                let name = order.recipe.name();
                Err(Error::conflict(
                    REFUSED,
                    format!("{name} cannot be made of this clip: {why}"),
                ))
            }
            Ok(Talk::Other(message)) => {
                worker.kill().await;
                Err(unexpected(Role::Derive, &message))
            }
            Ok(Talk::Died) => {
                let how = worker.post_mortem().await;
                tracing::warn!(how, "a derive worker died");
                Err(Error::unavailable(
                    "worker_died",
                    format!("the worker making {} died: {how}", order.recipe.name()),
                ))
            }
            Ok(Talk::Silent) | Err(_) => {
                worker.kill().await;
                let seconds = if asked.is_err() {
                    LONGEST
                } else {
                    order.patience
                }
                .as_secs();
                Err(Error::unavailable(
                    "derive_timeout",
                    format!(
                        "making {} did not go on for {seconds} s and was ended",
                        order.recipe.name()
                    ),
                ))
            }
        }
    }
}

enum Talk {
    Done(String),
    Refused(String),
    Other(Message),
    Died,
    Silent,
}

async fn talk(worker: &mut Worker, order: String, patience: Duration) -> Talk {
    if worker.input.send(&Message::Derive { order }).await.is_err() {
        return Talk::Died;
    }
    loop {
        match timeout(patience, worker.output.next()).await {
            Err(_) => return Talk::Silent,
            Ok(Ok(None) | Err(_)) => return Talk::Died,
            Ok(Ok(Some(Message::Progress { .. }))) => {}
            Ok(Ok(Some(Message::DeriveDone { derived }))) => return Talk::Done(derived),
            Ok(Ok(Some(Message::DeriveRefused { why }))) => return Talk::Refused(why),
            Ok(Ok(Some(other))) => return Talk::Other(other),
        }
    }
}

async fn remove(out: &Path) {
    if let Err(e) = tokio::fs::remove_file(out).await
        && e.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(file = %out.display(), error = %e, "what a failed job left cannot be removed");
    }
}
