//! Real RTSP cameras for tests: gst-rtsp-server in this process, on a port of its own.
//!
//! ```ignore
//! let mut camera = FakeCamera::start(Spec { audio: Some(Audio::Aac), ..Spec::default() });
//! ingest(camera.url());
//! camera.stop();     // the port is closed and every client is cut off
//! camera.restart();  // the same port again
//! ```

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use gstreamer::prelude::*;
use gstreamer::{self as gst, glib};
use gstreamer_rtsp_server::gio;
use gstreamer_rtsp_server::gst_rtsp::{RTSPAuthMethod, RTSPLowerTrans};
use gstreamer_rtsp_server::prelude::*;
use gstreamer_rtsp_server::{self as rtsp, RTSPFilterResult};

use super::servers::free_port;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    H264,
    /// H.264 with B frames: RTP timestamps go backwards in sending order.
    H264BFrames,
    H265,
    /// Not a codec that we record.
    Jpeg,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audio {
    Aac,
    Pcmu,
    Pcma,
    /// Cannot lie in our files; must be left out.
    G722,
}

/// What a camera is like. The default: H.264, 320×240 at 15 fps, a key frame each second, no sound, no password.
#[derive(Clone, Debug)]
pub struct Spec {
    pub codec: Codec,
    pub audio: Option<Audio>,
    /// User name and password, asked for by digest (RFC 2617).
    pub auth: Option<(String, String)>,
    pub width: u32,
    pub height: u32,
    pub fps: u32,
    /// Frames from key frame to key frame.
    pub gop: u32,
    pub kbps: u32,
    /// A `videotestsrc` pattern.
    pub pattern: String,
    /// Size of a second, smaller picture at `/sub` (H.264, no sound).
    pub sub: Option<(u32, u32)>,
    /// RTSP over TLS with a certificate that nobody vouches for.
    pub tls: Option<Certificate>,
    /// What RTP may lie on; everything unless it says.
    pub lower: Option<RTSPLowerTrans>,
}

/// A certificate of its own, with the key, as PEM, and its SHA-256 in hex.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub pem: String,
    pub sha256: String,
}

impl Certificate {
    /// Made anew by `openssl`, for 127.0.0.1.
    pub fn make() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let openssl = |args: &[&str]| {
            let out = std::process::Command::new("openssl")
                .args(args)
                .current_dir(dir.path())
                .output()
                .expect("openssl is missing: apt-get install openssl");
            let said = String::from_utf8_lossy(&out.stderr).into_owned();
            assert!(out.status.success(), "openssl {args:?}: {said}");
            String::from_utf8(out.stdout).unwrap()
        };
        openssl(&[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "3650",
            "-keyout",
            "key.pem",
            "-out",
            "cert.pem",
            "-subj",
            "/CN=camera",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ]);
        let print = openssl(&[
            "x509",
            "-in",
            "cert.pem",
            "-noout",
            "-fingerprint",
            "-sha256",
        ]);
        let sha256 = print.trim().split_once('=').unwrap().1.replace(':', "");
        let read = |name| std::fs::read_to_string(dir.path().join(name)).unwrap();
        Self {
            pem: read("cert.pem") + &read("key.pem"),
            sha256: sha256.to_lowercase(),
        }
    }
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            codec: Codec::H264,
            audio: None,
            auth: None,
            width: 320,
            height: 240,
            fps: 15,
            gop: 15,
            kbps: 200,
            pattern: "ball".into(),
            sub: None,
            tls: None,
            lower: None,
        }
    }
}

impl Spec {
    fn video(&self, codec: Codec, width: u32, height: u32) -> String {
        let Self {
            fps,
            gop,
            kbps,
            pattern,
            ..
        } = self;
        let source = format!(
            "videotestsrc is-live=true pattern={pattern} ! capsfilter name=size \
             caps=video/x-raw,format=I420,width={width},height={height},framerate={fps}/1 ! valve name=picture"
        );
        let x264 =
            format!("x264enc speed-preset=ultrafast threads=1 bitrate={kbps} key-int-max={gop}");
        let encode = match codec {
            Codec::H264 => {
                format!("{x264} tune=zerolatency ! h264parse ! rtph264pay config-interval=-1")
            }
            Codec::H264BFrames => {
                format!(
                    "{x264} bframes=2 b-adapt=false rc-lookahead=3 ! video/x-h264,profile=main ! h264parse ! rtph264pay config-interval=-1"
                )
            }
            Codec::H265 => format!(
                "x265enc speed-preset=ultrafast tune=zerolatency bitrate={kbps} key-int-max={gop} \
                 option-string=pools=1:frame-threads=1 ! h265parse ! rtph265pay config-interval=-1"
            ),
            Codec::Jpeg => "jpegenc ! rtpjpegpay".into(),
        };
        format!("{source} ! {encode} name=pay0 pt=96")
    }

