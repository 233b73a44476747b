//! One driver on a route: speeds up, brakes for bends, red lights and its goal, keeps to the right lane.

use crate::demo::graph::RoadGraph;
use crate::demo::plane::{Point, at};
use crate::demo::streets::RoadClass;

/// What a kind of vehicle can do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ability {
    pub accelerate: f64,
    pub brake: f64,
    pub top_ms: f64,
    /// This driver's share of the posted limit.
    pub boldness: f64,
}

#[derive(Clone, Debug)]
pub(super) struct Driver {
    ability: Ability,
    /// Nodes still to pass; the first is the one left behind.
    route: Vec<usize>,
    /// Index in `route` of the node left behind.
    leg: usize,
    /// Metres driven on this leg, and its length.
    along: f64,
    length: f64,
    speed: f64,
    /// Where it points; turns with a limited rate, so that corners are driven round.
    heading: Point,
    place: Point,
    /// Stop here and now, whatever the route says.
    hold: bool,
    /// Distances along the leg are measured to here when work wants a stop on the way.
    stop_in: Option<f64>,
}

const STOP_LINE_M: f64 = 9.0;

impl Driver {
    pub(super) fn new(ability: Ability, roads: &RoadGraph, node: usize) -> Self {
        let next = roads.at[node]
            .first()
            .map_or(node, |e| roads.other_end(*e, node));
        let heading = (roads.nodes[next] - roads.nodes[node]).unit();
        let mut driver = Self {
            ability,
            route: vec![node],
            leg: 0,
            along: 0.0,
            length: 0.0,
            speed: 0.0,
            heading,
            place: roads.nodes[node],
            hold: false,
            stop_in: None,
        };
        driver.place = driver.lane_place(roads);
        driver
    }

    pub(super) fn place(&self) -> Point {
        self.place
    }

    pub(super) fn speed(&self) -> f64 {
        self.speed
    }

    pub(super) fn course_deg(&self) -> f64 {
        self.heading.course_deg()
    }

    pub(super) fn node(&self) -> usize {
        self.route.get(self.leg).copied().unwrap_or(0)
    }

    /// The whole route is driven and the vehicle stands.
    pub(super) fn arrived(&self) -> bool {
        self.leg + 1 >= self.route.len() && self.speed < 0.05
    }

    pub(super) fn stands(&self) -> bool {
        self.speed < 0.05
    }

    pub(super) fn hold(&mut self, hold: bool) {
        self.hold = hold;
    }

    /// Come to a stand after this many metres (a bus stop ahead).
    pub(super) fn stop_in(&mut self, metres: Option<f64>) {
        self.stop_in = metres;
    }

    pub(super) fn stop_left(&self) -> Option<f64> {
        self.stop_in
    }

    /// Drive these nodes next; the first must be the node it stands at.
    pub(super) fn follow(&mut self, roads: &RoadGraph, route: Vec<usize>) {
        if route.first() == Some(&self.node()) && self.leg + 1 >= self.route.len() {
            self.route = route;
            self.leg = 0;
            self.along = 0.0;
            self.length = self.leg_length(roads, 0);
        }
    }

    fn leg_length(&self, roads: &RoadGraph, leg: usize) -> f64 {
        match (self.route.get(leg), self.route.get(leg + 1)) {
            (Some(a), Some(b)) => roads.nodes[*a].distance(roads.nodes[*b]),
            _ => 0.0,
        }
    }

    fn class(&self, roads: &RoadGraph) -> RoadClass {
        match (self.route.get(self.leg), self.route.get(self.leg + 1)) {
            (Some(a), Some(b)) => roads.edge_between(*a, *b),
            (Some(a), None) => roads.at[*a].first().copied(),
            (None, _) => None,
        }
        .map_or(RoadClass::Residential, |e| roads.edges[e].class)
    }

    pub(super) fn step(&mut self, roads: &RoadGraph, dt: f64, time_s: f64) {
        let limit = self.class(roads).limit_kmh() / 3.6 * self.ability.boldness;
        let mut wanted = limit.min(self.ability.top_ms);
        for (distance, speed) in self.ahead(roads, time_s) {
            // The speed from which braking in time is still possible.
            let allowed = (speed * speed + 2.0 * self.ability.brake * distance.max(0.0)).sqrt();
            wanted = wanted.min(allowed);
        }
        if self.hold {
            wanted = 0.0;
        }
        let change = wanted - self.speed;
        // A little harder than planned when the plan was missed, never more than tyres give.
        let most = if change > 0.0 {
            self.ability.accelerate * dt
        } else {
            self.ability.brake * 1.6 * dt
        };
        self.speed = (self.speed + change.clamp(-most, most)).max(0.0);
        if wanted < 0.3 && self.speed < 0.6 {
            self.speed = 0.0;
        }
        let moved = self.speed * dt;
        self.stop_in = self.stop_in.map(|m| m - moved);
        self.advance(roads, moved);
        self.turn(roads, dt);
    }

