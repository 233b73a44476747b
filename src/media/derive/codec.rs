//! FFmpeg for what is made of a clip: samples to pictures, pictures to samples. Single-threaded and with written-down
//! settings, so that the same clip gives the same result.

use std::ops::Range;

use ffmpeg_next as ff;
use ffmpeg_next::codec::Id;
use ffmpeg_next::frame::Video;
use ffmpeg_next::picture;

use super::movie::{Entry, Movie};
use super::nal;
use crate::media::h26x::{self, Sei};
use crate::media::native;
use crate::model::VideoCodec;

/// As for stills: 8192 x 8192.
const MAX_PIXELS: u32 = 64 << 20;

/// What to do with pictures that the decoder had to patch, because parts of them were lost on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Damage {
    /// What becomes evidence must not show what no camera saw.
    Refuse,
    /// For looking only.
    Show,
}

/// What became of a run of samples.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Decoded {
    pub(super) pictures: u64,
    pub(super) damaged: u64,
}

/// Decodes samples of a clip and hands over every picture with its time, in the order of showing. `false` ends it.
pub(super) fn decode(
    movie: &Movie,
    run: Range<usize>,
    damage: Damage,
    mut each: impl FnMut(Video) -> Result<bool, String>,
) -> Result<Decoded, String> {
    let samples = movie.video.samples.get(run).unwrap_or_default();
    let Some(first) = samples.first() else {
        return Ok(Decoded::default());
    };
    let codec = movie
        .video
        .entries
        .get(usize::from(first.entry))
        .map_or(VideoCodec::H264, |e| e.codec);
    let mut decoder = open_decoder(codec, damage)?;
    let mut done = Decoded::default();
    let mut entry = None;
    let at = |pts: i64| seconds(pts, movie.video.timescale);
    for sample in samples {
        let of = movie.video.entries.get(usize::from(sample.entry));
        let mut stream = Vec::with_capacity(usize::try_from(sample.size).unwrap_or(0) + 256);
        if entry != Some(sample.entry) {
            let record = of.map(|e| e.record.as_slice()).unwrap_or_default();
            stream = h26x::parameter_sets(codec, record).map_err(|e| e.to_string())?;
            entry = Some(sample.entry);
        }
        h26x::append_unit(codec, &movie.read(sample)?, Sei::LeaveOut, &mut stream)
            .map_err(|e| format!("the picture at {}: {e}", at(sample.pts)))?;
        let mut packet = ff::Packet::copy(&stream);
        packet.set_pts(Some(sample.pts));
        match decoder.send_packet(&packet) {
            Ok(()) => {}
            Err(_) if damage == Damage::Show => done.damaged += 1,
            Err(e) => return Err(damaged(at(sample.pts), &e.to_string())),
        }
        if !take(&mut decoder, damage, &at, &mut done, &mut each)? {
            return Ok(done);
        }
    }
    decoder
        .send_eof()
        .map_err(|e| format!("the decoder does not end: {e}"))?;
    take(&mut decoder, damage, &at, &mut done, &mut each)?;
    Ok(done)
}

fn take(
    decoder: &mut ff::decoder::Video,
    damage: Damage,
    at: &impl Fn(i64) -> String,
    done: &mut Decoded,
    each: &mut impl FnMut(Video) -> Result<bool, String>,
) -> Result<bool, String> {
    loop {
        let mut picture = Video::empty();
        match decoder.receive_frame(&mut picture) {
            Ok(()) => {}
            Err(ff::Error::Other { .. } | ff::Error::Eof) => return Ok(true),
            Err(_) if damage == Damage::Show => {
                done.damaged += 1;
                return Ok(true);
            }
            Err(e) => return Err(format!("decoding failed: {e}")),
        }
        done.pictures += 1;
        if native::is_damaged(&picture) {
            done.damaged += 1;
            if damage == Damage::Refuse {
                return Err(damaged(
                    at(picture.pts().unwrap_or(0)),
                    "it was patched by the decoder",
                ));
            }
        }
        if !each(picture)? {
            return Ok(false);
        }
    }
}

