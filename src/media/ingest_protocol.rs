//! What an ingest worker and the daemon say to each other inside [`super::protocol::Message::Ingest`]. Sans-IO.
//!
//! The order, with the password in it, goes through the pipe: command lines and environments can be read by others.

use bytes::{BufMut, Bytes, BytesMut};

use super::ingest::{IngestFault, IngestOrder, IngestUnit, Lower, Medium};
use super::protocol::{Fields, MAX_UNIT, Picture, ProtocolError, cut, put_bytes, put_picture};
use crate::model::TlsPolicy;

/// Longest address, user name or password taken.
const MAX_TEXT: usize = 4096;
/// Longest RTCP packet, AudioSpecificConfig and the like.
const MAX_SMALL: usize = 64 << 10;

/// Sound as the camera sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sound {
    /// AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1).
    Aac(Bytes),
    Alaw,
    Ulaw,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    // Daemon to worker.
    Open(IngestOrder),

    // Worker to daemon.
    /// PLAY was answered.
    Playing,
    /// What the following pictures are.
    Picture(Picture),
    Sound {
        form: Sound,
        clock_rate: u32,
        channels: u16,
    },
    Unit(IngestUnit),
    /// A compound packet of the picture's sender.
    Rtcp(Bytes),
    /// Nothing comes any more.
    Failed(IngestFault),
}

pub(super) fn encode(said: &Said) -> Bytes {
    let mut out = BytesMut::with_capacity(if let Said::Unit(unit) = said {
        unit.data.len() + 64
    } else {
        256
    });
    match said {
        Said::Open(order) => {
            out.put_u8(1);
            put_bytes(&mut out, order.url.as_bytes());
            out.put_u8(u8::from(order.account.is_some()));
            let (user, password) = order.account.as_ref().map_or(("", ""), |(u, p)| (u, p));
            put_bytes(&mut out, user.as_bytes());
            put_bytes(&mut out, password.as_bytes());
            out.put_u8(match order.lower {
                Lower::Tcp => 0,
                Lower::Udp => 1,
                Lower::Http => 2,
                Lower::Multicast => 3,
            });
            put_bytes(
                &mut out,
                order
                    .tls
                    .map(|t| t.to_string())
                    .unwrap_or_default()
                    .as_bytes(),
            );
            out.put_u8(u8::from(order.sound));
            out.put_u8(u8::from(order.keepalive));
            out.put_u32_le(order.reorder_wait_ms);
            out.put_u32_le(order.answer_timeout_ms);
        }
        Said::Playing => out.put_u8(16),
        Said::Picture(picture) => {
            out.put_u8(17);
            put_picture(&mut out, picture);
        }
        Said::Sound {
            form,
            clock_rate,
            channels,
        } => {
            out.put_u8(18);
            let (kind, config) = match form {
                Sound::Aac(config) => (0, config.clone()),
                Sound::Alaw => (1, Bytes::new()),
                Sound::Ulaw => (2, Bytes::new()),
            };
            out.put_u8(kind);
            put_bytes(&mut out, &config);
            out.put_u32_le(*clock_rate);
            out.put_u32_le(u32::from(*channels));
        }
        Said::Unit(unit) => {
            out.put_u8(19);
            out.put_u8(match unit.medium {
                Medium::Picture => 0,
                Medium::Sound => 1,
            });
            out.put_u8(u8::from(unit.key));
            out.put_i64_le(unit.rtp);
            out.put_i64_le(unit.arrived_ns);
            out.put_u32_le(unit.lost);
            put_bytes(&mut out, &unit.data);
        }
        Said::Rtcp(packet) => {
            out.put_u8(20);
            put_bytes(&mut out, packet);
        }
        Said::Failed(fault) => {
            out.put_u8(21);
            let (kind, status, why) = match fault {
                IngestFault::Connect(why) => (0, 0, why.as_str()),
                IngestFault::Status(status) => (1, *status, ""),
                IngestFault::Certificate(why) => (2, 0, why.as_str()),
                IngestFault::NoVideo(offered) => (3, 0, offered.as_str()),
                IngestFault::Ended => (4, 0, ""),
                IngestFault::Silent(why) => (5, 0, why.as_str()),
                IngestFault::Other(why) => (6, 0, why.as_str()),
            };
            out.put_u8(kind);
            out.put_u32_le(u32::from(status));
            put_bytes(&mut out, cut(why));
        }
    }
    out.freeze()
}

