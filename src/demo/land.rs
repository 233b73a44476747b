//! What lies between the streets: water, green, districts, the old city wall, houses, and the names on the map.

use std::collections::HashMap;

use super::graph::RoadGraph;
use super::plane::{
    LAKE, OLD_TOWN, Point, RIVER_HALF, RIVER_X, at, bend, distance_to_segment, in_water, outness,
};
use super::streets::{Name, RoadClass};
use zhenbei_scene::Rng;

/// One closed ring, first point not repeated.
pub(super) type Ring = Vec<Point>;

#[derive(Clone, Debug, Default)]
pub(super) struct Land {
    pub districts: Vec<(Name, Ring)>,
    pub water: Vec<(Name, Ring)>,
    pub green: Vec<(Option<Name>, Ring)>,
    pub buildings: Vec<(Option<Name>, Ring)>,
    pub places: Vec<(Name, &'static str, Point)>,
}

const HOUSES: usize = 4_600;

/// Subdistricts (街道) of Yuyang, each with the middle it grows from.
const DISTRICTS: [(Name, Point); 11] = [
    (("鼓楼街道", "Gulou"), at(1_350.0, 150.0)),
    (("新明楼街道", "Xinminglou"), at(1_300.0, -1_100.0)),
    (("青山路街道", "Qingshanlu"), at(-900.0, -1_900.0)),
    (("上郡路街道", "Shangjunlu"), at(-900.0, 300.0)),
    (("航宇路街道", "Hangyulu"), at(-2_700.0, -700.0)),
    (("长城路街道", "Changchenglu"), at(-1_500.0, 2_300.0)),
    (("驼峰路街道", "Tuofenglu"), at(2_600.0, -2_900.0)),
    (("崇文路街道", "Chongwenlu"), at(3_600.0, 600.0)),
    (("明珠路街道", "Mingzhulu"), at(-4_400.0, 2_000.0)),
    (("高新区", "Gaoxin Zone"), at(-3_500.0, -4_200.0)),
    (("镇北台镇", "Zhenbeitai Town"), at(1_200.0, 4_600.0)),
];

const PARKS: [(Name, Point, f64, f64); 11] = [
    (
        ("沙河公园", "Shahe Park"),
        at(3_450.0, -640.0),
        330.0,
        380.0,
    ),
    (("榆溪公园", "Yuxi Park"), at(-60.0, -2_350.0), 110.0, 620.0),
    (
        ("人民公园", "People's Park"),
        at(-1_080.0, 850.0),
        260.0,
        250.0,
    ),
    (
        ("凌霄塔公园", "Lingxiao Pagoda Park"),
        at(1_380.0, -2_250.0),
        280.0,
        190.0,
    ),
    (
        ("红石峡景区", "Hongshixia Scenic Area"),
        at(-420.0, 5_050.0),
        240.0,
        620.0,
    ),
    (
        ("镇北台遗址", "Zhenbeitai Ruins"),
        at(1_350.0, 5_000.0),
        260.0,
        210.0,
    ),
    (
        ("开源公园", "Kaiyuan Park"),
        at(-3_480.0, 850.0),
        300.0,
        280.0,
    ),
    (
        ("科创公园", "Kechuang Park"),
        at(-4_330.0, -4_050.0),
        270.0,
        320.0,
    ),
    (
        ("东山森林公园", "Dongshan Forest Park"),
        at(4_420.0, 2_300.0),
        380.0,
        800.0,
    ),
    (
        ("青山湿地", "Qingshan Wetland"),
        at(560.0, -4_050.0),
        120.0,
        420.0,
    ),
    (
        ("望湖绿地", "Wanghu Green"),
        at(-300.0, 3_100.0),
        210.0,
        200.0,
    ),
];

const PLACES: [(Name, &str, Point); 16] = [
    (("榆阳区", "Yuyang District"), "district", at(-300.0, 200.0)),
    (("镇北台", "Zhenbeitai"), "sight", at(1_350.0, 5_000.0)),
    (("红石峡", "Hongshixia Gorge"), "sight", at(-420.0, 5_300.0)),
    (("榆林古城", "Old Town"), "sight", at(1_380.0, -500.0)),
    (
        ("凌霄塔", "Lingxiao Pagoda"),
        "sight",
        at(1_380.0, -2_250.0),
    ),
    (("榆阳广场", "Yuyang Square"), "square", at(-720.0, 1_800.0)),
    (
        ("世纪广场", "Century Square"),
        "square",
        at(-2_250.0, -900.0),
    ),
    (
        ("榆林站", "Yulin Railway Station"),
        "station",
        at(-4_300.0, -1_500.0),
    ),
    (
        ("汽车北站", "North Bus Station"),
        "station",
        at(-1_450.0, 3_450.0),
    ),
    (
        ("榆林学院", "Yulin University"),
        "school",
        at(2_500.0, 2_500.0),
    ),
    (
        ("市第一医院", "First Hospital"),
        "hospital",
        at(-1_080.0, -700.0),
    ),
    (
        ("市第二医院", "Second Hospital"),
        "hospital",
        at(2_500.0, -300.0),
    ),
    (
        ("体育中心", "Sports Centre"),
        "sports",
        at(-3_450.0, 2_300.0),
    ),
    (
        ("会展中心", "Exhibition Centre"),
        "public",
        at(-3_050.0, -3_250.0),
    ),
    (
        ("城市运行指挥中心", "City Command Centre"),
        "public",
        at(-2_600.0, -330.0),
    ),
    (
        ("渣土消纳场", "Spoil Disposal Site"),
        "industry",
        at(4_300.0, -3_600.0),
    ),
];

pub(super) fn land(graph: &RoadGraph, rng: &Rng) -> Land {
    let green: Vec<(Option<Name>, Ring)> = PARKS
        .iter()
        .enumerate()
        .map(|(i, (name, middle, a, b))| {
            (
                Some(*name),
                blob(*middle, *a, *b, &mut rng.fork(200 + i as u64)),
            )
        })
        .chain(river_banks())
        .collect();
    let mut buildings = old_wall();
    buildings.extend(houses(graph, &green, &mut rng.fork(300)));
    Land {
        districts: districts(),
        water: water(&mut rng.fork(100)),
        green,
        buildings,
        places: PLACES.iter().map(|(n, c, p)| (*n, *c, bend(*p))).collect(),
    }
}

/// The outline of the city, bent.
fn outline() -> Ring {
    (0..120)
        .map(|i| {
            let (sin, cos) = (f64::from(i) / 120.0 * std::f64::consts::TAU).sin_cos();
            let ray = at(cos, sin);
            bend(ray * (1.04 / outness(ray)))
        })
        .collect()
}

/// Each district is the part of the city nearest to its middle.
fn districts() -> Vec<(Name, Ring)> {
    DISTRICTS
        .iter()
        .map(|(name, middle)| {
            let own = bend(*middle);
            let mut ring = outline();
            for (other_name, other) in DISTRICTS {
                if other_name != *name {
                    ring = clip(&ring, own, bend(other));
                }
            }
            (*name, ring)
        })
        .collect()
}

/// The part of a ring nearer to `own` than to `other` (Sutherland–Hodgman against the bisector).
fn clip(ring: &[Point], own: Point, other: Point) -> Ring {
    let middle = (own + other) * 0.5;
    let side = |p: Point| (p - middle).dot(own - other);
    let mut out = Vec::new();
    for (i, p) in ring.iter().enumerate() {
        let q = ring[(i + 1) % ring.len()];
        let (sp, sq) = (side(*p), side(q));
        if sp >= 0.0 {
            out.push(*p);
        }
        if (sp >= 0.0) != (sq >= 0.0) {
            out.push(*p + (q - *p) * (sp / (sp - sq)));
        }
    }
    out
}

fn blob(middle: Point, a: f64, b: f64, rng: &mut Rng) -> Ring {
    let (p1, p2) = (rng.range(0.0, 6.0), rng.range(0.0, 6.0));
    (0..36)
        .map(|i| {
            let angle = f64::from(i) / 36.0 * std::f64::consts::TAU;
            let r = 1.0 + 0.09 * (angle * 3.0 + p1).sin() + 0.05 * (angle * 5.0 + p2).sin();
            let squared = |v: f64| v.signum() * v.abs().powf(0.75);
            bend(middle + at(squared(angle.cos()) * a * r, squared(angle.sin()) * b * r))
        })
        .collect()
}

fn water(rng: &mut Rng) -> Vec<(Name, Ring)> {
    let (middle, a, b) = LAKE;
    let (mut west, mut east) = (Vec::new(), Vec::new());
    let mut y = 8_300.0;
    while y > -8_400.0 {
        let swell = 1.0 + 0.25 * (y / 510.0_f64).sin() + 0.15 * (y / 190.0_f64).sin();
        west.push(bend(at(RIVER_X - RIVER_HALF * swell, y)));
        east.push(bend(at(RIVER_X + RIVER_HALF * swell, y)));
        y -= 90.0;
    }
    east.reverse();
    west.extend(east);
    vec![
        (("榆溪河", "Yuxi River"), west),
        (
            ("红石峡水库", "Hongshixia Reservoir"),
            blob(middle, a, b, rng),
        ),
        (
            ("开源湖", "Kaiyuan Lake"),
            blob(at(-3_480.0, 830.0), 130.0, 110.0, rng),
        ),
        (
            ("沙河湖", "Shahe Lake"),
            blob(at(3_430.0, -600.0), 120.0, 150.0, rng),
        ),
        (
            ("科创湖", "Kechuang Lake"),
            blob(at(-4_330.0, -4_000.0), 100.0, 130.0, rng),
        ),
    ]
}

/// Green strips on both banks, cut by nothing: the drives run over them.
fn river_banks() -> Vec<(Option<Name>, Ring)> {
    [(-1.0, "west"), (1.0, "east")]
        .into_iter()
        .map(|(side, _)| {
            let (mut inner, mut outer) = (Vec::new(), Vec::new());
            let mut y = 3_450.0;
            while y > -6_300.0 {
                inner.push(bend(at(RIVER_X + side * RIVER_HALF * 0.9, y)));
                outer.push(bend(at(RIVER_X + side * 112.0, y)));
                y -= 110.0;
            }
            outer.reverse();
            inner.extend(outer);
            (None, inner)
        })
        .collect()
}

/// The wall as four long thin buildings with its gates left open, and the towers on its street.
fn old_wall() -> Vec<(Option<Name>, Ring)> {
    let (west, south, east, north) = OLD_TOWN;
    let wall = Some(("榆林古城墙", "Old City Wall"));
    let mut out = Vec::new();
    let gate = 55.0;
    let middle_x = 1_380.0;
    let middle_y = -330.0;
    let runs = [
        (at(west, south), at(middle_x - gate, south)),
        (at(middle_x + gate, south), at(east, south)),
        (at(west, north), at(middle_x - gate, north)),
        (at(middle_x + gate, north), at(east, north)),
        (at(west, south), at(west, middle_y - gate)),
        (at(west, middle_y + gate), at(west, north)),
        (at(east, south), at(east, middle_y - gate)),
        (at(east, middle_y + gate), at(east, north)),
    ];
    for (from, to) in runs {
        let across = (to - from).unit().right() * 11.0;
        let along = (to - from) * (1.0 / 6.0);
        let mut left: Vec<Point> = (0..=6)
            .map(|i| bend(from + along * f64::from(i) + across))
            .collect();
        let right: Vec<Point> = (0..=6)
            .rev()
            .map(|i| bend(from + along * f64::from(i) - across))
            .collect();
        left.extend(right);
        out.push((wall, left));
    }
    let towers = [
        (("钟楼", "Bell Tower"), 60.0),
        (("鼓楼", "Drum Tower"), 320.0),
        (("新明楼", "Xinming Tower"), -700.0),
        (("星明楼", "Xingming Tower"), -1_200.0),
    ];
    for (name, y) in towers {
        let m = at(middle_x + 26.0, y);
        let ring = [(-16.0, -16.0), (16.0, -16.0), (16.0, 16.0), (-16.0, 16.0)]
            .into_iter()
            .map(|(x, y)| bend(m + at(x, y)))
            .collect();
        out.push((Some(name), ring));
    }
    out
}

/// Footprints along the streets, off the roads, the water, the parks and each other.
fn houses(
    graph: &RoadGraph,
    green: &[(Option<Name>, Ring)],
    rng: &mut Rng,
) -> Vec<(Option<Name>, Ring)> {
    let roads = Near::new(graph);
    let wall: Vec<Ring> = old_wall().into_iter().map(|w| w.1).collect();
    let blocked_water: Vec<Ring> = water(&mut rng.fork(9)).into_iter().map(|w| w.1).collect();
    let mut taken: HashMap<(i32, i32), Vec<(Point, f64)>> = HashMap::new();
    let mut out = Vec::new();
    let mut order: Vec<usize> = (0..graph.edges.len()).collect();
    for i in (1..order.len()).rev() {
        order.swap(i, rng.below(i + 1));
    }
    for edge in order {
        let e = &graph.edges[edge];
        if e.class == RoadClass::Trunk || out.len() >= HOUSES {
            continue;
        }
        let (a, b) = (graph.nodes[e.a], graph.nodes[e.b]);
        let along = (b - a).unit();
        let tall = e.class != RoadClass::Residential;
        for side in [1.0, -1.0] {
            for row in 0..2 {
                let mut s = rng.range(14.0, 30.0);
                while s < e.length - 12.0 && out.len() < HOUSES {
                    let width = if tall {
                        rng.range(24.0, 62.0)
                    } else {
                        rng.range(14.0, 46.0)
                    };
                    let depth = rng.range(12.0, 24.0);
                    let set_back = e.class.half_width_m()
                        + rng.range(7.0, 14.0)
                        + depth / 2.0
                        + f64::from(row) * rng.range(42.0, 60.0);
                    let middle = a + along * (s + width / 2.0) + along.right() * (side * set_back);
                    let reach = width.hypot(depth) / 2.0;
                    s += width + rng.range(6.0, 26.0);
                    let free = !rng.chance(0.25)
                        && roads.clear(middle, reach * 0.8 + 6.0)
                        && !blocked_water
                            .iter()
                            .chain(green.iter().map(|g| &g.1))
                            .any(|ring| inside(middle, ring))
                        && !wall.iter().any(|ring| touches(middle, reach + 8.0, ring))
                        && place(&mut taken, middle, reach);
                    if free {
                        out.push((None, footprint(middle, along, width, depth, rng)));
                    }
                }
            }
        }
    }
    out
}

fn touches(p: Point, reach: f64, ring: &[Point]) -> bool {
    (0..ring.len()).any(|i| distance_to_segment(p, ring[i], ring[(i + 1) % ring.len()]) < reach)
}

fn footprint(middle: Point, along: Point, width: f64, depth: f64, rng: &mut Rng) -> Ring {
    let (w, d) = (along * (width / 2.0), along.right() * (depth / 2.0));
    if width > 34.0 && rng.chance(0.35) {
        // An L, as the courtyards here are built.
        let notch = rng.range(0.35, 0.6);
        return vec![
            middle - w - d,
            middle + w - d,
            middle + w + d * 1.6,
            middle + w * (1.0 - notch) + d * 1.6,
            middle + w * (1.0 - notch) + d * 0.1,
            middle - w + d * 0.1,
        ];
    }
    vec![
        middle - w - d,
        middle + w - d,
        middle + w + d,
        middle - w + d,
    ]
}

/// Takes the place if no other house has it.
fn place(taken: &mut HashMap<(i32, i32), Vec<(Point, f64)>>, middle: Point, reach: f64) -> bool {
    let (cx, cy) = square(middle);
    for dx in -1..=1 {
        for dy in -1..=1 {
            for (p, r) in taken.get(&(cx + dx, cy + dy)).into_iter().flatten() {
                if p.distance(middle) < (r + reach) * 0.82 {
                    return false;
                }
            }
        }
    }
    taken.entry((cx, cy)).or_default().push((middle, reach));
    true
}

const SQUARE_M: f64 = 80.0;

#[allow(
    clippy::cast_possible_truncation,
    reason = "a city is a few hundred squares wide"
)]
fn square(p: Point) -> (i32, i32) {
    (
        (p.x / SQUARE_M).floor() as i32,
        (p.y / SQUARE_M).floor() as i32,
    )
}

