//! Start in order, stop in reverse.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::exhibit_sources::RoomSources;
use super::stage::Stage;
use super::systemd::watchdog;
use crate::access::{Access, Actor, Audit, Layouts};
use crate::api::{self, Api, Health};
use crate::archive::{self, Archive};
use crate::casefile::Cases;
use crate::config::Config;
use crate::evidence::{Exhibits, Holds, Parts};
use crate::fleet::Fleet;
use crate::live::{Cameras, Events, Playback, Sources, Walls};
use crate::media::Media;
use crate::model::{Clock, Error, Result, Secret, SystemClock};
use crate::site::Register;
use crate::store::blobs::Folder;
use crate::store::live::{MemoryLive, RedisLive};
use crate::store::{Blobs, Database, LiveState};
use crate::telemetry::Numbers;
use crate::video::{Sessions, ShardThreads, Shards, Video};

/// The account made at the very first start. The caller hands its password on once; only its hash is kept here.
pub struct FirstSignIn {
    pub name: String,
    pub password: String,
}

/// A running daemon.
pub struct Daemon {
    address: SocketAddr,
    first: Option<FirstSignIn>,
    db: Database,
    archive: Archive,
    /// In the order of starting; stopped from the back.
    stages: Vec<Stage>,
    /// Sessions and recorders run on these; the stages have ended them before.
    shard_threads: ShardThreads,
}

/// Opens the database the configuration names, making the data folder when it is missing.
pub async fn open_store(config: &Config) -> Result<Database> {
    let dir = &config.data.dir;
    std::fs::create_dir_all(dir).map_err(|e| {
        Error::unavailable(
            "data_dir",
            format!(
                "[data] dir `{}` cannot be made; make it and give it to this user",
                dir.display()
            ),
        )
        .because(e)
    })?;
    let url = match &config.database.url {
        Some(url) => url.clone(),
        None => Secret::new(format!("sqlite:{}", dir.join("zhenbei.db").display())),
    };
    Database::open(&url).await
}

impl Daemon {
    /// Everything is up when this returns: the listener answers, cameras are being connected. `worker` is the program that
    /// runs native code, which is this one.
    pub async fn start(config: Arc<Config>, worker: PathBuf, numbers: Numbers) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        // First of all, so that a port that is taken is said before cameras are bothered.
        let listener = bind(&config).await?;
        let address = listener
            .local_addr()
            .map_err(|e| taken(config.http.listen).because(e))?;

        let db = open_store(&config).await?;
        let audit = Audit::new(db.clone(), Arc::clone(&clock));
        let access = Access::new(
            db.clone(),
            audit.clone(),
            Arc::clone(&clock),
            &config.access,
        );
        let first = access.ensure_first_admin(&Actor::system("start")).await?;
        let first = first.map(|password| FirstSignIn {
            name: "admin".into(),
            password,
        });
        let register = Register::open(db.clone(), audit.clone()).await?;
        let live: Arc<dyn LiveState> = match &config.redis.url {
            Some(url) => Arc::new(RedisLive::open(url, config.redis.prefix.as_deref())?),
            None => Arc::new(MemoryLive::new()),
        };
        let media = Media::start(&config.media, worker)?;
        let data = &config.data.dir;
        let blobs: Arc<dyn Blobs> = Arc::new(Folder::open(data.join("evidence")).await?);
        let archive_dir = config
            .archive
            .dir
            .clone()
            .unwrap_or_else(|| data.join("archive"));
        let archive = Archive::open(
            config.archive.clone(),
            archive_dir,
            db.clone(),
            Arc::clone(&clock),
        )
        .await?;
        archive.know_areas(areas(&register));

        let mut base = Stage::new("register");
        let (r, stop) = (register.clone(), base.token());
        base.spawn(async move { r.run(stop).await });
        base.spawn(watchdog(db.clone(), base.token()));
        // Stops after the cameras: some of them are watched by its workers.
        let (m, stop) = (media.clone(), base.token());
        base.spawn(async move {
            stop.cancelled().await;
            m.stop().await;
        });

        // The archive stops after the cameras: it writes down how their sessions end.
        let mut archiving = Stage::archive();
        let mut cameras_stage = Stage::new("cameras");
        let runner = Arc::new(Sessions::new(
            &config.video,
            Arc::clone(&clock),
            media.clone(),
        ));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (shards, shard_threads) = Shards::start(cores)?;
        let (video, supervise) = Video::start_on(
            shards,
            config.video.clone(),
            Arc::clone(&clock),
            runner,
            register.watch_cameras(),
            cameras_stage.token(),
        );
        cameras_stage.spawn(supervise);
        let (a, streams, stop) = (archive.clone(), video.streams(), archiving.token());
        archiving.spawn(async move { a.run(streams, stop).await });

