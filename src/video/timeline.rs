//! Two clocks of a session. Neither knows a socket or the machine's clock: times come in as arguments.
//!
//! * `ReceiveClock`: server time that only goes forward within a session, whatever NTP or a person does to the machine's clock.
//! * `MediaTimeline`: RTP time of one medium, unwrapped, zero at the session's start. Cameras send absurd stamps (a reset
//!   counter, a wrong clock rate); one such stamp in a recording makes a minute claim hours. The session ends instead.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::model::UtcMicros;

fn micros(d: Duration) -> i64 {
    i64::try_from(d.as_micros()).unwrap_or(i64::MAX)
}

/// The same zero for all sessions of the process.
pub(super) fn steady(at: Instant) -> i64 {
    static ZERO: OnceLock<Instant> = OnceLock::new();
    let zero = *ZERO.get_or_init(|| at);
    match at.checked_duration_since(zero) {
        Some(after) => micros(after),
        None => -micros(zero.saturating_duration_since(at)),
    }
}

/// The machine's clock is followed at most this much faster or slower: a tenth of the time gone by.
const SLEW_DIVISOR: i64 = 10;
/// A clock that jumped ahead by more than this is taken over at once: the hole is real for everyone who compares clocks.
const STEP: i64 = 1_000_000;
/// A clock set back by more than this cannot be made good by going slower.
const MAX_BACK: i64 = 60_000_000;

#[derive(Debug)]
pub(super) struct ReceiveClock {
    last: UtcMicros,
    at: Instant,
}

impl ReceiveClock {
    pub(super) fn new(wall: UtcMicros, at: Instant) -> Self {
        Self { last: wall, at }
    }

    /// Server time of something that came in at `at`, given that the machine's clock says `wall` for that instant. Later
    /// than every answer before. `Err` with the seconds when the clock was set back too far to go on.
    pub(super) fn stamp(&mut self, wall: UtcMicros, at: Instant) -> Result<UtcMicros, f64> {
        let gone = micros(at.saturating_duration_since(self.at));
        let steady = self.last + gone;
        let ahead = wall.micros_since(steady);
        let stamp = if ahead > STEP {
            wall
        } else if ahead < -MAX_BACK {
            #[allow(clippy::cast_precision_loss, reason = "shown to a person")]
            return Err(-(ahead as f64) / 1e6);
        } else {
            let limit = gone / SLEW_DIVISOR;
            steady + ahead.clamp(-limit, limit)
        };
        self.last = UtcMicros(stamp.micros().max(self.last.micros().saturating_add(1)));
        self.at = self.at.max(at);
        Ok(self.last)
    }
}

/// B frames make presentation time go back a little in sending order; no encoder reorders over more than this.
const MAX_REORDER_S: f64 = 2.0;
/// Farthest that one frame may jump against the receive clock. Cameras that first send a buffer of some seconds are normal.
const MAX_JUMP_S: f64 = 10.0;
/// A crystal is off by 0.01 %; a camera whose media time is off by more than this has another clock rate than it says.
const MAX_DRIFT: f64 = 0.02;

#[derive(Debug)]
pub(super) struct MediaTimeline {
    clock_rate: u32,
    /// RTP time that counts as zero, with the session's start.
    base: Option<(i64, Instant)>,
    /// The greatest media time so far and when it came.
    last: Option<(i64, Instant)>,
}

