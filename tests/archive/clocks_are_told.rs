//! The server's clock drives; the camera's lies beside it, and a server's clock that was set back is told of.

use std::sync::Arc;

use zhenbei::model::{CameraClock, ClockMethod, ClockUnknown, FaultKind, GapCause};
use zhenbei::video::{Arrival, Frame, Media};

use crate::footage;
use crate::house::{House, SECOND, T0, at, key, probe, range, tiles};

fn frame(f: &footage::Footage, i: usize, received: zhenbei::model::UtcMicros) -> Frame {
    let (pts, is_key, data) = &f.video[i];
    Frame {
        media: Media::Video,
        pts: *pts,
        received,
        arrival: Arrival::unmoved(received),
        key: *is_key,
        data: data.clone(),
        lost: 0,
        camera_clock: CameraClock::default(),
        params: Arc::clone(&f.params),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_eight_hours_behind_is_in_files_and_index_and_after_a_restart() {
    let f = footage::h264(8);
    let mut house = House::new().await;
    for i in 0..f.video.len() {
        let received = T0 + i64::try_from(i).unwrap() * 40_000;
        house.clock.set(received);
        // The first reports come after two seconds.
        let camera_clock = if i < 50 {
            CameraClock::default()
        } else {
            CameraClock::Known {
                offset_us: -8 * 3_600 * SECOND,
                uncertainty_us: 700,
                method: ClockMethod::RtcpSenderReport,
            }
        };
        house.push(Frame {
            camera_clock,
            ..frame(&f, i, received)
        });
    }
    house.stop().await;
    let asked = range(0.0, 8.0);
    let begin = house.archive.clock_before(&key(), at(0.5)).await.unwrap();
    assert_eq!(begin.camera, CameraClock::Unknown(ClockUnknown::NoReport));
    let told = |c: CameraClock| match c {
        CameraClock::Known {
            offset_us,
            uncertainty_us,
            ..
        } => (offset_us, uncertainty_us),
        CameraClock::Unknown(why) => panic!("{why:?}"),
    };
    let clock = house.archive.clock_over(&key(), asked).await.unwrap();
    let (offset, uncertainty) = told(clock.camera);
    assert!((offset + 8 * 3_600 * SECOND).abs() < 1_000, "{offset}");
    assert!((700..3_000).contains(&uncertainty), "{uncertainty}");
    assert!(clock.ahead_us.abs() < 1_000);
    let c = house.archive.coverage(&key(), asked).await.unwrap();
    assert_eq!(
        tiles(&c, asked),
        8 * SECOND,
        "the camera's clock moves nothing"
    );
    // The files alone tell it again.
    let rows = house.db.archive_between(&key(), asked).await.unwrap();
    let house = house.again(None, at(9.0)).await;
    assert_eq!(house.db.archive_between(&key(), asked).await.unwrap(), rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_clock_set_back_by_hours_overlaps_nothing_and_is_told() {
    const BACK: i64 = 8 * 3_600 * SECOND;
    let f = footage::h264(6);
    let mut house = House::new().await;
    house.play(&f, 0.0, 6.0, T0);
    // What a session does when the clock is set back by more than a minute.
    house.end(at(6.0), Some(FaultKind::ClockStep));
    let begin = at(7.0) - BACK;
    house.clock.set(begin);
    for i in 0..f.video.len() {
        // A second went by between the sessions, whatever the clock says.
        let late = i64::try_from(i).unwrap() * 40_000;
        let arrival = Arrival {
            wall: begin + late,
            ..Arrival::unmoved(at(7.0) + late)
        };
        house.push(Frame {
            arrival,
            ..frame(&f, i, begin + late)
        });
    }
    house.stop().await;
    let asked = range(0.0, 13.0);
    let c = house.archive.coverage(&key(), asked).await.unwrap();
    assert_eq!(tiles(&c, asked), 12 * SECOND, "{c:?}");
    assert_eq!(c.gaps, [(range(6.0, 7.0), GapCause::ClockStep)]);
    let clock = house.archive.clock_over(&key(), asked).await.unwrap();
    assert!((clock.ahead_us - BACK).abs() < 1_000, "{clock:?}");
    let before = house.archive.clock_before(&key(), at(5.0)).await.unwrap();
    assert!(before.ahead_us.abs() < 100_000);
    assert_eq!(probe(&house.bytes(asked).await).frames, 300);
    // The lead outlives a restart while the clock stands behind what is recorded.
    let mut house = house.again(None, at(15.0) - BACK).await;
    let open = range(13.0, 15.0);
    let c = house.archive.coverage(&key(), open).await.unwrap();
    assert_eq!(c.gaps, [(open, GapCause::Restart)]);
    house.play(&f, 0.0, 6.0, at(16.0) - BACK);
    house.stop().await;
    let asked = range(0.0, 22.0);
    let c = house.archive.coverage(&key(), asked).await.unwrap();
    assert_eq!(tiles(&c, asked), 18 * SECOND, "{c:?}");
    assert_eq!(c.gaps.last(), Some(&(range(13.0, 16.0), GapCause::Restart)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_clock_set_ahead_is_a_gap_with_that_cause() {
    let f = footage::h264(24);
    let mut house = House::new().await;
    house.play_late(&f, 0.0, 24.0, T0, |i| {
        if i < 150 { 0 } else { 8 * 3_600 * SECOND }
    });
    house.stop().await;
    let asked = range(0.0, 8.0 * 3_600.0 + 24.0);
    let c = house.archive.coverage(&key(), asked).await.unwrap();
    let recorded = tiles(&c, asked);
    assert!((recorded - 24 * SECOND).abs() < 100_000, "{recorded}");
    let step: i64 = c
        .gaps
        .iter()
        .filter(|g| g.1 == GapCause::ClockStep)
        .map(|g| g.0.micros())
        .sum();
    assert!((step - 8 * 3_600 * SECOND).abs() < SECOND, "{:?}", c.gaps);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_rate_that_varies_is_kept_as_it_was() {
    let f = footage::h264(8);
    let mut house = House::new().await;
    // 25 a second by day, then 5, then 25: pictures keep the time they were shown at.
    let mut pts = 0;
    let mut shown = Vec::new();
    for i in 0..f.video.len() {
        shown.push(pts);
        let received = T0 + pts * 100 / 9;
        house.clock.set(received);
        house.push(Frame {
            pts,
            ..frame(&f, i, received)
        });
        pts += if (75..125).contains(&i) {
            18_000
        } else {
            3_600
        };
    }
    house.stop().await;
    let seconds = pts as f64 / 90_000.0;
    let asked = range(0.0, seconds);
    let c = house.archive.coverage(&key(), asked).await.unwrap();
    assert!(tiles(&c, asked) >= asked.micros() - 200_000, "{c:?}");
    let bytes = house.bytes(asked).await;
    let p = probe(&bytes);
    assert_eq!(p.frames, 200);
    assert!(
        (p.duration - seconds).abs() < 0.25,
        "{} of {seconds}",
        p.duration
    );
    let mp4 = re_mp4::Mp4::read_bytes(&bytes).unwrap();
    let track = mp4.tracks().values().next().unwrap();
    for (sample, want) in track.samples.iter().zip(&shown) {
        let got = sample.decode_timestamp * 90_000 / i64::try_from(track.timescale).unwrap();
        assert!((got - want).abs() <= 900, "{got} instead of {want}");
    }
}
