//! NAL units and parameter sets as they stand in an MP4 (ISO/IEC 14496-15): what the seams of a cut need.

use std::collections::BTreeSet;

use crate::model::VideoCodec;

/// The NAL units of a sample with 4-byte lengths; ends at the first that does not fit.
pub(super) fn units(mut sample: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = sample.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (unit, rest) = rest.split_at_checked(length)?;
        sample = rest;
        Some(unit)
    })
}

/// The NAL units of a byte stream (Annex B), without start codes and trailing zeros.
pub(super) fn units_of_stream(stream: &[u8]) -> Vec<&[u8]> {
    let mut starts = Vec::new();
    let mut at = 0;
    while let Some(found) = stream
        .get(at..)
        .and_then(|s| s.windows(3).position(|w| w == [0, 0, 1]))
    {
        starts.push((at + found, at + found + 3));
        at += found + 3;
    }
    let ends = starts.iter().skip(1).map(|(code, _)| *code);
    let ends = ends.chain([stream.len()]);
    let unit = |((_, from), to): (&(usize, usize), usize)| {
        let mut unit = stream.get(*from..to).unwrap_or_default();
        while let [rest @ .., 0] = unit {
            unit = rest;
        }
        unit
    };
    starts
        .iter()
        .zip(ends)
        .map(unit)
        .filter(|u| !u.is_empty())
        .collect()
}

pub(super) fn put_unit(sample: &mut Vec<u8>, unit: &[u8]) {
    sample.extend_from_slice(&u32::try_from(unit.len()).unwrap_or(u32::MAX).to_be_bytes());
    sample.extend_from_slice(unit);
}

pub(super) fn kind(codec: VideoCodec, unit: &[u8]) -> u8 {
    let header = unit.first().copied().unwrap_or_default();
    match codec {
        VideoCodec::H264 => header & 0x1f,
        VideoCodec::H265 => header >> 1 & 0x3f,
    }
}

/// VPS, SPS, PPS; and the access unit delimiter, which no MP4 needs.
pub(super) fn is_parameter_set(codec: VideoCodec, unit: &[u8]) -> bool {
    match codec {
        VideoCodec::H264 => matches!(kind(codec, unit), 7 | 8 | 13),
        VideoCodec::H265 => matches!(kind(codec, unit), 32..=34),
    }
}

pub(super) fn is_delimiter(codec: VideoCodec, unit: &[u8]) -> bool {
    kind(codec, unit)
        == match codec {
            VideoCodec::H264 => 9,
            VideoCodec::H265 => 35,
        }
}

/// How a key picture may stand behind pictures that are not its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refresh {
    /// IDR: nothing after it needs anything before it.
    Instant,
    /// CRA and BLA of H.265: so too, when no picture that follows is shown before it.
    UnlessLeading,
    /// A recovery point: what follows may need what was before.
    Gradual,
}

pub(super) fn refresh(codec: VideoCodec, sample: &[u8]) -> Refresh {
    for unit in units(sample) {
        match (codec, kind(codec, unit)) {
            (VideoCodec::H264, 5) | (VideoCodec::H265, 19 | 20) => return Refresh::Instant,
            (VideoCodec::H265, 16..=18 | 21) => return Refresh::UnlessLeading,
            (VideoCodec::H264, 1) | (VideoCodec::H265, 0..=15) => return Refresh::Gradual,
            _ => {}
        }
    }
    Refresh::Gradual
}

/// End of sequence (H.265 §7.4.2.4.4): the CRA that follows begins anew.
pub(super) const END_OF_SEQUENCE_H265: [u8; 2] = [36 << 1, 1];

/// An `avcC` record (§5.3.3.1) taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AvcRecord {
    pub(super) profile: u8,
    compatibility: u8,
    level: u8,
    sps: Vec<Vec<u8>>,
    pps: Vec<Vec<u8>>,
    /// Chroma format and SPS extensions of the high profiles.
    rest: Vec<u8>,
}

