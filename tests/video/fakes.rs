//! Cameras made of a few lines, on tokio's clock: what they do is the path of their address.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use zhenbei::config::VideoConfig;
use zhenbei::model::{
    AreaCode, Camera, CameraId, Clock, FaultKind, GeoPoint, Secret, StreamKey, StreamState,
    Transport, UtcMicros, VideoCodec,
};
use zhenbei::video::{
    Fault, Frame, Media, SessionRunner, SessionSink, SessionSpec, StreamParams, Video,
};

/// Follows tokio's clock, paused or not.
pub struct TestClock(Instant);

impl TestClock {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(Instant::now()))
    }
}

impl Clock for TestClock {
    fn now(&self) -> UtcMicros {
        UtcMicros::from_secs(1_800_000_000).plus(self.0.elapsed())
    }
}

/// How long a fake takes to open a session and to leave it.
pub const OPENING: Duration = Duration::from_millis(200);
pub const LEAVING: Duration = Duration::from_millis(300);

/// A site of fake cameras. Paths:
/// `ok` plays · `down` cannot be reached · `hangs` takes the connection and never answers · `panics` · `stubborn` ignores
/// the stop · `forbidden` answers 403 · `freezes` shows 2 s of pictures, then only sound · `nokey` never sends a key frame · `silent` plays nothing.
#[derive(Default)]
pub struct Site {
    pub attempts: Mutex<Vec<(StreamKey, String, Instant)>>,
    open: Mutex<HashMap<StreamKey, usize>>,
    most: Mutex<HashMap<StreamKey, usize>>,
    opening: Mutex<HashMap<String, (usize, usize)>>,
    /// The only password that is right, if passwords matter.
    pub password: Mutex<Option<String>>,
    /// Ends every session and refuses new ones.
    pub power_cut: AtomicBool,
    /// So many sessions more are refused (401), whatever their password.
    pub stray_refusals: AtomicUsize,
}

impl Site {
    pub fn attempts_of(&self, camera: &str) -> usize {
        self.attempts
            .lock()
            .unwrap()
            .iter()
            .filter(|(k, ..)| k.camera.as_str() == camera)
            .count()
    }

    /// Sessions open now.
    pub fn open(&self) -> usize {
        self.open.lock().unwrap().values().sum()
    }

    /// The most sessions that any one stream ever had at the same time.
    pub fn most_of_one_stream(&self) -> usize {
        self.most
            .lock()
            .unwrap()
            .values()
            .copied()
            .max()
            .unwrap_or(0)
    }

    /// The most sessions that were ever being opened at the same time with one host.
    pub fn most_opening_of_one_host(&self) -> usize {
        self.opening
            .lock()
            .unwrap()
            .values()
            .map(|(_, most)| *most)
            .max()
            .unwrap_or(0)
    }

    fn enter(self: &Arc<Self>, key: &StreamKey) -> Presence {
        let mut open = self.open.lock().unwrap();
        let n = open.entry(key.clone()).or_default();
        *n += 1;
        let mut most = self.most.lock().unwrap();
        let m = most.entry(key.clone()).or_default();
        *m = (*m).max(*n);
        Presence(Arc::clone(self), key.clone())
    }
}

/// A session that is known to the camera.
struct Presence(Arc<Site>, StreamKey);

impl Drop for Presence {
    fn drop(&mut self) {
        *self.0.open.lock().unwrap().get_mut(&self.1).unwrap() -= 1;
    }
}

struct Opening(Arc<Site>, String);

impl Opening {
    fn new(site: &Arc<Site>, host: &str) -> Self {
        let mut opening = site.opening.lock().unwrap();
        let (now, most) = opening.entry(host.to_owned()).or_default();
        *now += 1;
        *most = (*most).max(*now);
        Self(Arc::clone(site), host.to_owned())
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.0.opening.lock().unwrap().get_mut(&self.1).unwrap().0 -= 1;
    }
}

pub struct Fakes(pub Arc<Site>);

pub fn params() -> Arc<StreamParams> {
    Arc::new(StreamParams {
        codec: VideoCodec::H264,
        extra_data: Bytes::from_static(&[1, 0x42, 0xc0, 0x1f]),
        rfc6381: "avc1.42c01f".into(),
        width: 640,
        height: 360,
        pixel_aspect: None,
        audio: None,
    })
}

pub fn frame(media: Media, n: i64, key: bool, lost: u32) -> Frame {
    Frame {
        media,
        pts: n * 3_600,
        received: UtcMicros::from_secs(1_800_000_000) + n * 40_000,
        arrival: zhenbei::video::Arrival::unmoved(UtcMicros::from_secs(1_800_000_000) + n * 40_000),
        key,
        data: Bytes::from_static(&[0; 1000]),
        lost,
        camera_clock: zhenbei::model::CameraClock::default(),
        params: params(),
    }
}

