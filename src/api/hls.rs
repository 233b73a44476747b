//! `/cameras/{id}/hls`: playback as HTTP Live Streaming (RFC 8216) over the recorded files.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

use super::cameras::key;
use super::extract::{Caller, Params, RangeQuery};
use super::files::Sendable;
use super::problem::{ApiResult, Problem};
use super::state::Api;
use crate::access::Actor;
use crate::live::Playlist;
use crate::model::{Error, SegmentId};

const TAG: &str = "cameras";

/// The playlist of a recorded range; its pieces are byte ranges of the recorded files.
#[utoipa::path(get, path = "/cameras/{id}/hls/index.m3u8", tag = TAG, params(RangeQuery),
    responses((status = 200, content_type = "application/vnd.apple.mpegurl"), (status = 404, body = Problem),
        (status = 422, body = Problem)))]
pub(super) async fn playlist(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Params(query): Params<RangeQuery>,
) -> ApiResult<Response> {
    answer(&api, &actor, &id, &query, |_| Playlist::Media).await
}

/// The key frames of a recorded range (`EXT-X-I-FRAMES-ONLY`), for fast and backward playing.
#[utoipa::path(get, path = "/cameras/{id}/hls/keyframes.m3u8", tag = TAG, params(RangeQuery),
    responses((status = 200, content_type = "application/vnd.apple.mpegurl"), (status = 404, body = Problem),
        (status = 422, body = Problem)))]
pub(super) async fn key_frames(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Params(query): Params<RangeQuery>,
) -> ApiResult<Response> {
    answer(&api, &actor, &id, &query, |_| Playlist::KeyFrames).await
}

/// The playlist that names the other two, for players that find their way by themselves.
#[utoipa::path(get, path = "/cameras/{id}/hls/master.m3u8", tag = TAG, params(RangeQuery),
    responses((status = 200, content_type = "application/vnd.apple.mpegurl"), (status = 404, body = Problem),
        (status = 422, body = Problem)))]
pub(super) async fn master(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Params(query): Params<RangeQuery>,
) -> ApiResult<Response> {
    answer(&api, &actor, &id, &query, |query| Playlist::Master {
        query,
    })
    .await
}

async fn answer(
    api: &Api,
    actor: &Actor,
    id: &str,
    query: &RangeQuery,
    which: impl for<'a> Fn(&'a str) -> Playlist<'a>,
) -> ApiResult<Response> {
    let key = key(id, query.stream.as_deref())?;
    let range = query.range()?;
    let again = query.query(range);
    let playlist = api.playback.hls(actor, &key, range, which(&again)).await?;
    Ok((
        [(header::CONTENT_TYPE, "application/vnd.apple.mpegurl")],
        playlist.text,
    )
        .into_response())
}

/// A recorded file, as far as it is durable; players ask for the ranges the playlist names.
#[utoipa::path(get, path = "/cameras/{id}/hls/segment/{file}", tag = TAG,
    responses((status = 200, content_type = "video/mp4"), (status = 206, content_type = "video/mp4"),
        (status = 404, body = Problem)))]
pub(super) async fn segment(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path((id, file)): Path<(String, String)>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let name = file.strip_suffix(".mp4").ok_or_else(|| {
        Error::not_found(
            "not_found",
            format!("there is no recorded file `{file}`; names come from index.m3u8"),
        )
    })?;
    let segment = SegmentId::parse(name)?;
    let reader = api
        .playback
        .segment(&actor, &key(&id, None)?.camera, segment)
        .await?;
    let sendable = Sendable {
        len: reader.len(),
        etag: reader.etag(),
        media_type: "video/mp4".into(),
        download_as: None,
        extra: Vec::new(),
    };
    Ok(match sendable.answer(&headers) {
        Ok(head) => {
            let bytes = reader.read(head.range.clone());
            head.with(bytes)
        }
        Err(answer) => *answer,
    })
}
