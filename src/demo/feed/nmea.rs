//! NMEA 0183 sentences as vehicle receivers write them: RMC and GGA, one pair a fix.

use crate::demo::traffic::Motion;
use crate::model::UtcMicros;

use super::{altitude_m, rounded};

/// Which satellites the receiver says it used (NMEA 0183 §5 talker ids; BD is the older Chinese one for BeiDou).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Talker {
    Mixed,
    Gps,
    Beidou,
}

impl Talker {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mixed => "GN",
            Self::Gps => "GP",
            Self::Beidou => "BD",
        }
    }
}

/// XOR of everything between `$` and `*`.
pub fn checksum(body: &str) -> u8 {
    body.bytes().fold(0, |sum, b| sum ^ b)
}

const KNOTS_PER_MS: f64 = 1.943_844;

pub(super) fn sentences(talker: Talker, time: UtcMicros, motion: Motion) -> String {
    let (clock, date) = clock_and_date(time);
    let place = motion.measured.to_geo();
    let (lat, lon) = (
        degrees_minutes(place.lat, 2, ['N', 'S']),
        degrees_minutes(place.lon, 3, ['E', 'W']),
    );
    let knots = rounded(motion.speed_ms * KNOTS_PER_MS, 100.0);
    let course = rounded(motion.course_deg, 10.0) % 360.0;
    let talker = talker.as_str();
    let mut out = String::with_capacity(180);
    finish(
        &mut out,
        &format!("{talker}RMC,{clock},A,{lat},{lon},{knots:.2},{course:.1},{date},,,A"),
    );
    let altitude = altitude_m(motion.measured);
    finish(
        &mut out,
        &format!("{talker}GGA,{clock},{lat},{lon},1,14,0.8,{altitude:.1},M,-29.4,M,,"),
    );
    out
}

/// No satellites: status V, quality 0, no position.
pub(super) fn void(talker: Talker, time: UtcMicros) -> String {
    let (clock, date) = clock_and_date(time);
    let talker = talker.as_str();
    let mut out = String::with_capacity(120);
    finish(&mut out, &format!("{talker}RMC,{clock},V,,,,,,,{date},,,N"));
    finish(
        &mut out,
        &format!("{talker}GGA,{clock},,,,,0,00,99.9,,M,,M,,"),
    );
    out
}

fn finish(out: &mut String, body: &str) {
    // Writing to a String cannot fail.
    out.push_str(&format!("${body}*{:02X}\r\n", checksum(body)));
}

/// `hhmmss.ss` and `ddmmyy`, UTC.
fn clock_and_date(time: UtcMicros) -> (String, String) {
    let stamp = jiff::Timestamp::from_microsecond(time.micros()).unwrap_or_default();
    let t = jiff::tz::TimeZone::UTC.to_datetime(stamp);
    (
        format!(
            "{:02}{:02}{:02}.{:02}",
            t.hour(),
            t.minute(),
            t.second(),
            t.subsec_nanosecond() / 10_000_000
        ),
        format!(
            "{:02}{:02}{:02}",
            t.day(),
            t.month(),
            t.year().rem_euclid(100)
        ),
    )
}

/// `ddmm.mmmmm,N`: degrees and decimal minutes.
fn degrees_minutes(value: f64, digits: usize, letters: [char; 2]) -> String {
    let letter = if value < 0.0 { letters[1] } else { letters[0] };
    // Rounded before it is split, or 59.999999 would print as 60 minutes.
    let minutes = (value.abs() * 60.0 * 1e5).round() / 1e5;
    let degrees = (minutes / 60.0).floor();
    let rest = minutes - degrees * 60.0;
    format!("{degrees:0digits$.0}{rest:08.5},{letter}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_a_known_receiver() {
        let body = "GPGGA,092750.000,5321.6802,N,00630.3372,W,1,8,1.03,61.7,M,55.2,M,,";
        assert_eq!(checksum(body), 0x76);
    }

    #[test]
    fn minutes_never_reach_sixty() {
        assert_eq!(degrees_minutes(38.5, 2, ['N', 'S']), "3830.00000,N");
        assert_eq!(
            degrees_minutes(109.999_999_999_9, 3, ['E', 'W']),
            "11000.00000,E"
        );
        assert_eq!(degrees_minutes(-6.505_62, 3, ['E', 'W']), "00630.33720,W");
    }
}
