//! The seam between a stream's task and what speaks with the camera.
//!
//! A `SessionRunner` opens one session, pushes its frames into the sink and says why it ended. It decides nothing about
//! retries, time-outs of the picture or states: the task does, the same for every back-end and for the fakes of tests.

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::sink::SessionSink;
use crate::model::{CameraPolicies, FaultKind, Secret, StreamKey, Transport};

/// What a session needs to know. A stream whose spec changed gets a new session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSpec {
    pub key: StreamKey,
    /// With user name and password, if the camera has them.
    pub url: Secret,
    pub transport: Transport,
    pub policies: CameraPolicies,
}

/// Why a session ended. `message` is for a person: what happened and what to do; never a password in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub kind: FaultKind,
    pub message: String,
    /// Of `Unauthorized`: the user is known and may not watch this (403). Asking again changes nothing, while a 401 may be a
    /// camera that is still starting.
    pub forbidden: bool,
    /// The camera does not send over this transport (461); another may do.
    pub transport_refused: bool,
    /// The camera answered, and this back-end could not read the answer; another one may be more lenient.
    pub unreadable: bool,
}

impl Fault {
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            forbidden: false,
            transport_refused: false,
            unreadable: false,
        }
    }
}

#[async_trait]
pub trait SessionRunner: Send + Sync + 'static {
    /// Runs one session until it fails or `stop` is cancelled, and returns when nothing of it is left at the camera (or
    /// after a reasonable time): many cameras allow one session only. After a stop, what is returned is ignored.
    async fn run(
        &self,
        spec: &SessionSpec,
        sink: &mut SessionSink,
        stop: CancellationToken,
    ) -> Fault;
}
