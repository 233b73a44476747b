//! How long a volume lasts at the rate measured, and whether it will hold what the law asks for. Pure.

use super::rules::Budget;
use crate::model::UtcMicros;

const DAY_US: f64 = 86_400e6;
/// Less measured time says nothing about a day.
const MEASURED_ENOUGH_US: i64 = 3_600 * 1_000_000;

/// What was recorded lately, and since when that was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lately {
    pub(super) bytes: u64,
    pub(super) micros: i64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FloorState {
    /// Not asked for, or too little recorded to tell.
    Unknown,
    /// At the measured rate it holds at least the floor.
    Kept,
    /// It will hold less; in so many hours the first recording younger than the floor has to go.
    Short { hours: f64 },
    /// Recordings younger than the floor are being deleted for want of space.
    Broken,
}

impl FloorState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Kept => "kept",
            Self::Short { .. } => "short",
            Self::Broken => "broken",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    pub at: UtcMicros,
    /// Recorded to this volume in a day, as measured over the last one.
    pub bytes_per_day: Option<u64>,
    /// Until the space rules begin to delete.
    pub runway_hours: Option<f64>,
    /// Days of recordings it can hold at this rate.
    pub holds_days: Option<f64>,
    pub held_bytes: u64,
    /// Begin of the oldest recording.
    pub oldest: Option<UtcMicros>,
    pub floor: FloorState,
}

pub(super) struct Question {
    pub(super) now: UtcMicros,
    pub(super) budget: Budget,
    pub(super) lately: Lately,
    pub(super) held: u64,
    pub(super) oldest: Option<UtcMicros>,
    pub(super) floor_days: f64,
    /// End of the newest recording that the space rules took in this pass.
    pub(super) taken: Option<UtcMicros>,
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "days and hours, for people"
)]
pub(super) fn forecast(q: &Question) -> Forecast {
    let measured = q.lately.micros >= MEASURED_ENOUGH_US && q.lately.bytes > 0;
    let a_day = measured.then(|| q.lately.bytes as f64 * DAY_US / q.lately.micros as f64);
    let room = q.budget.room(q.held) as f64;
    // Until a rule has to delete: what is recorded already takes its place.
    let left = {
        let disk = q.budget.free.saturating_sub(q.budget.min_free);
        match q.budget.max_bytes {
            0 => disk,
            max => disk.min(max.saturating_sub(q.budget.total)),
        }
    };
    let runway_hours = a_day.map(|a| left as f64 / a * 24.0);
    let holds_days = a_day.map(|a| room / a);
    let floor_us = (q.floor_days * DAY_US) as i64;
    let broken = q.taken.is_some_and(|t| q.now.micros_since(t) < floor_us);
    let floor = match holds_days {
        _ if q.floor_days <= 0.0 => FloorState::Unknown,
        _ if broken => FloorState::Broken,
        None => FloorState::Unknown,
        Some(days) if days >= q.floor_days => FloorState::Kept,
        Some(_) => FloorState::Short {
            hours: runway_hours.unwrap_or(0.0),
        },
    };
    Forecast {
        at: q.now,
        bytes_per_day: a_day.map(|a| a as u64),
        runway_hours,
        holds_days,
        held_bytes: q.held,
        oldest: q.oldest,
        floor,
    }
}

/// What the operators are told of it, if anything.
pub(super) fn warning(f: &Forecast, floor_days: f64) -> Option<String> {
    let holds = f.holds_days.unwrap_or(0.0);
    let advice = "add a disk, move cameras to another volume, lower their bit rate, or lift holds that are no longer needed";
    match f.floor {
        FloorState::Unknown | FloorState::Kept => None,
        FloorState::Short { hours } => Some(format!(
            "at what is being recorded it will hold {holds:.1} days, not {floor_days}; recordings younger than that go in about \
             {hours:.0} hours: {advice}"
        )),
        FloorState::Broken => Some(format!(
            "recordings younger than {floor_days} days are being deleted for want of space (it holds {holds:.1} days): {advice}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1_000_000_000;
    const HOUR: i64 = 3_600_000_000;

    fn ask(free: u64, total: u64, held: u64) -> Question {
        Question {
            now: UtcMicros(40 * 24 * HOUR),
            budget: Budget {
                total,
                free,
                max_bytes: 0,
                min_free: 10 * GB,
            },
            lately: Lately {
                bytes: 50 * GB,
                micros: 12 * HOUR,
            },
            held,
            oldest: None,
            floor_days: 30.0,
            taken: None,
        }
    }

    #[test]
    fn a_disk_that_is_too_small_is_told_days_before_it_is_full() {
        // 100 GB a day: 30 days need 3 TB.
        let f = forecast(&ask(3_200 * GB, 0, 0));
        assert_eq!(f.bytes_per_day, Some(100 * GB));
        assert_eq!(f.floor, FloorState::Kept);
        assert!(warning(&f, 30.0).is_none());
        let f = forecast(&ask(1_010 * GB, 500 * GB, 0));
        assert_eq!(f.floor, FloorState::Short { hours: 240.0 });
        assert!(warning(&f, 30.0).unwrap().contains("will hold 15.0 days"));
        // The same disk full: still counted as 15 days, and it breaks now.
        let f = forecast(&ask(10 * GB, 1_500 * GB, 0));
        assert_eq!(f.floor, FloorState::Short { hours: 0.0 });
        // Old recordings that may go make room.
        assert_eq!(
            forecast(&ask(10 * GB, 3_000 * GB, 0)).floor,
            FloorState::Kept
        );
        // Held ones do not.
        let f = forecast(&ask(10 * GB, 3_000 * GB, 500 * GB));
        assert_eq!(
            (f.floor, f.holds_days),
            (FloorState::Short { hours: 0.0 }, Some(25.0))
        );
    }

    #[test]
    fn the_warning_comes_at_least_three_days_ahead() {
        // An empty disk of any size that is too small: warned after the first hour.
        for terabytes in 1..4 {
            let mut q = ask(terabytes * 1_010 * GB, 4 * GB, 0);
            q.lately = Lately {
                bytes: 4 * GB + GB / 6,
                micros: HOUR,
            };
            let f = forecast(&q);
            let short = matches!(f.floor, FloorState::Short { hours } if hours > 72.0);
            assert_eq!(short, terabytes < 3, "{f:?}");
        }
    }

    #[test]
    fn what_is_deleted_too_young_is_said() {
        let mut q = ask(10 * GB, 1_500 * GB, 0);
        q.taken = Some(q.now + -15 * 24 * HOUR);
        assert_eq!(forecast(&q).floor, FloorState::Broken);
        q.taken = Some(q.now + -31 * 24 * HOUR);
        assert!(matches!(forecast(&q).floor, FloorState::Short { .. }));
        q.floor_days = 0.0;
        assert_eq!(forecast(&q).floor, FloorState::Unknown);
    }

    #[test]
    fn minutes_say_nothing_about_days() {
        let mut q = ask(20 * GB, GB, 0);
        q.lately.micros = HOUR / 2;
        let f = forecast(&q);
        assert_eq!((f.floor, f.runway_hours), (FloorState::Unknown, None));
    }
}
