//! In an ingest worker: what the RTP headers of one medium tell beside its pictures. Sans-IO.
//!
//! The pipeline gives access units their own times; what counts are the camera's. So the RTP time and the arrival of each
//! packet are remembered under the pipeline's time until the access unit made of it comes out.

use std::collections::BTreeMap;

use crate::model::VideoCodec;

/// Pipeline times remembered; far more than a pipeline holds.
const MOST: usize = 1024;

#[derive(Debug)]
pub(super) struct Track {
    clock_rate: i64,
    sequence: Option<u16>,
    newest_rtp: Option<i64>,
    /// Packets missing since they were last asked for.
    lost: u32,
    /// Pipeline time in nanoseconds to RTP time, unwrapped, and the arrival of its last packet.
    times: BTreeMap<u64, (i64, i64)>,
}

impl Track {
    pub(super) fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate: i64::from(clock_rate.max(1)),
            sequence: None,
            newest_rtp: None,
            lost: 0,
            times: BTreeMap::new(),
        }
    }

    /// A packet (RFC 3550 §5.1) in the order of its sequence numbers; what is none is ignored.
    pub(super) fn packet(&mut self, packet: &[u8], pipeline_ns: Option<u64>, arrived_ns: i64) {
        let Some([first, _, s0, s1, t0, t1, t2, t3]) = packet.first_chunk::<8>() else {
            return;
        };
        if first >> 6 != 2 {
            return;
        }
        let sequence = u16::from_be_bytes([*s0, *s1]);
        if let Some(before) = self.sequence {
            let step = sequence.wrapping_sub(before).cast_signed();
            if step > 0 {
                self.lost = self.lost.saturating_add(u32::from(step.unsigned_abs()) - 1);
            } else {
                // A new beginning of the camera's numbers, or a duplicate: nothing is known to be lost.
            }
        }
        self.sequence = Some(sequence);
        let wire = u32::from_be_bytes([*t0, *t1, *t2, *t3]);
        let rtp = match self.newest_rtp {
            None => i64::from(wire),
            Some(near) => {
                let low = u32::try_from(near & 0xffff_ffff).unwrap_or(0);
                near.saturating_add(i64::from(wire.wrapping_sub(low).cast_signed()))
            }
        };
        self.newest_rtp = Some(rtp);
        if let Some(ns) = pipeline_ns {
            self.times.insert(ns, (rtp, arrived_ns));
            if self.times.len() > MOST {
                self.times.pop_first();
            }
        }
    }

    /// RTP time and arrival of what came out with this pipeline time. Several frames of one packet have times between.
    pub(super) fn time_of(&self, pipeline_ns: u64) -> Option<(i64, i64)> {
        let (at, (rtp, arrived)) = self.times.range(..=pipeline_ns).next_back()?;
        let since = i128::from(pipeline_ns - at) * i128::from(self.clock_rate);
        let ticks = i64::try_from((since + 500_000_000) / 1_000_000_000).ok()?;
        Some((rtp.saturating_add(ticks), *arrived))
    }

    /// Packets lost since the last call.
    pub(super) fn take_lost(&mut self) -> u32 {
        std::mem::take(&mut self.lost)
    }

    /// Pictures were left out here, with so many packets counted lost before them.
    pub(super) fn give_back(&mut self, lost: u32) {
        self.lost = self.lost.saturating_add(lost);
    }
}

/// A packet as RFC 6184 and RFC 7798 would have it, when it is not: some cameras put the start codes of their encoder's byte
/// stream into RTP, and some set the marker on the SEI, where the picture has not even begun.
pub(super) fn mended(codec: VideoCodec, packet: &[u8]) -> Option<Vec<u8>> {
    let [first, second, ..] = *packet.first_chunk::<12>()?;
    let mut head = 12 + 4 * usize::from(first & 0x0f);
    if first & 0x10 != 0 {
        let [_, _, high, low] = packet.get(head..)?.first_chunk::<4>()?;
        head += 4 + 4 * usize::from(u16::from_be_bytes([*high, *low]));
    }
    let (head, payload) = packet.split_at_checked(head)?;
    let coded = [&[0, 0, 0, 1][..], &[0, 0, 1]]
        .iter()
        .find_map(|code| payload.strip_prefix(*code));
    let nal = coded.unwrap_or(payload);
    let header = *nal.first()?;
    let is_no_slice = match codec {
        VideoCodec::H264 => matches!(header & 0x1f, 6..=9),
        VideoCodec::H265 => matches!(header >> 1 & 0x3f, 32..=35 | 39),
    };
    let early = is_no_slice && second & MARKER != 0;
    if coded.is_none() && !early {
        return None;
    }
    let mut out = [head, nal].concat();
    if early && let Some(byte) = out.get_mut(1) {
        *byte &= !MARKER;
    }
    Some(out)
}

