//! Zhenbei (镇北): the daemon behind a city command centre.
//!
//! The rooms, from the ground up. A room may import only rooms above it in this list; `tests/layers.rs` holds us to it.

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
pub mod geo;
pub mod live;
pub mod media;
pub mod model;
pub mod store;
pub mod telemetry;
pub mod video;
