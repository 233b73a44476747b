//! The street plan: named lines with a class, before they are cut into a graph.
//!
//! The names are those of streets, districts and sights in Yulin; where they run is made up.

use super::plane::{LAKE, OLD_TOWN, Point, RIVER_X, at, bend, in_water, outness};
use zhenbei_scene::Rng;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RoadClass {
    Residential,
    Secondary,
    Primary,
    Trunk,
}

impl RoadClass {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trunk => "trunk",
            Self::Primary => "primary",
            Self::Secondary => "secondary",
            Self::Residential => "residential",
        }
    }

    /// Posted limit.
    pub const fn limit_kmh(self) -> f64 {
        match self {
            Self::Trunk => 80.0,
            Self::Primary => 60.0,
            Self::Secondary => 50.0,
            Self::Residential => 30.0,
        }
    }

    /// From the middle line to the kerb.
    pub const fn half_width_m(self) -> f64 {
        match self {
            Self::Trunk => 18.0,
            Self::Primary => 14.0,
            Self::Secondary => 9.0,
            Self::Residential => 5.0,
        }
    }

    /// From the middle line to the middle of the lane that is driven in.
    pub const fn lane_m(self) -> f64 {
        match self {
            Self::Trunk => 9.0,
            Self::Primary => 6.0,
            Self::Secondary => 3.5,
            Self::Residential => 2.0,
        }
    }
}

/// Chinese and English.
pub(super) type Name = (&'static str, &'static str);

/// One drawn line of the plan, already bent. It may have holes: `parts` are its pieces.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub class: RoadClass,
    pub name: Option<Name>,
    pub parts: Vec<Vec<Point>>,
}

use RoadClass::{Primary, Residential, Secondary, Trunk};

/// North–south streets, from the west.
const COLUMNS: [(f64, RoadClass, Name); 11] = [
    (-4_750.0, Primary, ("明珠大道", "Mingzhu Avenue")),
    (-3_900.0, Secondary, ("建榆路", "Jianyu Road")),
    (-3_050.0, Primary, ("开源大道", "Kaiyuan Avenue")),
    (-2_250.0, Secondary, ("朝阳路", "Chaoyang Road")),
    (-1_450.0, Primary, ("长城路", "Changcheng Road")),
    (-720.0, Secondary, ("肤施路", "Fushi Road")),
    (720.0, Primary, ("新建路", "Xinjian Road")),
    (1_380.0, Secondary, ("老街", "Old Street")),
    (2_080.0, Secondary, ("金沙路", "Jinsha Road")),
    (2_950.0, Primary, ("沙河路", "Shahe Road")),
    (3_950.0, Secondary, ("广榆路", "Guangyu Road")),
];

/// East–west streets, from the north.
const ROWS: [(f64, RoadClass, Name); 13] = [
    (5_350.0, Secondary, ("镇北台路", "Zhenbeitai Road")),
    (3_450.0, Primary, ("红石峡路", "Hongshixia Road")),
    (2_750.0, Secondary, ("望湖路", "Wanghu Road")),
    (1_950.0, Primary, ("榆阳路", "Yuyang Road")),
    (1_250.0, Secondary, ("文化路", "Wenhua Road")),
    (430.0, Primary, ("人民路", "Renmin Road")),
    (-330.0, Secondary, ("上郡路", "Shangjun Road")),
    (-1_130.0, Primary, ("航宇路", "Hangyu Road")),
    (-1_950.0, Secondary, ("青山路", "Qingshan Road")),
    (-2_750.0, Primary, ("常乐路", "Changle Road")),
    (-3_600.0, Secondary, ("崇文路", "Chongwen Road")),
    (-4_500.0, Primary, ("柳营路", "Liuying Road")),
    (-5_300.0, Secondary, ("保宁路", "Baoning Road")),
];

const LANES: [Name; 16] = [
    ("钟楼巷", "Zhonglou Lane"),
    ("桃源路", "Taoyuan Road"),
    ("芹河路", "Qinhe Road"),
    ("兴榆路", "Xingyu Road"),
    ("普惠路", "Puhui Road"),
    ("红山路", "Hongshan Road"),
    ("德静路", "Dejing Road"),
    ("富康路", "Fukang Road"),
    ("春苑路", "Chunyuan Road"),
    ("迎宾路", "Yingbin Road"),
    ("沙地路", "Shadi Road"),
    ("胡杨街", "Huyang Street"),
    ("银杏街", "Yinxing Street"),
    ("学府路", "Xuefu Road"),
    ("阳光路", "Yangguang Road"),
    ("静宁路", "Jingning Road"),
];

