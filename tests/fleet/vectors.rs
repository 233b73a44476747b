//! Decoders on fixtures of our own, and on the project's collection of real sentences and payloads where it lies beside the
//! project (`../shared/vectors`).

use std::path::{Path, PathBuf};

use serde_json::Value;
use zhenbei::fleet::decode::nmea::{self, Options};
use zhenbei::fleet::decode::{Decoded, json};
use zhenbei::model::{FixFlag, GeoPoint, Ignition, UtcMicros};

const STRICT: Options = Options {
    allow_no_checksum: false,
};
const LAX: Options = Options {
    allow_no_checksum: true,
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn fixture(path: &str) -> Vec<u8> {
    let path = root().join("tests/fixtures").join(path);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// `None`, said loudly, where the collection is not there.
fn collection(name: &str) -> Option<Vec<Value>> {
    let path = root().join("../shared/vectors").join(name);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(e) => {
            eprintln!(
                "ABSENT: {} ({e}); only the fixtures of this project were decoded",
                Path::new(&path).display()
            );
            return None;
        }
    };
    let mut file: Value = serde_json::from_slice(&text).unwrap();
    let Value::Array(cases) = file["cases"].take() else {
        panic!("no cases in {name}")
    };
    assert!(!cases.is_empty());
    Some(cases)
}

#[test]
fn our_sentences_come_out_as_written_beside_them() {
    let text = String::from_utf8(fixture("nmea/sentences.txt")).unwrap();
    let mut seen = 0;
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let mut parts = line.splitn(3, ' ');
        let (outcome, name, sentence) = (
            parts.next().unwrap(),
            parts.next().unwrap(),
            parts.next().unwrap(),
        );
        let d = nmea::decode(sentence.as_bytes(), STRICT);
        let got = (d.reports.len(), d.refusals.len(), d.without_position);
        let want = match outcome {
            "fix" => (1, 0, 0),
            "void" => (0, 0, 1),
            "refused" => (0, 1, 0),
            "unchecked" => {
                let lax = nmea::decode(sentence.as_bytes(), LAX);
                assert!(lax.reports[0].flags.has(FixFlag::NoChecksum), "{name}");
                (0, 1, 0)
            }
            other => panic!("{name}: {other}?"),
        };
        assert_eq!(got, want, "{name}: {d:?}");
        seen += 1;
    }
    assert_eq!(seen, 10);
}

#[test]
fn our_payloads_are_positions() {
    let one = json::decode(&fixture("mqtt/one.json"));
    let r = &one.reports[0];
    assert_eq!(r.time.unwrap().to_string(), "2026-01-01T08:00:00.000000Z");
    assert_eq!(
        r.place,
        GeoPoint {
            lon: 109.7345,
            lat: 38.2852
        }
    );
    assert_eq!(
        (r.speed_kmh, r.course_deg, r.altitude_m, r.ignition),
        (Some(31.5), Some(270.0), Some(1058.4), Some(Ignition::On))
    );
    let texts = json::decode(&fixture("mqtt/texts.json"));
    assert_eq!(texts.reports[0].time, r.time);
    assert_eq!(texts.reports[0].place, r.place);
    let batch = json::decode(&fixture("mqtt/batch-with-one-bad.json"));
    assert_eq!((batch.reports.len(), batch.refusals.len()), (2, 1));
    assert_eq!(
        json::decode(&fixture("mqtt/no-time.json")).reports[0].time,
        None
    );
}

fn near(got: f64, want: f64, within: f64) -> bool {
    (got - want).abs() <= within
}

/// The expected values of a collected sentence against what came out.
fn check_fix(id: &str, d: &Decoded, expected: &Value) {
    let [r] = d.reports.as_slice() else {
        panic!("{id}: wanted one fix: {d:?}")
    };
    assert_eq!(d.refusals, [], "{id}");
    let number = |key: &str| expected[key].as_f64();
    assert!(
        near(r.place.lat, number("lat").unwrap(), 1e-7),
        "{id}: {r:?}"
    );
    assert!(
        near(r.place.lon, number("lon").unwrap(), 1e-7),
        "{id}: {r:?}"
    );
    match number("speed_kn") {
        Some(kn) => assert!(near(r.speed_kmh.unwrap(), kn * 1.852, 1e-4), "{id}: {r:?}"),
        None => assert_eq!(r.speed_kmh, None, "{id}"),
    }
    match number("course_deg") {
        Some(c) => assert!(near(r.course_deg.unwrap(), c % 360.0, 1e-4), "{id}: {r:?}"),
        None => assert_eq!(r.course_deg, None, "{id}: unknown, not zero"),
    }
    let at = format!(
        "{}T{}Z",
        expected["date"].as_str().unwrap(),
        expected["time"].as_str().unwrap()
    );
    assert_eq!(r.time, Some(UtcMicros::parse(&at).unwrap()), "{id}");
}

