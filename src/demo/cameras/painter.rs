//! One thread a camera: draws its street at the camera's rate and hands the frames to the encoders that have viewers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_app::AppSrc;

use crate::demo::scene::{Moment, Scene, Traffic};
use crate::demo::spec::CameraSpec;

/// Where the encoder of a stream takes its frames, while it has viewers.
#[derive(Clone, Debug, Default)]
pub(super) struct Tap(Arc<Mutex<Option<AppSrc>>>);

impl Tap {
    pub(super) fn open(&self, source: AppSrc) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(source);
    }

    /// Only if it is still this one: the next viewer may have come before the last one's media is gone.
    pub(super) fn close(&self, source: &AppSrc) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.as_ref() == Some(source) {
            *open = None;
        }
    }

    fn source(&self) -> Option<AppSrc> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

pub(super) struct Painter {
    pub(super) main: Tap,
    pub(super) sub: Tap,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Painter {
    pub(super) fn start(spec: &CameraSpec) -> Result<Self, String> {
        if !spec.width.is_multiple_of(2) || !spec.height.is_multiple_of(2) || spec.fps == 0 {
            return Err("the picture needs even sides and at least one frame a second".into());
        }
        let (main, sub) = (Tap::default(), Tap::default());
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new()
            .name(spec.id.clone())
            .spawn({
                let (spec, main, sub, stop) =
                    (spec.clone(), main.clone(), sub.clone(), stop.clone());
                move || run(&spec, &main, &sub, &stop)
            })
            .map_err(|e| format!("cannot start its thread: {e}"))?;
        Ok(Self {
            main,
            sub,
            stop,
            thread,
        })
    }

    pub(super) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        self.thread.join().ok();
    }
}

/// How soon a first viewer is noticed.
const IDLE: Duration = Duration::from_millis(40);

fn run(spec: &CameraSpec, main: &Tap, sub: &Tap, stop: &AtomicBool) {
    let scene = |width: u16, height: u16, moment: &Moment| {
        Scene::new(spec.seed, width.into(), height.into(), &spec.name, moment)
    };
    let now = moment(spec);
    let mut main_scene = scene(spec.width, spec.height, &now);
    let mut sub_scene = spec.sub.map(|s| scene(s.width, s.height, &now));
    let mut traffic = Traffic::new(spec.seed);
    let frame = Duration::from_secs_f64(1.0 / f64::from(spec.fps));
    let mut due = Instant::now();
    let mut stepped = due;
    while !stop.load(Ordering::Relaxed) {
        let sources = (main.source(), sub.source());
        if sources.0.is_none() && sources.1.is_none() {
            std::thread::park_timeout(IDLE);
            due = Instant::now();
            continue;
        }
        let late = Instant::now();
        if late < due {
            std::thread::sleep(due - late);
        }
        // After a pause (a busy machine, no viewers) the rate goes on from now: no burst.
        due = (due + frame).max(Instant::now());
        let passed = stepped.elapsed().min(Duration::from_millis(500));
        stepped = Instant::now();
        traffic.step(passed.as_secs_f32());
        let now = moment(spec);
        if let Some(source) = &sources.0 {
            push(source, || main_scene.draw(&traffic, &now).to_vec());
        }
        if let (Some(source), Some(scene)) = (&sources.1, &mut sub_scene) {
            push(source, || scene.draw(&traffic, &now).to_vec());
        }
    }
}

fn push(source: &AppSrc, draw: impl FnOnce() -> Vec<u8>) {
    // No running time yet: the pipeline is still being put together.
    let Some(time) = source.current_running_time() else {
        return;
    };
    let mut buffer = gstreamer::Buffer::from_slice(draw());
    if let Some(b) = buffer.get_mut() {
        b.set_pts(time);
    }
    // Refused only while the last viewer leaves.
    source.push_buffer(buffer).ok();
}

/// The machine's own local time, as a camera on its network would show it, with its offset from UTC.
fn moment(spec: &CameraSpec) -> Moment {
    let Ok(now) = glib::DateTime::now_local() else {
        return Moment {
            clock: "--:--:--".into(),
            hour: 12.0,
            month: 6,
        };
    };
    let (h, m) = (now.hour(), now.minute());
    let minutes = now.utc_offset().as_seconds() / 60;
    let zone = match (minutes / 60, (minutes % 60).abs()) {
        (0, 0) => "UTC".into(),
        (hours, 0) => format!("UTC{hours:+}"),
        (hours, rest) => format!("UTC{hours:+}:{rest:02}"),
    };
    let clock = format!(
        "{}-{:02}-{:02} {h:02}:{m:02}:{:02}.{} {zone}",
        now.year(),
        now.month(),
        now.day_of_month(),
        now.second(),
        now.microsecond() / 100_000,
    );
    let on_clock = f32::from(i16::try_from(h * 60 + m).unwrap_or(720)) / 60.0;
    Moment {
        clock,
        hour: spec.light_hour.unwrap_or(on_clock),
        month: u8::try_from(now.month()).unwrap_or(6),
    }
}
