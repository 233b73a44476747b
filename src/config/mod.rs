//! The only reader of `zhenbei.toml` and `SITE.toml`.
//!
//! Promises: a file is taken whole or not at all; every mistake is told in one go, with its line and what to do; unknown keys are
//! refused; secrets stay out of messages. `ZHENBEI_SECTION__KEY` overrides the file; `${NAME}` and `${file:PATH}` bring secrets in.

mod check;
mod document;
mod errors;
mod load;
mod model;
mod pattern;
mod schema;
mod secrets;
mod site;

pub use errors::{ConfigErrors, Finding, Origin};
pub use load::{Loaded, SHIPPED, load, parse};
pub use model::{
    AccessConfig, ArchiveConfig, BasemapKind, Config, DataConfig, DatabaseConfig, FleetConfig,
    HttpConfig, LogConfig, LogFormat, MapConfig, MediaConfig, MqttConfig, RedisConfig,
    RetentionConfig, SiteConfig, VideoConfig, VolumeConfig,
};
pub use pattern::CameraPattern;
pub use schema::Schema;
pub use secrets::Environment;
pub use site::{Site, load_site, parse_site};
