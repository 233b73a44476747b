//! The words of the multiplexed live socket (docs/api.md, "Live video"). Values only: no socket, no clock.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::model::{CameraId, FaultReason, StreamState, UtcMicros, VideoCodec};

/// Bytes before the payload of a binary frame.
pub const HEADER_LEN: usize = 32;
const VERSION: u8 = 1;

/// What a wall may ask.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
pub enum Request {
    Open {
        tile: u32,
        camera: CameraId,
        #[serde(default)]
        stream: Wanted,
        #[serde(default)]
        format: Format,
        /// Codecs this client plays.
        #[serde(default = "only_h264")]
        decodes: Vec<VideoCodec>,
    },
    Close {
        tile: u32,
    },
    /// The client has dealt with this many frames and can take as many more.
    Credit {
        tile: u32,
        frames: u32,
    },
}

fn only_h264() -> Vec<VideoCodec> {
    vec![VideoCodec::H264]
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Wanted {
    /// The small picture where the camera has one.
    #[default]
    Auto,
    Main,
    Sub,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Length-prefixed access units, for WebCodecs.
    #[default]
    Avcc,
    /// Init segment, then one fragment an access unit, for Media Source Extensions.
    Fmp4,
}

/// What the daemon says as text.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Notice {
    Config {
        tile: u32,
        camera: CameraId,
        stream: &'static str,
        codec: String,
        /// `avcC` or `hvcC`, base64.
        description: String,
        mime: String,
        width: u16,
        height: u16,
        source_codec: VideoCodec,
        transcoded: bool,
    },
    State {
        tile: u32,
        state: StreamState,
        reason: Option<FaultReason>,
    },
    Skip {
        tile: u32,
        frames: u64,
    },
    Error {
        #[serde(skip_serializing_if = "Option::is_none")]
        tile: Option<u32>,
        code: String,
        detail: String,
    },
    Clock {
        now_us: i64,
    },
}

impl Notice {
    pub fn to_json(&self) -> String {
        // Plain structs of strings and numbers cannot fail to serialize.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    AccessUnit = 1,
    Init = 2,
    Fragment = 3,
}

/// The 32 bytes before each payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub kind: Kind,
    pub key: bool,
    /// Older than live: decode at once, do not wait for its time.
    pub catch_up: bool,
    pub tile: u32,
    pub media_us: i64,
    pub received: UtcMicros,
    pub number: u32,
    pub lost: u32,
}

impl Header {
    /// Header and payload in one message. The payload is copied once: WebSocket frames are contiguous.
    pub fn with_payload(&self, payload: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(HEADER_LEN + payload.len());
        out.put_u8(VERSION);
        out.put_u8(self.kind as u8);
        out.put_u8(u8::from(self.key) | u8::from(self.catch_up) << 1);
        out.put_u8(0);
        out.put_u32(self.tile);
        out.put_i64(self.media_us);
        out.put_i64(self.received.micros());
        out.put_u32(self.number);
        out.put_u32(self.lost);
        out.extend_from_slice(payload);
        out.freeze()
    }

    /// Reads a header back; for clients and tests. `None` when the bytes are not of this version.
    pub fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (head, payload) = bytes.split_at_checked(HEADER_LEN)?;
        let word = |at: usize| {
            head.get(at..at + 4)?
                .try_into()
                .ok()
                .map(u32::from_be_bytes)
        };
        let long = |at: usize| {
            head.get(at..at + 8)?
                .try_into()
                .ok()
                .map(i64::from_be_bytes)
        };
        if head.first() != Some(&VERSION) {
            return None;
        }
        let kind = match head.get(1)? {
            1 => Kind::AccessUnit,
            2 => Kind::Init,
            3 => Kind::Fragment,
            _ => return None,
        };
        let flags = head.get(2)?;
        let header = Self {
            kind,
            key: flags & 1 != 0,
            catch_up: flags & 2 != 0,
            tile: word(4)?,
            media_us: long(8)?,
            received: UtcMicros(long(16)?),
            number: word(24)?,
            lost: word(28)?,
        };
        Some((header, payload))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_back_as_it_was_written() {
        let header = Header {
            kind: Kind::Fragment,
            key: true,
            catch_up: false,
            tile: 7,
            media_us: -5,
            received: UtcMicros(1_764_000_000_000_001),
            number: 9,
            lost: 2,
        };
        let bytes = header.with_payload(b"abc");
        assert_eq!(bytes.len(), HEADER_LEN + 3);
        assert_eq!(Header::parse(&bytes), Some((header, &b"abc"[..])));
        assert_eq!(Header::parse(&bytes[..31]), None);
    }

    #[test]
    fn requests_of_the_documented_form_are_understood() {
        let open: Request = serde_json::from_str(
            r#"{"op":"open","tile":1,"camera":"cam-001","stream":"main","format":"avcc","decodes":["h264","h265"]}"#,
        )
        .unwrap();
        assert!(matches!(
            open,
            Request::Open {
                tile: 1,
                stream: Wanted::Main,
                ..
            }
        ));
        assert!(
            serde_json::from_str::<Request>(r#"{"op":"open","tile":1,"camera":"../etc"}"#).is_err()
        );
        assert!(serde_json::from_str::<Request>(r#"{"op":"shout"}"#).is_err());
    }

    #[test]
    fn notices_say_their_op() {
        let json = Notice::Error {
            tile: None,
            code: "not_found".into(),
            detail: "x".into(),
        }
        .to_json();
        assert_eq!(json, r#"{"op":"error","code":"not_found","detail":"x"}"#);
    }
}
