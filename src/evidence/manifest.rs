//! What an exhibit says about itself: `manifest.json`, canonical JSON. Unknown is `null` with a reason, never a default.
//!
//! The signature comes later; its place is kept (`signatures`), so that version 1 readers stay right.

use serde_json::{Value, json};

use super::canonical::to_canonical;
use super::track;
use crate::access::Role;
use crate::model::{
    Camera, CameraClock, Case, Exhibit, ExhibitFile, Fix, FragmentClock, GeoPoint, Result,
    TimeRange, UtcMicros, Vehicle,
};
use crate::store::database::ExhibitOrigin;

/// The register's entry of the source at the time of copying.
pub(super) enum Registered {
    Camera(Option<Camera>),
    Vehicle(Option<Vehicle>),
}

pub(super) struct Facts<'a> {
    pub(super) case: &'a Case,
    pub(super) exhibit: &'a Exhibit,
    pub(super) origin: &'a ExhibitOrigin,
    pub(super) registered: Registered,
    pub(super) site_revision: i64,
    pub(super) delivered: TimeRange,
    pub(super) files: &'a [ExhibitFile],
    /// Why something usual is missing, e.g. the still.
    pub(super) notes: &'a [String],
    /// Of a clip.
    pub(super) clock: Option<FragmentClock>,
    /// Of a track.
    pub(super) fixes: Option<&'a [Fix]>,
    /// Of what was made of another exhibit.
    pub(super) derivation: Option<Value>,
    pub(super) completed_at: UtcMicros,
}

pub(super) fn manifest(f: &Facts<'_>) -> Result<String> {
    let x = f.exhibit;
    let role = Role::parse(&f.origin.role);
    let missing: i64 = x.gaps.iter().map(|(r, _)| r.micros()).sum();
    let value = json!({
        "manifest_version": 1,
        "exhibit": x.id.to_string(),
        "kind": x.kind.as_str(),
        "case": {"id": f.case.id.to_string(), "no": f.case.no},
        "purpose": x.purpose,
        "created_at_us": x.created_at.0,
        "created_by": {
            "name": x.created_by,
            "role": f.origin.role,
            "axis": role.map(|r| r.axis().as_str()),
        },
        "completed_at_us": f.completed_at.0,
        "daemon": {"name": "zhenbei", "version": env!("CARGO_PKG_VERSION")},
        "source": source(f),
        "requested": range(x.requested),
        "delivered": range(f.delivered),
        "coverage": {
            "asked_us": x.requested.micros(),
            // Of a track only the fixes are known, not what lies between them.
            "missing_us": f.fixes.is_none().then_some(missing),
            "gaps": x.gaps.iter().map(|(r, cause)| json!({
                "from_us": r.from.0, "to_us": r.to.0, "cause": cause.as_str(),
            })).collect::<Vec<_>>(),
        },
        "clock": clock(f),
        "fragments": x.fragments,
        "reencoded": f.derivation.as_ref().is_some_and(|d| d["reencoded"] == true),
        "derivation": f.derivation,
        "track": f.fixes.map(|fixes| json!({
            "points": fixes.len(),
            "covers": track::covered(fixes).map(range),
        })),
        "files": f.files.iter().map(|file| json!({
            "name": file.name,
            "bytes": file.bytes,
            "sha256": file.sha256,
            "media_type": file.media_type,
            "derived_from": file.derived_from,
            "recipe": file.recipe,
        })).collect::<Vec<_>>(),
        "notes": f.notes,
        "custody": {"audit_seq": f.origin.audit_seq},
        "signatures": [],
    });
    to_canonical(&value)
}

/// `offset_us` is the camera's clock minus the times told here; null with a reason where the camera did not tell.
fn clock(f: &Facts<'_>) -> Value {
    let times_are_of = if f.fixes.is_some() {
        "device"
    } else {
        "server"
    };
    let Some(known) = f.clock else {
        return json!({
            "times_are_of": times_are_of,
            "offset_us": null,
            "uncertainty_us": null,
            "method": null,
            "recording_ahead_us": null,
            "reason": if f.derivation.is_some() { "told by the manifest of the parent" } else { "not measured" },
        });
    };
    let (offset, uncertainty, method) = match known.camera {
        CameraClock::Known {
            offset_us,
            uncertainty_us,
            method,
        } => (Some(offset_us), Some(uncertainty_us), Some(method.as_str())),
        CameraClock::Unknown(_) => (None, None, None),
    };
    json!({
        "times_are_of": times_are_of,
        "offset_us": offset,
        "uncertainty_us": uncertainty,
        "method": method,
        // The times told here minus the server's clock: not zero after that clock was set back.
        "recording_ahead_us": known.ahead_us,
        "reason": known.camera.reason().map(|why| why.as_str()),
    })
}

fn range(r: TimeRange) -> Value {
    json!({"from_us": r.from.0, "to_us": r.to.0})
}

fn source(f: &Facts<'_>) -> Value {
    let no_longer = "not in the site's register when it was copied";
    match &f.registered {
        Registered::Camera(known) => json!({
            "kind": "camera",
            "id": f.exhibit.camera.as_ref().map(|c| c.as_str()),
            "stream": f.exhibit.stream.map(|s| s.as_str()),
            "register_revision": f.site_revision,
            "register": known.as_ref().map(|c| json!({
                "name": c.name,
                "area": c.area.as_str(),
                "place": place(c.place),
                "heading_mdeg": c.heading_deg.map(milli),
                "fov_mdeg": c.fov_deg.map(milli),
            })),
            "reason": known.is_none().then_some(no_longer),
        }),
        Registered::Vehicle(known) => json!({
            "kind": "vehicle",
            "id": f.exhibit.vehicle.as_ref().map(|v| v.as_str()),
            "register_revision": f.site_revision,
            "register": known.as_ref().map(|v| json!({
                "plate": v.plate,
                "class": v.class.as_str(),
            })),
            "reason": known.is_none().then_some(no_longer),
        }),
    }
}

fn place(p: GeoPoint) -> Value {
    json!({"crs": "EPSG:4326", "lon_e7": whole(p.lon * 1e7), "lat_e7": whole(p.lat * 1e7)})
}

fn milli(degrees: f64) -> i64 {
    whole(degrees * 1e3)
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "degrees times 1e7 are far inside i64; `as` saturates and takes NaN to 0"
)]
fn whole(value: f64) -> i64 {
    value.round() as i64
}
