//! Vehicles on the roads: a pure stepping model. `step(dt)` moves them all; nothing here knows a clock or a socket.
//!
//! Promises: the same seed and steps give the same traffic; nobody leaves the road or moves further than its speed allows;
//! heading is where it drives and speed is how fast.

mod driving;
mod fleet;
mod work;

use crate::model::VehicleClass;

use super::graph::RoadGraph;
use super::plane::Point;
use driving::Driver;
use work::Work;
use zhenbei_scene::Rng;

/// A vehicle as the register knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetVehicle {
    pub id: String,
    pub plate: String,
    pub class: VehicleClass,
}

/// Where a vehicle truly is, and what its receiver makes of it.
#[derive(Clone, Copy, Debug)]
pub struct Motion {
    pub place: Point,
    pub measured: Point,
    pub speed_ms: f64,
    pub course_deg: f64,
    /// Off while loading, or when the driver rests.
    pub ignition: bool,
}

pub struct Traffic {
    roads: RoadGraph,
    members: Vec<Member>,
    time_s: f64,
}

struct Member {
    vehicle: FleetVehicle,
    driver: Driver,
    work: Work,
    error: Point,
    rng: Rng,
}

/// Error of a vehicle's GNSS receiver under open sky, one sigma for each axis; it wanders rather than jumps.
const GNSS_SIGMA_M: f64 = 2.8;
const GNSS_MEMORY_S: f64 = 20.0;
/// Longest step that is computed at once: a vehicle brakes within it.
const STEP_S: f64 = 0.25;

impl Traffic {
    pub fn new(roads: RoadGraph, vehicles: usize, seed: u64) -> Self {
        let members = fleet::fleet(&roads, vehicles, &Rng::new(seed).fork(7_000));
        Self {
            roads,
            members,
            time_s: 0.0,
        }
    }

    /// Moves everything on by `dt` seconds.
    pub fn step(&mut self, dt: f64) {
        let mut left = dt;
        while left > 1e-9 {
            let now = left.min(STEP_S);
            left -= now;
            self.time_s += now;
            for m in &mut self.members {
                m.step(&self.roads, now, self.time_s);
            }
        }
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub fn vehicles(&self) -> impl Iterator<Item = &FleetVehicle> {
        self.members.iter().map(|m| &m.vehicle)
    }

    pub fn motion(&self, index: usize) -> Option<Motion> {
        self.members.get(index).map(|m| Motion {
            place: m.driver.place(),
            measured: m.driver.place() + m.error,
            speed_ms: m.driver.speed(),
            course_deg: m.driver.course_deg(),
            ignition: m.work.ignition(),
        })
    }

    pub fn roads(&self) -> &RoadGraph {
        &self.roads
    }
}

impl Member {
    fn step(&mut self, roads: &RoadGraph, dt: f64, time_s: f64) {
        self.work.step(&mut self.driver, roads, dt, &mut self.rng);
        self.driver.step(roads, dt, time_s);
        let keep = (-dt / GNSS_MEMORY_S).exp();
        let fresh = GNSS_SIGMA_M * (1.0 - keep * keep).sqrt();
        self.error = self.error * keep
            + Point {
                x: self.rng.normal() * fresh,
                y: self.rng.normal() * fresh,
            };
    }
}