/// Road segments by square.
struct Near<'a> {
    graph: &'a RoadGraph,
    cells: HashMap<(i32, i32), Vec<usize>>,
}

impl<'a> Near<'a> {
    fn new(graph: &'a RoadGraph) -> Self {
        let mut cells: HashMap<(i32, i32), Vec<usize>> = HashMap::new();
        for (i, e) in graph.edges.iter().enumerate() {
            let (a, b) = (graph.nodes[e.a], graph.nodes[e.b]);
            let (low, high) = (
                square(at(a.x.min(b.x), a.y.min(b.y))),
                square(at(a.x.max(b.x), a.y.max(b.y))),
            );
            for x in low.0 - 1..=high.0 + 1 {
                for y in low.1 - 1..=high.1 + 1 {
                    cells.entry((x, y)).or_default().push(i);
                }
            }
        }
        Self { graph, cells }
    }

    fn clear(&self, p: Point, reach: f64) -> bool {
        self.cells.get(&square(p)).into_iter().flatten().all(|i| {
            let e = &self.graph.edges[*i];
            let d = distance_to_segment(p, self.graph.nodes[e.a], self.graph.nodes[e.b]);
            d > reach * 0.72 + e.class.half_width_m()
        }) && !in_water_bent(p)
    }
}

/// Cheap stand-in for un-bending a point: the river strip is checked by its ring, this keeps houses off its banks.
fn in_water_bent(p: Point) -> bool {
    let back = p - (bend(p) - p);
    in_water(back) && (back.x - RIVER_X).abs() < RIVER_HALF
}

/// Even–odd rule.
pub(super) fn inside(p: Point, ring: &[Point]) -> bool {
    let mut odd = false;
    for (i, a) in ring.iter().enumerate() {
        let b = ring[(i + 1) % ring.len()];
        if (a.y > p.y) != (b.y > p.y) && p.x < (b.x - a.x) * (p.y - a.y) / (b.y - a.y) + a.x {
            odd = !odd;
        }
    }
    odd
}
