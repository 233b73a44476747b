//! Who drives: 40 % taxis, 25 % buses on fixed lines, 20 % muck trucks, the rest sweepers.

use crate::demo::graph::RoadGraph;
use crate::demo::plane::{Point, at, bend};
use crate::demo::streets::RoadClass;
use crate::model::VehicleClass;
use zhenbei_scene::Rng;

use super::driving::{Ability, Driver};
use super::work::Work;
use super::{FleetVehicle, Member};

/// Corners of the bus lines on the plan; each line comes back to its first corner.
const BUS_LINES: [[Point; 4]; 8] = [
    [
        at(-1_450.0, 3_450.0),
        at(-1_450.0, -1_130.0),
        at(720.0, -1_130.0),
        at(720.0, 1_950.0),
    ],
    [
        at(-4_300.0, -1_130.0),
        at(-1_450.0, -1_130.0),
        at(2_950.0, 430.0),
        at(-3_050.0, 430.0),
    ],
    [
        at(720.0, 3_450.0),
        at(720.0, -4_500.0),
        at(2_950.0, -2_750.0),
        at(2_950.0, 1_950.0),
    ],
    [
        at(-3_050.0, 1_950.0),
        at(2_080.0, 1_950.0),
        at(2_080.0, -1_130.0),
        at(-720.0, -330.0),
    ],
    [
        at(-4_750.0, 1_950.0),
        at(-3_050.0, -4_500.0),
        at(-1_450.0, -2_750.0),
        at(-1_450.0, 430.0),
    ],
    [
        at(-2_250.0, 2_750.0),
        at(-2_250.0, -3_600.0),
        at(-720.0, -3_600.0),
        at(-720.0, 2_750.0),
    ],
    [
        at(1_380.0, 620.0),
        at(1_380.0, -2_750.0),
        at(3_950.0, -330.0),
        at(2_950.0, 3_450.0),
    ],
    [
        at(-3_900.0, -3_600.0),
        at(720.0, -4_500.0),
        at(720.0, -330.0),
        at(-3_900.0, 430.0),
    ],
];
const SITES: [Point; 6] = [
    at(-3_600.0, 2_300.0),
    at(-4_200.0, -2_900.0),
    at(-1_900.0, -3_900.0),
    at(2_500.0, 1_600.0),
    at(3_300.0, -1_600.0),
    at(-900.0, 2_400.0),
];
const DUMPS: [Point; 3] = [
    at(4_300.0, -3_600.0),
    at(-5_300.0, -4_300.0),
    at(4_200.0, 4_300.0),
];

pub(super) fn fleet(roads: &RoadGraph, count: usize, rng: &Rng) -> Vec<Member> {
    let lines: Vec<Vec<usize>> = BUS_LINES.iter().map(|c| round_trip(roads, c)).collect();
    let mut members = Vec::with_capacity(count);
    let mut numbers = [0_usize; 4];
    for i in 0..count {
        let mut rng = rng.fork(i as u64 + 1);
        // A fixed pattern of twenty keeps the shares at any count.
        let kind = [0, 1, 0, 2, 3, 0, 1, 0, 2, 0, 1, 3, 0, 2, 1, 0, 3, 0, 1, 2][i % 20];
        numbers[kind] += 1;
        let number = numbers[kind];
        let (prefix, class) = [
            ("taxi", VehicleClass::Taxi),
            ("bus", VehicleClass::Bus),
            ("truck", VehicleClass::Muck),
            ("sweeper", VehicleClass::Sanitation),
        ][kind];
        let (driver, work) = match kind {
            0 => taxi(roads, &mut rng),
            1 => bus(roads, &lines[number % lines.len()], &mut rng),
            2 => muck(roads, number, &mut rng),
            _ => sweeper(roads, &mut rng),
        };
        let vehicle = FleetVehicle {
            id: format!("{prefix}-{number:03}"),
            plate: plate(class, number, &mut rng),
            class,
        };
        members.push(Member {
            vehicle,
            driver,
            work,
            error: Point::default(),
            rng,
        });
    }
    members
}

