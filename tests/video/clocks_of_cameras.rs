//! The camera's clock is told and never believed; its RTP clock may wrap, jump and lie.

use std::time::Duration;

use tokio::time::sleep;
use zhenbei::model::{
    Camera, CameraClock, CameraPolicies, ClockUnknown, FaultKind, SystemClock, TimestampJumpPolicy,
    Transport, UtcMicros,
};

use crate::fakes::{Bench, camera, main_of};
use crate::rig::{PATIENCE, brisk, cursor, frames, pictures, watch_any, watch_one};
use crate::scripted::{IDR, SLICE, Script, ScriptedCamera, Wire};

const H264: &str = include_str!("../fixtures/rtsp/plain_h264.sdp");
const S: i64 = 1_000_000;

fn now() -> UtcMicros {
    zhenbei::model::Clock::now(&SystemClock)
}

/// RFC 5905 §6.
fn ntp(t: UtcMicros) -> u64 {
    let seconds = u64::try_from(t.micros().div_euclid(S) + 2_208_988_800).unwrap();
    let fraction = (u64::try_from(t.micros().rem_euclid(S)).unwrap() << 32) / 1_000_000;
    (seconds & 0xffff_ffff) << 32 | fraction
}

/// Pictures from RTP time `zero` on, and a report each half second that says what `told` says at that moment.
fn reporting(
    zero: u32,
    told: impl Fn(u32) -> Option<(u64, u32)> + Clone + Send + Sync + 'static,
) -> impl Fn(Wire) -> futures_util::future::BoxFuture<'static, ()> + Send + Sync + 'static {
    move |mut wire: Wire| {
        let told = told.clone();
        Box::pin(async move {
            for n in 0..1_000u32 {
                let rtp = zero.wrapping_add(n * 3_600);
                let nal = if n % 10 == 0 { IDR } else { SLICE };
                wire.video(rtp, nal).await;
                if n % 12 == 5
                    && let Some((ntp, rtp)) = told(rtp)
                {
                    wire.report(ntp, rtp).await;
                }
                sleep(Duration::from_millis(40)).await;
            }
        })
    }
}

async fn clock_of(bench: &Bench, enough: impl Fn(CameraClock) -> bool) -> CameraClock {
    let clock = |b: &Bench| b.video.status(&main_of("a")).and_then(|s| s.camera_clock);
    bench
        .until("the clock is told", PATIENCE, |b| {
            clock(b).is_some_and(&enough)
        })
        .await;
    clock(bench).unwrap()
}

/// Over both back-ends.
fn ways(url: &str) -> [Camera; 2] {
    [Transport::Tcp, Transport::Udp].map(|transport| Camera {
        transport,
        ..camera("a", url)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_hours_behind_is_told_and_moves_nothing() {
    let behind = |rtp| Some((ntp(now() - 8 * 3_600 * S), rtp));
    for (udp, way) in [false, true].into_iter().enumerate() {
        // Wraps a second after the start.
        let script = Script {
            udp: way,
            ..Script::new(H264, reporting(u32::MAX - 90_000, behind))
        };
        let server = ScriptedCamera::start(script).await;
        let (bench, media) = watch_any(brisk(), vec![ways(&server.url())[udp].clone()]);
        let mut cursor = cursor(&bench).await;
        let (got, end) = frames(&mut cursor, |f| pictures(f).len() >= 50).await;
        assert!(end.is_none(), "{end:?}");
        assert!(
            got.windows(2).all(|p| p[1].pts - p[0].pts == 3_600),
            "over the wrap"
        );
        let last = got.last().unwrap();
        assert!(
            now().micros_since(last.received).abs() < 20 * S,
            "by the server's clock"
        );
        let CameraClock::Known {
            offset_us,
            uncertainty_us,
            ..
        } = last.camera_clock
        else {
            panic!("{:?}", last.camera_clock);
        };
        assert!((offset_us + 8 * 3_600 * S).abs() < S, "{offset_us}");
        assert!(uncertainty_us < 500_000, "{uncertainty_us}");
        bench.stop().await;
        media.stop().await;
    }
}

#[tokio::test]
async fn a_camera_without_reports_is_unknown_and_says_why() {
    let server = ScriptedCamera::start(Script::new(H264, reporting(0, |_| None))).await;
    let bench = watch_one(&server.url());
    let mut cursor = cursor(&bench).await;
    let (got, _) = frames(&mut cursor, |f| f.len() >= 30).await;
    let unknown = CameraClock::Unknown(ClockUnknown::NoReport);
    assert!(got.iter().all(|f| f.camera_clock == unknown));
    bench.stop().await;
}

#[tokio::test]
async fn reports_without_a_time_of_day_and_reports_that_contradict_say_so() {
    let uptime = |rtp| Some((77 << 32, rtp));
    let server = ScriptedCamera::start(Script::new(H264, reporting(0, uptime))).await;
    let bench = watch_one(&server.url());
    let why = CameraClock::Unknown(ClockUnknown::NotTimeOfDay);
    clock_of(&bench, |c| c == why).await;
    bench.stop().await;

    let elsewhere = |rtp: u32| Some((ntp(now()), rtp.wrapping_add(2_000_000_000)));
    let server = ScriptedCamera::start(Script::new(H264, reporting(0, elsewhere))).await;
    let bench = watch_one(&server.url());
    let why = CameraClock::Unknown(ClockUnknown::Contradictory);
    clock_of(&bench, |c| c == why).await;
    bench.stop().await;
}

async fn leaps(mut wire: Wire) {
    wire.pictures(0, 20).await;
    wire.pictures(2_000 * 90_000, 500).await;
}

#[tokio::test]
async fn a_camera_that_may_jump_goes_on_in_the_same_session() {
    let server = ScriptedCamera::start(Script::new(H264, leaps)).await;
    let jumpy = Camera {
        policies: CameraPolicies {
            timestamp_jump: TimestampJumpPolicy::Rebase,
            ..CameraPolicies::default()
        },
        ..camera("a", &server.url())
    };
    let bench = crate::rig::watch(vec![jumpy]);
    let mut cursor = cursor(&bench).await;
    let (got, end) = frames(&mut cursor, |f| f.len() >= 60).await;
    assert!(end.is_none(), "{end:?}");
    let step = got[20].pts - got[19].pts;
    assert!(
        (1..90_000).contains(&step),
        "by the time of arrival: {step}"
    );
    assert!(got[20..].windows(2).all(|p| p[1].pts - p[0].pts == 3_600));
    assert_eq!(server.times_asked("PLAY"), 1);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_other_camera_begins_a_new_session_also_by_the_worker() {
    let script = Script {
        udp: true,
        ..Script::new(H264, leaps)
    };
    let server = ScriptedCamera::start(script).await;
    let (bench, media) = watch_any(brisk(), vec![ways(&server.url())[1].clone()]);
    let mut cursor = cursor(&bench).await;
    let (got, end) = frames(&mut cursor, |_| false).await;
    assert_eq!(end.unwrap().fault, Some(FaultKind::Protocol));
    assert!(
        got.iter().all(|f| f.pts < 180_000),
        "no absurd time gets into the ring"
    );
    bench.stop().await;
    media.stop().await;
}
