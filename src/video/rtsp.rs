//! Sessions with real cameras: RTSP and RTP by retina, interleaved in TCP.
//!
//! Guard rails that retina leaves to its caller: time-outs of answers, absurd time stamps, waiting out the stale sessions of
//! old live555 servers, and sound that cannot be read, which must not cost the picture.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use retina::client::{
    self, Credentials, Demuxed, Described, PlayOptions, SessionGroup, SessionOptions, SetupOptions,
};
use retina::codec::{AudioFrame, CodecItem, FrameFormat, VideoFrame};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::address::Address;
use super::faults::{self, Sort, Step};
use super::params::{self, Chosen};
use super::placing::Placing;
use super::session::{Fault, SessionRunner, SessionSpec};
use super::sink::SessionSink;
use super::{AudioParams, Frame, Media, StreamParams};
use crate::config::VideoConfig;
use crate::model::{
    CameraClock, CameraPolicies, Clock, FaultKind, InitialSequencePolicy as Seq,
    InitialTimestampPolicy as FirstTime, Secret, SessionIdPolicy as SessionId, SoundPolicy,
    StreamKey, TeardownPolicy as Teardown, Transport, UnassignedChannelPolicy as Unassigned,
    UnknownRtcpSsrcPolicy as UnknownSsrc,
};

/// A camera has this long to answer TEARDOWN.
const TEARDOWN_LIMIT: Duration = Duration::from_secs(2);
/// live555 keeps a session for 65 s after its last sign of life.
const STALE_LIMIT: Duration = Duration::from_secs(70);

pub struct RtspRunner {
    clock: Arc<dyn Clock>,
    answer_timeout: Duration,
    peers: Mutex<HashMap<String, Arc<Peer>>>,
    /// Streams whose sound ended a session, with the address for which that is so.
    mute: Mutex<HashMap<StreamKey, Secret>>,
}

/// What is remembered of one device.
#[derive(Default)]
struct Peer {
    sessions: Arc<SessionGroup>,
    /// Sends data of sessions that are over.
    stale_bug: AtomicBool,
}

impl RtspRunner {
    pub fn new(config: &VideoConfig, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            answer_timeout: Duration::from_millis(config.answer_timeout_ms.max(1)),
            peers: Mutex::default(),
            mute: Mutex::default(),
        }
    }

    fn peer(&self, authority: &str) -> Arc<Peer> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        // Devices with sessions in use, or with stale ones that have to be waited out.
        peers.retain(|_, p| {
            Arc::strong_count(p) > 1 || p.sessions.stale_sessions().num_sessions > 0
        });
        Arc::clone(peers.entry(authority.to_owned()).or_default())
    }

    fn mute(&self) -> std::sync::MutexGuard<'_, HashMap<StreamKey, Secret>> {
        self.mute.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SessionRunner for RtspRunner {
    async fn run(
        &self,
        spec: &SessionSpec,
        sink: &mut SessionSink,
        stop: CancellationToken,
    ) -> Fault {
        let address = match Address::parse(&spec.url) {
            Ok(address) => address,
            Err(why) => return Fault::new(FaultKind::Protocol, why),
        };
        let peer = self.peer(&address.authority);
        let session = Session {
            runner: self,
            spec,
            address: &address,
            peer: &peer,
        };
        let fault = tokio::select! {
            biased;
            () = stop.cancelled() => Fault::new(FaultKind::Closed, "stopped"),
            fault = Box::pin(session.run(sink)) => fault,
        };
        // Dropping retina's session has begun a TEARDOWN; many cameras refuse the next session until it is done.
        match tokio::time::timeout(TEARDOWN_LIMIT, peer.sessions.await_teardown()).await {
            Ok(Ok(())) => {}
            Ok(Err(e)) => debug!("TEARDOWN failed: {e}"),
            Err(_) => debug!(
                "TEARDOWN was not answered in {} s",
                TEARDOWN_LIMIT.as_secs()
            ),
        }
        fault
    }
}

/// One run with what it works on.
struct Session<'a> {
    runner: &'a RtspRunner,
    spec: &'a SessionSpec,
    address: &'a Address,
    peer: &'a Peer,
}

