//! How the parts are, asked when somebody wants to know.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::system::PartHealth;
use crate::archive::{self, Archive, HealthState};
use crate::fleet::{Fleet, SourceState};
use crate::model::{Error, Result};
use crate::store::{Database, LiveState};

/// A part that does not answer in this time counts as down.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Clone)]
pub struct Health {
    pub db: Database,
    pub live: Arc<dyn LiveState>,
    pub archive: Archive,
    pub fleet: Fleet,
}

impl Health {
    /// The database answers.
    pub async fn ready(&self) -> Result<()> {
        answered("the database", self.db.ping()).await
    }

    pub async fn report(&self) -> Vec<PartHealth> {
        let mut parts = vec![
            part(
                "database",
                answered("the database", self.db.ping()).await,
                "down",
            ),
            // Without live state nothing is lost: history and recording go on.
            part(
                "live_state",
                match self.fleet.live_state_trouble() {
                    Some(trouble) => Err(Error::unavailable("live_state", trouble)),
                    None => answered("live state", self.live.ping()).await,
                },
                "degraded",
            ),
            archive(&self.archive.health()),
        ];
        for source in self.fleet.sources() {
            let up = source.state == SourceState::Connected;
            let message = if up {
                String::new()
            } else {
                source.last_error.unwrap_or_default()
            };
            parts.push(PartHealth {
                part: "vehicle_source",
                state: if up { "ok" } else { "down" },
                message,
            });
        }
        parts
    }
}

fn archive(health: &archive::Health) -> PartHealth {
    let state = match health.state {
        HealthState::Ok => "ok",
        HealthState::Degraded => "degraded",
        HealthState::Paused => "down",
    };
    PartHealth {
        part: "archive",
        state,
        message: health.message.clone().unwrap_or_default(),
    }
}

fn part(name: &'static str, result: Result<()>, bad: &'static str) -> PartHealth {
    match result {
        Ok(()) => PartHealth {
            part: name,
            state: "ok",
            message: String::new(),
        },
        Err(e) => PartHealth {
            part: name,
            state: bad,
            message: e.detail().to_owned(),
        },
    }
}

async fn answered(what: &str, ping: impl Future<Output = Result<()>>) -> Result<()> {
    match timeout(PATIENCE, ping).await {
        Ok(result) => result,
        Err(_) => Err(Error::unavailable(
            "no_answer",
            format!("{what} has not answered for {} s", PATIENCE.as_secs()),
        )),
    }
}
