//! `/storage`: the volumes of the archive, how long they last, and what is held.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::{Body, Caller};
use super::problem::{ApiResult, Problem};
use super::state::Api;
use crate::access::Permission;
use crate::archive::{FloorState, HealthState, VolumeStatus};
use crate::model::{CameraId, Error, StreamKey, StreamRole, TimeRange, UtcMicros};
use crate::store::database::Hold;

const TAG: &str = "storage";

/// Whether a volume will hold what the law asks for.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Floor {
    /// `unknown`, `kept`, `short`, `broken`
    state: &'static str,
    /// When `short`: hours until the first recording younger than the floor has to go.
    hours: Option<f64>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Volume)]
pub(super) struct VolumeView {
    /// `default` is `[archive] dir`.
    name: String,
    dir: String,
    /// `ok`, `degraded`, `down`
    state: &'static str,
    /// What is wrong and what to do; empty when all is well.
    message: String,
    /// Of recordings.
    bytes: u64,
    /// Of these, kept by holds.
    held_bytes: u64,
    /// On its disk; null when it was never asked.
    free_bytes: Option<u64>,
    /// As measured over the last day; null in the first hour.
    bytes_per_day: Option<u64>,
    /// Until the space rules begin to delete.
    runway_hours: Option<f64>,
    /// Days of recordings it can hold at the measured rate.
    holds_days: Option<f64>,
    #[schema(value_type = Option<String>, format = DateTime)]
    oldest: Option<UtcMicros>,
    floor: Floor,
}

/// A range that no rule deletes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Hold)]
pub(super) struct HoldView {
    id: String,
    #[schema(value_type = String)]
    camera: CameraId,
    /// `main`, `sub`
    stream: &'static str,
    #[schema(value_type = String, format = DateTime)]
    from: UtcMicros,
    #[schema(value_type = String, format = DateTime)]
    to: UtcMicros,
    reason: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: UtcMicros,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Storage {
    /// `[archive] retention_days`
    retention_days: f64,
    /// `[archive] legal_floor_days`; 0 is none.
    legal_floor_days: f64,
    volumes: Vec<VolumeView>,
    holds: Vec<HoldView>,
}

fn volume(v: VolumeStatus) -> VolumeView {
    let f = v.forecast;
    let floor = f.as_ref().map_or(FloorState::Unknown, |f| f.floor);
    VolumeView {
        name: if v.name.is_empty() {
            "default".into()
        } else {
            v.name
        },
        dir: v.dir.display().to_string(),
        state: match v.health.state {
            HealthState::Ok => "ok",
            HealthState::Degraded => "degraded",
            HealthState::Paused => "down",
        },
        message: v.health.message.unwrap_or_default(),
        bytes: v.bytes,
        held_bytes: f.as_ref().map_or(0, |f| f.held_bytes),
        free_bytes: v.free,
        bytes_per_day: f.as_ref().and_then(|f| f.bytes_per_day),
        runway_hours: f.as_ref().and_then(|f| f.runway_hours),
        holds_days: f.as_ref().and_then(|f| f.holds_days),
        oldest: f.as_ref().and_then(|f| f.oldest),
        floor: Floor {
            state: floor.as_str(),
            hours: match floor {
                FloorState::Short { hours } => Some(hours),
                FloorState::Unknown | FloorState::Kept | FloorState::Broken => None,
            },
        },
    }
}

impl From<Hold> for HoldView {
    fn from(h: Hold) -> Self {
        Self {
            id: h.id,
            stream: h.stream.role.as_str(),
            camera: h.stream.camera,
            from: h.range.from,
            to: h.range.to,
            reason: h.reason,
            created_at: h.created_at,
        }
    }
}

/// The disks, how long they last, and what is held.
#[utoipa::path(get, path = "/storage", tag = TAG,
    responses((status = 200, body = Storage), (status = 403, body = Problem)))]
pub(super) async fn get(State(api): State<Api>, Caller(actor): Caller) -> ApiResult<Json<Storage>> {
    api.audit
        .check(&actor, Permission::SystemRead, "the storage")
        .await?;
    let holds = api.holds.list(&actor).await?;
    let volumes = api.health.archive.volumes();
    Ok(Json(Storage {
        retention_days: api.config.archive.retention_days,
        legal_floor_days: api.config.archive.legal_floor_days,
        volumes: volumes.into_iter().map(volume).collect(),
        holds: holds.into_iter().map(HoldView::from).collect(),
    }))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HoldInput {
    camera: String,
    /// `main` when absent.
    #[serde(default)]
    stream: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    from: UtcMicros,
    #[schema(value_type = String, format = DateTime)]
    to: UtcMicros,
    /// Why it must stay.
    reason: String,
}

/// Puts a hold: nothing of the range is deleted from now on.
#[utoipa::path(post, path = "/storage/holds", tag = TAG, request_body = HoldInput,
    responses((status = 201, body = HoldView), (status = 400, body = Problem), (status = 403, body = Problem)))]
pub(super) async fn hold(
    State(api): State<Api>,
    Caller(actor): Caller,
    Body(input): Body<HoldInput>,
) -> ApiResult<(StatusCode, Json<HoldView>)> {
    let role = match &input.stream {
        None => StreamRole::Main,
        Some(text) => StreamRole::parse(text).ok_or_else(|| {
            Error::invalid(
                "bad_stream",
                format!("`{text}`: there are `main` and `sub`"),
            )
        })?,
    };
    let stream = StreamKey::new(CameraId::new(&input.camera)?, role);
    let range = TimeRange::new(input.from, input.to)?;
    let hold = api.holds.put(&actor, stream, range, &input.reason).await?;
    Ok((StatusCode::CREATED, Json(hold.into())))
}

/// Lifts a hold: the rules apply to its range again.
#[utoipa::path(delete, path = "/storage/holds/{id}", tag = TAG,
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn lift(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    api.holds.lift(&actor, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
