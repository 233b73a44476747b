//! What the handlers work with: services, never pools or sockets.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::access::{Access, Audit, Layouts};
use crate::casefile::Cases;
use crate::config::Config;
use crate::evidence::{Exhibits, Holds};
use crate::fleet::Fleet;
use crate::live::{Cameras, Events, Playback, Walls};
use crate::model::Clock;
use crate::site::Register;
use crate::telemetry::Numbers;
use crate::video::Video;

/// Cheap to clone; one for the whole router.
#[derive(Clone)]
pub struct Api {
    pub access: Access,
    pub audit: Audit,
    pub layouts: Layouts,
    pub register: Register,
    pub cameras: Cameras,
    pub video: Video,
    pub playback: Playback,
    pub walls: Walls,
    pub events: Events,
    pub fleet: Fleet,
    pub cases: Cases,
    pub exhibits: Exhibits,
    pub holds: Holds,
    pub health: super::health::Health,
    pub numbers: Numbers,
    pub config: Arc<Config>,
    pub clock: Arc<dyn Clock>,
    /// Open sockets end when this is cancelled, so that stopping does not wait for walls.
    pub stop: CancellationToken,
}
