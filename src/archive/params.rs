//! Stream parameters as text: kept in each segment file and in the index, so that neither needs the other.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::model::{Error, Result, VideoCodec};
use crate::video::{AudioParams, StreamParams};

#[derive(Serialize, Deserialize)]
struct Text {
    codec: VideoCodec,
    extra_data: String,
    rfc6381: String,
    width: u16,
    height: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pixel_aspect: Option<(u32, u32)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    audio: Option<AudioText>,
}

#[derive(Serialize, Deserialize)]
struct AudioText {
    sample_entry: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rfc6381: Option<String>,
    clock_rate: u32,
    channels: u16,
}

/// The same parameters always give the same text.
pub(super) fn to_text(p: &StreamParams) -> Arc<str> {
    let text = Text {
        codec: p.codec,
        extra_data: STANDARD.encode(&p.extra_data),
        rfc6381: p.rfc6381.clone(),
        width: p.width,
        height: p.height,
        pixel_aspect: p.pixel_aspect,
        audio: p.audio.as_ref().map(|a| AudioText {
            sample_entry: STANDARD.encode(&a.sample_entry),
            rfc6381: a.rfc6381.clone(),
            clock_rate: a.clock_rate,
            channels: a.channels,
        }),
    };
    // Strings, numbers and options: nothing here can fail to be written.
    serde_json::to_string(&text).unwrap_or_default().into()
}

pub(super) fn from_text(text: &str) -> Result<StreamParams> {
    let bad = || {
        Error::internal(
            "bad_stream_params",
            "stream parameters in the archive cannot be read",
        )
    };
    let t: Text = serde_json::from_str(text).map_err(|e| bad().because(e))?;
    let bytes = |s: &str| {
        STANDARD
            .decode(s)
            .map(Bytes::from)
            .map_err(|e| bad().because(e))
    };
    Ok(StreamParams {
        codec: t.codec,
        extra_data: bytes(&t.extra_data)?,
        rfc6381: t.rfc6381,
        width: t.width,
        height: t.height,
        pixel_aspect: t.pixel_aspect,
        audio: match t.audio {
            None => None,
            Some(a) => Some(AudioParams {
                sample_entry: bytes(&a.sample_entry)?,
                rfc6381: a.rfc6381,
                clock_rate: a.clock_rate,
                channels: a.channels,
            }),
        },
    })
}
