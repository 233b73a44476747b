//! RTCP (RFC 3550 §6): the one fact we take from it, when by its own clock a camera sampled which RTP time.
//!
//! Sans-IO. Bytes come from strangers: what is not whole is no report.

/// Of a sender report (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderReport {
    pub ssrc: u32,
    /// Seconds since 1900 in the upper half (mod 2³²), fraction in the lower.
    pub ntp: u64,
    pub rtp: u32,
}

const SENDER_REPORT: u8 = 200;
/// Header, sender and the sender's five words.
const SHORTEST: usize = 28;

/// The first sender report of a compound packet; `None` when there is none, or the packet is not RTCP.
pub fn sender_report(mut compound: &[u8]) -> Option<SenderReport> {
    while let Some((head, _)) = compound.split_first_chunk::<4>() {
        let [first, kind, high, low] = *head;
        if first >> 6 != 2 {
            return None;
        }
        let words = usize::from(u16::from_be_bytes([high, low]));
        let (packet, rest) = compound.split_at_checked(4 + 4 * words)?;
        if kind == SENDER_REPORT {
            return report(packet);
        }
        compound = rest;
    }
    None
}

fn report(packet: &[u8]) -> Option<SenderReport> {
    if packet.len() < SHORTEST {
        return None;
    }
    let word = |at: usize| {
        packet
            .get(at..)
            .and_then(|p| p.first_chunk::<4>())
            .map(|w| u32::from_be_bytes(*w))
    };
    Some(SenderReport {
        ssrc: word(4)?,
        ntp: u64::from(word(8)?) << 32 | u64::from(word(12)?),
        rtp: word(16)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sr(ntp: u64, rtp: u32) -> Vec<u8> {
        let mut out = vec![0x80, 200, 0, 6, 0xca, 0xfe, 0xba, 0xbe];
        out.extend(ntp.to_be_bytes());
        out.extend(rtp.to_be_bytes());
        out.extend([0; 8]);
        out
    }

    #[test]
    fn a_report_is_found_wherever_it_stands() {
        let want = SenderReport {
            ssrc: 0xcafe_babe,
            ntp: 0xe800_0000_8000_0000,
            rtp: 77,
        };
        let plain = sr(want.ntp, want.rtp);
        assert_eq!(sender_report(&plain), Some(want));
        // An empty receiver report first, a source description behind.
        let mut compound = vec![0x80, 201, 0, 1, 0, 0, 0, 1];
        compound.extend(&plain);
        compound.extend([0x81, 202, 0, 2, 0, 0, 0, 1, 1, 1, b'a', 0]);
        assert_eq!(sender_report(&compound), Some(want));
    }

    #[test]
    fn what_is_cut_or_is_something_else_is_none() {
        let plain = sr(1, 2);
        for end in 0..plain.len() {
            assert_eq!(sender_report(&plain[..end]), None, "{end} bytes");
        }
        let mut wrong = plain.clone();
        wrong[0] = 0x40;
        assert_eq!(sender_report(&wrong), None, "version 1");
        assert_eq!(
            sender_report(&[0x80, 200, 0, 1, 0, 0, 0, 1]),
            None,
            "too short to be one"
        );
    }
}
