//! Pictures and sound as RTP in interleaved frames, the way a device sends them: RFC 6184, RFC 7798, RFC 3551, and what is
//! against them.

use std::sync::Arc;

use zhenbei::model::VideoCodec;

use crate::camera_test::nals;
use crate::exchange::Manner;
use crate::footage::Footage;

/// No packet is longer.
const LONGEST: usize = 1_200;
const START_CODE: [u8; 4] = [0, 0, 0, 1];
/// Ticks of 90 kHz from picture to picture.
pub const STEP: u32 = 3_600;
/// "user data unregistered" of 17 bytes (ITU-T H.264 §D.1.6).
const SEI: &[u8] = b"\x06\x05\x11zhenbei--fixture!\x80";

/// The parameter sets of an avcC or hvcC record (ISO/IEC 14496-15).
pub fn parameter_sets(footage: &Footage) -> Vec<Vec<u8>> {
    let record = &footage.params.extra_data[..];
    let mut sets = Vec::new();
    let mut take = |at: &mut usize| {
        let len = usize::from(u16::from_be_bytes([record[*at], record[*at + 1]]));
        sets.push(record[*at + 2..*at + 2 + len].to_vec());
        *at += 2 + len;
    };
    match footage.params.codec {
        VideoCodec::H264 => {
            let mut at = 6;
            for _ in 0..record[5] & 0x1f {
                take(&mut at);
            }
            let pictures = record[at];
            at += 1;
            for _ in 0..pictures {
                take(&mut at);
            }
        }
        VideoCodec::H265 => {
            let mut at = 23;
            for _ in 0..record[22] {
                let count = u16::from_be_bytes([record[at + 1], record[at + 2]]);
                at += 3;
                for _ in 0..count {
                    take(&mut at);
                }
            }
        }
    }
    // x265 writes its settings into an SEI of the record; a device does not.
    sets.retain(|s| match footage.params.codec {
        VideoCodec::H264 => matches!(s[0] & 0x1f, 7 | 8),
        VideoCodec::H265 => matches!(s[0] >> 1 & 0x3f, 32..=34),
    });
    sets
}

pub fn interleaved(channel: u8, data: &[u8]) -> Vec<u8> {
    let mut out = vec![b'$', channel];
    out.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
    out.extend(data);
    out
}

fn byte(n: u32) -> u8 {
    u8::try_from(n).unwrap()
}

/// One RTP stream.
struct Rtp {
    channel: u8,
    payload_type: u8,
    seq: u16,
    ssrc: u32,
    out: Vec<u8>,
}

impl Rtp {
    fn new(manner: &Manner, payload_type: u32) -> Self {
        Self {
            channel: byte(manner.number("channel", 0)),
            payload_type: byte(manner.number("pt", payload_type)),
            seq: u16::try_from(manner.number("seq", 7_000)).unwrap(),
            ssrc: manner.number("ssrc", 0xcafe_0000),
            out: Vec::new(),
        }
    }

    fn packet(&mut self, timestamp: u32, marker: bool, payload: &[u8]) {
        let mut packet = vec![0x80, self.payload_type | u8::from(marker) << 7];
        packet.extend(self.seq.to_be_bytes());
        packet.extend(timestamp.to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        packet.extend(payload);
        self.seq = self.seq.wrapping_add(1);
        self.out.extend(interleaved(self.channel, &packet));
    }
}

/// Where the pictures of a device come from, and how they are sent.
pub struct Pictures {
    manner: Manner,
    rtp: Rtp,
    footage: Arc<Footage>,
    sets: Vec<Vec<u8>>,
    base: u32,
}

impl Pictures {
    pub fn new(manner: &Manner, footage: Arc<Footage>) -> Self {
        Self {
            manner: manner.clone(),
            rtp: Rtp::new(manner, 96),
            sets: parameter_sets(&footage),
            footage,
            base: manner.number("timestamp", 3_000_000_000),
        }
    }