pub(super) fn decode(body: Bytes) -> Result<Said, ProtocolError> {
    let mut f = Fields {
        kind: 0,
        rest: body,
    };
    f.kind = f.u8("kind")?;
    let said = match f.kind {
        1 => {
            let url = text(&mut f, "url")?;
            let known = f.flag("account")?;
            let account = (text(&mut f, "user")?, text(&mut f, "password")?);
            Said::Open(IngestOrder {
                url,
                account: known.then_some(account),
                lower: match f.u8("lower")? {
                    0 => Lower::Tcp,
                    1 => Lower::Udp,
                    2 => Lower::Http,
                    3 => Lower::Multicast,
                    _ => return Err(f.bad("lower")),
                },
                tls: match text(&mut f, "tls")?.as_str() {
                    "" => None,
                    policy => Some(policy.parse::<TlsPolicy>().map_err(|_| f.bad("tls"))?),
                },
                sound: f.flag("sound")?,
                keepalive: f.flag("keepalive")?,
                reorder_wait_ms: f.u32("reorder_wait_ms")?,
                answer_timeout_ms: f.u32("answer_timeout_ms")?,
            })
        }
        16 => Said::Playing,
        17 => Said::Picture(f.picture()?),
        18 => {
            let kind = f.u8("form")?;
            let config = f.bytes("config", MAX_SMALL)?;
            Said::Sound {
                form: match kind {
                    0 => Sound::Aac(config),
                    1 => Sound::Alaw,
                    2 => Sound::Ulaw,
                    _ => return Err(f.bad("form")),
                },
                clock_rate: f.u32("clock_rate")?,
                channels: u16::try_from(f.u32("channels")?).map_err(|_| f.bad("channels"))?,
            }
        }
        19 => Said::Unit(IngestUnit {
            medium: match f.u8("medium")? {
                0 => Medium::Picture,
                1 => Medium::Sound,
                _ => return Err(f.bad("medium")),
            },
            key: f.flag("key")?,
            rtp: f.i64("rtp")?,
            arrived_ns: f.i64("arrived_ns")?,
            lost: f.u32("lost")?,
            data: f.bytes("data", MAX_UNIT)?,
        }),
        20 => Said::Rtcp(f.bytes("packet", MAX_SMALL)?),
        21 => {
            let kind = f.u8("fault")?;
            let status = u16::try_from(f.u32("status")?).map_err(|_| f.bad("status"))?;
            let why = f.text("why")?;
            Said::Failed(match kind {
                0 => IngestFault::Connect(why),
                1 => IngestFault::Status(status),
                2 => IngestFault::Certificate(why),
                3 => IngestFault::NoVideo(why),
                4 => IngestFault::Ended,
                5 => IngestFault::Silent(why),
                6 => IngestFault::Other(why),
                _ => return Err(f.bad("fault")),
            })
        }
        other => return Err(ProtocolError::UnknownKind(other)),
    };
    if f.rest.is_empty() {
        Ok(said)
    } else {
        Err(ProtocolError::Long {
            kind: f.kind,
            left: f.rest.len(),
        })
    }
}

fn text(f: &mut Fields, field: &'static str) -> Result<String, ProtocolError> {
    let text = f.text(field)?;
    if text.len() > MAX_TEXT {
        return Err(f.bad(field));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::VideoCodec;

    fn all() -> Vec<Said> {
        let order = IngestOrder {
            url: "rtsph://192.0.2.1/main".into(),
            account: Some(("admin".into(), "p@ss".into())),
            lower: Lower::Http,
            tls: Some(TlsPolicy::Pinned([7; 32])),
            sound: true,
            keepalive: false,
            reorder_wait_ms: 200,
            answer_timeout_ms: 10_000,
        };
        let plain = IngestOrder {
            account: None,
            tls: None,
            ..order.clone()
        };
        let unit = IngestUnit {
            medium: Medium::Picture,
            key: true,
            rtp: -5,
            arrived_ns: 1 << 50,
            lost: 3,
            data: Bytes::from_static(&[0, 0, 0, 1, 0x65]),
        };
        let picture = Picture {
            codec: VideoCodec::H265,
            width: 1920,
            height: 1080,
            pixel_aspect: (1, 1),
            extra_data: Bytes::from_static(&[1, 2]),
        };
        let sound = |form| Said::Sound {
            form,
            clock_rate: 8_000,
            channels: 1,
        };
        let faults = [
            IngestFault::Connect("refused".into()),
            IngestFault::Status(461),
            IngestFault::Certificate("not trusted".into()),
            IngestFault::NoVideo("audio/pcmu".into()),
            IngestFault::Ended,
            IngestFault::Silent("no packet".into()),
            IngestFault::Other("odd".into()),
        ];
        let mut out = vec![
            Said::Open(order),
            Said::Open(plain),
            Said::Playing,
            Said::Picture(picture),
            sound(Sound::Aac(Bytes::from_static(&[0x12, 0x10]))),
            sound(Sound::Alaw),
            sound(Sound::Ulaw),
            Said::Unit(unit),
            Said::Rtcp(Bytes::from_static(&[0x80, 200])),
        ];
        out.extend(faults.map(Said::Failed));
        out
    }

    #[test]
    fn what_is_said_is_heard_and_what_is_cut_is_refused() {
        for said in all() {
            let bytes = encode(&said);
            assert_eq!(decode(bytes.clone()), Ok(said.clone()));
            for end in 0..bytes.len() {
                assert!(decode(bytes.slice(..end)).is_err(), "{said:?} cut at {end}");
            }
            let mut long = bytes.to_vec();
            long.push(0);
            assert!(decode(long.into()).is_err(), "{said:?}");
        }
    }
}
