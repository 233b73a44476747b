//! `/cameras`: the register, states, coverage, clips, stills.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::{Body, Caller, Params, RangeQuery};
use super::files::Sendable;
use super::problem::{ApiResult, Problem};
use super::state::Api;
use crate::access::{Action, Actor, Permission, audited};
use crate::live::{CameraView, ClockView};
use crate::model::{
    AreaCode, Camera, CameraClock, CameraId, CameraPolicies, Error, GeoPoint, Secret, StreamKey,
    StreamRole, Transport, UtcMicros, check_transport,
};

const TAG: &str = "cameras";

/// A camera as it is written.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CameraInput {
    /// The operator's own code; a 20-digit GB/T 28181 code fits.
    #[schema(value_type = String)]
    pub id: CameraId,
    pub name: String,
    /// WGS-84 degrees.
    pub lon: f64,
    pub lat: f64,
    /// Administrative division code (GB/T 2260).
    #[schema(value_type = String)]
    pub area: AreaCode,
    pub heading_deg: Option<f64>,
    pub fov_deg: Option<f64>,
    /// `rtsp://user:password@host:554/path`
    #[schema(value_type = String)]
    pub main: Secret,
    #[schema(value_type = Option<String>)]
    pub sub: Option<Secret>,
    /// `tcp`, `udp`, `http`, `tls`, `multicast` or `auto`.
    #[schema(value_type = Option<String>)]
    #[serde(default)]
    pub transport: Transport,
    /// What of its misbehaviour is borne (docs/cameras.md); what is left out has its default.
    #[schema(value_type = Option<Object>)]
    #[serde(default)]
    pub policies: CameraPolicies,
    #[serde(default = "yes")]
    pub record: bool,
}

fn yes() -> bool {
    true
}

impl CameraInput {
    fn camera(self) -> ApiResult<Camera> {
        let wrong = |why: String| Error::invalid("bad_camera", why);
        self.policies.check().map_err(wrong)?;
        for url in std::iter::once(&self.main).chain(&self.sub) {
            // An address of another kind is refused where it is used, with what to write instead.
            if let Some(scheme) = url.reveal().split_once("://").map(|(scheme, _)| scheme)
                && scheme.eq_ignore_ascii_case("rtsps")
            {
                check_transport("rtsps", self.transport).map_err(wrong)?;
            }
        }
        Ok(Camera {
            id: self.id,
            name: self.name,
            place: GeoPoint::new(self.lon, self.lat)?,
            area: self.area,
            heading_deg: self.heading_deg,
            fov_deg: self.fov_deg,
            main: self.main,
            sub: self.sub,
            transport: self.transport,
            policies: self.policies,
            record: self.record,
        })
    }
}

pub(super) fn stream_role(text: Option<&str>) -> ApiResult<StreamRole> {
    let text = text.unwrap_or("main");
    StreamRole::parse(text).ok_or_else(|| {
        Error::invalid(
            "bad_stream",
            format!("stream `{text}` must be `main` or `sub`"),
        )
        .into()
    })
}

/// All cameras with their states.
#[utoipa::path(get, path = "/cameras", tag = TAG, responses((status = 200, body = [CameraView])))]
pub(super) async fn list(
    State(api): State<Api>,
    Caller(actor): Caller,
) -> ApiResult<Json<Vec<CameraView>>> {
    may_list(&api, &actor).await?;
    let addresses = actor.may(Permission::CameraWrite);
    Ok(Json(
        api.cameras
            .list()
            .iter()
            .map(|c| CameraView::new(c, addresses))
            .collect(),
    ))
}

/// One camera.
#[utoipa::path(get, path = "/cameras/{id}", tag = TAG,
    responses((status = 200, body = CameraView), (status = 404, body = Problem)))]
pub(super) async fn get(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<CameraView>> {
    may_list(&api, &actor).await?;
    let id = known(&id)?;
    let status = api.cameras.get(&id).ok_or_else(|| no_camera(id.as_str()))?;
    Ok(Json(CameraView::new(
        &status,
        actor.may(Permission::CameraWrite),
    )))
}

/// Tries a faulted or waiting camera again at once, e.g. after its password was mended at the camera.
#[utoipa::path(post, path = "/cameras/{id}/retry", tag = TAG,
    responses((status = 204), (status = 404, body = Problem)))]
