//! The default JSON payload: one position, or an array of them.
//!
//! `{"time": RFC 3339 | epoch seconds | epoch milliseconds, "lon", "lat", "speed_kmh", "course_deg", "altitude_m", "ignition"}`.
//! `lon` and `lat` are required, unknown keys are ignored, numbers may be written as strings, `null` is unknown. One bad element
//! of an array does not cost the others.

use serde_json::{Map, Value};

use super::{Decoded, Place, Refusal, Report, altitude, course, shown, speed};
use crate::model::{FixFlags, GeoPoint, Ignition, UtcMicros};

/// Elements read from one array; a device that was out of reach for hours sends a few thousand.
pub const MAX_ELEMENTS: usize = 10_000;

pub fn decode(payload: &[u8]) -> Decoded {
    let mut out = Decoded::default();
    let bytes = payload.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(payload);
    let value: Value = match serde_json::from_slice(bytes) {
        Ok(value) => value,
        Err(e) => {
            let at = offset(bytes, e.line(), e.column()) + (payload.len() - bytes.len());
            out.refusals
                .push(Refusal::new(Place::Byte(at), format!("not JSON: {e}")));
            return out;
        }
    };
    match &value {
        Value::Object(object) => match report(object) {
            Ok(r) => out.reports.push(r),
            Err(rule) => out.refusals.push(Refusal::new(Place::Byte(0), rule)),
        },
        Value::Array(elements) => {
            for (i, element) in elements.iter().enumerate() {
                let result = if i >= MAX_ELEMENTS {
                    Err(format!("more than {MAX_ELEMENTS} positions in one message"))
                } else {
                    match element.as_object() {
                        Some(object) => report(object),
                        None => Err(format!("{} is not a position object", kind(element))),
                    }
                };
                match result {
                    Ok(r) => out.reports.push(r),
                    Err(rule) => out.refusals.push(Refusal::new(Place::Element(i), rule)),
                }
                if i >= MAX_ELEMENTS {
                    break;
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let rule = format!(
                "{} is not a position; send an object or an array of objects",
                kind(&value)
            );
            out.refusals.push(Refusal::new(Place::Byte(0), rule));
        }
    }
    out
}

fn report(object: &Map<String, Value>) -> Result<Report, String> {
    let required = |key: &str| number(object, key)?.ok_or_else(|| format!("`{key}` is missing"));
    let place =
        GeoPoint::new(required("lon")?, required("lat")?).map_err(|e| e.detail().to_owned())?;
    Ok(Report {
        time: match object.get("time") {
            None | Some(Value::Null) => None,
            Some(value) => Some(time(value)?),
        },
        place,
        speed_kmh: number(object, "speed_kmh")?.map(speed).transpose()?,
        course_deg: number(object, "course_deg")?.map(course).transpose()?,
        altitude_m: number(object, "altitude_m")?.map(altitude).transpose()?,
        ignition: match object.get("ignition") {
            None | Some(Value::Null) => None,
            Some(value) => Some(ignition(value)?),
        },
        flags: FixFlags::default(),
    })
}

fn number(object: &Map<String, Value>, key: &str) -> Result<Option<f64>, String> {
    let wrong = |what: &str| format!("`{key}` is {what}, not a number");
    let n = match object.get(key) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(n)) => n.as_f64(),
        Some(Value::String(text)) => Some(
            text.trim()
                .parse()
                .map_err(|_| wrong(&format!("`{}`", shown(text))))?,
        ),
        Some(other) => return Err(wrong(kind(other))),
    };
    match n {
        Some(n) if n.is_finite() => Ok(Some(n)),
        _ => Err(wrong("not finite")),
    }
}

