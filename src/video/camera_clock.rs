//! The camera's clock, learnt from its sender reports: each says which RTP time was sampled at which time of its clock
//! (RFC 3550 §6.4.1). No clock, no socket.
//!
//! What comes out is kept beside the server's time and never moves it: cameras' clocks are wrong by hours, and jump.

use crate::model::{CameraClock, ClockMethod, ClockUnknown, UtcMicros};

/// From 1900 (RFC 5905 §6) to 1970.
const NTP_TO_UNIX: i64 = 2_208_988_800;
/// Seconds of an NTP era.
const ERA: i64 = 1 << 32;
/// Until a second report agrees with the first. Cameras are seen whose reports are off from their pictures by this much.
const UNCONFIRMED_US: i64 = 100_000;
/// Reports that differ by more tell of a clock that was set, not of jitter.
const STEP_US: i64 = 1_000_000;
/// A crystal drifts by less between two reports.
const DRIFT_PPM: i64 = 100;
/// A report farther than this from the pictures speaks of other RTP times.
const FARTHEST_S: i64 = 600;
/// The resolution of what is told.
const LEAST_US: i64 = 100;

#[derive(Debug)]
pub struct ClockReader {
    rate: i64,
    newest: Option<Mapping>,
    unknown: ClockUnknown,
}

#[derive(Clone, Copy, Debug)]
struct Mapping {
    rtp: i64,
    camera: UtcMicros,
    /// How far reports contradicted each other lately.
    spread: i64,
}

impl ClockReader {
    /// `rate` is that of the RTP clock.
    pub fn new(rate: u32) -> Self {
        Self {
            rate: i64::from(rate.max(1)),
            newest: None,
            unknown: ClockUnknown::NoReport,
        }
    }

    /// Takes a report. `near` is the unwrapped RTP time of the newest picture, `now` the server's clock.
    pub fn report(&mut self, ntp: u64, rtp: u32, near: i64, now: UtcMicros) {
        let Some(camera) = time_of_day(ntp, now) else {
            (self.newest, self.unknown) = (None, ClockUnknown::NotTimeOfDay);
            return;
        };
        let rtp = unwrap_near(rtp, near);
        if rtp.saturating_sub(near).saturating_abs() > FARTHEST_S * self.rate {
            (self.newest, self.unknown) = (None, ClockUnknown::Contradictory);
            return;
        }
        let spread = match &self.newest {
            None => UNCONFIRMED_US,
            Some(old) => {
                let off = camera.micros_since(self.at(old, rtp)).saturating_abs();
                if off > STEP_US {
                    UNCONFIRMED_US
                } else if old.spread == UNCONFIRMED_US {
                    off
                } else {
                    // Old contradictions are forgotten by and by.
                    off.max(old.spread - old.spread / 4)
                }
            }
        };
        self.newest = Some(Mapping {
            rtp,
            camera,
            spread,
        });
    }

    /// The camera's clock minus the server's, for the picture of RTP time `rtp` that came at `received`.
    pub fn at_picture(&self, rtp: i64, received: UtcMicros) -> CameraClock {
        let Some(known) = &self.newest else {
            return CameraClock::Unknown(self.unknown);
        };
        let age = self.micros(rtp.saturating_sub(known.rtp));
        let drift = age.saturating_abs() / 1_000_000 * DRIFT_PPM;
        let uncertainty = known.spread.saturating_add(drift).max(LEAST_US);
        CameraClock::Known {
            offset_us: self.at(known, rtp).micros_since(received),
            uncertainty_us: u32::try_from(uncertainty).unwrap_or(u32::MAX),
            method: ClockMethod::RtcpSenderReport,
        }
    }

    /// The RTP clock has a new zero: what was learnt is of no use.
    pub fn forget(&mut self) {
        self.newest = None;
        self.unknown = ClockUnknown::NoReport;
    }

    fn at(&self, known: &Mapping, rtp: i64) -> UtcMicros {
        known.camera + self.micros(rtp.saturating_sub(known.rtp))
    }

    fn micros(&self, units: i64) -> i64 {
        let us = i128::from(units) * 1_000_000 / i128::from(self.rate);
        i64::try_from(us).unwrap_or(if us < 0 { i64::MIN / 4 } else { i64::MAX / 4 })
    }
}

/// The unwrapped value of `rtp` nearest to `near`.
fn unwrap_near(rtp: u32, near: i64) -> i64 {
    let delta = rtp.wrapping_sub(u32::try_from(near & 0xffff_ffff).unwrap_or(0));
    // As a signed step: half of all values lie before.
    near.saturating_add(i64::from(delta.cast_signed()))
}

