//! In a worker: one key frame in, one JPEG out. The same bytes in give the same bytes out.

use ffmpeg_next as ff;
use ffmpeg_next::codec::{Flags, Id};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame::Video;
use ffmpeg_next::software::scaling;

use super::h26x::{self, Sei};
use super::native::{self, Colours, Matrix};
use super::protocol::Picture;
use crate::model::VideoCodec;

/// 8192 x 8192: above every camera, and a picture of it stays below the worker's memory limit.
const MAX_PIXELS: u32 = 64 << 20;
/// JPEG quantiser 2 of 31: visually without loss, at about a tenth of the raw size.
const QUANTISER: &str = "2";

/// Decodes `unit` and encodes what it shows, with square pixels, at most `max_width` wide (0: no limit).
///
/// A picture that the decoder had to patch is refused: a still may become evidence, and must not show what no camera saw.
pub(crate) fn jpeg(picture: &Picture, unit: &[u8], max_width: u32) -> Result<Vec<u8>, String> {
    let decoded = decode(picture, unit)?;
    let (width, height) = shown_size(&decoded, picture.pixel_aspect, max_width);
    let scaled = scale(&decoded, width, height).map_err(|e| format!("scaling failed: {e}"))?;
    encode(&scaled).map_err(|e| format!("encoding the JPEG failed: {e}"))
}

fn decode(picture: &Picture, unit: &[u8]) -> Result<Video, String> {
    let name = picture.codec.as_str();
    let mut stream =
        h26x::parameter_sets(picture.codec, &picture.extra_data).map_err(|e| e.to_string())?;
    h26x::append_unit(picture.codec, unit, Sei::LeaveOut, &mut stream)
        .map_err(|e| e.to_string())?;

    let id = match picture.codec {
        VideoCodec::H264 => Id::H264,
        VideoCodec::H265 => Id::HEVC,
    };
    let codec = ff::decoder::find(id).ok_or_else(|| {
        format!("FFmpeg has no decoder for {name} on this machine: apt-get install libavcodec59")
    })?;
    let mut options = ff::Dictionary::new();
    // Frame threads would only add memory: there is one frame.
    options.set("threads", "1");
    // Without it a H.265 picture with a lost end comes out half grey and says nothing.
    options.set("err_detect", "explode");
    options.set("max_pixels", &MAX_PIXELS.to_string());
    let mut decoder = ff::codec::Context::new_with_codec(codec)
        .decoder()
        .open_as_with(codec, options)
        .and_then(ff::decoder::Opened::video)
        .map_err(|e| format!("the {name} decoder does not start: {e}"))?;

    let refused = |e: ff::Error| format!("the {name} decoder refused the key frame: {e}");
    decoder
        .send_packet(&ff::Packet::copy(&stream))
        .map_err(refused)?;
    decoder.send_eof().map_err(refused)?;
    let mut decoded = Video::empty();
    decoder.receive_frame(&mut decoded).map_err(|_| {
        format!("the {name} decoder found no picture in the access unit; is it a key frame?")
    })?;
    if native::is_damaged(&decoded) {
        return Err(format!(
            "the {name} key frame is damaged: parts of it were lost on the way"
        ));
    }
    Ok(decoded)
}

/// Square pixels, never enlarged beyond what making them square needs.
pub(super) fn shown_size(decoded: &Video, announced: (u32, u32), max_width: u32) -> (u32, u32) {
    let (w, h) = (u64::from(decoded.width()), u64::from(decoded.height()));
    let in_picture = decoded.aspect_ratio();
    let (num, den) = match (
        u32::try_from(in_picture.numerator()),
        u32::try_from(in_picture.denominator()),
    ) {
        (Ok(n), Ok(d)) if n > 0 && d > 0 => (n, d),
        _ => announced,
    };
    // Beyond 1:8 it is nonsense in the stream, not a lens.
    let sane = num > 0 && den > 0 && num.max(den) <= num.min(den).saturating_mul(8);
    let (num, den) = if sane {
        (u64::from(num), u64::from(den))
    } else {
        (1, 1)
    };
    let mut wide = (w * num / den).max(1);
    let mut high = h.max(1);
    let limit = if max_width == 0 {
        8192
    } else {
        u64::from(max_width.clamp(16, 8192))
    };
    if wide > limit {
        high = ((high * limit + wide / 2) / wide).max(1);
        wide = limit;
    }
    (
        u32::try_from(wide).unwrap_or(8192),
        u32::try_from(high).unwrap_or(8192),
    )
}

pub(super) fn scale(decoded: &Video, width: u32, height: u32) -> Result<Video, ff::Error> {
    let mut scaler = scaling::Context::get(
        decoded.format(),
        decoded.width(),
        decoded.height(),
        Pixel::YUVJ420P,
        width,
        height,
        scaling::Flags::BICUBIC | scaling::Flags::ACCURATE_RND | scaling::Flags::FULL_CHR_H_INP,
    )?;
    // JFIF 1.02: BT.601, full range; whatever the camera uses.
    let jfif = Colours {
        matrix: Matrix::Bt601,
        full_range: true,
    };
    // Refused only for grey and RGB pictures, where there is nothing to tell.
    let _told = native::set_colours(&mut scaler, colours_of(decoded), jfif);
    let mut out = Video::empty();
    scaler.run(decoded, &mut out)?;
    Ok(out)
}

pub(super) fn colours_of(decoded: &Video) -> Colours {
    use ff::color::{Range, Space};
    let said = decoded.color_space();
    let matrix = if said == Space::BT709 {
        Matrix::Bt709
    } else if matches!(said, Space::BT2020NCL | Space::BT2020CL) {
        Matrix::Bt2020
    } else if matches!(said, Space::BT470BG | Space::SMPTE170M | Space::FCC) {
        Matrix::Bt601
    } else if decoded.height() >= 720 {
        // Cameras that say nothing: as browsers guess, so that the still looks like the live picture.
        Matrix::Bt709
    } else {
        Matrix::Bt601
    };
    let full_range = decoded.color_range() == Range::JPEG
        || matches!(
            decoded.format(),
            Pixel::YUVJ420P | Pixel::YUVJ422P | Pixel::YUVJ444P | Pixel::YUVJ440P
        );
    Colours { matrix, full_range }
}

pub(super) fn encode(picture: &Video) -> Result<Vec<u8>, ff::Error> {
    let codec = ff::encoder::find(Id::MJPEG).ok_or(ff::Error::EncoderNotFound)?;
    let mut encoder = ff::codec::Context::new_with_codec(codec)
        .encoder()
        .video()?;
    encoder.set_width(picture.width());
    encoder.set_height(picture.height());
    encoder.set_format(Pixel::YUVJ420P);
    encoder.set_time_base((1, 25));
    // No version of the library in the file: the same picture gives the same bytes.
    encoder.set_flags(Flags::BITEXACT);
    let mut options = ff::Dictionary::new();
    options.set("threads", "1");
    options.set("qmin", QUANTISER);
    options.set("qmax", QUANTISER);
    let mut encoder = encoder.open_as_with(codec, options)?;
    encoder.send_frame(picture)?;
    encoder.send_eof()?;
    let mut packet = ff::Packet::empty();
    encoder.receive_packet(&mut packet)?;
    packet
        .data()
        .map(<[u8]>::to_vec)
        .ok_or(ff::Error::InvalidData)
}
