//! Where fragments come to lie when clocks jitter, drift and are set.

use super::*;
use crate::archive::gop::{Gop, ticks};
use crate::model::{ClockMethod, VideoCodec};
use crate::video::Media;
use bytes::Bytes;
use proptest::prelude::*;

const T0: UtcMicros = UtcMicros::from_secs(1_764_000_000);

fn params() -> Arc<StreamParams> {
    Arc::new(StreamParams {
        codec: VideoCodec::H264,
        extra_data: Bytes::new(),
        rfc6381: String::new(),
        width: 1,
        height: 1,
        pixel_aspect: None,
        audio: None,
    })
}

fn picture(pts: i64, received: UtcMicros, key: bool) -> Arc<Frame> {
    Arc::new(Frame {
        media: Media::Video,
        pts,
        received,
        arrival: crate::video::Arrival::unmoved(received),
        key,
        data: Bytes::from_static(&[0]),
        lost: 0,
        camera_clock: CameraClock::default(),
        params: params(),
    })
}

/// Came in at `steady` by the monotonic clock, when the server's said `wall`.
fn came(pts: i64, steady: i64, wall: UtcMicros, key: bool) -> Arc<Frame> {
    let mut frame = picture(pts, wall, key);
    if let Some(f) = Arc::get_mut(&mut frame) {
        f.arrival = Arrival { steady, wall };
    }
    frame
}

/// A stream in a world in which the server's clock is set while time goes by.
struct World {
    gop: Gop,
    line: Timeline,
    out: Vec<Take>,
    /// Real time, µs.
    real: i64,
    /// The server's clock minus real time.
    off: i64,
    media: i64,
    received: Option<UtcMicros>,
    pictures: i64,
}

impl World {
    fn new() -> Self {
        Self {
            gop: Gop::new(2_000, GapCause::CameraDown),
            line: Timeline::new(None, Standing::default()),
            out: Vec::new(),
            real: 0,
            off: T0.micros(),
            media: 0,
            received: None,
            pictures: 0,
        }
    }

    fn play(&mut self, pictures: i64) {
        for _ in 0..pictures {
            let wall = UtcMicros(self.real + self.off);
            let mut frame = came(ticks(self.media), self.real, wall, self.pictures % 25 == 0);
            // What a session does: forward at once, back by going a tenth slower.
            let received = self.received.map_or(wall, |r| wall.max(r + 36_000));
            Arc::get_mut(&mut frame).unwrap().received = received;
            self.received = Some(received);
            if let Some(raw) = self.gop.push(frame) {
                self.out.extend(self.line.place(raw));
            }
            self.wait(40_000);
            self.pictures += 1;
        }
    }

    fn wait(&mut self, micros: i64) {
        self.real += micros;
        self.media += micros;
    }

    fn end_session(&mut self) {
        if let Some(raw) = self.gop.flush() {
            self.out.extend(self.line.place(raw));
        }
        self.out.extend(self.line.flush());
        self.gop.end_session(GapCause::CameraDown);
        self.media = 0;
        self.received = None;
        self.pictures = 0;
    }

    /// Between consecutive fragments: how much longer the timeline went on than time did, and the time.
    fn off_real(&self) -> Vec<(i64, i64)> {
        let real = |t: &Take| t.samples[0].frame.arrival.steady;
        self.out
            .windows(2)
            .map(|w| {
                let gone = real(&w[1]) - real(&w[0]);
                (w[1].range.from.micros_since(w[0].range.from) - gone, gone)
            })
            .collect()
    }
}

#[test]
fn a_session_after_a_step_back_lies_as_far_behind_as_time_went_by() {
    let mut w = World::new();
    w.play(250);
    w.off -= 10_000_000;
    w.play(250);
    w.end_session();
    let (end, lead) = {
        let last = w.out.last().unwrap();
        (last.range.to, last.clock.ahead_us)
    };
    assert!((9_800_000..=10_000_000).contains(&lead), "{lead}");
    w.wait(3_000_000);
    w.off -= 8 * 3_600_000_000;
    w.play(100);
    w.end_session();
    let next = w.out.iter().find(|t| t.range.from >= end).unwrap();
    assert!(next.session);
    let gap = next.range.from.micros_since(end);
    assert!((gap - 3_000_000).abs() < 20_000, "{gap}");
    let kept = next.clock.ahead_us - 8 * 3_600_000_000;
    assert!((kept - lead).abs() < 20_000, "{kept}, before {lead}");
}