impl Session<'_> {
    async fn run(&self, sink: &mut SessionSink) -> Fault {
        self.wait_for_stale_sessions().await;
        match self.open().await {
            Ok((demuxed, chosen)) => {
                sink.transport(Transport::Tcp);
                sink.playing();
                Reader::new(self, chosen, &demuxed).run(demuxed, sink).await
            }
            Err(fault) => fault,
        }
    }

    async fn wait_for_stale_sessions(&self) {
        let stale = self.peer.sessions.stale_sessions();
        if self.peer.stale_bug.load(Ordering::Relaxed) && stale.num_sessions > 0 {
            info!(
                sessions = stale.num_sessions,
                "waiting until the camera's server lets go of old sessions"
            );
            let wait = self.peer.sessions.await_stale_sessions(&stale);
            if tokio::time::timeout(STALE_LIMIT, wait).await.is_err() {
                debug!("old sessions are still there; trying nevertheless");
            }
        }
    }

    async fn open(&self) -> Result<(Demuxed, Chosen), Fault> {
        let creds = self.address.credentials.clone();
        let creds = creds.map(|c| Credentials {
            username: c.username,
            password: c.password,
        });
        let options = SessionOptions::default()
            .creds(creds)
            .user_agent(concat!("zhenbei/", env!("CARGO_PKG_VERSION")).to_owned())
            .session_group(Arc::clone(&self.peer.sessions))
            .teardown(teardown(self.spec.policies.teardown))
            .unassigned_channel_data(unassigned(self.spec.policies.unassigned_channel))
            .session_id(session_id(self.spec.policies.session_id));
        // Connecting, and an answer; where a password is asked for, a second answer.
        let describe = client::Session::describe(self.address.url.clone(), options);
        let limit = self.runner.answer_timeout * 2;
        let mut session = match tokio::time::timeout(limit, describe).await {
            Ok(answer) => answer.map_err(|e| self.fault(&e, Step::Describe))?,
            Err(_) => return Err(self.silence().await),
        };
        if session
            .tool()
            .is_some_and(client::Tool::has_live555_tcp_bug)
        {
            self.peer.stale_bug.store(true, Ordering::Relaxed);
        }
        let with_audio = self.spec.policies.sound == SoundPolicy::Take
            && self.runner.mute().get(&self.spec.key) != Some(&self.spec.url);
        let mut chosen = params::choose(session.streams(), session.sdp(), with_audio)?;
        self.answer(Step::Setup, session.setup(chosen.video, setup_options()))
            .await?;
        if let Some(audio) = chosen.audio
            && !self.set_up_audio(&mut session, audio).await?
        {
            chosen.audio = None;
        }
        let play = play_options(&self.spec.policies);
        let playing = self.answer(Step::Play, session.play(play)).await?;
        let demuxed = playing
            .demuxed()
            .map_err(|e| self.fault(&e, Step::Describe))?;
        Ok((demuxed, chosen))
    }

    /// A camera that refuses to send sound still sends pictures.
    async fn set_up_audio(
        &self,
        session: &mut client::Session<Described>,
        audio: usize,
    ) -> Result<bool, Fault> {
        match tokio::time::timeout(
            self.runner.answer_timeout,
            session.setup(audio, setup_options()),
        )
        .await
        {
            Ok(Ok(())) => Ok(true),
            Ok(Err(e)) if e.status_code().is_some() => {
                let status = e.status_code().unwrap_or_default();
                warn!(status, "the camera refuses its sound; going on without");
                Ok(false)
            }
            Ok(Err(e)) => Err(self.fault(&e, Step::Setup)),
            Err(_) => Err(self.no_answer(Step::Setup)),
        }
    }

    async fn answer<T>(
        &self,
        step: Step,
        call: impl Future<Output = Result<T, retina::Error>>,
    ) -> Result<T, Fault> {
        match tokio::time::timeout(self.runner.answer_timeout, call).await {
            Ok(answer) => answer.map_err(|e| self.fault(&e, step)),
            Err(_) => Err(self.no_answer(step)),
        }
    }

    fn fault(&self, error: &retina::Error, step: Step) -> Fault {
        if faults::sort(error) == Sort::StaleSession {
            self.peer.stale_bug.store(true, Ordering::Relaxed);
        }
        debug!("{step:?}: {error}");
        faults::fault(
            error,
            step,
            &self.address.authority,
            self.address.credentials.is_some(),
        )
    }

    fn no_answer(&self, step: Step) -> Fault {
        let (seconds, host) = (
            self.runner.answer_timeout.as_secs_f64(),
            &self.address.authority,
        );
        Fault::new(
            FaultKind::TimedOut,
            format!(
                "{host} did not answer {step:?} in {seconds} s; restart the camera if this goes on"
            ),
        )
    }

    /// Nothing came: is there a host at all?
    async fn silence(&self) -> Fault {
        let host = &self.address.authority;
        let connect = tokio::net::TcpStream::connect(host.as_str());
        match tokio::time::timeout(Duration::from_secs(1), connect).await {
            Ok(Ok(_)) => Fault::new(
                FaultKind::TimedOut,
                format!(
                    "{host} takes connections and does not answer RTSP in {} s; check that this is the camera's RTSP port, \
                     and restart the camera",
                    (self.runner.answer_timeout * 2).as_secs_f64()
                ),
            ),
            Ok(Err(_)) | Err(_) => Fault::new(
                FaultKind::Unreachable,
                format!(
                    "no connection to {host}; check power and network of the camera, and the host in its address"
                ),
            ),
        }
    }
}

