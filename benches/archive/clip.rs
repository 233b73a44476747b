//! The picture that every camera of the bench shows: ten seconds of H.264, 1080p25 at 4 Mbit/s, encoded once by ffmpeg and
//! packetised once (RFC 6184, packetization-mode 1) as RTP interleaved in TCP (RFC 2326 §10.12).

use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;

pub(crate) const FPS: usize = 25;
/// Two seconds, what most cameras are set to.
const GOP: usize = 50;
const SECONDS: usize = 10;
/// Payload of a packet: what cameras send over an Ethernet with its 1500 bytes.
const PAYLOAD: usize = 1400;
/// `$`, channel, length; then the RTP header.
const FRAMING: usize = 4;
const RTP: usize = 12;

/// One access unit in `Clip::bytes`.
pub(crate) struct Frame {
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// Where its packets begin.
    pub(crate) packets: Vec<usize>,
    pub(crate) key: bool,
}

pub(crate) struct Clip {
    pub(crate) bytes: Vec<u8>,
    pub(crate) frames: Vec<Frame>,
    sps: Vec<u8>,
    pps: Vec<u8>,
}

impl Clip {
    /// From the cache, or encoded now.
    pub(crate) fn load(cache: &Path) -> Result<Self, String> {
        let file = cache.join(format!("clip-1080p{FPS}-4M-gop{GOP}-{SECONDS}s.h264"));
        let read =
            |file: &Path| std::fs::read(file).map_err(|e| format!("{}: {e}", file.display()));
        let stream = match read(&file) {
            Ok(stream) => stream,
            Err(_) => {
                encode(&file)?;
                read(&file)?
            }
        };
        Self::packetise(&stream)
    }

    fn packetise(stream: &[u8]) -> Result<Self, String> {
        let mut clip = Self {
            bytes: Vec::with_capacity(stream.len() + stream.len() / 16),
            frames: Vec::new(),
            sps: Vec::new(),
            pps: Vec::new(),
        };
        let mut unit: Vec<&[u8]> = Vec::new();
        for nal in nals(stream) {
            let kind = nal.first().map_or(0, |b| b & 0x1f);
            match kind {
                7 => clip.sps = nal.to_vec(),
                8 => clip.pps = nal.to_vec(),
                _ => {}
            }
            // Access unit delimiters and SEI are left out, as most cameras do.
            if matches!(kind, 1 | 5 | 7 | 8) {
                unit.push(nal);
            }
            if matches!(kind, 1 | 5) {
                clip.frame(&unit, kind == 5);
                unit.clear();
            }
        }
        if clip.sps.is_empty() || clip.pps.is_empty() {
            return Err("ffmpeg made a stream without parameter sets".into());
        }
        if clip.frames.len() != FPS * SECONDS || !clip.frames.first().is_some_and(|f| f.key) {
            return Err(format!(
                "ffmpeg made {} pictures of one slice instead of {}",
                clip.frames.len(),
                FPS * SECONDS
            ));
        }
        Ok(clip)
    }

    fn frame(&mut self, unit: &[&[u8]], key: bool) {
        let from = self.bytes.len();
        let mut packets = Vec::new();
        for (n, nal) in unit.iter().enumerate() {
            let last_nal = n + 1 == unit.len();
            if nal.len() <= PAYLOAD {
                self.packet(&mut packets, last_nal, &[], nal);
                continue;
            }
            // FU-A (RFC 6184 §5.8).
            let Some((header, body)) = nal.split_first() else {
                continue;
            };
            let pieces = body.chunks(PAYLOAD - 2);
            let count = pieces.len();
            for (i, piece) in pieces.enumerate() {
                let (start, end) = (i == 0, i + 1 == count);
                let fu = [
                    header & 0xe0 | 28,
                    header & 0x1f | u8::from(start) << 7 | u8::from(end) << 6,
                ];
                self.packet(&mut packets, last_nal && end, &fu, piece);
            }
        }
        self.frames.push(Frame {
            from,
            to: self.bytes.len(),
            packets,
            key,
        });
    }