#[test]
fn a_hole_in_a_session_is_one_while_the_timeline_is_ahead() {
    let mut w = World::new();
    w.play(250);
    w.off -= 10_000_000;
    w.play(250);
    w.wait(4_000_000);
    w.play(100);
    w.end_session();
    let holes: Vec<i64> = w
        .out
        .windows(2)
        .map(|w| w[1].range.from.micros_since(w[0].range.to))
        .filter(|gap| *gap != 0)
        .collect();
    assert_eq!(holes.len(), 1, "{holes:?}");
    assert!((holes[0] - 4_000_000).abs() < 40_000, "{holes:?}");
}

#[test]
fn a_lead_outlives_a_restart_unless_the_clock_was_set_right() {
    const HOUR: i64 = 3_600_000_000;
    let floor = T0 + 20_000_000;
    let begin = |ahead: i64, wall: UtcMicros| {
        let mut line = Timeline::new(Some(floor), Standing::restored(ahead));
        let mut gop = Gop::new(2_000, GapCause::Restart);
        let mut out = Vec::new();
        for i in 0..50 {
            let frame = picture(i * 3_600, wall + i * 40_000, i % 25 == 0);
            out.extend(gop.push(frame).map(|r| line.place(r)).unwrap_or_default());
        }
        out.extend(line.flush());
        out[0].range.from
    };
    // Five seconds without a process.
    let after = floor + 5_000_000;
    assert_eq!(begin(0, after), after);
    assert_eq!(begin(9_000_000, after - 9_000_000), after);
    assert_eq!(begin(HOUR, after - HOUR), after);
    assert_eq!(begin(HOUR, after), after, "set right meanwhile");
    assert_eq!(begin(0, after - HOUR), floor, "set back meanwhile: unknown");
}

/// Frames of 25 a second; `received(i)` is the delay of frame `i` in µs.
fn takes(n: i64, received: impl Fn(i64) -> i64) -> Vec<Take> {
    let params = Arc::new(StreamParams {
        codec: VideoCodec::H264,
        extra_data: Bytes::new(),
        rfc6381: String::new(),
        width: 1,
        height: 1,
        pixel_aspect: None,
        audio: None,
    });
    let mut gop = Gop::new(2_000, GapCause::CameraDown);
    let mut line = Timeline::new(None, Standing::default());
    let mut out = Vec::new();
    for i in 0..n {
        let frame = Arc::new(Frame {
            media: Media::Video,
            pts: i * 3_600,
            received: T0 + i * 40_000 + received(i),
            arrival: crate::video::Arrival::unmoved(T0 + i * 40_000 + received(i)),
            key: i % 25 == 0,
            data: Bytes::from_static(&[0]),
            lost: 0,
            camera_clock: crate::model::CameraClock::default(),
            params: Arc::clone(&params),
        });
        out.extend(gop.push(frame).map(|r| line.place(r)).unwrap_or_default());
    }
    out.extend(gop.flush().map(|r| line.place(r)).unwrap_or_default());
    out.extend(line.flush());
    out
}

#[test]
fn a_burst_at_the_start_is_not_recorded_in_the_future() {
    // Five seconds of buffered pictures at once, then live.
    let out = takes(500, |i| if i < 125 { -i * 40_000 } else { -125 * 40_000 });
    let end = out.last().unwrap().range.to;
    let real = T0 + 500 * 40_000 - 125 * 40_000;
    assert!(
        end.micros_since(real).abs() < 100_000,
        "{end} should be near {real}"
    );
}

