//! The plan of one demo run: which cameras stand where, which vehicles drive, and the site file that says so.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::model::{Error, Result, VideoCodec};

use super::City;
use super::feed::{Feed, FeedOptions};
use super::plane::{Point, at, bend};
use super::rng::Rng;
use super::scene::Scene;
use super::spec::{CameraSpec, Login, Outage, SubSpec};
use super::traffic::{FleetVehicle, Traffic};

#[derive(Clone, Debug)]
pub struct PlanOptions {
    pub cameras: usize,
    pub vehicles: usize,
    pub seed: u64,
    pub ports: Ports,
    pub feed: FeedOptions,
    /// Hour that the cameras' light is of, instead of the clock's.
    pub light_hour: Option<f32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// The same every time if they are free, so that a second run finds its cameras unchanged.
    Usual,
    /// Any free ones.
    Any,
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self {
            cameras: 8,
            vehicles: 200,
            seed: 7,
            ports: Ports::Usual,
            feed: FeedOptions::default(),
            light_hour: None,
        }
    }
}

pub struct Plan {
    pub site_toml: String,
    pub basemap_geojson: String,
    pub cameras: Vec<CameraSpec>,
    pub vehicles: Vec<FleetVehicle>,
    pub seed: u64,
    city: City,
    feed: FeedOptions,
}

/// One camera of the site file.
struct Post {
    lon: f64,
    lat: f64,
    heading_deg: f64,
    fov_deg: f64,
}

const USUAL_PORT: u16 = 18_554;
const CAMERAS_MAX: usize = 64;
const VEHICLES_MAX: usize = 5_000;
/// 榆阳区 in GB/T 2260.
const AREA: &str = "610802";

/// Name, crossing on the plan, and the seed of the street that is seen (1 mod 4 the old town, 3 mod 4 by the river).
const POSTS: [(&str, Point, u64); 12] = [
    ("榆阳广场 东", at(-720.0, 1_950.0), 2),
    ("老街 钟楼", at(1_380.0, 430.0), 1),
    ("长城路 人民路", at(-1_450.0, 430.0), 8),
    ("滨河东路 航宇路", at(380.0, -1_130.0), 3),
    ("榆林站 站前", at(-4_750.0, -1_130.0), 4),
    ("新建路 榆阳路", at(720.0, 1_950.0), 6),
    ("沙河路 文化路", at(2_950.0, 1_250.0), 12),
    ("红石峡路 环湖路", at(720.0, 3_450.0), 7),
    ("开源大道 上郡路", at(-3_050.0, -330.0), 0),
    ("会展中心 常乐路", at(-3_050.0, -2_750.0), 14),
    ("老街 上郡路", at(1_380.0, -330.0), 5),
    ("柳营路 滨河西路", at(120.0, -4_500.0), 11),
];

impl Plan {
    pub fn new(options: &PlanOptions) -> Result<Self> {
        if options.cameras > CAMERAS_MAX || options.vehicles > VEHICLES_MAX {
            return Err(Error::invalid(
                "demo_too_large",
                format!("the demo has at most {CAMERAS_MAX} cameras and {VEHICLES_MAX} vehicles"),
            ));
        }
        let city = City::new(options.seed);
        let traffic = Traffic::new(city.roads.clone(), options.vehicles, options.seed);
        let vehicles: Vec<FleetVehicle> = traffic.vehicles().cloned().collect();
        let mut ports = PortFinder::new(options.ports);
        let mut cameras = Vec::with_capacity(options.cameras);
        let mut posts = Vec::with_capacity(options.cameras);
        for i in 0..options.cameras {
            let (camera, post) = camera(&city, options, i, ports.next()?);
            cameras.push(camera);
            posts.push(post);
        }
        Ok(Self {
            site_toml: site_toml(&cameras, &posts, &vehicles),
            basemap_geojson: city.basemap_geojson().to_owned(),
            cameras,
            vehicles,
            seed: options.seed,
            feed: options.feed.clone(),
            city,
        })
    }

    /// The vehicles' terminals from the beginning of their day.
    pub fn feed(&self) -> Feed {
        let roads = self.city.roads.clone();
        let traffic = Traffic::new(roads, self.vehicles.len(), self.seed);
        Feed::new(traffic, self.feed.clone(), self.seed)
    }
}