pub(super) fn lines(rng: &Rng) -> Vec<Line> {
    let mut lines = arteries();
    lines.extend(grid(&mut rng.fork(1)));
    lines.extend(lanes(&mut rng.fork(2)));
    lines.extend(old_town());
    lines
}

/// Rings, the expressway, the two river drives and the diagonals.
fn arteries() -> Vec<Line> {
    let mut lines = vec![
        ring(0.50, ("二环路", "Second Ring Road"), Primary),
        ring(0.93, ("环城路", "Orbital Road"), Trunk),
    ];
    let line = |class, name, corners: &[Point]| Line {
        class,
        name: Some(name),
        parts: vec![smooth(corners).into_iter().map(bend).collect()],
    };
    lines.push(line(
        Trunk,
        ("包茂高速", "Baomao Expressway"),
        &[
            at(-5_900.0, 8_200.0),
            at(-5_250.0, 4_300.0),
            at(-5_700.0, 600.0),
            at(-5_350.0, -3_600.0),
            at(-6_300.0, -8_000.0),
        ],
    ));
    lines.push(line(
        Trunk,
        ("榆神大道", "Yushen Avenue"),
        &[
            at(2_080.0, 1_950.0),
            at(3_300.0, 3_600.0),
            at(5_000.0, 5_000.0),
            at(7_400.0, 6_300.0),
        ],
    ));
    lines.push(line(
        Primary,
        ("高新大道", "Gaoxin Avenue"),
        &[
            at(-1_450.0, -1_130.0),
            at(-2_500.0, -2_500.0),
            at(-3_900.0, -3_700.0),
            at(-6_000.0, -5_300.0),
        ],
    ));
    lines.push(line(
        Primary,
        ("榆靖路", "Yujing Road"),
        &[
            at(-1_450.0, 1_950.0),
            at(-2_900.0, 3_000.0),
            at(-5_400.0, 4_600.0),
        ],
    ));
    for (x, name) in [
        (RIVER_X - 130.0, ("滨河西路", "Binhe West Road")),
        (RIVER_X + 130.0, ("滨河东路", "Binhe East Road")),
    ] {
        lines.push(Line {
            class: Secondary,
            name: Some(name),
            parts: keep(&straight(at(x, -6_400.0), at(x, 3_500.0), 120.0), |_| true),
        });
    }
    // Round the reservoir.
    let (middle, a, b) = LAKE;
    let shore: Vec<Point> = (0..=48)
        .map(|i| {
            let (sin, cos) = (f64::from(i) / 48.0 * std::f64::consts::TAU).sin_cos();
            bend(middle + at(cos * (a + 130.0), sin * (b + 130.0)))
        })
        .collect();
    lines.push(Line {
        class: Secondary,
        name: Some(("环湖路", "Lakeside Road")),
        parts: vec![shore],
    });
    lines
}

fn ring(scale: f64, name: Name, class: RoadClass) -> Line {
    let points = (0..=96)
        .map(|i| {
            let (sin, cos) = (f64::from(i) / 96.0 * std::f64::consts::TAU).sin_cos();
            let squared = |v: f64| v.signum() * v.abs().powf(0.62);
            bend(at(
                squared(cos) * 5_300.0 * scale,
                squared(sin) * 6_100.0 * scale,
            ))
        })
        .collect();
    Line {
        class,
        name: Some(name),
        parts: vec![points],
    }
}

fn grid(rng: &mut Rng) -> Vec<Line> {
    let mut lines = Vec::new();
    for (x, class, name) in COLUMNS {
        let reach = if class == Primary { 1.02 } else { 0.94 };
        let from = rng.range(-6_300.0, -5_600.0);
        let points = straight(at(x, from), at(x, 6_100.0), 160.0);
        let keeps =
            |p: Point| outness(p) < reach && !in_water(p) && !(x == 1_380.0 && p.y > 2_700.0);
        lines.push(Line {
            class,
            name: Some(name),
            parts: keep(&points, keeps),
        });
    }
    for (y, class, name) in ROWS {
        let reach = if class == Primary { 1.02 } else { 0.94 };
        let points = straight(at(-5_900.0, y), at(5_600.0, y), 160.0);
        let (lake, a, b) = LAKE;
        // Bridges: these streets cross the river, and go round the lake.
        let keeps = |p: Point| {
            let d = p - lake;
            outness(p) < reach && (d.x / (a + 130.0)).powi(2) + (d.y / (b + 130.0)).powi(2) > 1.0
        };
        lines.push(Line {
            class,
            name: Some(name),
            parts: keep(&points, keeps),
        });
    }
    lines
}

