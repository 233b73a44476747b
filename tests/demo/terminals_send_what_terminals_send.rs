//! The feed: rates, topics, readable JSON, NMEA that another implementation reads, and honest mishaps.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use zhenbei::demo::{City, Feed, FeedOptions, Message, Traffic, checksum};
use zhenbei::model::UtcMicros;

const START: UtcMicros = UtcMicros(1_795_000_000_000_000);

fn run(vehicles: usize, seconds: i64, mishaps_per_minute: f64) -> Vec<Message> {
    let traffic = Traffic::new(City::new(7).roads, vehicles, 7);
    let options = FeedOptions {
        mishaps_per_minute,
        ..FeedOptions::default()
    };
    let mut feed = Feed::new(traffic, options, 7);
    (0..seconds * 5)
        .flat_map(|tick| feed.advance(START + tick * 200_000))
        .collect()
}

#[test]
fn two_hundred_vehicles_send_sixty_to_a_hundred_messages_a_second() {
    let messages = run(200, 30, 0.0);
    let rate = messages.len() / 30;
    assert!((60..=100).contains(&rate), "{rate} a second");
    let talking: BTreeSet<&str> = messages
        .iter()
        .map(|m| m.topic.split('/').nth(1).unwrap())
        .collect();
    assert_eq!(talking.len(), 200);
    let nmea = messages
        .iter()
        .filter(|m| m.topic.ends_with("/nmea"))
        .count();
    let share = nmea * 100 / messages.len();
    assert!((18..=32).contains(&share), "{share} % NMEA");
}

#[test]
fn every_nmea_sentence_has_its_checksum_and_reads_back_to_the_place() {
    let mut talkers = BTreeMap::new();
    for m in run(80, 10, 0.0)
        .iter()
        .filter(|m| m.topic.ends_with("/nmea"))
    {
        let text = std::str::from_utf8(&m.payload).unwrap();
        assert_eq!(text.matches("\r\n").count(), 2, "{text}");
        for line in text.lines() {
            let (body, sum) = line.strip_prefix('$').unwrap().split_once('*').unwrap();
            assert_eq!(
                u8::from_str_radix(sum, 16).unwrap(),
                checksum(body),
                "{line}"
            );
            assert!(
                line.len() <= 80,
                "NMEA 0183 allows 82 with the line end: {line}"
            );
            let (talker, rest) = body.split_at(2);
            *talkers.entry(talker.to_owned()).or_insert(0) += 1;
            let mut reader = nmea::Nmea::default();
            // The crate knows BeiDou as GB only; the sentence is the same.
            let known = format!("GN{rest}");
            let known = format!("${known}*{:02X}", checksum(&known));
            reader
                .parse(&known)
                .unwrap_or_else(|e| panic!("{known}: {e:?}"));
            let (lat, lon) = (reader.latitude.unwrap(), reader.longitude.unwrap());
            assert!(
                (38.2..38.4).contains(&lat) && (109.6..109.9).contains(&lon),
                "{lat} {lon}"
            );
        }
    }
    assert_eq!(
        talkers.keys().map(String::as_str).collect::<Vec<_>>(),
        ["BD", "GN", "GP"]
    );
}

#[test]
fn json_positions_are_in_the_city_and_on_time() {
    for m in run(80, 10, 0.0)
        .iter()
        .filter(|m| m.topic.ends_with("/position"))
    {
        let v: Value = serde_json::from_slice(&m.payload).unwrap();
        let time = match (v["time"].as_str(), v["time"].as_i64()) {
            (Some(text), _) => UtcMicros::parse(text).unwrap(),
            (None, Some(n)) if n < 10_000_000_000 => UtcMicros::from_secs(n),
            (None, n) => UtcMicros::from_millis(n.unwrap()),
        };
        assert!(
            (-1_000_000..11_000_000).contains(&time.micros_since(START)),
            "{v}"
        );
        assert!((38.1..38.5).contains(&v["lat"].as_f64().unwrap()), "{v}");
        assert!(
            (0.0..100.0).contains(&v["speed_kmh"].as_f64().unwrap()),
            "{v}"
        );
        assert!(
            (0.0..360.0).contains(&v["course_deg"].as_f64().unwrap()),
            "{v}"
        );
        assert!(v["ignition"].is_boolean());
    }
}

#[test]
fn mishaps_happen_when_asked_for_and_never_otherwise() {
    let odd = |messages: &[Message]| {
        let (mut broken, mut void, mut late) = (0, 0, 0);
        for m in messages {
            let text = String::from_utf8_lossy(&m.payload);
            let value: Result<Value, _> = serde_json::from_str(&text);
            if m.topic.ends_with("/nmea") {
                let sound = text.lines().all(|l| {
                    l.strip_prefix('$')
                        .and_then(|l| l.split_once('*'))
                        .is_some_and(|(b, sum)| {
                            u8::from_str_radix(sum, 16).is_ok_and(|s| s == checksum(b))
                        })
                });
                broken += u32::from(!sound);
                void += u32::from(sound && text.contains(",V,"));
                late += u32::from(sound && text.lines().count() > 2);
            } else {
                match value {
                    Ok(Value::Array(many)) => late += u32::from(many.len() > 1),
                    Ok(v) if v["lat"] == 0.0 => void += 1,
                    Ok(v) if v["lat"].as_f64().is_some_and(|l| l < 90.0) => {}
                    Ok(_) | Err(_) => broken += 1,
                }
            }
        }
        (broken, void, late)
    };
    assert_eq!(odd(&run(60, 60, 0.0)), (0, 0, 0));
    let (broken, void, late) = odd(&run(60, 300, 30.0));
    assert!(
        broken > 20 && void > 5 && late > 5,
        "{broken} broken, {void} void, {late} late"
    );
}
