//! Sentences by type. Our rules first, the `nmea` crate's field parsing behind them, on a sentence written the canonical way.

use nmea::ParseResult;

use super::super::{altitude, course, shown, speed};
use super::fields::{angle, date, decimal, time_of_day};
use crate::model::{GeoPoint, UtcMicros};

const KMH_PER_KNOT: f64 = 1.852;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Position {
    pub place: GeoPoint,
}

/// Recommended minimum: the sentence with a date.
#[derive(Clone, Debug, PartialEq)]
pub struct Rmc {
    /// Microseconds of the day.
    pub time: Option<i64>,
    pub date: Option<UtcMicros>,
    /// `None`: no fix (status V, mode N).
    pub position: Option<Position>,
    pub speed_kmh: Option<f64>,
    pub course_deg: Option<f64>,
    /// FAA mode letter, when told.
    pub mode: Option<char>,
}

impl Rmc {
    pub fn at(&self) -> Option<UtcMicros> {
        Some(self.date? + self.time?)
    }

    /// Not reckoned on (E), typed in (M) or simulated (S).
    pub fn is_satellite_fix(&self) -> bool {
        !matches!(self.mode, Some('E' | 'M' | 'S'))
    }
}

/// Fix data: what RMC lacks.
#[derive(Clone, Debug, PartialEq)]
pub struct Gga {
    pub time: Option<i64>,
    pub position: Option<Position>,
    /// 0 none, 1 GPS, 2 differential, 3 PPS, 4 and 5 RTK, 6 dead reckoning, 7 manual, 8 simulated.
    pub quality: u8,
    pub satellites: Option<u32>,
    pub hdop: Option<f64>,
    pub altitude_m: Option<f64>,
}

impl Gga {
    pub fn is_satellite_fix(&self) -> bool {
        matches!(self.quality, 1..=5)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Sentence {
    Rmc(Rmc),
    Gga(Gga),
    /// GLL and GNS: a place without a date. Checked, not used.
    Place(Option<Position>),
    /// Well formed and of no use for a position: GSV, GSA, VTG, ZDA, TXT, a vendor's own…
    Other,
}

/// The body between `$` and `*`. The error names the field and the rule.
pub fn parse(body: &str) -> Result<Sentence, String> {
    let mut fields = body.split(',');
    let address = fields.next().unwrap_or_default();
    let fields: Vec<&str> = fields.collect();
    if address.len() < 3 || !address.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(format!(
            "`{}` is not the address of a sentence",
            shown(address)
        ));
    }
    // `P` begins a vendor's own sentences; PQ is a vendor's own talker for BeiDou and keeps the standard's layouts.
    let standard = address.len() == 5 && (!address.starts_with('P') || address.starts_with("PQ"));
    let kind = if standard { address.get(2..) } else { None };
    match kind {
        Some("RMC") => rmc(&fields).map(Sentence::Rmc),
        Some("GGA") => gga(&fields).map(Sentence::Gga),
        Some("GLL") => gll(&fields).map(Sentence::Place),
        Some("GNS") => gns(&fields).map(Sentence::Place),
        _ => Ok(Sentence::Other),
    }
    .map_err(|rule| format!("{address}: {rule}"))
}

fn field<'a>(fields: &[&'a str], i: usize) -> &'a str {
    fields.get(i).copied().unwrap_or_default()
}

fn enough(fields: &[&str], least: usize) -> Result<(), String> {
    if fields.len() < least {
        return Err(format!(
            "cut off: {} fields, at least {least} belong to it",
            fields.len()
        ));
    }
    Ok(())
}

/// Latitude, N or S, longitude, E or W, as canonical text.
fn lat_lon(fields: &[&str], from: usize) -> Result<String, String> {
    let lat = angle(field(fields, from), 2, "latitude")?;
    let north = side(field(fields, from + 1), "NS", "latitude")?;
    let lon = angle(field(fields, from + 2), 3, "longitude")?;
    let east = side(field(fields, from + 3), "EW", "longitude")?;
    Ok(format!("{lat},{north},{lon},{east}"))
}

fn side<'a>(text: &'a str, of: &str, name: &str) -> Result<&'a str, String> {
    if text.len() == 1 && of.contains(text) {
        Ok(text)
    } else {
        Err(format!(
            "{name} has the side `{}`, not one of {of}",
            shown(text)
        ))
    }
}

