//! What the rules say: pure, no clock, no disk.

use std::time::Duration;

use crate::config::{ArchiveConfig, CameraPattern};
use crate::model::{StreamKey, UtcMicros};

/// Free space never costs the newest of the archive: a disk filled by something else must not empty it entirely.
const YOUNGEST: Duration = Duration::from_secs(600);

/// A class of cameras with its own limits.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) name: String,
    cameras: Vec<CameraPattern>,
    /// `None`: as everybody.
    days: Option<f64>,
    /// 0: no limit.
    pub(super) max_bytes: u64,
}

#[derive(Debug)]
pub(super) struct Rules {
    days: f64,
    pub(super) classes: Vec<Class>,
}

impl Rules {
    pub(super) fn new(config: &ArchiveConfig) -> Self {
        let class = |c: &crate::config::RetentionConfig| Class {
            name: c.class.clone(),
            cameras: c
                .cameras
                .iter()
                .filter_map(|p| CameraPattern::parse(p).ok())
                .collect(),
            days: Some(c.days).filter(|d| *d > 0.0),
            max_bytes: c.max_bytes,
        };
        Self {
            days: config.retention_days,
            classes: config.retention.iter().map(class).collect(),
        }
    }

    pub(super) fn class_of(&self, stream: &StreamKey, area: Option<&str>) -> Option<usize> {
        self.classes
            .iter()
            .position(|c| c.cameras.iter().any(|p| p.matches(stream, area)))
    }

    /// The newest end of recordings that are too old, and what the rule is called.
    pub(super) fn too_old(&self, class: Option<usize>, now: UtcMicros) -> (UtcMicros, String) {
        let own = class.and_then(|i| self.classes.get(i));
        let (days, name) = match own.and_then(|c| c.days.map(|d| (d, &c.name))) {
            Some((days, class)) => (days, format!("class_days = {days} ({class})")),
            None => (self.days, format!("retention_days = {}", self.days)),
        };
        #[allow(
            clippy::cast_possible_truncation,
            reason = "saturates: at most 36 500 days"
        )]
        let us = (days * 86_400e6) as i64;
        (UtcMicros(now.micros().saturating_sub(us)), name)
    }
}

/// How full a volume is while a pass goes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub(super) total: u64,
    pub(super) free: u64,
    /// 0: no limit.
    pub(super) max_bytes: u64,
    pub(super) min_free: u64,
}

/// What a full volume wants of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// There is room.
    Nothing,
    Go(String),
    /// It should go, but it and all younger ones are too young for that rule.
    Spare,
}

impl Budget {
    pub(super) fn wish(&self, ended: UtcMicros, now: UtcMicros) -> Wish {
        if self.max_bytes > 0 && self.total > self.max_bytes {
            return Wish::Go(format!("max_bytes = {}", self.max_bytes));
        }
        if self.free >= self.min_free {
            return Wish::Nothing;
        }
        let young = i64::try_from(YOUNGEST.as_micros()).unwrap_or(i64::MAX);
        if now.micros_since(ended) < young {
            Wish::Spare
        } else {
            Wish::Go(format!("min_free_bytes = {}", self.min_free))
        }
    }

    pub(super) fn gave_back(&mut self, bytes: u64) {
        self.total = self.total.saturating_sub(bytes);
        self.free = self.free.saturating_add(bytes);
    }

    /// What could be recorded if everything went that is not held.
    pub(super) fn room(&self, held: u64) -> u64 {
        let own = self.total.saturating_sub(held);
        let disk = self.free.saturating_add(own).saturating_sub(self.min_free);
        if self.max_bytes > 0 {
            disk.min(self.max_bytes.saturating_sub(held))
        } else {
            disk
        }
    }
}
