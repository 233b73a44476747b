//! A server that others publish to (ANNOUNCE, RECORD) and that gives on what it gets: gst-rtsp-server with two mounts, and
//! FFmpeg as the publisher.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gstreamer::prelude::*;
use gstreamer::{self as gst, glib};
use gstreamer_app::{AppSink, AppSinkCallbacks, AppSrc};
use gstreamer_rtsp_server::prelude::*;
use gstreamer_rtsp_server::{self as rtsp, RTSPFilterResult};
use zhenbei::model::VideoCodec;

use crate::camera_test::Server;
use crate::source::Film;
use crate::support::servers::{free_port, program};

/// What was published goes to whoever watches, medium by medium.
#[derive(Clone, Default)]
struct Exchange {
    viewers: Arc<Mutex<Vec<Viewer>>>,
    pictures: Arc<AtomicBool>,
}

struct Viewer {
    medium: &'static str,
    source: AppSrc,
    /// From the publisher's time to that of whoever watches, set by the first buffer.
    shift: Option<i64>,
}

const MEDIA: [&str; 2] = ["video", "sound"];

pub struct Published {
    film: Film,
    codec: VideoCodec,
    port: u16,
    running: Option<Running>,
}

struct Running {
    server: rtsp::RTSPServer,
    source: glib::Source,
    context: glib::MainContext,
    quit: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    publisher: Child,
}

impl Published {
    pub fn start(codec: VideoCodec) -> Self {
        gst::init().expect("GStreamer starts");
        let mut all = Self {
            film: Film::make(codec),
            codec,
            port: free_port(),
            running: None,
        };
        all.run();
        all
    }

    pub fn film(&self) -> &Film {
        &self.film
    }

    fn run(&mut self) {
        let exchange = Exchange::default();
        let server = rtsp::RTSPServer::new();
        server.set_address("127.0.0.1");
        server.set_service(&self.port.to_string());
        // Otherwise whoever waits for the first picture keeps the publisher waiting who brings it.
        let threads = server.thread_pool().expect("a server has threads");
        threads.set_max_threads(8);
        let mounts = server.mount_points().expect("a server has mount points");
        mounts.add_factory("/in", self.inlet(&exchange));
        mounts.add_factory("/out", self.outlet(&exchange));
        let source = server
            .create_source(gstreamer_rtsp_server::gio::Cancellable::NONE)
            .unwrap_or_else(|e| panic!("cannot listen on port {}: {e}", self.port));
        let context = glib::MainContext::new();
        source.attach(Some(&context));
        let quit = Arc::new(AtomicBool::new(false));
        let thread = {
            let (context, quit) = (context.clone(), Arc::clone(&quit));
            std::thread::spawn(move || {
                while !quit.load(Ordering::SeqCst) {
                    context.iteration(true);
                }
            })
        };
        let publisher = self.publisher();
        self.running = Some(Running {
            server,
            source,
            context,
            quit,
            thread,
            publisher,
        });
        self.wait_for_pictures(&exchange);
    }

