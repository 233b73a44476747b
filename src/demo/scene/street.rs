//! The traffic in front of one camera: queues at the lights, platoons, cross traffic, people on the crosswalk. Steps by
//! time like the city's own traffic; nothing here draws.

use crate::rng::Rng;

use super::lens::{Place, place};
use super::models::{Heading, Model};
use super::view::{CROSS_Z, FAR_STOP_Z, FAR_WALK_Z, STOP_Z, Style, View, WALK_Z};

pub(super) struct Street {
    rng: Rng,
    lanes: Vec<Lane>,
    walkers: Vec<Walker>,
    time: f32,
    walker_in: f32,
    stroller_in: f32,
    half_width: f32,
    narrow: bool,
    models: Vec<(Model, f64)>,
}

struct Lane {
    heading: Heading,
    /// Of the lane's middle: x for along the street, z for across.
    at: f32,
    /// Position along the lane grows in the direction of travel.
    start: f32,
    end: f32,
    stop: f32,
    cars: Vec<Car>,
    next_in: f32,
    cruise: f32,
    busy: f32,
}

struct Car {
    model: Model,
    along: f32,
    speed: f32,
    cruise: f32,
}

struct Walker {
    coat: u32,
    at: Place,
    toward: (f32, f32),
    speed: f32,
    walked: f32,
    until: f32,
}

/// What is to be drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Actor {
    pub(super) model: Model,
    pub(super) at: Place,
    pub(super) heading: Heading,
    pub(super) phase: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Green,
    Yellow,
    Red,
}

const GREEN_S: f32 = 17.0;
const YELLOW_S: f32 = 3.0;
const CYCLE_S: f32 = 38.0;
const COATS: [u32; 5] = [0xb8_3c3c, 0x2c_4a70, 0xd8_d4c8, 0x3c_5a3c, 0x20_2428];
const CARS_PER_LANE: usize = 14;
const WALKERS: usize = 16;

impl Street {
    pub(super) fn new(view: &View) -> Self {
        let mut lanes = Vec::new();
        let old = view.style == Style::OldTown;
        let mut lane = |heading, at, start, end, stop, busy: f32| {
            lanes.push(Lane {
                heading,
                at,
                start,
                end,
                stop,
                cars: Vec::new(),
                next_in: 0.5,
                cruise: if old { 5.5 } else { 12.0 },
                busy: if old { busy * 1.8 } else { busy },
            });
        };
        for i in 0..view.lanes {
            lane(
                Heading::Away,
                view.lane_x(i, true),
                -14.0,
                190.0,
                STOP_Z - 0.6,
                3.8 + i as f32,
            );
            // Coming towards us the lane is measured from its far end.
            lane(
                Heading::Towards,
                view.lane_x(i, false),
                -190.0,
                -8.0,
                -(FAR_STOP_Z + 0.6),
                3.4 + i as f32,
            );
        }
        if !old {
            let (near, far) = (CROSS_Z.0 + 3.2, CROSS_Z.1 - 3.2);
            let stop = -(view.half_width + 6.0);
            lane(Heading::Right, near, -75.0, 75.0, stop, 5.0);
            lane(Heading::Left, far, -75.0, 75.0, stop, 5.5);
        }
        let mut rng = Rng::new(view.seed).fork(60);
        let mut street = Self {
            narrow: old,
            models: Model::of_street(&mut rng, old),
            rng,
            lanes,
            walkers: Vec::new(),
            time: (view.seed % 7) as f32 * 5.0,
            walker_in: 1.0,
            stroller_in: 0.0,
            half_width: view.half_width,
        };
        // The street is not empty when the first viewer comes.
        for _ in 0..240 {
            street.step(0.25);
        }
        street
    }

    pub(super) fn signal(&self) -> Signal {
        match self.time.rem_euclid(CYCLE_S) {
            t if t < GREEN_S => Signal::Green,
            t if t < GREEN_S + YELLOW_S => Signal::Yellow,
            _ => Signal::Red,
        }
    }

    /// The crossing street drives while ours waits.
    fn cross_open(&self) -> bool {
        let t = self.time.rem_euclid(CYCLE_S);
        (GREEN_S + YELLOW_S + 1.5..CYCLE_S - 3.5).contains(&t)
    }

    pub(super) fn step(&mut self, dt: f32) {
        self.time += dt;
        let ours = self.signal() == Signal::Green;
        let cross = self.cross_open();
        for lane in &mut self.lanes {
            let open = match lane.heading {
                Heading::Away | Heading::Towards => ours,
                Heading::Right | Heading::Left => cross,
            };
            lane.step(dt, open, &self.models, &mut self.rng);
        }
        self.walk(dt);
    }