pub(super) async fn retry(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    let status = api
        .cameras
        .get(&known(&id)?)
        .ok_or_else(|| no_camera(&id))?;
    let object = format!("retry camera/{}", status.camera.id);
    audited(
        &api.audit,
        &actor,
        Action::CameraChange,
        &object,
        "",
        async {
            actor.need(Permission::CameraWrite, &object)?;
            for (role, _) in status.camera.streams() {
                api.video
                    .retry(&StreamKey::new(status.camera.id.clone(), role));
            }
            Ok(())
        },
    )
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Adds a camera.
#[utoipa::path(post, path = "/cameras", tag = TAG, request_body = CameraInput,
    responses((status = 201, body = CameraView), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn create(
    State(api): State<Api>,
    Caller(actor): Caller,
    Body(input): Body<CameraInput>,
) -> ApiResult<(StatusCode, Json<CameraView>)> {
    let camera = input.camera()?;
    let id = camera.id.clone();
    api.register.add_camera(&actor, camera).await?;
    Ok((StatusCode::CREATED, Json(view(&api, &id)?)))
}

/// Changes a camera, or adds it under this id. A password given as `***` keeps the one that is stored.
#[utoipa::path(put, path = "/cameras/{id}", tag = TAG, request_body = CameraInput,
    responses((status = 200, body = CameraView), (status = 422, body = Problem)))]
pub(super) async fn put(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Body(input): Body<CameraInput>,
) -> ApiResult<Json<CameraView>> {
    if input.id.as_str() != id {
        let detail = format!(
            "the camera in the body is `{}`, in the address `{id}`; they must agree",
            input.id
        );
        return Err(Error::invalid("bad_id", detail).into());
    }
    let camera = input.camera()?;
    let id = camera.id.clone();
    api.register.put_camera(&actor, camera).await?;
    Ok(Json(view(&api, &id)?))
}

/// Removes a camera from the register; its recordings stay until retention takes them.
#[utoipa::path(delete, path = "/cameras/{id}", tag = TAG,
    responses((status = 204), (status = 404, body = Problem)))]