fn time(value: &Value) -> Result<UtcMicros, String> {
    match value {
        Value::Number(n) => match (n.as_i64(), n.as_f64()) {
            (Some(whole), _) => epoch_whole(whole),
            (None, Some(n)) => epoch(n),
            (None, None) => Err("`time` is not a number we can read".into()),
        },
        Value::String(text) => {
            let text = text.trim();
            if let Ok(whole) = text.parse::<i64>() {
                epoch_whole(whole)
            } else if let Ok(n) = text.parse::<f64>() {
                epoch(n)
            } else {
                UtcMicros::parse(text).map_err(|_| {
                    format!(
                        "`time` `{}` is not RFC 3339 with a zone, nor epoch seconds, nor epoch milliseconds",
                        shown(text)
                    )
                })
            }
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            Err(format!("`time` is {}", kind(value)))
        }
    }
}

/// Seconds below this, milliseconds from it on: the year 5138 as seconds, 1973 as milliseconds.
const MILLISECONDS_FROM: i64 = 100_000_000_000;
/// Milliseconds of the year 5138; microseconds or nanoseconds of our days are beyond.
const MILLISECONDS_TO: i64 = 100_000_000_000_000;

fn epoch_whole(n: i64) -> Result<UtcMicros, String> {
    match n {
        0..MILLISECONDS_FROM => Ok(UtcMicros::from_secs(n)),
        MILLISECONDS_FROM..MILLISECONDS_TO => Ok(UtcMicros::from_millis(n)),
        _ => Err(format!(
            "`time` {n} is neither epoch seconds nor epoch milliseconds"
        )),
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "the range is checked first, and both limits are below 2^53"
)]
fn epoch(n: f64) -> Result<UtcMicros, String> {
    if !(0.0..MILLISECONDS_TO as f64).contains(&n) {
        return Err(format!(
            "`time` {n} is neither epoch seconds nor epoch milliseconds"
        ));
    }
    let unit = if n < MILLISECONDS_FROM as f64 {
        1e6
    } else {
        1e3
    };
    Ok(UtcMicros((n * unit).round() as i64))
}