fn setup_options() -> SetupOptions {
    SetupOptions::default()
        .transport(client::Transport::Tcp(
            client::TcpTransportOptions::default(),
        ))
        .frame_format(FrameFormat::MP4)
}

fn teardown(policy: Teardown) -> client::TeardownPolicy {
    match policy {
        Teardown::Auto => client::TeardownPolicy::Auto,
        Teardown::Always => client::TeardownPolicy::Always,
        Teardown::Never => client::TeardownPolicy::Never,
    }
}

fn unassigned(policy: Unassigned) -> client::UnassignedChannelDataPolicy {
    match policy {
        Unassigned::Auto => client::UnassignedChannelDataPolicy::Auto,
        Unassigned::Ignore => client::UnassignedChannelDataPolicy::Ignore,
        Unassigned::StaleSession => client::UnassignedChannelDataPolicy::AssumeStaleSession,
        Unassigned::Abort => client::UnassignedChannelDataPolicy::Error,
    }
}

fn session_id(policy: SessionId) -> client::SessionIdPolicy {
    match policy {
        SessionId::RequireMatch => client::SessionIdPolicy::RequireMatch,
        SessionId::UseFirst => client::SessionIdPolicy::UseFirst,
    }
}

/// Cameras that give no or a wrong RTP-Info are normal: where it is not required, `MediaTimeline` finds its own zero.
fn play_options(policies: &CameraPolicies) -> PlayOptions {
    PlayOptions::default()
        .initial_timestamp(match policies.initial_timestamp {
            FirstTime::Permissive => client::InitialTimestampPolicy::Permissive,
            FirstTime::Require => client::InitialTimestampPolicy::Require,
            FirstTime::Ignore => client::InitialTimestampPolicy::Ignore,
        })
        .initial_seq(match policies.initial_seq {
            Seq::IgnoreSuspicious => client::InitialSequenceNumberPolicy::IgnoreSuspiciousValues,
            Seq::Respect => client::InitialSequenceNumberPolicy::Respect,
            Seq::Ignore => client::InitialSequenceNumberPolicy::Ignore,
        })
        .unknown_rtcp_ssrc(match policies.unknown_rtcp_ssrc {
            UnknownSsrc::Drop => client::UnknownRtcpSsrcPolicy::DropPackets,
            UnknownSsrc::Process => client::UnknownRtcpSsrcPolicy::ProcessPackets,
            UnknownSsrc::Abort => client::UnknownRtcpSsrcPolicy::AbortSession,
        })
}

/// Turns what the camera sends into frames.
struct Reader<'a> {
    session: &'a Session<'a>,
    chosen: Chosen,
    h265: bool,
    audio: Option<AudioParams>,
    params: Option<Arc<StreamParams>>,
    /// Parameter sets came; taken over at the next key frame.
    new_params: bool,
    placing: Placing,
    /// Sound is left out for the rest of the session.
    silent: bool,
    /// The last error in the sound's packets.
    audio_error: Option<String>,
}

impl<'a> Reader<'a> {
    fn new(session: &'a Session<'a>, chosen: Chosen, demuxed: &Demuxed) -> Self {
        let audio = chosen
            .audio
            .and_then(|i| demuxed.streams().get(i))
            .and_then(params::audio_params);
        let audio_rate = audio.as_ref().map_or(1, |a| a.clock_rate);
        Self {
            session,
            chosen,
            h265: demuxed
                .streams()
                .get(chosen.video)
                .is_some_and(|s| s.encoding_name() == "h265"),
            params: None,
            new_params: true,
            placing: Placing::new(
                Arc::clone(&session.runner.clock),
                session.spec.policies.timestamp_jump,
                audio_rate,
            ),
            silent: audio.is_none(),
            audio,
            audio_error: None,
        }
    }

