//! The camera process: RTSP servers (RFC 2326, gst-rtsp-server) that show drawn streets.
//!
//! It runs as a child (`zhenbei demo-cameras`), reads one line of JSON from standard input ([`CameraSpec`]s) and serves
//! until standard input ends, which it does also when the parent is killed. A stream is drawn and encoded once for all
//! its viewers and only while it has some.

mod painter;
mod server;

use std::io::{BufRead, Write};
use std::process::ExitCode;

use gstreamer::glib;

use super::spec::CameraSpec;
use painter::Painter;
use server::CameraServer;

/// Entry point of the hidden subcommand. Says what is wrong on standard error and ends with a code other than 0.
pub fn cameras_main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // Nothing to do when even standard error is gone.
            writeln!(std::io::stderr(), "zhenbei demo-cameras: {message}").ok();
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<(), String> {
    // With the parent killed nobody would end this process; standard input tells it too, this is the second rope.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .map_err(|e| format!("cannot tie this process to its parent: {e}"))?;
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|e| format!("cannot read the cameras from standard input: {e}"))?;
    let specs: Vec<CameraSpec> = serde_json::from_str(&line).map_err(|e| {
        format!("the first line of standard input must be the cameras as JSON: {e}")
    })?;
    gstreamer::init().map_err(|e| format!("GStreamer does not start: {e}"))?;
    needs(&specs)?;
    let main_loop = glib::MainLoop::new(None, false);
    let mut painters = Vec::new();
    let mut servers = Vec::new();
    for spec in &specs {
        let painter = Painter::start(spec).map_err(|e| format!("camera {}: {e}", spec.id))?;
        servers.push(CameraServer::start(spec, &painter)?);
        painters.push(painter);
    }
    let ended = main_loop.clone();
    let watcher = std::thread::Builder::new()
        .name("stdin".into())
        .spawn(move || {
            // Whatever else comes is of no interest; its end is.
            std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink()).ok();
            ended.quit();
        })
        .map_err(|e| format!("cannot start a thread: {e}"))?;
    main_loop.run();
    for s in &servers {
        s.stop();
    }
    for p in painters {
        p.stop();
    }
    watcher.join().ok();
    Ok(())
}

/// Names every missing GStreamer element with its package.
fn needs(specs: &[CameraSpec]) -> Result<(), String> {
    let h265 = specs
        .iter()
        .any(|s| s.codec == crate::model::VideoCodec::H265);
    let mut missing = Vec::new();
    for (element, package, wanted) in [
        ("appsrc", "gstreamer1.0-plugins-base", true),
        ("x264enc", "gstreamer1.0-plugins-ugly", true),
        ("rtph264pay", "gstreamer1.0-plugins-good", true),
        ("x265enc", "gstreamer1.0-plugins-bad", h265),
        ("h265parse", "gstreamer1.0-plugins-bad", h265),
    ] {
        if wanted && gstreamer::ElementFactory::find(element).is_none() {
            missing.push(format!("`{element}` (apt-get install {package})"));
        }
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(format!("GStreamer lacks {}", missing.join(", ")))
    }
}
