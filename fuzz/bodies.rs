//! What each fuzz target does with its bytes. Also replayed over the corpus on stable Rust by `tests/fuzz_corpus.rs`.
//!
//! A new parser gets a function here, a file of its name in `fuzz_targets/`, an entry in [`ALL`] and a corpus folder.

use std::path::Path;

use zhenbei::api::range::{Wanted, wanted};
use zhenbei::config::{Environment, parse, parse_site};
use zhenbei::fleet::decode::{json, nmea};
use zhenbei::fleet::topic::TopicFilter;
use zhenbei::live::{Header, Request};

pub type Body = fn(&[u8]);

pub const ALL: &[(&str, Body)] = &[
    ("config", config),
    ("position_json", position_json),
    ("nmea", nmea_sentences),
    ("site", site),
    ("topic", topic),
    ("range_header", range_header),
    ("live_message", live_message),
    ("ingest_message", ingest_message),
    ("ingest_rtp", ingest_rtp),
    ("sender_report", sender_report),
    ("camera_policies", camera_policies),
];

/// Reading twice gives the same, and every complaint stands on a line that exists.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    // Secrets from files would make the answer depend on the machine.
    if text.contains("${file:") {
        return;
    }
    let read = || parse(Path::new("f"), text, &Environment::default());
    match (read(), read()) {
        (Ok(a), Ok(b)) => assert!(a.config == b.config || text.contains("nan")),
        (Err(a), Err(b)) => {
            assert_eq!(a, b);
            assert!(!a.items.is_empty());
            lines_exist(&a, text);
        }
        _ => panic!("read once, refused once"),
    }
}

pub fn site(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if text.contains("${file:") {
        return;
    }
    match parse_site(Path::new("f"), text, &Environment::default()) {
        Ok(site) => {
            let mut ids: Vec<_> = site.cameras.iter().map(|c| c.id.as_str()).collect();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), site.cameras.len(), "an id twice");
            assert!(
                site.cameras
                    .iter()
                    .all(|c| c.place.lon.abs() <= 180.0 && c.place.lat.abs() <= 90.0)
            );
        }
        Err(e) => lines_exist(&e, text),
    }
}

fn lines_exist(e: &zhenbei::config::ConfigErrors, text: &str) {
    let lines = 1 + text.bytes().filter(|b| *b == b'\n').count();
    for item in &e.items {
        if let zhenbei::config::Origin::Line(n) = item.origin {
            assert!((1..=lines).contains(&n), "line {n} of {lines}");
        }
    }
}

fn on_earth(decoded: &zhenbei::fleet::decode::Decoded) {
    for r in &decoded.reports {
        assert!(
            r.place.lon.abs() <= 180.0 && r.place.lat.abs() <= 90.0,
            "{r:?}"
        );
        assert!(
            r.speed_kmh.is_none_or(|v| v >= 0.0 && v.is_finite()),
            "{r:?}"
        );
        assert!(
            r.course_deg.is_none_or(|c| (0.0..360.0).contains(&c)),
            "{r:?}"
        );
    }
}

pub fn position_json(data: &[u8]) {
    on_earth(&json::decode(data));
}

/// Also: how the bytes are cut on their way does not change what they say.
pub fn nmea_sentences(data: &[u8]) {
    for allow_no_checksum in [false, true] {
        on_earth(&nmea::decode(data, nmea::Options { allow_no_checksum }));
    }
    let whole = frames([data]);
    let (a, b) = data.split_at(data.len() / 2);
    assert_eq!(whole, frames([a, b]));
}

fn frames<const N: usize>(parts: [&[u8]; N]) -> String {
    let mut framer = nmea::Framer::default();
    let mut all: Vec<_> = parts.iter().flat_map(|p| framer.push(p)).collect();
    all.extend(framer.finish());
    format!("{all:?}")
}

/// First line a filter, second a topic.
pub fn topic(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (filter, topic) = text.split_once('\n').unwrap_or((text, ""));
    if let Ok(filter) = TopicFilter::parse(filter) {
        // The name of a shared group is the operator's.
        let asked = filter.subscription();
        let plain = asked
            .strip_prefix("$share/")
            .and_then(|s| s.split_once('/'));
        let levels = plain.map_or(asked.as_str(), |(_, levels)| levels);
        assert!(!levels.contains("{vehicle}"));
        if let Some(Ok(id)) = filter.vehicle(topic) {
            assert!(topic.split('/').any(|level| level == id.as_str()));
        }
    }
}

/// Whatever a player asks for lies inside the file.
pub fn range_header(data: &[u8]) {
    let Some((len, text)) = data.split_first_chunk::<4>() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let len = u64::from(u32::from_be_bytes(*len));
    if let Wanted::Part(part) = wanted(Some(text), len) {
        assert!(part.start < part.end && part.end <= len);
    }
}

/// A wall's request is understood or refused; a frame's header that is understood is written the same again.
pub fn live_message(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        // Refusing is fine; panicking is not.
        serde_json::from_str::<Request>(text).ok();
    }
    if let Some((header, payload)) = Header::parse(data) {
        let again = header.with_payload(payload);
        assert_eq!(Header::parse(&again), Some((header, payload)));
    }
}

/// What an ingest worker says is understood or refused, and written the same again.
pub fn ingest_message(data: &[u8]) {
    assert!(zhenbei::media::replay_ingest_message(data));
}

/// RTP packets from a stranger: a byte with the length before each.
pub fn ingest_rtp(data: &[u8]) {
    zhenbei::media::replay_rtp_packets(data);
}

/// The first eight bytes are the newest picture's RTP time; the rest is RTCP.
pub fn sender_report(data: &[u8]) {
    use zhenbei::model::UtcMicros;
    let Some((near, packet)) = data.split_first_chunk::<8>() else {
        return;
    };
    let near = i64::from_be_bytes(*near);
    let now = UtcMicros::from_secs(1_795_000_000);
    let mut clock = zhenbei::video::ClockReader::new(90_000);
    if let Some(report) = zhenbei::video::sender_report(packet) {
        clock.report(report.ntp, report.rtp, near, now);
        clock.report(report.ntp ^ 1, report.rtp.wrapping_add(90_000), near, now);
    }
    clock.at_picture(near, now);
}

/// Words and JSON of what of a camera is borne: what is read is written the same.
pub fn camera_policies(data: &[u8]) {
    use zhenbei::model::{CameraPolicies, TlsPolicy, Transport};
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(tls) = text.parse::<TlsPolicy>() {
        assert_eq!(tls.to_string().parse(), Ok(tls));
    }
    if let Ok(transport) = text.parse::<Transport>() {
        assert_eq!(transport.as_str(), text);
    }
    if let Ok(policies) = serde_json::from_str::<CameraPolicies>(text)
        && policies.check().is_ok()
    {
        let again = policies.to_json().to_string();
        assert_eq!(
            serde_json::from_str::<CameraPolicies>(&again).ok(),
            Some(policies)
        );
    }
}