/// 陕K is Yulin; taxis have the T series, buses and sweepers here the D of new-energy plates. The number keeps them apart.
fn plate(class: VehicleClass, number: usize, rng: &mut Rng) -> String {
    const LETTERS: [char; 8] = ['A', 'B', 'C', 'E', 'F', 'H', 'J', 'K'];
    let letter = rng.pick(&LETTERS).copied().unwrap_or('A');
    match class {
        VehicleClass::Taxi => format!("陕KT{letter}{number:03}"),
        VehicleClass::Bus => format!("陕KD{letter}{:04}", number % 10_000),
        VehicleClass::Muck => format!("陕K{letter}{}{number:03}", rng.below(10)),
        VehicleClass::Sanitation | VehicleClass::Patrol | VehicleClass::Other => {
            format!("陕KD8{number:04}")
        }
    }
}

fn ability(rng: &mut Rng, accelerate: f64, brake: f64, top_kmh: f64) -> Ability {
    Ability {
        accelerate: accelerate * rng.range(0.85, 1.15),
        brake,
        top_ms: top_kmh / 3.6,
        boldness: rng.range(0.78, 1.04),
    }
}

fn taxi(roads: &RoadGraph, rng: &mut Rng) -> (Driver, Work) {
    let node = rng.below(roads.nodes.len());
    let ability = ability(rng, 1.9, 2.6, 80.0);
    let wait_s = rng.range(0.0, 20.0);
    (Driver::new(ability, roads, node), Work::Taxi { wait_s })
}

fn bus(roads: &RoadGraph, line: &[usize], rng: &mut Rng) -> (Driver, Work) {
    let position = rng.below(line.len().saturating_sub(2));
    let node = line.get(position).copied().unwrap_or(0);
    let work = Work::Bus {
        line: line.to_vec(),
        position,
        stop_every_m: rng.range(380.0, 560.0),
        dwell_s: 0.0,
    };
    let ability = ability(rng, 1.0, 1.5, 55.0);
    (Driver::new(ability, roads, node), work)
}

fn muck(roads: &RoadGraph, number: usize, rng: &mut Rng) -> (Driver, Work) {
    let site = roads.nearest(bend(SITES[number % SITES.len()]));
    let dump = roads.nearest(bend(DUMPS[(number / 2) % DUMPS.len()]));
    // Somewhere on its way at the beginning, so that they do not start in a heap.
    let way = roads.route(site, dump);
    let node = way.get(rng.below(way.len())).copied().unwrap_or(site);
    let work = Work::Muck {
        ends: [site, dump],
        going: rng.below(2),
        wait_s: rng.range(0.0, 15.0),
    };
    let ability = ability(rng, 0.8, 1.4, 50.0);
    (Driver::new(ability, roads, node), work)
}

/// One to two kilometres of a secondary or primary street.
fn sweeper(roads: &RoadGraph, rng: &mut Rng) -> (Driver, Work) {
    let streets: Vec<usize> = (0..roads.edges.len())
        .filter(|e| {
            matches!(
                roads.edges[*e].class,
                RoadClass::Secondary | RoadClass::Primary
            )
        })
        .collect();
    let first = rng.pick(&streets).copied().unwrap_or(0);
    let street = roads.edges[first].line;
    let mut beat = vec![roads.edges[first].a, roads.edges[first].b];
    let mut length = roads.edges[first].length;
    let goal = rng.range(900.0, 2_000.0);
    while length < goal {
        let end = beat.last().copied().unwrap_or(0);
        let next = roads.at[end]
            .iter()
            .copied()
            .find(|e| roads.edges[*e].line == street && !beat.contains(&roads.other_end(*e, end)));
        let Some(edge) = next else { break };
        beat.push(roads.other_end(edge, end));
        length += roads.edges[edge].length;
    }
    let node = beat.first().copied().unwrap_or(0);
    let mut ability = ability(rng, 0.6, 1.2, 10.0);
    ability.top_ms = rng.range(7.0, 13.0) / 3.6;
    let work = Work::Sweeper {
        beat,
        forward: true,
        wait_s: rng.range(0.0, 30.0),
        pause_in_s: rng.range(40.0, 200.0),
    };
    (Driver::new(ability, roads, node), work)
}

fn round_trip(roads: &RoadGraph, corners: &[Point]) -> Vec<usize> {
    let nodes: Vec<usize> = corners.iter().map(|c| roads.nearest(bend(*c))).collect();
    let mut line: Vec<usize> = Vec::new();
    for (i, from) in nodes.iter().enumerate() {
        let way = roads.route(*from, nodes[(i + 1) % nodes.len()]);
        line.extend(way.iter().skip(usize::from(i > 0)));
    }
    line
}
