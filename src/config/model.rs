//! Every key of `config/zhenbei.toml`. The shipped file shows each with its default and a comment; a test keeps the two together.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use crate::model::Secret;

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub site: SiteConfig,
    pub http: HttpConfig,
    pub data: DataConfig,
    pub database: DatabaseConfig,
    pub redis: RedisConfig,
    pub mqtt: Vec<MqttConfig>,
    pub video: VideoConfig,
    pub archive: ArchiveConfig,
    pub media: MediaConfig,
    pub fleet: FleetConfig,
    pub access: AccessConfig,
    pub map: MapConfig,
    pub log: LogConfig,
}

/// What the console calls this place and where its map opens.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SiteConfig {
    pub name: String,
    /// Longitude, latitude in WGS-84 degrees.
    pub center: [f64; 2],
    /// Web-map zoom level, 0 to 22.
    pub zoom: f64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    pub listen: SocketAddr,
    /// Serve the console from this folder instead of the one built in.
    pub ui_dir: Option<PathBuf>,
    /// Answer `/metrics` without a sign-in.
    pub metrics_public: bool,
    /// Mark the session cookie `Secure`: set it when a TLS proxy stands before the daemon.
    pub behind_tls: bool,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// Holds the database file, the archive and the evidence, unless those are configured elsewhere.
    pub dir: PathBuf,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseConfig {
    /// `sqlite:PATH` or `postgres://…`; empty means `sqlite:` in the data folder.
    pub url: Option<Secret>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RedisConfig {
    /// `redis://…`; empty keeps live state in memory.
    pub url: Option<Secret>,
    /// Every key starts with this, so that two sites can share one server.
    pub prefix: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MqttConfig {
    /// `mqtt://host:1883` or `mqtts://host:8883`; user and password may be in it.
    pub url: Secret,
    /// Filters to subscribe with QoS 1. The words `{vehicle}` in a filter mark the level that names the vehicle.
    pub topics: Vec<String>,
    /// Fixed, so that the broker keeps the session while the daemon is away.
    pub client_id: String,
    /// Take NMEA sentences that carry no checksum (marked `no_checksum`).
    pub allow_no_checksum: bool,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VideoConfig {
    /// Bytes kept in memory for each stream: live start, replay, and the recorder's patience.
    pub ring_bytes: usize,
    /// End a session when no picture has come for this long.
    pub picture_timeout_ms: u64,
    /// Time for connecting and for each answer of the camera.
    pub answer_timeout_ms: u64,
    /// Shortest and longest wait before a new attempt.
    pub backoff_min_ms: u64,
    pub backoff_max_ms: u64,
    /// Sessions being opened at the same time with one host.
    pub connects_per_host: usize,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ArchiveConfig {
    /// Where segment files go; by default `archive` in the data folder.
    pub dir: Option<PathBuf>,
    /// Recordings older than this are deleted.
    pub retention_days: f64,
    /// Say it days ahead when the disks will not hold this much; 0 says nothing. (Decree 799: at least 30 in public places.)
    pub legal_floor_days: f64,
    /// Oldest recordings are deleted above this many bytes; 0 is no limit.
    pub max_bytes: u64,
    /// Oldest recordings are deleted while the disk has less than this free.
    pub min_free_bytes: u64,
    /// Longest fragment; a GOP that is longer is split.
    pub fragment_max_ms: u64,
    /// Length of one segment file.
    pub segment_ms: u64,
    /// How often written data is made durable.
    pub sync_interval_ms: u64,
    /// Fragments waiting for one volume's disk; beyond it a gap is recorded.
    pub queue_bytes: usize,
    /// More disks. Each camera records to the first whose `cameras` name it; without any, to `dir`.
    pub volumes: Vec<VolumeConfig>,
    /// Other rules for some cameras; the first that names a camera counts.
    pub retention: Vec<RetentionConfig>,
}

/// A class of cameras with its own retention.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionConfig {
    /// What tombstones and messages call it.
    pub class: String,
    /// Patterns of cameras.
    pub cameras: Vec<String>,
    /// Their recordings are deleted when older; 0: as `[archive] retention_days`.
    pub days: f64,
    /// Their oldest recordings are deleted above this many bytes; 0 is no limit.
    pub max_bytes: u64,
}

/// A disk that takes recordings beside (or instead of) `[archive] dir`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VolumeConfig {
    /// Short and for ever: the index names files by it.
    pub name: String,
    /// A folder on that disk. It must be there: a mount point without its disk would look like an empty folder.
    pub dir: PathBuf,
    /// Oldest recordings of this volume are deleted above this many bytes; 0 is no limit.
    pub max_bytes: u64,
    /// Oldest recordings of this volume are deleted while its disk has less than this free; 0: as `[archive] min_free_bytes`.
    pub min_free_bytes: u64,
    /// Patterns of cameras; empty takes all that no volume before it took.
    pub cameras: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MediaConfig {
    /// Use the pipelines of this folder instead of those built in.
    pub pipelines_dir: Option<PathBuf>,
    /// Transcodes running at the same time.
    pub max_transcodes: usize,
    /// A transcode without viewers is stopped after this long.
    pub transcode_linger_ms: u64,
    /// A worker process that takes longer for one still is ended.
    pub still_timeout_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FleetConfig {
    /// A vehicle without a fix for this long is shown as stale.
    pub stale_after_s: u64,
    /// Below this speed a vehicle counts as stopped.
    pub stopped_below_kmh: f64,
    /// Longest wait from receiving a message to committing and acknowledging it.
    pub commit_interval_ms: u64,
    /// Fixes in one commit.
    pub commit_max: usize,
    /// Rejected messages kept for reading.
    pub rejected_kept: usize,
    /// Days of track history kept.
    pub retention_days: f64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccessConfig {
    /// A session ends after this long without a call…
    pub session_idle_minutes: u64,
    /// …and after this long in any case.
    pub session_hours: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MapConfig {
    pub kind: BasemapKind,
    /// For `xyz` and `wmts` a template with {z} {x} {y}; for `pmtiles` and `geojson` the name of a file in `dir`.
    pub url: Option<String>,
    /// Folder with `geojson` and `pmtiles` files.
    pub dir: Option<PathBuf>,
    pub attribution: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BasemapKind {
    #[default]
    None,
    Geojson,
    Xyz,
    Wmts,
    Pmtiles,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// A `tracing` filter, e.g. `info,zhenbei::video=debug`.
    pub filter: String,
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

impl Default for SiteConfig {
    fn default() -> Self {
        Self {
            name: "镇北".into(),
            center: [109.7345, 38.2852],
            zoom: 12.5,
        }
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            ui_dir: None,
            metrics_public: true,
            behind_tls: false,
        }
    }
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            dir: "/var/lib/zhenbei".into(),
        }
    }
}

impl Default for MqttConfig {
    fn default() -> Self {
        Self {
            // Left out is told apart and refused in `check`.
            url: Secret::new(""),
            topics: vec![
                "fleet/{vehicle}/position".into(),
                "fleet/{vehicle}/nmea".into(),
            ],
            client_id: "zhenbei".into(),
            allow_no_checksum: false,
        }
    }
}

impl Default for VideoConfig {
    fn default() -> Self {
        Self {
            ring_bytes: 8 << 20,
            picture_timeout_ms: 5_000,
            answer_timeout_ms: 5_000,
            backoff_min_ms: 1_000,
            backoff_max_ms: 60_000,
            connects_per_host: 4,
        }
    }
}

impl Default for ArchiveConfig {
    fn default() -> Self {
        Self {
            dir: None,
            retention_days: 30.0,
            legal_floor_days: 30.0,
            max_bytes: 0,
            min_free_bytes: 2 << 30,
            fragment_max_ms: 2_000,
            segment_ms: 60_000,
            sync_interval_ms: 1_000,
            queue_bytes: 256 << 20,
            volumes: Vec::new(),
            retention: Vec::new(),
        }
    }
}

impl Default for MediaConfig {
    fn default() -> Self {
        Self {
            pipelines_dir: None,
            max_transcodes: 4,
            transcode_linger_ms: 30_000,
            still_timeout_ms: 10_000,
        }
    }
}

impl Default for FleetConfig {
    fn default() -> Self {
        Self {
            stale_after_s: 60,
            stopped_below_kmh: 3.0,
            commit_interval_ms: 100,
            commit_max: 2_000,
            rejected_kept: 500,
            retention_days: 183.0,
        }
    }
}

impl Default for AccessConfig {
    fn default() -> Self {
        Self {
            session_idle_minutes: 60,
            session_hours: 12,
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            filter: "info".into(),
            format: LogFormat::Text,
        }
    }
}
