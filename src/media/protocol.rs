//! What the daemon and its worker processes say to each other over a pipe: `u32` length, kind, fields; little-endian.
//!
//! Both ends are the same executable file, so there is no version to negotiate. Sans-IO: bytes in, messages out. A length
//! is checked before anything is allocated for it, so neither a broken worker nor a hostile picture can ask for memory.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::model::VideoCodec;

/// Longest message. An 8K key frame at the finest quality stays far below.
pub(crate) const MAX_MESSAGE: usize = 24 << 20;
/// Largest access unit taken; the rest of a message is small.
pub(crate) const MAX_UNIT: usize = 16 << 20;
/// Longest parameter sets (`avcC`, `hvcC`) or text in a message.
const MAX_SMALL: usize = 64 << 10;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) codec: VideoCodec,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Width and height of one pixel.
    pub(crate) pixel_aspect: (u32, u32),
    /// `avcC` or `hvcC`.
    pub(crate) extra_data: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    // Daemon to worker.
    /// Decode this one access unit and answer with a JPEG no wider than `max_width` (0: as it is).
    Still {
        job: u32,
        max_width: u32,
        picture: Picture,
        unit: Bytes,
    },
    /// The pipeline that the following messages are about: the name of its file and its text.
    Pipeline {
        name: String,
        text: String,
    },
    /// Answer whether this pipeline could run on this machine.
    Check,
    /// Begin (again) with pictures of this kind.
    Configure(Picture),
    Unit(Unit),
    /// What an ingest session says, either way (`ingest_protocol`).
    Ingest(Bytes),
    /// Make this of a clip: a `DeriveOrder` as JSON.
    Derive {
        order: String,
    },
    /// No more input: finish what is begun and end.
    Stop,

    // Worker to daemon.
    StillDone {
        job: u32,
        jpeg: Bytes,
    },
    /// The picture cannot be shown; the worker is fine.
    StillRefused {
        job: u32,
        why: String,
    },
    /// `None`: it can run.
    Checked {
        problem: Option<String>,
    },
    /// What the following units are.
    Output(Picture),
    /// The worker cannot go on and will end.
    Failed {
        why: String,
    },
    /// Everything is out.
    Ended,
    /// A long job goes on.
    Progress {
        permille: u32,
    },
    /// It is made: a `Derived` as JSON.
    DeriveDone {
        derived: String,
    },
    /// It cannot be made of this clip; the worker is fine.
    DeriveRefused {
        why: String,
    },
}

