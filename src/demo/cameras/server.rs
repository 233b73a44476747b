//! One camera's RTSP server on its own port, with its login and its outages.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_app::AppSrc;
use gstreamer_rtsp_server as rtsp;
use gstreamer_rtsp_server::prelude::*;

use crate::demo::spec::CameraSpec;
use crate::model::VideoCodec;

use super::painter::{Painter, Tap};

pub(super) struct CameraServer {
    server: rtsp::RTSPServer,
    /// The listening socket's source; gone during an outage.
    listening: Rc<RefCell<Option<glib::SourceId>>>,
}

const ROLE: &str = "viewer";
/// Sessions of viewers that vanished are dropped this often.
const CLEAN_UP: Duration = Duration::from_secs(5);

impl CameraServer {
    pub(super) fn start(spec: &CameraSpec, painter: &Painter) -> Result<Self, String> {
        let server = rtsp::RTSPServer::new();
        server.set_address(&spec.listen.ip().to_string());
        server.set_service(&spec.listen.port().to_string());
        if let Some(login) = &spec.login {
            let auth = rtsp::RTSPAuth::new();
            auth.set_supported_methods(rtsp::gst_rtsp::RTSPAuthMethod::Digest);
            auth.set_realm(Some("zhenbei-demo"));
            let token = rtsp::RTSPToken::builder()
                .field("media.factory.role", ROLE)
                .build();
            auth.add_digest(&login.user, &login.password, &token);
            server.set_auth(Some(&auth));
        }
        let mounts = server
            .mount_points()
            .ok_or_else(|| format!("camera {}: its server has no mount points", spec.id))?;
        mounts.add_factory(
            "/main",
            factory(spec, (spec.width, spec.height), &painter.main),
        );
        if let Some(sub) = spec.sub {
            mounts.add_factory("/sub", factory(spec, (sub.width, sub.height), &painter.sub));
        }
        let listening = Rc::new(RefCell::new(Some(listen(&server, spec)?)));
        if let Some(pool) = server.session_pool() {
            glib::timeout_add_local(CLEAN_UP, move || {
                pool.cleanup();
                glib::ControlFlow::Continue
            });
        }
        let camera = Self { server, listening };
        camera.plan_outages(spec);
        Ok(camera)
    }

    pub(super) fn stop(&self) {
        if let Some(source) = self.listening.borrow_mut().take() {
            source.remove();
        }
        end_sessions(&self.server);
    }

    fn plan_outages(&self, spec: &CameraSpec) {
        let Some(outage) = spec.outage else { return };
        let away = Duration::from_secs_f64(outage.for_s.clamp(0.1, 3_600.0));
        let every = Duration::from_secs_f64(outage.every_s.clamp(0.2, 86_400.0)).max(away * 2);
        let (server, listening, spec) = (self.server.clone(), self.listening.clone(), spec.clone());
        glib::timeout_add_local(every, move || {
            if let Some(source) = listening.borrow_mut().take() {
                source.remove();
            }
            end_sessions(&server);
            come_back(away, server.clone(), listening.clone(), spec.clone());
            glib::ControlFlow::Continue
        });
    }
}

fn come_back(
    wait: Duration,
    server: rtsp::RTSPServer,
    listening: Rc<RefCell<Option<glib::SourceId>>>,
    spec: CameraSpec,
) {
    glib::timeout_add_local_once(wait, move || match listen(&server, &spec) {
        Ok(source) => *listening.borrow_mut() = Some(source),
        // Somebody took the port meanwhile: try again until it is free.
        Err(_) => come_back(Duration::from_secs(1), server, listening, spec),
    });
}

fn listen(server: &rtsp::RTSPServer, spec: &CameraSpec) -> Result<glib::SourceId, String> {
    server.attach(None).map_err(|_| {
        format!(
            "camera {} cannot listen on {}: the port is taken",
            spec.id, spec.listen
        )
    })
}

fn end_sessions(server: &rtsp::RTSPServer) {
    server.client_filter(Some(&mut |_, _| rtsp::RTSPFilterResult::Remove));
}

fn factory(spec: &CameraSpec, size: (u16, u16), tap: &Tap) -> rtsp::RTSPMediaFactory {
    let factory = rtsp::RTSPMediaFactory::new();
    factory.set_launch(&launch(spec, size));
    factory.set_shared(true);
    factory.set_latency(0);
    if spec.login.is_some() {
        let may = gstreamer::Structure::builder(ROLE)
            .field("media.factory.access", true)
            .field("media.factory.construct", true)
            .build();
        factory.add_role_from_structure(&may);
    }
    let tap = tap.clone();
    factory.connect_media_configure(move |_, media| {
        let source = media
            .element()
            .downcast::<gstreamer::Bin>()
            .ok()
            .and_then(|bin| bin.by_name("src"))
            .and_then(|e| e.downcast::<AppSrc>().ok());
        if let Some(source) = source {
            tap.open(source.clone());
            let tap = tap.clone();
            media.connect_unprepared(move |_| tap.close(&source));
        }
    });
    factory
}

/// No B-frames, one key frame per GOP, one thread: what small cameras send, for little.
fn launch(spec: &CameraSpec, (width, height): (u16, u16)) -> String {
    let (fps, gop) = (spec.fps, spec.gop);
    let source = format!(
        "appsrc name=src is-live=true format=time max-buffers=2 leaky-type=downstream \
         caps=video/x-raw,format=I420,width={width},height={height},framerate={fps}/1,\
         colorimetry=bt709,pixel-aspect-ratio=1/1"
    );
    let encoder = match spec.codec {
        VideoCodec::H264 => format!(
            "x264enc tune=zerolatency speed-preset=ultrafast threads=1 bframes=0 key-int-max={gop} \
             pass=qual quantizer=26 bitrate=2500 option-string=scenecut=0 aud=false ! \
             rtph264pay name=pay0 pt=96 config-interval=-1"
        ),
        VideoCodec::H265 => format!(
            "x265enc tune=zerolatency speed-preset=ultrafast bitrate=700 key-int-max={gop} \
             option-string=pools=none:frame-threads=1:bframes=0:scenecut=0:ctu=16:min-cu-size=16:\
             max-merge=1:no-deblock=1:rd=1:log-level=none ! \
             h265parse ! rtph265pay name=pay0 pt=96 config-interval=-1"
        ),
    };
    format!("( {source} ! {encoder} )")
}