        let mut fleet_stage = Stage::new("fleet");
        let fleet = Fleet::start(
            config.fleet.clone(),
            config.mqtt.clone(),
            db.clone(),
            Arc::clone(&live),
            Arc::clone(&clock),
        )?;
        let (f, stop) = (fleet.clone(), fleet_stage.token());
        fleet_stage.spawn(async move {
            if let Err(e) = f.run(stop).await {
                tracing::error!(error = e.chain(), "the fleet stopped");
            }
        });
        fleet_stage.spawn(follow_vehicles(
            register.clone(),
            fleet.clone(),
            fleet_stage.token(),
        ));

        let mut services = Stage::new("services");
        let cameras = Cameras::new(
            register.watch_cameras(),
            video.clone(),
            archive.clone(),
            Arc::clone(&clock),
        );
        let rooms = RoomSources {
            archive: archive.clone(),
            media: media.clone(),
            fleet: fleet.clone(),
        };
        let cases = Cases::new(db.clone(), audit.clone(), Arc::clone(&clock));
        let (exhibits, copier) = Exhibits::new(Parts {
            db: db.clone(),
            audit: audit.clone(),
            blobs,
            sources: Arc::new(rooms),
            clock: Arc::clone(&clock),
            changes: cases.announcer(),
            scratch: data.join("derive"),
        });
        services.spawn(copier.run(services.token()));
        let events = Events::new(
            cameras.clone(),
            fleet.clone(),
            cases.clone(),
            Arc::clone(&clock),
        );
        let (e, stop) = (events.clone(), services.token());
        services.spawn(async move { e.run(stop).await });
        let sources = Sources::new(video.clone(), &media, Arc::clone(&clock));
        let playback = Playback::new(
            archive.clone(),
            video.clone(),
            cameras.clone(),
            media.clone(),
            audit.clone(),
            Arc::clone(&clock),
        );
        let walls = Walls {
            audit: audit.clone(),
            cameras: cameras.clone(),
            sources,
            access: access.clone(),
            clock: Arc::clone(&clock),
        };

        services.spawn(super::numbers::tell(
            video.clone(),
            media.clone(),
            services.token(),
        ));

        let mut serving = Stage::new("http");
        let health = Health {
            db: db.clone(),
            live,
            archive: archive.clone(),
            fleet: fleet.clone(),
        };
        let router = api::router(Api {
            holds: Holds::new(db.clone(), audit.clone(), Arc::clone(&clock)),
            layouts: Layouts::new(db.clone(), audit.clone(), Arc::clone(&clock)),
            access,
            audit,
            register,
            cameras,
            video,
            playback,
            walls,
            events,
            fleet,
            cases,
            exhibits,
            health,
            numbers,
            config,
            clock,
            stop: serving.token(),
        });
        serving.spawn(serve(listener, router, serving.token()));
        let stages = vec![
            base,
            archiving,
            cameras_stage,
            fleet_stage,
            services,
            serving,
        ];
        Ok(Self {
            address,
            first,
            db,
            archive,
            stages,
            shard_threads,
        })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Only after the very first start.
    pub fn first_sign_in(&self) -> Option<&FirstSignIn> {
        self.first.as_ref()
    }

    /// Resolves with the stage's name when one of the daemon's own tasks ends by itself.
    pub async fn failed(&mut self) -> &'static str {
        let waits = self.stages.iter_mut().map(|s| Box::pin(s.failed()));
        futures_util::future::select_all(waits).await.0
    }

    /// Stops from the outside in: no new requests, no walls, no vehicles, no cameras; then what is recorded is made durable.
    pub async fn stop(mut self) {
        self.archive.will_stop();
        while let Some(stage) = self.stages.pop() {
            stage.stop().await;
        }
        drop(self.shard_threads);
        self.db.close().await;
    }
}

fn taken(address: SocketAddr) -> Error {
    Error::unavailable(
        "listen",
        format!(
            "cannot listen on {address} ([http] listen); is another daemon running, or the port below 1024?"
        ),
    )
}

async fn bind(config: &Config) -> Result<TcpListener> {
    let address = config.http.listen;
    TcpListener::bind(address)
        .await
        .map_err(|e| taken(address).because(e))
}

async fn serve(listener: TcpListener, router: axum::Router, stop: CancellationToken) {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let served = axum::serve(listener, service)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await;
    if let Err(e) = served {
        tracing::error!(error = %e, "the HTTP listener ended");
    }
}

/// The area of a camera, as the register has it now.
fn areas(register: &Register) -> archive::Areas {
    let register = register.clone();
    Arc::new(move |id| {
        let cameras = register.cameras();
        let camera = cameras.iter().find(|c| c.id == *id);
        camera.map(|c| c.area.as_str().to_owned())
    })
}

/// Gives the fleet the register's vehicles, now and at every change.
async fn follow_vehicles(register: Register, fleet: Fleet, stop: CancellationToken) {
    let mut vehicles = register.watch_vehicles();
    loop {
        let now = Arc::clone(&vehicles.borrow_and_update());
        fleet.set_register(now.to_vec());
        tokio::select! {
            () = stop.cancelled() => return,
            changed = vehicles.changed() => if changed.is_err() { return },
        }
    }
}
