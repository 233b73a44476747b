//! Zhenbei (镇北): the daemon behind a city command centre.
//!
//! The rooms from the ground up; a room may import only those before it, and `tests/layers.rs` holds us to it:
//! model, config, telemetry, store, access, site, media, video, archive, fleet, evidence, casefile, live, api, app,
//! demo, cmd. What each holds is said at its top and in `docs/architecture.md`.

pub mod access;
pub mod api;
pub mod app;
pub mod archive;
pub mod casefile;
pub mod cmd;
pub mod config;
pub mod demo;
pub mod evidence;
pub mod fleet;
pub mod live;
pub mod media;
pub mod model;
pub mod site;
pub mod store;
pub mod telemetry;
pub mod video;