/// Residential streets between the named ones: some blocks have them, some not, fewer further out.
fn lanes(rng: &mut Rng) -> Vec<Line> {
    let mut lines = Vec::new();
    let columns: Vec<f64> = COLUMNS.iter().map(|c| c.0).collect();
    let mut rows: Vec<f64> = ROWS.iter().map(|r| r.0).collect();
    rows.reverse();
    let (west, south, east, north) = OLD_TOWN;
    for upright in [true, false] {
        let (across, along) = if upright {
            (&columns, &rows)
        } else {
            (&rows, &columns)
        };
        for pair in across.windows(2) {
            let [from, to] = pair else { continue };
            let count = ((to - from) / 250.0).round().max(1.0);
            let mut k = 1.0;
            while k < count {
                let level = from + (to - from) * k / count + rng.range(-25.0, 25.0);
                let mut parts = Vec::new();
                for span in along.windows(2) {
                    let [start, end] = span else { continue };
                    let place = |t: f64| {
                        if upright { at(level, t) } else { at(t, level) }
                    };
                    let middle = place((start + end) / 2.0);
                    let in_old = middle.x > west - 60.0
                        && middle.x < east + 60.0
                        && middle.y > south - 60.0
                        && middle.y < north + 60.0;
                    if in_old || rng.chance(0.16 + 0.55 * outness(middle).powi(2)) {
                        continue;
                    }
                    let points = straight(place(*start), place(*end), 120.0);
                    let crosses = |p: Point| outness(p) < 0.9 && !in_water(p);
                    parts.extend(keep(&points, crosses));
                }
                let name = rng.pick(&LANES).copied();
                lines.push(Line {
                    class: Residential,
                    name,
                    parts,
                });
                k += 1.0;
            }
        }
    }
    lines
}

/// Alleys inside the wall: closer together, crossing the old street.
fn old_town() -> Vec<Line> {
    let (west, south, east, north) = OLD_TOWN;
    let mut lines = Vec::new();
    let mut y = south + 90.0;
    while y < north - 40.0 {
        lines.push(Line {
            class: Residential,
            name: None,
            parts: vec![
                straight(at(west + 40.0, y), at(east - 40.0, y), 110.0)
                    .into_iter()
                    .map(bend)
                    .collect(),
            ],
        });
        y += 165.0;
    }
    for x in [west + 45.0, west + 240.0, east - 240.0, east - 45.0] {
        lines.push(Line {
            class: Residential,
            name: None,
            parts: vec![
                straight(at(x, south + 90.0), at(x, north - 40.0), 110.0)
                    .into_iter()
                    .map(bend)
                    .collect(),
            ],
        });
    }
    lines
}

fn straight(from: Point, to: Point, step: f64) -> Vec<Point> {
    let count = (from.distance(to) / step).ceil().max(1.0);
    let mut points = Vec::new();
    let mut i = 0.0;
    while i <= count {
        points.push(from + (to - from) * (i / count));
        i += 1.0;
    }
    points
}

/// Rounds the corners off by cutting them three times (Chaikin).
fn smooth(corners: &[Point]) -> Vec<Point> {
    let mut points = corners.to_vec();
    for _ in 0..3 {
        let mut next = Vec::with_capacity(points.len() * 2);
        next.extend(points.first().copied());
        for pair in points.windows(2) {
            let [a, b] = pair else { continue };
            next.push(*a * 0.75 + *b * 0.25);
            next.push(*a * 0.25 + *b * 0.75);
        }
        next.extend(points.last().copied());
        points = next;
    }
    points
}

/// The pieces of a line where `keeps` holds, bent.
fn keep(points: &[Point], keeps: impl Fn(Point) -> bool) -> Vec<Vec<Point>> {
    let mut parts = Vec::new();
    let mut part: Vec<Point> = Vec::new();
    for p in points {
        if keeps(*p) {
            part.push(bend(*p));
        } else if !part.is_empty() {
            parts.push(std::mem::take(&mut part));
        }
    }
    parts.push(part);
    parts.retain(|p| p.len() > 1);
    parts
}