/// One access unit with 4-byte NAL lengths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) key: bool,
    /// 1/90 000 s.
    pub(crate) pts: i64,
    pub(crate) received: i64,
    pub(crate) data: Bytes,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProtocolError {
    #[error("a message of {0} bytes is over the limit of {MAX_MESSAGE}")]
    TooLong(usize),
    #[error("message kind {0} is unknown")]
    UnknownKind(u8),
    #[error("a message of kind {kind} ends inside its field `{field}`")]
    Short { kind: u8, field: &'static str },
    #[error("field `{field}` of message kind {kind} is not valid")]
    Bad { kind: u8, field: &'static str },
    #[error("a message of kind {kind} has {left} bytes too many")]
    Long { kind: u8, left: usize },
}

/// Appends one message. An error leaves `out` as it was.
pub(crate) fn encode(message: &Message, out: &mut BytesMut) -> Result<(), ProtocolError> {
    let start = out.len();
    out.put_u32_le(0);
    match message {
        Message::Still {
            job,
            max_width,
            picture,
            unit,
        } => {
            out.put_u8(1);
            out.put_u32_le(*job);
            out.put_u32_le(*max_width);
            put_picture(out, picture);
            put_bytes(out, unit);
        }
        Message::Pipeline { name, text } => {
            out.put_u8(2);
            put_bytes(out, name.as_bytes());
            put_bytes(out, text.as_bytes());
        }
        Message::Check => out.put_u8(3),
        Message::Configure(picture) => {
            out.put_u8(4);
            put_picture(out, picture);
        }
        Message::Unit(unit) => {
            out.put_u8(5);
            out.put_u8(u8::from(unit.key));
            out.put_i64_le(unit.pts);
            out.put_i64_le(unit.received);
            put_bytes(out, &unit.data);
        }
        Message::Ingest(body) => {
            out.put_u8(7);
            out.put_slice(body);
        }
        Message::Stop => out.put_u8(6),
        Message::Derive { order } => {
            out.put_u8(8);
            put_bytes(out, order.as_bytes());
        }
        Message::StillDone { job, jpeg } => {
            out.put_u8(64);
            out.put_u32_le(*job);
            put_bytes(out, jpeg);
        }
        Message::StillRefused { job, why } => {
            out.put_u8(65);
            out.put_u32_le(*job);
            put_bytes(out, cut(why));
        }
        Message::Checked { problem } => {
            out.put_u8(66);
            out.put_u8(u8::from(problem.is_some()));
            put_bytes(out, cut(problem.as_deref().unwrap_or_default()));
        }
        Message::Output(picture) => {
            out.put_u8(67);
            put_picture(out, picture);
        }
        Message::Failed { why } => {
            out.put_u8(68);
            put_bytes(out, cut(why));
        }
        Message::Ended => out.put_u8(69),
        Message::Progress { permille } => {
            out.put_u8(70);
            out.put_u32_le(*permille);
        }
        Message::DeriveDone { derived } => {
            out.put_u8(71);
            put_bytes(out, derived.as_bytes());
        }
        Message::DeriveRefused { why } => {
            out.put_u8(72);
            put_bytes(out, cut(why));
        }
    }
    let length = out.len() - start - 4;
    let Ok(prefix) = u32::try_from(length) else {
        out.truncate(start);
        return Err(ProtocolError::TooLong(length));
    };
    if length > MAX_MESSAGE {
        out.truncate(start);
        return Err(ProtocolError::TooLong(length));
    }
    if let Some(place) = out.get_mut(start..start + 4) {
        place.copy_from_slice(&prefix.to_le_bytes());
    }
    Ok(())
}

/// Takes one message from the front of `input`; `None` when it is not all there yet.
pub(crate) fn decode(input: &mut BytesMut) -> Result<Option<Message>, ProtocolError> {
    let Some(prefix) = input.first_chunk::<4>() else {
        return Ok(None);
    };
    let length = u32::from_le_bytes(*prefix) as usize;
    if length > MAX_MESSAGE {
        return Err(ProtocolError::TooLong(length));
    }
    if input.len() < 4 + length {
        // One growth instead of many, and never beyond the limit just checked.
        input.reserve(4 + length - input.len());
        return Ok(None);
    }
    input.advance(4);
    let mut fields = Fields {
        kind: 0,
        rest: input.split_to(length).freeze(),
    };
    fields.kind = fields.u8("kind")?;
    let message = read(&mut fields)?;
    if !fields.rest.is_empty() {
        return Err(ProtocolError::Long {
            kind: fields.kind,
            left: fields.rest.len(),
        });
    }
    Ok(Some(message))
}

fn read(f: &mut Fields) -> Result<Message, ProtocolError> {
    Ok(match f.kind {
        1 => Message::Still {
            job: f.u32("job")?,
            max_width: f.u32("max_width")?,
            picture: f.picture()?,
            unit: f.bytes("unit", MAX_UNIT)?,
        },
        2 => Message::Pipeline {
            name: f.text("name")?,
            text: f.text("text")?,
        },
        3 => Message::Check,
        4 => Message::Configure(f.picture()?),
        5 => Message::Unit(Unit {
            key: f.flag("key")?,
            pts: f.i64("pts")?,
            received: f.i64("received")?,
            data: f.bytes("data", MAX_UNIT)?,
        }),
        6 => Message::Stop,
        7 => Message::Ingest(std::mem::take(&mut f.rest)),
        8 => Message::Derive {
            order: f.text("order")?,
        },
        64 => Message::StillDone {
            job: f.u32("job")?,
            jpeg: f.bytes("jpeg", MAX_MESSAGE)?,
        },
        65 => Message::StillRefused {
            job: f.u32("job")?,
            why: f.text("why")?,
        },
        66 => {
            let some = f.flag("problem")?;
            let text = f.text("problem")?;
            Message::Checked {
                problem: some.then_some(text),
            }
        }
        67 => Message::Output(f.picture()?),
        68 => Message::Failed {
            why: f.text("why")?,
        },
        69 => Message::Ended,
        70 => Message::Progress {
            permille: f.u32("permille")?,
        },
        71 => Message::DeriveDone {
            derived: f.text("derived")?,
        },
        72 => Message::DeriveRefused {
            why: f.text("why")?,
        },
        other => return Err(ProtocolError::UnknownKind(other)),
    })
}

pub(super) fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    // Longer than u32 is longer than MAX_MESSAGE, which `encode` refuses.
    out.put_u32_le(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    out.put_slice(bytes);
}

pub(super) fn put_picture(out: &mut BytesMut, picture: &Picture) {
    out.put_u8(match picture.codec {
        VideoCodec::H264 => 0,
        VideoCodec::H265 => 1,
    });
    out.put_u32_le(picture.width);
    out.put_u32_le(picture.height);
    out.put_u32_le(picture.pixel_aspect.0);
    out.put_u32_le(picture.pixel_aspect.1);
    put_bytes(out, &picture.extra_data);
}

/// A reason for a person never needs more than this.
pub(super) fn cut(text: &str) -> &[u8] {
    let mut end = text.len().min(4096);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.as_bytes().get(..end).unwrap_or_default()
}

pub(super) struct Fields {
    pub(super) kind: u8,
    pub(super) rest: Bytes,
}

impl Fields {
    fn take(&mut self, field: &'static str, length: usize) -> Result<Bytes, ProtocolError> {
        if self.rest.len() < length {
            return Err(ProtocolError::Short {
                kind: self.kind,
                field,
            });
        }
        Ok(self.rest.split_to(length))
    }

    pub(super) fn u8(&mut self, field: &'static str) -> Result<u8, ProtocolError> {
        Ok(self.take(field, 1)?.get_u8())
    }

    pub(super) fn u32(&mut self, field: &'static str) -> Result<u32, ProtocolError> {
        Ok(self.take(field, 4)?.get_u32_le())
    }

    pub(super) fn i64(&mut self, field: &'static str) -> Result<i64, ProtocolError> {
        Ok(self.take(field, 8)?.get_i64_le())
    }

    pub(super) fn flag(&mut self, field: &'static str) -> Result<bool, ProtocolError> {
        match self.u8(field)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.bad(field)),
        }
    }

    pub(super) fn bytes(
        &mut self,
        field: &'static str,
        max: usize,
    ) -> Result<Bytes, ProtocolError> {
        let length = self.u32(field)? as usize;
        if length > max {
            return Err(self.bad(field));
        }
        self.take(field, length)
    }

    pub(super) fn text(&mut self, field: &'static str) -> Result<String, ProtocolError> {
        let bytes = self.bytes(field, MAX_SMALL)?;
        String::from_utf8(bytes.into()).map_err(|_| self.bad(field))
    }

    pub(super) fn picture(&mut self) -> Result<Picture, ProtocolError> {
        Ok(Picture {
            codec: match self.u8("codec")? {
                0 => VideoCodec::H264,
                1 => VideoCodec::H265,
                _ => return Err(self.bad("codec")),
            },
            width: self.u32("width")?,
            height: self.u32("height")?,
            pixel_aspect: (self.u32("pixel_aspect")?, self.u32("pixel_aspect")?),
            extra_data: self.bytes("extra_data", MAX_SMALL)?,
        })
    }

    pub(super) fn bad(&self, field: &'static str) -> ProtocolError {
        ProtocolError::Bad {
            kind: self.kind,
            field,
        }
    }
}

#[cfg(test)]
#[path = "protocol_tests.rs"]
mod tests;
