//! What the camera process is told: one line of JSON with every camera it serves.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::model::VideoCodec;

/// One RTSP camera with its own server: `rtsp://HOST:PORT/main` and, with a sub stream, `/sub`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CameraSpec {
    pub id: String,
    /// Burnt into the picture.
    pub name: String,
    pub listen: SocketAddr,
    /// Chooses the street that is seen.
    pub seed: u64,
    pub width: u16,
    pub height: u16,
    pub fps: u8,
    pub codec: VideoCodec,
    /// Frames from one key frame to the next.
    pub gop: u16,
    pub sub: Option<SubSpec>,
    /// Wanted by digest (RFC 7616); nobody else gets in.
    pub login: Option<Login>,
    pub outage: Option<Outage>,
    /// Hour that the light is of, instead of the clock's.
    pub light_hour: Option<f32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubSpec {
    pub width: u16,
    pub height: u16,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    pub user: String,
    pub password: String,
}

/// A camera that is away for `for_s` out of every `every_s`: its sessions end and connections are refused.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    pub every_s: f64,
    pub for_s: f64,
}

impl CameraSpec {
    /// The address with its login.
    pub fn url(&self, stream: &str) -> String {
        let login = self
            .login
            .as_ref()
            .map_or_else(String::new, |l| format!("{}:{}@", l.user, l.password));
        format!("rtsp://{login}{}/{stream}", self.listen)
    }
}
