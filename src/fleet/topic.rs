//! Which topics to subscribe to, and which level of a topic names the vehicle.
//!
//! A filter is an MQTT filter in which one whole level is `{vehicle}`: `fleet/{vehicle}/position` subscribes to
//! `fleet/+/position`. `+` and a last `#` are as in MQTT; `$share/GROUP/` in front shares the stream between daemons.

use std::fmt;

use crate::model::{Error, Result, VehicleId};

const VEHICLE: &str = "{vehicle}";

#[derive(Clone, Debug, PartialEq, Eq)]
enum Level {
    Text(String),
    Vehicle,
    Any,
    Rest,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicFilter {
    text: String,
    share: Option<String>,
    levels: Vec<Level>,
}

/// How the payload is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadKind {
    Json,
    Nmea,
}

impl PayloadKind {
    /// By the last level of the topic; a payload that begins as a sentence is one wherever it comes.
    pub fn of(topic: &str, payload: &[u8]) -> Self {
        let last = topic.rsplit('/').next().unwrap_or_default();
        let first = payload.iter().find(|b| !b.is_ascii_whitespace());
        if last.eq_ignore_ascii_case("nmea") || matches!(first, Some(b'$' | b'!')) {
            Self::Nmea
        } else {
            Self::Json
        }
    }
}

impl TopicFilter {
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |why: &str| {
            Error::invalid(
                "bad_topic",
                format!("the topic filter `{text}` in [[mqtt]] topics {why}"),
            )
        };
        let (share, rest) = match text.strip_prefix("$share/") {
            None => (None, text),
            Some(shared) => match shared.split_once('/') {
                Some((group, rest)) if !group.is_empty() && !group.contains(['+', '#']) => {
                    (Some(group.to_owned()), rest)
                }
                _ => return Err(bad("must be `$share/GROUP/FILTER`")),
            },
        };
        if rest.is_empty() || text.len() > 1_024 || text.contains('\0') {
            return Err(bad("is empty or longer than 1024 bytes"));
        }
        let parts: Vec<&str> = rest.split('/').collect();
        let mut levels = Vec::with_capacity(parts.len());
        for (i, part) in parts.iter().enumerate() {
            levels.push(match *part {
                VEHICLE => Level::Vehicle,
                "+" => Level::Any,
                "#" if i + 1 == parts.len() => Level::Rest,
                "#" => return Err(bad("has `#` before its end")),
                p if p.contains(['+', '#']) => {
                    return Err(bad("mixes `+` or `#` with other text in one level"));
                }
                p if p.contains(['{', '}']) => {
                    return Err(bad("may have {vehicle} only as a whole level"));
                }
                p => Level::Text(p.to_owned()),
            });
        }
        match levels.iter().filter(|l| **l == Level::Vehicle).count() {
            1 => Ok(Self {
                text: text.to_owned(),
                share,
                levels,
            }),
            0 => Err(bad(
                "must have {vehicle} as one level, as in `fleet/{vehicle}/position`",
            )),
            _ => Err(bad("has {vehicle} twice")),
        }
    }

    /// What the broker is asked for.
    pub fn subscription(&self) -> String {
        let levels: Vec<&str> = self
            .levels
            .iter()
            .map(|l| match l {
                Level::Text(t) => t,
                Level::Vehicle | Level::Any => "+",
                Level::Rest => "#",
            })
            .collect();
        let plain = levels.join("/");
        match &self.share {
            Some(group) => format!("$share/{group}/{plain}"),
            None => plain,
        }
    }

    /// `None`: not a topic of this filter. An error: it is, but its vehicle level cannot be a vehicle's id.
    pub fn vehicle(&self, topic: &str) -> Option<Result<VehicleId>> {
        let mut vehicle = None;
        let mut parts = topic.split('/');
        for level in &self.levels {
            if *level == Level::Rest {
                return vehicle.map(VehicleId::new);
            }
            let part = parts.next()?;
            match level {
                Level::Text(t) if t != part => return None,
                Level::Vehicle => vehicle = Some(part),
                Level::Text(_) | Level::Any | Level::Rest => {}
            }
        }
        if parts.next().is_some() {
            return None;
        }
        vehicle.map(VehicleId::new)
    }
}

impl fmt::Display for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vehicle(filter: &str, topic: &str) -> Option<String> {
        TopicFilter::parse(filter)
            .unwrap()
            .vehicle(topic)
            .map(|v| v.map_or("bad".into(), |v| v.as_str().into()))
    }

    #[test]
    fn the_marked_level_names_the_vehicle() {
        let f = "fleet/{vehicle}/position";
        assert_eq!(
            TopicFilter::parse(f).unwrap().subscription(),
            "fleet/+/position"
        );
        assert_eq!(
            vehicle(f, "fleet/truck-017/position"),
            Some("truck-017".into())
        );
        assert_eq!(vehicle(f, "fleet/truck-017/nmea"), None);
        assert_eq!(vehicle(f, "fleet/truck-017"), None);
        assert_eq!(vehicle(f, "fleet/a/position/x"), None);
        assert_eq!(vehicle(f, "fleet/榆林/position"), Some("bad".into()));
        assert_eq!(vehicle(f, "fleet//position"), Some("bad".into()));
        assert_eq!(vehicle("+/{vehicle}/#", "a/b/c/d"), Some("b".into()));
        assert_eq!(vehicle("+/{vehicle}/#", "a/b"), Some("b".into()));
        let shared = TopicFilter::parse("$share/zb/fleet/{vehicle}/nmea").unwrap();
        assert_eq!(shared.subscription(), "$share/zb/fleet/+/nmea");
        assert!(shared.vehicle("fleet/7/nmea").is_some());
    }

    #[test]
    fn filters_that_cannot_work_are_refused() {
        for bad in [
            "",
            "fleet/+/position",
            "{vehicle}/{vehicle}",
            "fleet/v{vehicle}",
            "#/{vehicle}",
            "a+/{vehicle}",
            "$share/{vehicle}",
            "$share//{vehicle}",
        ] {
            let e = TopicFilter::parse(bad).unwrap_err();
            assert!(e.detail().contains("topic filter"), "{bad}: {e}");
        }
    }

    #[test]
    fn the_kind_is_by_the_last_level_or_the_first_byte() {
        assert_eq!(PayloadKind::of("fleet/7/nmea", b"{}"), PayloadKind::Nmea);
        assert_eq!(
            PayloadKind::of("fleet/7/position", b"{}"),
            PayloadKind::Json
        );
        assert_eq!(
            PayloadKind::of("fleet/7/raw", b"\r\n$GPRMC"),
            PayloadKind::Nmea
        );
        assert_eq!(PayloadKind::of("fleet/7/raw", b""), PayloadKind::Json);
    }
}