/// RFC 3550 §5.1: the last packet of a picture.
const MARKER: u8 = 0x80;

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sequence: u16, rtp: u32) -> Vec<u8> {
        let mut out = vec![0x80, 96];
        out.extend(sequence.to_be_bytes());
        out.extend(rtp.to_be_bytes());
        out.extend([0; 4]);
        out
    }

    #[test]
    fn what_is_missing_between_sequence_numbers_is_lost() {
        let mut t = Track::new(90_000);
        for s in [65_534, 65_535, 0, 3, 3, 4] {
            t.packet(&packet(s, 0), None, 0);
        }
        assert_eq!(t.take_lost(), 2);
        assert_eq!(t.take_lost(), 0);
        // A camera that begins anew has lost nothing.
        t.packet(&packet(4 + 40_000, 0), None, 0);
        assert_eq!(t.take_lost(), 0);
        t.packet(&[0x80, 96, 0], None, 0);
        t.packet(&[0x40; 12], None, 0);
        assert_eq!(t.take_lost(), 0);
    }

    #[test]
    fn rtp_times_go_on_over_the_wrap_and_back_for_b_frames() {
        let mut t = Track::new(90_000);
        let base = u32::MAX - 3_599;
        for (n, rtp) in [0u32, 10_800, 3_600, 7_200].into_iter().enumerate() {
            let n = u64::try_from(n).unwrap();
            t.packet(&packet(1, base.wrapping_add(rtp)), Some(n * 10), 5);
        }
        let times: Vec<i64> = (0..4).map(|n| t.time_of(n * 10).unwrap().0).collect();
        let zero = i64::from(base);
        assert_eq!(times, [zero, zero + 10_800, zero + 3_600, zero + 7_200]);
    }

    #[test]
    fn a_start_code_leaves_the_packet_and_nothing_else_does() {
        let mended = |packet: &[u8]| mended(VideoCodec::H264, packet);
        let full = |payload: &[u8]| [&packet(1, 2), payload].concat();
        assert_eq!(
            mended(&full(&[0, 0, 0, 1, 0x65, 9])),
            Some(full(&[0x65, 9]))
        );
        assert_eq!(mended(&full(&[0, 0, 1, 0x65])), Some(full(&[0x65])));
        assert_eq!(mended(&full(&[0x65, 0, 0, 1])), None);
        // One contributing source and an extension of one word before the payload.
        let mut long = full(&[]);
        long[0] = 0x91;
        long.extend([0, 0, 0, 0, 0, 0, 0, 1, 7, 7, 7, 7]);
        let head = long.clone();
        long.extend([0, 0, 0, 1, 0x41]);
        assert_eq!(mended(&long), Some([&head[..], &[0x41]].concat()));
        for end in 0..long.len() - 1 {
            mended(&long[..end]);
        }
    }

    #[test]
    fn a_marker_stands_on_no_sei() {
        let with = |marker: u8, nal: u8| {
            let mut out = packet(1, 2);
            out[1] |= marker;
            out.push(nal);
            out
        };
        for (codec, sei, slice) in [
            (VideoCodec::H264, 6, 0x65),
            (VideoCodec::H265, 39 << 1, 19 << 1),
        ] {
            assert_eq!(mended(codec, &with(0x80, sei)), Some(with(0, sei)));
            assert_eq!(mended(codec, &with(0, sei)), None);
            assert_eq!(mended(codec, &with(0x80, slice)), None);
        }
    }

    #[test]
    fn frames_that_share_a_packet_have_times_between() {
        let mut t = Track::new(16_000);
        assert_eq!(t.time_of(5), None);
        t.packet(&packet(1, 1_000), Some(1_000_000_000), 42);
        assert_eq!(t.time_of(1_064_000_000), Some((2_024, 42)));
        for n in 0..5_000u64 {
            t.packet(&packet(1, 0), Some(n), 0);
        }
        assert!(t.times.len() <= MOST);
    }
}
