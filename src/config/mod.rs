//! The only reader of `zhenbei.toml` and `SITE.toml`.

mod model;

pub use model::{
    AccessConfig, ArchiveConfig, BasemapKind, Config, DataConfig, DatabaseConfig, FleetConfig,
    HttpConfig, LogConfig, LogFormat, MapConfig, MediaConfig, MqttConfig, RedisConfig, SiteConfig,
    VideoConfig,
};
