//! HTTP: parse, call one service function, render. The forms are in docs/api.md; the description at `/api/v1/openapi.json`.

mod audit;
mod cameras;
mod cases;
mod extract;
mod files;
mod health;
mod hls;
mod layouts;
mod page;
mod problem;
pub mod range;
mod scrub;
mod session;
mod sockets;
mod sources;
mod state;
mod storage;
mod system;
mod ui;
mod vehicles;

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use axum::extract::{DefaultBodyLimit, MatchedPath};
use axum::http::{HeaderValue, Method, Request, header};
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate as _, SizeAbove};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::trace::TraceLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::config::MapConfig;
use crate::telemetry::{Metric, count, observe};

pub use health::Health;
pub use state::Api;
pub use system::PartHealth;

/// Largest request body: a case or a camera, never a file.
const MAX_BODY: usize = 256 << 10;

#[derive(OpenApi)]
#[openapi(info(
    title = "Zhenbei",
    description = "Video monitoring and vehicle positioning for city command centres. Prose and socket formats: docs/api.md.",
    license(name = "Apache-2.0")
))]
struct Description;

fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(session::sign_in, session::sign_out))
        .routes(routes!(session::me))
        .routes(routes!(cameras::list, cameras::create))
        .routes(routes!(cameras::get, cameras::put, cameras::delete))
        .routes(routes!(cameras::retry))
        .routes(routes!(cameras::coverage))
        .routes(routes!(cameras::clip))
        .routes(routes!(cameras::still))
        .routes(routes!(hls::playlist))
        .routes(routes!(hls::key_frames))
        .routes(routes!(hls::master))
        .routes(routes!(hls::segment))
        .routes(routes!(scrub::key_frames))
        .routes(routes!(scrub::thumbnails))
        .routes(routes!(scrub::thumbnail))
        .routes(routes!(vehicles::positions))
        .routes(routes!(vehicles::list, vehicles::create))
        .routes(routes!(vehicles::get, vehicles::put, vehicles::delete))
        .routes(routes!(vehicles::track))
        .routes(routes!(sources::list))
        .routes(routes!(sources::rejected))
        .routes(routes!(sockets::live))
        .routes(routes!(sockets::events))
        .routes(routes!(cases::list, cases::open))
        .routes(routes!(cases::get))
        .routes(routes!(cases::act))
        .routes(routes!(cases::exhibits, cases::attach))
        .routes(routes!(cases::exhibit))
        .routes(routes!(cases::derive))
        .routes(routes!(cases::file))
        .routes(routes!(cases::bundle))
        .routes(routes!(audit::list))
        .routes(routes!(layouts::list))
        .routes(routes!(layouts::put, layouts::delete))
        .routes(routes!(storage::get))
        .routes(routes!(storage::hold))
        .routes(routes!(storage::lift))
        .routes(routes!(system::system))
        .routes(routes!(system::health))
        .routes(routes!(system::basemap_geojson))
        .routes(routes!(system::basemap_file))
}

static OPENAPI: LazyLock<utoipa::openapi::OpenApi> = LazyLock::new(|| {
    OpenApiRouter::new()
        .nest("/api/v1", routes())
        .into_openapi()
});

/// The description of the interface, pretty-printed.
pub fn openapi_json() -> String {
    OPENAPI.to_pretty_json().unwrap_or_default()
}

/// The whole HTTP side; needs `into_make_service_with_connect_info` for callers' addresses.
pub fn router(api: Api) -> Router {
    let policy = content_policy(&api.config.map);
    // Origins are ASCII: always a valid header value.
    let policy =
        HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'self'"));
    let (v1, _) = OpenApiRouter::new()
        .nest("/api/v1", routes())
        .split_for_parts();
    // Video is compressed already, event streams must not wait for a full block.
    let compress = SizeAbove::new(1024)
        .and(NotForContentType::const_new("video/"))
        .and(NotForContentType::const_new("image/"))
        .and(NotForContentType::const_new("application/zip"))
        .and(NotForContentType::const_new("application/octet-stream"))
        .and(NotForContentType::const_new("text/event-stream"));
    let header =
        |name, value| SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value));
    v1.route(
        "/api/v1/openapi.json",
        get(async || Json(&*OPENAPI).into_response()),
    )
    .route("/healthz", get(system::healthz))
    .route("/readyz", get(system::readyz))
    .route("/metrics", get(system::metrics))
    .fallback(ui::serve)
    .layer(DefaultBodyLimit::max(MAX_BODY))
    .layer(CompressionLayer::new().compress_when(compress))
    .layer(header(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
    .layer(header(header::X_FRAME_OPTIONS, "SAMEORIGIN"))
    .layer(header(header::REFERRER_POLICY, "same-origin"))
    .layer(SetResponseHeaderLayer::if_not_present(
        header::CONTENT_SECURITY_POLICY,
        policy,
    ))
    .layer(CatchPanicLayer::new())
    .layer(
        TraceLayer::new_for_http()
            .make_span_with(|r: &Request<_>| {
                // Without the query: it may carry names and times that do not belong in a log.
                tracing::debug_span!("http", method = %r.method(), path = r.uri().path())
            })
            .on_response(
                |r: &axum::response::Response, took: Duration, _: &tracing::Span| {
                    tracing::debug!(
                        status = r.status().as_u16(),
                        ms = took.as_millis(),
                        "answered"
                    );
                },
            ),
    )
    .layer(from_fn(counted))
    .with_state(api)
}

/// Counts calls by route: the pattern, never the address itself, so that strangers cannot make labels.
async fn counted(request: axum::extract::Request, next: Next) -> axum::response::Response {
    let started = Instant::now();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("other", MatchedPath::as_str)
        .to_owned();
    let method = match *request.method() {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => "other",
    };
    let response = next.run(request).await;
    let status = response.status();
    let labels = [
        ("method", method),
        ("route", route.as_str()),
        ("status", status.as_str()),
    ];
    count(Metric::HttpRequests, &labels, 1);
    observe(Metric::HttpSeconds, &[("route", &route)], started.elapsed());
    response
}

/// Everything comes from the daemon itself; MapLibre and the decoder run in workers. A base map of the intranet is the one
/// other place pictures may come from.
fn content_policy(map: &MapConfig) -> String {
    let origin = map
        .url
        .as_deref()
        .and_then(|u| url::Url::parse(u).ok())
        .map(|u| u.origin().ascii_serialization());
    let tiles = origin.map_or(String::new(), |o| format!(" {o}"));
    format!(
        "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; \
         img-src 'self' data: blob:{tiles}; media-src 'self' blob:; connect-src 'self'{tiles}; \
         worker-src 'self' blob:; child-src blob:; object-src 'none'; base-uri 'self'; form-action 'self'; \
         frame-ancestors 'self'"
    )
}
