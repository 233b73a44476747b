//! The cameras of the register joined with what is known of their streams.

use std::sync::Arc;

use tokio::sync::watch;

use crate::archive::Archive;
use crate::model::{
    Camera, CameraId, CameraStatus, Clock, StreamKey, StreamRole, StreamStatus, camera_status,
};
use crate::video::Video;

#[derive(Clone)]
pub struct Cameras {
    register: watch::Receiver<Arc<Vec<Camera>>>,
    video: Video,
    archive: Archive,
    clock: Arc<dyn Clock>,
}

impl Cameras {
    pub fn new(
        register: watch::Receiver<Arc<Vec<Camera>>>,
        video: Video,
        archive: Archive,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            register,
            video,
            archive,
            clock,
        }
    }

    /// All, in the register's order.
    pub fn list(&self) -> Vec<CameraStatus> {
        let cameras = Arc::clone(&self.register.borrow());
        cameras.iter().map(|c| self.status_of(c)).collect()
    }

    pub fn get(&self, id: &CameraId) -> Option<CameraStatus> {
        let cameras = Arc::clone(&self.register.borrow());
        cameras
            .iter()
            .find(|c| c.id == *id)
            .map(|c| self.status_of(c))
    }

    /// Counts up whenever a stream changes its state.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.video.changes()
    }

    fn status_of(&self, camera: &Camera) -> CameraStatus {
        camera_status(camera.clone(), self.clock.now(), |role| {
            self.stream(&camera.id, role)
        })
    }

    fn stream(&self, camera: &CameraId, role: StreamRole) -> Option<StreamStatus> {
        let key = StreamKey::new(camera.clone(), role);
        let mut status = self.video.status(&key)?;
        status.durable_until = self.archive.durable_until(&key);
        status.recording = self.archive.is_recording(&key);
        Some(status)
    }
}
