//! The console: files built into the binary, or those of `[http] ui_dir`. Unknown paths get the page itself, which has its own routes.

use std::borrow::Cow;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use sha2::Digest as _;

use super::problem::ApiError;
use super::state::Api;
use crate::model::Error;

#[cfg(feature = "bundled-ui")]
#[derive(rust_embed::RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/web/dist"]
struct Bundle;

#[cfg(feature = "bundled-ui")]
fn bundled(path: &str) -> Option<(Cow<'static, [u8]>, String)> {
    let file = Bundle::get(path)?;
    Some((file.data, hex::encode(file.metadata.sha256_hash())))
}

#[cfg(not(feature = "bundled-ui"))]
fn bundled(_path: &str) -> Option<(Cow<'static, [u8]>, String)> {
    None
}

pub(super) async fn serve(State(api): State<Api>, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    if path.starts_with("api/") {
        return ApiError(Error::not_found(
            "not_found",
            format!("there is nothing at /{path}; see /api/v1/openapi.json"),
        ))
        .into_response();
    }
    if let Some(found) = find(&api, path).await {
        return answer(path, found, &headers);
    }
    // A file with an ending is missing; anything else is a page of the console.
    let is_page = !path.rsplit('/').next().unwrap_or("").contains('.');
    match find(&api, "index.html").await {
        Some(page) if is_page => answer("index.html", page, &headers),
        Some(_) => (StatusCode::NOT_FOUND, "not found\n").into_response(),
        None => (
            StatusCode::NOT_FOUND,
            "the console is not built into this binary: run `make ui` and build again\n",
        )
            .into_response(),
    }
}

async fn find(api: &Api, path: &str) -> Option<(Cow<'static, [u8]>, String)> {
    match &api.config.http.ui_dir {
        Some(dir) => {
            let safe = !path.is_empty()
                && path
                    .split('/')
                    .all(|p| !p.is_empty() && !p.starts_with('.'));
            if !safe {
                return None;
            }
            let bytes = tokio::fs::read(dir.join(path)).await.ok()?;
            let tag = hex::encode(sha2::Sha256::digest(&bytes));
            Some((bytes.into(), tag))
        }
        None => bundled(path),
    }
}

fn answer(path: &str, (bytes, tag): (Cow<'static, [u8]>, String), headers: &HeaderMap) -> Response {
    let etag = format!("\"{}\"", tag.get(..32).unwrap_or(&tag));
    // Vite puts a hash of the content into the names under assets/.
    let cache = if path.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    if headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|v| v.as_bytes() == etag.as_bytes())
    {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response();
    }
    let media_type = mime_guess::from_path(path)
        .first_or_octet_stream()
        .to_string();
    let body = match bytes {
        Cow::Borrowed(b) => Body::from(b),
        Cow::Owned(b) => Body::from(b),
    };
    (
        [
            (header::CONTENT_TYPE, media_type),
            (header::CACHE_CONTROL, cache.into()),
            (header::ETAG, etag),
        ],
        body,
    )
        .into_response()
}
