//! What the fuzzer (`fuzz/bodies.rs`) calls: the readers of this room with what must hold of everything they take.
//!
//! A broken promise is a panic here, so nothing of the daemon calls this.
#![allow(
    clippy::panic,
    reason = "a broken promise is a panic, for the fuzzer to find"
)]

use super::address::Address;
use super::params;
use super::{ClockReader, SenderReport, sender_report};
use crate::model::{CameraClock, Secret, UtcMicros};

const NOW: UtcMicros = UtcMicros::from_secs(1_795_000_000);

/// A camera's address: what is kept of it names no secret, and is understood again.
pub fn camera_address(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(a) = Address::parse(&Secret::new(text)) else {
        return;
    };
    assert!(a.url.username().is_empty() && a.url.password().is_none());
    let Ok(again) = Address::parse(&Secret::new(a.url.as_str())) else {
        panic!("a cleared address is not understood: {}", a.url);
    };
    assert_eq!(again.url, a.url);
    assert_eq!(again.authority, a.authority);
    assert_eq!(again.tls, a.tls);
    assert!(again.credentials.is_none());
    assert!(a.credentials.is_none_or(|c| !c.username.is_empty()));
}

/// A camera's clock from its RTCP: first byte, kind of what follows. Even: a compound packet of half as many bytes; odd: RTP
/// and arrival time (8 bytes each) of a picture.
pub fn camera_clock(data: &[u8]) {
    let (mut clock, mut rest, mut near) = (ClockReader::new(90_000), data, 0i64);
    let mut now = NOW;
    while let Some((kind, tail)) = rest.split_first() {
        if kind & 1 == 0 {
            let (packet, tail) = tail.split_at(usize::from(kind / 2).min(tail.len()));
            rest = tail;
            if let Some(report) = report(packet) {
                clock.report(report.ntp, report.rtp, near, now);
            }
        } else {
            let Some((rtp, tail)) = tail.split_first_chunk::<8>() else {
                return;
            };
            let Some((arrived, tail)) = tail.split_first_chunk::<8>() else {
                return;
            };
            rest = tail;
            near = i64::from_be_bytes(*rtp);
            now = UtcMicros(i64::from_be_bytes(*arrived));
        }
        if let CameraClock::Known { uncertainty_us, .. } = clock.at_picture(near, now) {
            assert!(uncertainty_us >= 100, "surer than a report can make it");
        }
    }
    clock.forget();
    assert!(matches!(
        clock.at_picture(near, now),
        CameraClock::Unknown(_)
    ));
}

/// A report lies in the bytes it was read from, and is read the same from a packet of its own.
fn report(packet: &[u8]) -> Option<SenderReport> {
    let report = sender_report(packet)?;
    let mut own = vec![0x80, 200, 0, 6];
    own.extend(report.ssrc.to_be_bytes());
    own.extend(report.ntp.to_be_bytes());
    own.extend(report.rtp.to_be_bytes());
    let facts = own.get(4..).unwrap_or_default();
    assert!(packet.chunks(4).count() * 4 >= own.len());
    assert!(packet.windows(facts.len()).any(|w| w == facts));
    own.extend([0; 8]);
    assert_eq!(sender_report(&own), Some(report));
    Some(report)
}

/// Whether decoding can begin with this H.265 access unit, as said where pictures come by the first back-end.
pub fn is_irap(unit: &[u8]) -> bool {
    params::is_irap(unit)
}
