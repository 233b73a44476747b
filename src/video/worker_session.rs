//! Sessions with cameras by GStreamer in a worker process: for RTP over UDP, multicast and HTTP, and RTSP over TLS.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::address::Address;
use super::faults::{self, Step};
use super::placing::{Placing, UNTOLD};
use super::session::{Fault, SessionSpec};
use super::sink::SessionSink;
use super::{Frame, Media as Kind, StreamParams};
use crate::config::VideoConfig;
use crate::media::{
    IngestEvent, IngestFault, IngestOrder, IngestSession, IngestUnit, Lower, Media, Medium,
};
use crate::model::{
    CameraClock, Clock, FaultKind, KeepalivePolicy, SoundPolicy, TimestampJumpPolicy, Transport,
};

pub(super) struct WorkerRunner {
    media: Media,
    clock: Arc<dyn Clock>,
    answer_timeout: Duration,
}

impl WorkerRunner {
    pub(super) fn new(config: &VideoConfig, clock: Arc<dyn Clock>, media: Media) -> Self {
        Self {
            media,
            clock,
            answer_timeout: Duration::from_millis(config.answer_timeout_ms.max(1)),
        }
    }

    /// As [`super::SessionRunner::run`], over `transport` whatever the spec says.
    pub(super) async fn run(
        &self,
        spec: &SessionSpec,
        transport: Transport,
        sink: &mut SessionSink,
        stop: &CancellationToken,
    ) -> Fault {
        let address = match Address::parse(&spec.url) {
            Ok(address) => address,
            Err(why) => return Fault::new(FaultKind::Protocol, why),
        };
        let mut session = match self
            .media
            .ingest(self.order(spec, transport, &address))
            .await
        {
            Ok(session) => session,
            Err(e) => return Fault::new(FaultKind::Closed, e.chain()),
        };
        let placing = Placing::new(
            Arc::clone(&self.clock),
            spec.policies.timestamp_jump,
            // Until the sound says otherwise.
            8_000,
        );
        let mut reader = Reader {
            transport,
            address: &address,
            placing,
            jump: spec.policies.timestamp_jump,
            params: None,
            silent: false,
            playing: false,
        };
        let ended = tokio::select! {
            biased;
            () = stop.cancelled() => Ok(Fault::new(FaultKind::Closed, "stopped")),
            ended = reader.read(&mut session, sink) => ended,
        };
        // Also sends TEARDOWN: many cameras refuse the next session until it is done.
        let how = session.end().await;
        match ended {
            Ok(fault) => {
                debug!("ingest worker: {how}");
                fault
            }
            Err(e) => Fault::new(
                FaultKind::Closed,
                format!("{}: {how}; a new session begins", e.chain()),
            ),
        }
    }

    fn order(&self, spec: &SessionSpec, transport: Transport, address: &Address) -> IngestOrder {
        let tls = address.tls || transport == Transport::Tls;
        let mut url = address.url.clone();
        let scheme = match transport {
            _ if tls => "rtsps",
            Transport::Http => "rtsph",
            Transport::Tcp
            | Transport::Auto
            | Transport::Udp
            | Transport::Tls
            | Transport::Multicast => "rtsp",
        };
        // Neither can fail: both schemes and all addresses here have a host.
        let mut set = url.set_scheme(scheme);
        if transport == Transport::Http && url.port().is_none() {
            set = set.and_then(|()| url.set_port(Some(80)));
        }
        if set.is_err() {
            debug!("the address could not be rewritten for {transport}");
        }
        let millis = u32::try_from(self.answer_timeout.as_millis()).unwrap_or(u32::MAX);
        IngestOrder {
            url: url.to_string(),
            account: address
                .credentials
                .as_ref()
                .map(|c| (c.username.clone(), c.password.clone())),
            lower: match transport {
                Transport::Tcp | Transport::Tls | Transport::Auto => Lower::Tcp,
                Transport::Udp => Lower::Udp,
                Transport::Http => Lower::Http,
                Transport::Multicast => Lower::Multicast,
            },
            tls: tls.then_some(spec.policies.tls),
            sound: spec.policies.sound == SoundPolicy::Take,
            keepalive: spec.policies.keepalive == KeepalivePolicy::Auto,
            reorder_wait_ms: spec.policies.reorder_wait_ms.into(),
            answer_timeout_ms: millis,
        }
    }
}

/// Turns what the worker tells into frames.
struct Reader<'a> {
    transport: Transport,
    address: &'a Address,
    placing: Placing,
    jump: TimestampJumpPolicy,
    params: Option<Arc<StreamParams>>,
    silent: bool,
    playing: bool,
}