    async fn run(mut self, mut demuxed: Demuxed, sink: &mut SessionSink) -> Fault {
        loop {
            let result = match demuxed.next().await {
                Some(Ok(CodecItem::VideoFrame(f))) => self.video(f, &demuxed, sink),
                Some(Ok(CodecItem::AudioFrame(f))) => self.sound(&f, sink),
                Some(Ok(CodecItem::Rtcp(r))) => {
                    if r.stream_id() == self.chosen.video {
                        self.placing.rtcp(r.raw());
                    }
                    Ok(())
                }
                Some(Ok(_)) => Ok(()),
                Some(Err(e)) => self.error(&e),
                None => Err(self.end()),
            };
            if let Err(fault) = result {
                return fault;
            }
        }
    }

    fn video(
        &mut self,
        frame: VideoFrame,
        demuxed: &Demuxed,
        sink: &mut SessionSink,
    ) -> Result<(), Fault> {
        self.new_params |= frame.has_new_parameters();
        let key = frame.is_random_access_point() || (self.h265 && params::is_irap(frame.data()));
        if key && self.new_params {
            self.take_params(demuxed);
        }
        let at = frame.end_ctx().received();
        let (rtp, lost) = (frame.timestamp(), u32::from(frame.loss()));
        let placed = self.placing.picture(rtp.timestamp(), rtp.elapsed(), at)?;
        let Some(params) = &self.params else {
            sink.undecodable(lost);
            return Ok(());
        };
        let data = Bytes::from(frame.into_data());
        sink.push(Frame {
            media: Media::Video,
            pts: placed.pts,
            received: placed.received,
            arrival: placed.arrival,
            key,
            data,
            lost,
            camera_clock: placed.camera_clock,
            params: Arc::clone(params),
        });
        Ok(())
    }

    fn sound(&mut self, frame: &AudioFrame, sink: &mut SessionSink) -> Result<(), Fault> {
        let Some(params) = self.params.as_ref().filter(|_| !self.silent) else {
            return Ok(());
        };
        let params = Arc::clone(params);
        let at = frame.ctx().received();
        let rtp = frame.timestamp();
        let placed = self.placing.sound(rtp.timestamp(), rtp.elapsed(), at)?;
        let Some((pts, received, arrival)) = placed else {
            self.silent = true;
            return Ok(());
        };
        sink.push(Frame {
            media: Media::Audio,
            pts,
            received,
            arrival,
            key: true,
            data: Bytes::copy_from_slice(frame.data()),
            lost: u32::from(frame.loss()),
            camera_clock: CameraClock::default(),
            params,
        });
        Ok(())
    }

    fn take_params(&mut self, demuxed: &Demuxed) {
        let stream = demuxed.streams().get(self.chosen.video);
        let Some(params) = stream.and_then(|s| params::video_params(s, self.audio.clone())) else {
            return;
        };
        self.new_params = false;
        if self.params.as_deref() != Some(&params) {
            if self.params.is_some() {
                info!(
                    codec = params.rfc6381,
                    width = params.width,
                    height = params.height,
                    "the camera changed its picture"
                );
            }
            self.params = Some(Arc::new(params));
        }
    }

    fn error(&mut self, error: &retina::Error) -> Result<(), Fault> {
        if let Sort::Packet { stream } = faults::sort(error)
            && stream.is_some()
            && stream == self.chosen.audio
        {
            if self.audio_error.is_none() {
                warn!("the sound's packets make no sense: {error}");
            }
            self.audio_error = Some(
                error
                    .to_string()
                    .lines()
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
            );
            return Ok(());
        }
        Err(self.session.fault(error, Step::Streaming))
    }

    fn end(&mut self) -> Fault {
        // retina gives up on all media when one makes no sense.
        if let Some(why) = self.audio_error.take() {
            let Session { runner, spec, .. } = self.session;
            runner.mute().insert(spec.key.clone(), spec.url.clone());
            let message =
                format!("the sound cannot be read ({why}); the next session leaves it out");
            return Fault::new(FaultKind::Protocol, message);
        }
        Fault::new(FaultKind::Closed, "the camera closed the connection")
    }
}
