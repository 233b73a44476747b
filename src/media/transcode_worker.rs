//! In a worker: access units of one camera in, H.264 access units for browsers out.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use gstreamer as gst;
use gstreamer_app::{AppSink, AppSinkCallbacks};

use super::h26x;
use super::pipeline::{Spec, Value, fit};
use super::pipeline_run::{Built, Running};
use super::protocol::{Message, Picture, Unit};
use super::worker::{Input, Output, name_of};
use crate::model::VideoCodec;

/// Pictures inside the pipeline whose times are remembered; far more than it can hold.
const MAX_UNDER_WAY: usize = 1024;
/// Where the pipeline's time begins, so that leading pictures shown before the first key frame are not negative.
const ORIGIN_NS: i128 = 3_600_000_000_000;

/// Written by the thread of the sink and by the main thread.
type Shared<T> = Arc<Mutex<T>>;

fn locked<T>(shared: &Shared<T>) -> MutexGuard<'_, T> {
    // A panic of the other thread ends the process anyway.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn serve(mut input: Input, output: Output) -> io::Result<()> {
    let output = Arc::new(Mutex::new(output));
    let mut spec = None;
    let mut stream: Option<Stream> = None;
    loop {
        let Some(message) = input.next()? else {
            // The daemon is gone; nobody wants the rest.
            return Ok(());
        };
        let name = name_of(&message);
        let done = match message {
            Message::Pipeline { text, .. } => Spec::parse(&text).map(|s| spec = Some(s)),
            Message::Check => {
                let problem = check(spec.as_ref()).err();
                locked(&output).send(&Message::Checked { problem })?;
                Ok(())
            }
            Message::Configure(picture) => {
                if let Some(old) = stream.take() {
                    old.running.drain();
                }
                Stream::start(spec.as_ref(), &picture, &output).map(|s| stream = Some(s))
            }
            Message::Unit(unit) => match &mut stream {
                Some(stream) => stream.push(&unit),
                None => Err("a unit came before it was said what it is".into()),
            },
            Message::Stop => {
                if let Some(old) = stream.take() {
                    old.running.drain();
                }
                return locked(&output).send(&Message::Ended);
            }
            Message::Still { .. }
            | Message::Ingest(_)
            | Message::StillDone { .. }
            | Message::StillRefused { .. }
            | Message::Checked { .. }
            | Message::Output(_)
            | Message::Failed { .. }
            | Message::Ended
            | Message::Derive { .. }
            | Message::Progress { .. }
            | Message::DeriveDone { .. }
            | Message::DeriveRefused { .. } => Err(format!("a transcode worker was sent {name}")),
        };
        if let Err(why) = done {
            return locked(&output).send(&Message::Failed { why });
        }
    }
}

/// Whether every element is here and every parameter fits its element.
fn check(spec: Option<&Spec>) -> Result<(), String> {
    let spec = spec.ok_or("no pipeline was named")?;
    let size = (spec.upper("width")?, spec.upper("height")?);
    Built::new(spec, &size_values(size)).map(|_| ())
}