fn camera(
    city: &City,
    options: &PlanOptions,
    index: usize,
    listen: SocketAddr,
) -> (CameraSpec, Post) {
    let round = index / POSTS.len();
    let (name, spot, seed) = POSTS[index % POSTS.len()];
    let mut rng = Rng::new(options.seed).fork(5_000 + index as u64);
    // Beyond the named posts: more of them, a few crossings further on.
    let nearest = city.roads.nearest(bend(spot));
    let node = if round == 0 {
        nearest
    } else {
        rng.below(city.roads.nodes.len())
    };
    let name = if round == 0 {
        name.to_owned()
    } else {
        format!("{name} {}", round + 1)
    };
    let seed = seed + 16 * round as u64;
    let large = city.roads.at[node]
        .iter()
        .copied()
        .max_by_key(|e| city.roads.edges[*e].class);
    let here = city.roads.nodes[node];
    let along = large.map_or(at(0.0, 1.0), |e| {
        (city.roads.nodes[city.roads.other_end(e, node)] - here).unit()
    });
    // On its pole at the kerb, before the crossing it looks over.
    let place = (here - along * 22.0 + along.right() * 9.0).to_geo();
    let post = Post {
        lon: place.lon,
        lat: place.lat,
        heading_deg: along.course_deg(),
        fov_deg: Scene::fov_deg(seed),
    };
    let role = index % 8;
    let h265 = role == 3;
    let spec = CameraSpec {
        id: format!("cam-{:03}", index + 1),
        name,
        listen,
        seed,
        width: if h265 { 640 } else { 960 },
        height: if h265 { 360 } else { 540 },
        fps: if h265 { 10 } else { 12 },
        codec: if h265 {
            VideoCodec::H265
        } else {
            VideoCodec::H264
        },
        gop: if role.is_multiple_of(2) { 12 } else { 20 },
        sub: matches!(role, 0 | 2 | 5).then_some(SubSpec {
            width: 480,
            height: 270,
        }),
        login: (role == 1).then(|| Login {
            user: "viewer".into(),
            password: format!("yl-{:016x}", rng.next()),
        }),
        outage: (role == 4).then_some(Outage {
            every_s: 180.0,
            for_s: 20.0,
        }),
        light_hour: options.light_hour,
    };
    (spec, post)
}

fn site_toml(cameras: &[CameraSpec], posts: &[Post], vehicles: &[FleetVehicle]) -> String {
    use std::fmt::Write as _;
    let mut out = String::from(
        "# The synthetic city of `zhenbei demo`. Written anew at every start: edit a copy.\n",
    );
    // Writing to a String cannot fail. Names and ids here need no escapes.
    for (c, p) in cameras.iter().zip(posts) {
        write!(
            out,
            "\n[[cameras]]\nid = \"{}\"\nname = \"{}\"\nlon = {:.6}\nlat = {:.6}\narea = \"{AREA}\"\n\
             heading_deg = {:.1}\nfov_deg = {:.1}\nmain = \"{}\"\n",
            c.id,
            c.name,
            p.lon,
            p.lat,
            p.heading_deg,
            p.fov_deg,
            c.url("main"),
        ).ok();
        if c.sub.is_some() {
            writeln!(out, "sub = \"{}\"", c.url("sub")).ok();
        }
        out.push_str("transport = \"tcp\"\nrecord = true\n");
    }
    for v in vehicles {
        write!(
            out,
            "\n[[vehicles]]\nid = \"{}\"\nplate = \"{}\"\nclass = \"{}\"\n",
            v.id,
            v.plate,
            v.class.as_str(),
        )
        .ok();
    }
    out
}

/// Free ports, each handed out once. Somebody else may still take one before it is used; the server says so then.
struct PortFinder {
    next: Option<u16>,
    held: Vec<TcpListener>,
}

impl PortFinder {
    fn new(ports: Ports) -> Self {
        Self {
            next: (ports == Ports::Usual).then_some(USUAL_PORT),
            held: Vec::new(),
        }
    }

    fn next(&mut self) -> Result<SocketAddr> {
        let usual = self.next.take();
        self.next = usual.and_then(|p| p.checked_add(1));
        let local = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        let listener = usual
            .and_then(|p| local(p).ok())
            .map_or_else(|| local(0), Ok)
            .and_then(|l| l.local_addr().map(|a| (l, a)));
        let (listener, address) = listener.map_err(|e| {
            Error::unavailable("no_port", "no free TCP port on 127.0.0.1 for a demo camera")
                .because(e)
        })?;
        // Held until all are chosen, or the same one could come twice.
        self.held.push(listener);
        Ok(address)
    }
}
