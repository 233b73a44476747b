//! What the fuzzer (`fuzz/bodies.rs`) calls: the readers of this room with what must hold of everything they take.
//!
//! Pictures come from strangers, messages from processes that strangers' pictures may have taken over. A broken promise is a
//! panic here, so nothing of the daemon calls this.
#![allow(
    clippy::panic,
    reason = "a broken promise is a panic, for the fuzzer to find"
)]

use bytes::{Bytes, BytesMut};

pub use super::derive::fuzzing::{mp4_movie, parameter_sets};
use super::h26x::{self, Sei, append_unit};
use super::ingest_form::{audio_params, is_key, stream_params, without_parameter_sets};
use super::ingest_protocol::{self, Said, Sound};
use super::ingest_rtp::{Track, mended};
use super::protocol::{MAX_MESSAGE, Message, Picture, ProtocolError, decode, encode};
use crate::model::VideoCodec;

/// A pipe: however its bytes are cut on their way, the same messages come out, and each is written the same again.
pub fn worker_messages(data: &[u8]) {
    let whole = heard(&[data]);
    let (a, b) = data.split_at(data.len() / 2);
    assert_eq!(heard(&[a, b]), whole);
    for message in whole.0 {
        let mut out = BytesMut::new();
        if let Err(e) = encode(&message, &mut out) {
            panic!("a message that was read cannot be written: {e}");
        }
        let again = match decode(&mut out) {
            Ok(Some(again)) => again,
            other => panic!("wrote what cannot be read: {other:?}"),
        };
        assert!(out.is_empty());
        // Reasons for people are cut when they are written.
        let mut twice = BytesMut::new();
        assert_eq!(encode(&again, &mut twice), Ok(()));
        assert_eq!(decode(&mut twice), Ok(Some(again)));
    }
}

fn heard(parts: &[&[u8]]) -> (Vec<Message>, Option<ProtocolError>) {
    let (mut input, mut out) = (BytesMut::new(), Vec::new());
    for part in parts {
        input.extend_from_slice(part);
        loop {
            match decode(&mut input) {
                Ok(Some(message)) => out.push(message),
                Ok(None) => break,
                Err(e) => return (out, Some(e)),
            }
        }
        assert!(input.capacity() <= 2 * (MAX_MESSAGE + 4) + part.len());
    }
    (out, None)
}

/// What is inside a message of an ingest worker.
pub fn ingest_message(data: &[u8]) {
    let Ok(said) = ingest_protocol::decode(Bytes::copy_from_slice(data)) else {
        return;
    };
    let again = match ingest_protocol::decode(ingest_protocol::encode(&said)) {
        Ok(again) => again,
        Err(e) => panic!("wrote what cannot be read: {e}"),
    };
    // Reasons for people are cut when they are written.
    if !matches!(said, Said::Failed(_)) {
        assert_eq!(again, said);
    }
    assert_eq!(
        ingest_protocol::decode(ingest_protocol::encode(&again)),
        Ok(again)
    );
    if let Said::Sound {
        form,
        clock_rate,
        channels,
    } = said
        && let Some(p) = audio_params(&form, clock_rate, channels)
    {
        let size = p
            .sample_entry
            .first_chunk::<4>()
            .map(|n| u32::from_be_bytes(*n));
        assert_eq!(size.map(|n| n as usize), Some(p.sample_entry.len()));
        assert!(matches!(form, Sound::Aac(_)) || p.sample_entry.len() == 36);
    }
}

/// First byte: codec (lowest bit), record or access unit (the next). Then that.
pub fn access_unit(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else {
        return;
    };
    let codec = match kind & 1 {
        0 => VideoCodec::H264,
        _ => VideoCodec::H265,
    };
    if kind & 2 != 0 {
        record(codec, data);
    } else {
        unit(codec, data);
    }
}

fn record(codec: VideoCodec, data: &[u8]) {
    if let Ok(sets) = h26x::parameter_sets(codec, data) {
        assert!(sets.starts_with(&[0, 0, 0, 1]));
        assert!(sets.len() <= 2 * data.len(), "more than was in the record");
    }
    let picture = Picture {
        codec,
        width: 640,
        height: 360,
        pixel_aspect: (1, 1),
        extra_data: Bytes::copy_from_slice(data),
    };
    if let Some(p) = stream_params(&picture, None) {
        assert!(
            p.rfc6381.is_ascii() && p.rfc6381.len() <= 64,
            "{}",
            p.rfc6381
        );
    }
}

fn unit(codec: VideoCodec, data: &[u8]) {
    let (mut all, mut without) = (vec![9], vec![9]);
    let kept = append_unit(codec, data, Sei::Keep, &mut all);
    let left_out = append_unit(codec, data, Sei::LeaveOut, &mut without);
    assert_eq!(kept, left_out);
    assert!(all.first() == Some(&9) && all.len() <= data.len() + 1);
    assert!(without.len() <= all.len());
    let stripped = without_parameter_sets(codec, data);
    if let Some(unit) = &stripped {
        assert!(kept.is_ok() && unit.len() <= data.len());
        assert_eq!(is_key(codec, unit), is_key(codec, data));
        assert_eq!(without_parameter_sets(codec, unit).as_ref(), Some(unit));
    }
    if is_key(codec, data) == Some(true) && kept.is_ok() {
        assert!(stripped.is_some(), "a picture that is a parameter set");
    }
}

/// Whether decoding can begin with this H.265 access unit, as said by an ingest worker.
pub fn is_h265_key(unit: &[u8]) -> bool {
    is_key(VideoCodec::H265, unit) == Some(true)
}

/// A mended packet is the same but for a start code and the marker, and needs no mending when it had one code.
fn mend(codec: VideoCodec, packet: &[u8]) {
    let Some(out) = mended(codec, packet) else {
        return;
    };
    assert!(out.len() + 4 >= packet.len() && out.len() <= packet.len());
    let (Some([a, b, ..]), Some([c, d, ..])) =
        (out.first_chunk::<12>(), packet.first_chunk::<12>())
    else {
        panic!("a packet without its head");
    };
    assert!(a == c && b & 0x7f == d & 0x7f);
    assert_eq!(out.get(2..12), packet.get(2..12));
    if let Some(again) = mended(codec, &out) {
        assert!(again.len() < out.len(), "mended for ever");
    }
}

/// For each packet pipeline time (2 bytes, in ms), its length (1), the packet; every fourth asks for a time.
pub fn rtp_packets(data: &[u8]) {
    let mut track = Track::new(90_000);
    let mut rest = data;
    let (mut n, mut first) = (0u32, None);
    while let Some(([a, b, len], tail)) = rest.split_first_chunk::<3>() {
        let ns = u64::from(u16::from_be_bytes([*a, *b])) * 1_000_000;
        let (packet, tail) = tail.split_at(usize::from(*len).min(tail.len()));
        rest = tail;
        n += 1;
        for codec in [VideoCodec::H264, VideoCodec::H265] {
            mend(codec, packet);
        }
        track.packet(packet, (len & 1 == 0).then_some(ns), i64::from(n));
        match (first, track.time_of(u64::MAX)) {
            (None, Some(_)) => first = Some(ns),
            (Some(_), None) => panic!("a time was forgotten"),
            _ => {}
        }
        if let Some((_, arrived)) = track.time_of(ns) {
            assert!((1..=i64::from(n)).contains(&arrived));
        }
        if n.is_multiple_of(4) {
            let lost = track.take_lost();
            assert!(lost <= 4 * 32_767, "{lost} lost between four packets");
            assert_eq!(track.take_lost(), 0);
        }
    }
}
