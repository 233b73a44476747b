//! The synthetic city behind `zhenbei demo`: a made-up Yulin with real RTSP cameras and vehicles on a real broker.
//!
//! Everything about the city follows from a seed and is the same every time. What is served is real: cameras are RTSP
//! servers in a child process, vehicles publish over MQTT, and both fail now and then as they do in a city.

mod basemap;
mod cameras;
mod feed;
mod graph;
mod land;
mod permission;
mod plan;
mod plane;
mod servers;
mod spec;
mod streets;
mod traffic;

pub use cameras::cameras_main;
pub use feed::{Feed, FeedCounts, FeedOptions, Message, Talker, checksum, publish};
pub use graph::{Edge, RoadGraph};
pub use plan::{Plan, PlannedCamera};
pub use plane::Point;
pub use servers::Servers;
pub use spec::{CameraSpec, Outage, PictureSpec};
pub use streets::RoadClass;
pub use traffic::{FleetVehicle, Motion, Traffic};

use zhenbei_scene::Rng;

/// The roads and the land, from which everything else is planned.
#[derive(Clone, Debug)]
pub struct City {
    pub roads: RoadGraph,
    /// The name of each street of the plan.
    streets: Vec<Option<&'static str>>,
    basemap: String,
}

impl City {
    pub fn new(seed: u64) -> Self {
        let rng = Rng::new(seed);
        let lines = streets::lines(&rng);
        let roads = RoadGraph::new(&lines);
        let land = land::land(&roads, &rng);
        let basemap = basemap::geojson(&lines, &roads, &land);
        Self {
            roads,
            streets: lines.iter().map(|l| l.name.map(|(zh, _)| zh)).collect(),
            basemap,
        }
    }

    /// The base map, a GeoJSON `FeatureCollection`.
    pub fn basemap_geojson(&self) -> &str {
        &self.basemap
    }

    /// The name of the street an edge belongs to.
    pub fn street(&self, edge: usize) -> Option<&'static str> {
        let line = self.roads.edges.get(edge)?.line;
        self.streets.get(line).copied().flatten()
    }
}
