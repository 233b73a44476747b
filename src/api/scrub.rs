//! `/cameras/{id}/keyframes` and `/cameras/{id}/thumbnails`: what a time line and a player that goes backwards need.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::cameras::key;
use super::extract::{Caller, Params, range_of};
use super::problem::{ApiResult, Problem};
use super::state::Api;
use crate::model::{Error, UtcMicros};

const TAG: &str = "cameras";

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct KeyFramesQuery {
    #[param(value_type = String, example = "2026-01-01T08:00:00Z")]
    from: Option<String>,
    #[param(value_type = String, example = "2026-01-01T08:05:00Z")]
    to: Option<String>,
    /// `main` (default) or `sub`.
    #[param(value_type = Option<String>)]
    stream: Option<String>,
    /// Only the first key frame of each so many milliseconds, counted from `from`; 0 (default): all.
    #[param(value_type = Option<u32>)]
    step_ms: Option<u32>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KeyFramesView {
    pub stream: &'static str,
    /// When they are shown, in order, at most 500.
    #[schema(value_type = Vec<String>)]
    pub times: Vec<UtcMicros>,
    /// There are more: ask again with this as `from`.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next: Option<UtcMicros>,
}

/// When the key frames of a recorded range are shown.
#[utoipa::path(get, path = "/cameras/{id}/keyframes", tag = TAG, params(KeyFramesQuery),
    responses((status = 200, body = KeyFramesView), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn key_frames(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Params(query): Params<KeyFramesQuery>,
) -> ApiResult<Json<KeyFramesView>> {
    let key = key(&id, query.stream.as_deref())?;
    let range = range_of(query.from.as_deref(), query.to.as_deref())?;
    let step = i64::from(query.step_ms.unwrap_or(0)) * 1_000;
    let found = api.playback.key_times(&actor, &key, range, step).await?;
    Ok(Json(KeyFramesView {
        stream: key.role.as_str(),
        times: found.times,
        next: found.next,
    }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ThumbnailsQuery {
    #[param(value_type = String, example = "2026-01-01T08:00:00Z")]
    from: Option<String>,
    #[param(value_type = String, example = "2026-01-01T08:05:00Z")]
    to: Option<String>,
    /// `main` (default) or `sub`.
    #[param(value_type = Option<String>)]
    stream: Option<String>,
    /// Equal pieces of the range, 1 to 120; 12 when absent.
    #[param(value_type = Option<u32>)]
    count: Option<u32>,
    /// Pixels; rounded up to 96, 160, 320, 640 or 1280. 160 when absent.
    #[param(value_type = Option<u32>)]
    width: Option<u32>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ThumbnailView {
    #[schema(value_type = String, format = DateTime)]
    pub from: UtcMicros,
    #[schema(value_type = String, format = DateTime)]
    pub to: UtcMicros,
    /// The first key frame in it; null where nothing is recorded.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub at: Option<UtcMicros>,
    /// Its picture, relative to the daemon.
    pub url: Option<String>,
}

/// A strip of pictures for a time line: equal pieces of a range, each with the address of its first key frame's picture.
#[utoipa::path(get, path = "/cameras/{id}/thumbnails", tag = TAG, params(ThumbnailsQuery),
    responses((status = 200, body = [ThumbnailView]), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn thumbnails(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Params(query): Params<ThumbnailsQuery>,
) -> ApiResult<Json<Vec<ThumbnailView>>> {
    let key = key(&id, query.stream.as_deref())?;
    let range = range_of(query.from.as_deref(), query.to.as_deref())?;
    let count = usize::try_from(query.count.unwrap_or(12)).unwrap_or(usize::MAX);
    let width = query.width.unwrap_or(160);
    let slots = api.playback.strip(&actor, &key, range, count).await?;
    let url = |at: UtcMicros| {
        format!(
            "/api/v1/cameras/{}/thumbnail.jpg?at={at}&width={width}&stream={}",
            key.camera,
            key.role.as_str()
        )
    };
    Ok(Json(
        slots
            .into_iter()
            .map(|s| ThumbnailView {
                from: s.range.from,
                to: s.range.to,
                at: s.at,
                url: s.at.map(url),
            })
            .collect(),
    ))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ThumbnailQuery {
    /// The last key frame at or before.
    #[param(value_type = String)]
    at: Option<String>,
    /// `main` (default) or `sub`.
    #[param(value_type = Option<String>)]
    stream: Option<String>,
    /// Pixels; rounded up to 96, 160, 320, 640 or 1280. 160 when absent.
    #[param(value_type = Option<u32>)]
    width: Option<u32>,
}

/// A small picture of a recorded key frame.
#[utoipa::path(get, path = "/cameras/{id}/thumbnail.jpg", tag = TAG, params(ThumbnailQuery),
    responses((status = 200, content_type = "image/jpeg"), (status = 404, body = Problem), (status = 429, body = Problem)))]
pub(super) async fn thumbnail(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Params(query): Params<ThumbnailQuery>,
) -> ApiResult<Response> {
    let key = key(&id, query.stream.as_deref())?;
    let Some(at) = query.at.as_deref() else {
        return Err(Error::invalid("bad_query", "`at` is missing: say which moment").into());
    };
    let at = UtcMicros::parse(at)?;
    let width = query.width.unwrap_or(160);
    let still = api.playback.thumbnail(&actor, &key, at, width).await?;
    let headers = [
        ("content-type", "image/jpeg".to_owned()),
        ("cache-control", "private, max-age=3600".to_owned()),
        ("zhenbei-time", still.at.to_string()),
    ];
    Ok((headers, still.jpeg).into_response())
}
