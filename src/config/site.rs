//! `SITE.toml`: the cameras and vehicles of a site as one declarative file (`zhenbei apply`).

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;

use super::document::{self, Form, Report};
use super::errors::ConfigErrors;
use super::load::read_text;
use super::secrets::Environment;
use crate::model::{
    AreaCode, Camera, CameraId, CameraPolicies, GeoPoint, Secret, Transport, Vehicle, VehicleClass,
    VehicleId, check_transport,
};

const SAMPLE: &str = include_str!("../../config/site.example.toml");

/// What a site file asks for. Cameras and vehicles in the order of the file, their ids unique.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Site {
    pub cameras: Vec<Camera>,
    pub vehicles: Vec<Vehicle>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct SiteFile {
    cameras: Vec<CameraEntry>,
    vehicles: Vec<VehicleEntry>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CameraEntry {
    id: Option<String>,
    name: Option<String>,
    lon: Option<f64>,
    lat: Option<f64>,
    area: Option<String>,
    heading_deg: Option<f64>,
    fov_deg: Option<f64>,
    main: Option<Secret>,
    sub: Option<Secret>,
    transport: Option<Transport>,
    policies: CameraPolicies,
    record: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct VehicleEntry {
    id: Option<String>,
    plate: Option<String>,
    class: Option<VehicleClass>,
}

/// Reads the file, taking secrets from the environment of this process.
pub fn load_site(file: &Path) -> Result<Site, ConfigErrors> {
    parse_site(file, &read_text(file)?, &Environment::of_process())
}

/// As [`load_site`], from text and an environment of the caller's.
pub fn parse_site(file: &Path, text: &str, env: &Environment) -> Result<Site, ConfigErrors> {
    let form = Form {
        overlay: None,
        sample: SAMPLE,
        later: &["areas", "geofences", "layouts", "rules"],
    };
    let (entries, mut report) = document::read::<SiteFile>(file, text, env, &form)?;
    let site = Site {
        cameras: cameras(entries.cameras, &mut report),
        vehicles: vehicles(entries.vehicles, &mut report),
    };
    if report.errors.is_empty() {
        Ok(site)
    } else {
        Err(ConfigErrors::new(file, report.errors))
    }
}

/// One entry of a list: says what is missing or wrong under its own path.
struct Entry<'a> {
    report: &'a mut Report,
    path: String,
}

impl Entry<'_> {
    fn at(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    fn error(&mut self, key: &str, message: impl Into<String>) {
        let at = self.at(key);
        self.report.error(&at, message);
    }

    fn required<T>(&mut self, key: &str, value: Option<T>, what: &str) -> Option<T> {
        if value.is_none() && !self.report.is_written(&self.at(key)) {
            self.error(key, format!("is missing: {what}"));
        }
        value
    }

    fn code<T>(
        &mut self,
        key: &str,
        text: Option<String>,
        what: &str,
        make: fn(&str) -> crate::model::Result<T>,
    ) -> Option<T> {
        let text = self.required(key, text, what)?;
        match make(&text) {
            Ok(code) => Some(code),
            Err(e) => {
                self.error(key, e.detail());
                None
            }
        }
    }

    fn degrees(&mut self, key: &str, value: Option<f64>, up_to: f64) -> Option<f64> {
        if value.is_some_and(|v| !(0.0..=up_to).contains(&v)) {
            self.error(key, format!("must be 0 to {up_to} degrees"));
        }
        value
    }

    fn stream(&mut self, key: &str, url: &Secret, transport: Transport) {
        const LIKE: &str = "write rtsp://user:password@host:554/path";
        match url::Url::parse(url.reveal()) {
            Ok(u) if !matches!(u.scheme(), "rtsp" | "rtsps") => {
                self.error(
                    key,
                    format!("`{}` is not an RTSP address; {LIKE}", url.redacted()),
                );
            }
            Ok(u) if u.host_str().is_none_or(str::is_empty) => {
                self.error(key, format!("names no host; {LIKE}"));
            }
            Ok(u) => {
                if let Err(why) = check_transport(u.scheme(), transport) {
                    self.error(key, why);
                }
            }
            Err(e) => self.error(key, format!("is not an address ({e}); {LIKE}")),
        }
    }
}

fn cameras(entries: Vec<CameraEntry>, report: &mut Report) -> Vec<Camera> {
    let mut seen = HashMap::new();
    let mut cameras = Vec::with_capacity(entries.len());
    for (index, entry) in entries.into_iter().enumerate() {
        let mut e = Entry {
            report: &mut *report,
            path: format!("cameras.{index}"),
        };
        let id = e.code(
            "id",
            entry.id,
            "the code this camera has with you",
            CameraId::new,
        );
        if let Some(first) = id.as_ref().and_then(|id| seen.insert(id.clone(), index)) {
            e.error(
                "id",
                format!(
                    "camera {} has the same id; every camera needs its own",
                    first + 1
                ),
            );
        }
        let lon = e.required("lon", entry.lon, "longitude in WGS-84 degrees");
        let lat = e.required("lat", entry.lat, "latitude in WGS-84 degrees");
        let place = match (lon, lat) {
            (Some(lon), Some(lat)) => match GeoPoint::new(lon, lat) {
                Ok(place) => Some(place),
                Err(error) => {
                    let key = if (-180.0..=180.0).contains(&lon) {
                        "lat"
                    } else {
                        "lon"
                    };
                    e.error(key, error.detail());
                    None
                }
            },
            _ => None,
        };
        let area = e.code(
            "area",
            entry.area,
            "the division code (GB/T 2260), e.g. \"610802\"",
            AreaCode::new,
        );
        let heading_deg = e.degrees("heading_deg", entry.heading_deg, 360.0);
        let fov_deg = e.degrees("fov_deg", entry.fov_deg, 360.0);
        if let Err(why) = entry.policies.check() {
            e.error("policies", why);
        }
        let transport = entry.transport.unwrap_or_default();
        let main = e.required("main", entry.main, "the camera's RTSP address");
        if let Some(url) = &main {
            e.stream("main", url, transport);
        }
        if let Some(url) = &entry.sub {
            e.stream("sub", url, transport);
        }
        let (Some(id), Some(place), Some(area), Some(main)) = (id, place, area, main) else {
            continue;
        };
        cameras.push(Camera {
            name: entry
                .name
                .filter(|n| !n.is_empty())
                .unwrap_or_else(|| id.to_string()),
            id,
            place,
            area,
            heading_deg,
            fov_deg,
            main,
            sub: entry.sub,
            transport,
            policies: entry.policies,
            record: entry.record.unwrap_or(true),
        });
    }
    cameras
}

fn vehicles(entries: Vec<VehicleEntry>, report: &mut Report) -> Vec<Vehicle> {
    let mut seen = HashMap::new();
    let mut vehicles = Vec::with_capacity(entries.len());
    for (index, entry) in entries.into_iter().enumerate() {
        let mut e = Entry {
            report: &mut *report,
            path: format!("vehicles.{index}"),
        };
        let what = "the code this vehicle has in topics and terminals";
        let Some(id) = e.code("id", entry.id, what, VehicleId::new) else {
            continue;
        };
        if let Some(first) = seen.insert(id.clone(), index) {
            e.error(
                "id",
                format!(
                    "vehicle {} has the same id; every vehicle needs its own",
                    first + 1
                ),
            );
        }
        vehicles.push(Vehicle {
            id,
            plate: entry.plate.filter(|p| !p.is_empty()),
            class: entry.class.unwrap_or_default(),
        });
    }
    vehicles
}
