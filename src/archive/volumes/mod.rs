//! The disks of the archive: which one a stream's new files go to, and which one holds a file.
//!
//! A path in the index begins with `@NAME/` for a file of the volume NAME, else it lies in `[archive] dir`. A stream records to
//! the first volume whose patterns name it; while that one is lost, to another one that works; when it is back, there again.

mod disks;
mod mark;
mod mount;
mod watch;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

pub(super) use disks::Disks;
pub use mark::Mark;
pub(super) use mount::{Mount, State};

use super::health::{Health, HealthState};
use super::retention::Forecast;
use super::volume::Volume;
use crate::config::{ArchiveConfig, CameraPattern};
use crate::model::{CameraId, StreamKey, split_path as split};

/// Tells the area of a camera, for patterns that name areas.
pub type Areas = Arc<dyn Fn(&CameraId) -> Option<String> + Send + Sync>;

/// One volume as people see it.
#[derive(Clone, Debug, PartialEq)]
pub struct VolumeStatus {
    /// Empty for `[archive] dir`.
    pub name: String,
    pub dir: PathBuf,
    pub health: Health,
    /// Of recordings, as far as indexed.
    pub bytes: u64,
    /// On its disk, when it was asked last.
    pub free: Option<u64>,
    /// How long it lasts, when that was worked out last.
    pub forecast: Option<Forecast>,
}

pub(super) struct Volumes {
    all: Vec<Arc<Mount>>,
    areas: OnceLock<Areas>,
}

impl Volumes {
    /// `dir` first, then the configured ones in their order.
    pub(super) fn new(
        config: &ArchiveConfig,
        dir: PathBuf,
        make: &dyn Fn(&str, &Path) -> Arc<dyn Volume>,
    ) -> Self {
        let volume = make("", &dir);
        let mut all = vec![Arc::new(Mount::default_one(config, dir, volume))];
        for v in &config.volumes {
            let patterns = v
                .cameras
                .iter()
                .filter_map(|p| CameraPattern::parse(p).ok());
            let min_free = match v.min_free_bytes {
                0 => config.min_free_bytes,
                n => n,
            };
            let mut mount = Mount::new(v.name.clone(), v.dir.clone(), make(&v.name, &v.dir));
            mount.max_bytes = v.max_bytes;
            mount.min_free_bytes = min_free;
            mount.takes = Some(patterns.collect());
            all.push(Arc::new(mount));
        }
        Self {
            all,
            areas: OnceLock::new(),
        }
    }

    #[cfg(test)]
    pub(super) fn nowhere() -> Arc<Self> {
        let make = |_: &str, dir: &Path| -> Arc<dyn Volume> {
            Arc::new(super::Folder::new(dir.to_path_buf()))
        };
        let config = ArchiveConfig::default();
        Arc::new(Self::new(&config, "/nowhere".into(), &make))
    }

    pub(super) fn know_areas(&self, areas: Areas) {
        self.areas.set(areas).ok();
    }

    pub(super) fn all(&self) -> &[Arc<Mount>] {
        &self.all
    }

    pub(super) fn area_of(&self, stream: &StreamKey) -> Option<String> {
        self.areas.get().and_then(|of| of(&stream.camera))
    }

    /// Where a stream belongs.
    fn home(&self, stream: &StreamKey) -> usize {
        let patterns = || self.all.iter().filter_map(|m| m.takes.as_ref()).flatten();
        let asked = patterns().any(CameraPattern::names_areas);
        let of = self.areas.get().filter(|_| asked);
        let area = of.and_then(|of| of(&stream.camera));
        let takes = |mount: &Arc<Mount>| {
            mount.takes.as_ref().is_some_and(|patterns| {
                patterns.is_empty() || patterns.iter().any(|p| p.matches(stream, area.as_deref()))
            })
        };
        // Nobody's camera: `[archive] dir`.
        self.all.iter().position(takes).unwrap_or(0)
    }

    /// Where a stream can record now. Its home, unless that is lost and another one works; `[archive] dir` comes last, because
    /// the database may live on its disk.
    pub(super) fn seat(&self, stream: &StreamKey) -> usize {
        if self.all.len() < 2 {
            return 0;
        }
        let home = self.home(stream);
        let works = |i: usize| self.all.get(i).is_some_and(|m| m.state() == State::Up);
        if works(home) {
            return home;
        }
        let others = (1..self.all.len()).chain([0]);
        let mut spare = others.filter(|i| *i != home && works(*i));
        spare
            .find(|i| self.all.get(*i).is_some_and(|m| m.has_room()))
            .unwrap_or(home)
    }

