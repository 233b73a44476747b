//! In a worker: a pipeline file brought to life. From started to drained and never back: each step consumes the last.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSrc};

use super::pipeline::{Spec, Value};
use super::worker::say;

/// Time for what is under way when no more comes.
const DRAIN: Duration = Duration::from_millis(800);

/// A parsed pipeline with all its parameters set, at rest.
pub(crate) struct Built {
    pipeline: gst::Pipeline,
    pub(crate) source: AppSrc,
    pub(crate) sink: AppSink,
}

pub(crate) struct Running {
    built: Built,
    /// Says once that the last picture is out.
    drained: mpsc::Receiver<()>,
    watcher: thread::JoinHandle<()>,
}

impl Built {
    pub(crate) fn new(spec: &Spec, given: &[(&str, Value)]) -> Result<Self, String> {
        gst::init().map_err(|e| format!("GStreamer does not start: {e}"))?;
        let missing: Vec<_> = spec
            .requires
            .iter()
            .filter(|(element, _)| gst::ElementFactory::find(element).is_none())
            .map(|(element, package)| format!("{element} (apt-get install {package})"))
            .collect();
        if !missing.is_empty() {
            return Err(format!(
                "GStreamer lacks {} on this machine",
                missing.join(", ")
            ));
        }
        let values = spec.values(given)?;
        let pipeline = gst::parse::launch_full(&spec.template, None, gst::ParseFlags::FATAL_ERRORS)
            .map_err(|e| format!("its template is not a pipeline: {e}"))?
            .downcast::<gst::Pipeline>()
            .map_err(|_| "its template is a single element, not a pipeline".to_owned())?;
        for (name, parameter, value) in values {
            let element = pipeline.by_name(&parameter.element).ok_or_else(|| {
                format!(
                    "parameter `{name}` is of the element `{}`, which the template does not name",
                    parameter.element
                )
            })?;
            let set = match &parameter.field {
                Some(field) => set_caps_field(&element, &parameter.property, field, &value),
                None => set_property(&element, &parameter.property, &value),
            };
            set.map_err(|why| format!("parameter `{name}`: {why}"))?;
        }
        Ok(Self {
            source: end(&pipeline, "in", "appsrc")?,
            sink: end(&pipeline, "out", "appsink")?,
            pipeline,
        })
    }

    /// `failed` is called once, from another thread, when the pipeline cannot go on.
    pub(crate) fn start(
        self,
        failed: impl FnOnce(String) + Send + 'static,
    ) -> Result<Running, String> {
        let bus = self.pipeline.bus().ok_or("the pipeline has no bus")?;
        let (say_drained, drained) = mpsc::sync_channel(1);
        let watcher = thread::Builder::new()
            .name("bus".into())
            .spawn(move || watch(&bus, &say_drained, failed))
            .map_err(|e| format!("no thread for the bus: {e}"))?;
        self.pipeline
            .set_state(gst::State::Playing)
            .map_err(|_| "the pipeline does not start; its log says why".to_owned())?;
        Ok(Running {
            built: self,
            drained,
            watcher,
        })
    }
}

impl Running {
    /// Blocks while the pipeline is full.
    pub(crate) fn push(&self, buffer: gst::Buffer) -> Result<(), String> {
        self.built
            .source
            .push_buffer(buffer)
            .map(|_| ())
            .map_err(|e| format!("the pipeline takes no more: {e}"))
    }

    /// Lets out what is under way, within [`DRAIN`], and ends.
    pub(crate) fn drain(self) {
        // Refused only by a pipeline that has failed, of which the watcher has told.
        let begun = self.built.source.end_of_stream().is_ok();
        if begun && self.drained.recv_timeout(DRAIN).is_err() {
            say("the pipeline did not drain in time; its last pictures are lost");
        }
        if let Some(bus) = self.built.pipeline.bus() {
            // Ends the watcher also when no end of stream came.
            let _posted = bus.post(gst::message::Application::new(gst::Structure::new_empty(
                ENOUGH,
            )));
        }
        if self.built.pipeline.set_state(gst::State::Null).is_err() {
            say("the pipeline did not stop cleanly");
        }
        if self.watcher.join().is_err() {
            say("the watcher of the bus panicked");
        }
    }
}

const ENOUGH: &str = "zhenbei-enough";

fn watch(bus: &gst::Bus, drained: &mpsc::SyncSender<()>, failed: impl FnOnce(String)) {
    for message in bus.iter_timed(gst::ClockTime::NONE) {
        let from = message
            .src()
            .map(|s| s.name().to_string())
            .unwrap_or_default();
        if let gst::MessageView::Error(e) = message.view() {
            let detail = e.debug().unwrap_or_default();
            let detail = detail.lines().last().unwrap_or_default();
            failed(format!("{from}: {} ({detail})", e.error()));
            return;
        }
        if let gst::MessageView::Warning(w) = message.view() {
            say(&format!("{from}: {}", w.error()));
        }
        if matches!(message.view(), gst::MessageView::Eos(_)) {
            // The other end has stopped waiting: fine.
            let _late = drained.try_send(());
        }
        if message.structure().is_some_and(|s| s.name() == ENOUGH) {
            return;
        }
    }
}

fn end<T: IsA<gst::Element>>(
    pipeline: &gst::Pipeline,
    name: &str,
    kind: &str,
) -> Result<T, String> {
    pipeline
        .by_name(name)
        .and_then(|e| e.downcast::<T>().ok())
        .ok_or_else(|| format!("the template has no {kind} named `{name}`"))
}

fn set_property(element: &gst::Element, property: &str, value: &Value) -> Result<(), String> {
    let spec = writable(element, property)?;
    let value = glib::Value::deserialize_with_pspec(&value.to_string(), &spec)
        .map_err(|_| format!("the property `{property}` does not take `{value}`"))?;
    element.set_property_from_value(property, &value);
    Ok(())
}

fn set_caps_field(
    element: &gst::Element,
    property: &str,
    field: &str,
    value: &Value,
) -> Result<(), String> {
    writable(element, property)?;
    let number = match value {
        Value::Int(n) => i32::try_from(*n).map_err(|_| format!("{n} is too large"))?,
        Value::Text(_) => return Err("a field of caps must be a whole number".into()),
    };
    let mut caps = element
        .property_value(property)
        .get::<Option<gst::Caps>>()
        .ok()
        .flatten()
        .ok_or_else(|| format!("the property `{property}` holds no caps"))?;
    for structure in caps.make_mut().iter_mut() {
        structure.set(field, number);
    }
    element.set_property(property, &caps);
    Ok(())
}

fn writable(element: &gst::Element, property: &str) -> Result<glib::ParamSpec, String> {
    element
        .find_property(property)
        .filter(|p| p.flags().contains(glib::ParamFlags::WRITABLE))
        .ok_or_else(|| {
            let kind = element
                .factory()
                .map(|f| f.name().to_string())
                .unwrap_or_default();
            format!("{kind} has no property `{property}` that can be set")
        })
}
