//! What a camera offers, in our words: which of its media to take, and their parameters as the recorder needs them.

use bytes::Bytes;
use retina::client::Stream;
use retina::codec::{AudioParameters, ParametersRef, VideoParametersCodec};

use super::session::Fault;
use super::{AudioParams, StreamParams};
use crate::model::{FaultKind, VideoCodec};

/// Indices into the camera's media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) video: usize,
    pub(super) audio: Option<usize>,
}

/// The first H.264 or H.265 video, and the first sound that can lie in our files and comes from the camera.
pub(super) fn choose(streams: &[Stream], sdp: &[u8], with_audio: bool) -> Result<Chosen, Fault> {
    let video = streams
        .iter()
        .position(|s| s.media() == "video" && matches!(s.encoding_name(), "h264" | "h265"))
        .ok_or_else(|| no_video(streams))?;
    let sdp = String::from_utf8_lossy(sdp);
    let marked = send_only(&sdp);
    let is_marked = |s: &Stream| {
        let control = s.control().map(url::Url::as_str).unwrap_or_default();
        marked.iter().any(|m| {
            control
                .strip_suffix(m)
                .is_some_and(|base| base.is_empty() || base.ends_with('/'))
        })
    };
    // Some servers mark all they send so; then it says nothing.
    let talk_back = !streams.get(video).is_some_and(is_marked);
    let audio = streams
        .iter()
        .position(|s| with_audio && audio_params(s).is_some() && !(talk_back && is_marked(s)));
    Ok(Chosen { video, audio })
}

/// Control addresses, as they are written, of the media that we would send: the back-channel to a loudspeaker (ONVIF
/// Streaming Specification §5.3). retina does not tell the direction.
fn send_only(sdp: &str) -> Vec<&str> {
    let mut media: Vec<Vec<&str>> = Vec::new();
    for line in sdp.lines().map(str::trim) {
        if line.starts_with("m=") {
            media.push(Vec::new());
        } else if let Some(last) = media.last_mut() {
            last.push(line);
        }
    }
    media
        .iter()
        .filter(|lines| lines.contains(&"a=sendonly"))
        .filter_map(|lines| lines.iter().find_map(|l| l.strip_prefix("a=control:")))
        .collect()
}

fn no_video(streams: &[Stream]) -> Fault {
    let offered: Vec<_> = streams
        .iter()
        .map(|s| format!("{}/{}", s.media(), s.encoding_name()))
        .collect();
    if streams
        .iter()
        .any(|s| matches!(s.media(), "video" | "image"))
    {
        return Fault::new(
            FaultKind::UnsupportedCodec,
            format!(
                "the camera offers {}, and only H.264 and H.265 can be taken; set one of them in the camera and try again",
                offered.join(", ")
            ),
        );
    }
    // Recorders describe a channel so while its camera is away: worth trying again.
    let offered = if offered.is_empty() {
        "nothing".to_owned()
    } else {
        offered.join(", ")
    };
    Fault::new(
        FaultKind::Protocol,
        format!(
            "its description offers {offered} and no video; check the path in the address and that the channel is in use"
        ),
    )
}

/// `None` until the camera has sent its parameter sets.
pub(super) fn video_params(stream: &Stream, audio: Option<AudioParams>) -> Option<StreamParams> {
    let Some(ParametersRef::Video(p)) = stream.parameters() else {
        return None;
    };
    let codec = match p.codec_params() {
        VideoParametersCodec::H264 { .. } => VideoCodec::H264,
        VideoParametersCodec::H265 { .. } => VideoCodec::H265,
        VideoParametersCodec::Jpeg | _ => return None,
    };
    let (width, height) = p.pixel_dimensions();
    Some(StreamParams {
        codec,
        extra_data: Bytes::copy_from_slice(p.extra_data()),
        rfc6381: p.rfc6381_codec().to_owned(),
        width: u16::try_from(width).ok()?,
        height: u16::try_from(height).ok()?,
        pixel_aspect: p.pixel_aspect_ratio().filter(|(w, h)| w != h),
        audio,
    })
}