    fn publisher(&self) -> Child {
        Command::new(program("ffmpeg", "ffmpeg"))
            .args(["-nostdin", "-v", "error", "-re", "-stream_loop", "-1", "-i"])
            .arg(self.film.path())
            .args(["-c", "copy", "-f", "rtsp", "-rtsp_transport", "tcp"])
            .arg(format!("rtsp://127.0.0.1:{}/in", self.port))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("FFmpeg cannot be started: {e}"))
    }

    fn wait_for_pictures(&mut self, exchange: &Exchange) {
        let give_up = Instant::now() + Duration::from_secs(30);
        while !exchange.pictures.load(Ordering::SeqCst) {
            let publisher = &mut self.running.as_mut().unwrap().publisher;
            if let Some(status) = publisher.try_wait().unwrap() {
                panic!("FFmpeg could not publish: {status}");
            }
            assert!(Instant::now() < give_up, "nothing was published");
            #[allow(
                clippy::disallowed_methods,
                reason = "waits for another process before the test goes on"
            )]
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    fn inlet(&self, exchange: &Exchange) -> rtsp::RTSPMediaFactory {
        let factory = rtsp::RTSPMediaFactory::new();
        let video = match self.codec {
            VideoCodec::H264 => {
                "rtph264depay name=depay0 ! h264parse config-interval=-1 ! video/x-h264,stream-format=byte-stream,alignment=au"
            }
            VideoCodec::H265 => {
                "rtph265depay name=depay0 ! h265parse config-interval=-1 ! video/x-h265,stream-format=byte-stream,alignment=au"
            }
        };
        factory.set_launch(&format!(
            "( {video} ! appsink name=video sync=false rtpmp4gdepay name=depay1 ! aacparse ! appsink name=sound sync=false )"
        ));
        factory.set_transport_mode(rtsp::RTSPTransportMode::RECORD);
        let exchange = exchange.clone();
        factory.connect_media_configure(move |_, media| {
            let bin = media.element().downcast::<gst::Bin>().expect("a bin");
            for medium in MEDIA {
                let sink = bin.by_name(medium).expect("both media");
                let sink = sink.downcast::<AppSink>().expect("an appsink");
                let exchange = exchange.clone();
                let give_on = move |sink: &AppSink| {
                    let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    exchange.give_on(medium, &sample);
                    Ok(gst::FlowSuccess::Ok)
                };
                sink.set_callbacks(AppSinkCallbacks::builder().new_sample(give_on).build());
            }
        });
        factory
    }

    fn outlet(&self, exchange: &Exchange) -> rtsp::RTSPMediaFactory {
        let factory = rtsp::RTSPMediaFactory::new();
        let video = match self.codec {
            VideoCodec::H264 => "h264parse ! rtph264pay config-interval=-1",
            VideoCodec::H265 => "h265parse ! rtph265pay config-interval=-1",
        };
        let source = "is-live=true format=time";
        factory.set_launch(&format!(
            "( appsrc name=video {source} ! {video} name=pay0 pt=96 \
             appsrc name=sound {source} ! aacparse ! rtpmp4gpay name=pay1 pt=97 )"
        ));
        factory.set_shared(true);
        factory.set_latency(0);
        let exchange = exchange.clone();
        factory.connect_media_configure(move |_, media| {
            let bin = media.element().downcast::<gst::Bin>().expect("a bin");
            for medium in MEDIA {
                let source = bin.by_name(medium).expect("both media");
                let source = source.downcast::<AppSrc>().expect("an appsrc");
                exchange.viewers.lock().unwrap().push(Viewer {
                    medium,
                    source,
                    shift: None,
                });
            }
        });
        factory
    }

    fn end(&mut self) {
        let Some(mut running) = self.running.take() else {
            return;
        };
        running.publisher.kill().ok();
        running.publisher.wait().ok();
        running.source.destroy();
        running.server.client_filter(Some(&mut |_, client| {
            client.close();
            RTSPFilterResult::Remove
        }));
        running.quit.store(true, Ordering::SeqCst);
        running.context.wakeup();
        running
            .thread
            .join()
            .expect("the server's thread ends well");
    }
}

impl Exchange {
    fn give_on(&self, medium: &str, sample: &gst::Sample) {
        self.pictures.fetch_or(medium == "video", Ordering::SeqCst);
        let mut viewers = self.viewers.lock().unwrap();
        viewers.retain_mut(|viewer| viewer.medium != medium || viewer.give(sample));
    }
}

impl Viewer {
    /// False when nobody watches any more.
    fn give(&mut self, sample: &gst::Sample) -> bool {
        let mut buffer = sample.buffer_owned().expect("a buffer");
        let caps = sample.caps_owned().expect("caps");
        let (Some(at), Some(now)) = (buffer.pts(), self.source.current_running_time()) else {
            // Not playing yet.
            return true;
        };
        let nanos = |t: gst::ClockTime| i64::try_from(t.nseconds()).unwrap();
        let shift = *self.shift.get_or_insert_with(|| nanos(now) - nanos(at));
        let at = u64::try_from(nanos(at) + shift).unwrap_or(0);
        let plain = buffer.make_mut();
        plain.set_pts(gst::ClockTime::from_nseconds(at));
        plain.set_dts(gst::ClockTime::NONE);
        if self.source.caps().as_ref() != Some(&caps) {
            self.source.set_caps(Some(&caps));
        }
        self.source.push_buffer(buffer).is_ok()
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        self.end();
    }
}

impl Server for Published {
    fn url(&self) -> String {
        format!("rtsp://127.0.0.1:{}/out", self.port)
    }

    async fn kill(&mut self) {
        tokio::task::block_in_place(|| self.end());
    }

    async fn start_again(&mut self) {
        tokio::task::block_in_place(|| self.run());
    }
}