    /// The volume that holds `path`, and where in it.
    pub(super) fn locate<'a>(&self, path: &'a str) -> io::Result<(&Arc<Mount>, &'a str)> {
        let (name, inside) = split(path);
        let mount = self.all.iter().find(|m| m.name == name).ok_or_else(|| {
            let said = format!("{path}: the configuration has no volume `{name}` any more");
            io::Error::new(io::ErrorKind::NotFound, said)
        })?;
        Ok((mount, inside))
    }

    /// Opens a file of the archive for reading.
    pub(super) fn open(&self, path: &str) -> io::Result<File> {
        let (mount, inside) = self.locate(path)?;
        File::open(mount.dir.join(inside))
            .map_err(|e| io::Error::new(e.kind(), format!("{path}: {e}")))
    }

    pub(super) fn bytes(&self) -> u64 {
        self.all.iter().map(|m| m.bytes()).sum()
    }

    /// One sentence on all disks; what is not about a disk (`Troubles` of the archive) is added by the caller.
    pub(super) fn health(&self) -> Health {
        let all: Vec<Health> = self.all.iter().map(|m| m.health()).collect();
        let said: Vec<String> = all.iter().filter_map(|h| h.message.clone()).collect();
        let paused = all
            .iter()
            .filter(|h| h.state == HealthState::Paused)
            .count();
        let state = if paused == all.len() {
            HealthState::Paused
        } else if all.iter().any(|h| h.state != HealthState::Ok) {
            HealthState::Degraded
        } else {
            HealthState::Ok
        };
        Health {
            state,
            message: (!said.is_empty()).then(|| said.join("; ")),
        }
    }

    pub(super) fn status(&self) -> Vec<VolumeStatus> {
        let status = |m: &Arc<Mount>| VolumeStatus {
            name: m.name.clone(),
            dir: m.dir.clone(),
            health: m.health(),
            bytes: m.bytes(),
            free: m.free(),
            forecast: m.forecast(),
        };
        self.all.iter().map(status).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::Folder;
    use crate::config::VolumeConfig;
    use crate::model::StreamRole;

    fn volumes(patterns: &[&[&str]]) -> Volumes {
        let volume = |(i, p): (usize, &&[&str])| VolumeConfig {
            name: format!("v{i}"),
            dir: format!("/nowhere/v{i}").into(),
            cameras: p.iter().map(|p| (*p).to_owned()).collect(),
            ..VolumeConfig::default()
        };
        let config = ArchiveConfig {
            volumes: patterns.iter().enumerate().map(volume).collect(),
            ..ArchiveConfig::default()
        };
        Volumes::new(&config, "/nowhere".into(), &|_, dir| {
            Arc::new(Folder::new(dir.to_path_buf()))
        })
    }

    fn key(camera: &str, role: StreamRole) -> StreamKey {
        StreamKey::new(CameraId::new(camera).unwrap(), role)
    }

    #[test]
    fn the_first_volume_that_names_a_camera_takes_it() {
        let v = volumes(&[&["cam-0*/main", "area:6108*"], &["cam-0*"]]);
        v.know_areas(Arc::new(|c| {
            (c.as_str() == "x").then(|| "610802".to_owned())
        }));
        let (main, sub) = (StreamRole::Main, StreamRole::Sub);
        assert_eq!(v.home(&key("cam-01", main)), 1);
        assert_eq!(v.home(&key("cam-01", sub)), 2);
        assert_eq!(v.home(&key("x", sub)), 1);
        assert_eq!(v.home(&key("y", main)), 0, "nobody's");
        let v = volumes(&[&["cam-0*"], &[]]);
        assert_eq!(v.home(&key("y", main)), 2, "the rest");
        assert_eq!(volumes(&[]).home(&key("y", main)), 0);
    }

    #[test]
    fn a_lost_home_is_left_for_one_that_works_and_dir_comes_last() {
        let v = volumes(&[&["cam-1"], &["cam-2"]]);
        let one = key("cam-1", StreamRole::Main);
        let up = |i: usize| v.all[i].set_state(State::Up);
        assert_eq!(v.seat(&one), 1, "nothing works: at home it is tried again");
        up(0);
        assert_eq!(v.seat(&one), 0);
        up(2);
        assert_eq!(v.seat(&one), 2);
        up(1);
        assert_eq!(v.seat(&one), 1);
    }

    #[test]
    fn paths_name_their_volume() {
        assert_eq!(split("cam:1/main/x.mp4"), ("", "cam:1/main/x.mp4"));
        assert_eq!(split("@v1/cam-1/main/x.mp4"), ("v1", "cam-1/main/x.mp4"));
    }
}