/// Whether an H.265 access unit in length-prefixed form is an IRAP picture: its first slice's type is in `BLA_W_LP` to
/// `RSV_IRAP_VCL23` (ITU-T H.265 §7.4.2.2). retina 0.4 counts only IDR, and a camera with open GOPs sends one of those at
/// the start and CRA pictures ever after.
pub(super) fn is_irap(mut data: &[u8]) -> bool {
    while let Some((len, rest)) = data.split_first_chunk::<4>() {
        let len = usize::try_from(u32::from_be_bytes(*len)).unwrap_or(usize::MAX);
        let Some((nal, rest)) = rest.split_at_checked(len) else {
            return false;
        };
        match nal.first().map(|header| header >> 1 & 0x3f) {
            // Types below 32 are slices; the first one speaks for the picture.
            Some(slice @ 0..=31) => return (16..=23).contains(&slice),
            Some(_) | None => data = rest,
        }
    }
    false
}

/// `None` for what is not sound, or cannot lie in our files.
pub(super) fn audio_params(stream: &Stream) -> Option<AudioParams> {
    if stream.media() != "audio" {
        return None;
    }
    let Some(ParametersRef::Audio(p)) = stream.parameters() else {
        return None;
    };
    let sample_entry = match stream.encoding_name() {
        "mpeg4-generic" => Bytes::from(p.mp4_sample_entry().build().ok()?),
        "pcma" => g711_sample_entry(*b"alaw", p)?,
        "pcmu" => g711_sample_entry(*b"ulaw", p)?,
        _ => return None,
    };
    Some(AudioParams {
        sample_entry,
        rfc6381: p.rfc6381_codec().map(str::to_owned),
        clock_rate: p.clock_rate(),
        channels: p.channels().get(),
    })
}

/// `AudioSampleEntry` (ISO/IEC 14496-12 §12.2.3) with the QuickTime code for G.711; MP4 registers no other.
fn g711_sample_entry(code: [u8; 4], p: &AudioParameters) -> Option<Bytes> {
    let rate = u16::try_from(p.clock_rate()).ok()?;
    let mut entry = Vec::with_capacity(36);
    entry.extend_from_slice(&36u32.to_be_bytes());
    entry.extend_from_slice(&code);
    entry.extend_from_slice(&[0; 6]);
    // data_reference_index: the file itself.
    entry.extend_from_slice(&1u16.to_be_bytes());
    entry.extend_from_slice(&[0; 8]);
    entry.extend_from_slice(&p.channels().get().to_be_bytes());
    // Size of a decoded sample; players expect 16.
    entry.extend_from_slice(&16u16.to_be_bytes());
    entry.extend_from_slice(&[0; 4]);
    entry.extend_from_slice(&(u32::from(rate) << 16).to_be_bytes());
    Some(Bytes::from(entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(types: &[u8]) -> Vec<u8> {
        types
            .iter()
            .flat_map(|t| [0, 0, 0, 3, t << 1, 1, 0xaa])
            .collect()
    }

    #[test]
    fn the_way_to_a_loudspeaker_is_known_by_its_direction() {
        let sdp = "v=0\r\na=sendonly\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\na=control:t0\r\nm=audio 0 RTP/AVP 0\r\n\
                   a=control:t5\r\na=sendonly \r\nm=audio 0 RTP/AVP 8\r\na=recvonly\r\na=control:t1\r\n";
        assert_eq!(send_only(sdp), ["t5"]);
        assert!(send_only("").is_empty());
    }

    #[test]
    fn the_first_slice_says_whether_decoding_can_begin() {
        // SEI (39) and AUD (35) come before the slices.
        for (types, irap) in [
            (&[19u8][..], true),
            (&[20], true),
            (&[21], true),
            (&[39, 21], true),
            (&[35, 39, 16], true),
            (&[1], false),
            (&[39, 1], false),
            (&[9], false),
            (&[39], false),
            (&[], false),
        ] {
            assert_eq!(is_irap(&unit(types)), irap, "{types:?}");
        }
        assert!(!is_irap(&[0, 0, 0, 9, 21 << 1]), "a length beyond the end");
        assert!(!is_irap(&[0, 0]));
    }
}
