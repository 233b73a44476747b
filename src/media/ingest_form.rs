//! What a camera sends, in the words of the recorder: codec strings, sample entries, access units without parameter sets.

use bytes::Bytes;

use super::ingest_protocol::Sound;
use super::protocol::Picture;
use crate::model::{AudioParams, StreamParams, VideoCodec};

/// `None` when a size or record is not one that our files can hold.
pub(super) fn stream_params(picture: &Picture, audio: Option<AudioParams>) -> Option<StreamParams> {
    let (w, h) = picture.pixel_aspect;
    Some(StreamParams {
        codec: picture.codec,
        rfc6381: match picture.codec {
            VideoCodec::H264 => avc1(&picture.extra_data)?,
            VideoCodec::H265 => hvc1(&picture.extra_data)?,
        },
        extra_data: picture.extra_data.clone(),
        width: u16::try_from(picture.width).ok()?,
        height: u16::try_from(picture.height).ok()?,
        pixel_aspect: (w != h && w > 0 && h > 0).then_some((w, h)),
        audio,
    })
}

/// RFC 6381 §3.3 from `avcC`.
fn avc1(record: &[u8]) -> Option<String> {
    let [_, profile, compatible, level] = record.first_chunk::<4>()?;
    Some(format!("avc1.{profile:02x}{compatible:02x}{level:02x}"))
}

/// ISO/IEC 14496-15 Annex E.3 from `hvcC`.
fn hvc1(record: &[u8]) -> Option<String> {
    let [_, general, c0, c1, c2, c3, constraints @ .., level] = record.first_chunk::<13>()?;
    let space = ["", "A", "B", "C"].get(usize::from(general >> 6))?;
    let tier = if general & 0x20 == 0 { 'L' } else { 'H' };
    let compatible = u32::from_be_bytes([*c0, *c1, *c2, *c3]).reverse_bits();
    let mut out = format!(
        "hvc1.{space}{}.{compatible:X}.{tier}{level}",
        general & 0x1f
    );
    // Trailing zero bytes are left out.
    let used = constraints
        .iter()
        .rposition(|b| *b != 0)
        .map_or(0, |n| n + 1);
    for byte in constraints.get(..used).unwrap_or_default() {
        out.push_str(&format!(".{byte:X}"));
    }
    Some(out)
}

/// `None` for what cannot lie in our files.
pub(super) fn audio_params(form: &Sound, clock_rate: u32, channels: u16) -> Option<AudioParams> {
    let rate = u16::try_from(clock_rate).unwrap_or(0);
    if channels == 0 || clock_rate == 0 {
        return None;
    }
    let (code, config, rfc6381) = match form {
        Sound::Alaw => (b"alaw", Vec::new(), None),
        Sound::Ulaw => (b"ulaw", Vec::new(), None),
        Sound::Aac(config) => {
            let object = config.first()? >> 3;
            (b"mp4a", esds(config)?, Some(format!("mp4a.40.{object}")))
        }
    };
    // AudioSampleEntry (ISO/IEC 14496-12 §12.2.3); the codes for G.711 are QuickTime's.
    let mut entry = vec![0; 4];
    entry.extend_from_slice(code);
    entry.extend_from_slice(&[0; 6]);
    // data_reference_index: the file itself.
    entry.extend_from_slice(&1u16.to_be_bytes());
    entry.extend_from_slice(&[0; 8]);
    entry.extend_from_slice(&channels.to_be_bytes());
    entry.extend_from_slice(&16u16.to_be_bytes());
    entry.extend_from_slice(&[0; 4]);
    entry.extend_from_slice(&(u32::from(rate) << 16).to_be_bytes());
    entry.extend_from_slice(&config);
    let size = u32::try_from(entry.len()).ok()?.to_be_bytes();
    entry.get_mut(..4)?.copy_from_slice(&size);
    Some(AudioParams {
        sample_entry: Bytes::from(entry),
        rfc6381,
        clock_rate,
        channels,
    })
}

/// Elementary stream descriptor box (ISO/IEC 14496-14 §5.6, 14496-1 §7.2.6): AAC with its configuration.
fn esds(config: &[u8]) -> Option<Vec<u8>> {
    let n = u8::try_from(config.len()).ok().filter(|n| *n < 100)?;
    let mut out = Vec::with_capacity(64);
    out.extend_from_slice(&(12 + 5 + 15 + 2 + u32::from(n) + 3).to_be_bytes());
    out.extend_from_slice(b"esds\0\0\0\0");
    // ES_Descriptor: no id, no flags.
    out.extend_from_slice(&[3, 3 + 15 + 2 + n + 3, 0, 0, 0]);
    // DecoderConfigDescriptor: MPEG-4 audio, an audio stream; buffer and bit rates are not known.
    out.extend_from_slice(&[4, 13 + 2 + n, 0x40, 0x15, 0, 0, 0]);
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&[5, n]);
    out.extend_from_slice(config);
    // SLConfigDescriptor: as MP4 files have it.
    out.extend_from_slice(&[6, 1, 2]);
    Some(out)
}

