//! In a worker: one session with one camera by GStreamer; its access units out.
//!
//! Nothing here waits for the daemon: what the pipe does not take in time is left out up to the next key frame and counted
//! as lost, so that the camera's connection is always read.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;

use super::ingest::IngestFault;
use super::ingest_pipeline::{Choice, Session, Shared, locked};
use super::ingest_protocol::{self, Said};
use super::ingest_tls;
use super::protocol::Message;
use super::worker::{Input, Output, name_of, say};

/// Messages and bytes that wait for the daemon at most.
const QUEUE: usize = 2_048;
const QUEUE_BYTES: usize = 64 << 20;
/// For the last words of a session that failed.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Nanoseconds of `CLOCK_MONOTONIC`, which is the same in every process of a machine.
pub(super) fn monotonic_ns() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec
        .saturating_mul(1_000_000_000)
        .saturating_add(now.tv_nsec)
}

/// Where everything for the daemon is put. Never waits.
pub(super) struct Outbox {
    queue: SyncSender<Bytes>,
    waiting: AtomicUsize,
}

impl Outbox {
    /// False when it was left out.
    pub(super) fn offer(&self, said: &Said) -> bool {
        let bytes = ingest_protocol::encode(said);
        let n = bytes.len();
        if self.waiting.fetch_add(n, Ordering::Relaxed) + n > QUEUE_BYTES {
            self.waiting.fetch_sub(n, Ordering::Relaxed);
            return false;
        }
        match self.queue.try_send(bytes) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.waiting.fetch_sub(n, Ordering::Relaxed);
                false
            }
        }
    }

    /// Tells why it is over and ends the process: threads of a broken pipeline may hang.
    pub(super) fn fail(&self, fault: IngestFault) {
        let last = ingest_protocol::encode(&Said::Failed(fault));
        // Empty is the mark behind which the writer ends the process.
        let told = self
            .queue
            .send(last)
            .and_then(|()| self.queue.send(Bytes::new()));
        if told.is_ok() {
            thread::sleep(LAST_WORDS);
        }
        std::process::exit(1);
    }
}

fn write(queue: &Receiver<Bytes>, outbox: &Outbox, mut output: Output) {
    while let Ok(body) = queue.recv() {
        if body.is_empty() {
            std::process::exit(1);
        }
        outbox.waiting.fetch_sub(body.len(), Ordering::Relaxed);
        if output.send(&Message::Ingest(body)).is_err() {
            // The daemon is gone.
            std::process::exit(1);
        }
    }
}

pub(super) fn serve(mut input: Input, output: Output) -> io::Result<()> {
    let order = match input.next()? {
        Some(Message::Ingest(body)) => {
            let said = ingest_protocol::decode(body).map_err(io::Error::other)?;
            let Said::Open(order) = said else {
                return Err(io::Error::other("an ingest worker was told no address"));
            };
            order
        }
        Some(other) => {
            let name = name_of(&other);
            return Err(io::Error::other(format!(
                "an ingest worker was sent {name}"
            )));
        }
        None => return Ok(()),
    };
    let (queue, waiting) = sync_channel(QUEUE);
    let outbox = Arc::new(Outbox {
        queue,
        waiting: AtomicUsize::new(0),
    });
    let writer = Arc::clone(&outbox);
    thread::Builder::new()
        .name("writer".into())
        .spawn(move || write(&waiting, &writer, output))?;
    let started = gst::init()
        .map_err(|e| format!("GStreamer does not start: {e}"))
        .and_then(|()| Session::new(&order, &outbox));
    let session = match started {
        Ok(session) => session,
        Err(why) => {
            outbox.fail(IngestFault::Other(why));
            return Ok(());
        }
    };
    let bus = session
        .pipeline
        .bus()
        .ok_or_else(|| io::Error::other("the pipeline has no bus"))?;
    let (choice, refusal, out) = (
        Arc::clone(&session.choice),
        session.refusal.clone(),
        Arc::clone(&outbox),
    );
    thread::Builder::new().name("bus".into()).spawn(move || {
        let fault = watch(&bus, &choice, refusal.as_ref(), &out);
        out.fail(fault);
    })?;
    if session.pipeline.set_state(gst::State::Playing).is_err() {
        // The bus says why; it ends the process.
        thread::sleep(LAST_WORDS);
    }
    match input.next()? {
        // TEARDOWN is sent on the way to rest.
        Some(Message::Stop) | None => {
            if session.pipeline.set_state(gst::State::Null).is_err() {
                say("the pipeline did not stop cleanly");
            }
            Ok(())
        }
        Some(other) => {
            let name = name_of(&other);
            Err(io::Error::other(format!(
                "an ingest worker was sent {name}"
            )))
        }
    }
}

