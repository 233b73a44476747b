//! A wrong password is tried once and waits for a person: more tries lock the account.

use std::time::Duration;

use tokio::time::sleep;
use zhenbei::model::{FaultKind, Secret, StreamState};

use crate::fakes::{Bench, camera, main_of};

const S: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test(start_paused = true)]
async fn until_the_configuration_changes() {
    let (bench, site) = Bench::fakes(vec![]);
    *site.password.lock().unwrap() = Some("right".into());
    bench.want(vec![camera("a", "rtsp://admin:wrong@h1/ok")]);
    sleep(DAY).await;
    assert_eq!(site.attempts_of("a"), 1);
    assert_eq!(bench.state("a"), Some(StreamState::Faulted));
    let reason = bench.video.status(&main_of("a")).unwrap().reason.unwrap();
    assert_eq!(
        (reason.kind, reason.retry_at),
        (FaultKind::Unauthorized, None)
    );

    // The same list once more is no change.
    bench.want(vec![camera("a", "rtsp://admin:wrong@h1/ok")]);
    sleep(DAY).await;
    assert_eq!(site.attempts_of("a"), 1);

    bench.want(vec![camera("a", "rtsp://admin:right@h1/ok")]);
    bench
        .until("plays", 5 * S, |b| {
            b.state("a") == Some(StreamState::Streaming)
        })
        .await;
    assert_eq!(site.attempts_of("a"), 2);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn for_all_channels_of_a_recorder_and_until_a_person_asks() {
    let (bench, site) = Bench::fakes(vec![]);
    *site.password.lock().unwrap() = Some("right".into());
    let channels = |n: usize| {
        let mut c = camera(&format!("ch{n}"), "rtsp://admin:old@recorder/ok");
        c.sub = Some(Secret::new("rtsp://admin:old@recorder/ok?sub"));
        c
    };
    bench.want((0..16).map(channels).collect());
    sleep(DAY).await;
    assert_eq!(
        site.attempts.lock().unwrap().len(),
        1,
        "32 streams, one try"
    );
    assert_eq!(bench.count(StreamState::Faulted), 32);

    // Still wrong: one more try, for the one who asked.
    assert!(bench.video.retry(&main_of("ch3")));
    sleep(DAY).await;
    assert_eq!(site.attempts.lock().unwrap().len(), 2);

    // The person has set the old password at the recorder: one success frees all others.
    *site.password.lock().unwrap() = Some("old".into());
    assert!(bench.video.retry(&main_of("ch3")));
    bench
        .until("all play", 10 * S, |b| {
            b.count(StreamState::Streaming) == 32
        })
        .await;
    assert_eq!(site.attempts.lock().unwrap().len(), 3 + 31);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn also_when_it_is_changed_at_the_recorder() {
    let (bench, site) = Bench::fakes(vec![]);
    *site.password.lock().unwrap() = Some("old".into());
    bench.want(
        (0..16)
            .map(|n| camera(&format!("ch{n}"), "rtsp://admin:old@recorder/ok"))
            .collect(),
    );
    bench
        .until("all play", 10 * S, |b| {
            b.count(StreamState::Streaming) == 16
        })
        .await;
    *site.password.lock().unwrap() = Some("new".into());
    site.power_cut
        .store(true, std::sync::atomic::Ordering::SeqCst);
    bench
        .until("all wait", S, |b| b.count(StreamState::Backoff) == 16)
        .await;
    site.power_cut
        .store(false, std::sync::atomic::Ordering::SeqCst);
    let before = site.attempts.lock().unwrap().len();
    // All at the same moment, so that most of them queue for the host.
    for n in 0..16 {
        bench.video.retry(&main_of(&format!("ch{n}")));
    }
    sleep(DAY).await;
    let tries = site.attempts.lock().unwrap().len() - before;
    assert!(
        tries <= 5,
        "{tries} tries with a password that is not right any more"
    );
    assert_eq!(bench.count(StreamState::Faulted), 16);
    bench.stop().await;
}
