//! What the vehicles' terminals send: positions as JSON or as raw NMEA, and now and then what goes wrong on the road.
//!
//! [`Feed`] is sans-IO: the time goes in, messages come out. `mqtt` publishes them.

mod mqtt;
mod nmea;

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::model::{UtcMicros, VehicleClass};

use super::plane::Point;
use super::traffic::{Motion, Traffic};
pub use mqtt::{FeedCounts, publish};
pub use nmea::{Talker, checksum};
use zhenbei_scene::Rng;

#[derive(Clone, Debug)]
pub struct FeedOptions {
    /// Multiplies the interval between two fixes of a vehicle (1 to 5 s by class).
    pub interval_scale: f64,
    /// Broken payloads, fixes without position and drives through places without network, in all per minute; 0 for none.
    pub mishaps_per_minute: f64,
}

impl Default for FeedOptions {
    fn default() -> Self {
        Self {
            interval_scale: 1.0,
            mishaps_per_minute: 6.0,
        }
    }
}

/// One MQTT publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub topic: String,
    pub payload: Vec<u8>,
}

pub struct Feed {
    traffic: Traffic,
    terminals: Vec<Terminal>,
    options: FeedOptions,
    rng: Rng,
    last: Option<UtcMicros>,
    mishap_at: UtcMicros,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wording {
    JsonText,
    JsonMillis,
    JsonSeconds,
    Nmea(Talker),
}

struct Terminal {
    id: String,
    wording: Wording,
    interval_us: i64,
    next: UtcMicros,
    /// Out of the network until then (盲区): fixes are kept and sent late, together.
    dark_until: Option<UtcMicros>,
    kept: VecDeque<Fix>,
    /// The next fix has no position (under a bridge).
    void: bool,
}

#[derive(Clone, Copy, Debug)]
struct Fix {
    time: UtcMicros,
    motion: Motion,
}

/// A terminal that keeps more than this forgets the oldest.
const KEPT_MAX: usize = 120;
/// After a longer pause of this process the traffic does not catch up.
const CATCH_UP_US: i64 = 5_000_000;

impl Feed {
    pub fn new(traffic: Traffic, options: FeedOptions, seed: u64) -> Self {
        let mut rng = Rng::new(seed).fork(8_000);
        let scale = options.interval_scale.max(0.05);
        let terminals = traffic
            .vehicles()
            .enumerate()
            .map(|(i, v)| Terminal {
                id: v.id.clone(),
                wording: wording(i, v.class),
                interval_us: interval_us(v.class, scale),
                next: UtcMicros(0),
                dark_until: None,
                kept: VecDeque::new(),
                void: false,
            })
            .collect();
        rng.next();
        Self {
            traffic,
            terminals,
            options,
            rng,
            last: None,
            mishap_at: UtcMicros::MAX,
        }
    }

    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Moves the traffic to `now` and returns what the terminals send.
    pub fn advance(&mut self, now: UtcMicros) -> Vec<Message> {
        let Some(last) = self.last.replace(now) else {
            self.begin(now);
            return Vec::new();
        };
        let passed = now.micros_since(last).clamp(0, CATCH_UP_US);
        self.traffic.step(seconds(passed));
        let mut out = self.mishaps(now);
        for i in 0..self.terminals.len() {
            let (Some(motion), Some(t)) = (self.traffic.motion(i), self.terminals.get_mut(i))
            else {
                continue;
            };
            if now < t.next {
                continue;
            }
            t.next = (t.next + t.interval_us).max(now);
            t.send(Fix { time: now, motion }, &mut out);
        }
        out
    }

    fn begin(&mut self, now: UtcMicros) {
        // Spread over their intervals, or all would send at once for ever.
        for t in &mut self.terminals {
            t.next = now + micros(self.rng.unit() * seconds(t.interval_us));
        }
        self.mishap_at = self.next_mishap(now);
    }

    fn next_mishap(&mut self, now: UtcMicros) -> UtcMicros {
        if self.options.mishaps_per_minute <= 0.0 {
            return UtcMicros::MAX;
        }
        // Exponential: what happens on roads does not keep a timetable.
        let wait_s = -(1.0 - self.rng.unit()).ln() * 60.0 / self.options.mishaps_per_minute;
        now + micros(wait_s.clamp(0.2, 600.0))
    }

    fn mishaps(&mut self, now: UtcMicros) -> Vec<Message> {
        let mut out = Vec::new();
        if now < self.mishap_at || self.terminals.is_empty() {
            return out;
        }
        self.mishap_at = self.next_mishap(now);
        let index = self.rng.below(self.terminals.len());
        let kind = self.rng.below(4);
        let dark_s = self.rng.range(20.0, 50.0);
        let motion = self.traffic.motion(index);
        let (Some(t), Some(motion)) = (self.terminals.get_mut(index), motion) else {
            return out;
        };
        match kind {
            0 => t.void = true,
            1 => t.dark_until = Some(now + micros(dark_s)),
            _ => out.push(broken(t, Fix { time: now, motion }, &mut self.rng)),
        }
        out
    }
}

impl Terminal {
    fn send(&mut self, fix: Fix, out: &mut Vec<Message>) {
        if let Some(until) = self.dark_until {
            self.kept.push_back(fix);
            if self.kept.len() > KEPT_MAX {
                self.kept.pop_front();
            }
            if fix.time >= until {
                self.dark_until = None;
                let kept: Vec<Fix> = self.kept.drain(..).collect();
                out.push(self.message(&kept));
            }
            return;
        }
        if std::mem::take(&mut self.void) {
            out.push(self.void_message(fix));
            return;
        }
        out.push(self.message(&[fix]));
    }