#[test]
fn a_step_of_the_clock_is_a_gap_with_its_cause() {
    let out = takes(1_000, |i| if i < 500 { 0 } else { 10_000_000 });
    let steps: Vec<_> = out
        .windows(2)
        .filter(|w| w[0].range.to != w[1].range.from)
        .collect();
    assert_eq!(steps.len(), 1);
    assert_eq!(steps[0][1].before, GapCause::ClockStep);
    let jump = steps[0][1].range.from.micros_since(steps[0][0].range.to);
    assert!((9_900_000..=10_000_000).contains(&jump), "{jump}");
}

#[test]
fn a_clock_set_back_by_ten_seconds_is_caught_up_with_and_told_meanwhile() {
    let out = takes(25 * 1_500, |i| if i < 250 { 0 } else { -10_000_000 });
    assert!(out.windows(2).all(|w| w[0].range.to == w[1].range.from));
    let lead = |t: &Take| t.clock.ahead_us;
    let most = out.iter().map(lead).max().unwrap();
    assert!((9_900_000..=10_000_000).contains(&most), "{most}");
    let last = out.last().unwrap();
    assert!(lead(last) < 1_100_000, "{}", lead(last));
    for t in &out {
        let lasts: i64 = t.samples.iter().map(|s| i64::from(s.duration)).sum();
        let shift = t.range.micros() - micros(lasts);
        assert!(shift.abs() <= 20_000, "half a picture at most: {shift}");
    }
}

#[test]
fn a_clock_set_back_by_hours_moves_nothing_and_is_told_until_it_is_right_again() {
    const BACK: i64 = 8 * 3_600 * 1_000_000;
    let mut line = Timeline::new(None, Standing::default());
    let mut gop = Gop::new(2_000, GapCause::CameraDown);
    let mut out = Vec::new();
    let mut session = |gop: &mut Gop, line: &mut Timeline, real: i64, back: i64| {
        for i in 0..250 {
            let real = T0 + real + i * 40_000;
            let frame = came(i * 3_600, real.micros(), real - back, i % 25 == 0);
            out.extend(gop.push(frame).map(|r| line.place(r)).unwrap_or_default());
        }
        out.extend(gop.flush().map(|r| line.place(r)).unwrap_or_default());
        out.extend(line.flush());
        gop.end_session(GapCause::ClockStep);
    };
    session(&mut gop, &mut line, 0, 0);
    session(&mut gop, &mut line, 11_000_000, BACK);
    session(&mut gop, &mut line, 22_000_000, 0);
    let (first, second, third) = (&out[0], &out[10], &out[20]);
    assert_eq!(
        second.range.from,
        T0 + 11_000_000,
        "a second went by, whatever the clock says"
    );
    assert!((second.clock.ahead_us - BACK).abs() < 1_000);
    assert!(first.clock.ahead_us.abs() < 1_000);
    assert_eq!(third.range.from, T0 + 22_000_000, "by the clock again");
    assert_eq!(third.before, GapCause::ClockStep);
    assert!(third.clock.ahead_us.abs() < 1_000);
    assert!(out.windows(2).all(|w| w[0].range.to <= w[1].range.from));
}

#[test]
fn the_cameras_clock_is_kept_and_moves_nothing() {
    let told = CameraClock::Known {
        offset_us: -3_600_000_000,
        uncertainty_us: 900,
        method: ClockMethod::RtcpSenderReport,
    };
    let run = |clock: CameraClock| {
        let mut gop = Gop::new(2_000, GapCause::CameraDown);
        let mut line = Timeline::new(None, Standing::default());
        let mut out = Vec::new();
        for i in 0..100 {
            let mut frame = picture(i * 3_600, T0 + i * 40_000 + (i % 3) * 5_000, i % 25 == 0);
            Arc::get_mut(&mut frame).unwrap().camera_clock = clock;
            out.extend(gop.push(frame).map(|r| line.place(r)).unwrap_or_default());
        }
        out.extend(line.flush());
        out
    };
    let (with, without) = (run(told), run(CameraClock::default()));
    let ranges = |out: &[Take]| out.iter().map(|t| t.range).collect::<Vec<_>>();
    assert_eq!(ranges(&with), ranges(&without));
    for take in &with {
        let CameraClock::Known { offset_us, .. } = take.clock.camera else {
            panic!("{:?}", take.clock);
        };
        // The jitter of the arrivals is in it, and no more.
        assert!((offset_us + 3_600_000_000).abs() <= 10_001, "{offset_us}");
    }
}