    /// Where it must be slower: metres from here and the speed there.
    fn ahead(&self, roads: &RoadGraph, time_s: f64) -> Vec<(f64, f64)> {
        let mut out = Vec::with_capacity(6);
        if let Some(metres) = self.stop_in {
            out.push((metres - 1.0, 0.0));
        }
        let sight = self.speed * self.speed / (2.0 * self.ability.brake) + 25.0 + STOP_LINE_M;
        let mut distance = self.length - self.along;
        let mut leg = self.leg;
        loop {
            let (Some(from), Some(node)) = (self.route.get(leg), self.route.get(leg + 1)) else {
                out.push((distance, 0.0));
                return out;
            };
            if distance > sight {
                return out;
            }
            let Some(next) = self.route.get(leg + 2) else {
                out.push((distance - 1.0, 0.0));
                return out;
            };
            let before = (roads.nodes[*node] - roads.nodes[*from]).unit();
            let after = (roads.nodes[*next] - roads.nodes[*node]).unit();
            let bend = before.dot(after).clamp(-1.0, 1.0).acos().to_degrees();
            if bend > 12.0 {
                let speed = (14.0 - bend * 0.105).clamp(2.2, 12.0);
                out.push((distance - 4.0, speed));
            }
            let stop_line = distance - STOP_LINE_M;
            let can_stop = stop_line > self.speed * self.speed / (2.0 * self.ability.brake * 1.5);
            if can_stop && stop_line > 0.0 && red(roads, *node, before, time_s) {
                out.push((stop_line, 0.0));
                return out;
            }
            leg += 1;
            distance += self.leg_length(roads, leg);
        }
    }

    fn advance(&mut self, roads: &RoadGraph, moved: f64) {
        self.along += moved;
        while self.leg + 1 < self.route.len() && self.along >= self.length - 1.5 {
            if self.leg + 2 == self.route.len() && self.along < self.length - 1.5 {
                break;
            }
            self.along = (self.along - self.length).max(0.0);
            self.leg += 1;
            self.length = self.leg_length(roads, self.leg);
        }
    }

    fn lane_place(&self, roads: &RoadGraph) -> Point {
        let from = roads.nodes[self.node()];
        let along = self.route.get(self.leg + 1).map_or(from, |n| {
            from + (roads.nodes[*n] - from).unit() * self.along
        });
        along + self.heading.right() * self.class(roads).lane_m()
    }

    /// Turns the heading to the leg's direction and moves to the lane, neither faster than the vehicle itself moves.
    fn turn(&mut self, roads: &RoadGraph, dt: f64) {
        if let (Some(a), Some(b)) = (self.route.get(self.leg), self.route.get(self.leg + 1)) {
            let wanted = (roads.nodes[*b] - roads.nodes[*a]).unit();
            let angle = self.heading.cross(wanted).atan2(self.heading.dot(wanted));
            // A turning circle of some 8 m: standing vehicles do not turn.
            let most = (self.speed / 8.0).min(1.2) * dt;
            let (sin, cos) = angle.clamp(-most, most).sin_cos();
            self.heading = at(
                self.heading.x * cos - self.heading.y * sin,
                self.heading.x * sin + self.heading.y * cos,
            )
            .unit();
        }
        let goal = self.lane_place(roads);
        let step = goal - self.place;
        let most = self.speed * dt * 1.6;
        self.place = if step.length() > most {
            self.place + step.unit() * most
        } else {
            goal
        };
    }
}

/// Two phases by direction of approach; only where larger streets cross.
fn red(roads: &RoadGraph, node: usize, approach: Point, time_s: f64) -> bool {
    let large = |e: &&usize| roads.edges[**e].class >= RoadClass::Secondary;
    if roads.at[node].len() < 3 || roads.at[node].iter().filter(large).count() < 3 {
        return false;
    }
    // Different cycles and offsets, from the node's number.
    let spread = u32::try_from(node.wrapping_mul(2_654_435_761) % 97).unwrap_or(0);
    let cycle = 56.0 + f64::from(spread % 5) * 8.0;
    let phase = (time_s + f64::from(spread)).rem_euclid(cycle) / cycle;
    let north_south = approach.y.abs() > approach.x.abs();
    // The last twentieth of each half is yellow and all-red.
    if north_south {
        phase > 0.45
    } else {
        !(0.5..0.95).contains(&phase)
    }
}