    fn walk(&mut self, dt: f32) {
        for w in &mut self.walkers {
            let d = w.speed * dt;
            w.at = place(w.at.x + w.toward.0 * d, 0.0, w.at.z + w.toward.1 * d);
            w.walked += d;
        }
        self.walkers.retain(|w| w.walked < w.until);
        self.walker_in -= dt;
        self.stroller_in -= dt;
        if self.walkers.len() >= WALKERS {
            return;
        }
        let coat = self.rng.pick(&COATS).copied().unwrap_or(0x5a_5e62);
        let speed = self.rng.range(1.1, 1.6) as f32;
        let side = if self.rng.chance(0.5) { 1.0 } else { -1.0 };
        // Only with time enough to reach the other side before the lights turn.
        let t = self.time.rem_euclid(CYCLE_S);
        let width = self.half_width * 2.0 + 2.0;
        if self.walker_in <= 0.0
            && t > GREEN_S + YELLOW_S + 1.0
            && t + width / speed < CYCLE_S + 1.0
        {
            let (from, to) = if self.rng.chance(0.6) {
                WALK_Z
            } else {
                FAR_WALK_Z
            };
            let z = self.rng.range(f64::from(from) + 0.4, f64::from(to) - 0.4) as f32;
            self.walkers.push(Walker {
                coat,
                at: place(side * (self.half_width + 1.0), 0.0, z),
                toward: (-side, 0.0),
                speed: speed.max(width / (CYCLE_S + 1.0 - t)),
                walked: 0.0,
                until: width,
            });
            self.walker_in = self.rng.range(0.4, 2.6) as f32;
        } else if self.stroller_in <= 0.0 {
            let reach = if self.narrow { (1.0, 2.4) } else { (2.6, 4.8) };
            let x = side * (self.half_width + self.rng.range(reach.0, reach.1) as f32);
            let (from, way) = if self.rng.chance(0.5) {
                (14.0, 1.0)
            } else {
                (74.0, -1.0)
            };
            self.walkers.push(Walker {
                coat,
                at: place(x, 0.0, from),
                toward: (0.0, way),
                speed,
                walked: 0.0,
                until: 60.0,
            });
            self.stroller_in = self.rng.range(4.0, 12.0) as f32;
        }
    }

    /// Everything that moves, the furthest first.
    pub(super) fn actors(&self) -> Vec<Actor> {
        let mut out = Vec::new();
        for lane in &self.lanes {
            for car in &lane.cars {
                let middle = car.along - car.model.length() / 2.0;
                let at = match lane.heading {
                    Heading::Away => place(lane.at, 0.0, middle),
                    Heading::Towards => place(lane.at, 0.0, -middle),
                    Heading::Right => place(middle, 0.0, lane.at),
                    Heading::Left => place(-middle, 0.0, lane.at),
                };
                out.push(Actor {
                    model: car.model,
                    at,
                    heading: lane.heading,
                    phase: 0,
                });
            }
        }
        for w in &self.walkers {
            out.push(Actor {
                model: Model::Person(w.coat),
                at: w.at,
                heading: Heading::Away,
                phase: ((w.walked * 2.6) as u32 % 4) as u8,
            });
        }
        out.sort_by(|a, b| b.at.z.total_cmp(&a.at.z));
        out
    }
}

impl Lane {
    fn step(&mut self, dt: f32, open: bool, models: &[(Model, f64)], rng: &mut Rng) {
        let (stop, cruise) = (self.stop, self.cruise);
        // Cars are kept with the foremost first; each follows the one before (Treiber's IDM).
        let mut leader: Option<(f32, f32)> = None;
        for car in &mut self.cars {
            let braking = car.speed * car.speed / 5.0;
            let must_stop = !open && car.along < stop && stop - car.along > braking * 0.8;
            let ahead = match (leader, must_stop) {
                (Some((rear, speed)), false) => Some((rear - car.along, speed)),
                (Some((rear, speed)), true) if rear < stop + 1.0 => Some((rear - car.along, speed)),
                (_, true) => Some((stop + 1.5 - car.along, 0.0)),
                (None, false) => None,
            };
            let mut accelerate = 1.0 - (car.speed / car.cruise).powi(4);
            if let Some((gap, speed)) = ahead {
                let wish = 1.8 + car.speed * 1.1 + car.speed * (car.speed - speed) / 3.6;
                accelerate -= (wish.max(1.5) / gap.max(0.4)).powi(2);
            }
            car.speed = (car.speed + (accelerate * 2.0).max(-7.0) * dt).max(0.0);
            car.along += car.speed * dt;
            leader = Some((car.along - car.model.length(), car.speed));
        }
        let end = self.end;
        self.cars.retain(|c| c.along - c.model.length() < end);
        self.next_in -= dt;
        let room = self
            .cars
            .last()
            .is_none_or(|c| c.along - c.model.length() > self.start + 10.0);
        // The near end of our own lanes is just before the stop line: with a red light nobody new comes from there.
        let allowed = open || self.heading != Heading::Away || self.cars.len() < 2;
        if self.next_in <= 0.0 && room && allowed && self.cars.len() < CARS_PER_LANE {
            self.cars.push(Car {
                model: choose(models, rng),
                along: self.start,
                speed: cruise * 0.75,
                cruise: cruise * rng.range(0.8, 1.12) as f32,
            });
            self.next_in = self.busy * rng.range(0.35, 1.8) as f32;
        }
    }
}

fn choose(models: &[(Model, f64)], rng: &mut Rng) -> Model {
    let mut dice = rng.unit();
    for (model, share) in models {
        dice -= share;
        if dice < 0.0 {
            return *model;
        }
    }
    Model::Taxi
}