fn ignition(value: &Value) -> Result<Ignition, String> {
    let on = match value {
        Value::Bool(on) => Some(*on),
        Value::Number(n) => match n.as_i64() {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        },
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "on" | "true" | "1" => Some(true),
            "off" | "false" | "0" => Some(false),
            _ => None,
        },
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    match on {
        Some(true) => Ok(Ignition::On),
        Some(false) => Ok(Ignition::Off),
        None => Err(format!(
            "`ignition` is `{}`, not true or false",
            shown(&value.to_string())
        )),
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// serde_json counts lines and columns; people reading a payload count bytes.
fn offset(bytes: &[u8], line: usize, column: usize) -> usize {
    let start: usize = bytes
        .split_inclusive(|b| *b == b'\n')
        .take(line.saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    (start + column.saturating_sub(1)).min(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(payload: &str) -> Report {
        let mut d = decode(payload.as_bytes());
        assert_eq!(d.refusals, [], "{payload}");
        assert_eq!(d.reports.len(), 1, "{payload}");
        d.reports.remove(0)
    }

    fn refused(payload: &str) -> String {
        let d = decode(payload.as_bytes());
        assert_eq!(d.reports, [], "{payload}");
        assert_eq!(d.refusals.len(), 1, "{payload}");
        d.refusals[0].to_string()
    }

    #[test]
    fn every_way_to_write_a_time() {
        let t = Some(UtcMicros(1_767_254_400_000_000));
        for time in [
            r#""2026-01-01T08:00:00Z""#,
            r#""2026-01-01T16:00:00+08:00""#,
            "1767254400",
            "1767254400000",
            r#""1767254400""#,
            r#"" 1767254400000 ""#,
            "1767254400.0",
        ] {
            assert_eq!(
                one(&format!(r#"{{"time":{time},"lon":109.7,"lat":38.3}}"#)).time,
                t
            );
        }
        assert_eq!(
            one(r#"{"time":1767254400.25,"lon":109.7,"lat":38.3}"#).time,
            Some(UtcMicros(1_767_254_400_250_000))
        );
        for time in [
            r#""2026-01-01T08:00:00""#,
            r#""2026-01-01 08:00""#,
            r#""yesterday""#,
            "-5",
            "1767254400000000",
            r#""NaN""#,
            "true",
            "[]",
            r#""""#,
            "1e300",
        ] {
            let why = refused(&format!(r#"{{"time":{time},"lon":109.7,"lat":38.3}}"#));
            assert!(why.contains("`time`"), "{time}: {why}");
        }
        assert_eq!(
            one(r#"{"lon":109.7,"lat":38.3,"time":null}"#).time,
            None,
            "no time is unknown, not an error"
        );
    }

    #[test]
    fn the_whole_position() {
        let r = one(
            r#"{"time":"2026-01-01T08:00:00Z","lon":"109.7","lat":38.3,"speed_kmh":31.5,"course_deg":360,
                "altitude_m":-3,"ignition":true,"plate":"陕K12345","extra":{"deep":[1,2]}}"#,
        );
        assert_eq!(
            r.place,
            GeoPoint {
                lon: 109.7,
                lat: 38.3
            }
        );
        assert_eq!(r.speed_kmh, Some(31.5));
        assert_eq!(r.course_deg, Some(0.0), "360° is 0°");
        assert_eq!(r.altitude_m, Some(-3.0));
        assert_eq!(r.ignition, Some(Ignition::On));
        let bare = one(r#"{"lon":0,"lat":0}"#);
        assert_eq!(
            (bare.speed_kmh, bare.course_deg, bare.ignition),
            (None, None, None)
        );
        assert_eq!(
            one(r#"{"lon":1,"lat":1,"ignition":"OFF"}"#).ignition,
            Some(Ignition::Off)
        );
    }

    #[test]
    fn what_is_impossible_is_refused_with_its_rule() {
        for (payload, rule) in [
            (r#"{"lon":109.7,"lat":91}"#, "latitude 91"),
            (r#"{"lon":181,"lat":1}"#, "longitude 181"),
            (r#"{"lat":1}"#, "`lon` is missing"),
            (r#"{"lon":null,"lat":1}"#, "`lon` is missing"),
            (r#"{"lon":"abc","lat":1}"#, "`abc`"),
            (r#"{"lon":"NaN","lat":1}"#, "not finite"),
            (r#"{"lon":1,"lat":1,"speed_kmh":-1}"#, "speed -1"),
            (r#"{"lon":1,"lat":1,"speed_kmh":"inf"}"#, "`speed_kmh`"),
            (r#"{"lon":1,"lat":1,"course_deg":361}"#, "course 361"),
            (r#"{"lon":1,"lat":1,"ignition":7}"#, "`ignition`"),
            ("7", "a number is not a position"),
            ("", "not JSON"),
            (r#"{"lon":1,"#, "at byte 8"),
        ] {
            let why = refused(payload);
            assert!(why.contains(rule), "{payload}: {why}");
        }
    }

    #[test]
    fn one_bad_element_does_not_cost_the_others() {
        let d = decode(br#"[{"lon":1,"lat":1},{"lon":1,"lat":99},{"lon":2,"lat":2},null]"#);
        assert_eq!(d.reports.len(), 2);
        assert_eq!(d.refusals.len(), 2);
        assert_eq!(d.refusals[0].place, Place::Element(1));
        assert_eq!(
            d.refusals[1].to_string(),
            "in element 3: null is not a position object"
        );
        assert_eq!(decode(b"[]"), Decoded::default());
        let many = format!(
            "[{}]",
            vec![r#"{"lon":1,"lat":1}"#; MAX_ELEMENTS + 5].join(",")
        );
        let d = decode(many.as_bytes());
        assert_eq!((d.reports.len(), d.refusals.len()), (MAX_ELEMENTS, 1));
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(bytes: Vec<u8>) {
            decode(&bytes);
        }

        #[test]
        fn any_values_of_the_keys_are_decoded_or_refused(a in ".*", n: f64, i: i64) {
            let v = serde_json::json!({"time": i, "lon": n, "lat": a, "speed_kmh": n, "course_deg": i, "ignition": n});
            let d = decode(v.to_string().as_bytes());
            for r in &d.reports {
                prop_assert!(GeoPoint::new(r.place.lon, r.place.lat).is_ok());
            }
            prop_assert_eq!(d.reports.len() + d.refusals.len(), 1);
        }
    }
}
