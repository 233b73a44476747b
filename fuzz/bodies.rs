//! What each fuzz target does with its bytes. Also replayed over the corpus on stable Rust by `tests/fuzz_corpus.rs`.
//!
//! A new parser gets a function here (or in its room's `fuzzing` module when it is private), an entry in [`ALL`], a file of its
//! name in `fuzz_targets/`, a `[[bin]]` and a corpus folder.

use std::path::Path;

use zhenbei::api::range::{Wanted, wanted};
use zhenbei::archive::fuzzing as archive;
use zhenbei::config::{Environment, parse, parse_site};
use zhenbei::fleet::decode::{json, nmea};
use zhenbei::fleet::topic::TopicFilter;
use zhenbei::live::{Header, Request};
use zhenbei::media::fuzzing as media;
use zhenbei::model::{self, CameraPolicies, TlsPolicy};
use zhenbei::store::database::folded_rows;
use zhenbei::video::fuzzing as video;

use super::meter;

#[derive(Clone, Copy)]
pub struct Target {
    pub name: &'static str,
    pub body: fn(&[u8]),
    /// Memory a body may hold beside [`PER_BYTE`] for each byte of its input.
    pub memory: usize,
}

/// Values are larger than the bytes that ask for them (a sample of 2 bytes is one of 16), and vectors double.
const PER_BYTE: usize = 64;
const USUAL: usize = 256 << 10;

const fn target(name: &'static str, body: fn(&[u8])) -> Target {
    Target {
        name,
        body,
        memory: USUAL,
    }
}

const fn with_memory(name: &'static str, body: fn(&[u8]), memory: usize) -> Target {
    Target { name, body, memory }
}

pub const ALL: &[Target] = &[
    target("access_unit", access_unit),
    target("camera_address", video::camera_address),
    target("camera_clock", video::camera_clock),
    target("camera_policies", camera_policies),
    target("clip_plan", archive::clip_plan),
    with_memory("config", config, 4 << 20),
    target("fragment", archive::fragment),
    target("index_rows", folded_rows),
    target("ingest_message", media::ingest_message),
    target("live_fragments", archive::live_fragments),
    target("live_message", live_message),
    target("mp4_movie", media::mp4_movie),
    target("nmea", nmea_sentences),
    target("parameter_sets", media::parameter_sets),
    target("position_json", position_json),
    target("range_header", range_header),
    // Its input says how long frames are.
    with_memory("recorded_frames", archive::recorded_frames, 2 << 20),
    target("rtp_packets", media::rtp_packets),
    target("sample_table", archive::sample_table),
    target("segment_head", archive::segment_head),
    // Looks four megabytes ahead for what is whole behind damage.
    with_memory("segment_scan", archive::segment_scan, 6 << 20),
    with_memory("site", site, 4 << 20),
    target("stream_params", archive::stream_params),
    target("topic", topic),
    // Room for a whole message is made as soon as its length is known and below the limit (24 MiB).
    with_memory("worker_messages", media::worker_messages, 50 << 20),
];

/// At compile time, so that a fuzz target holds no other body: the fuzzer looks through all code that is there after each input.
pub const fn find(name: &str) -> Target {
    let mut i = 0;
    while i < ALL.len() {
        if same(ALL[i].name.as_bytes(), name.as_bytes()) {
            return ALL[i];
        }
        i += 1;
    }
    panic!("no target has this name");
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}

/// One execution, with its memory counted.
pub fn run(target: &Target, data: &[u8]) {
    let held = meter::most_held(|| (target.body)(data));
    let allowed = target.memory + PER_BYTE * data.len();
    assert!(
        held <= allowed,
        "{} held {held} bytes for an input of {}",
        target.name,
        data.len()
    );
}

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

/// Both back-ends say the same of an H.265 picture.
pub fn access_unit(data: &[u8]) {
    media::access_unit(data);
    assert_eq!(media::is_h265_key(data), video::is_irap(data));
}

/// A word of any policy, a policy for certificates, or all policies of a camera as JSON.
pub fn camera_policies(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    macro_rules! word {
        ($($kind:ident)*) => {$(
            if let Ok(word) = text.parse::<model::$kind>() {
                assert_eq!(word.to_string(), text);
            }
        )*};
    }
    word!(Transport TeardownPolicy InitialTimestampPolicy InitialSequencePolicy UnknownRtcpSsrcPolicy
        UnassignedChannelPolicy SessionIdPolicy TimestampJumpPolicy KeepalivePolicy BackendPolicy SoundPolicy);
    if let Ok(tls) = text.parse::<TlsPolicy>() {
        assert_eq!(tls.to_string().parse(), Ok(tls));
    }
    if let Ok(policies) = serde_json::from_str::<CameraPolicies>(text) {
        let again = serde_json::from_value::<CameraPolicies>(policies.to_json());
        assert!(again.is_ok_and(|again| again == policies));
        let may_be = policies.reorder_wait_ms <= 5_000 && policies.tls != TlsPolicy::Unreadable;
        assert_eq!(policies.check().is_ok(), may_be);
    }
}
