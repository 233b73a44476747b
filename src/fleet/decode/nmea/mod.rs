//! NMEA 0183 from vehicles: sentences to positions.
//!
//! RMC carries the position, since it alone has the date; a GGA of the same second adds altitude and quality. A sentence without
//! fix (status V, mode N) shows that the device lives and moves nothing. Talkers are any two letters: GP, GN, BD, GB, GL, GA, PQ.

mod fields;
mod frame;
mod sentence;

use super::{Decoded, Place, Refusal, Report};
use crate::model::{FixFlag, FixFlags};

pub use frame::{Frame, FrameError, Framer, MAX_SENTENCE};
pub use sentence::{Gga, Position, Rmc, Sentence, parse};

/// What a source permits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Take sentences without a checksum; what comes of them is marked `no_checksum`.
    pub allow_no_checksum: bool,
}

/// Decodes a payload that holds whole sentences: one, several, with or without line ends between them.
pub fn decode(payload: &[u8], options: Options) -> Decoded {
    let mut framer = Framer::default();
    let mut joiner = Joiner::new(options);
    for frame in framer.push(payload) {
        joiner.take(frame);
    }
    for frame in framer.finish() {
        joiner.take(frame);
    }
    joiner.finish()
}

/// A horizontal dilution above this says that the satellites stand badly. 99.99 is how chips write "no idea".
const POOR_HDOP: f64 = 10.0;

#[derive(Default)]
struct Joiner {
    options: Options,
    out: Decoded,
    rmcs: Vec<(Rmc, bool)>,
    ggas: Vec<Gga>,
}

impl Joiner {
    fn new(options: Options) -> Self {
        Self {
            options,
            ..Self::default()
        }
    }

    fn refuse(&mut self, at: usize, rule: String) {
        self.out.refusals.push(Refusal::new(Place::Byte(at), rule));
    }

    fn take(&mut self, frame: Result<Frame, FrameError>) {
        let frame = match frame {
            Ok(frame) => frame,
            Err(e) => return self.refuse(e.at, e.rule),
        };
        if !frame.has_checksum && !self.options.allow_no_checksum {
            let rule = format!(
                "no checksum: `{}`; set allow_no_checksum for this source to take such sentences",
                super::shown(&frame.body)
            );
            return self.refuse(frame.at, rule);
        }
        match parse(&frame.body) {
            Ok(Sentence::Rmc(rmc)) if rmc.position.is_some() => {
                self.rmcs.push((rmc, frame.has_checksum));
            }
            Ok(Sentence::Gga(gga)) => {
                self.ggas.push(gga);
                self.out.without_position += 1;
            }
            Ok(_) => self.out.without_position += 1,
            Err(rule) => self.refuse(frame.at, rule),
        }
    }