#[async_trait]
impl SessionRunner for Fakes {
    async fn run(
        &self,
        spec: &SessionSpec,
        sink: &mut SessionSink,
        stop: CancellationToken,
    ) -> Fault {
        let site = &self.0;
        let url = url::Url::parse(spec.url.reveal()).unwrap();
        let path = url.path().trim_start_matches('/').to_owned();
        site.attempts
            .lock()
            .unwrap()
            .push((spec.key.clone(), path.clone(), Instant::now()));
        let _presence = site.enter(&spec.key);
        let fault = tokio::select! {
            biased;
            () = stop.cancelled(), if path != "stubborn" => Fault::new(FaultKind::Closed, "stopped"),
            fault = play(site, &url, &path, sink) => fault,
        };
        if stop.is_cancelled() {
            tokio::time::sleep(LEAVING).await;
        }
        fault
    }
}

async fn play(site: &Arc<Site>, url: &url::Url, path: &str, sink: &mut SessionSink) -> Fault {
    let opening = Opening::new(site, url.host_str().unwrap());
    tokio::time::sleep(OPENING).await;
    assert!(path != "panics", "this camera finds a defect");
    if path == "down" || site.power_cut.load(Ordering::SeqCst) {
        return Fault::new(FaultKind::Unreachable, "refused");
    }
    if path == "hangs" {
        return std::future::pending().await;
    }
    let right = site.password.lock().unwrap().clone();
    if right.is_some_and(|p| url.password() != Some(&p)) {
        return Fault::new(FaultKind::Unauthorized, "401");
    }
    let stray = |n: usize| n.checked_sub(1);
    if site
        .stray_refusals
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, stray)
        .is_ok()
    {
        return Fault::new(FaultKind::Unauthorized, "401");
    }
    if path == "forbidden" {
        return Fault {
            forbidden: true,
            ..Fault::new(FaultKind::Unauthorized, "403")
        };
    }
    drop(opening);
    sink.playing();
    let mut tick = tokio::time::interval(Duration::from_millis(40));
    for n in 0i64.. {
        tick.tick().await;
        if site.power_cut.load(Ordering::SeqCst) {
            return Fault::new(FaultKind::Closed, "the power went");
        }
        let key = path != "nokey" && n % 25 == 3;
        if path != "silent" && !(path == "freezes" && n > 50) {
            sink.push(frame(Media::Video, n, key, u32::from(n < 3)));
        }
        sink.push(frame(Media::Audio, n, true, 0));
    }
    unreachable!()
}

pub fn camera(id: &str, main: &str) -> Camera {
    Camera {
        id: CameraId::new(id).unwrap(),
        name: format!("camera {id}"),
        place: GeoPoint::new(109.73, 38.29).unwrap(),
        area: AreaCode::new("610802").unwrap(),
        heading_deg: None,
        fov_deg: None,
        main: Secret::new(main),
        sub: None,
        transport: Transport::Tcp,
        policies: zhenbei::model::CameraPolicies::default(),
        record: true,
    }
}

pub fn main_of(id: &str) -> StreamKey {
    StreamKey::main(CameraId::new(id).unwrap())
}

/// A running supervisor with its wanted list.
pub struct Bench {
    pub video: Video,
    pub wanted: watch::Sender<Arc<Vec<Camera>>>,
    pub stop: CancellationToken,
    pub running: JoinHandle<()>,
}

pub fn quick() -> VideoConfig {
    VideoConfig {
        ring_bytes: 64 << 10,
        ..VideoConfig::default()
    }
}

impl Bench {
    pub fn new(runner: Arc<dyn SessionRunner>, config: VideoConfig, cameras: Vec<Camera>) -> Self {
        let stop = CancellationToken::new();
        let (wanted, watch) = watch::channel(Arc::new(cameras));
        let (video, run) = Video::start(config, TestClock::new(), runner, watch, stop.clone());
        #[allow(clippy::disallowed_methods, reason = "awaited by `Bench::stop`")]
        let running = tokio::spawn(run);
        Self {
            video,
            wanted,
            stop,
            running,
        }
    }

    pub fn fakes(cameras: Vec<Camera>) -> (Self, Arc<Site>) {
        let site = Arc::new(Site::default());
        (
            Self::new(Arc::new(Fakes(Arc::clone(&site))), quick(), cameras),
            site,
        )
    }

    pub fn want(&self, cameras: Vec<Camera>) {
        self.wanted.send_replace(Arc::new(cameras));
    }

    pub fn count(&self, state: StreamState) -> usize {
        self.video
            .statuses()
            .iter()
            .filter(|(_, s)| s.state == state)
            .count()
    }

    pub fn state(&self, id: &str) -> Option<StreamState> {
        self.video.status(&main_of(id)).map(|s| s.state)
    }

    pub fn fault(&self, id: &str) -> Option<FaultKind> {
        self.video
            .status(&main_of(id))
            .and_then(|s| s.reason)
            .map(|r| r.kind)
    }

    /// Waits on tokio's clock, which jumps when it is paused.
    pub async fn until(
        &self,
        what: &str,
        limit: Duration,
        mut done: impl FnMut(&Self) -> bool,
    ) -> Duration {
        let start = Instant::now();
        while !done(self) {
            assert!(
                start.elapsed() < limit,
                "not within {limit:?}: {what}; {:#?}",
                self.video.statuses().first()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        start.elapsed()
    }

    /// Returns how long the shutdown took.
    pub async fn stop(self) -> Duration {
        let start = Instant::now();
        self.stop.cancel();
        self.running.await.unwrap();
        start.elapsed()
    }
}
