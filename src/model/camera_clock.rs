//! What a camera's own clock said of a picture, beside the server's time. Unknown is a reason, never a number.

use serde::{Deserialize, Serialize};

/// How the camera's time was learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockMethod {
    /// RTCP sender reports (RFC 3550 §6.4.1).
    RtcpSenderReport,
}

impl ClockMethod {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RtcpSenderReport => "rtcp_sender_report",
        }
    }
}

/// Why the camera's time is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockUnknown {
    /// The camera has not sent a sender report (yet).
    #[default]
    NoReport,
    /// Its reports carry no time of day: zero, or the time since it was switched on.
    NotTimeOfDay,
    /// Its reports do not fit the time stamps of its pictures.
    Contradictory,
    /// Recorded before this was kept.
    NotKept,
}

impl ClockUnknown {
    pub const ALL: [Self; 4] = [
        Self::NoReport,
        Self::NotTimeOfDay,
        Self::Contradictory,
        Self::NotKept,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoReport => "no_report",
            Self::NotTimeOfDay => "not_time_of_day",
            Self::Contradictory => "contradictory",
            Self::NotKept => "not_kept",
        }
    }
}

/// The camera's clock minus the server's, at one picture or over a range.
///
/// The server's time is when the picture had arrived; so the offset holds the delay from the lens to here as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CameraClock {
    Known {
        offset_us: i64,
        /// How far the true value may lie on either side.
        uncertainty_us: u32,
        method: ClockMethod,
    },
    Unknown(ClockUnknown),
}

impl Default for CameraClock {
    fn default() -> Self {
        Self::Unknown(ClockUnknown::default())
    }
}

impl CameraClock {
    pub const NOT_KEPT: Self = Self::Unknown(ClockUnknown::NotKept);

    /// One value for all of them: its uncertainty covers each. What is unknown is passed over, unless all are.
    pub fn over(all: impl IntoIterator<Item = Self>) -> Self {
        let mut bounds: Option<(i64, i64, ClockMethod)> = None;
        let mut why = None;
        for clock in all {
            match clock {
                Self::Known {
                    offset_us,
                    uncertainty_us,
                    method,
                } => {
                    let low = offset_us.saturating_sub(uncertainty_us.into());
                    let high = offset_us.saturating_add(uncertainty_us.into());
                    let (l, h, _) = bounds.unwrap_or((low, high, method));
                    bounds = Some((l.min(low), h.max(high), method));
                }
                Self::Unknown(reason) => why = Some(reason),
            }
        }
        match bounds {
            Some((low, high, method)) => {
                let half = high.saturating_sub(low) / 2;
                Self::Known {
                    offset_us: low.saturating_add(half),
                    uncertainty_us: u32::try_from(half + 1).unwrap_or(u32::MAX),
                    method,
                }
            }
            None => Self::Unknown(why.unwrap_or(ClockUnknown::NotKept)),
        }
    }

    pub const fn reason(self) -> Option<ClockUnknown> {
        match self {
            Self::Known { .. } => None,
            Self::Unknown(why) => Some(why),
        }
    }

    /// As it lies in files and in the index: code, offset, uncertainty. Codes are never reused.
    pub const fn to_parts(self) -> (u8, i64, u32) {
        match self {
            Self::Unknown(ClockUnknown::NotKept) => (0, 0, 0),
            Self::Unknown(ClockUnknown::NoReport) => (1, 0, 0),
            Self::Unknown(ClockUnknown::NotTimeOfDay) => (2, 0, 0),
            Self::Unknown(ClockUnknown::Contradictory) => (3, 0, 0),
            Self::Known {
                offset_us,
                uncertainty_us,
                method: ClockMethod::RtcpSenderReport,
            } => (16, offset_us, uncertainty_us),
        }
    }

    /// `None` for a code that no version wrote.
    pub const fn from_parts(code: u8, offset_us: i64, uncertainty_us: u32) -> Option<Self> {
        Some(match code {
            0 => Self::Unknown(ClockUnknown::NotKept),
            1 => Self::Unknown(ClockUnknown::NoReport),
            2 => Self::Unknown(ClockUnknown::NotTimeOfDay),
            3 => Self::Unknown(ClockUnknown::Contradictory),
            16 => Self::Known {
                offset_us,
                uncertainty_us,
                method: ClockMethod::RtcpSenderReport,
            },
            _ => return None,
        })
    }
}

/// The clocks of one fragment of the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentClock {
    /// The camera's clock minus the recording's time.
    pub camera: CameraClock,
    /// The recording's time minus the server's clock. Delay and jitter only, a few milliseconds, unless the server's clock was
    /// set back: a recording never overlaps what was recorded before.
    pub ahead_us: i64,
}

impl Default for FragmentClock {
    fn default() -> Self {
        Self {
            camera: CameraClock::NOT_KEPT,
            ahead_us: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(offset_us: i64, uncertainty_us: u32) -> CameraClock {
        CameraClock::Known {
            offset_us,
            uncertainty_us,
            method: ClockMethod::RtcpSenderReport,
        }
    }

    #[test]
    fn parts_are_read_as_they_are_written() {
        let all = ClockUnknown::ALL.map(CameraClock::Unknown);
        for clock in all.into_iter().chain([known(-7_200_000_000, 40_000)]) {
            let (code, offset, uncertainty) = clock.to_parts();
            assert_eq!(
                CameraClock::from_parts(code, offset, uncertainty),
                Some(clock)
            );
        }
        assert_eq!(CameraClock::from_parts(99, 0, 0), None);
    }

    #[test]
    fn a_range_is_as_uncertain_as_all_in_it() {
        let unknown = CameraClock::default();
        assert_eq!(CameraClock::over([]), CameraClock::NOT_KEPT);
        assert_eq!(CameraClock::over([unknown]), unknown);
        assert_eq!(CameraClock::over([unknown, known(100, 9)]), known(100, 10));
        // From 90 to 1_100: 595 give or take 505, and one for the division.
        assert_eq!(
            CameraClock::over([known(100, 10), known(1_000, 100)]),
            known(595, 506)
        );
    }
}
