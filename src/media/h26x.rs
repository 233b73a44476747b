//! From the form of MP4 files (parameter sets apart, NAL units after lengths: ISO/IEC 14496-15) to the byte stream of
//! Annex B of H.264 and H.265, which decoders take without anything set beside it.

use crate::model::VideoCodec;

const START_CODE: [u8; 4] = [0, 0, 0, 1];

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormError {
    #[error("its {record} record ends at byte {at}, inside a parameter set")]
    ShortRecord { record: &'static str, at: usize },
    #[error("its {record} record has version {version}; only 1 is defined")]
    Version { record: &'static str, version: u8 },
    #[error("its {record} record says NAL lengths have {bytes} bytes, not 4")]
    LengthSize { record: &'static str, bytes: u8 },
    #[error("its {record} record holds no parameter set")]
    NoParameterSets { record: &'static str },
    #[error("the NAL unit at byte {at} claims {claimed} bytes and {left} are left")]
    ShortUnit {
        at: usize,
        claimed: usize,
        left: usize,
    },
    #[error("the access unit is empty")]
    Empty,
}

/// Every parameter set of an `avcC` (§5.3.3.1) or `hvcC` (§8.3.3.1) record, each after a start code.
pub(crate) fn parameter_sets(codec: VideoCodec, record: &[u8]) -> Result<Vec<u8>, FormError> {
    let mut out = Vec::with_capacity(record.len() + 16);
    match codec {
        VideoCodec::H264 => {
            let mut r = Record::open("avcC", record, 4)?;
            r.skip(5);
            let sps = r.u8()? & 0x1f;
            r.sets(u16::from(sps), &mut out)?;
            let pps = r.u8()?;
            r.sets(u16::from(pps), &mut out)?;
            // What follows for high profiles (chroma format, SPS extensions) is in the SPS as well.
        }
        VideoCodec::H265 => {
            let mut r = Record::open("hvcC", record, 21)?;
            r.skip(22);
            for _ in 0..r.u8()? {
                r.u8()?;
                let count = r.u16()?;
                r.sets(count, &mut out)?;
            }
        }
    }
    if out.is_empty() {
        return Err(FormError::NoParameterSets {
            record: record_name(codec),
        });
    }
    Ok(out)
}

/// What to do with supplemental enhancement information.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sei {
    Keep,
    /// Nothing of it shows, and a decoder set to refuse damage would refuse a vendor's malformed one.
    LeaveOut,
}

/// Appends an access unit of NAL units after 4-byte lengths, as a byte stream.
pub(crate) fn append_unit(
    codec: VideoCodec,
    unit: &[u8],
    sei: Sei,
    out: &mut Vec<u8>,
) -> Result<(), FormError> {
    let mut at = 0;
    if unit.is_empty() {
        return Err(FormError::Empty);
    }
    while at < unit.len() {
        let rest = unit.get(at..).unwrap_or_default();
        let short = |claimed: usize| FormError::ShortUnit {
            at,
            claimed,
            left: rest.len().saturating_sub(4),
        };
        let claimed = rest.first_chunk::<4>().ok_or_else(|| short(4))?;
        let claimed = u32::from_be_bytes(*claimed) as usize;
        let nal = rest
            .get(4..)
            .and_then(|r| r.get(..claimed))
            .ok_or_else(|| short(claimed))?;
        let left_out = sei == Sei::LeaveOut && is_sei(codec, nal);
        if !nal.is_empty() && !left_out {
            out.extend_from_slice(&START_CODE);
            out.extend_from_slice(nal);
        }
        at += 4 + claimed;
    }
    Ok(())
}

/// H.264 §7.4.1 type 6; H.265 §7.4.2.2 types 39 and 40.
fn is_sei(codec: VideoCodec, nal: &[u8]) -> bool {
    nal.first().is_some_and(|header| match codec {
        VideoCodec::H264 => header & 0x1f == 6,
        VideoCodec::H265 => matches!(header >> 1 & 0x3f, 39 | 40),
    })
}

const fn record_name(codec: VideoCodec) -> &'static str {
    match codec {
        VideoCodec::H264 => "avcC",
        VideoCodec::H265 => "hvcC",
    }
}

struct Record<'a> {
    name: &'static str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Record<'a> {
    /// `length_size` is where the byte with `lengthSizeMinusOne` stands.
    fn open(name: &'static str, bytes: &'a [u8], length_size: usize) -> Result<Self, FormError> {
        let short = FormError::ShortRecord {
            record: name,
            at: bytes.len(),
        };
        let (Some(&version), Some(&size)) = (bytes.first(), bytes.get(length_size)) else {
            return Err(short);
        };
        if version != 1 {
            return Err(FormError::Version {
                record: name,
                version,
            });
        }
        if size & 3 != 3 {
            return Err(FormError::LengthSize {
                record: name,
                bytes: (size & 3) + 1,
            });
        }
        Ok(Self { name, bytes, at: 0 })
    }

    fn skip(&mut self, n: usize) {
        self.at += n;
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], FormError> {
        let found =
            self.bytes
                .get(self.at..)
                .and_then(|r| r.get(..n))
                .ok_or(FormError::ShortRecord {
                    record: self.name,
                    at: self.at,
                })?;
        self.at += n;
        Ok(found)
    }

    fn u8(&mut self) -> Result<u8, FormError> {
        Ok(self.take(1)?.first().copied().unwrap_or_default())
    }

    fn u16(&mut self) -> Result<u16, FormError> {
        Ok(self
            .take(2)?
            .first_chunk::<2>()
            .map_or(0, |b| u16::from_be_bytes(*b)))
    }

    fn sets(&mut self, count: u16, out: &mut Vec<u8>) -> Result<(), FormError> {
        for _ in 0..count {
            let length = usize::from(self.u16()?);
            let nal = self.take(length)?;
            out.extend_from_slice(&START_CODE);
            out.extend_from_slice(nal);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AVCC: &[u8] = &[
        1, 0x42, 0xc0, 0x1e, 0xff, 0xe1, 0, 2, 0x67, 0x42, 1, 0, 1, 0x68,
    ];

    #[test]
    fn parameter_sets_of_avcc_come_after_start_codes() {
        assert_eq!(
            parameter_sets(VideoCodec::H264, AVCC).unwrap(),
            [0, 0, 0, 1, 0x67, 0x42, 0, 0, 0, 1, 0x68]
        );
    }

    #[test]
    fn parameter_sets_of_hvcc_come_in_the_order_of_the_arrays() {
        let mut hvcc = vec![0; 22];
        hvcc[0] = 1;
        hvcc[21] = 3;
        hvcc.extend([2, 0x20, 0, 1, 0, 1, 0x40, 0x21, 0, 1, 0, 2, 0x42, 1]);
        assert_eq!(
            parameter_sets(VideoCodec::H265, &hvcc).unwrap(),
            [0, 0, 0, 1, 0x40, 0, 0, 0, 1, 0x42, 1]
        );
    }

    #[test]
    fn a_record_cut_anywhere_is_an_error() {
        for end in 0..AVCC.len() {
            assert!(
                parameter_sets(VideoCodec::H264, &AVCC[..end]).is_err(),
                "{end} bytes were taken"
            );
        }
    }

    fn stream(unit: &[u8], sei: Sei) -> Result<Vec<u8>, FormError> {
        let mut out = Vec::new();
        append_unit(VideoCodec::H264, unit, sei, &mut out)?;
        Ok(out)
    }

    #[test]
    fn a_unit_that_ends_inside_a_nal_says_where() {
        let unit = [0, 0, 0, 1, 0x65, 0, 0, 0, 9, 1, 2];
        assert_eq!(
            stream(&unit, Sei::Keep),
            Err(FormError::ShortUnit {
                at: 5,
                claimed: 9,
                left: 2
            })
        );
        assert_eq!(stream(&[], Sei::Keep), Err(FormError::Empty));
        assert!(stream(&[0, 0], Sei::Keep).is_err());
    }

    #[test]
    fn a_unit_becomes_a_byte_stream() {
        let unit = [0, 0, 0, 1, 0x65, 0, 0, 0, 0, 0, 0, 0, 2, 6, 2];
        assert_eq!(
            stream(&unit, Sei::Keep).unwrap(),
            [0, 0, 0, 1, 0x65, 0, 0, 0, 1, 6, 2]
        );
        assert_eq!(stream(&unit, Sei::LeaveOut).unwrap(), [0, 0, 0, 1, 0x65]);
    }
}
