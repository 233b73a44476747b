//! `/live` and `/events`: the WebSocket ends of the live room, and server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt, stream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::extract::Caller;
use super::problem::{ApiError, ApiResult, Problem};
use super::state::Api;
use crate::access::{Action, Actor, Permission};
use crate::live::{Out, Subscription};
use crate::model::Error;

const TAG: &str = "live";
/// Messages between the wall and its socket. Small: what lies here is not skipped when the client is slow.
const OUT_QUEUE: usize = 16;
const REQUEST_QUEUE: usize = 64;
const MAX_MESSAGE: usize = 16 << 10;
/// A client that takes no byte for this long is gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
const PING_EVERY: Duration = Duration::from_secs(15);

/// Live video of all tiles of a wall over one WebSocket (docs/api.md, "Live video").
#[utoipa::path(get, path = "/live", tag = TAG,
    responses((status = 101, description = "switches to WebSocket"), (status = 403, body = Problem)))]
pub(super) async fn live(
    State(api): State<Api>,
    Caller(actor): Caller,
    upgrade: WebSocketUpgrade,
) -> ApiResult<Response> {
    api.audit
        .check(&actor, Permission::LiveView, "the wall")
        .await?;
    Ok(upgrade
        .max_message_size(MAX_MESSAGE)
        .on_upgrade(move |socket| wall(api, actor, socket)))
}

async fn wall(api: Api, actor: Actor, socket: WebSocket) {
    // One entry for the whole sitting: opened now, closed when the wall closes.
    let entry = match api.audit.begin(&actor, Action::LiveView, "wall", "").await {
        Ok(entry) => entry,
        Err(e) => {
            tracing::warn!(
                error = e.chain(),
                "a wall was refused: its audit entry could not be written"
            );
            return;
        }
    };
    let (sink, stream) = socket.split();
    let (requests, received) = mpsc::channel(REQUEST_QUEUE);
    let (out, outgoing) = mpsc::channel(OUT_QUEUE);
    tokio::select! {
        () = api.walls.serve(&actor, received, out) => {}
        () = read(stream, requests) => {}
        () = write(sink, outgoing) => {}
        () = api.stop.cancelled() => {}
    }
    entry.ok().await;
}

async fn read(mut stream: SplitStream<WebSocket>, requests: mpsc::Sender<String>) {
    while let Some(Ok(message)) = stream.next().await {
        match message {
            Message::Text(text) => {
                if requests.send(text.as_str().to_owned()).await.is_err() {
                    return;
                }
            }
            Message::Close(_) => return,
            Message::Binary(_) | Message::Ping(_) | Message::Pong(_) => {}
        }
    }
}

async fn write(mut sink: SplitSink<WebSocket, Message>, mut outgoing: mpsc::Receiver<Out>) {
    loop {
        let message = match timeout(PING_EVERY, outgoing.recv()).await {
            Ok(Some(Out::Text(text))) => Message::Text(text.into()),
            Ok(Some(Out::Binary(bytes))) => Message::Binary(bytes),
            Ok(None) => return,
            Err(_) => Message::Ping(bytes::Bytes::new()),
        };
        match timeout(SEND_TIMEOUT, sink.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

/// Positions, camera states and case changes: WebSocket, or server-sent events with `Accept: text/event-stream`.
#[utoipa::path(get, path = "/events", tag = TAG,
    responses((status = 101, description = "switches to WebSocket"),
        (status = 200, content_type = "text/event-stream"), (status = 403, body = Problem)))]
pub(super) async fn events(
    State(api): State<Api>,
    Caller(actor): Caller,
    request: Request,
) -> ApiResult<Response> {
    api.audit
        .check(&actor, Permission::PositionView, "events")
        .await?;
    let subscription = api.events.subscribe();
    let wants_sse = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|v| v.contains("text/event-stream"));
    if wants_sse {
        let stop = api.stop.clone();
        let stream = stream::unfold(subscription, |mut s| async move {
            let text = s.next().await?;
            Some((Ok::<_, Infallible>(Event::default().data(&*text)), s))
        });
        let stream = stream.take_until(stop.cancelled_owned());
        return Ok(Sse::new(stream)
            .keep_alive(KeepAlive::default())
            .into_response());
    }
    let (mut parts, _) = request.into_parts();
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &())
        .await
        .map_err(|_| {
            ApiError(Error::invalid(
                "upgrade_needed",
                "this is a stream: connect as WebSocket, or send `Accept: text/event-stream`",
            ))
        })?;
    Ok(upgrade
        .max_message_size(MAX_MESSAGE)
        .on_upgrade(move |socket| follow(api, actor, subscription, socket)))
}

async fn follow(api: Api, actor: Actor, mut subscription: Subscription, socket: WebSocket) {
    let (mut sink, mut stream) = socket.split();
    let mut check = tokio::time::interval(PING_EVERY);
    loop {
        let message = tokio::select! {
            () = api.stop.cancelled() => return,
            text = subscription.next() => match text {
                Some(text) => Message::Text((&*text).into()),
                None => return,
            },
            _ = check.tick() => {
                if api.access.again(&actor).await.is_err_and(|e| !e.is_transient()) {
                    return;
                }
                Message::Ping(bytes::Bytes::new())
            }
            // Nothing is expected from the client but its closing.
            received = stream.next() => match received {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(Message::Text(_) | Message::Binary(_) | Message::Ping(_) | Message::Pong(_))) => continue,
            },
        };
        match timeout(SEND_TIMEOUT, sink.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}
