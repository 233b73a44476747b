//! The road graph: the street plan cut at every crossing, the largest connected part of it.
//!
//! Promises: every edge joins two nodes of the graph, no edge is shorter than the snapping distance, and every node can be
//! reached from every other.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

use super::plane::{Point, distance_to_segment};
use super::streets::{Line, RoadClass};

/// Ends and crossings closer than this are one node.
const SNAP_M: f64 = 14.0;
const CELL_M: f64 = 250.0;

#[derive(Clone, Debug)]
pub struct Edge {
    pub a: usize,
    pub b: usize,
    pub length: f64,
    pub class: RoadClass,
    /// Index of the street in the plan.
    pub line: usize,
}

#[derive(Clone, Debug, Default)]
pub struct RoadGraph {
    pub nodes: Vec<Point>,
    pub edges: Vec<Edge>,
    /// Edges at each node.
    pub at: Vec<Vec<usize>>,
}

impl RoadGraph {
    pub(super) fn new(lines: &[Line]) -> Self {
        let mut build = Build::default();
        let segments = segments(lines);
        for (index, cuts) in crossings(&segments).into_iter().enumerate() {
            let segment = &segments[index];
            let mut previous: Option<usize> = None;
            for t in cuts {
                let node = build.node(segment.a + (segment.b - segment.a) * t);
                if let Some(before) = previous.filter(|b| *b != node) {
                    build.edge(before, node, segment.class, segment.line);
                }
                previous = Some(node);
            }
        }
        build.graph.largest_part()
    }

    pub fn other_end(&self, edge: usize, node: usize) -> usize {
        let e = &self.edges[edge];
        if e.a == node { e.b } else { e.a }
    }

    pub fn nearest(&self, p: Point) -> usize {
        let mut best = (0, f64::INFINITY);
        for (i, node) in self.nodes.iter().enumerate() {
            let d = node.distance(p);
            if d < best.1 {
                best = (i, d);
            }
        }
        best.0
    }

    /// Distance from the nearest road's middle line; for tests and for keeping houses off the street.
    pub fn distance_to_road(&self, p: Point) -> f64 {
        self.edges
            .iter()
            .map(|e| distance_to_segment(p, self.nodes[e.a], self.nodes[e.b]))
            .fold(f64::INFINITY, f64::min)
    }

    /// The quickest way as the nodes passed, both ends included (A* on driving time). Empty when there is none.
    pub fn route(&self, from: usize, to: usize) -> Vec<usize> {
        let fastest = RoadClass::Trunk.limit_kmh() / 3.6;
        let mut best = vec![f64::INFINITY; self.nodes.len()];
        let mut came = vec![usize::MAX; self.nodes.len()];
        let mut open = BinaryHeap::from([Open {
            cost: 0.0,
            node: from,
        }]);
        best[from] = 0.0;
        while let Some(Open { node, .. }) = open.pop() {
            if node == to {
                let mut path = vec![to];
                let mut n = to;
                while n != from {
                    n = came[n];
                    path.push(n);
                }
                path.reverse();
                return path;
            }
            for edge in &self.at[node] {
                let next = self.other_end(*edge, node);
                let e = &self.edges[*edge];
                // The extra metres stand for slowing down at every crossing.
                let cost = best[node] + (e.length + 25.0) / (e.class.limit_kmh() / 3.6);
                if cost < best[next] {
                    best[next] = cost;
                    came[next] = node;
                    let rest = self.nodes[next].distance(self.nodes[to]) / fastest;
                    open.push(Open {
                        cost: cost + rest,
                        node: next,
                    });
                }
            }
        }
        Vec::new()
    }

    pub fn edge_between(&self, a: usize, b: usize) -> Option<usize> {
        self.at[a]
            .iter()
            .copied()
            .find(|e| self.other_end(*e, a) == b)
    }

    fn largest_part(self) -> Self {
        let mut part = vec![usize::MAX; self.nodes.len()];
        let mut sizes = Vec::new();
        for start in 0..self.nodes.len() {
            if part[start] != usize::MAX {
                continue;
            }
            let number = sizes.len();
            part[start] = number;
            let mut size = 0_usize;
            let mut todo = vec![start];
            while let Some(node) = todo.pop() {
                size += 1;
                for edge in &self.at[node] {
                    let next = self.other_end(*edge, node);
                    if part[next] == usize::MAX {
                        part[next] = number;
                        todo.push(next);
                    }
                }
            }
            sizes.push(size);
        }
        let largest = (0..sizes.len()).max_by_key(|i| sizes[*i]).unwrap_or(0);
        let mut kept = Self::default();
        let mut renumbered = vec![usize::MAX; self.nodes.len()];
        for (i, p) in self.nodes.iter().enumerate() {
            if part[i] == largest {
                renumbered[i] = kept.nodes.len();
                kept.nodes.push(*p);
                kept.at.push(Vec::new());
            }
        }
        for e in self.edges {
            if part[e.a] == largest {
                let (a, b) = (renumbered[e.a], renumbered[e.b]);
                kept.at[a].push(kept.edges.len());
                kept.at[b].push(kept.edges.len());
                kept.edges.push(Edge { a, b, ..e });
            }
        }
        kept
    }
}