#[test]
fn a_camera_clock_that_runs_fast_is_slewed() {
    // 200 ppm fast: after 10 000 s of frames the receive times are 2 s behind the media time.
    let out = takes(25 * 2_000, |i| -(i * 40_000) * 200 / 1_000_000);
    let last = out.last().unwrap();
    assert!(last.range.to.micros_since(last.received.1).abs() < 200_000);
    assert!(out.windows(2).all(|w| w[0].range.to == w[1].range.from));
}

/// Decode times as `fragment::write` makes them: the last picture of each takes up the difference.
fn decode_times(takes: &[Take]) -> Vec<i64> {
    let started = takes[0].range.from;
    let mut out = Vec::new();
    for t in takes {
        let mut at = ticks(t.range.from.micros_since(started));
        for s in &t.samples {
            out.push(at);
            at += i64::from(s.duration);
        }
    }
    out
}

proptest! {
    /// Whatever is done to the clock and the sessions: recordings and gaps are as long as the time that went by, to one
    /// picture an event and the hundredth by which a lead is made good.
    #[test]
    fn nothing_missing_is_without_a_gap(
        events in prop::collection::vec((0u8..4, 5i64..200, 1_600_000i64..9_000_000, -30_000_000i64..10_000_000), 1..14),
    ) {
        let mut w = World::new();
        let mut forward = 0;
        for (what, pictures, pause, step) in events {
            w.play(pictures);
            match what {
                0 => w.wait(pause),
                1 => {
                    w.end_session();
                    w.wait(pause - 1_600_000);
                }
                2 => {
                    w.off += step;
                    forward += step.max(0);
                }
                _ => {
                    w.end_session();
                    w.off += step;
                    forward += step.max(0);
                    w.wait(pause);
                }
            }
        }
        w.play(60);
        w.end_session();
        let mut longer = 0;
        for pair in w.out.windows(2) {
            prop_assert!(pair[0].range.to <= pair[1].range.from, "{:?} {:?}", pair[0].range, pair[1].range);
        }
        for (off, gone) in w.off_real() {
            prop_assert!(off >= -(gone / 100 + 41_000), "{off} in {gone}: missing without a gap");
            longer += off;
        }
        let slack = 41_000 * i64::try_from(w.out.len()).unwrap() + w.real / 100;
        prop_assert!(longer <= forward + slack, "{longer}, the clock was set forward by {forward}");
        let dts = decode_times(&w.out);
        prop_assert!(dts.windows(2).all(|p| p[0] < p[1]));
    }

    /// Two key frames that a camera sends a tick apart end fragments that still have a length.
    #[test]
    fn decode_times_grow_however_near_pictures_are(
        steps in prop::collection::vec(prop_oneof![0i64..6, 3_000i64..50_000], 10..300),
        early in 0i64..20_000_000,
    ) {
        let mut line = Timeline::new(None, Standing::default());
        let mut gop = Gop::new(2_000, GapCause::CameraDown);
        let (mut pts, mut out) = (0, Vec::new());
        for (i, step) in steps.iter().enumerate() {
            let back = if i > 20 { early } else { 0 };
            let real = T0 + micros(pts);
            let frame = came(pts, real.micros(), real - back, i % 7 == 0);
            out.extend(gop.push(frame).map(|r| line.place(r)).unwrap_or_default());
            pts += step;
        }
        out.extend(gop.flush().map(|r| line.place(r)).unwrap_or_default());
        out.extend(line.flush());
        let dts = decode_times(&out);
        prop_assert!(dts.windows(2).all(|p| p[0] < p[1]), "{dts:?}");
    }

    #[test]
    fn jitter_makes_neither_holes_nor_overlaps(delays in prop::collection::vec(0i64..900_000, 300)) {
        let out = takes(300, |i| delays[usize::try_from(i).unwrap()]);
        for w in out.windows(2) {
            prop_assert_eq!(w[0].range.to, w[1].range.from);
        }
        prop_assert_eq!(out.iter().map(|t| t.samples.len()).sum::<usize>(), 300);
    }
}
