//! What an error of retina means for the camera: its kind, and a sentence that says what to do.

use super::session::Fault;
use crate::model::{FaultKind, Transport};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Describe,
    Setup,
    Play,
    Streaming,
}

impl Step {
    fn method(self) -> &'static str {
        match self {
            Self::Describe => "DESCRIBE",
            Self::Setup => "SETUP",
            Self::Play => "PLAY",
            Self::Streaming => "a keep-alive",
        }
    }
}

/// Of errors that are no answers retina shows the kind in text only: the name of the variant in its `Debug` form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Connect,
    Read,
    Write,
    Framing,
    /// Data of a session that is over: the bug of old live555 servers.
    StaleSession,
    /// One medium's packets make no sense.
    Packet {
        stream: Option<usize>,
    },
    Other,
}

pub(super) fn sort(error: &retina::Error) -> Sort {
    let text = format!("{error:?}");
    let name: String = text
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect();
    match name.as_str() {
        "ConnectError" => Sort::Connect,
        "RtspReadError" => Sort::Read,
        "WriteError" => Sort::Write,
        "RtspFramingError" => Sort::Framing,
        "RtspUnassignedChannelError" => Sort::StaleSession,
        "PacketError" | "RtpPacketError" => {
            let id = text.split_once("stream_id: ").map(|(_, rest)| rest);
            let digits = id.map(|rest| {
                rest.chars()
                    .take_while(char::is_ascii_digit)
                    .collect::<String>()
            });
            Sort::Packet {
                stream: digits.and_then(|d| d.parse().ok()),
            }
        }
        _ => Sort::Other,
    }
}

pub(super) fn fault(
    error: &retina::Error,
    step: Step,
    authority: &str,
    has_credentials: bool,
) -> Fault {
    match error.status_code() {
        // An answer that was no refusal, and still could not be used.
        Some(200..=299) | None => Fault {
            unreadable: is_unreadable(error, step),
            ..unanswered(error, step, authority)
        },
        Some(status) => refusal(status, step, has_credentials),
    }
}

/// An answer that came whole and goes against the grammar, before anything was played.
fn is_unreadable(error: &retina::Error, step: Step) -> bool {
    match sort(error) {
        Sort::Framing => step != Step::Streaming,
        Sort::Other => {
            let what = first_line(error);
            // Without the numbers of the channels no back-end knows what is whose.
            let hopeless = ["No parseable streams", "missing interleaved"];
            error.status_code().is_some() && !hopeless.iter().any(|h| what.contains(h))
        }
        Sort::Connect | Sort::Read | Sort::Write | Sort::StaleSession | Sort::Packet { .. } => {
            false
        }
    }
}

pub(super) fn refusal(status: u16, step: Step, has_credentials: bool) -> Fault {
    let method = step.method();
    let (kind, message) = match status {
        // In a running session the camera may only have grown tired of its nonce (RFC 2617 §3.3): ask again by a new session.
        401 if step == Step::Streaming => (FaultKind::Closed, "the camera asked to sign in again".to_owned()),
        // Signed, and refused although DESCRIBE was not: retina keeps to the first nonce.
        401 if has_credentials && matches!(step, Step::Setup | Step::Play) => (
            FaultKind::Unauthorized,
            format!(
                "the camera answered DESCRIBE and refused {method} (401): the password is wrong, or it wants a new nonce for each \
                 request. Not tried on, because more tries lock the account: correct the password in the camera's address, or \
                 set `keepalive = \"off\"` for this camera, which uses the second back-end"
            ),
        ),
        401 if has_credentials => (
            FaultKind::Unauthorized,
            "the camera refused this user name and password (401). Not tried on, because more tries lock the account: correct \
             the password in the camera's address, or try again once it is right at the camera"
                .to_owned(),
        ),
        401 => (
            FaultKind::Unauthorized,
            "the camera asks for a user name and password (401); write them into its address: rtsp://user:password@host/path"
                .to_owned(),
        ),
        403 => (
            FaultKind::Unauthorized,
            format!("the camera does not let this user watch this stream (403 to {method}); give the user the right to live view"),
        ),
        404 | 410 => (
            FaultKind::Protocol,
            format!(
                "the camera has no stream at this path ({status} to {method}); check the path in its address. Tried again, \
                 because recorders answer so while a channel's camera is away"
            ),
        ),
        453 | 500..=599 => (
            FaultKind::Closed,
            format!(
                "the camera refused {method} ({status}): it is starting, overloaded, or its limit of viewers is reached; tried again"
            ),
        ),
        461 => return unsupported_transport(Transport::Tcp),
        300..=399 => (
            FaultKind::Protocol,
            format!("the camera sends us elsewhere ({status} to {method}); write the new address into its configuration"),
        ),
        _ => (FaultKind::Protocol, format!("the camera refused {method} with status {status}")),
    };
    Fault {
        forbidden: status == 403,
        ..Fault::new(kind, message)
    }
}

