//! What can be made of a clip, and what is said about the result. Goes to the worker and back as JSON.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::UtcMicros;

/// Goes up when the same recipe gives another result.
pub const RECIPE_VERSION: u32 = 1;

/// What to make. Times are microseconds from the start of what the clip shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum Recipe {
    /// The pictures of `from_us ..< to_us` and nothing else, copied as they are wherever they can be.
    ExactCut { from_us: i64, to_us: i64 },
    /// The picture on the screen at this time, as JPEG.
    Still { at_us: i64 },
    /// Pictures at equal steps with their times under them, as JPEG.
    ContactSheet { columns: u32, rows: u32 },
    /// At most 640 pixels wide, about 400 kbit/s.
    LowCopy { from_us: i64, to_us: i64 },
}

impl Recipe {
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ExactCut { .. } => "exact_cut",
            Self::Still { .. } => "still",
            Self::ContactSheet { .. } => "contact_sheet",
            Self::LowCopy { .. } => "low_copy",
        }
    }

    /// Name of the file that comes out, and its media type.
    pub const fn file(&self) -> (&'static str, &'static str) {
        match self {
            Self::ExactCut { .. } => ("cut.mp4", "video/mp4"),
            Self::Still { .. } => ("still.jpg", "image/jpeg"),
            Self::ContactSheet { .. } => ("sheet.jpg", "image/jpeg"),
            Self::LowCopy { .. } => ("low.mp4", "video/mp4"),
        }
    }
}

/// One job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeriveOrder {
    pub recipe: Recipe,
    /// The clip: a whole MP4, only read.
    pub clip: PathBuf,
    /// Wall time of the clip's start, for the times in a sheet.
    pub starts: UtcMicros,
    /// Where the result goes; must not be there yet. Removed again when the job fails.
    pub out: PathBuf,
    /// The result is not longer than this.
    pub max_bytes: u64,
    /// A worker that says nothing for so long is ended.
    #[serde(skip, default = "patience")]
    pub patience: Duration,
}

/// Between two signs of life of a worker: at nice 15 on a machine with much to do a large picture may take long.
pub fn patience() -> Duration {
    Duration::from_secs(180)
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Derived {
    pub bytes: u64,
    /// From the first picture to the end of the last, from the start of what the clip shows.
    pub from_us: i64,
    pub to_us: i64,
    /// Pictures in it, of those copied as they were and encoded anew.
    pub copied: u64,
    pub encoded: u64,
    /// E.g. `libx264`; none when nothing was encoded.
    pub encoder: Option<String>,
    /// Library with version, and every option that was set.
    pub settings: String,
    /// Whether there is sound, in a word: `none`, `copied`, `encoded`, `left_out`.
    pub audio: String,
    /// What is unusual, for people.
    pub notes: Vec<String>,
}
