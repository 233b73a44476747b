//! What the cameras' process is told: one JSON file.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CameraSpec {
    pub id: String,
    /// Burnt into the picture.
    pub name: String,
    /// Decides the street.
    pub seed: u64,
    pub port: u16,
    pub h265: bool,
    /// User and password, asked for by digest (RFC 7616).
    pub auth: Option<(String, String)>,
    pub main: PictureSpec,
    pub sub: Option<PictureSpec>,
    pub outage: Option<Outage>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PictureSpec {
    /// Even.
    pub width: u32,
    pub height: u32,
    pub fps: u32,
    pub kbps: u32,
}

/// The camera is gone for `length_s` each `every_s`: its port is closed, its sessions are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    pub every_s: u32,
    pub length_s: u32,
}
