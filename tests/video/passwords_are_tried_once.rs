//! A wrong password is tried once and waits for a person: more tries lock the account.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::sleep;
use zhenbei::model::{FaultKind, Secret, StreamState};

use crate::fakes::{Bench, Site, camera, main_of};

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
    site.power_cut.store(true, Ordering::SeqCst);
    bench
        .until("all wait", S, |b| b.count(StreamState::Backoff) == 16)
        .await;
    site.power_cut.store(false, Ordering::SeqCst);
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

/// Plays, loses its connection, and is refused `times` times when it comes back.
async fn refused_when_it_comes_back(bench: &Bench, site: &Site, times: usize) {
    bench
        .until("plays", 5 * S, |b| {
            b.state("a") == Some(StreamState::Streaming)
        })
        .await;
    site.power_cut.store(true, Ordering::SeqCst);
    bench
        .until("waits", S, |b| b.state("a") == Some(StreamState::Backoff))
        .await;
    site.stray_refusals.store(times, Ordering::SeqCst);
    site.power_cut.store(false, Ordering::SeqCst);
}

#[tokio::test(start_paused = true)]
async fn and_once_more_when_it_was_right_before() {
    for address in ["rtsp://admin:right@h1/ok", "rtsp://h1/ok"] {
        let (bench, site) = Bench::fakes(vec![camera("a", address)]);
        refused_when_it_comes_back(&bench, &site, 1).await;
        bench
            .until("it is said", 60 * S, |b| {
                b.fault("a") == Some(FaultKind::Unauthorized)
            })
            .await;
        assert_eq!(bench.state("a"), Some(StreamState::Backoff), "{address}");
        let reason = bench.video.status(&main_of("a")).unwrap().reason.unwrap();
        assert!(reason.retry_at.is_some() && reason.message.contains("tried once more"));
        bench
            .until("plays again, and no person was asked", 60 * S, |b| {
                b.state("a") == Some(StreamState::Streaming)
            })
            .await;
        // What was forgiven once is forgiven again: it has played since.
        refused_when_it_comes_back(&bench, &site, 1).await;
        bench
            .until("plays again", 60 * S, |b| {
                b.state("a") == Some(StreamState::Streaming)
            })
            .await;
        bench.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn and_no_third_time() {
    for address in ["rtsp://admin:right@h1/ok", "rtsp://h1/ok"] {
        let (bench, site) = Bench::fakes(vec![camera("a", address)]);
        refused_when_it_comes_back(&bench, &site, usize::MAX).await;
        let before = site.attempts_of("a");
        sleep(DAY).await;
        assert_eq!(site.attempts_of("a") - before, 2, "{address}");
        assert_eq!(bench.state("a"), Some(StreamState::Faulted));
        site.stray_refusals.store(0, Ordering::SeqCst);
        assert!(bench.video.retry(&main_of("a")));
        bench
            .until("plays", 5 * S, |b| {
                b.state("a") == Some(StreamState::Streaming)
            })
            .await;
        bench.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn while_a_channel_that_is_not_for_this_user_takes_no_other_with_it() {
    let (bench, site) = Bench::fakes(
        (0..8)
            .map(|n| camera(&format!("ch{n}"), "rtsp://admin:right@recorder/ok"))
            .collect(),
    );
    bench
        .until("all play", 10 * S, |b| b.count(StreamState::Streaming) == 8)
        .await;
    let mut wanted = bench.wanted.borrow().to_vec();
    wanted.push(camera("vault", "rtsp://admin:right@recorder/forbidden"));
    bench.want(wanted);
    sleep(60 * S).await;
    assert_eq!(bench.state("vault"), Some(StreamState::Faulted));
    assert_eq!(site.attempts_of("vault"), 1, "403 is not tried again");
    // The others come back after an interruption as if nothing had been.
    site.power_cut.store(true, Ordering::SeqCst);
    sleep(S).await;
    site.power_cut.store(false, Ordering::SeqCst);
    bench
        .until("the others play", 60 * S, |b| {
            b.count(StreamState::Streaming) == 8
        })
        .await;
    bench.stop().await;
}