fn single(text: &str, of: &str, name: &str) -> Result<Option<char>, String> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (None, _) => Ok(None),
        (Some(c), None) if of.contains(c) => Ok(Some(c)),
        _ => Err(format!("{name} `{}` does not exist", shown(text))),
    }
}

/// FAA mode indicator (NMEA 2.3, 4.1).
const MODES: &str = "ACDEFMNPRSUV";

/// Hands the canonical sentence to the crate.
fn with_crate<T>(body: &str, pick: impl FnOnce(ParseResult) -> Option<T>) -> Result<T, String> {
    let sum = body.bytes().fold(0u8, |c, b| c ^ b);
    let sentence = format!("${body}*{sum:02X}");
    nmea::parse_str(&sentence)
        .map_err(|e| format!("cannot be read: {e}"))
        .and_then(|r| pick(r).ok_or_else(|| "cannot be read".to_owned()))
}

fn position(lat: Option<f64>, lon: Option<f64>) -> Result<Position, String> {
    let (Some(lat), Some(lon)) = (lat, lon) else {
        return Err("the position is empty".into());
    };
    let place = GeoPoint::new(lon, lat).map_err(|e| e.detail().to_owned())?;
    Ok(Position { place })
}

fn rmc(fields: &[&str]) -> Result<Rmc, String> {
    enough(fields, 9)?;
    let status = single(field(fields, 1), "AV", "status")?.ok_or("status is empty")?;
    let mode = single(field(fields, 11), MODES, "mode")?;
    let void = Rmc {
        time: None,
        date: None,
        position: None,
        speed_kmh: None,
        course_deg: None,
        mode,
    };
    if status == 'V' || mode == Some('N') {
        return Ok(void);
    }
    let place = lat_lon(fields, 2)?;
    let knots = field(fields, 6);
    let track = field(fields, 7);
    decimal(knots, "speed")?;
    decimal(track, "course")?;
    let data = with_crate(&format!("GPRMC,,A,{place},{knots},{track},,,"), |r| {
        if let ParseResult::RMC(data) = r {
            Some(data)
        } else {
            None
        }
    })?;
    Ok(Rmc {
        time: time_of_day(field(fields, 0))?,
        date: date(field(fields, 8))?,
        position: Some(position(data.lat, data.lon)?),
        speed_kmh: data
            .speed_over_ground
            .map(|knots| speed(f64::from(knots) * KMH_PER_KNOT))
            .transpose()?,
        course_deg: data.true_course.map(|c| course(f64::from(c))).transpose()?,
        mode,
    })
}

fn gga(fields: &[&str]) -> Result<Gga, String> {
    enough(fields, 9)?;
    let quality = single(field(fields, 5), "012345678", "quality")?.ok_or("quality is empty")?;
    let quality = u8::try_from(quality.to_digit(10).unwrap_or(0)).unwrap_or(0);
    let time = time_of_day(field(fields, 0))?;
    if quality == 0 {
        return Ok(Gga {
            time,
            position: None,
            quality,
            satellites: None,
            hdop: None,
            altitude_m: None,
        });
    }
    let place = lat_lon(fields, 1)?;
    let [satellites, hdop, height] = [6, 7, 8].map(|i| field(fields, i));
    decimal(satellites, "satellites")?;
    decimal(hdop, "hdop")?;
    decimal(height, "altitude")?;
    let data = with_crate(
        &format!("GPGGA,,{place},{quality},{satellites},{hdop},{height},M,,M,,"),
        |r| {
            if let ParseResult::GGA(data) = r {
                Some(data)
            } else {
                None
            }
        },
    )?;
    Ok(Gga {
        time,
        position: Some(position(data.latitude, data.longitude)?),
        quality,
        satellites: data.fix_satellites,
        hdop: data.hdop.map(f64::from),
        altitude_m: data.altitude.map(|m| altitude(f64::from(m))).transpose()?,
    })
}

fn gll(fields: &[&str]) -> Result<Option<Position>, String> {
    enough(fields, 6)?;
    let status = single(field(fields, 5), "AV", "status")?.ok_or("status is empty")?;
    let mode = single(field(fields, 6), MODES, "mode")?;
    time_of_day(field(fields, 4))?;
    if status == 'V' || mode == Some('N') {
        return Ok(None);
    }
    place_of(&lat_lon(fields, 0)?).map(Some)
}

