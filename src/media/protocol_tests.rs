//! Every message survives the pipe, however the pipe cuts it; nothing else gets through.

use proptest::prelude::*;

use super::*;

fn bytes(max: usize) -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..max).prop_map(Bytes::from)
}

fn picture() -> impl Strategy<Value = Picture> {
    (
        any::<bool>(),
        any::<u32>(),
        any::<u32>(),
        any::<(u32, u32)>(),
        bytes(200),
    )
        .prop_map(|(h265, width, height, pixel_aspect, extra_data)| Picture {
            codec: if h265 {
                VideoCodec::H265
            } else {
                VideoCodec::H264
            },
            width,
            height,
            pixel_aspect,
            extra_data,
        })
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        (any::<u32>(), any::<u32>(), picture(), bytes(500)).prop_map(
            |(job, max_width, picture, unit)| Message::Still {
                job,
                max_width,
                picture,
                unit
            }
        ),
        (".{0,40}", ".{0,400}").prop_map(|(name, text)| Message::Pipeline { name, text }),
        Just(Message::Check),
        picture().prop_map(Message::Configure),
        (any::<bool>(), any::<i64>(), any::<i64>(), bytes(500)).prop_map(
            |(key, pts, received, data)| Message::Unit(Unit {
                key,
                pts,
                received,
                data
            })
        ),
        Just(Message::Stop),
        ".{0,400}".prop_map(|order| Message::Derive { order }),
        (any::<u32>(), bytes(500)).prop_map(|(job, jpeg)| Message::StillDone { job, jpeg }),
        (any::<u32>(), ".{0,60}").prop_map(|(job, why)| Message::StillRefused { job, why }),
        prop::option::of(".{0,60}").prop_map(|problem| Message::Checked { problem }),
        picture().prop_map(Message::Output),
        ".{0,60}".prop_map(|why| Message::Failed { why }),
        Just(Message::Ended),
        any::<u32>().prop_map(|permille| Message::Progress { permille }),
        ".{0,400}".prop_map(|derived| Message::DeriveDone { derived }),
        ".{0,60}".prop_map(|why| Message::DeriveRefused { why }),
    ]
}

proptest! {
    #[test]
    fn messages_survive_a_pipe_that_cuts_anywhere(
        messages in prop::collection::vec(message(), 1..6),
        piece in 1usize..700,
    ) {
        let mut wire = BytesMut::new();
        for m in &messages {
            encode(m, &mut wire).unwrap();
        }
        let mut input = BytesMut::new();
        let mut seen = Vec::new();
        for part in wire.chunks(piece) {
            input.extend_from_slice(part);
            while let Some(m) = decode(&mut input).unwrap() {
                seen.push(m);
            }
        }
        prop_assert_eq!(seen, messages);
        prop_assert!(input.is_empty());
    }

    #[test]
    fn noise_never_panics_and_never_asks_for_memory(noise in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut input = BytesMut::from(&noise[..]);
        while let Ok(Some(_)) = decode(&mut input) {}
        prop_assert!(input.capacity() <= MAX_MESSAGE + 1024);
    }

    #[test]
    fn one_wrong_byte_is_an_error_or_another_message(m in message(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut wire = BytesMut::new();
        encode(&m, &mut wire).unwrap();
        let i = 4 + at.index(wire.len() - 4);
        wire[i] = to;
        match decode(&mut wire) {
            Ok(Some(_)) | Err(_) => {}
            Ok(None) => prop_assert!(false, "the length was not touched, so the message is whole"),
        }
    }
}

#[test]
fn a_length_over_the_limit_is_refused_before_a_byte_is_read() {
    let mut input = BytesMut::from(&u32::MAX.to_le_bytes()[..]);
    assert_eq!(
        decode(&mut input),
        Err(ProtocolError::TooLong(u32::MAX as usize))
    );
}

#[test]
fn a_message_over_the_limit_is_not_sent() {
    let mut out = BytesMut::from(&b"before"[..]);
    let jpeg = Bytes::from(vec![0; MAX_MESSAGE]);
    assert!(matches!(
        encode(&Message::StillDone { job: 1, jpeg }, &mut out),
        Err(ProtocolError::TooLong(_))
    ));
    assert_eq!(&out[..], b"before");
}

#[test]
fn bytes_after_the_last_field_are_refused() {
    let mut out = BytesMut::new();
    encode(&Message::Ended, &mut out).unwrap();
    out.put_u8(0);
    out[0] += 1;
    assert_eq!(
        decode(&mut out),
        Err(ProtocolError::Long { kind: 69, left: 1 })
    );
}