    fn launch(&self) -> String {
        let video = self.video(self.codec, self.width, self.height);
        let source = "audiotestsrc is-live=true wave=ticks ! audioconvert ! audioresample";
        let audio = match self.audio {
            None => String::new(),
            Some(Audio::Aac) => {
                format!(
                    "{source} ! audio/x-raw,rate=16000,channels=1 ! avenc_aac ! aacparse ! rtpmp4gpay name=pay1 pt=97"
                )
            }
            Some(Audio::Pcmu) => {
                format!(
                    "{source} ! audio/x-raw,rate=8000,channels=1 ! mulawenc ! rtppcmupay name=pay1 pt=0"
                )
            }
            Some(Audio::Pcma) => {
                format!(
                    "{source} ! audio/x-raw,rate=8000,channels=1 ! alawenc ! rtppcmapay name=pay1 pt=8"
                )
            }
            Some(Audio::G722) => {
                format!(
                    "{source} ! audio/x-raw,rate=16000,channels=1 ! avenc_g722 ! rtpg722pay name=pay1 pt=9"
                )
            }
        };
        format!("( {video} {audio} )")
    }
}

/// A camera. Stopped when dropped.
pub struct FakeCamera {
    spec: Spec,
    port: u16,
    running: Option<Running>,
    pictures: Pictures,
}

/// The elements of the media that is playing now, for changing it while it plays.
#[derive(Clone, Default)]
struct Pictures(Arc<Mutex<Vec<gst::Bin>>>);

struct Running {
    server: rtsp::RTSPServer,
    source: glib::Source,
    context: glib::MainContext,
    quit: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Running {
    fn begin(server: rtsp::RTSPServer, port: u16) -> Self {
        let source = server
            .create_source(gio::Cancellable::NONE)
            .unwrap_or_else(|e| panic!("cannot listen on port {port}: {e}"));
        let context = glib::MainContext::new();
        source.attach(Some(&context));
        let quit = Arc::new(AtomicBool::new(false));
        let thread = {
            let (context, quit) = (context.clone(), Arc::clone(&quit));
            // Not a `MainLoop`: its `quit` is lost when it comes before `run`.
            let turn = move || {
                while !quit.load(Ordering::SeqCst) {
                    context.iteration(true);
                }
            };
            let name = format!("camera-{port}");
            std::thread::Builder::new()
                .name(name)
                .spawn(turn)
                .expect("a thread starts")
        };
        Self {
            server,
            source,
            context,
            quit,
            thread,
        }
    }

    fn end(self) {
        self.source.destroy();
        self.server.client_filter(Some(&mut |_, client| {
            client.close();
            RTSPFilterResult::Remove
        }));
        self.quit.store(true, Ordering::SeqCst);
        self.context.wakeup();
        self.thread.join().expect("the camera's thread ends well");
    }
}

impl FakeCamera {
    pub fn start(spec: Spec) -> Self {
        Self::start_at(spec, free_port())
    }

