//! The register as a service: reads from memory, writes through the database with an audit entry around each change.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::access::{Action, Actor, Audit, Permission, audited};
use crate::model::{Camera, CameraId, Error, Result, Secret, Vehicle, VehicleId};
use crate::store::Database;
use crate::store::database::SiteChange;

/// How soon a change made by another node or by `zhenbei apply` is noticed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Cameras one daemon takes on; beyond it a second node is the answer.
pub(super) const MAX_CAMERAS: usize = 10_000;

#[derive(Clone)]
pub struct Register {
    inner: Arc<Inner>,
}

struct Inner {
    db: Database,
    audit: Audit,
    cameras: watch::Sender<Arc<Vec<Camera>>>,
    vehicles: watch::Sender<Arc<Vec<Vehicle>>>,
    /// The revision that memory holds; locked while it is loaded, so that two loads do not overtake one another.
    revision: Mutex<i64>,
}

impl Register {
    pub async fn open(db: Database, audit: Audit) -> Result<Self> {
        let inner = Inner {
            db,
            audit,
            cameras: watch::Sender::new(Arc::default()),
            vehicles: watch::Sender::new(Arc::default()),
            revision: Mutex::new(0),
        };
        let register = Self {
            inner: Arc::new(inner),
        };
        register.load().await?;
        Ok(register)
    }

    /// Follows changes by others until stopped. A database that is away is waited for; the last known site stands.
    pub async fn run(&self, stop: CancellationToken) {
        let mut tick = interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            match self.load().await {
                Ok(()) => failing = false,
                Err(e) if !failing => {
                    failing = true;
                    tracing::warn!(
                        error = e.chain(),
                        "cannot look for changes of the site; going on with the last known"
                    );
                }
                Err(_) => {}
            }
        }
    }

    pub fn cameras(&self) -> Arc<Vec<Camera>> {
        Arc::clone(&self.inner.cameras.borrow())
    }

    pub fn vehicles(&self) -> Arc<Vec<Vehicle>> {
        Arc::clone(&self.inner.vehicles.borrow())
    }

    /// For the supervisor of cameras and for walls.
    pub fn watch_cameras(&self) -> watch::Receiver<Arc<Vec<Camera>>> {
        self.inner.cameras.subscribe()
    }

    pub fn watch_vehicles(&self) -> watch::Receiver<Arc<Vec<Vehicle>>> {
        self.inner.vehicles.subscribe()
    }

    /// Refuses an id that is taken.
    pub async fn add_camera(&self, actor: &Actor, camera: Camera) -> Result<()> {
        if self.cameras().iter().any(|c| c.id == camera.id) {
            return Err(Error::conflict(
                "exists",
                format!("there is a camera `{}` already", camera.id),
            ));
        }
        self.put_camera(actor, camera).await
    }

    pub async fn put_camera(&self, actor: &Actor, mut camera: Camera) -> Result<()> {
        let all = self.cameras();
        let old = all.iter().find(|c| c.id == camera.id);
        if old.is_none() && all.len() >= MAX_CAMERAS {
            return Err(Error::conflict(
                "too_many_cameras",
                format!("this daemon takes {MAX_CAMERAS} cameras; add a node"),
            ));
        }
        check_camera(&camera)?;
        camera.main = keep_password(&camera.main, old.map(|c| &c.main))?;
        camera.sub = match camera.sub {
            Some(sub) => Some(keep_password(&sub, old.and_then(|c| c.sub.as_ref()))?),
            None => None,
        };
        let object = format!("camera/{}", camera.id);
        let change = SiteChange {
            put_cameras: vec![camera],
            ..SiteChange::default()
        };
        self.change(
            actor,
            Permission::CameraWrite,
            Action::CameraChange,
            &object,
            change,
        )
        .await
    }

    pub async fn delete_camera(&self, actor: &Actor, id: &CameraId) -> Result<()> {
        if !self.cameras().iter().any(|c| c.id == *id) {
            return Err(Error::not_found(
                "not_found",
                format!("there is no camera `{id}`"),
            ));
        }
        let change = SiteChange {
            delete_cameras: vec![id.clone()],
            ..SiteChange::default()
        };
        self.change(
            actor,
            Permission::CameraWrite,
            Action::CameraChange,
            &format!("delete camera/{id}"),
            change,
        )
        .await
    }

    /// Refuses an id that is taken.
    pub async fn add_vehicle(&self, actor: &Actor, vehicle: Vehicle) -> Result<()> {
        if self.vehicles().iter().any(|v| v.id == vehicle.id) {
            return Err(Error::conflict(
                "exists",
                format!("there is a vehicle `{}` already", vehicle.id),
            ));
        }
        self.put_vehicle(actor, vehicle).await
    }

    pub async fn put_vehicle(&self, actor: &Actor, vehicle: Vehicle) -> Result<()> {
        if vehicle
            .plate
            .as_ref()
            .is_some_and(|p| p.chars().count() > 20)
        {
            return Err(Error::invalid(
                "bad_plate",
                "a plate has at most 20 characters",
            ));
        }
        let object = format!("vehicle/{}", vehicle.id);
        let change = SiteChange {
            put_vehicles: vec![vehicle],
            ..SiteChange::default()
        };
        self.change(
            actor,
            Permission::VehicleWrite,
            Action::VehicleChange,
            &object,
            change,
        )
        .await
    }

    pub async fn delete_vehicle(&self, actor: &Actor, id: &VehicleId) -> Result<()> {
        if !self.vehicles().iter().any(|v| v.id == *id) {
            return Err(Error::not_found(
                "not_found",
                format!("there is no vehicle `{id}` in the register"),
            ));
        }
        let change = SiteChange {
            delete_vehicles: vec![id.clone()],
            ..SiteChange::default()
        };
        self.change(
            actor,
            Permission::VehicleWrite,
            Action::VehicleChange,
            &format!("delete vehicle/{id}"),
            change,
        )
        .await
    }

    /// Makes a whole change at once, as `apply` does.
    pub async fn apply(&self, actor: &Actor, file: &str, change: SiteChange) -> Result<()> {
        self.change(
            actor,
            Permission::CameraWrite,
            Action::SiteApply,
            file,
            change,
        )
        .await
    }

    async fn change(
        &self,
        actor: &Actor,
        permission: Permission,
        action: Action,
        object: &str,
        change: SiteChange,
    ) -> Result<()> {
        let inner = &self.inner;
        audited(&inner.audit, actor, action, object, "", async {
            actor.need(permission, object)?;
            inner.db.change_site(&change).await?;
            self.load().await
        })
        .await
    }

    /// Brings memory up to the database's revision.
    async fn load(&self) -> Result<()> {
        let inner = &self.inner;
        let mut held = inner.revision.lock().await;
        let revision = inner.db.site_revision().await?;
        if revision == *held {
            return Ok(());
        }
        let cameras = Arc::new(inner.db.cameras().await?);
        let vehicles = Arc::new(inner.db.vehicles().await?);
        replace(&inner.cameras, cameras);
        replace(&inner.vehicles, vehicles);
        *held = revision;
        Ok(())
    }
}