pub(super) async fn delete(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    api.register
        .delete_camera(&actor, &CameraId::new(&id)?)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who looks after the cameras sees the list, not the pictures.
async fn may_list(api: &Api, actor: &Actor) -> ApiResult<()> {
    if !actor.may(Permission::CameraWrite) {
        api.audit
            .check(actor, Permission::LiveView, "the cameras")
            .await?;
    }
    Ok(())
}

fn no_camera(id: &str) -> Error {
    Error::not_found("not_found", format!("there is no camera `{id}`"))
}

/// The id if it can be one; what cannot be an id cannot be found either.
fn known(id: &str) -> ApiResult<CameraId> {
    CameraId::new(id).map_err(|_| no_camera(id).into())
}

fn view(api: &Api, id: &CameraId) -> ApiResult<CameraView> {
    let status = api.cameras.get(id).ok_or_else(|| no_camera(id.as_str()))?;
    Ok(CameraView::new(&status, true))
}

pub(super) fn key(id: &str, stream: Option<&str>) -> ApiResult<StreamKey> {
    let camera = CameraId::new(id).map_err(|_| no_camera(id))?;
    Ok(StreamKey::new(camera, stream_role(stream)?))
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SpanView {
    #[schema(value_type = String, format = DateTime)]
    pub from: UtcMicros,
    #[schema(value_type = String, format = DateTime)]
    pub to: UtcMicros,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GapView {
    #[schema(value_type = String, format = DateTime)]
    pub from: UtcMicros,
    #[schema(value_type = String, format = DateTime)]
    pub to: UtcMicros,
    pub cause: &'static str,
}

/// Spans and gaps tile the range that was asked for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Coverage)]
pub(super) struct CoverageView {
    pub stream: &'static str,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub durable_until: Option<UtcMicros>,
    pub spans: Vec<SpanView>,
    pub gaps: Vec<GapView>,
    /// The camera's clock minus the recording's time, at the newest picture of the range.
    pub camera_clock: Option<ClockView>,
    /// Why `camera_clock` is null.
    pub camera_clock_reason: Option<&'static str>,
    /// The recording's time minus the server's clock there, in microseconds: not zero after that clock was set back.
    pub recording_ahead_us: i64,
}

/// What is recorded and what is missing, with the cause.
#[utoipa::path(get, path = "/cameras/{id}/coverage", tag = TAG, params(RangeQuery),
    responses((status = 200, body = CoverageView), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn coverage(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Params(query): Params<RangeQuery>,
) -> ApiResult<Json<CoverageView>> {
    let key = key(&id, query.stream.as_deref())?;
    let range = query.range()?;
    let coverage = api.playback.coverage(&actor, &key, range).await?;
    let clock = api.playback.clock_before(&key, range.to).await?;
    Ok(Json(CoverageView {
        stream: coverage.stream.role.as_str(),
        durable_until: coverage.durable_until,
        spans: coverage
            .spans
            .iter()
            .map(|s| SpanView {
                from: s.from,
                to: s.to,
            })
            .collect(),
        gaps: coverage
            .gaps
            .iter()
            .map(|(r, cause)| GapView {
                from: r.from,
                to: r.to,
                cause: cause.as_str(),
            })
            .collect(),
        camera_clock: ClockView::of(clock.camera),
        camera_clock_reason: clock.camera.reason().map(|why| why.as_str()),
        recording_ahead_us: clock.ahead_us,
    }))
}

/// The recording of a range as one MP4 that is made as it is read.
#[utoipa::path(get, path = "/cameras/{id}/clip.mp4", tag = TAG, params(RangeQuery),
    responses((status = 200, content_type = "video/mp4"), (status = 206, content_type = "video/mp4"),
        (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn clip(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Params(query): Params<RangeQuery>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let key = key(&id, query.stream.as_deref())?;
    let range = query.range()?;
    let clip = api.playback.clip(&actor, &key, range).await?;
    let clock = api.playback.clock_before(&key, clip.delivered().to).await?;
    let file = Sendable {
        len: clip.len(),
        etag: clip.etag().to_owned(),
        media_type: "video/mp4".into(),
        download_as: None,
        extra: vec![
            ("zhenbei-from", clip.delivered().from.to_string()),
            ("zhenbei-to", clip.delivered().to.to_string()),
            ("zhenbei-camera-clock", clock_header(clock.camera)),
        ],
    };
    Ok(match file.answer(&headers) {
        Ok(head) => {
            let bytes = clip.read(head.range.clone());
            head.with(bytes)
        }
        Err(answer) => *answer,
    })
}

/// The camera's clock minus the clip's times, at its end.
fn clock_header(clock: CameraClock) -> String {
    match clock {
        CameraClock::Known {
            offset_us,
            uncertainty_us,
            method,
        } => format!(
            "offset_us={offset_us}; uncertainty_us={uncertainty_us}; method={}",
            method.as_str()
        ),
        CameraClock::Unknown(why) => format!("unknown; reason={}", why.as_str()),
    }
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct StillQuery {
    /// The newest picture at or before; now when absent.
    #[param(value_type = Option<String>)]
    at: Option<String>,
    #[param(value_type = Option<String>)]
    stream: Option<String>,
    /// Scales down to this many pixels.
    width: Option<u32>,
}

/// One picture as JPEG.
#[utoipa::path(get, path = "/cameras/{id}/still.jpg", tag = TAG, params(StillQuery),
    responses((status = 200, content_type = "image/jpeg"), (status = 404, body = Problem)))]
pub(super) async fn still(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Params(query): Params<StillQuery>,
) -> ApiResult<Response> {
    let key = key(&id, query.stream.as_deref())?;
    let at = query.at.as_deref().map(UtcMicros::parse).transpose()?;
    let still = api.playback.still(&actor, &key, at, query.width).await?;
    let headers = [
        ("content-type", "image/jpeg".to_owned()),
        (
            "cache-control",
            if at.is_some() {
                "private, max-age=3600".into()
            } else {
                "no-store".to_owned()
            },
        ),
        ("zhenbei-time", still.at.to_string()),
    ];
    Ok((headers, still.jpeg).into_response())
}
