//! What `apply` would change, as a value and as text for a person. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::model::{Camera, Secret, Vehicle};
use crate::store::database::SiteChange;

/// The change from what is to what is wanted, with a line for each thing touched.
#[derive(Debug, Default)]
pub struct SiteDiff {
    pub change: SiteChange,
    pub lines: Vec<String>,
}

/// A kind of thing that is `None` in the wanted site is left as it is; one that is listed is the whole list.
pub fn diff(
    cameras: (&[Camera], Option<&[Camera]>),
    vehicles: (&[Vehicle], Option<&[Vehicle]>),
) -> SiteDiff {
    let mut out = SiteDiff::default();
    if let (now, Some(wanted)) = cameras {
        let now: BTreeMap<_, _> = now.iter().map(|c| (&c.id, c)).collect();
        for camera in wanted {
            match now.get(&camera.id) {
                None => out
                    .lines
                    .push(format!("+ camera {} {}", camera.id, camera.name)),
                Some(old) if *old != camera => {
                    out.lines.push(format!(
                        "~ camera {} {}",
                        camera.id,
                        camera_changes(old, camera)
                    ));
                }
                Some(_) => continue,
            }
            out.change.put_cameras.push(camera.clone());
        }
        let wanted: BTreeSet<_> = wanted.iter().map(|c| &c.id).collect();
        for id in now.keys().filter(|id| !wanted.contains(**id)) {
            out.lines.push(format!(
                "- camera {id} (its recordings stay until retention takes them)"
            ));
            out.change.delete_cameras.push((*id).clone());
        }
    }
    if let (now, Some(wanted)) = vehicles {
        let now: BTreeMap<_, _> = now.iter().map(|v| (&v.id, v)).collect();
        for vehicle in wanted {
            let plate = vehicle.plate.as_deref().unwrap_or("(no plate)");
            match now.get(&vehicle.id) {
                None => out.lines.push(format!(
                    "+ vehicle {} {plate} {}",
                    vehicle.id,
                    vehicle.class.as_str()
                )),
                Some(old) if *old != vehicle => {
                    out.lines.push(format!(
                        "~ vehicle {} {plate} {}",
                        vehicle.id,
                        vehicle.class.as_str()
                    ));
                }
                Some(_) => continue,
            }
            out.change.put_vehicles.push(vehicle.clone());
        }
        let wanted: BTreeSet<_> = wanted.iter().map(|v| &v.id).collect();
        for id in now.keys().filter(|id| !wanted.contains(**id)) {
            out.lines.push(format!(
                "- vehicle {id} (its track stays until retention takes it)"
            ));
            out.change.delete_vehicles.push((*id).clone());
        }
    }
    out
}

/// Names the fields that differ; addresses without their passwords.
fn camera_changes(old: &Camera, new: &Camera) -> String {
    let mut parts = Vec::new();
    if old.name != new.name {
        parts.push(format!("name `{}` → `{}`", old.name, new.name));
    }
    if old.place != new.place {
        parts.push(format!("moved to {}, {}", new.place.lon, new.place.lat));
    }
    if old.area != new.area {
        parts.push(format!("area {} → {}", old.area, new.area));
    }
    if (old.heading_deg, old.fov_deg) != (new.heading_deg, new.fov_deg) {
        parts.push("view direction".into());
    }
    if old.main != new.main {
        parts.push(format!(
            "main {} → {}",
            old.main.redacted(),
            new.main.redacted()
        ));
    }
    if old.sub != new.sub {
        let text = |s: &Option<Secret>| s.as_ref().map_or("none".into(), Secret::redacted);
        parts.push(format!("sub {} → {}", text(&old.sub), text(&new.sub)));
    }
    if old.transport != new.transport {
        parts.push(format!("transport {} → {}", old.transport, new.transport));
    }
    if old.policies != new.policies {
        parts.push(format!("policies {}", new.policies.to_json()));
    }
    if old.record != new.record {
        parts.push(if new.record {
            "record on".into()
        } else {
            "record off".into()
        });
    }
    parts.join(", ")
}

impl fmt::Display for SiteDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lines.is_empty() {
            return f.write_str("nothing to change");
        }
        f.write_str(&self.lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AreaCode, CameraId, GeoPoint, Transport, VehicleClass, VehicleId};

    fn camera(id: &str) -> Camera {
        Camera {
            id: CameraId::new(id).unwrap(),
            name: "榆阳广场 东".into(),
            place: GeoPoint::new(109.7, 38.2).unwrap(),
            area: AreaCode::new("610802").unwrap(),
            heading_deg: None,
            fov_deg: None,
            main: Secret::new("rtsp://u:secret@192.0.2.1/main"),
            sub: None,
            transport: Transport::Tcp,
            policies: crate::model::CameraPolicies::default(),
            record: true,
        }
    }

    #[test]
    fn the_same_site_twice_changes_nothing() {
        let site = [camera("a"), camera("b")];
        let d = diff((&site, Some(&site)), (&[], None));
        assert!(d.change.is_empty());
        assert_eq!(d.to_string(), "nothing to change");
    }

    #[test]
    fn added_changed_and_removed_are_told_apart_without_passwords() {
        let mut changed = camera("b");
        changed.main = Secret::new("rtsp://u:other@192.0.2.2/main");
        let d = diff(
            (&[camera("a"), camera("b")], Some(&[changed, camera("c")])),
            (&[], None),
        );
        let text = d.to_string();
        assert!(
            text.contains("+ camera c")
                && text.contains("~ camera b")
                && text.contains("- camera a"),
            "{text}"
        );
        assert!(
            !text.contains("secret") && !text.contains("other"),
            "{text}"
        );
    }

    #[test]
    fn a_kind_that_is_not_listed_is_left_alone() {
        let truck = Vehicle {
            id: VehicleId::new("t").unwrap(),
            plate: None,
            class: VehicleClass::Muck,
        };
        let d = diff(
            (&[camera("a")], None),
            (std::slice::from_ref(&truck), Some(&[])),
        );
        assert!(d.change.delete_cameras.is_empty());
        assert_eq!(d.change.delete_vehicles, [truck.id]);
    }
}