fn size_values((width, height): (u32, u32)) -> [(&'static str, Value); 2] {
    [
        ("width", Value::Int(width.into())),
        ("height", Value::Int(height.into())),
    ]
}

/// Times of pictures under way: pipeline time to the camera's and the server's.
type Times = BTreeMap<u64, (i64, i64)>;

struct Stream {
    running: Running,
    codec: VideoCodec,
    parameter_sets: Vec<u8>,
    first_pts: Option<i64>,
    times: Shared<Times>,
}

impl Stream {
    fn start(
        spec: Option<&Spec>,
        picture: &Picture,
        output: &Shared<Output>,
    ) -> Result<Self, String> {
        let spec = spec.ok_or("no pipeline was named")?;
        let parameter_sets = h26x::parameter_sets(picture.codec, &picture.extra_data)
            .map_err(|e| format!("the camera's stream cannot be decoded: {e}"))?;
        let most = (spec.upper("width")?, spec.upper("height")?);
        let size = fit((picture.width, picture.height), picture.pixel_aspect, most);
        let built = Built::new(spec, &size_values(size))?;

        let times: Shared<Times> = Arc::default();
        let mut outlet = Outlet {
            output: Arc::clone(output),
            times: Arc::clone(&times),
            extra_data: Bytes::new(),
            last_received: 0,
        };
        built.sink.set_callbacks(
            AppSinkCallbacks::builder()
                .new_sample(move |sink| outlet.take(sink))
                .build(),
        );
        let to_daemon = Arc::clone(output);
        let running = built.start(move |why| {
            // The daemon may be gone; either way this process has nothing left to do, and threads of the broken
            // pipeline may hang.
            let _told = locked(&to_daemon).send(&Message::Failed { why });
            std::process::exit(1);
        })?;
        Ok(Self {
            running,
            codec: picture.codec,
            parameter_sets,
            first_pts: None,
            times,
        })
    }

    fn push(&mut self, unit: &Unit) -> Result<(), String> {
        let mut stream = Vec::with_capacity(unit.data.len() + self.parameter_sets.len() + 64);
        if unit.key {
            stream.extend_from_slice(&self.parameter_sets);
        }
        // One unit of nonsense is not the end of a live picture.
        if let Err(e) = h26x::append_unit(self.codec, &unit.data, h26x::Sei::Keep, &mut stream) {
            super::worker::say(&format!("an access unit was left out: {e}"));
            return Ok(());
        }
        let first = *self.first_pts.get_or_insert(unit.pts);
        let ns = (i128::from(unit.pts) - i128::from(first)) * 100_000 / 9 + ORIGIN_NS;
        let ns = u64::try_from(ns.max(0))
            .unwrap_or(u64::MAX / 2)
            .min(u64::MAX / 2);
        {
            let mut times = locked(&self.times);
            times.insert(ns, (unit.pts, unit.received));
            if times.len() > MAX_UNDER_WAY {
                times.pop_first();
            }
        }
        let mut buffer = gst::Buffer::from_slice(stream);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(gst::ClockTime::from_nseconds(ns));
            if !unit.key {
                buffer.set_flags(gst::BufferFlags::DELTA_UNIT);
            }
        }
        self.running.push(buffer)
    }
}

/// Where encoded pictures leave the process.
struct Outlet {
    output: Shared<Output>,
    times: Shared<Times>,
    extra_data: Bytes,
    last_received: i64,
}

impl Outlet {
    /// Runs in the thread of the pipeline: a daemon that does not read holds the pipeline back.
    fn take(&mut self, sink: &AppSink) -> Result<gst::FlowSuccess, gst::FlowError> {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        for message in self.messages(&sample).ok_or(gst::FlowError::Error)? {
            locked(&self.output)
                .send(&message)
                .map_err(|_| gst::FlowError::Eos)?;
        }
        Ok(gst::FlowSuccess::Ok)
    }

    fn messages(&mut self, sample: &gst::Sample) -> Option<Vec<Message>> {
        let mut out = Vec::with_capacity(2);
        let caps = sample.caps()?.structure(0)?;
        let extra = caps.get::<gst::Buffer>("codec_data").ok()?;
        let extra = extra.map_readable().ok()?;
        if self.extra_data != extra.as_slice() {
            self.extra_data = Bytes::copy_from_slice(extra.as_slice());
            let side = |name| {
                caps.get::<i32>(name)
                    .ok()
                    .and_then(|n| u32::try_from(n).ok())
            };
            out.push(Message::Output(Picture {
                codec: VideoCodec::H264,
                width: side("width")?,
                height: side("height")?,
                pixel_aspect: (1, 1),
                extra_data: self.extra_data.clone(),
            }));
        }
        let buffer = sample.buffer()?;
        let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
        let ns = segment.to_running_time(buffer.pts()?)?.nseconds();
        let (pts, received) = self.times_of(ns);
        out.push(Message::Unit(Unit {
            key: !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT),
            pts,
            received,
            data: Bytes::copy_from_slice(buffer.map_readable().ok()?.as_slice()),
        }));
        Some(out)
    }

    /// Without B-frames pictures leave in the order of showing, so everything older has been left out by the decoder.
    fn times_of(&mut self, ns: u64) -> (i64, i64) {
        let mut times = locked(&self.times);
        let later = times.split_off(&(ns + 1));
        let last = times.pop_last();
        *times = later;
        match last {
            Some((at, (pts, received))) => {
                self.last_received = received;
                // Exact in practice; a pipeline that makes up pictures shifts from the last one known.
                let shift = i64::try_from((ns - at) * 9 / 100_000).unwrap_or(0);
                (pts + shift, received)
            }
            None => {
                let pts = (i128::from(ns) - ORIGIN_NS) * 9 / 100_000;
                (i64::try_from(pts).unwrap_or(0), self.last_received)
            }
        }
    }
}