    fn topic(&self) -> String {
        let kind = match self.wording {
            Wording::Nmea(_) => "nmea",
            Wording::JsonText | Wording::JsonMillis | Wording::JsonSeconds => "position",
        };
        format!("fleet/{}/{kind}", self.id)
    }

    fn message(&self, fixes: &[Fix]) -> Message {
        let payload = match (self.wording, fixes) {
            (Wording::Nmea(talker), _) => fixes
                .iter()
                .map(|f| nmea::sentences(talker, f.time, f.motion))
                .collect::<String>(),
            (_, [one]) => self.json(*one).to_string(),
            (_, many) => Value::Array(many.iter().map(|f| self.json(*f)).collect()).to_string(),
        };
        Message {
            topic: self.topic(),
            payload: payload.into_bytes(),
        }
    }

    fn json(&self, fix: Fix) -> Value {
        let Motion {
            measured,
            speed_ms,
            course_deg,
            ignition,
            ..
        } = fix.motion;
        let place = measured.to_geo();
        let time = match self.wording {
            Wording::JsonMillis => json!(fix.time.millis()),
            Wording::JsonSeconds => json!(fix.time.micros().div_euclid(1_000_000)),
            Wording::JsonText | Wording::Nmea(_) => json!(fix.time.to_string()),
        };
        json!({
            "time": time,
            "lon": rounded(place.lon, 1e7),
            "lat": rounded(place.lat, 1e7),
            "speed_kmh": rounded(speed_ms * 3.6, 10.0),
            "course_deg": rounded(course_deg, 10.0) % 360.0,
            "altitude_m": rounded(altitude_m(measured), 10.0),
            "ignition": ignition,
        })
    }

    /// What a terminal sends that sees no satellites: NMEA says so (status V); JSON terminals here send 0/0.
    fn void_message(&self, fix: Fix) -> Message {
        let payload = match self.wording {
            Wording::Nmea(talker) => nmea::void(talker, fix.time),
            Wording::JsonText | Wording::JsonMillis | Wording::JsonSeconds => {
                let mut value = self.json(fix);
                value["lon"] = json!(0.0);
                value["lat"] = json!(0.0);
                value.to_string()
            }
        };
        Message {
            topic: self.topic(),
            payload: payload.into_bytes(),
        }
    }
}

/// Cut off, garbled, or impossible: as they come from bad radio links and bad firmware.
fn broken(terminal: &Terminal, fix: Fix, rng: &mut Rng) -> Message {
    let mut message = terminal.message(&[fix]);
    match (terminal.wording, rng.below(3)) {
        (Wording::Nmea(_), 0) => {
            // One digit of the position turned over: the checksum does not hold any more.
            if let Some(byte) = message.payload.get_mut(22) {
                *byte = if *byte == b'7' { b'3' } else { b'7' };
            }
        }
        (_, 1) => message.payload = b"\x7e\x02\x00\x00\x1cSTATUS OK\xff\xfe".to_vec(),
        (Wording::Nmea(_), _) => message.payload.truncate(31),
        (_, 0) => message.payload.truncate(message.payload.len() / 2),
        (_, _) => {
            let mut value = terminal.json(fix);
            value["lat"] = json!(383.0);
            message.payload = value.to_string().into_bytes();
        }
    }
    message
}

/// Every fourth vehicle has a receiver that sends NMEA.
fn wording(index: usize, class: VehicleClass) -> Wording {
    match index % 4 {
        3 => Wording::Nmea(match index / 4 % 4 {
            0 => Talker::Beidou,
            1 => Talker::Gps,
            _ => Talker::Mixed,
        }),
        // Whole seconds blur a fast vehicle; only the slow ones have such terminals.
        1 if class == VehicleClass::Sanitation => Wording::JsonSeconds,
        1 => Wording::JsonMillis,
        _ => Wording::JsonText,
    }
}

fn interval_us(class: VehicleClass, scale: f64) -> i64 {
    let seconds = match class {
        VehicleClass::Taxi | VehicleClass::Bus | VehicleClass::Patrol => 2.0,
        VehicleClass::Muck => 3.0,
        VehicleClass::Sanitation | VehicleClass::Other => 5.0,
    };
    micros(seconds * scale)
}

/// The loess plateau rises to the north-east.
fn altitude_m(p: Point) -> f64 {
    1_070.0 + p.y * 0.004 + p.x.abs() * 0.006
}

fn rounded(value: f64, by: f64) -> f64 {
    (value * by).round() / by
}

#[allow(clippy::cast_possible_truncation, reason = "minutes at most")]
fn micros(seconds: f64) -> i64 {
    (seconds * 1e6) as i64
}

#[allow(clippy::cast_precision_loss, reason = "minutes at most")]
fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}
