//! Real pictures and sound from ffmpeg, taken apart into the frames a session would deliver.

use std::collections::HashMap;
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;
use zhenbei::model::VideoCodec;
use zhenbei::video::{AudioParams, StreamParams};

pub struct Footage {
    pub params: Arc<StreamParams>,
    /// Presentation time (90 kHz, zero at the start), key, access unit; in decode order.
    pub video: Vec<(i64, bool, Bytes)>,
    /// Presentation time in audio ticks, frame.
    pub audio: Vec<(i64, Bytes)>,
}

/// Encoded once per test run and set of arguments.
pub fn footage(seconds: u32, video: &str, audio: Option<&str>) -> Arc<Footage> {
    static MADE: OnceLock<Mutex<HashMap<String, Arc<Footage>>>> = OnceLock::new();
    let name = format!("{seconds} {video} {audio:?}");
    let mut made = MADE.get_or_init(Mutex::default).lock().unwrap();
    Arc::clone(
        made.entry(name)
            .or_insert_with(|| Arc::new(encode(seconds, video, audio))),
    )
}

/// 25 pictures a second, a key frame each second.
pub fn h264(seconds: u32) -> Arc<Footage> {
    footage(
        seconds,
        "-c:v libx264 -preset ultrafast -g 25 -keyint_min 25 -sc_threshold 0 -bf 0",
        None,
    )
}

pub fn h265(seconds: u32) -> Arc<Footage> {
    footage(
        seconds,
        "-c:v libx265 -preset ultrafast -x265-params keyint=25:min-keyint=25:bframes=0:scenecut=0:log-level=none -tag:v hvc1",
        None,
    )
}

/// Two B pictures between references: decode order is not display order.
pub fn h264_reordered(seconds: u32) -> Arc<Footage> {
    footage(
        seconds,
        "-c:v libx264 -preset veryfast -g 25 -keyint_min 25 -sc_threshold 0 -bf 2 -b_strategy 0",
        None,
    )
}

/// B pictures, and every picture behind a key frame is shown behind it.
pub fn h265_reordered(seconds: u32) -> Arc<Footage> {
    footage(
        seconds,
        "-c:v libx265 -preset ultrafast -x265-params keyint=25:min-keyint=25:bframes=3:b-adapt=0:scenecut=0:open-gop=0:log-level=none -tag:v hvc1",
        None,
    )
}

/// Key frames in the middle are CRA pictures with RASL pictures behind them that are shown before them.
pub fn h265_open_gop(seconds: u32) -> Arc<Footage> {
    footage(
        seconds,
        "-c:v libx265 -preset ultrafast -x265-params keyint=27:min-keyint=27:bframes=3:b-adapt=0:scenecut=0:open-gop=1:log-level=none -tag:v hvc1",
        None,
    )
}

pub fn h265_with_aac(seconds: u32) -> Arc<Footage> {
    footage(
        seconds,
        "-c:v libx265 -preset ultrafast -x265-params keyint=25:min-keyint=25:bframes=2:b-adapt=0:scenecut=0:open-gop=0:log-level=none -tag:v hvc1",
        Some("-c:a aac -ar 48000 -ac 1"),
    )
}

pub fn with_aac(seconds: u32) -> Arc<Footage> {
    footage(
        seconds,
        "-c:v libx264 -preset ultrafast -g 25 -keyint_min 25 -sc_threshold 0 -bf 0",
        Some("-c:a aac -ar 48000 -ac 1"),
    )
}

fn encode(seconds: u32, video: &str, audio: Option<&str>) -> Footage {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("source.mp4");
    let mut c = Command::new("ffmpeg");
    c.args(["-nostdin", "-v", "error", "-f", "lavfi", "-i"]);
    c.arg(format!("testsrc2=size=320x240:rate=25:duration={seconds}"));
    if let Some(audio) = audio {
        c.args(["-f", "lavfi", "-i"])
            .arg(format!("sine=frequency=440:duration={seconds}"));
        c.args(audio.split(' '));
    }
    c.args(video.split(' '))
        .args(["-pix_fmt", "yuv420p", "-video_track_timescale", "90000"])
        .arg(&path);
    let out = c
        .output()
        .expect("ffmpeg is installed: apt-get install ffmpeg");
    assert!(
        out.status.success(),
        "ffmpeg: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    take_apart(&std::fs::read(&path).unwrap())
}

fn take_apart(file: &[u8]) -> Footage {
    let mp4 = re_mp4::Mp4::read_bytes(file).unwrap();
    let tracks: Vec<_> = mp4.tracks().values().collect();
    let video = tracks
        .iter()
        .find(|t| t.kind == Some(re_mp4::TrackKind::Video))
        .unwrap();
    let audio = tracks
        .iter()
        .find(|t| t.kind == Some(re_mp4::TrackKind::Audio));
    let rfc6381 = video.codec_string(&mp4).unwrap();
    let zero = video
        .samples
        .iter()
        .map(|s| s.composition_timestamp)
        .min()
        .unwrap();
    let bytes = |s: &re_mp4::Sample| Bytes::copy_from_slice(&file[s.byte_range()]);
    let params = StreamParams {
        codec: if rfc6381.starts_with("avc1") {
            VideoCodec::H264
        } else {
            VideoCodec::H265
        },
        extra_data: video.raw_codec_config(&mp4).unwrap().into(),
        rfc6381,
        width: video.width,
        height: video.height,
        pixel_aspect: None,
        audio: audio.map(|t| AudioParams {
            sample_entry: sample_entry(file, b"mp4a"),
            rfc6381: Some("mp4a.40.2".into()),
            clock_rate: u32::try_from(t.timescale).unwrap(),
            channels: 1,
        }),
    };
    Footage {
        params: Arc::new(params),
        video: video
            .samples
            .iter()
            .map(|s| (s.composition_timestamp - zero, s.is_sync, bytes(s)))
            .collect(),
        audio: audio.map_or_else(Vec::new, |t| {
            t.samples
                .iter()
                .map(|s| (s.composition_timestamp, bytes(s)))
                .collect()
        }),
    }
}

/// The whole sample entry box of this kind.
fn sample_entry(file: &[u8], kind: &[u8; 4]) -> Bytes {
    let at = file.windows(4).rposition(|w| w == kind).unwrap() - 4;
    let size = u32::from_be_bytes(file[at..at + 4].try_into().unwrap());
    Bytes::copy_from_slice(&file[at..at + usize::try_from(size).unwrap()])
}

/// The same pictures with G.711 A-law sound, 20 ms a frame, as most cameras send it.
pub fn with_g711(seconds: u32) -> Footage {
    let base = h264(seconds);
    let mut entry = Vec::new();
    entry.extend(36u32.to_be_bytes());
    entry.extend(b"alaw\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0");
    entry.extend([0, 1, 0, 16, 0, 0, 0, 0]);
    entry.extend((8_000u32 << 16).to_be_bytes());
    let mut params = (*base.params).clone();
    params.audio = Some(AudioParams {
        sample_entry: entry.into(),
        rfc6381: None,
        clock_rate: 8_000,
        channels: 1,
    });
    Footage {
        params: Arc::new(params),
        video: base.video.clone(),
        audio: (0..i64::from(seconds) * 50)
            .map(|i| (i * 160, Bytes::from(vec![0xd5u8; 160])))
            .collect(),
    }
}
