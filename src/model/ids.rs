//! Names of things. What we make has a UUIDv7 (sorts by age); what the operator names (cameras, vehicles) keeps the
//! operator's own code: a 20-digit GB/T 28181 code fits.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use super::{Error, Result, StreamRole};

macro_rules! uuid_id {
    ($($(#[$doc:meta])* $name:ident = $what:literal),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new one, later in order than all before it on this machine.
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }

            pub fn parse(text: &str) -> Result<Self> {
                Uuid::try_parse(text).map(Self).map_err(|_| {
                    Error::not_found("not_found", format!("no {} has the id `{text}`", $what))
                })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

uuid_id! {
    CaseId = "case",
    ExhibitId = "exhibit",
    /// One file of the archive.
    SegmentId = "segment",
    UserId = "person",
    SessionId = "session",
    TokenId = "token",
    LayoutId = "layout",
}

macro_rules! code_id {
    ($($(#[$doc:meta])* $name:ident = $what:literal),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// 1 to 64 of `A-Z a-z 0-9 . _ - :`, so that a code is safe in paths, topics and file names.
            pub fn new(code: &str) -> Result<Self> {
                let ok = (1..=64).contains(&code.len())
                    && code.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-:".contains(&b))
                    && !code.bytes().all(|b| b == b'.');
                if !ok {
                    return Err(Error::invalid(
                        "bad_id",
                        format!("`{}` cannot be the id of a {}: use 1 to 64 of A-Z a-z 0-9 . _ - :",
                            code.chars().take(80).collect::<String>(), $what),
                    ));
                }
                Ok(Self(code.into()))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
                let code = std::borrow::Cow::<'_, str>::deserialize(d)?;
                Self::new(&code).map_err(serde::de::Error::custom)
            }
        }
    )+};
}

code_id! {
    CameraId = "camera",
    VehicleId = "vehicle",
    /// Administrative division code (GB/T 2260), e.g. `610802`.
    AreaCode = "area",
}

/// One stream of one camera: what is ingested, recorded and watched as a unit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StreamKey {
    pub camera: CameraId,
    pub role: StreamRole,
}

impl StreamKey {
    pub fn new(camera: CameraId, role: StreamRole) -> Self {
        Self { camera, role }
    }

    pub fn main(camera: CameraId) -> Self {
        Self::new(camera, StreamRole::Main)
    }
}

impl fmt::Display for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.camera, self.role)
    }
}

impl fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_safe_in_paths_and_topics() {
        assert!(CameraId::new("34020000001320000001").is_ok());
        assert!(CameraId::new("cam-001").is_ok());
        for bad in ["", "a/b", "..", "a b", "榆阳", "a+", "#", &"x".repeat(65)] {
            assert!(CameraId::new(bad).is_err(), "{bad} should be refused");
        }
    }
}
