//! The words: what a camera, a fix, a segment, a case is. Plain values and rules; no files, sockets, tokio.

mod camera;
mod camera_clock;
mod case;
mod error;
mod fix;
mod ids;
mod ingest;
mod place;
mod recording;
mod stream;
mod time;

pub use camera::{
    Camera, CameraStatus, FaultKind, FaultReason, Secret, StreamRole, StreamState, StreamStatus,
    VideoCodec, camera_status,
};
pub use camera_clock::{CameraClock, ClockMethod, ClockUnknown, FragmentClock};
pub use case::{
    Case, CaseAction, CaseEvent, CaseSource, CaseState, Exhibit, ExhibitFile, ExhibitKind,
    ExhibitState, FragmentName, TakenFragments,
};
pub use error::{Error, ErrorKind, Result};
pub use fix::{Fix, FixFlag, FixFlags, Ignition, Vehicle, VehicleClass, VehicleState};
pub use ids::{
    AreaCode, CameraId, CaseId, ExhibitId, LayoutId, SegmentId, SessionId, StreamKey, TokenId,
    UserId, VehicleId,
};
pub use ingest::{
    BackendPolicy, CameraPolicies, InitialSequencePolicy, InitialTimestampPolicy, KeepalivePolicy,
    SessionIdPolicy, SoundPolicy, TeardownPolicy, TimestampJumpPolicy, TlsPolicy, Transport,
    UnassignedChannelPolicy, UnknownRtcpSsrcPolicy, check_transport,
};
pub use place::{BoundingBox, GeoPoint, distance_m};
pub use recording::{Coverage, Fragment, Gap, GapCause, Segment, Span, split_path, tile};
pub use stream::{AudioParams, StreamParams};
pub use time::{Clock, SystemClock, TimeRange, UtcMicros};