struct Open {
    cost: f64,
    node: usize,
}

impl PartialEq for Open {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Open {}
impl PartialOrd for Open {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Open {
    /// Cheapest first out of a max-heap.
    fn cmp(&self, other: &Self) -> Ordering {
        other
            .cost
            .total_cmp(&self.cost)
            .then(other.node.cmp(&self.node))
    }
}

struct Segment {
    a: Point,
    b: Point,
    class: RoadClass,
    line: usize,
}

fn segments(lines: &[Line]) -> Vec<Segment> {
    let mut out = Vec::new();
    for (line, l) in lines.iter().enumerate() {
        for part in &l.parts {
            for pair in part.windows(2) {
                let [a, b] = pair else { continue };
                out.push(Segment {
                    a: *a,
                    b: *b,
                    class: l.class,
                    line,
                });
            }
        }
    }
    out
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "a city is a few dozen cells wide"
)]
fn cell(p: Point, size: f64) -> (i32, i32) {
    ((p.x / size).floor() as i32, (p.y / size).floor() as i32)
}

/// For each segment where others meet it, as fractions of its length in order, its ends included.
fn crossings(segments: &[Segment]) -> Vec<Vec<f64>> {
    let mut cells: HashMap<(i32, i32), Vec<usize>> = HashMap::new();
    for (i, s) in segments.iter().enumerate() {
        let (low, high) = (
            cell(
                Point {
                    x: s.a.x.min(s.b.x) - SNAP_M,
                    y: s.a.y.min(s.b.y) - SNAP_M,
                },
                CELL_M,
            ),
            cell(
                Point {
                    x: s.a.x.max(s.b.x) + SNAP_M,
                    y: s.a.y.max(s.b.y) + SNAP_M,
                },
                CELL_M,
            ),
        );
        for cx in low.0..=high.0 {
            for cy in low.1..=high.1 {
                cells.entry((cx, cy)).or_default().push(i);
            }
        }
    }
    let mut cuts: Vec<Vec<f64>> = segments.iter().map(|_| vec![0.0, 1.0]).collect();
    for members in cells.values() {
        for (n, i) in members.iter().enumerate() {
            for j in members.iter().skip(n + 1) {
                let (s, o) = (&segments[*i], &segments[*j]);
                if let Some((t, u)) = meet(s, o) {
                    cuts[*i].push(t);
                    cuts[*j].push(u);
                }
                // A street that ends on another one joins it there.
                for (p, k) in [(o.a, *i), (o.b, *i), (s.a, *j), (s.b, *j)] {
                    let host = &segments[k];
                    if distance_to_segment(p, host.a, host.b) < SNAP_M {
                        let ab = host.b - host.a;
                        cuts[k].push(((p - host.a).dot(ab) / ab.dot(ab)).clamp(0.0, 1.0));
                    }
                }
            }
        }
    }
    for list in &mut cuts {
        list.sort_by(f64::total_cmp);
        list.dedup();
    }
    cuts
}

fn meet(s: &Segment, o: &Segment) -> Option<(f64, f64)> {
    let (d, e) = (s.b - s.a, o.b - o.a);
    let cross = d.cross(e);
    if cross.abs() < 1e-6 {
        return None;
    }
    let t = (o.a - s.a).cross(e) / cross;
    let u = (o.a - s.a).cross(d) / cross;
    ((0.0..=1.0).contains(&t) && (0.0..=1.0).contains(&u)).then_some((t, u))
}

#[derive(Default)]
struct Build {
    graph: RoadGraph,
    cells: HashMap<(i32, i32), Vec<usize>>,
    known: HashMap<(usize, usize), usize>,
}

impl Build {
    /// The node at `p`, or a new one.
    fn node(&mut self, p: Point) -> usize {
        let (cx, cy) = cell(p, SNAP_M);
        for dx in -1..=1 {
            for dy in -1..=1 {
                for n in self.cells.get(&(cx + dx, cy + dy)).into_iter().flatten() {
                    if self.graph.nodes[*n].distance(p) < SNAP_M {
                        return *n;
                    }
                }
            }
        }
        let number = self.graph.nodes.len();
        self.graph.nodes.push(p);
        self.graph.at.push(Vec::new());
        self.cells.entry((cx, cy)).or_default().push(number);
        number
    }

    fn edge(&mut self, a: usize, b: usize, class: RoadClass, line: usize) {
        let number = self.graph.edges.len();
        let key = (a.min(b), a.max(b));
        if let Some(there) = self.known.get(&key) {
            // Two streets on one line: the larger one stays.
            let e = &mut self.graph.edges[*there];
            if class > e.class {
                (e.class, e.line) = (class, line);
            }
            return;
        }
        self.known.insert(key, number);
        let length = self.graph.nodes[a].distance(self.graph.nodes[b]);
        self.graph.at[a].push(number);
        self.graph.at[b].push(number);
        self.graph.edges.push(Edge {
            a,
            b,
            length,
            class,
            line,
        });
    }
}