fn is_position_with_date(expected: &Value) -> bool {
    expected["type"] == "RMC" && expected["usable_fix"] == true
}

#[test]
fn real_sentences_come_out_as_their_class_says() {
    let Some(cases) = collection("nmea-sentences.json") else {
        return;
    };
    let mut fixes = 0;
    for case in &cases {
        let id = case["id"].as_str().unwrap();
        let sentence = case["sentence"].as_str().unwrap();
        let expected = &case["expected"];
        let d = nmea::decode(sentence.as_bytes(), STRICT);
        let quiet = || {
            assert_eq!(d.reports, [], "{id}: moves nothing");
            assert_eq!(d.refusals, [], "{id}: and is no error");
            assert_eq!(d.without_position, 1, "{id}");
        };
        let refused = |d: &Decoded| {
            assert_eq!(d.reports, [], "{id}");
            assert!(!d.refusals.is_empty(), "{id}: counted");
        };
        match case["class"].as_str().unwrap() {
            "valid" | "valid_quirk" if is_position_with_date(expected) => {
                check_fix(id, &d, expected);
                fixes += 1;
                let mode = expected["mode"].as_str().unwrap_or_default();
                assert_eq!(
                    d.reports[0].flags.has(FixFlag::LowQuality),
                    matches!(mode, "E" | "M" | "S"),
                    "{id}"
                );
            }
            "valid" | "valid_quirk" | "void" => quiet(),
            "no_checksum" => {
                refused(&d);
                let lax = nmea::decode(sentence.as_bytes(), LAX);
                if is_position_with_date(expected) {
                    check_fix(id, &lax, expected);
                    assert!(lax.reports[0].flags.has(FixFlag::NoChecksum), "{id}");
                    fixes += 1;
                } else {
                    assert_eq!(lax.refusals, [], "{id}");
                }
            }
            "bad_checksum" => {
                refused(&d);
                refused(&nmea::decode(sentence.as_bytes(), LAX));
            }
            "truncated" | "reject_fields" | "overlong" => refused(&d),
            "vendor_tail" => {
                check_fix(id, &d, &expected["core_expected"]);
                fixes += 1;
            }
            "framing" | "prefix" => {
                let then = &expected["then_expected"];
                if then.is_object() && !is_position_with_date(then) {
                    quiet();
                } else if then.is_object() {
                    check_fix(id, &d, then);
                    fixes += 1;
                }
            }
            "vendor_layout" | "other_start" => assert_eq!(d.reports, [], "{id}"),
            other => panic!("{id}: the class {other} is new"),
        }
    }
    println!("{} sentences, {fixes} of them positions", cases.len());
    assert!(fixes >= 15, "{fixes}");
}

#[test]
fn real_payloads_of_other_shapes_are_never_misread() {
    let Some(cases) = collection("mqtt-payloads.json") else {
        return;
    };
    let mut read = 0;
    for case in &cases {
        let id = case["id"].as_str().unwrap();
        let Some(payload) = case["payload"].as_str() else {
            continue;
        };
        let d = json::decode(payload.as_bytes());
        // Only what has `lon` and `lat` at its top is our shape; the others need a mapping, and must not become a position
        // from some inner object (a gateway's place, say).
        let shape: Value = serde_json::from_str(payload).unwrap_or_default();
        if shape["lon"].is_number() && shape["lat"].is_number() {
            let want = &case["expected"]["positions"][0];
            assert_eq!(d.refusals, [], "{id}");
            let r = &d.reports[0];
            assert!(
                near(r.place.lon, want["lon"].as_f64().unwrap(), 1e-9),
                "{id}"
            );
            assert!(
                near(r.place.lat, want["lat"].as_f64().unwrap(), 1e-9),
                "{id}"
            );
            assert_eq!(r.time, None, "{id}: `tst` is not our key");
            read += 1;
        } else {
            assert_eq!(d.reports, [], "{id}");
            let [refusal] = d.refusals.as_slice() else {
                panic!("{id}: {d:?}")
            };
            assert!(refusal.rule.contains("missing"), "{id}: {refusal}");
        }
    }
    println!("{} payloads, {read} of the default shape", cases.len());
}
