//! The plane the city is drawn on: metres east and north of its centre, and the bend that makes a grid look grown.

use std::ops::{Add, Mul, Sub};

use crate::model::GeoPoint;

/// The centre of the synthetic Yulin (榆林), WGS-84.
pub(super) const CENTER: GeoPoint = GeoPoint {
    lon: 109.73,
    lat: 38.29,
};
const METERS_PER_DEGREE_LAT: f64 = 111_195.0;

/// Metres east and north of [`CENTER`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    pub x: f64,
    pub y: f64,
}

pub(super) const fn at(x: f64, y: f64) -> Point {
    Point { x, y }
}

impl Point {
    /// Equirectangular: within 1 m over the few kilometres of one city.
    pub fn to_geo(self) -> GeoPoint {
        let per_lon = METERS_PER_DEGREE_LAT * CENTER.lat.to_radians().cos();
        GeoPoint {
            lon: CENTER.lon + self.x / per_lon,
            lat: CENTER.lat + self.y / METERS_PER_DEGREE_LAT,
        }
    }

    pub fn from_geo(p: GeoPoint) -> Self {
        let per_lon = METERS_PER_DEGREE_LAT * CENTER.lat.to_radians().cos();
        at(
            (p.lon - CENTER.lon) * per_lon,
            (p.lat - CENTER.lat) * METERS_PER_DEGREE_LAT,
        )
    }

    pub fn length(self) -> f64 {
        self.x.hypot(self.y)
    }

    pub fn distance(self, other: Self) -> f64 {
        (self - other).length()
    }

    pub fn dot(self, other: Self) -> f64 {
        self.x * other.x + self.y * other.y
    }

    pub fn cross(self, other: Self) -> f64 {
        self.x * other.y - self.y * other.x
    }

    /// Of length one; zero stays zero.
    pub fn unit(self) -> Self {
        let length = self.length();
        if length > 0.0 {
            self * (1.0 / length)
        } else {
            self
        }
    }

    /// A quarter turn to the right: where a driver's lane is, seen from the middle of the road.
    pub fn right(self) -> Self {
        at(self.y, -self.x)
    }

    /// Degrees clockwise from north, `0 <= c < 360`.
    pub fn course_deg(self) -> f64 {
        self.x.atan2(self.y).to_degrees().rem_euclid(360.0)
    }
}

impl Add for Point {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        at(self.x + o.x, self.y + o.y)
    }
}

impl Sub for Point {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        at(self.x - o.x, self.y - o.y)
    }
}

impl Mul<f64> for Point {
    type Output = Self;
    fn mul(self, k: f64) -> Self {
        at(self.x * k, self.y * k)
    }
}

/// Distance of `p` from the segment `a`–`b`.
pub(super) fn distance_to_segment(p: Point, a: Point, b: Point) -> f64 {
    let ab = b - a;
    let t = ((p - a).dot(ab) / ab.dot(ab).max(1e-9)).clamp(0.0, 1.0);
    p.distance(a + ab * t)
}

/// Where the river runs before the bend: the Yuxi (榆溪河) flows north to south, west of the old town.
pub(super) const RIVER_X: f64 = 250.0;
/// Half the width of the water.
pub(super) const RIVER_HALF: f64 = 48.0;
/// The Hongshixia reservoir (红石峡水库): middle and half axes.
pub(super) const LAKE: (Point, f64, f64) = (at(250.0, 4_650.0), 430.0, 950.0);
/// The walled old town: west, south, east, north.
pub(super) const OLD_TOWN: (f64, f64, f64, f64) = (930.0, -1_650.0, 1_830.0, 620.0);

/// Bends the plan: everything near the river follows its curves, the rest is turned and waved a little.
pub(super) fn bend(p: Point) -> Point {
    let curve = 300.0 * (p.y / 2_300.0 + 0.4).sin() + 120.0 * (p.y / 870.0).sin();
    let near = (-((p.x - RIVER_X) / 1_700.0).powi(2)).exp();
    let x = p.x + curve * near + 120.0 * (p.y / 1_900.0 + p.x / 3_500.0 + 1.0).sin();
    let y = p.y + 130.0 * (p.x / 2_100.0).sin() + 50.0 * ((p.x - p.y) / 1_300.0).sin();
    let (sin, cos) = 0.05_f64.sin_cos();
    at(x * cos - y * sin, x * sin + y * cos)
}

/// Whether a place of the plan (before the bend) is in water.
pub(super) fn in_water(p: Point) -> bool {
    let (middle, a, b) = LAKE;
    let d = p - middle;
    (p.x - RIVER_X).abs() < RIVER_HALF + 20.0
        || (d.x / (a + 40.0)).powi(2) + (d.y / (b + 40.0)).powi(2) < 1.0
}

/// How far out of the middle a place of the plan is: 0 centre, 1 the edge of the built city.
pub(super) fn outness(p: Point) -> f64 {
    let angle = p.y.atan2(p.x);
    let wobble = 1.0 + 0.07 * (angle * 3.0 + 0.7).sin() + 0.05 * (angle * 5.0 + 2.0).sin();
    ((p.x / 5_300.0).abs().powf(2.4) + (p.y / 6_100.0).abs().powf(2.4)).powf(1.0 / 2.4) / wobble
}