    fn packet(&mut self, packets: &mut Vec<usize>, marker: bool, prefix: &[u8], payload: &[u8]) {
        packets.push(self.bytes.len());
        let len = u16::try_from(RTP + prefix.len() + payload.len()).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(b"$\0");
        self.bytes.extend_from_slice(&len.to_be_bytes());
        self.bytes
            .extend_from_slice(&[0x80, 96 | u8::from(marker) << 7]);
        // Sequence number, time stamp and SSRC are each camera's own.
        self.bytes.extend_from_slice(&[0; 10]);
        self.bytes.extend_from_slice(prefix);
        self.bytes.extend_from_slice(payload);
    }

    /// Makes the packets of a frame those of one camera; returns the next sequence number.
    pub(crate) fn stamp(&mut self, frame: usize, mut seq: u16, time: u32, ssrc: u32) -> u16 {
        let Some(frame) = self.frames.get(frame) else {
            return seq;
        };
        for at in &frame.packets {
            let at = at + FRAMING + 2;
            if let Some(fields) = self.bytes.get_mut(at..at + 10) {
                fields[..2].copy_from_slice(&seq.to_be_bytes());
                fields[2..6].copy_from_slice(&time.to_be_bytes());
                fields[6..].copy_from_slice(&ssrc.to_be_bytes());
            }
            seq = seq.wrapping_add(1);
        }
        seq
    }

    /// Session description (RFC 8866) with the parameter sets.
    pub(crate) fn sdp(&self) -> String {
        let base64 = base64::engine::general_purpose::STANDARD;
        let profile = self.sps.get(1..4).map(hex::encode).unwrap_or_default();
        format!(
            "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=bench\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\na=range:npt=0-\r\n\
             m=video 0 RTP/AVP 96\r\nb=AS:4096\r\na=rtpmap:96 H264/90000\r\na=framerate:{FPS}\r\n\
             a=fmtp:96 packetization-mode=1;profile-level-id={profile};sprop-parameter-sets={},{}\r\na=control:trackID=0\r\n",
            base64.encode(&self.sps),
            base64.encode(&self.pps)
        )
    }

    pub(crate) fn kbps(&self) -> usize {
        self.bytes.len() * 8 / 1000 / SECONDS
    }
}

/// NAL units of a byte stream (ITU-T H.264 Annex B).
fn nals(stream: &[u8]) -> Vec<&[u8]> {
    let mut starts: Vec<(usize, usize)> = Vec::new();
    let mut at = 0;
    while let Some(found) = stream.get(at..).and_then(|s| find(s, &[0, 0, 1])) {
        let begin = at + found;
        starts.push((begin, begin + 3));
        at = begin + 3;
    }
    let ends = starts
        .iter()
        .skip(1)
        .map(|(begin, _)| *begin)
        .chain([stream.len()]);
    starts
        .iter()
        .zip(ends)
        .filter_map(|((_, from), to)| {
            let nal = stream.get(*from..to)?;
            // trailing_zero_8bits and the first byte of a four-byte start code.
            let end = nal.iter().rposition(|b| *b != 0)?;
            nal.get(..=end)
        })
        .collect()
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}

/// Noise over a moving picture: it needs its 4 Mbit/s, and key frames are several times as large as the others.
fn encode(file: &Path) -> Result<(), String> {
    let part = file.with_extension("part.h264");
    let size = format!("testsrc2=size=1920x1080:rate={FPS}");
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-y", "-f", "lavfi", "-i", &size])
        .args(["-vf", "noise=alls=6:allf=t", "-t", &SECONDS.to_string()])
        .args(["-c:v", "libx264", "-preset", "veryfast", "-bf", "0"])
        .args(["-pix_fmt", "yuv420p", "-g", &GOP.to_string()])
        .args(["-b:v", "4M", "-maxrate", "4M", "-bufsize", "4M"])
        .args(["-x264-params", "scenecut=0:slices=1:sliced-threads=0"])
        .args(["-f", "h264"])
        .arg(&part)
        .stdin(Stdio::null())
        .status()
        .map_err(|e| format!("ffmpeg cannot be started: {e}; install the Debian package ffmpeg"))?;
    if !status.success() {
        return Err(format!("ffmpeg could not encode the clip ({status})"));
    }
    std::fs::rename(&part, file).map_err(|e| format!("{}: {e}", file.display()))
}
