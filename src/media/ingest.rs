//! The second way to a camera: `rtspsrc` in a worker process, for what the first cannot do (UDP, TLS, HTTP, multicast).
//!
//! One process a session: a fault in C costs that session, and the next one begins with a fresh process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::ingest_form::{audio_params, stream_params};
use super::ingest_protocol::{self, Said};
use super::ingest_worker::monotonic_ns;
use super::process::{Worker, unexpected};
use super::protocol::{Message, Picture};
use super::worker::Role;
use super::{Media, Room};
use crate::model::{AudioParams, Error, Result, StreamParams, TlsPolicy};

/// What RTP lies on (RFC 2326 §12.39).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lower {
    Tcp,
    Udp,
    /// Inside HTTP.
    Http,
    Multicast,
}

#[derive(Clone, PartialEq, Eq)]
pub struct IngestOrder {
    /// Without user and password. `rtsph://` where RTSP lies inside HTTP, `rtsps://` where inside TLS.
    pub url: String,
    pub account: Option<(String, String)>,
    pub lower: Lower,
    /// `Some` where TLS is spoken.
    pub tls: Option<TlsPolicy>,
    /// Take the sound, too.
    pub sound: bool,
    pub keepalive: bool,
    pub reorder_wait_ms: u32,
    pub answer_timeout_ms: u32,
}

impl std::fmt::Debug for IngestOrder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Neither account nor path: some cameras take their password in it.
        f.debug_struct("IngestOrder")
            .field("lower", &self.lower)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IngestFault {
    Connect(String),
    /// The camera refused with this RTSP status.
    Status(u16),
    /// Nobody vouches for its certificate; with its SHA-256 in hex.
    Certificate(String),
    /// It offers this and no video that can be taken.
    NoVideo(String),
    /// The camera ended the session.
    Ended,
    /// No packet comes.
    Silent(String),
    Other(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    Picture,
    Sound,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngestUnit {
    pub medium: Medium,
    pub key: bool,
    /// Unwrapped, from any origin.
    pub rtp: i64,
    /// `CLOCK_MONOTONIC` when its last packet came.
    pub arrived_ns: i64,
    /// RTP packets lost before it.
    pub lost: u32,
    /// NAL units after 4-byte lengths without parameter sets, or an audio frame.
    pub data: Bytes,
}

impl IngestUnit {
    /// When its last packet came.
    pub fn arrived(&self) -> Instant {
        let ago = monotonic_ns().saturating_sub(self.arrived_ns);
        let ago = Duration::from_nanos(u64::try_from(ago).unwrap_or(0));
        let now = Instant::now();
        now.checked_sub(ago).unwrap_or(now)
    }
}

#[derive(Clone, Debug)]
pub enum IngestEvent {
    /// PLAY was answered.
    Playing,
    /// What the following pictures are.
    Form(Arc<StreamParams>),
    /// What the following sound is; a [`IngestEvent::Form`] with it follows.
    SoundRate(u32),
    Unit(IngestUnit),
    /// RTCP of the picture's sender, a compound packet.
    Rtcp(Bytes),
    Failed(IngestFault),
}

/// One running session; dropping it kills the worker.
pub struct IngestSession {
    worker: Worker,
    picture: Option<Picture>,
    sound: Option<AudioParams>,
    /// Told next.
    pending: Option<IngestEvent>,
}

impl Media {
    /// Starts a worker and has it open the session.
    pub async fn ingest(&self, order: IngestOrder) -> Result<IngestSession> {
        let room: &Room = &self.inner.room;
        let mut worker = room.spawner.spawn(Role::Ingest, &room.tasks).await?;
        let open = Message::Ingest(ingest_protocol::encode(&Said::Open(order)));
        if let Err(e) = worker.input.send(&open).await {
            let how = worker.post_mortem().await;
            return Err(died(&how).because(e));
        }
        Ok(IngestSession {
            worker,
            picture: None,
            sound: None,
            pending: None,
        })
    }
}

impl IngestSession {
    /// The next thing it tells; an error when the worker died or told nonsense. Cancel-safe.
    pub async fn next(&mut self) -> Result<IngestEvent> {
        loop {
            if let Some(event) = self.pending.take() {
                return Ok(event);
            }
            let message = self.worker.output.next().await;
            let message = message.map_err(|e| {
                Error::internal(
                    "worker_protocol",
                    "what the ingest worker says cannot be read",
                )
                .because(e)
            })?;
            let body = match message {
                Some(Message::Ingest(body)) => body,
                Some(other) => return Err(unexpected(Role::Ingest, &other)),
                None => return Err(died("it closed its pipe")),
            };
            let said = ingest_protocol::decode(body).map_err(|e| {
                Error::internal(
                    "worker_protocol",
                    "what the ingest worker says makes no sense",
                )
                .because(e)
            })?;
            if let Some(event) = self.heard(said)? {
                return Ok(event);
            }
        }
    }

    fn heard(&mut self, said: Said) -> Result<Option<IngestEvent>> {
        Ok(match said {
            Said::Playing => Some(IngestEvent::Playing),
            Said::Picture(picture) => {
                self.picture = Some(picture);
                self.form()
            }
            Said::Sound {
                form,
                clock_rate,
                channels,
            } => {
                self.sound = audio_params(&form, clock_rate, channels);
                self.pending = self.form();
                Some(IngestEvent::SoundRate(clock_rate))
            }
            Said::Unit(unit) => Some(IngestEvent::Unit(unit)),
            Said::Rtcp(packet) => Some(IngestEvent::Rtcp(packet)),
            Said::Failed(fault) => Some(IngestEvent::Failed(fault)),
            Said::Open(_) => {
                return Err(Error::internal(
                    "worker_protocol",
                    "the ingest worker gave an order",
                ));
            }
        })
    }

    fn form(&self) -> Option<IngestEvent> {
        let params = stream_params(self.picture.as_ref()?, self.sound.clone())?;
        Some(IngestEvent::Form(Arc::new(params)))
    }

    /// Ends the session at the camera and the worker; how the worker ended.
    pub async fn end(self) -> String {
        self.worker.end().await
    }
}

fn died(how: &str) -> Error {
    Error::unavailable("worker_died", format!("the ingest worker died: {how}"))
}
