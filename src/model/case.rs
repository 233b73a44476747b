//! Case files (案卷) and exhibits: the thin first form. States and words follow GB/T 30428 practice.

use serde::{Deserialize, Serialize};

use super::{
    AreaCode, CameraId, CaseId, ExhibitId, GapCause, GeoPoint, StreamRole, TimeRange, UtcMicros,
    VehicleId,
};

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|v| v.as_str() == text)
            }
        }
    )+};
}

words! {
    CaseState {
        /// 上报
        Reported = "reported",
        /// 立案
        Filed = "filed",
        /// 不予立案
        Rejected = "rejected",
        /// 结案
        Closed = "closed",
    }
    /// Where the case came from (问题来源).
    CaseSource {
        /// 监督员
        Inspector = "inspector",
        /// 热线
        Hotline = "hotline",
        /// 公众
        Public = "public",
        /// 监控抓拍
        Video = "video",
        /// 车载告警
        Vehicle = "vehicle",
        Other = "other",
    }
    CaseAction {
        File = "file",
        Reject = "reject",
        Close = "close",
        Comment = "comment",
    }
    ExhibitKind {
        /// Footage of a camera.
        Clip = "clip",
        /// Fixes of a vehicle.
        Track = "track",
        /// Pictures of a clip, exact to the picture; copied where they can be.
        ExactCut = "exact_cut",
        /// One picture of a clip.
        Still = "still",
        /// Small pictures of a clip in steps, with their times.
        ContactSheet = "contact_sheet",
        /// A clip made small for slow lines.
        LowCopy = "low_copy",
    }
    ExhibitState {
        Working = "working",
        Ready = "ready",
        Failed = "failed",
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    pub id: CaseId,
    /// The number people say: `YYYYMMDD-NNNN`, local day of opening.
    pub no: String,
    pub title: String,
    pub description: String,
    pub category: String,
    pub state: CaseState,
    pub source: CaseSource,
    pub occurred_from: UtcMicros,
    pub occurred_to: Option<UtcMicros>,
    pub place: GeoPoint,
    pub address: String,
    pub area: Option<AreaCode>,
    pub opened_by: String,
    pub opened_at: UtcMicros,
    pub filed_by: Option<String>,
    pub closed_by: Option<String>,
    pub closed_at: Option<UtcMicros>,
    /// Counts changes, so that two people do not overwrite one another.
    pub revision: i64,
}

/// A step in a case's life. Only ever added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseEvent {
    pub time: UtcMicros,
    pub actor: String,
    /// `open`, a [`CaseAction`], `attach`.
    pub action: String,
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExhibitFile {
    pub name: String,
    pub bytes: u64,
    /// Lower-case hex.
    pub sha256: String,
    pub media_type: String,
    /// The file this one was made from; originals have none.
    pub derived_from: Option<String>,
    /// How it was made.
    pub recipe: Option<String>,
}

impl ExhibitKind {
    /// Made of another exhibit, which stays what it was.
    pub const fn is_derived(self) -> bool {
        match self {
            Self::Clip | Self::Track => false,
            Self::ExactCut | Self::Still | Self::ContactSheet | Self::LowCopy => true,
        }
    }
}

/// A fragment of the archive as a manifest names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FragmentName {
    pub seq: i64,
    /// Lower-case hex.
    pub sha256: String,
}

/// The fragments that a clip was taken from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenFragments {
    pub count: u64,
    pub first: FragmentName,
    pub last: FragmentName,
}

/// Evidence on a case: copied out of the archive, so retention cannot take it.
#[derive(Clone, Debug, PartialEq)]
pub struct Exhibit {
    pub id: ExhibitId,
    pub case: CaseId,
    pub kind: ExhibitKind,
    pub state: ExhibitState,
    /// What went wrong and what to do, when `failed`.
    pub error: Option<String>,
    pub camera: Option<CameraId>,
    pub stream: Option<StreamRole>,
    pub vehicle: Option<VehicleId>,
    pub requested: TimeRange,
    /// What the files really cover; whole GOPs may begin earlier.
    pub delivered: Option<TimeRange>,
    pub gaps: Vec<(TimeRange, GapCause)>,
    pub purpose: String,
    pub created_by: String,
    pub created_at: UtcMicros,
    pub files: Vec<ExhibitFile>,
    /// The exhibit this one was made of; originals have none.
    pub derived_from: Option<ExhibitId>,
    /// How: `name`, `version`, `parameters`, and once it is ready `encoder`, `settings`, `pictures`.
    pub recipe: Option<serde_json::Value>,
    /// Of a clip, once it is being copied.
    pub fragments: Option<TakenFragments>,
}