/// `None` for zero (the camera has no clock) and for a time since it was switched on, which has the highest bit clear
/// (RFC 3550 §6.4.1). After 2036 that bit is clear for real times too; then what lies near the server's time is one.
fn time_of_day(ntp: u64, now: UtcMicros) -> Option<UtcMicros> {
    let seconds = i64::try_from(ntp >> 32).ok()?;
    let now_seconds = now.micros().div_euclid(1_000_000) + NTP_TO_UNIX;
    let since_start = seconds < ERA / 2;
    if ntp == 0 || since_start && now_seconds < ERA {
        return None;
    }
    // The era nearest to the server's time (RFC 5905 §6).
    let era = (now_seconds - seconds + ERA / 2).div_euclid(ERA);
    let unix = seconds + era * ERA - NTP_TO_UNIX;
    let fraction = i64::try_from(((ntp & 0xffff_ffff) * 1_000_000) >> 32).ok()?;
    unix.checked_mul(1_000_000)?
        .checked_add(fraction)
        .map(UtcMicros)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: UtcMicros = UtcMicros::from_secs(1_795_000_000);
    const S: i64 = 1_000_000;

    fn ntp(t: UtcMicros) -> u64 {
        let seconds = t.micros().div_euclid(S) + NTP_TO_UNIX;
        let fraction = (t.micros().rem_euclid(S) << 32) / S;
        u64::try_from(seconds & 0xffff_ffff).unwrap() << 32 | u64::try_from(fraction).unwrap()
    }

    fn known(clock: CameraClock) -> (i64, u32) {
        match clock {
            CameraClock::Known {
                offset_us,
                uncertainty_us,
                ..
            } => (offset_us, uncertainty_us),
            CameraClock::Unknown(why) => panic!("unknown: {why:?}"),
        }
    }

    #[test]
    fn a_clock_that_is_wrong_by_hours_is_told_and_not_believed() {
        let mut c = ClockReader::new(90_000);
        assert_eq!(
            c.at_picture(0, NOW),
            CameraClock::Unknown(ClockUnknown::NoReport)
        );
        let wrong = NOW - 8 * 3_600 * S;
        c.report(ntp(wrong), 5_000, 5_000, NOW);
        let (offset, uncertainty) = known(c.at_picture(5_000 + 90_000, NOW + S + 40_000));
        assert!((offset + 8 * 3_600 * S + 40_000).abs() <= 1, "{offset}");
        assert_eq!(i64::from(uncertainty), UNCONFIRMED_US + DRIFT_PPM);
        // A second report five seconds later that agrees to a millisecond.
        c.report(ntp(wrong + 5 * S + 1_000), 455_000, 455_000, NOW);
        // The fraction of NTP rounds.
        assert!((999..=1_001).contains(&known(c.at_picture(455_000, NOW)).1));
    }

    #[test]
    fn rtp_time_wraps_between_report_and_picture() {
        let mut c = ClockReader::new(90_000);
        let near = (1i64 << 32) - 45_000;
        c.report(ntp(NOW), u32::MAX - 44_999, near, NOW);
        let (offset, _) = known(c.at_picture(near + 90_000, NOW + S));
        assert!(offset.abs() <= 1, "{offset}");
        // The report is ahead of the pictures, beyond the wrap.
        c.report(ntp(NOW), 45_000, near, NOW);
        let (offset, _) = known(c.at_picture(near, NOW - S));
        assert!(offset.abs() <= 1, "{offset}");
    }

    #[test]
    fn zero_and_time_since_start_are_no_time_of_day() {
        for ntp in [0, 5 << 32, 86_400 << 32 | 7] {
            let mut c = ClockReader::new(90_000);
            c.report(ntp, 0, 0, NOW);
            assert_eq!(
                c.at_picture(0, NOW),
                CameraClock::Unknown(ClockUnknown::NotTimeOfDay)
            );
        }
        let after_2036 = UtcMicros::from_secs(2_100_000_000);
        let mut c = ClockReader::new(90_000);
        c.report(ntp(after_2036 - 3 * S), 0, 0, after_2036);
        assert_eq!(known(c.at_picture(0, after_2036)).0, -3 * S);
    }

    #[test]
    fn reports_of_other_rtp_times_are_not_used() {
        let mut c = ClockReader::new(90_000);
        c.report(ntp(NOW), 2_000_000_000, 0, NOW);
        assert_eq!(
            c.at_picture(0, NOW),
            CameraClock::Unknown(ClockUnknown::Contradictory)
        );
    }

    #[test]
    fn a_camera_whose_clock_was_set_is_followed_at_once() {
        let mut c = ClockReader::new(90_000);
        c.report(ntp(NOW - 3_600 * S), 0, 0, NOW);
        c.report(ntp(NOW + 5 * S), 450_000, 450_000, NOW + 5 * S);
        let (offset, uncertainty) = known(c.at_picture(450_000, NOW + 5 * S));
        assert!(offset.abs() <= 1 && i64::from(uncertainty) == UNCONFIRMED_US);
    }

    proptest! {
        #[test]
        fn no_report_makes_it_panic_and_the_truth_lies_within(
            reports in prop::collection::vec((any::<u64>(), any::<u32>(), any::<i64>()), 0..20),
            jitter in prop::collection::vec(-20_000i64..20_000, 2..20),
        ) {
            let mut c = ClockReader::new(90_000);
            for (ntp, rtp, near) in reports {
                c.report(ntp, rtp, near, NOW);
                c.at_picture(near, NOW);
            }
            c.forget();
            let mut rtp = 0;
            for j in jitter {
                rtp += 450_000;
                let real = NOW + rtp / 9 * 100;
                c.report(ntp(real + j), u32::try_from(rtp).unwrap(), rtp, real);
                let (offset, uncertainty) = known(c.at_picture(rtp, real));
                prop_assert!(offset.abs() <= i64::from(uncertainty) + 40_000, "{offset} ± {uncertainty}");
            }
        }
    }
}
