//! Real video, made by ffmpeg when a test begins, taken apart as the archive would hold it.

use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use zhenbei::model::{StreamParams, VideoCodec};

pub(crate) struct Clip {
    pub(crate) params: StreamParams,
    pub(crate) samples: Vec<Sample>,
}

#[derive(Clone)]
pub(crate) struct Sample {
    pub(crate) data: Bytes,
    pub(crate) key: bool,
    /// 1/90 000 s, in the order of showing.
    pub(crate) pts: i64,
}

impl Clip {
    pub(crate) fn first_key(&self) -> Bytes {
        self.samples.iter().find(|s| s.key).unwrap().data.clone()
    }
}

pub(crate) fn run(program: &str, args: &[&str]) -> Vec<u8> {
    let out = Command::new(program)
        .args(args)
        .output()
        .unwrap_or_else(|e| {
            panic!("{program} cannot be run ({e}); this test needs it: apt-get install ffmpeg")
        });
    assert!(
        out.status.success(),
        "{program} {args:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    out.stdout
}

/// `source` is a lavfi graph; `encode` are the options of the encoder.
pub(crate) fn make(codec: VideoCodec, source: &str, seconds: &str, encode: &[&str]) -> Clip {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("clip.mp4");
    let mut args = vec!["-v", "error", "-f", "lavfi", "-i", source, "-t", seconds];
    match codec {
        VideoCodec::H264 => args.extend(["-c:v", "libx264", "-preset", "ultrafast", "-bf", "0"]),
        VideoCodec::H265 => args.extend([
            "-c:v",
            "libx265",
            "-preset",
            "ultrafast",
            "-tag:v",
            "hvc1",
            "-x265-params",
            "log-level=none:bframes=0:keyint=25:min-keyint=25:scenecut=0:repeat-headers=0",
        ]),
    }
    args.extend([
        "-g",
        "25",
        "-pix_fmt",
        "yuv420p",
        "-video_track_timescale",
        "90000",
    ]);
    args.extend(encode);
    args.push(file.to_str().unwrap());
    run("ffmpeg", &args);
    read(&file, codec)
}

fn read(file: &Path, codec: VideoCodec) -> Clip {
    let (mp4, bytes) = re_mp4::Mp4::read_file(file).unwrap();
    let track = mp4.tracks().values().next().unwrap();
    let samples = track
        .samples
        .iter()
        .map(|s| Sample {
            data: Bytes::copy_from_slice(&bytes[s.byte_range()]),
            key: s.is_sync,
            pts: s.composition_timestamp * 90_000 / i64::try_from(s.timescale).unwrap(),
        })
        .collect();
    let params = StreamParams {
        codec,
        extra_data: track.raw_codec_config(&mp4).unwrap().into(),
        rfc6381: track.codec_string(&mp4).unwrap(),
        width: track.width,
        height: track.height,
        pixel_aspect: None,
        audio: None,
    };
    Clip { params, samples }
}

/// One colour everywhere, `rrggbb`, told as BT.709 in the limited range of television.
pub(crate) fn plain(codec: VideoCodec, colour: &str, size: &str) -> Clip {
    let source = format!(
        "color=0x{colour}:size={size}:rate=25,format=gbrp,scale=out_color_matrix=bt709:out_range=tv,format=yuv420p"
    );
    let told = ["-color_range", "tv", "-colorspace", "bt709"];
    make(codec, &source, "0.2", &told)
}

/// Size, pixel format and mean red, green, blue of a JPEG, as ffmpeg sees it.
pub(crate) fn look_at(jpeg: &[u8]) -> (u32, u32, String, [f64; 3]) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("still.jpg");
    std::fs::write(&file, jpeg).unwrap();
    let path = file.to_str().unwrap();
    let facts = run(
        "ffprobe",
        &[
            "-v",
            "error",
            "-select_streams",
            "v",
            "-show_entries",
            "stream=width,height,pix_fmt,codec_name",
            "-of",
            "default=nw=1:nk=1",
            path,
        ],
    );
    let facts = String::from_utf8(facts).unwrap();
    let facts: Vec<&str> = facts.lines().collect();
    assert_eq!(facts[0], "mjpeg");
    let rgb = run(
        "ffmpeg",
        &[
            "-v", "error", "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-",
        ],
    );
    let mut mean = [0.0; 3];
    for pixel in rgb.chunks_exact(3) {
        for (m, p) in mean.iter_mut().zip(pixel) {
            *m += f64::from(*p);
        }
    }
    let pixels = f64::from(u32::try_from(rgb.len() / 3).unwrap());
    (
        facts[1].parse().unwrap(),
        facts[2].parse().unwrap(),
        facts[3].into(),
        mean.map(|m| m / pixels),
    )
}
