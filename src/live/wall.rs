//! One wall: one socket, many tiles.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::{Id, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::cameras::Cameras;
use super::presence::Presence;
use super::protocol::{Format, Notice, Request, Wanted};
use super::source::Sources;
use super::tile::{CREDITS, Gone, Out, Tile, send};
use crate::access::{Access, Actor, Permission};
use crate::model::{CameraId, Clock, Error, StreamKey, StreamRole, StreamStatus, VideoCodec};

/// Tiles a wall may have open.
pub const MAX_TILES: usize = 64;
const CLOCK_EVERY: Duration = Duration::from_secs(5);
/// A stream that keeps changing must not keep a core busy.
const RESTART_AFTER: Duration = Duration::from_millis(200);
/// Longest request text; a real one has a few hundred bytes.
const MAX_REQUEST: usize = 4096;

/// What a wall needs from the house.
#[derive(Clone)]
pub struct Walls {
    pub cameras: Cameras,
    pub sources: Sources,
    pub access: Access,
    pub clock: Arc<dyn Clock>,
}

struct Wanting {
    key: StreamKey,
    format: Format,
    decodes: Vec<VideoCodec>,
    credits: Arc<Semaphore>,
    closed: CancellationToken,
    task: Option<Id>,
    told: Option<StreamStatus>,
}

struct Wall<'a> {
    house: &'a Walls,
    out: mpsc::Sender<Out>,
    tiles: HashMap<u32, Wanting>,
    tasks: JoinSet<TileEnd>,
}

struct TileEnd {
    tile: u32,
    error: Option<Error>,
}

impl Walls {
    /// Serves one wall until its socket closes, its right is withdrawn, or it stops taking messages.
    pub async fn serve(
        &self,
        actor: &Actor,
        mut requests: mpsc::Receiver<String>,
        out: mpsc::Sender<Out>,
    ) {
        let _presence = Presence::wall();
        let mut wall = Wall {
            house: self,
            out,
            tiles: HashMap::new(),
            tasks: JoinSet::new(),
        };
        let mut changes = self.cameras.changes();
        let mut clock = interval(CLOCK_EVERY);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                request = requests.recv() => match request {
                    Some(text) => wall.request(&text).await,
                    None => Err(Gone),
                },
                Some(ended) = wall.tasks.join_next_with_id() => wall.ended(ended).await,
                changed = changes.changed() => match changed {
                    Ok(()) => {
                        changes.borrow_and_update();
                        wall.states().await
                    }
                    Err(_) => Err(Gone),
                },
                _ = clock.tick() => {
                    if may_still_watch(&self.access, actor).await {
                        wall.say(Notice::Clock { now_us: self.clock.now().micros() }).await
                    } else {
                        Err(Gone)
                    }
                }
            };
            if done.is_err() {
                break;
            }
        }
        wall.tasks.shutdown().await;
    }
}

