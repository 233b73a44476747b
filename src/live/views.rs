//! Cameras and positions as walls and the HTTP interface see them (docs/api.md). Shapes only.

use serde::Serialize;
use utoipa::ToSchema;

use crate::model::{
    CameraClock, CameraStatus, FaultReason, Fix, Secret, StreamStatus, UtcMicros, Vehicle,
    VehicleClass, VehicleState,
};

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = FaultReason)]
pub struct ReasonView {
    pub kind: &'static str,
    /// What happened and what to do.
    pub message: String,
    /// When the next attempt starts; null when it waits for a person.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub retry_at: Option<UtcMicros>,
}

impl From<&FaultReason> for ReasonView {
    fn from(r: &FaultReason) -> Self {
        Self {
            kind: r.kind.as_str(),
            message: r.message.clone(),
            retry_at: r.retry_at,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = StreamState)]
pub struct StreamView {
    pub state: &'static str,
    #[schema(value_type = String, format = DateTime)]
    pub since: UtcMicros,
    pub reason: Option<ReasonView>,
    pub codec: Option<&'static str>,
    pub width: Option<u16>,
    pub height: Option<u16>,
    pub fps: Option<f64>,
    pub kbps: Option<f64>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_frame: Option<UtcMicros>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub durable_until: Option<UtcMicros>,
    pub packets_lost: u64,
    pub reconnects: u64,
    pub recording: bool,
    /// How packets travel in the session that runs or ran last; null before the first one.
    pub transport: Option<&'static str>,
    /// The camera's clock minus the server's, at the newest picture.
    pub camera_clock: Option<ClockView>,
    /// Why `camera_clock` is null.
    pub camera_clock_reason: Option<&'static str>,
}

impl From<&StreamStatus> for StreamView {
    fn from(s: &StreamStatus) -> Self {
        Self {
            state: s.state.as_str(),
            since: s.since,
            reason: s.reason.as_ref().map(ReasonView::from),
            codec: s.codec.map(|c| c.as_str()),
            width: s.width,
            height: s.height,
            fps: s.fps.map(tenths),
            kbps: s.kbps.map(tenths),
            last_frame: s.last_frame,
            durable_until: s.durable_until,
            packets_lost: s.packets_lost,
            reconnects: s.reconnects,
            recording: s.recording,
            transport: s.transport.map(|t| t.as_str()),
            camera_clock: s.camera_clock.and_then(ClockView::of),
            camera_clock_reason: s
                .camera_clock
                .map_or(Some("no_picture"), |c| c.reason().map(|why| why.as_str())),
        }
    }
}

/// The camera's clock minus the server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = CameraClock)]
pub struct ClockView {
    pub offset_us: i64,
    /// How far the true value may lie on either side.
    pub uncertainty_us: u32,
    pub method: &'static str,
}

impl ClockView {
    /// `None` where it is not known; the reason stands beside it.
    pub fn of(clock: CameraClock) -> Option<Self> {
        match clock {
            CameraClock::Known {
                offset_us,
                uncertainty_us,
                method,
            } => Some(Self {
                offset_us,
                uncertainty_us,
                method: method.as_str(),
            }),
            CameraClock::Unknown(_) => None,
        }
    }
}

fn tenths(x: f64) -> f64 {
    (x * 10.0).round() / 10.0
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct StreamStates {
    pub main: StreamView,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<StreamView>,
}

/// A camera with the state of its main stream at the top, and of every stream below.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Camera)]
pub struct CameraView {
    pub id: String,
    pub name: String,
    /// WGS-84 degrees.
    pub lon: f64,
    pub lat: f64,
    pub area: String,
    /// Clockwise from north.
    pub heading_deg: Option<f64>,
    pub fov_deg: Option<f64>,
    pub record: bool,
    pub transport: &'static str,
    /// What of its misbehaviour is borne, where that is not the default.
    #[schema(value_type = Object)]
    pub policies: serde_json::Value,
    pub streams: Vec<&'static str>,
    #[serde(flatten)]
    pub top: StreamTop,
    pub stream_states: StreamStates,
    /// Addresses with their passwords starred out; only for who may change cameras.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub main: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct StreamTop {
    pub state: &'static str,
    #[schema(value_type = String, format = DateTime)]
    pub state_since: UtcMicros,
    pub reason: Option<ReasonView>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub durable_until: Option<UtcMicros>,
    pub fps: Option<f64>,
    pub kbps: Option<f64>,
    pub codec: Option<&'static str>,
    pub width: Option<u16>,
    pub height: Option<u16>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_frame: Option<UtcMicros>,
}

impl CameraView {
    pub fn new(status: &CameraStatus, with_addresses: bool) -> Self {
        let c = &status.camera;
        let main = StreamView::from(&status.main);
        let top = StreamTop {
            state: main.state,
            state_since: main.since,
            reason: main.reason.clone(),
            durable_until: main.durable_until,
            fps: main.fps,
            kbps: main.kbps,
            codec: main.codec,
            width: main.width,
            height: main.height,
            last_frame: main.last_frame,
        };
        Self {
            id: c.id.to_string(),
            name: c.name.clone(),
            lon: c.place.lon,
            lat: c.place.lat,
            area: c.area.to_string(),
            heading_deg: c.heading_deg,
            fov_deg: c.fov_deg,
            record: c.record,
            transport: c.transport.as_str(),
            policies: c.policies.to_json(),
            streams: c.streams().map(|(role, _)| role.as_str()).collect(),
            top,
            stream_states: StreamStates {
                main,
                sub: status.sub.as_ref().map(StreamView::from),
            },
            main: with_addresses.then(|| c.main.redacted()),
            sub: if with_addresses {
                c.sub.as_ref().map(Secret::redacted)
            } else {
                None
            },
        }
    }
}

/// The newest position of a vehicle, flat, as events carry it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Position)]
pub struct PositionView {
    pub vehicle: String,
    pub lon: f64,
    pub lat: f64,
    #[serde(flatten)]
    pub about: FixAbout,
    pub plate: Option<String>,
    pub class: &'static str,
    pub state: &'static str,
}

/// What a fix says beside its place.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct FixAbout {
    /// By the device's clock.
    #[schema(value_type = String, format = DateTime)]
    pub time: UtcMicros,
    /// By the server's clock.
    #[schema(value_type = String, format = DateTime)]
    pub received: UtcMicros,
    pub speed_kmh: Option<f64>,
    /// Clockwise from true north.
    pub course_deg: Option<f64>,
    pub altitude_m: Option<f64>,
    /// Null: unknown.
    pub ignition: Option<bool>,
    pub source: String,
    pub flags: Vec<&'static str>,
}

impl From<&Fix> for FixAbout {
    fn from(fix: &Fix) -> Self {
        Self {
            time: fix.time,
            received: fix.received,
            speed_kmh: fix.speed_kmh.map(tenths),
            course_deg: fix.course_deg.map(tenths),
            altitude_m: fix.altitude_m,
            ignition: fix.ignition.map(|i| i == crate::model::Ignition::On),
            source: fix.source.clone(),
            flags: fix.flags.iter().map(|f| f.as_str()).collect(),
        }
    }
}

pub fn state_word(state: VehicleState) -> &'static str {
    match state {
        VehicleState::Moving => "moving",
        VehicleState::Stopped => "stopped",
        VehicleState::Stale => "stale",
    }
}

impl PositionView {
    pub fn new(fix: &Fix, vehicle: Option<&Vehicle>, state: VehicleState) -> Self {
        Self {
            vehicle: fix.vehicle.to_string(),
            lon: fix.place.lon,
            lat: fix.place.lat,
            about: fix.into(),
            plate: vehicle.and_then(|v| v.plate.clone()),
            class: vehicle.map_or(VehicleClass::Other, |v| v.class).as_str(),
            state: state_word(state),
        }
    }
}