/// Wakes the watchers only when something differs.
fn replace<T: PartialEq>(held: &watch::Sender<Arc<Vec<T>>>, new: Arc<Vec<T>>) {
    held.send_if_modified(|now| {
        let differs = **now != *new;
        *now = new;
        differs
    });
}

fn check_camera(camera: &Camera) -> Result<()> {
    let name = camera.name.trim().chars().count();
    if name == 0 || name > 100 {
        return Err(Error::invalid(
            "bad_name",
            format!("camera `{}`: the name needs 1 to 100 characters", camera.id),
        ));
    }
    for (role, address) in camera.streams() {
        let ok =
            url::Url::parse(address.reveal()).is_ok_and(|u| u.scheme() == "rtsp" && u.has_host());
        if !ok {
            let detail = format!(
                "camera `{}`: {role} must be an address such as rtsp://user:password@host:554/path",
                camera.id
            );
            return Err(Error::invalid("bad_address", detail));
        }
    }
    if camera
        .heading_deg
        .is_some_and(|h| !(0.0..360.0).contains(&h))
    {
        return Err(Error::invalid(
            "bad_heading",
            "heading_deg must be 0 to below 360 degrees, clockwise from north",
        ));
    }
    if camera.fov_deg.is_some_and(|f| !(f > 0.0 && f <= 360.0)) {
        return Err(Error::invalid(
            "bad_fov",
            "fov_deg must be above 0 and at most 360 degrees",
        ));
    }
    Ok(())
}

/// Lists show `***` for a password; sent back unchanged it means the one that is stored.
fn keep_password(new: &Secret, old: Option<&Secret>) -> Result<Secret> {
    let Ok(url) = url::Url::parse(new.reveal()) else {
        return Ok(new.clone());
    };
    if url.password() != Some("***") {
        return Ok(new.clone());
    }
    let stored = old
        .and_then(|o| url::Url::parse(o.reveal()).ok())
        .and_then(|u| u.password().map(str::to_owned));
    let Some(stored) = stored else {
        return Err(Error::invalid(
            "password_missing",
            "the password is `***`, and none is stored for this camera; write it out",
        ));
    };
    // `stored` came percent-encoded out of an address and goes back as it was.
    Ok(Secret::new(new.reveal().replacen(
        ":***@",
        &format!(":{stored}@"),
        1,
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_starred_password_keeps_the_stored_one() {
        let old = Secret::new("rtsp://admin:p%40ss@192.0.2.1/main");
        let new = Secret::new("rtsp://admin:***@192.0.2.9/other");
        assert_eq!(
            keep_password(&new, Some(&old)).unwrap().reveal(),
            "rtsp://admin:p%40ss@192.0.2.9/other"
        );
        assert!(keep_password(&new, None).is_err());
        let fresh = Secret::new("rtsp://admin:new@192.0.2.9/other");
        assert_eq!(keep_password(&fresh, Some(&old)).unwrap(), fresh);
    }
}
