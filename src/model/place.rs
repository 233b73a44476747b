//! Places on the earth, WGS-84 degrees inside. Other coordinate systems are converted in `geo/` at the door.

use serde::{Deserialize, Serialize};

use super::{Error, Result};

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GeoPoint {
    pub lon: f64,
    pub lat: f64,
}

impl GeoPoint {
    /// Refuses what is not on the earth, NaN included.
    pub fn new(lon: f64, lat: f64) -> Result<Self> {
        if !(-180.0..=180.0).contains(&lon) {
            return Err(Error::invalid(
                "bad_position",
                format!("longitude {lon} is outside -180..180 degrees"),
            ));
        }
        if !(-90.0..=90.0).contains(&lat) {
            return Err(Error::invalid(
                "bad_position",
                format!("latitude {lat} is outside -90..90 degrees"),
            ));
        }
        Ok(Self { lon, lat })
    }
}

/// West, south, east, north in degrees. `west > east` crosses the 180° meridian.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoundingBox {
    pub west: f64,
    pub south: f64,
    pub east: f64,
    pub north: f64,
}

impl BoundingBox {
    pub fn contains(&self, p: GeoPoint) -> bool {
        let lon_in = if self.west <= self.east {
            self.west <= p.lon && p.lon <= self.east
        } else {
            p.lon >= self.west || p.lon <= self.east
        };
        lon_in && self.south <= p.lat && p.lat <= self.north
    }
}

/// Great-circle distance in metres (haversine on the mean radius; within 0.6 % of the ellipsoid).
pub fn distance_m(a: GeoPoint, b: GeoPoint) -> f64 {
    const MEAN_RADIUS_M: f64 = 6_371_008.8;
    let (lat1, lat2) = (a.lat.to_radians(), b.lat.to_radians());
    let (dlat, dlon) = (lat2 - lat1, (b.lon - a.lon).to_radians());
    let h = (dlat / 2.0).sin().powi(2) + lat1.cos() * lat2.cos() * (dlon / 2.0).sin().powi(2);
    2.0 * MEAN_RADIUS_M * h.clamp(0.0, 1.0).sqrt().asin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_on_earth_is_refused() {
        assert!(GeoPoint::new(109.73, 38.29).is_ok());
        assert!(GeoPoint::new(109.73, 91.0).is_err());
        assert!(GeoPoint::new(180.1, 0.0).is_err());
        assert!(GeoPoint::new(f64::NAN, 0.0).is_err());
    }

    #[test]
    fn one_degree_of_latitude_is_111_km() {
        let d = distance_m(
            GeoPoint {
                lon: 109.0,
                lat: 38.0,
            },
            GeoPoint {
                lon: 109.0,
                lat: 39.0,
            },
        );
        assert!((d - 111_195.0).abs() < 50.0, "{d}");
    }
}
