//! The cameras' process: real RTSP servers (gst-rtsp-server) whose pictures are drawn as they are asked for.
//!
//! One thread a camera draws and feeds the encoders of those streams that somebody watches; the servers share the main
//! loop. The process ends with its parent, by whichever comes first: the parent's death signal or the end of its input.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use gstreamer::prelude::*;
use gstreamer::{self as gst, glib};
use gstreamer_app::AppSrc;
use gstreamer_rtsp_server::gio::Cancellable;
use gstreamer_rtsp_server::gst_rtsp::RTSPAuthMethod;
use gstreamer_rtsp_server::prelude::*;
use gstreamer_rtsp_server::{self as rtsp, RTSPFilterResult};

use super::permission::allow;
use super::spec::{CameraSpec, Outage, PictureSpec};
use crate::model::{Clock, SystemClock};
use zhenbei_scene::{Moment, Scene, Traffic};

/// Yulin's clock, UTC+8 all year.
const LOCAL_OFFSET_US: i64 = 8 * 3_600 * 1_000_000;
/// The role of whoever has signed in at a camera.
const VIEWER: &str = "viewer";
/// A stream nobody watches is looked at this often.
const IDLE: Duration = Duration::from_millis(100);

/// Serves the cameras of the JSON file named by the first argument until the parent is gone.
pub fn cameras_main(args: Vec<OsString>) -> ExitCode {
    match serve(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            // The parent shows it; if it is gone, nobody needs it.
            writeln!(std::io::stderr(), "demo cameras: {e:#}").ok();
            ExitCode::FAILURE
        }
    }
}

fn serve(args: Vec<OsString>) -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let file = args
        .into_iter()
        .next()
        .context("the file with the cameras is missing")?;
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("cannot read {}", file.display()))?;
    let specs: Vec<CameraSpec> =
        serde_json::from_str(&text).context("the file with the cameras is malformed")?;
    gst::init().context("GStreamer does not start")?;
    let main_loop = glib::MainLoop::new(None, false);
    let quit = main_loop.clone();
    std::thread::Builder::new()
        .name("parent".into())
        .spawn(move || {
            // Returns when the parent has closed its end, whatever the reason.
            std::io::stdin().read_to_end(&mut Vec::new()).ok();
            quit.quit();
        })?;
    let mut cameras = Vec::new();
    for spec in specs {
        let id = spec.id.clone();
        cameras.push(Camera::start(spec).with_context(|| format!("camera {id} cannot be served"))?);
    }
    main_loop.run();
    drop(cameras);
    Ok(())
}

/// The encoder input of one stream while somebody watches it.
type Sink = Arc<Mutex<Option<AppSrc>>>;

fn locked(sink: &Sink) -> std::sync::MutexGuard<'_, Option<AppSrc>> {
    sink.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Camera {
    server: rtsp::RTSPServer,
    source: Mutex<Option<glib::SourceId>>,
}

impl Camera {
    fn start(spec: CameraSpec) -> Result<Arc<Self>> {
        let server = rtsp::RTSPServer::new();
        server.set_address("127.0.0.1");
        server.set_service(&spec.port.to_string());
        if let Some((user, password)) = &spec.auth {
            server.set_auth(Some(&digest(user, password)));
        }
        let mounts = server
            .mount_points()
            .context("the server has no mount points")?;
        let (main, sub) = (Sink::default(), Sink::default());
        let locked_up = spec.auth.is_some();
        mounts.add_factory("/main", factory(&spec.main, spec.h265, locked_up, &main));
        if let Some(picture) = &spec.sub {
            mounts.add_factory("/sub", factory(picture, false, locked_up, &sub));
        }
        let camera = Arc::new(Self {
            server,
            source: Mutex::new(None),
        });
        camera.switch_on()?;
        if let Some(outage) = spec.outage {
            camera.fail_now_and_then(outage);
        }
        std::thread::Builder::new()
            .name(spec.id.clone())
            .spawn(move || draw(&spec, &main, &sub))?;
        Ok(camera)
    }

    fn source(&self) -> std::sync::MutexGuard<'_, Option<glib::SourceId>> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn switch_on(&self) -> Result<()> {
        let source = self.server.create_source(Cancellable::NONE)?;
        *self.source() = Some(source.attach(None));
        Ok(())
    }

    /// As when the power goes: the port is closed, connections are cut.
    fn switch_off(&self) {
        if let Some(id) = self.source().take() {
            id.remove();
        }
        self.server.client_filter(Some(&mut |_, client| {
            client.close();
            RTSPFilterResult::Remove
        }));
    }

    fn fail_now_and_then(self: &Arc<Self>, outage: Outage) {
        let camera = Arc::downgrade(self);
        glib::timeout_add_seconds(outage.every_s.max(outage.length_s + 1), move || {
            let Some(off) = camera.upgrade() else {
                return glib::ControlFlow::Break;
            };
            off.switch_off();
            let camera = camera.clone();
            glib::timeout_add_seconds_once(outage.length_s, move || {
                if let Some(on) = camera.upgrade()
                    && let Err(e) = on.switch_on()
                {
                    writeln!(
                        std::io::stderr(),
                        "demo cameras: a camera does not come back: {e:#}"
                    )
                    .ok();
                }
            });
            glib::ControlFlow::Continue
        });
    }
}

