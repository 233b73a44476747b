//! The synthetic city behind `zhenbei demo`: a made-up Yulin with real RTSP cameras and vehicles on a real broker.
//!
//! Everything about the city follows from a seed and is the same every time. What is served is real: cameras are RTSP
//! servers in a child process, vehicles publish over MQTT, and both fail now and then as they do in a city.

mod basemap;
mod cameras;
mod children;
mod feed;
mod graph;
mod land;
mod plan;
mod plane;
mod rng;
mod scene;
mod servers;
mod spec;
mod streets;
mod traffic;

pub use cameras::cameras_main;
pub use feed::{Feed, FeedCounts, FeedOptions, Message, Talker, checksum, publish};
pub use graph::{Edge, RoadGraph};
pub use plan::{Plan, PlanOptions, Ports};
pub use plane::Point;
pub use servers::{CameraProgram, Servers, run_servers};
pub use spec::{CameraSpec, Login, Outage, SubSpec};
pub use streets::RoadClass;
pub use traffic::{FleetVehicle, Motion, Traffic};

use rng::Rng;

/// The roads and the land, from which everything else is planned.
#[derive(Clone, Debug)]
pub struct City {
    pub roads: RoadGraph,
    basemap: String,
}

impl City {
    pub fn new(seed: u64) -> Self {
        let rng = Rng::new(seed);
        let lines = streets::lines(&rng);
        let roads = RoadGraph::new(&lines);
        let land = land::land(&roads, &rng);
        let basemap = basemap::geojson(&lines, &roads, &land);
        Self { roads, basemap }
    }

    /// `cameras` cameras and `vehicles` vehicles in the city of `seed`, everything else as usual.
    pub fn plan(cameras: usize, vehicles: usize, seed: u64) -> crate::model::Result<Plan> {
        Plan::new(&PlanOptions {
            cameras,
            vehicles,
            seed,
            ..PlanOptions::default()
        })
    }

    /// The base map, a GeoJSON `FeatureCollection`.
    pub fn basemap_geojson(&self) -> &str {
        &self.basemap
    }
}