impl MediaTimeline {
    pub(super) fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate: clock_rate.max(1),
            base: None,
            last: None,
        }
    }

    /// Media time of a frame with the unwrapped RTP time `rtp` that came in at `at`.
    ///
    /// `since_play` is the frame's distance from the camera's own zero (RTP-Info, RFC 2326 §12.33). Where it agrees with
    /// the time of arrival it sets video and audio in relation; cameras with a wrong RTP-Info are placed by arrival.
    pub(super) fn place(
        &mut self,
        rtp: i64,
        since_play: i64,
        session_start: Instant,
        at: Instant,
    ) -> Result<i64, String> {
        let (base, start) = *self.base.get_or_insert_with(|| {
            let arrived = at.saturating_duration_since(session_start).as_secs_f64();
            let said = seconds(since_play, self.clock_rate);
            let offset = if (said - arrived).abs() <= 1.0 && said >= 0.0 {
                since_play
            } else {
                units(arrived, self.clock_rate)
            };
            (rtp.saturating_sub(offset), session_start)
        });
        let pts = rtp.saturating_sub(base);
        let media = seconds(pts, self.clock_rate);
        let real = at.saturating_duration_since(start).as_secs_f64();
        if let Some((last, last_at)) = self.last {
            let step = seconds(pts.saturating_sub(last), self.clock_rate);
            let gone = at.saturating_duration_since(last_at).as_secs_f64();
            if step < -MAX_REORDER_S {
                return Err(format!("its time stamps jumped back by {:.1} s", -step));
            }
            if (step - gone).abs() > MAX_JUMP_S {
                return Err(format!(
                    "its time stamps advanced {step:.1} s while {gone:.1} s went by"
                ));
            }
        }
        if (media - real).abs() > MAX_JUMP_S + MAX_DRIFT * real {
            return Err(format!(
                "its time stamps advanced {media:.1} s in {real:.1} s: its RTP clock does not run at the {} Hz it announces",
                self.clock_rate
            ));
        }
        if self.last.is_none_or(|(last, _)| pts >= last) {
            self.last = Some((pts, at));
        }
        Ok(pts)
    }

    /// After a jump: `rtp` is what came in at `at`, and time goes on from what was placed before.
    pub(super) fn rebase(&mut self, rtp: i64, session_start: Instant, at: Instant) -> i64 {
        let real = at.saturating_duration_since(session_start).as_secs_f64();
        let arrived = units(real, self.clock_rate);
        let pts = self.last.map_or(arrived, |(last, _)| arrived.max(last + 1));
        self.base = Some((rtp.saturating_sub(pts), session_start));
        self.last = Some((pts, at));
        pts
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "media times of centuries are below 2^53 units"
)]
fn seconds(units: i64, clock_rate: u32) -> f64 {
    units as f64 / f64::from(clock_rate)
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "`as` saturates, and the value is a few seconds"
)]
fn units(seconds: f64, clock_rate: u32) -> i64 {
    (seconds * f64::from(clock_rate)) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: i64 = 1_000_000;

    fn at(start: Instant, us: i64) -> Instant {
        start + Duration::from_micros(u64::try_from(us).unwrap())
    }

    #[test]
    fn receive_times_follow_the_machine_clock() {
        let start = Instant::now();
        let mut c = ReceiveClock::new(UtcMicros(100 * S), start);
        assert_eq!(
            c.stamp(UtcMicros(101 * S), at(start, S)).unwrap(),
            UtcMicros(101 * S)
        );
        // Half a second ahead is made good by and by, five seconds ahead at once.
        assert_eq!(
            c.stamp(UtcMicros(102 * S + S / 2), at(start, 2 * S))
                .unwrap(),
            UtcMicros(102 * S + S / 10)
        );
        assert_eq!(
            c.stamp(UtcMicros(108 * S), at(start, 3 * S)).unwrap(),
            UtcMicros(108 * S)
        );
    }

    #[test]
    fn a_clock_set_back_is_caught_up_with_without_going_back() {
        let start = Instant::now();
        let mut c = ReceiveClock::new(UtcMicros(100 * S), start);
        let mut last = UtcMicros(0);
        for n in 1..=3000i64 {
            // From 1 s on the machine's clock is 10 s behind.
            let wall = UtcMicros(100 * S + n * S / 25 - if n >= 25 { 10 * S } else { 0 });
            let stamp = c.stamp(wall, at(start, n * S / 25)).unwrap();
            assert!(stamp > last);
            last = stamp;
        }
        assert_eq!(
            last,
            UtcMicros(100 * S + 120 * S - 10 * S),
            "after 120 s both agree again"
        );
    }

    #[test]
    fn a_clock_set_back_by_an_hour_ends_the_session() {
        let start = Instant::now();
        let mut c = ReceiveClock::new(UtcMicros(10_000 * S), start);
        let off = c.stamp(UtcMicros(6_401 * S), at(start, S)).unwrap_err();
        assert!((off - 3600.0).abs() < 0.1);
    }

    fn line(rate: u32) -> (MediaTimeline, Instant) {
        (MediaTimeline::new(rate), Instant::now())
    }

    #[test]
    fn media_time_begins_at_zero_wherever_rtp_time_begins() {
        let (mut t, start) = line(90_000);
        assert_eq!(t.place(4_000_000_000, 0, start, start).unwrap(), 0);
        assert_eq!(
            t.place(4_000_003_600, 3_600, start, at(start, 40_000))
                .unwrap(),
            3_600
        );
    }

    #[test]
    fn audio_is_placed_by_rtp_info_or_else_by_its_arrival() {
        let (mut said, start) = line(8_000);
        assert_eq!(
            said.place(1_000, 1_600, start, at(start, 300_000)).unwrap(),
            1_600
        );
        let (mut wrong, start) = line(8_000);
        assert_eq!(
            wrong
                .place(1_000, 900_000_000, start, at(start, 300_000))
                .unwrap(),
            2_400
        );
    }

    #[test]
    fn b_frames_may_go_back_a_little_and_resets_may_not() {
        let (mut t, start) = line(90_000);
        for (n, pts) in [0, 10_800, 3_600, 7_200, 21_600, 14_400, 18_000]
            .into_iter()
            .enumerate()
        {
            let now = at(start, i64::try_from(n).unwrap() * 40_000);
            assert_eq!(t.place(pts, pts, start, now).unwrap(), pts);
        }
        let back = t
            .place(18_000 - 3 * 90_000, 0, start, at(start, 300_000))
            .unwrap_err();
        assert!(back.contains("jumped back"), "{back}");
    }

    #[test]
    fn a_jump_ends_the_session_and_a_buffer_sent_at_once_does_not() {
        let (mut t, start) = line(90_000);
        for n in 0..125 {
            t.place(n * 3_600, n * 3_600, start, at(start, n * 100))
                .expect("five seconds in 12 ms");
        }
        let jump = t
            .place(90_000 * 16, 0, start, at(start, 40_000))
            .unwrap_err();
        assert!(jump.contains("advanced 11.0 s"), "{jump}");
    }

    #[test]
    fn a_pause_of_the_camera_is_not_a_jump_but_a_frozen_stamp_is() {
        let (mut t, start) = line(90_000);
        t.place(0, 0, start, start).unwrap();
        t.place(90_000 * 30, 0, start, at(start, 30 * S))
            .expect("nothing for 30 s on both clocks");
        let frozen = t
            .place(90_000 * 30, 0, start, at(start, 41 * S))
            .unwrap_err();
        assert!(frozen.contains("advanced 0.0 s"), "{frozen}");
    }

    #[test]
    fn a_clock_rate_that_is_a_lie_is_found() {
        let (mut t, start) = line(90_000);
        // Announces 90 kHz, runs at 100 kHz: 11 % fast.
        let found =
            (0..10_000i64).find_map(|n| t.place(n * 4_000, 0, start, at(start, n * 40_000)).err());
        assert!(found.unwrap().contains("90000 Hz"));
    }

    proptest! {
        #[test]
        fn accepted_media_time_stays_near_real_time(
            frames in prop::collection::vec((-400_000i64..2_000_000, 0i64..3_000_000), 1..200),
        ) {
            let (mut t, start) = line(90_000);
            let (mut rtp, mut now) = (i64::from(u32::MAX) - 50_000, 0);
            for (step, gone) in frames {
                rtp += step;
                now += gone;
                if let Ok(pts) = t.place(rtp, 0, start, at(start, now)) {
                    let real = now as f64 / 1e6;
                    let media = pts as f64 / 90_000.0;
                    prop_assert!((media - real).abs() <= 10.0 + 0.02 * real + 1e-6, "{media} at {real}");
                }
            }
        }

        #[test]
        fn receive_times_always_go_forward(
            steps in prop::collection::vec((0i64..5_000_000, -80_000_000i64..80_000_000), 1..200),
        ) {
            let start = Instant::now();
            let mut c = ReceiveClock::new(UtcMicros(0), start);
            let (mut now, mut last) = (0, UtcMicros(0));
            for (gone, off) in steps {
                now += gone;
                if let Ok(stamp) = c.stamp(UtcMicros(now + off), at(start, now)) {
                    prop_assert!(stamp > last);
                    last = stamp;
                }
            }
        }
    }
}
