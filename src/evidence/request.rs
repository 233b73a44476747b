//! What may be asked for.

use std::time::Duration;

use crate::model::{
    CameraId, Error, ExhibitKind, Result, StreamKey, StreamRole, TimeRange, UtcMicros, VehicleId,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    Camera {
        camera: CameraId,
        stream: StreamRole,
    },
    Vehicle(VehicleId),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewExhibit {
    pub subject: Subject,
    pub range: TimeRange,
    /// Why; Decree 799 asks for it of everyone who takes footage out.
    pub purpose: String,
}

/// Clocks of desks and servers differ a little; "until now" must not be refused for it.
const CLOCK_SLACK: Duration = Duration::from_secs(2);
const LONGEST_CLIP: Duration = Duration::from_secs(24 * 3_600);
const LONGEST_TRACK: Duration = Duration::from_secs(31 * 24 * 3_600);
/// A day of fixes each second, and more; held in memory once.
pub(super) const MOST_FIXES: usize = 200_000;

impl Subject {
    pub fn kind(&self) -> ExhibitKind {
        match self {
            Self::Camera { .. } => ExhibitKind::Clip,
            Self::Vehicle(_) => ExhibitKind::Track,
        }
    }

    /// As the audit log names it.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Camera { camera, stream } => {
                format!("camera/{}", StreamKey::new(camera.clone(), *stream))
            }
            Self::Vehicle(v) => format!("vehicle/{v}"),
        }
    }
}

impl NewExhibit {
    pub(super) fn check(&self, now: UtcMicros) -> Result<()> {
        check_purpose(&self.purpose)?;
        // A range may come from elsewhere than `TimeRange::new`.
        let range = TimeRange::new(self.range.from, self.range.to)?;
        if range.to > now.plus(CLOCK_SLACK) {
            return Err(Error::invalid(
                "range_in_future",
                format!(
                    "the range ends at {}, but it is {now} now; ask again when it has passed",
                    range.to
                ),
            ));
        }
        let longest = match self.subject {
            Subject::Camera { .. } => LONGEST_CLIP,
            Subject::Vehicle(_) => LONGEST_TRACK,
        };
        if range.duration() > longest {
            return Err(Error::invalid(
                "bad_range",
                format!(
                    "the range is longer than {} hours; attach it in parts",
                    longest.as_secs() / 3_600
                ),
            ));
        }
        Ok(())
    }
}

pub(super) fn check_purpose(purpose: &str) -> Result<()> {
    let signs = purpose.trim().chars().count();
    if (2..=500).contains(&signs) {
        return Ok(());
    }
    Err(Error::invalid(
        "purpose_required",
        "say in 2 to 500 signs what the exhibit is for; the purpose goes into the audit log and the manifest",
    ))
}

pub(super) fn too_many_fixes() -> Error {
    Error::invalid(
        "bad_range",
        format!("the track has more than {MOST_FIXES} positions in this range; attach it in parts"),
    )
}

pub(super) fn no_positions(vehicle: &VehicleId, range: TimeRange) -> Error {
    Error::not_found(
        "no_positions",
        format!(
            "vehicle {vehicle} has no positions from {} to {}",
            range.from, range.to
        ),
    )
}