    pub fn start_at(spec: Spec, port: u16) -> Self {
        gst::init().expect("GStreamer starts");
        let mut camera = Self {
            spec,
            port,
            running: None,
            pictures: Pictures::default(),
        };
        camera.restart();
        camera
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// With user name and password, if the camera has them.
    pub fn url(&self) -> String {
        self.url_of("main")
    }

    pub fn sub_url(&self) -> String {
        self.url_of("sub")
    }

    pub fn url_of(&self, mount: &str) -> String {
        let scheme = if self.spec.tls.is_some() {
            "rtsps"
        } else {
            "rtsp"
        };
        match &self.spec.auth {
            Some((user, password)) => {
                format!(
                    "{scheme}://{user}:{password}@127.0.0.1:{}/{mount}",
                    self.port
                )
            }
            None => format!("{scheme}://127.0.0.1:{}/{mount}", self.port),
        }
    }

    /// As when the power goes: connections are cut, the port is closed.
    pub fn stop(&mut self) {
        let Some(running) = self.running.take() else {
            return;
        };
        running.end();
        self.pictures.0.lock().unwrap().clear();
    }

    /// The same camera on the same port.
    pub fn restart(&mut self) {
        self.stop();
        let server = rtsp::RTSPServer::new();
        server.set_address("127.0.0.1");
        server.set_service(&self.port.to_string());
        if let Some((user, password)) = &self.spec.auth {
            server.set_auth(Some(&digest(user, password)));
        }
        if let Some(own) = &self.spec.tls {
            let auth = rtsp::RTSPAuth::new();
            let certificate = gio::TlsCertificate::from_pem(&own.pem).expect("a certificate");
            auth.set_tls_certificate(Some(&certificate));
            let mut anyone = rtsp::RTSPToken::builder()
                .field("media.factory.role", "anyone")
                .build();
            auth.set_default_token(Some(&mut anyone));
            server.set_auth(Some(&auth));
        }
        let mounts = server.mount_points().expect("a server has mount points");
        mounts.add_factory("/main", self.factory(&self.spec.launch()));
        if let Some((width, height)) = self.spec.sub {
            let video = self.spec.video(Codec::H264, width, height);
            mounts.add_factory("/sub", self.factory(&format!("( {video} )")));
        }
        self.running = Some(Running::begin(server, self.port));
    }

    /// The picture stops; the connection, the sound and RTCP go on. A new session after the last one ended sees
    /// pictures again, as with a camera whose encoder has hung.
    pub fn freeze_picture(&self) {
        for media in self.pictures.playing() {
            media
                .by_name("picture")
                .expect("has a valve")
                .set_property("drop", true);
        }
    }

    /// Another picture size from now on, in the same session: new parameter sets at the next key frame.
    pub fn change_size(&self, width: i32, height: i32) {
        for media in self.pictures.playing() {
            let filter = media.by_name("size").expect("has a size");
            let mut caps: gst::Caps = filter.property("caps");
            caps.make_mut().set("width", width);
            caps.make_mut().set("height", height);
            filter.set_property("caps", caps);
        }
    }

    /// Sessions that clients have open now.
    pub fn sessions(&self) -> u32 {
        let pool = self.running.as_ref().and_then(|r| r.server.session_pool());
        pool.map_or(0, |p| p.n_sessions())
    }

    fn factory(&self, launch: &str) -> rtsp::RTSPMediaFactory {
        let factory = rtsp::RTSPMediaFactory::new();
        factory.set_launch(launch);
        // One encoder however many clients.
        factory.set_shared(true);
        factory.set_latency(0);
        if let Some((user, _)) = &self.spec.auth {
            allow(&factory, user);
        }
        if self.spec.tls.is_some() {
            allow(&factory, "anyone");
        }
        if let Some(lower) = self.spec.lower {
            factory.set_protocols(lower);
        }
        let pictures = self.pictures.clone();
        factory.connect_media_configure(move |_, media| {
            let bin = media
                .element()
                .downcast::<gst::Bin>()
                .expect("a launch line makes a bin");
            pictures.0.lock().unwrap().push(bin);
        });
        factory
    }
}

impl Drop for FakeCamera {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Pictures {
    fn playing(&self) -> Vec<gst::Bin> {
        let mut all = self.0.lock().unwrap();
        all.retain(|bin| bin.current_state() == gst::State::Playing);
        all.clone()
    }
}

fn digest(user: &str, password: &str) -> rtsp::RTSPAuth {
    let auth = rtsp::RTSPAuth::new();
    auth.set_supported_methods(RTSPAuthMethod::Digest);
    let token = rtsp::RTSPToken::builder()
        .field("media.factory.role", user)
        .build();
    auth.add_digest(user, password, &token);
    auth
}

/// Lets whoever has this role see and open the media; everyone else is asked to sign in.
fn allow(factory: &rtsp::RTSPMediaFactory, role: &str) {
    use glib::translate::ToGlibPtr;
    let permissions = gst::Structure::builder(role)
        .field("media.factory.access", true)
        .field("media.factory.construct", true)
        .build();
    #[allow(unsafe_code, reason = "the safe bindings leave this function out")]
    // SAFETY: both pointers live through the call, which copies the structure and takes no ownership
    // (gst_rtsp_media_factory_add_role_from_structure, "transfer: none").
    unsafe {
        gstreamer_rtsp_server::ffi::gst_rtsp_media_factory_add_role_from_structure(
            factory.to_glib_none().0,
            permissions.as_mut_ptr(),
        );
    }
}