impl AvcRecord {
    pub(super) fn parse(record: &[u8]) -> Option<Self> {
        let mut r = super::boxes::Input(record);
        r.u8().filter(|version| *version == 1)?;
        let (profile, compatibility, level) = (r.u8()?, r.u8()?, r.u8()?);
        r.skip(1)?;
        let sets = |r: &mut super::boxes::Input<'_>, n: u8| {
            let set = |_| {
                let length = r.u16()?;
                r.slice(length.into()).map(<[u8]>::to_vec)
            };
            (0..n).map(set).collect::<Option<Vec<_>>>()
        };
        let n = r.u8()? & 0x1f;
        let sps = sets(&mut r, n)?;
        let n = r.u8()?;
        let pps = sets(&mut r, n)?;
        Some(Self {
            profile,
            compatibility,
            level,
            sps,
            pps,
            rest: r.0.to_vec(),
        })
    }

    /// A number that neither an SPS nor a PPS of the record has: a decoder then holds both at once. `None` also when the record
    /// can count no more of them.
    pub(super) fn free_id(&self) -> Option<u32> {
        if self.sps.len() >= 31 || self.pps.len() >= 255 {
            return None;
        }
        let sps = self.sps.iter().filter_map(|s| exp_golomb(s.get(4..)?));
        let pps = self.pps.iter().filter_map(|p| exp_golomb(p.get(1..)?));
        let taken: BTreeSet<u32> = sps.chain(pps).collect();
        (1..=31).find(|id| !taken.contains(id))
    }

    /// Adds parameter sets; profile and level then cover both (§5.3.3.1.2).
    pub(super) fn add(&mut self, sets: &[Vec<u8>]) {
        for set in sets {
            match kind(VideoCodec::H264, set) {
                7 => {
                    if let [_, profile, compatibility, level, ..] = set.as_slice() {
                        self.profile = self.profile.max(*profile);
                        self.compatibility &= compatibility;
                        self.level = self.level.max(*level);
                    }
                    self.sps.push(set.clone());
                }
                8 => self.pps.push(set.clone()),
                _ => {}
            }
        }
    }

    /// Of parameter sets alone; `None` without an SPS.
    pub(super) fn of(sets: &[Vec<u8>]) -> Option<Self> {
        let sps = sets.iter().find(|s| kind(VideoCodec::H264, s) == 7)?;
        let [_, profile, compatibility, level, ..] = sps.as_slice() else {
            return None;
        };
        let mut record = Self {
            profile: *profile,
            compatibility: *compatibility,
            level: *level,
            sps: Vec::new(),
            pps: Vec::new(),
            // 4:2:0 of 8 bits, no extensions; only the high profiles have these bytes.
            rest: if matches!(profile, 66 | 77 | 88) {
                Vec::new()
            } else {
                vec![0xfd, 0xf8, 0xf8, 0]
            },
        };
        record.add(sets);
        Some(record)
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let count = |n: usize| u8::try_from(n).unwrap_or(31);
        let mut out = vec![1, self.profile, self.compatibility, self.level, 0xff];
        for (head, sets) in [
            (0xe0 | count(self.sps.len()), &self.sps),
            (count(self.pps.len()), &self.pps),
        ] {
            out.push(head);
            for set in sets {
                out.extend_from_slice(&u16::try_from(set.len()).unwrap_or(u16::MAX).to_be_bytes());
                out.extend_from_slice(set);
            }
        }
        out.extend_from_slice(&self.rest);
        out
    }
}

/// H.264 §9.1. The numbers looked for stand at the very front, before the first emulation prevention byte could.
fn exp_golomb(bytes: &[u8]) -> Option<u32> {
    let bits = bytes
        .iter()
        .take(8)
        .fold(0u64, |v, b| v << 8 | u64::from(*b));
    let bits = bits << (64 - 8 * u32::try_from(bytes.len().min(8)).ok()?).min(63);
    let zeros = bits.leading_zeros();
    (zeros <= 8).then(|| {
        let value = bits >> (63 - 2 * zeros);
        u32::try_from(value).map(|v| v - 1).ok()
    })?
}

/// VPS, SPS and PPS of an `hvcC` record (§8.3.3.1), each after its length.
pub(super) fn hevc_sets(record: &[u8]) -> Option<Vec<u8>> {
    let mut r = super::boxes::Input(record);
    r.skip(22)?;
    let mut out = Vec::new();
    for _ in 0..r.u8()? {
        r.skip(1)?;
        for _ in 0..r.u16()? {
            let length = r.u16()?;
            // The record may also hold SEI, which belongs to one picture only.
            let set = r.slice(length.into())?;
            if is_parameter_set(VideoCodec::H265, set) {
                put_unit(&mut out, set);
            }
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_stream_falls_into_its_units() {
        let stream = [
            0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 2, 0, 0, 0, 1, 0x65, 3, 4,
        ];
        let units: Vec<&[u8]> = units_of_stream(&stream);
        assert_eq!(units, [&[0x67, 1][..], &[0x68, 2], &[0x65, 3, 4]]);
        assert!(units_of_stream(&[1, 2, 3]).is_empty());
    }

    #[test]
    fn numbers_at_the_front_are_read() {
        assert_eq!(exp_golomb(&[0b1000_0000]), Some(0));
        assert_eq!(exp_golomb(&[0b0100_0000]), Some(1));
        assert_eq!(exp_golomb(&[0b0010_1000]), Some(4));
        assert_eq!(exp_golomb(&[0b0000_1000, 0b0000_0000]), Some(15));
        assert_eq!(exp_golomb(&[]), None);
    }

    #[test]
    fn a_record_takes_more_sets_and_says_what_covers_both() {
        let record = [
            1, 0x42, 0xc0, 0x1e, 0xff, 0xe1, 0, 5, 0x67, 0x42, 0xc0, 0x1e, 0x80, 1, 0, 2, 0x68,
            0x80,
        ];
        let mut parsed = AvcRecord::parse(&record).unwrap();
        assert_eq!(parsed.bytes(), record);
        assert_eq!(parsed.free_id(), Some(1));
        parsed.add(&[vec![0x67, 0x4d, 0x40, 0x28, 0x40], vec![0x68, 0x48]]);
        let again = AvcRecord::parse(&parsed.bytes()).unwrap();
        assert_eq!(
            (again.profile, again.compatibility, again.level),
            (0x4d, 0x40, 0x28)
        );
        assert_eq!((again.sps.len(), again.pps.len()), (2, 2));
        assert_eq!(again.free_id(), Some(2));
        for end in 0..record.len() - 1 {
            assert!(
                AvcRecord::parse(&record[..end]).is_none(),
                "{end} bytes were taken"
            );
        }
    }
}