/// Parameter sets belong into the sample entry; an access unit of NAL units after 4-byte lengths, without them. `None` when
/// it is not that, or nothing is left.
pub(super) fn without_parameter_sets(codec: VideoCodec, unit: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(unit.len());
    let mut rest = unit;
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let n = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (nal, tail) = tail.split_at_checked(n)?;
        if let Some(header) = nal.first()
            && !is_parameter_set(codec, *header)
        {
            out.extend_from_slice(length);
            out.extend_from_slice(nal);
        }
        rest = tail;
    }
    (rest.is_empty() && !out.is_empty()).then_some(out)
}

/// `None` when there is no slice. Else whether decoding can begin here: H.264 IDR (§7.4.1.2.4), H.265 IRAP (§7.4.2.2). The first slice speaks for the picture.
pub(super) fn is_key(codec: VideoCodec, unit: &[u8]) -> Option<bool> {
    let mut rest = unit;
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let n = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let (nal, tail) = tail.split_at_checked(n)?;
        let slice = nal.first().and_then(|header| match codec {
            VideoCodec::H264 => match header & 0x1f {
                slice @ 1..=5 => Some(slice == 5),
                _ => None,
            },
            VideoCodec::H265 => match header >> 1 & 0x3f {
                slice @ 0..=31 => Some((16..=23).contains(&slice)),
                _ => None,
            },
        });
        match slice {
            Some(key) => return Some(key),
            None => rest = tail,
        }
    }
    None
}

/// H.264 §7.4.1 (SPS, PPS, delimiter); H.265 §7.4.2.2 (VPS, SPS, PPS, delimiter).
const fn is_parameter_set(codec: VideoCodec, header: u8) -> bool {
    match codec {
        VideoCodec::H264 => matches!(header & 0x1f, 7..=9),
        VideoCodec::H265 => matches!(header >> 1 & 0x3f, 32..=35),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codec_strings_are_those_of_the_standards() {
        assert_eq!(avc1(&[1, 0x64, 0, 0x1f]).unwrap(), "avc1.64001f");
        // Main profile, level 3.1, progressive: the example of Annex E.
        let record = [1, 1, 0x60, 0, 0, 0, 0xb0, 0, 0, 0, 0, 0, 93];
        assert_eq!(hvc1(&record).unwrap(), "hvc1.1.6.L93.B0");
        assert_eq!(hvc1(&record[..12]), None);
    }

    #[test]
    fn parameter_sets_leave_the_access_unit() {
        let unit = [
            0, 0, 0, 2, 0x67, 1, 0, 0, 0, 1, 0x68, 0, 0, 0, 1, 6, 0, 0, 0, 2, 0x65, 9,
        ];
        assert_eq!(
            without_parameter_sets(VideoCodec::H264, &unit).unwrap(),
            [0, 0, 0, 1, 6, 0, 0, 0, 2, 0x65, 9]
        );
        assert_eq!(
            without_parameter_sets(VideoCodec::H265, &[0, 0, 0, 1, 33 << 1]),
            None
        );
        assert_eq!(
            without_parameter_sets(VideoCodec::H264, &[0, 0, 0, 9, 1]),
            None,
            "a length beyond the end"
        );
    }

    #[test]
    fn the_first_slice_says_whether_decoding_can_begin() {
        let nal = |header: u8| [0, 0, 0, 2, header, 1];
        for (codec, units, key) in [
            (VideoCodec::H264, vec![nal(6), nal(0x65)], Some(true)),
            (VideoCodec::H264, vec![nal(0x41)], Some(false)),
            (VideoCodec::H264, vec![nal(6)], None),
            (
                VideoCodec::H265,
                vec![nal(39 << 1), nal(21 << 1)],
                Some(true),
            ),
            (VideoCodec::H265, vec![nal(1 << 1)], Some(false)),
        ] {
            assert_eq!(is_key(codec, &units.concat()), key, "{units:?}");
        }
        assert_eq!(is_key(VideoCodec::H264, &[0, 0, 0, 9, 0x65]), None);
    }

    #[test]
    fn sound_becomes_a_sample_entry() {
        let aac = Sound::Aac(Bytes::from_static(&[0x14, 0x08]));
        let p = audio_params(&aac, 16_000, 1).unwrap();
        assert_eq!(p.rfc6381.as_deref(), Some("mp4a.40.2"));
        let size = u32::from_be_bytes(*p.sample_entry.first_chunk().unwrap());
        assert_eq!(usize::try_from(size).unwrap(), p.sample_entry.len());
        let esds = p.sample_entry.slice(36..);
        let size = u32::from_be_bytes(*esds.first_chunk().unwrap());
        assert_eq!(usize::try_from(size).unwrap(), esds.len());
        // Each descriptor's length reaches to the end of what it holds.
        assert_eq!(usize::from(esds[13]), esds.len() - 14);
        let g711 = audio_params(&Sound::Alaw, 8_000, 1).unwrap();
        assert_eq!(
            (&g711.sample_entry[4..8], g711.sample_entry.len()),
            (&b"alaw"[..], 36)
        );
        assert!(audio_params(&Sound::Ulaw, 8_000, 0).is_none());
    }
}
