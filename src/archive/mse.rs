//! The same boxes for live pictures: what Media Source Extensions are fed with, one fragment for each access unit, no sound.

use super::boxes::{Boxes, u32_of};
use super::init::init_segment;
use super::track::{VIDEO_CLOCK, VIDEO_TRACK};
use crate::model::{StreamParams, UtcMicros};

/// Sample flags (ISO/IEC 14496-12 §8.8.3.1): depends on nothing, or depends on others and is no sync sample.
const SYNC: u32 = 0x0200_0000;
const NOT_SYNC: u32 = 0x0101_0000;
/// Until two pictures have told their distance: 25 a second.
const FIRST_DURATION: i64 = VIDEO_CLOCK as i64 / 25;
/// A picture is not shown longer than this, whatever the distance was.
const LONGEST_DURATION: i64 = VIDEO_CLOCK as i64 * 2;

/// Turns access units in the order of decoding into fragments with decode times that never go back.
#[derive(Debug, Default)]
pub struct LiveFragments {
    last: Option<i64>,
    duration: i64,
    number: u32,
}

impl LiveFragments {
    /// `ftyp moov` for fragments of these parameters.
    pub fn init(params: &StreamParams) -> Vec<u8> {
        let silent = StreamParams {
            audio: None,
            ..params.clone()
        };
        let mut b = Boxes::default();
        init_segment(&mut b, &silent, UtcMicros(0));
        b.buf
    }

    /// `moof mdat` with one access unit. `pts` in 1/90 000 s.
    ///
    /// How long a picture lasts is known when the next one comes; waiting for it would cost a picture of delay, so the
    /// distance to the one before stands in.
    pub fn fragment(&mut self, pts: i64, key: bool, data: &[u8]) -> Vec<u8> {
        // With B frames the picture time goes back at times; the decode time must not.
        let dts = match self.last {
            Some(last) if pts <= last => last.saturating_add(1),
            Some(_) | None => pts.max(0),
        };
        self.duration = match self.last {
            Some(last) if dts - last > 1 => (dts - last).min(LONGEST_DURATION),
            Some(_) => self.duration,
            None => FIRST_DURATION,
        };
        self.last = Some(dts);
        self.number = self.number.wrapping_add(1);
        let mut b = Boxes::with_capacity(data.len() + 128);
        let mut data_offset_at = 0;
        b.nest(b"moof", |b| {
            b.full(b"mfhd", 0, 0, |b| b.u32(self.number));
            b.nest(b"traf", |b| {
                // default-base-is-moof
                b.full(b"tfhd", 0, 0x02_0000, |b| b.u32(VIDEO_TRACK));
                b.full(b"tfdt", 1, 0, |b| b.u64(u64::try_from(dts).unwrap_or(0)));
                // data offset; duration, size, flags and composition offset of the one sample
                b.full(b"trun", 1, 0x1 | 0x100 | 0x200 | 0x400 | 0x800, |b| {
                    b.u32(1);
                    data_offset_at = b.len();
                    b.u32(0);
                    b.u32(u32::try_from(self.duration).unwrap_or(1));
                    b.u32(u32_of(data.len()));
                    b.u32(if key { SYNC } else { NOT_SYNC });
                    b.i32(i32::try_from(pts.saturating_sub(dts)).unwrap_or(0));
                });
            });
        });
        let moof = b.len();
        b.put_u32(data_offset_at, u32_of(moof + 8));
        b.nest(b"mdat", |b| b.bytes(data));
        b.buf
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxes_of(bytes: &[u8]) -> Vec<([u8; 4], usize)> {
        let mut at = super::super::boxes::Input(bytes);
        let mut out = Vec::new();
        while let Some((kind, content)) = at.next_box() {
            out.push((kind, content.len()));
        }
        out
    }

    #[test]
    fn a_fragment_is_moof_and_mdat_with_the_bytes_behind_the_offset() {
        let mut live = LiveFragments::default();
        let bytes = live.fragment(3_600, true, b"picture");
        let kinds: Vec<_> = boxes_of(&bytes).into_iter().map(|(k, _)| k).collect();
        assert_eq!(kinds, [*b"moof", *b"mdat"]);
        assert!(bytes.ends_with(b"picture"));
    }

    #[test]
    fn decode_times_never_go_back() {
        let mut live = LiveFragments::default();
        let mut last = -1;
        for pts in [0, 10_800, 3_600, 7_200, 21_600] {
            live.fragment(pts, pts == 0, b"x");
            let dts = live.last.unwrap();
            assert!(dts > last, "{dts} after {last}");
            last = dts;
        }
    }
}