impl Reader<'_> {
    async fn read(
        &mut self,
        session: &mut IngestSession,
        sink: &mut SessionSink,
    ) -> crate::model::Result<Fault> {
        loop {
            let done = match session.next().await? {
                IngestEvent::Playing => {
                    self.playing = true;
                    sink.transport(self.transport);
                    sink.playing();
                    Ok(())
                }
                IngestEvent::Form(params) => {
                    self.form(params);
                    Ok(())
                }
                IngestEvent::SoundRate(rate) => {
                    self.placing.audio_rate(rate);
                    Ok(())
                }
                IngestEvent::Rtcp(packet) => {
                    self.placing.rtcp(&packet);
                    Ok(())
                }
                IngestEvent::Unit(unit) => match unit.medium {
                    Medium::Picture => self.picture(unit, sink),
                    Medium::Sound => self.sound(unit, sink),
                },
                IngestEvent::Failed(fault) => Err(self.fault(fault)),
            };
            if let Err(fault) = done {
                return Ok(fault);
            }
        }
    }

    fn form(&mut self, params: Arc<StreamParams>) {
        if self.params.as_ref() == Some(&params) {
            return;
        }
        if self
            .params
            .as_ref()
            .is_some_and(|old| (old.codec, &old.extra_data) != (params.codec, &params.extra_data))
        {
            info!(
                codec = params.rfc6381,
                width = params.width,
                height = params.height,
                "the camera changed its picture"
            );
        }
        self.params = Some(params);
    }

    fn picture(&mut self, unit: IngestUnit, sink: &mut SessionSink) -> Result<(), Fault> {
        let at = unit.arrived();
        let placed = self.placing.picture(unit.rtp, UNTOLD, at)?;
        let Some(params) = &self.params else {
            sink.undecodable(unit.lost);
            return Ok(());
        };
        sink.push(Frame {
            media: Kind::Video,
            pts: placed.pts,
            received: placed.received,
            arrival: placed.arrival,
            key: unit.key,
            data: unit.data,
            lost: unit.lost,
            camera_clock: placed.camera_clock,
            params: Arc::clone(params),
        });
        Ok(())
    }

    fn sound(&mut self, unit: IngestUnit, sink: &mut SessionSink) -> Result<(), Fault> {
        let with_sound = self.params.as_ref().filter(|p| p.audio.is_some());
        let Some(params) = with_sound.filter(|_| !self.silent) else {
            return Ok(());
        };
        let params = Arc::clone(params);
        let Some((pts, received, arrival)) =
            self.placing.sound(unit.rtp, UNTOLD, unit.arrived())?
        else {
            self.silent = self.jump == TimestampJumpPolicy::NewSession;
            return Ok(());
        };
        sink.push(Frame {
            media: Kind::Audio,
            pts,
            received,
            arrival,
            key: true,
            data: unit.data,
            lost: unit.lost,
            camera_clock: CameraClock::default(),
            params,
        });
        Ok(())
    }

    fn fault(&self, fault: IngestFault) -> Fault {
        let host = &self.address.authority;
        match fault {
            IngestFault::Connect(why) => Fault::new(
                FaultKind::Unreachable,
                format!(
                    "cannot connect to {host} over {} ({why}); check power and network of the camera, host, port and \
                     transport",
                    self.transport
                ),
            ),
            IngestFault::Status(461) => faults::unsupported_transport(self.transport),
            IngestFault::Status(status) => {
                let step = if self.playing {
                    Step::Streaming
                } else {
                    Step::Describe
                };
                faults::refusal(status, step, self.address.credentials.is_some())
            }
            IngestFault::Certificate(seen) => Fault::new(
                FaultKind::Protocol,
                format!(
                    "{host} shows a certificate that this camera's `tls` policy does not accept; its SHA-256 is {seen}. If it is \
                     the camera's, set the policy to `sha256:{seen}`"
                ),
            ),
            IngestFault::NoVideo(offered) => {
                let kind = if offered.contains("video/") {
                    FaultKind::UnsupportedCodec
                } else {
                    // Recorders describe a channel so while its camera is away: worth trying again.
                    FaultKind::Protocol
                };
                Fault::new(
                    kind,
                    format!(
                        "the camera offers {offered}, and only H.264 and H.265 can be taken; set one of them in the camera and \
                         try again"
                    ),
                )
            }
            IngestFault::Ended => Fault::new(FaultKind::Closed, "the camera closed the connection"),
            IngestFault::Silent(_) => Fault::new(
                FaultKind::TimedOut,
                format!(
                    "{host} accepted PLAY and no packet comes over {}; check the firewall between, or set the transport to `tcp`",
                    self.transport
                ),
            ),
            IngestFault::Other(why) if self.playing => Fault::new(
                FaultKind::Closed,
                format!("the session with the camera broke ({why})"),
            ),
            IngestFault::Other(why) => Fault::new(
                FaultKind::Protocol,
                format!(
                    "the session with {host} could not be opened over {} ({why})",
                    self.transport
                ),
            ),
        }
    }
}