fn damaged(at: String, why: &str) -> String {
    format!(
        "the recording is damaged at {at} of the clip ({why}); begin the cut at a key picture behind it, or end it before"
    )
}

/// Seconds from the start of the clip, for people.
pub(super) fn seconds(ticks: i64, timescale: u32) -> String {
    let ms = i128::from(ticks) * 1_000 / i128::from(timescale.max(1));
    format!("{}.{:03} s", ms / 1_000, (ms % 1_000).abs())
}

fn open_decoder(codec: VideoCodec, damage: Damage) -> Result<ff::decoder::Video, String> {
    let name = codec.as_str();
    let id = match codec {
        VideoCodec::H264 => Id::H264,
        VideoCodec::H265 => Id::HEVC,
    };
    let found = ff::decoder::find(id).ok_or_else(|| {
        format!("FFmpeg has no decoder for {name} on this machine: apt-get install libavcodec59")
    })?;
    let mut options = ff::Dictionary::new();
    options.set("threads", "1");
    options.set("max_pixels", &MAX_PIXELS.to_string());
    // Holds as many pictures back as the stream may reorder, instead of learning it by losing some.
    options.set("strict", "1");
    if damage == Damage::Refuse {
        options.set("err_detect", "explode");
    }
    ff::codec::Context::new_with_codec(found)
        .decoder()
        .open_as_with(found, options)
        .and_then(ff::decoder::Opened::video)
        .map_err(|e| format!("the {name} decoder does not start: {e}"))
}

/// An encoded picture with 4-byte lengths.
pub(super) struct Unit {
    /// The parameter sets that came with it.
    pub(super) sets: Vec<u8>,
    pub(super) data: Vec<u8>,
    pub(super) pts: i64,
    pub(super) key: bool,
}

/// How to encode; all of it is written into the recipe.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) codec: VideoCodec,
    /// FFmpeg options of the encoder, in this order.
    pub(super) options: Vec<(&'static str, String)>,
    pub(super) gop: u32,
}

impl Settings {
    /// Hardly to be told from the original, and of the same profile: for the seams of a cut.
    pub(super) fn seam(entry: &Entry, id: u32) -> Self {
        let options = match entry.codec {
            VideoCodec::H264 => {
                let profile = nal::AvcRecord::parse(&entry.record).map_or(100, |r| r.profile);
                let mut options = vec![("preset", "medium".to_owned()), ("crf", "14".into())];
                match profile {
                    66 => options.push(("profile", "baseline".into())),
                    77 => options.push(("profile", "main".into())),
                    100 => options.push(("profile", "high".into())),
                    // The encoder takes what the pictures need.
                    _ => {}
                }
                options.push(("x264-params", format!("bframes=0:scenecut=0:sps-id={id}")));
                options
            }
            VideoCodec::H265 => vec![
                ("preset", "fast".to_owned()),
                ("crf", "14".into()),
                (
                    "x265-params",
                    "bframes=0:scenecut=0:repeat-headers=1:pools=none:frame-threads=1:log-level=none:info=0:open-gop=0:keyint=250".into(),
                ),
            ],
        };
        Self {
            codec: entry.codec,
            options,
            gop: 250,
        }
    }

    /// Small enough for a slow line; plays everywhere.
    pub(super) fn low(bits_per_second: u32, gop: u32) -> Self {
        Self {
            codec: VideoCodec::H264,
            options: vec![
                ("preset", "veryfast".into()),
                ("profile", "main".into()),
                ("b", bits_per_second.to_string()),
                ("maxrate", (bits_per_second / 4 * 5).to_string()),
                ("bufsize", (bits_per_second * 2).to_string()),
                ("x264-params", "bframes=0".into()),
            ],
            gop,
        }
    }

    pub(super) const fn encoder(&self) -> &'static str {
        match self.codec {
            VideoCodec::H264 => "libx264",
            VideoCodec::H265 => "libx265",
        }
    }

    pub(super) fn words(&self) -> String {
        let options = self
            .options
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let all: Vec<String> = options
            .chain([format!("g={}", self.gop), "threads=1".into()])
            .collect();
        all.join(" ")
    }
}

