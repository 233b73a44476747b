//! In an ingest worker: one `rtspsrc` with a branch for the picture and one for the sound.
//!
//! The pipeline is made in code and not from a file: every value is set as a property, and which branches there are is known
//! only when the camera has described itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSinkCallbacks};

use super::ingest::{IngestFault, IngestOrder, IngestUnit, Lower, Medium};
use super::ingest_form::{is_key, without_parameter_sets};
use super::ingest_protocol::{Said, Sound};
use super::ingest_route;
use super::ingest_rtp::{Track, mended};
use super::ingest_tls;
use super::ingest_worker::{Outbox, monotonic_ns};
use super::protocol::Picture;
use super::worker::say;
use crate::model::VideoCodec;

/// What the camera offers and what is taken of it.
#[derive(Default)]
pub(super) struct Choice {
    /// Numbers of the media in the description.
    picture: Option<u32>,
    sound: Option<u32>,
    offered: Vec<String>,
}

pub(super) struct Session {
    pub(super) pipeline: gst::Pipeline,
    pub(super) choice: Shared<Choice>,
    pub(super) refusal: Option<ingest_tls::Refusal>,
}

pub(super) type Shared<T> = Arc<Mutex<T>>;

pub(super) fn locked<T>(shared: &Shared<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Choice {
    /// The first picture and the first sound that can be taken.
    fn wants(&mut self, number: u32, caps: &gst::CapsRef, with_sound: bool) -> bool {
        let Some((media, encoding)) = kind(caps) else {
            return false;
        };
        self.offered.push(format!("{media}/{encoding}"));
        match (media.as_str(), branch(&encoding)) {
            ("video", Some(Branch::Picture(_))) if self.picture.is_none() => {
                self.picture = Some(number);
                true
            }
            ("audio", Some(Branch::Sound(_))) if with_sound && self.sound.is_none() => {
                self.sound = Some(number);
                true
            }
            _ => false,
        }
    }

    /// `None` when there is a picture.
    pub(super) fn no_video(&self) -> Option<IngestFault> {
        (self.picture.is_none() && !self.offered.is_empty())
            .then(|| IngestFault::NoVideo(self.offered.join(", ")))
    }
}

#[derive(Clone, Copy)]
enum Branch {
    Picture(VideoCodec),
    Sound(&'static str),
}

fn kind(caps: &gst::CapsRef) -> Option<(String, String)> {
    let s = caps.structure(0)?;
    Some((
        s.get::<String>("media").ok()?,
        s.get::<String>("encoding-name").ok()?,
    ))
}

fn branch(encoding: &str) -> Option<Branch> {
    Some(match encoding {
        "H264" => Branch::Picture(VideoCodec::H264),
        "H265" => Branch::Picture(VideoCodec::H265),
        "MPEG4-GENERIC" => Branch::Sound("rtpmp4gdepay"),
        "PCMA" => Branch::Sound("rtppcmadepay"),
        "PCMU" => Branch::Sound("rtppcmudepay"),
        _ => return None,
    })
}

impl Session {
    /// At rest; `Playing` begins it.
    pub(super) fn new(order: &IngestOrder, outbox: &Arc<Outbox>) -> Result<Self, String> {
        let pipeline = gst::Pipeline::new();
        let source = make("rtspsrc")?;
        source.set_property("location", &order.url);
        if let Some((user, password)) = &order.account {
            source.set_property("user-id", user);
            source.set_property("user-pw", password);
        }
        source.set_property_from_str(
            "protocols",
            match order.lower {
                Lower::Tcp => "tcp",
                Lower::Udp => "udp",
                Lower::Http => "tcp+http",
                Lower::Multicast => "udp-mcast",
            },
        );
        source.set_property("user-agent", concat!("zhenbei/", env!("CARGO_PKG_VERSION")));
        source.set_property("latency", order.reorder_wait_ms);
        // RTP time as it is: the daemon has its own clocks, the same for every back-end.
        source.set_property_from_str("buffer-mode", "none");
        source.set_property("do-rtsp-keep-alive", order.keepalive);
        source.set_property("do-retransmission", false);
        let limit = u64::from(order.answer_timeout_ms) * 1_000;
        source.set_property("tcp-timeout", limit);
        source.set_property("timeout", limit);
        if order.lower == Lower::Multicast
            && let Some(name) = host_of(&order.url).and_then(ingest_route::interface_to)
        {
            source.set_property("multicast-iface", name);
        }
        let refusal = order
            .tls
            .map(|policy| ingest_tls::set_up(&source, policy))
            .transpose()?;
        let choice = Shared::<Choice>::default();
        let (chosen, with_sound) = (Arc::clone(&choice), order.sound);
        source.connect("select-stream", false, move |args| {
            let number = args.get(1).and_then(|v| v.get::<u32>().ok())?;
            let caps = args.get(2).and_then(|v| v.get::<gst::Caps>().ok())?;
            Some(locked(&chosen).wants(number, &caps, with_sound).to_value())
        });
        listen_to_reports(&source, &choice, outbox);
        let (weak, out) = (pipeline.downgrade(), Arc::clone(outbox));
        source.connect_pad_added(move |_, pad| {
            if let Some(pipeline) = weak.upgrade()
                && let Err(why) = attach(&pipeline, pad, &out)
            {
                out.fail(IngestFault::Other(why));
            }
        });
        pipeline
            .add(&source)
            .map_err(|e| format!("the pipeline takes no source: {e}"))?;
        Ok(Self {
            pipeline,
            choice,
            refusal,
        })
    }
}

/// The host between `://` and the port or the path.
fn host_of(url: &str) -> Option<&str> {
    let rest = url.split_once("://")?.1;
    rest.split(['/', ':', '?']).next().filter(|h| !h.is_empty())
}

fn make(name: &str) -> Result<gst::Element, String> {
    gst::ElementFactory::make(name).build().map_err(|_| {
        let package = match name {
            "h264parse" | "h265parse" => "gstreamer1.0-plugins-bad",
            "appsink" | "capsfilter" => "gstreamer1.0-plugins-base",
            _ => "gstreamer1.0-plugins-good",
        };
        format!("GStreamer lacks {name} on this machine: apt-get install {package}")
    })
}

/// RTCP of the picture's sender goes to the daemon as it is.
fn listen_to_reports(source: &gst::Element, choice: &Shared<Choice>, outbox: &Arc<Outbox>) {
    let (choice, outbox) = (Arc::clone(choice), Arc::clone(outbox));
    source.connect("new-manager", false, move |args| {
        let manager = args.get(1)?.get::<gst::Element>().ok()?;
        let (choice, outbox) = (Arc::clone(&choice), Arc::clone(&outbox));
        manager.connect("new-jitterbuffer", false, move |args| {
            let buffer = args.get(1)?.get::<gst::Element>().ok()?;
            let session = args.get(2)?.get::<u32>().ok()?;
            if locked(&choice).picture != Some(session) {
                return None;
            }
            let outbox = Arc::clone(&outbox);
            buffer.connect("handle-sync", false, move |args| {
                let facts = args.get(1)?.get::<gst::Structure>().ok()?;
                let packet = facts.get::<gst::Buffer>("sr-buffer").ok()?;
                let packet = packet.map_readable().ok()?;
                outbox.offer(&Said::Rtcp(Bytes::copy_from_slice(&packet)));
                None
            });
            None
        });
        None
    });
}

fn attach(pipeline: &gst::Pipeline, pad: &gst::Pad, outbox: &Arc<Outbox>) -> Result<(), String> {
    let Some(caps) = pad.current_caps().or_else(|| Some(pad.query_caps(None))) else {
        return Ok(());
    };
    let Some(branch) = kind(&caps).and_then(|(_, encoding)| branch(&encoding)) else {
        return Ok(());
    };
    let clock_rate = caps
        .structure(0)
        .and_then(|s| s.get::<i32>("clock-rate").ok())
        .and_then(|n| u32::try_from(n).ok())
        .unwrap_or(90_000);
    let track = Arc::new(Mutex::new(Track::new(clock_rate)));
    let codec = match branch {
        Branch::Picture(codec) => Some(codec),
        Branch::Sound(_) => None,
    };
    watch_packets(pad, &track, codec);
    let (names, form): (&[&str], _) = match branch {
        Branch::Picture(VideoCodec::H264) => (
            &["rtph264depay", "h264parse"],
            gst::Caps::builder("video/x-h264")
                .field("stream-format", "avc")
                .field("alignment", "au")
                .build(),
        ),
        Branch::Picture(VideoCodec::H265) => (
            &["rtph265depay", "h265parse"],
            gst::Caps::builder("video/x-h265")
                .field("stream-format", "hvc1")
                .field("alignment", "au")
                .build(),
        ),
        Branch::Sound("rtpmp4gdepay") => (
            &["rtpmp4gdepay", "aacparse"],
            gst::Caps::builder("audio/mpeg")
                .field("mpegversion", 4)
                .field("stream-format", "raw")
                .build(),
        ),
        Branch::Sound("rtppcmadepay") => (
            &["rtppcmadepay"],
            gst::Caps::builder("audio/x-alaw").build(),
        ),
        Branch::Sound(_) => (
            &["rtppcmudepay"],
            gst::Caps::builder("audio/x-mulaw").build(),
        ),
    };
    let mut outlet = Outlet {
        branch,
        clock_rate,
        track,
        outbox: Arc::clone(outbox),
        caps: None,
        need_key: false,
    };
    let sink = AppSink::builder()
        .caps(&form)
        .sync(false)
        .max_buffers(8)
        .callbacks(
            AppSinkCallbacks::builder()
                .new_sample(move |sink| outlet.take(sink))
                .build(),
        )
        .build();
    let mut chain = names
        .iter()
        .map(|n| make(n))
        .collect::<Result<Vec<_>, _>>()?;
    chain.push(sink.upcast());
    let broken = |e: glib::BoolError| format!("the pipeline does not fit together: {e}");
    pipeline.add_many(&chain).map_err(broken)?;
    gst::Element::link_many(&chain).map_err(broken)?;
    for element in &chain {
        element.sync_state_with_parent().map_err(broken)?;
    }
    let entry = chain
        .first()
        .and_then(|e| e.static_pad("sink"))
        .ok_or("a depayloader has no sink")?;
    pad.link(&entry)
        .map(|_| ())
        .map_err(|e| format!("the camera's packets fit no depayloader: {e}"))
}

/// Looks at every packet behind the jitter buffer: in order, with the pipeline's time.
fn watch_packets(pad: &gst::Pad, track: &Shared<Track>, codec: Option<VideoCodec>) {
    let track = Arc::clone(track);
    let mask = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
    pad.add_probe(mask, move |_, info| {
        let now = monotonic_ns();
        let look = |buffer: &gst::BufferRef| {
            if let Ok(bytes) = buffer.map_readable() {
                let at = buffer.pts().map(gst::ClockTime::nseconds);
                locked(&track).packet(&bytes, at, now);
            }
        };
        match &mut info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => {
                look(buffer);
                if let Some(codec) = codec {
                    mend(buffer, codec);
                }
            }
            Some(gst::PadProbeData::BufferList(list)) => list.iter().for_each(look),
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
}

fn mend(buffer: &mut gst::Buffer, codec: VideoCodec) {
    let mended = buffer
        .map_readable()
        .ok()
        .and_then(|packet| mended(codec, &packet));
    let Some(packet) = mended else {
        return;
    };
    let mut new = gst::Buffer::from_mut_slice(packet);
    let whole = gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS;
    if let Some(to) = new.get_mut()
        && buffer.copy_into(to, whole, ..).is_ok()
    {
        *buffer = new;
    }
}

/// Where access units of one medium leave the pipeline. Runs in the pipeline's thread and never waits.
struct Outlet {
    branch: Branch,
    clock_rate: u32,
    track: Shared<Track>,
    outbox: Arc<Outbox>,
    caps: Option<gst::Caps>,
    /// Pictures were left out: what follows cannot be decoded before the next key frame.
    need_key: bool,
}

impl Outlet {
    fn take(&mut self, sink: &AppSink) -> Result<gst::FlowSuccess, gst::FlowError> {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let (Some(buffer), Some(caps)) = (sample.buffer(), sample.caps_owned()) else {
            return Ok(gst::FlowSuccess::Ok);
        };
        if self.caps.as_ref() != Some(&caps) {
            let Some(said) = self.form(&caps) else {
                say(&format!("a form that cannot be taken: {caps}"));
                return Ok(gst::FlowSuccess::Ok);
            };
            // The same size and parameter sets in other words are no news; the daemon compares.
            self.outbox.offer(&said);
            self.caps = Some(caps);
        }
        if let Ok(bytes) = buffer.map_readable() {
            self.unit(buffer, &bytes);
        }
        Ok(gst::FlowSuccess::Ok)
    }

    /// A whole picture and whether it is a key frame; `None` for what holds no slice.
    fn picture(codec: VideoCodec, bytes: &[u8]) -> Option<(Vec<u8>, bool)> {
        let data = without_parameter_sets(codec, bytes)?;
        let key = is_key(codec, &data)?;
        Some((data, key))
    }

    fn unit(&mut self, buffer: &gst::BufferRef, bytes: &[u8]) {
        let track = Arc::clone(&self.track);
        let mut track = locked(&track);
        let time = buffer.pts().and_then(|t| track.time_of(t.nseconds()));
        let Some((rtp, arrived_ns)) = time else {
            return;
        };
        let lost = track.take_lost();
        let (medium, data, key) = match self.branch {
            Branch::Picture(codec) => match Self::picture(codec, bytes) {
                Some((data, key)) => (Medium::Picture, data, key),
                None => {
                    track.give_back(lost);
                    return;
                }
            },
            Branch::Sound(_) => (Medium::Sound, bytes.to_vec(), true),
        };
        if self.need_key && !key {
            // Counted as what it costs whoever watches: at least this picture.
            track.give_back(lost.saturating_add(1));
            return;
        }
        let unit = IngestUnit {
            medium,
            key,
            rtp,
            arrived_ns,
            lost,
            data: data.into(),
        };
        self.need_key = !self.outbox.offer(&Said::Unit(unit));
        if self.need_key {
            track.give_back(lost.saturating_add(1));
        }
    }

    fn form(&self, caps: &gst::CapsRef) -> Option<Said> {
        let s = caps.structure(0)?;
        let number = |name| s.get::<i32>(name).ok().and_then(|n| u32::try_from(n).ok());
        let config = || {
            let data = s.get::<gst::Buffer>("codec_data").ok()?;
            let data = data.map_readable().ok()?;
            Some(Bytes::copy_from_slice(&data))
        };
        let aspect = s
            .get::<gst::Fraction>("pixel-aspect-ratio")
            .ok()
            .and_then(|a| {
                Some((
                    u32::try_from(a.numer()).ok()?,
                    u32::try_from(a.denom()).ok()?,
                ))
            });
        Some(match self.branch {
            Branch::Picture(codec) => Said::Picture(Picture {
                codec,
                width: number("width")?,
                height: number("height")?,
                pixel_aspect: aspect.unwrap_or((1, 1)),
                extra_data: config()?,
            }),
            Branch::Sound(depay) => Said::Sound {
                form: match depay {
                    "rtpmp4gdepay" => Sound::Aac(config()?),
                    "rtppcmadepay" => Sound::Alaw,
                    _ => Sound::Ulaw,
                },
                clock_rate: self.clock_rate,
                channels: u16::try_from(number("channels")?).ok()?,
            },
        })
    }
}