fn gns(fields: &[&str]) -> Result<Option<Position>, String> {
    enough(fields, 9)?;
    time_of_day(field(fields, 0))?;
    // One letter for each satellite system: GPS, GLONASS, Galileo, BeiDou, QZSS, NavIC.
    let modes = field(fields, 5);
    if modes.len() > 6 || !modes.chars().all(|m| MODES.contains(m)) {
        return Err(format!("mode `{}` does not exist", shown(modes)));
    }
    if modes.chars().all(|m| m == 'N') {
        return Ok(None);
    }
    place_of(&lat_lon(fields, 1)?).map(Some)
}

fn place_of(lat_lon: &str) -> Result<Position, String> {
    let data = with_crate(&format!("GPGLL,{lat_lon},,A,"), |r| {
        if let ParseResult::GLL(data) = r {
            Some(data)
        } else {
            None
        }
    })?;
    position(data.latitude, data.longitude)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(body: &str) -> String {
        parse(body).expect_err(body)
    }

    #[test]
    fn what_the_crate_would_take_is_refused() {
        for (body, rule) in [
            ("GPRMC,1,A", "cut off"),
            (
                "GPRMC,120000,A,9100.0,N,10944.0,E,1,2,110318,,,A",
                "90 degrees",
            ),
            (
                "GPRMC,120000,A,3817.1,N,18044.0,E,1,2,110318,,,A",
                "180 degrees",
            ),
            (
                "GPRMC,120000,A,3860.1,N,10944.0,E,1,2,110318,,,A",
                "60 minutes",
            ),
            (
                "GPRMC,120000,A,3817.1,N,10944.0,E,nan,2,110318,,,A",
                "speed `nan`",
            ),
            (
                "GPRMC,120000,A,3817.1,N,10944.0,E,1,inf,110318,,,A",
                "course `inf`",
            ),
            (
                "GPRMC,120000,A,3817.1,N,10944.0,E,1,361,110318,,,A",
                "course 361",
            ),
            ("GPRMC,120000,A,3817.1,N,10944.0,E,-1,2,110318,,,A", "speed"),
            (
                "GPRMC,120000,D,3817.1,N,10944.0,E,1,2,110318,,,A",
                "status `D`",
            ),
            (
                "GPRMC,120000,A,3817.1,X,10944.0,E,1,2,110318,,,A",
                "side `X`",
            ),
            ("GPRMC,120000,A,,,,,1,2,110318,,,A", "latitude"),
            (
                "GPRMC,120000,A,3817.1,N,10944.0,E,1,2,310218,,,A",
                "does not exist",
            ),
            ("GPRMC,120000,A,3817.1,N,10944.0,E,1,2,110318,,,?", "mode"),
            (
                "GPGGA,120000,3817.1,N,10944.0,E,12,8,1,1058,M,,M,,",
                "quality",
            ),
            (
                "GNGNS,094821.0,4849.93,N,00216.05,E,AAX,14,0.6,161.5,48.0,,",
                "mode `AAX`",
            ),
            ("GPGLL,3926.7952,N,12000.5947,W,022732,D,A", "status `D`"),
            ("$,", "address"),
        ] {
            let rule_broken = why(body);
            assert!(rule_broken.contains(rule), "{body}: {rule_broken}");
        }
    }

    #[test]
    fn what_the_crate_would_refuse_is_taken() {
        let place = |body: &str| {
            let Sentence::Place(Some(p)) = parse(body).expect(body) else {
                panic!("{body} is no place")
            };
            p.place
        };
        assert!((place("IIGLL,5924.462,N,01030.048,E,062216,A").lon - 10.5008).abs() < 1e-7);
        place("GNGNS,094821.0,4849.93,N,00216.05,E,AAN,14,0.6,161.5,48.0,,");
        assert_eq!(parse("GPGSV,4,4,13").unwrap(), Sentence::Other);
        let Sentence::Rmc(leap) =
            parse("BDRMC,235960,A,3817.1,N,10944.0,E,1,2,311216,,,A").unwrap()
        else {
            panic!()
        };
        assert_eq!(
            leap.at().unwrap().to_string(),
            "2017-01-01T00:00:00.000000Z"
        );
    }
}