impl Wall<'_> {
    async fn say(&self, notice: Notice) -> Result<(), Gone> {
        send(&self.out, Out::Text(notice.to_json())).await
    }

    async fn refuse(&self, tile: Option<u32>, code: &str, detail: String) -> Result<(), Gone> {
        self.say(Notice::Error {
            tile,
            code: code.into(),
            detail,
        })
        .await
    }

    async fn request(&mut self, text: &str) -> Result<(), Gone> {
        if text.len() > MAX_REQUEST {
            return self
                .refuse(
                    None,
                    "bad_request",
                    format!("a request may have {MAX_REQUEST} bytes"),
                )
                .await;
        }
        match serde_json::from_str::<Request>(text) {
            Ok(Request::Open {
                tile,
                camera,
                stream,
                format,
                decodes,
            }) => self.open(tile, camera, stream, format, decodes).await,
            Ok(Request::Close { tile }) => {
                self.close(tile);
                Ok(())
            }
            Ok(Request::Credit { tile, frames }) => {
                if let Some(t) = self.tiles.get(&tile) {
                    // Never more in hand than at the start, whatever the client claims.
                    let room = CREDITS.saturating_sub(t.credits.available_permits());
                    t.credits
                        .add_permits(room.min(usize::try_from(frames).unwrap_or(usize::MAX)));
                }
                Ok(())
            }
            Err(e) => {
                self.refuse(
                    None,
                    "bad_request",
                    format!("this request was not understood: {e}"),
                )
                .await
            }
        }
    }

    async fn open(
        &mut self,
        tile: u32,
        camera: CameraId,
        stream: Wanted,
        format: Format,
        decodes: Vec<VideoCodec>,
    ) -> Result<(), Gone> {
        self.close(tile);
        if self.tiles.len() >= MAX_TILES {
            let detail = format!("a wall has at most {MAX_TILES} tiles; close one first");
            return self.refuse(Some(tile), "too_many_tiles", detail).await;
        }
        let Some(status) = self.house.cameras.get(&camera) else {
            return self
                .refuse(
                    Some(tile),
                    "not_found",
                    format!("there is no camera `{camera}`"),
                )
                .await;
        };
        let role = match (stream, &status.sub) {
            (Wanted::Main, _) | (Wanted::Auto, None) => StreamRole::Main,
            (Wanted::Auto | Wanted::Sub, Some(_)) => StreamRole::Sub,
            (Wanted::Sub, None) => {
                let detail = format!("camera `{camera}` has no sub stream");
                return self.refuse(Some(tile), "not_found", detail).await;
            }
        };
        let key = StreamKey::new(camera, role);
        let credits = Arc::new(Semaphore::new(CREDITS));
        self.tiles.insert(
            tile,
            Wanting {
                key,
                format,
                decodes,
                credits,
                closed: CancellationToken::new(),
                task: None,
                told: None,
            },
        );
        self.start(tile, Duration::ZERO);
        self.states().await
    }

    fn close(&mut self, tile: u32) {
        if let Some(old) = self.tiles.remove(&tile) {
            old.closed.cancel();
        }
    }

    /// Starts the tile's task; it waits for the stream to appear and for its codec to be known.
    fn start(&mut self, tile: u32, after: Duration) {
        let Some(wanting) = self.tiles.get_mut(&tile) else {
            return;
        };
        let (key, decodes) = (wanting.key.clone(), wanting.decodes.clone());
        let (format, credits, closed) = (
            wanting.format,
            Arc::clone(&wanting.credits),
            wanting.closed.clone(),
        );
        let (sources, clock, out) = (
            self.house.sources.clone(),
            Arc::clone(&self.house.clock),
            self.out.clone(),
        );
        let task = self.tasks.spawn(async move {
            let opened = tokio::select! {
                opened = async {
                    sleep(after).await;
                    sources.open(&key, &decodes).await
                } => opened,
                () = closed.cancelled() => return TileEnd { tile, error: None },
            };
            let opened = match opened {
                Ok(opened) => opened,
                Err(e) => {
                    return TileEnd {
                        tile,
                        error: Some(e),
                    };
                }
            };
            let showing = Tile {
                number: tile,
                camera: key.camera.clone(),
                role: key.role,
                format,
                source_codec: opened.source_codec,
                transcoded: opened.transcode.is_some(),
                credits,
                clock,
            };
            let _presence = Presence::tile();
            tokio::select! {
                () = showing.run(Arc::clone(&opened.ring), out) => {}
                () = closed.cancelled() => {}
                () = sources.replaced(&key, &opened) => {}
            }
            TileEnd { tile, error: None }
        });
        wanting.task = Some(task.id());
    }

    async fn ended(
        &mut self,
        ended: Result<(Id, TileEnd), tokio::task::JoinError>,
    ) -> Result<(), Gone> {
        let (id, end) = match ended {
            Ok(ended) => ended,
            Err(e) => {
                tracing::error!(error = %e, "a tile's task failed");
                let Some((tile, _)) = self.tiles.iter().find(|(_, t)| t.task == Some(e.id()))
                else {
                    return Ok(());
                };
                let tile = *tile;
                self.close(tile);
                let detail = "this picture stopped by a fault of ours; open it again".into();
                return self.refuse(Some(tile), "internal", detail).await;
            }
        };
        let current = self
            .tiles
            .get(&end.tile)
            .is_some_and(|t| t.task == Some(id));
        if !current {
            return Ok(()); // closed or opened anew since
        }
        match end.error {
            // The stream was replaced or its codec changed: begin again with what is there now.
            None => {
                self.start(end.tile, RESTART_AFTER);
                Ok(())
            }
            Some(e) => {
                self.close(end.tile);
                self.refuse(Some(end.tile), e.code(), e.detail().to_owned())
                    .await
            }
        }
    }

    /// Tells every tile whose stream has changed its state.
    async fn states(&mut self) -> Result<(), Gone> {
        let mut notices = Vec::new();
        for (tile, wanting) in &mut self.tiles {
            let Some(status) =
                self.house
                    .cameras
                    .get(&wanting.key.camera)
                    .and_then(|c| match wanting.key.role {
                        StreamRole::Main => Some(c.main),
                        StreamRole::Sub => c.sub,
                    })
            else {
                continue;
            };
            let same = wanting
                .told
                .as_ref()
                .is_some_and(|t| t.state == status.state && t.reason == status.reason);
            if !same {
                notices.push(Notice::State {
                    tile: *tile,
                    state: status.state,
                    reason: status.reason.clone(),
                });
                wanting.told = Some(status);
            }
        }
        for notice in notices {
            self.say(notice).await?;
        }
        Ok(())
    }
}

/// Asks again whether the person may watch. A database that does not answer is no reason to darken the wall.
async fn may_still_watch(access: &Access, actor: &Actor) -> bool {
    match access.again(actor).await {
        Ok(now) => now.may(Permission::LiveView),
        Err(e) => e.is_transient(),
    }
}
