//! The live sockets as a wall uses them.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::client::Client;
use super::{Target, tools};
use crate::live::{Header, Kind};

/// Frames watched.
const FRAMES: u64 = 40;
const PATIENCE: Duration = Duration::from_secs(30);

async fn connect(
    client: &Client,
    path: &str,
) -> Result<WebSocketStream<MaybeTlsStream<TcpStream>>> {
    let mut request = client.socket(path).into_client_request()?;
    request
        .headers_mut()
        .insert("cookie", client.cookie().parse()?);
    let (socket, _) = tokio_tungstenite::connect_async(request)
        .await
        .with_context(|| format!("{path} cannot be opened"))?;
    Ok(socket)
}

/// Opens a tile of `camera` as a browser that plays only H.264, keeps what comes as fMP4, and lets FFmpeg decode it.
pub(super) async fn decodes(
    client: &Client,
    target: &Target<'_>,
    camera: &str,
    source: &str,
) -> Result<String> {
    let mut socket = connect(client, "/live").await?;
    let open = json!({ "op": "open", "tile": 1, "camera": camera, "stream": "main", "format": "fmp4", "decodes": ["h264"] });
    socket.send(Message::text(open.to_string())).await?;
    let mut file = Vec::new();
    let mut frames = 0;
    let mut transcoded = None;
    let mut first = None;
    let started = std::time::Instant::now();
    while frames < FRAMES {
        let message = timeout(PATIENCE, socket.next())
            .await
            .context("no live picture came")?;
        match message.context("the live socket was closed")?? {
            Message::Text(text) => {
                let notice: Value = serde_json::from_str(&text)?;
                match notice.get("op").and_then(Value::as_str) {
                    Some("config") => {
                        transcoded = notice.get("transcoded").and_then(Value::as_bool)
                    }
                    Some("error") => bail!("the live socket says: {notice}"),
                    Some(_) | None => {}
                }
            }
            Message::Binary(bytes) => {
                let (header, payload) =
                    Header::parse(&bytes).context("a live frame of an unknown form")?;
                match header.kind {
                    Kind::Init if file.is_empty() => file.extend_from_slice(payload),
                    // New parameters in the middle begin another file; enough has come to judge.
                    Kind::Init => break,
                    Kind::Fragment => {
                        first.get_or_insert_with(|| started.elapsed());
                        file.extend_from_slice(payload);
                        frames += 1;
                        let credit = json!({ "op": "credit", "tile": 1, "frames": 1 });
                        socket.send(Message::text(credit.to_string())).await?;
                    }
                    Kind::AccessUnit => bail!("fmp4 was asked for and access units came"),
                }
            }
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {}
        }
    }
    socket.close(None).await.ok();
    if transcoded != Some(source == "h265") {
        bail!("camera {camera} is {source}, but the tile says transcoded = {transcoded:?}");
    }
    let path = target.dir.join(format!("live-{source}.mp4"));
    tokio::fs::write(&path, &file).await?;
    let (_, decoded) = tools::decode(&path).await?;
    if decoded != frames {
        bail!("{frames} pictures came and {decoded} could be decoded");
    }
    Ok(format!(
        "{camera}: {decoded} pictures, first after {:.2} s",
        first.unwrap_or_default().as_secs_f64()
    ))
}

/// A snapshot, then moving vehicles.
pub(super) async fn events(client: &Client) -> Result<String> {
    let mut socket = connect(client, "/events").await?;
    let mut snapshot = None;
    loop {
        let message = timeout(PATIENCE, socket.next())
            .await
            .context("no event came")?;
        let Message::Text(text) = message.context("the events socket was closed")?? else {
            continue;
        };
        let event: Value = serde_json::from_str(&text)?;
        let count = |pointer: &str| {
            event
                .pointer(pointer)
                .and_then(Value::as_array)
                .map_or(0, Vec::len)
        };
        match event.get("type").and_then(Value::as_str) {
            Some("snapshot") => snapshot = Some((count("/positions"), count("/cameras"))),
            Some("positions") if count("/items") > 0 => {
                let Some((positions, cameras)) = snapshot else {
                    bail!("changes came before the snapshot")
                };
                socket.close(None).await.ok();
                return Ok(format!(
                    "snapshot of {positions} vehicles and {cameras} cameras, then {} moved",
                    count("/items")
                ));
            }
            Some(_) | None => {}
        }
    }
}
