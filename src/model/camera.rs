//! A camera as the site describes it, and what is known of its streams right now.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{AreaCode, CameraClock, CameraId, CameraPolicies, GeoPoint, Transport, UtcMicros};

/// Text that must not reach logs or answers: a stream address with its password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The whole text; for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// An address with its password starred out; anything else as `***`.
    pub fn redacted(&self) -> String {
        match url::Url::parse(&self.0) {
            Ok(mut u) if u.has_host() => {
                if u.password().is_some() && u.set_password(Some("***")).is_err() {
                    return "***".into();
                }
                u.to_string()
            }
            Ok(_) | Err(_) => "***".into(),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamRole {
    /// Full picture; what is recorded.
    Main,
    /// Small picture for walls.
    Sub,
}

impl StreamRole {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Sub => "sub",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "main" => Some(Self::Main),
            "sub" => Some(Self::Sub),
            _ => None,
        }
    }
}

impl fmt::Display for StreamRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VideoCodec {
    H264,
    H265,
}

impl VideoCodec {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::H265 => "h265",
        }
    }
}

/// One camera of the site: the wanted state that the supervisor reconciles with what runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Camera {
    pub id: CameraId,
    pub name: String,
    pub place: GeoPoint,
    pub area: AreaCode,
    /// Degrees clockwise from north; unknown is `None`.
    pub heading_deg: Option<f64>,
    /// Horizontal field of view in degrees.
    pub fov_deg: Option<f64>,
    pub main: Secret,
    pub sub: Option<Secret>,
    pub transport: Transport,
    pub policies: CameraPolicies,
    /// Record the main stream continuously.
    pub record: bool,
}

impl Camera {
    pub fn streams(&self) -> impl Iterator<Item = (StreamRole, &Secret)> {
        std::iter::once((StreamRole::Main, &self.main))
            .chain(self.sub.as_ref().map(|s| (StreamRole::Sub, s)))
    }
}

/// Why a stream is not streaming. Decides whether a retry can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// No TCP connection (refused, no route, name unknown).
    Unreachable,
    /// Connected, no answer or no first frame in time.
    TimedOut,
    /// The camera ended the session.
    Closed,
    /// It does not speak RTSP, or not as RFC 2326/7826 says.
    Protocol,
    /// User name or password refused. Needs a person: trying again locks accounts.
    Unauthorized,
    /// No H.264/H.265 video in its description. Needs a person.
    UnsupportedCodec,
    /// Packets still come, pictures do not.
    PictureStopped,
    /// This machine's clock was set back too far to go on in the same session.
    ClockStep,
    /// A defect of ours in this camera's task.
    Panicked,
}

impl FaultKind {
    /// Whether trying again with nothing changed may help.
    pub const fn is_transient(self) -> bool {
        match self {
            Self::Unauthorized | Self::UnsupportedCodec => false,
            Self::Unreachable
            | Self::TimedOut
            | Self::Closed
            | Self::Protocol
            | Self::PictureStopped
            | Self::ClockStep
            | Self::Panicked => true,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Closed => "closed",
            Self::Protocol => "protocol",
            Self::Unauthorized => "unauthorized",
            Self::UnsupportedCodec => "unsupported_codec",
            Self::PictureStopped => "picture_stopped",
            Self::ClockStep => "clock_step",
            Self::Panicked => "panicked",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultReason {
    pub kind: FaultKind,
    /// What happened and what to do, for a person.
    pub message: String,
    /// When the next attempt starts; `None` when it waits for a person.
    pub retry_at: Option<UtcMicros>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamState {
    Connecting,
    Streaming,
    Backoff,
    /// Waits for a person.
    Faulted,
    Stopped,
}

impl StreamState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Streaming => "streaming",
            Self::Backoff => "backoff",
            Self::Faulted => "faulted",
            Self::Stopped => "stopped",
        }
    }
}

/// What is known of one stream now. `None` is "unknown", never a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamStatus {
    pub state: StreamState,
    pub since: UtcMicros,
    pub reason: Option<FaultReason>,
    pub codec: Option<VideoCodec>,
    pub width: Option<u16>,
    pub height: Option<u16>,
    pub fps: Option<f64>,
    pub kbps: Option<f64>,
    /// Server receive time of the newest picture.
    pub last_frame: Option<UtcMicros>,
    /// Everything recorded before this survives a power cut; filled in by the archive.
    pub durable_until: Option<UtcMicros>,
    pub packets_lost: u64,
    pub reconnects: u64,
    pub recording: bool,
    /// How packets travel in the session that runs or ran last.
    pub transport: Option<Transport>,
    /// Of the newest picture.
    pub camera_clock: Option<CameraClock>,
}

impl StreamStatus {
    pub fn new(state: StreamState, since: UtcMicros) -> Self {
        Self {
            state,
            since,
            reason: None,
            codec: None,
            width: None,
            height: None,
            fps: None,
            kbps: None,
            last_frame: None,
            durable_until: None,
            packets_lost: 0,
            reconnects: 0,
            recording: false,
            transport: None,
            camera_clock: None,
        }
    }
}

/// A camera with the states of its streams, as lists and events show it.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraStatus {
    pub camera: Camera,
    pub main: StreamStatus,
    pub sub: Option<StreamStatus>,
}

/// Joins a camera with what is known of its streams; a stream nobody knows yet is `stopped`.
pub fn camera_status(
    camera: Camera,
    now: UtcMicros,
    mut known: impl FnMut(StreamRole) -> Option<StreamStatus>,
) -> CameraStatus {
    let mut of = |role| known(role).unwrap_or_else(|| StreamStatus::new(StreamState::Stopped, now));
    let main = of(StreamRole::Main);
    let sub = camera.sub.is_some().then(|| of(StreamRole::Sub));
    CameraStatus { camera, main, sub }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_do_not_reach_logs() {
        let s = Secret::new("rtsp://admin:hunter2@192.0.2.1:554/main");
        assert_eq!(format!("{s:?}"), "rtsp://admin:***@192.0.2.1:554/main");
        assert_eq!(Secret::new("hunter2").redacted(), "***");
    }

    #[test]
    fn only_what_a_person_must_mend_is_not_retried() {
        assert!(!FaultKind::Unauthorized.is_transient());
        assert!(!FaultKind::UnsupportedCodec.is_transient());
        assert!(FaultKind::Unreachable.is_transient());
        assert!(FaultKind::Panicked.is_transient());
    }
}