fn digest(user: &str, password: &str) -> rtsp::RTSPAuth {
    let auth = rtsp::RTSPAuth::new();
    auth.set_supported_methods(RTSPAuthMethod::Digest);
    let token = rtsp::RTSPToken::builder()
        .field("media.factory.role", VIEWER)
        .build();
    auth.add_digest(user, password, &token);
    auth
}

/// Encodes what is fed, once for all who watch.
fn factory(p: &PictureSpec, h265: bool, locked_up: bool, sink: &Sink) -> rtsp::RTSPMediaFactory {
    let PictureSpec {
        width,
        height,
        fps,
        kbps,
    } = p;
    // Numbers only: nothing in here comes from outside.
    let encode = if h265 {
        format!(
            "x265enc speed-preset=ultrafast tune=zerolatency bitrate={kbps} key-int-max={fps} \
             option-string=pools=none:frame-threads=1:bframes=0:scenecut=0:ctu=16:min-cu-size=16:max-merge=1:no-deblock=1:rd=1:log-level=none ! h265parse ! rtph265pay name=pay0 pt=96 config-interval=-1"
        )
    } else {
        format!(
            "x264enc speed-preset=ultrafast tune=zerolatency threads=1 bitrate={kbps} key-int-max={fps} ! \
             h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1"
        )
    };
    let factory = rtsp::RTSPMediaFactory::new();
    factory.set_launch(&format!(
        "( appsrc name=picture is-live=true do-timestamp=true format=time max-buffers=2 leaky-type=downstream \
         caps=video/x-raw,format=I420,width={width},height={height},framerate={fps}/1,colorimetry=bt709 ! {encode} )"
    ));
    factory.set_shared(true);
    if locked_up {
        allow(&factory, VIEWER);
    }
    let sink = Arc::clone(sink);
    factory.connect_media_configure(move |_, media| {
        let element = media.element();
        let picture = element
            .downcast_ref::<gst::Bin>()
            .and_then(|b| b.by_name("picture"));
        let Some(picture) = picture.and_then(|p| p.downcast::<AppSrc>().ok()) else {
            return;
        };
        *locked(&sink) = Some(picture.clone());
        let sink = Arc::clone(&sink);
        media.connect_unprepared(move |_| {
            let mut held = locked(&sink);
            // A new media may have taken the place already.
            if held.as_ref() == Some(&picture) {
                *held = None;
            }
        });
    });
    factory
}

/// Draws for ever: the street goes on whether anybody looks or not.
fn draw(spec: &CameraSpec, main: &Sink, sub: &Sink) {
    let mut traffic = Traffic::new(spec.seed);
    let mut streams: Vec<Stream> = [(Some(spec.main), main), (spec.sub, sub)]
        .into_iter()
        .filter_map(|(picture, sink)| picture.map(|p| Stream::new(p, Arc::clone(sink))))
        .collect();
    let mut drawn_at = Instant::now();
    loop {
        let now = Instant::now();
        let watched = streams.iter().any(Stream::is_watched);
        traffic.step(now.duration_since(drawn_at).as_secs_f32().min(1.0));
        drawn_at = now;
        for stream in &mut streams {
            stream.show(spec, &traffic, now);
        }
        let next = streams
            .iter()
            .map(|s| s.due)
            .min()
            .filter(|_| watched)
            .unwrap_or(now + IDLE);
        #[allow(
            clippy::disallowed_methods,
            reason = "a thread of its own with nothing else to do"
        )]
        std::thread::sleep(
            next.saturating_duration_since(Instant::now())
                .clamp(Duration::from_millis(1), IDLE),
        );
    }
}

struct Stream {
    picture: PictureSpec,
    sink: Sink,
    /// Made when it is first watched: painting the background takes a moment.
    scene: Option<Scene>,
    due: Instant,
}

impl Stream {
    fn new(picture: PictureSpec, sink: Sink) -> Self {
        Self {
            picture,
            sink,
            scene: None,
            due: Instant::now(),
        }
    }

    fn is_watched(&self) -> bool {
        locked(&self.sink).is_some()
    }

    fn show(&mut self, spec: &CameraSpec, traffic: &Traffic, now: Instant) {
        if now < self.due {
            return;
        }
        let every = Duration::from_secs(1) / self.picture.fps.max(1);
        // Late pictures are left out, not sent in a burst.
        self.due = (self.due + every).max(now);
        let Some(sink) = locked(&self.sink).clone() else {
            return;
        };
        let moment = moment();
        let size = |n: u32| usize::try_from(n).unwrap_or(0);
        let scene = self.scene.get_or_insert_with(|| {
            Scene::new(
                spec.seed,
                size(self.picture.width),
                size(self.picture.height),
                &spec.name,
                &moment,
            )
        });
        let buffer = gst::Buffer::from_slice(scene.draw(traffic, &moment).to_vec());
        // Flushing: the last viewer has just gone.
        sink.push_buffer(buffer).ok();
    }
}

/// Yulin's clock now.
fn moment() -> Moment {
    let local = SystemClock.now() + LOCAL_OFFSET_US;
    // As UTC text, of which only the digits are used.
    let text = local.to_string().replace('T', " ");
    let tenths = text.get(..21).unwrap_or(&text);
    let of_day = local.micros().rem_euclid(86_400_000_000);
    Moment {
        clock: format!("{tenths} UTC+8"),
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "0 to 24, for the light"
        )]
        hour: (of_day as f64 / 3.6e9) as f32,
        month: text.get(5..7).and_then(|m| m.parse().ok()).unwrap_or(1),
    }
}