    /// The `n`-th picture of the session, over and over the same footage.
    pub fn next(&mut self, n: u32) -> Vec<u8> {
        let at = self.base.wrapping_add(n.wrapping_mul(STEP));
        let (pt, after) = (
            self.manner.number("turn-pt", 0),
            self.manner.number("turn-after", 0),
        );
        if pt > 0 && n >= after {
            self.rtp.payload_type = byte(pt);
        }
        let count = self.footage.video.len();
        let (_, key, unit) = self.footage.video[usize::try_from(n).unwrap() % count].clone();
        let mut parts: Vec<Vec<u8>> = nals(&unit).into_iter().map(<[u8]>::to_vec).collect();
        if self.manner.word("sei", "none") == "each" {
            parts.insert(0, SEI.to_vec());
        }
        if key {
            self.with_sets(&mut parts, at);
        }
        let last = parts.len() - 1;
        for (index, nal) in parts.iter().enumerate() {
            let is_sei = self.footage.params.codec == VideoCodec::H264 && nal[0] & 0x1f == 6;
            let marker = match self.manner.word("marker", "last").as_str() {
                "last" => index == last,
                "never" => false,
                "each" => true,
                "sei" => index == last || is_sei,
                other => panic!("marker={other}"),
            };
            self.nal(at, marker, nal);
        }
        std::mem::take(&mut self.rtp.out)
    }

    fn with_sets(&mut self, parts: &mut Vec<Vec<u8>>, at: u32) {
        match self.manner.word("sets", "none").as_str() {
            "none" => {}
            "inband" => {
                parts.splice(0..0, self.sets.clone());
            }
            // As one piece with the picture, with start codes between.
            "annexb" => {
                let mut all = self.sets.clone();
                all.append(parts);
                parts.push(all.join(&START_CODE[..]));
            }
            // With the time stamp of the picture before, the first one marked as if it were a picture.
            "late" => {
                for (i, set) in self.sets.clone().iter().enumerate() {
                    self.nal(at.wrapping_sub(STEP), i == 0, set);
                }
            }
            other => panic!("sets={other}"),
        }
    }

    fn nal(&mut self, at: u32, marker: bool, nal: &[u8]) {
        if self.manner.word("start-code", "none") == "each" && nal.len() + 4 <= LONGEST {
            return self
                .rtp
                .packet(at, marker, &[&START_CODE[..], nal].concat());
        }
        if nal.len() <= LONGEST && self.manner.word("fragment", "long") != "all" {
            return self.rtp.packet(at, marker, nal);
        }
        let (head, body) = match self.footage.params.codec {
            VideoCodec::H264 => nal.split_at(1),
            VideoCodec::H265 => nal.split_at(2),
        };
        let pieces: Vec<&[u8]> = body.chunks(LONGEST).collect();
        for (i, piece) in pieces.iter().enumerate() {
            let (first, end) = (i == 0, i + 1 == pieces.len());
            let flags = u8::from(first) << 7 | u8::from(end) << 6;
            let mut payload = match self.footage.params.codec {
                // FU-A (RFC 6184 §5.8).
                VideoCodec::H264 => vec![head[0] & 0xe0 | 28, flags | head[0] & 0x1f],
                // Fragmentation unit (RFC 7798 §4.4.3).
                VideoCodec::H265 => {
                    vec![
                        head[0] & 0x81 | 49 << 1,
                        head[1],
                        flags | head[0] >> 1 & 0x3f,
                    ]
                }
            };
            payload.extend(*piece);
            self.rtp.packet(at, marker && end, &payload);
        }
    }
}

/// Everything else a device sends beside its pictures, each tick.
pub struct Beside {
    manner: Manner,
    rtp: Rtp,
}

impl Beside {
    pub fn new(manner: &Manner) -> Self {
        Self {
            rtp: Rtp::new(manner, 8),
            manner: manner.clone(),
        }
    }

    /// What comes with the `n`-th picture.
    pub fn next(&mut self, n: u32) -> Vec<u8> {
        match self.manner.kind.as_str() {
            // 20 ms of silence in G.711 A-law, twice.
            "sound" => {
                for half in 0..2 {
                    let at = n.wrapping_mul(320).wrapping_add(half * 160);
                    self.rtp.packet(at, n == 0, &[0xd5; 160]);
                }
            }
            // Packets that are none of the pictures', on whatever channel and of whatever type.
            "stray" => {
                let at = n.wrapping_mul(STEP);
                self.rtp.packet(at, false, b"\x00\x01stray");
            }
            "report" => {
                let timestamp = self.manner.number("timestamp", 3_000_000_000);
                let report = report(self.rtp.ssrc, timestamp.wrapping_add(n.wrapping_mul(STEP)));
                self.rtp.out = interleaved(self.rtp.channel, &report);
            }
            other => panic!("`{other}` is nothing that can be sent"),
        }
        std::mem::take(&mut self.rtp.out)
    }
}

/// A sender report (RFC 3550 §6.4.1) of a camera that has no clock.
fn report(ssrc: u32, timestamp: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 200, 0, 6];
    packet.extend(ssrc.to_be_bytes());
    packet.extend([0; 8]);
    packet.extend(timestamp.to_be_bytes());
    packet.extend([0; 8]);
    packet
}