    fn finish(mut self) -> Decoded {
        for (rmc, has_checksum) in std::mem::take(&mut self.rmcs) {
            let Some(position) = rmc.position else {
                continue;
            };
            // The same second of the day: one receiver writes both in the same epoch.
            let gga = self
                .ggas
                .iter()
                .find(|g| g.time.is_some() && g.time == rmc.time);
            let mut flags = FixFlags::default();
            if !has_checksum {
                flags.set(FixFlag::NoChecksum);
            }
            let poor = gga.is_some_and(|g| {
                !g.is_satellite_fix() || g.hdop.is_some_and(|hdop| hdop > POOR_HDOP)
            });
            if poor || !rmc.is_satellite_fix() {
                flags.set(FixFlag::LowQuality);
            }
            self.out.reports.push(Report {
                time: rmc.at(),
                place: position.place,
                speed_kmh: rmc.speed_kmh,
                course_deg: rmc.course_deg,
                altitude_m: gga.and_then(|g| g.altitude_m),
                ignition: None,
                flags,
            });
        }
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UtcMicros;
    use proptest::prelude::*;

    const RMC: &str = "$GNRMC,052345.77,A,4210.472433,N,02445.362882,E,0.0,,130422,3.2,E,A,V*7D";
    const GGA: &str = "$GNGGA,052345.77,4210.472433,N,02445.362882,E,1,12,0.7,171.9,M,36.9,M,,*71";

    fn sum(body: &str) -> String {
        let sum = body.bytes().fold(0u8, |c, b| c ^ b);
        format!("${body}*{sum:02X}")
    }

    fn strict(payload: &str) -> Decoded {
        decode(payload.as_bytes(), Options::default())
    }

    #[test]
    fn rmc_and_gga_of_one_second_are_one_position() {
        for payload in [
            format!("{RMC}\r\n{GGA}\r\n"),
            format!("{GGA}{RMC}"),
            format!("noise {RMC}\n\n{GGA}"),
        ] {
            let d = strict(&payload);
            assert_eq!(d.refusals, [], "{payload}");
            let [r] = d.reports.as_slice() else {
                panic!("{payload}: {d:?}")
            };
            assert_eq!(
                r.time,
                Some(UtcMicros::parse("2022-04-13T05:23:45.77Z").unwrap())
            );
            assert_eq!(r.altitude_m.map(f64::round), Some(172.0));
            assert_eq!((r.speed_kmh, r.course_deg), (Some(0.0), None));
            assert_eq!(r.flags, FixFlags::default());
        }
        assert_eq!(strict(GGA).reports, [], "without RMC there is no date");
        let other_second = sum("GNGGA,052346.77,4210.47,N,02445.36,E,1,12,0.7,171.9,M,36.9,M,,");
        assert_eq!(
            strict(&format!("{RMC}\n{other_second}")).reports[0].altitude_m,
            None
        );
    }

    #[test]
    fn a_void_sentence_moves_nothing_and_is_no_error() {
        let d = strict("$GPRMC,192350.000,V,0000.0000,N,00000.0000,E,,,110318,,*12");
        assert_eq!(
            (d.reports.len(), d.refusals.len(), d.without_position),
            (0, 0, 1)
        );
        // Status A, but the mode says that there is no fix.
        let d = strict(&sum("GPRMC,192350,A,3817.1,N,10944.0,E,1,2,110318,,,N"));
        assert_eq!(
            (d.reports.len(), d.refusals.len(), d.without_position),
            (0, 0, 1)
        );
    }

    #[test]
    fn poor_and_unchecked_fixes_are_marked() {
        let manual = sum("GPRMC,192350,A,3817.1,N,10944.0,E,1,2,110318,,,M");
        assert!(strict(&manual).reports[0].flags.has(FixFlag::LowQuality));
        let good = sum("GPRMC,192350,A,3817.1,N,10944.0,E,1,2,110318,,,A");
        let wide = sum("GPGGA,192350,3817.1,N,10944.0,E,1,4,22.5,1058.4,M,,M,,");
        assert!(
            strict(&format!("{good}{wide}")).reports[0]
                .flags
                .has(FixFlag::LowQuality)
        );
        let bare = "$GPRMC,192350,A,3817.1,N,10944.0,E,1,2,110318,,,A";
        assert!(strict(bare).refusals[0].rule.contains("no checksum"));
        let lax = Options {
            allow_no_checksum: true,
        };
        let d = decode(bare.as_bytes(), lax);
        assert!(d.reports[0].flags.has(FixFlag::NoChecksum));
        // Allowing none does not allow a wrong one.
        let wrong = decode(format!("{bare}*00").as_bytes(), lax);
        assert!(wrong.reports.is_empty() && wrong.refusals[0].rule.contains("checksum"));
    }

    #[test]
    fn one_bad_sentence_does_not_cost_the_others() {
        let bad = RMC.replace("A,4210", "A,4211");
        let d = strict(&format!("{bad}\r\n{RMC}\r\ngarbage\r\n"));
        assert_eq!(d.reports.len(), 1);
        assert_eq!(d.refusals.len(), 1);
        assert_eq!(d.refusals[0].place, Place::Byte(0));
    }

    #[test]
    fn a_payload_without_a_sentence_is_refused() {
        for payload in ["", "hello", "\u{0}\u{1}"] {
            let d = strict(payload);
            assert_eq!((d.reports.len(), d.refusals.len()), (0, 1), "{payload:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(bytes: Vec<u8>, allow_no_checksum: bool) {
            decode(&bytes, Options { allow_no_checksum });
        }

        #[test]
        fn any_fields_are_decoded_or_refused(
            fields in prop::collection::vec("[0-9A-Zaznf.,+-]{0,12}", 0..16),
            kind in "(GP|BD|PQ|P)(RMC|GGA|GLL|GNS|VTG|ZDA|GSV)",
        ) {
            let d = decode(sum(&format!("{kind},{}", fields.join(","))).as_bytes(), Options::default());
            for r in d.reports {
                prop_assert!(crate::model::GeoPoint::new(r.place.lon, r.place.lat).is_ok());
                prop_assert!(r.speed_kmh.is_none_or(f64::is_finite));
                prop_assert!(r.course_deg.is_none_or(|c| (0.0..360.0).contains(&c)));
            }
        }

        #[test]
        fn cutting_the_payload_anywhere_changes_nothing(cut in 0usize..160) {
            let whole = format!("{RMC}\r\n{GGA}\r\n");
            let bytes = whole.as_bytes();
            let cut = cut.min(bytes.len());
            let mut framer = Framer::default();
            let mut frames = framer.push(&bytes[..cut]);
            frames.extend(framer.push(&bytes[cut..]));
            frames.extend(framer.finish());
            prop_assert_eq!(frames.len(), 2);
            prop_assert!(frames.iter().all(Result::is_ok));
        }
    }
}