/// Ends with the reason why the session is over.
fn watch(
    bus: &gst::Bus,
    choice: &Shared<Choice>,
    refusal: Option<&ingest_tls::Refusal>,
    outbox: &Outbox,
) -> IngestFault {
    for message in bus.iter_timed(gst::ClockTime::NONE) {
        match message.view() {
            gst::MessageView::Progress(p) => {
                let (kind, _, text) = p.get();
                if kind == gst::ProgressType::Complete && text.contains("PLAY") {
                    outbox.offer(&Said::Playing);
                }
            }
            gst::MessageView::Error(e) => {
                let debug = e.debug().unwrap_or_default().to_string();
                if let Some(seen) = refusal.and_then(ingest_tls::refused) {
                    return IngestFault::Certificate(seen);
                }
                return sort(&e.error(), &debug, &locked(choice));
            }
            gst::MessageView::Eos(_) => return IngestFault::Ended,
            gst::MessageView::Warning(w) => say(&w.error().to_string()),
            #[allow(
                clippy::wildcard_enum_match_arm,
                reason = "GStreamer has dozens of others"
            )]
            _ => {}
        }
    }
    IngestFault::Ended
}

fn sort(error: &gst::glib::Error, debug: &str, choice: &Choice) -> IngestFault {
    use gst::{ResourceError as R, StreamError};
    let last = debug.lines().last().unwrap_or_default().trim();
    let why = format!("{error} ({last})");
    if let Some(status) = status_in(debug) {
        return IngestFault::Status(status);
    }
    if error.matches(StreamError::CodecNotFound) || error.matches(StreamError::WrongType) {
        return choice
            .no_video()
            .unwrap_or(IngestFault::Status(UNSUPPORTED_TRANSPORT));
    }
    if error.matches(R::NotAuthorized) {
        return IngestFault::Status(401);
    }
    if error.matches(R::NotFound) {
        return IngestFault::Status(404);
    }
    if debug.contains("Could not receive any UDP packets") {
        return IngestFault::Silent(why);
    }
    if error.matches(R::OpenRead) || error.matches(R::OpenReadWrite) || error.matches(R::OpenWrite)
    {
        return IngestFault::Connect(why);
    }
    IngestFault::Other(why)
}

/// RFC 2326 §11.3.14.
const UNSUPPORTED_TRANSPORT: u16 = 461;

/// The RTSP status that `rtspsrc` puts into its words: `Unauthorized (401)`, `Got error response: 453 (Not Enough…)`.
fn status_in(text: &str) -> Option<u16> {
    let answer = text
        .split_once("Got error response: ")
        .map(|(_, rest)| rest)
        .or_else(|| {
            ["Unauthorized (", "Not found (", "Forbidden ("]
                .iter()
                .find_map(|w| text.split_once(w).map(|(_, rest)| rest))
        })?;
    let digits: String = answer.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().filter(|s| (300..600).contains(s))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_found_in_the_words() {
        for (text, status) in [
            (
                "gst_rtspsrc_send (): /x\nGot error response: 453 (Not Enough Bandwidth).",
                Some(453),
            ),
            ("Unauthorized (401)", Some(401)),
            ("Got error response: 9 (odd)", None),
            ("Could not open resource", None),
        ] {
            assert_eq!(status_in(text), status, "{text}");
        }
    }
}
