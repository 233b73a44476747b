//! `/system`, `/health`, `/basemap*`, and the three routes for machines: `/healthz`, `/readyz`, `/metrics`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;
use utoipa::ToSchema;

use super::extract::Caller;
use super::files::Sendable;
use super::problem::{ApiResult, Problem};
use super::state::Api;
use crate::access::Permission;
use crate::config::{BasemapKind, MapConfig};
use crate::live::MAX_TILES;
use crate::model::{Error, UtcMicros};

const TAG: &str = "system";

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Site {
    name: String,
    /// Longitude, latitude.
    center: [f64; 2],
    zoom: f64,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Basemap {
    /// `none`, `geojson`, `xyz`, `wmts`, `pmtiles`
    kind: &'static str,
    url: Option<String>,
    attribution: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LiveLimits {
    max_tiles: usize,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct System {
    version: &'static str,
    #[schema(value_type = String, format = DateTime)]
    now: UtcMicros,
    site: Site,
    basemap: Basemap,
    live: LiveLimits,
}

fn basemap(map: &MapConfig) -> Basemap {
    let file = |default: &str| map.url.clone().unwrap_or_else(|| default.into());
    let (kind, url) = match map.kind {
        BasemapKind::None => ("none", None),
        BasemapKind::Geojson => ("geojson", Some("/api/v1/basemap.geojson".into())),
        BasemapKind::Xyz => ("xyz", map.url.clone()),
        BasemapKind::Wmts => ("wmts", map.url.clone()),
        BasemapKind::Pmtiles => (
            "pmtiles",
            Some(format!("/api/v1/basemap/{}", file("basemap.pmtiles"))),
        ),
    };
    Basemap {
        kind,
        url,
        attribution: map.attribution.clone(),
    }
}

/// What this system is, its clock, and where its base map lies.
#[utoipa::path(get, path = "/system", tag = TAG, responses((status = 200, body = System)))]
pub(super) async fn system(State(api): State<Api>, Caller(_): Caller) -> Json<System> {
    let site = &api.config.site;
    Json(System {
        version: env!("CARGO_PKG_VERSION"),
        now: api.clock.now(),
        site: Site {
            name: site.name.clone(),
            center: site.center,
            zoom: site.zoom,
        },
        basemap: basemap(&api.config.map),
        live: LiveLimits {
            max_tiles: MAX_TILES,
        },
    })
}

/// A part of the system and how it is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PartHealth {
    pub part: &'static str,
    /// `ok`, `degraded`, `down`
    pub state: &'static str,
    /// What is wrong and what to do; empty when all is well.
    pub message: String,
}

/// How each part is.
#[utoipa::path(get, path = "/health", tag = TAG, responses((status = 200, body = [PartHealth])))]
pub(super) async fn health(
    State(api): State<Api>,
    Caller(actor): Caller,
) -> ApiResult<Json<Vec<PartHealth>>> {
    api.audit
        .check(&actor, Permission::SystemRead, "see the system's health")
        .await?;
    Ok(Json(api.health.report().await))
}

/// The base map of the configured folder, as GeoJSON.
#[utoipa::path(get, path = "/basemap.geojson", tag = TAG,
    responses((status = 200, content_type = "application/geo+json"), (status = 404, body = Problem)))]
pub(super) async fn basemap_geojson(
    State(api): State<Api>,
    Caller(_): Caller,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let name = match api.config.map.kind {
        BasemapKind::Geojson => api
            .config
            .map
            .url
            .clone()
            .unwrap_or_else(|| "basemap.geojson".into()),
        BasemapKind::None | BasemapKind::Xyz | BasemapKind::Wmts | BasemapKind::Pmtiles => {
            return Err(Error::not_found(
                "not_found",
                "this site's base map is not GeoJSON; see /api/v1/system",
            )
            .into());
        }
    };
    map_file(&api, &name, "application/geo+json", &headers).await
}

/// A file of `[map] dir`.
#[utoipa::path(get, path = "/basemap/{file}", tag = TAG,
    responses((status = 200, content_type = "application/octet-stream"), (status = 404, body = Problem)))]
pub(super) async fn basemap_file(
    State(api): State<Api>,
    Caller(_): Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    map_file(&api, &name, "application/octet-stream", &headers).await
}

async fn map_file(
    api: &Api,
    name: &str,
    media_type: &str,
    headers: &HeaderMap,
) -> ApiResult<Response> {
    let missing = || {
        Error::not_found(
            "not_found",
            format!("there is no base map file `{name}` in [map] dir"),
        )
    };
    let safe = !name.is_empty()
        && !name.starts_with('.')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    let dir = api
        .config
        .map
        .dir
        .as_ref()
        .filter(|_| safe)
        .ok_or_else(missing)?;
    let mut file = tokio::fs::File::open(dir.join(name))
        .await
        .map_err(|e| missing().because(e))?;
    let meta = file.metadata().await.map_err(|e| missing().because(e))?;
    let changed = meta
        .modified()
        .ok()
        .and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok())
        .map_or(0, |d| d.as_nanos());
    let sendable = Sendable {
        len: meta.len(),
        etag: format!("\"{:x}-{changed:x}\"", meta.len()),
        media_type: media_type.into(),
        download_as: None,
        extra: Vec::new(),
    };
    match sendable.answer(headers) {
        Ok(head) => {
            file.seek(std::io::SeekFrom::Start(head.range.start))
                .await
                .map_err(|e| missing().because(e))?;
            let part = file.take(head.range.end - head.range.start);
            Ok(head.with(ReaderStream::new(part)))
        }
        Err(answer) => Ok(*answer),
    }
}

/// Alive: the process answers.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Ready: the database answers, so requests can be served.
pub(super) async fn readyz(State(api): State<Api>) -> Response {
    match api.health.ready().await {
        Ok(()) => "ready\n".into_response(),
        Err(e) => (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", e.detail())).into_response(),
    }
}

/// Prometheus text.
pub(super) async fn metrics(
    State(api): State<Api>,
    caller: Result<Caller, super::problem::ApiError>,
) -> ApiResult<Response> {
    if !api.config.http.metrics_public {
        api.audit
            .check(&caller?.0, Permission::SystemRead, "the metrics")
            .await?;
    }
    let text = api.numbers.render();
    Ok((
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        text,
    )
        .into_response())
}
