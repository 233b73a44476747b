//! What stands where: cameras at crossings, vehicles, the base map. Follows from the seed; no ports, no processes.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::City;
use super::graph::RoadGraph;
use super::plane::Point;
use super::spec::{CameraSpec, Outage, PictureSpec};
use super::traffic::Traffic;

/// Cameras look at different streets.
const BETWEEN_CAMERAS_M: f64 = 420.0;
const LARGE: PictureSpec = PictureSpec {
    width: 960,
    height: 540,
    fps: 12,
    kbps: 900,
};
const MEDIUM: PictureSpec = PictureSpec {
    width: 640,
    height: 360,
    fps: 10,
    kbps: 450,
};
const SMALL: PictureSpec = PictureSpec {
    width: 320,
    height: 180,
    fps: 10,
    kbps: 150,
};
/// Gone for 20 s every three minutes.
const OUTAGE: Outage = Outage {
    every_s: 180,
    length_s: 20,
};

/// A camera of the plan with its place.
#[derive(Clone, Debug)]
pub struct PlannedCamera {
    pub spec: CameraSpec,
    pub place: Point,
    pub heading_deg: f64,
    pub fov_deg: f64,
}

pub struct Plan {
    pub cameras: Vec<PlannedCamera>,
    pub vehicles: usize,
    pub seed: u64,
    city: City,
}

impl Plan {
    /// At least one camera and one vehicle. The ports of the cameras are still zero, their passwords empty.
    pub fn new(cameras: usize, vehicles: usize, seed: u64) -> Self {
        let city = City::new(seed);
        let cameras = cameras.max(1);
        let cameras = sites(&city, cameras)
            .into_iter()
            .enumerate()
            .map(|(i, site)| camera(&city, i, cameras, site))
            .collect();
        Self {
            cameras,
            vehicles,
            seed,
            city,
        }
    }

    /// GeoJSON for `/api/v1/basemap.geojson`.
    pub fn basemap(&self) -> &str {
        self.city.basemap_geojson()
    }

    pub fn traffic(&self) -> Traffic {
        Traffic::new(self.city.roads.clone(), self.vehicles, self.seed)
    }

    /// The site file of this city, for cameras at the ports they have now.
    pub fn site_toml(&self) -> String {
        let mut out =
            String::from("# The synthetic city; written by `zhenbei demo` at each start.\n\n");
        for c in &self.cameras {
            let geo = c.place.to_geo();
            let s = &c.spec;
            let auth = s.auth.as_ref().map_or(String::new(), |(user, password)| {
                format!("{user}:{password}@")
            });
            let address = |mount| format!("rtsp://{auth}127.0.0.1:{}/{mount}", s.port);
            let sub = s
                .sub
                .map_or(String::new(), |_| format!("sub = \"{}\"\n", address("sub")));
            // Writing to a String cannot fail.
            let written = writeln!(
                out,
                "[[cameras]]\nid = \"{}\"\nname = \"{}\"\nlon = {:.6}\nlat = {:.6}\narea = \"610802\"\n\
                 heading_deg = {:.1}\nfov_deg = {:.1}\nmain = \"{}\"\n{sub}record = true\n",
                s.id,
                s.name,
                geo.lon,
                geo.lat,
                c.heading_deg,
                c.fov_deg,
                address("main"),
            );
            debug_assert!(written.is_ok());
        }
        for v in self.traffic().vehicles() {
            let written = writeln!(
                out,
                "[[vehicles]]\nid = \"{}\"\nplate = \"{}\"\nclass = \"{}\"\n",
                v.id,
                v.plate,
                v.class.as_str()
            );
            debug_assert!(written.is_ok());
        }
        out
    }
}

/// Crossings of two named streets from the middle outwards, with the road each camera looks along.
fn sites(city: &City, wanted: usize) -> Vec<(usize, usize)> {
    let roads = &city.roads;
    let names = |node: usize| {
        roads.at[node]
            .iter()
            .filter_map(|e| city.street(*e))
            .collect::<BTreeSet<_>>()
            .len()
    };
    let mut crossings: Vec<usize> = (0..roads.nodes.len())
        .filter(|n| roads.at[*n].len() >= 3 && names(*n) >= 2)
        .collect();
    crossings.sort_by(|a, b| {
        let from = |n: &usize| roads.nodes[*n].length();
        from(a).total_cmp(&from(b))
    });
    let mut out: Vec<(usize, usize)> = Vec::new();
    let mut apart = BETWEEN_CAMERAS_M;
    while out.len() < wanted && apart > 1.0 {
        for n in &crossings {
            let near = |(m, _): &(usize, usize)| roads.nodes[*m].distance(roads.nodes[*n]) < apart;
            if out.len() < wanted && !out.iter().any(near) {
                let look = out.len() % roads.at[*n].len();
                out.push((*n, roads.at[*n][look]));
            }
        }
        // More cameras than crossings: let them stand closer.
        apart /= 2.0;
    }
    out
}

fn camera(city: &City, index: usize, count: usize, (node, edge): (usize, usize)) -> PlannedCamera {
    let roads = &city.roads;
    let heading_deg = bearing(roads, node, edge);
    let along = city.street(edge);
    let other = roads.at[node]
        .iter()
        .filter_map(|e| city.street(*e))
        .find(|s| Some(*s) != along);
    let streets: Vec<&str> = [along, other].into_iter().flatten().collect();
    let name = format!("{} {}", streets.join(" "), direction(heading_deg));
    let seed = 1 + index as u64;
    // One large picture: drawing and encoding take the more of the machine the larger they are.
    let main = if index == 0 { LARGE } else { MEDIUM };
    let spec = CameraSpec {
        id: format!("cam-{:03}", index + 1),
        name,
        seed,
        port: 0,
        // One of each kind among the first four, and the last one drops out; the rest are plain.
        h265: index == 1,
        auth: (index == 2).then(|| ("operator".into(), String::new())),
        main,
        sub: (index == 3 || index.is_multiple_of(3)).then_some(SMALL),
        outage: (index + 1 == count).then_some(OUTAGE),
    };
    PlannedCamera {
        spec,
        place: roads.nodes[node],
        heading_deg,
        fov_deg: zhenbei_scene::Scene::fov_deg(seed),
    }
}

/// Degrees clockwise from north.
fn bearing(roads: &RoadGraph, node: usize, edge: usize) -> f64 {
    let (from, to) = (roads.nodes[node], roads.nodes[roads.other_end(edge, node)]);
    (to.x - from.x)
        .atan2(to.y - from.y)
        .to_degrees()
        .rem_euclid(360.0)
}

fn direction(bearing: f64) -> &'static str {
    match bearing {
        b if !(45.0..315.0).contains(&b) => "北",
        b if b < 135.0 => "东",
        b if b < 225.0 => "南",
        _ => "西",
    }
}