pub(super) struct Encoder {
    inner: ff::encoder::video::Encoder,
    codec: VideoCodec,
    /// All parameter sets so far.
    pub(super) sets: Vec<Vec<u8>>,
}

impl Encoder {
    /// For pictures like this one. `ticks` a second; `rate` is about how many pictures a second come.
    pub(super) fn open(
        settings: &Settings,
        like: &Video,
        aspect: (u32, u32),
        ticks: u32,
        rate: (i32, i32),
    ) -> Result<Self, String> {
        let name = settings.encoder();
        let found = ff::encoder::find_by_name(name).ok_or_else(|| {
            format!("FFmpeg has no {name} on this machine: apt-get install libavcodec59 (or libavcodec-extra59)")
        })?;
        let failed = |e: ff::Error| {
            format!(
                "{name} does not take pictures of {}x{} in {:?}: {e}",
                like.width(),
                like.height(),
                like.format()
            )
        };
        let mut encoder = ff::codec::Context::new_with_codec(found)
            .encoder()
            .video()
            .map_err(failed)?;
        encoder.set_width(like.width());
        encoder.set_height(like.height());
        encoder.set_format(like.format());
        encoder.set_time_base((1, i32::try_from(ticks).unwrap_or(90_000)));
        encoder.set_frame_rate(Some(rate));
        encoder.set_gop(settings.gop);
        encoder.set_max_b_frames(0);
        let side = |n: u32| i32::try_from(n).unwrap_or(1);
        encoder.set_aspect_ratio((side(aspect.0), side(aspect.1)));
        encoder.set_color_range(like.color_range());
        encoder.set_colorspace(like.color_space());
        encoder.set_color_primaries(like.color_primaries());
        encoder.set_color_transfer_characteristic(like.color_transfer_characteristic());
        let mut options = ff::Dictionary::new();
        options.set("threads", "1");
        for (key, value) in &settings.options {
            options.set(key, value);
        }
        Ok(Self {
            inner: encoder.open_as_with(found, options).map_err(failed)?,
            codec: settings.codec,
            sets: Vec::new(),
        })
    }

    pub(super) fn push(
        &mut self,
        picture: &mut Video,
        mut each: impl FnMut(Unit) -> Result<(), String>,
    ) -> Result<(), String> {
        // The decoder's choice of kinds is none of the encoder's business.
        picture.set_kind(picture::Type::None);
        self.inner
            .send_frame(picture)
            .map_err(|e| format!("encoding failed: {e}"))?;
        self.take(&mut each)
    }

    pub(super) fn finish(
        &mut self,
        mut each: impl FnMut(Unit) -> Result<(), String>,
    ) -> Result<(), String> {
        self.inner
            .send_eof()
            .map_err(|e| format!("encoding failed: {e}"))?;
        self.take(&mut each)
    }

    fn take(&mut self, each: &mut impl FnMut(Unit) -> Result<(), String>) -> Result<(), String> {
        let mut packet = ff::Packet::empty();
        while self.inner.receive_packet(&mut packet).is_ok() {
            let (mut sets, mut data) = (Vec::new(), Vec::with_capacity(packet.size()));
            for unit in nal::units_of_stream(packet.data().unwrap_or_default()) {
                if nal::is_parameter_set(self.codec, unit) {
                    nal::put_unit(&mut sets, unit);
                    if !self.sets.iter().any(|s| s == unit) {
                        self.sets.push(unit.to_vec());
                    }
                } else if !nal::is_delimiter(self.codec, unit) {
                    nal::put_unit(&mut data, unit);
                }
            }
            each(Unit {
                sets,
                data,
                pts: packet
                    .pts()
                    .ok_or("the encoder gave a picture without a time")?,
                key: packet.is_key(),
            })?;
        }
        Ok(())
    }
}

/// Library and version, for the recipe.
pub(super) fn library() -> String {
    let v = ff::codec::version();
    format!("libavcodec {}.{}.{}", v >> 16, v >> 8 & 0xff, v & 0xff)
}