/// RFC 2326 §11.3.14.
pub(super) fn unsupported_transport(transport: Transport) -> Fault {
    Fault {
        transport_refused: true,
        ..Fault::new(
            FaultKind::Protocol,
            format!(
                "the camera does not send RTP over {transport} (461); allow it in the camera's network settings, or set another \
                 transport for this camera (docs/cameras.md)"
            ),
        )
    }
}

fn unanswered(error: &retina::Error, step: Step, authority: &str) -> Fault {
    let what = first_line(error);
    let (kind, message) = match sort(error) {
        Sort::Connect => (
            FaultKind::Unreachable,
            format!("cannot connect to {authority} ({what}); check power and network of the camera, and host and port"),
        ),
        Sort::Read | Sort::Write if what.contains("failed to respond to keepalive") => {
            (FaultKind::TimedOut, "the camera no longer answers keep-alives".to_owned())
        }
        Sort::Read | Sort::Write if step == Step::Streaming => {
            (FaultKind::Closed, format!("the connection with the camera broke ({what})"))
        }
        Sort::Read | Sort::Write if what.contains("EOF") || what.contains("reset") || what.contains("Broken pipe") => (
            FaultKind::Closed,
            format!(
                "{authority} closed the connection instead of answering {}; check that this is the camera's RTSP port",
                step.method()
            ),
        ),
        Sort::Framing | Sort::Read | Sort::Write => (
            FaultKind::Protocol,
            format!("what {authority} answers is not RTSP ({what}); check host and port of the camera's address"),
        ),
        Sort::StaleSession => (
            FaultKind::Protocol,
            "the camera still sends an old session's data (a defect of its RTSP server); waiting until it lets go".to_owned(),
        ),
        Sort::Packet { .. } => (
            FaultKind::Protocol,
            format!(
                "the camera's packets make no sense ({what}); the second back-end may read them: set the policy \
                 `backend = \"worker\"` for this camera (docs/cameras.md)"
            ),
        ),
        // Recorders describe a channel so while its camera is away: worth trying again.
        Sort::Other if what.contains("No parseable streams") => (
            FaultKind::Protocol,
            "its description offers no video; check the path in the address and that the channel is in use".to_owned(),
        ),
        Sort::Other => (FaultKind::Protocol, format!("{} failed: {what}", step.method())),
    };
    Fault::new(kind, message)
}

/// retina adds where in the connection it happened on further lines; that is for a debugger.
fn first_line(error: &retina::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    let line = line
        .strip_prefix("Unable to connect to RTSP server: ")
        .unwrap_or(line);
    let line = line
        .strip_prefix("Error reading from RTSP peer: ")
        .unwrap_or(line);
    line.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_that_a_person_must_mend_are_not_tried_again() {
        for (status, step, kind) in [
            (401, Step::Describe, FaultKind::Unauthorized),
            (401, Step::Setup, FaultKind::Unauthorized),
            (401, Step::Streaming, FaultKind::Closed),
            (403, Step::Describe, FaultKind::Unauthorized),
            (404, Step::Describe, FaultKind::Protocol),
            (453, Step::Setup, FaultKind::Closed),
            (461, Step::Setup, FaultKind::Protocol),
            (503, Step::Play, FaultKind::Closed),
            (302, Step::Describe, FaultKind::Protocol),
            (400, Step::Play, FaultKind::Protocol),
        ] {
            assert_eq!(
                refusal(status, step, true).kind,
                kind,
                "{status} to {step:?}"
            );
        }
    }
}
