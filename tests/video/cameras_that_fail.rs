//! Accidents with real servers and with things that are no cameras: each says what happened and what to do.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use zhenbei::model::{FaultKind, StreamState};
use zhenbei::video::{Media, Read};

use crate::fakes::main_of;
use crate::rig::{
    PATIENCE, brisk, cursor, fault, fault_of, frames, pictures, streaming, watch_one, watch_with,
};
use crate::support::rtsp::{Audio, Codec, FakeCamera, Spec};
use crate::support::servers::free_port;

#[tokio::test(flavor = "multi_thread")]
async fn the_picture_stops_while_sound_and_connection_go_on() {
    let server = FakeCamera::start(Spec {
        audio: Some(Audio::Pcmu),
        ..Spec::default()
    });
    let bench = watch_one(&server.url());
    let mut cursor = cursor(&bench).await;
    streaming(&bench).await;
    frames(&mut cursor, |f| pictures(f).len() >= 5).await;
    server.freeze_picture();
    let (after, end) = frames(&mut cursor, |_| false).await;
    assert_eq!(end.unwrap().fault, Some(FaultKind::PictureStopped));
    let last_picture = after
        .iter()
        .rposition(|f| f.media == Media::Video)
        .map_or(0, |n| n + 1);
    // 1024 samples of 8 kHz in a packet: fifteen in the two seconds of the watchdog.
    assert!(
        after.len() - last_picture > 8,
        "sound went on: {} of {}",
        last_picture,
        after.len()
    );
    // The next session has pictures again.
    let (again, _) = frames(&mut cursor, |f| pictures(f).len() >= 5).await;
    assert!(again[0].key);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_goes_away_and_comes_back() {
    let mut server = FakeCamera::start(Spec::default());
    let bench = watch_one(&server.url());
    let mut cursor = cursor(&bench).await;
    streaming(&bench).await;
    server.stop();
    let (_, end) = frames(&mut cursor, |_| false).await;
    assert_eq!(end.unwrap().fault, Some(FaultKind::Closed));
    bench
        .until("is known to be down", PATIENCE, |b| {
            b.fault("a") == Some(FaultKind::Unreachable)
        })
        .await;
    let message = bench
        .video
        .status(&main_of("a"))
        .unwrap()
        .reason
        .unwrap()
        .message;
    assert!(message.contains("check power and network"), "{message}");
    assert!(
        message.contains(&format!("127.0.0.1:{}", server.port())),
        "{message}"
    );
    server.restart();
    let took = bench
        .until("plays again", PATIENCE, |b| {
            b.state("a") == Some(StreamState::Streaming)
        })
        .await;
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert_eq!(bench.video.status(&main_of("a")).unwrap().reconnects, 1);
    let back = loop {
        match cursor.next().await.unwrap() {
            Read::Frame(f) => break f,
            Read::End(_) | Read::Skipped { .. } => {}
        }
    };
    assert!(back.key);
    assert!(
        back.pts < 90_000,
        "another session, another media time: {}",
        back.pts
    );
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_refused_once_and_not_shown() {
    let auth = Some(("admin".to_owned(), "right".to_owned()));
    let server = FakeCamera::start(Spec {
        auth,
        ..Spec::default()
    });
    let bench = watch_one(&format!(
        "rtsp://admin:hunter2@127.0.0.1:{}/main",
        server.port()
    ));
    let reason = fault_of(&bench, FaultKind::Unauthorized).await;
    assert!(
        reason.message.contains("Not tried on"),
        "{}",
        reason.message
    );
    assert!(!reason.message.contains("hunter2"));
    assert_eq!(reason.retry_at, None);
    assert_eq!(bench.state("a"), Some(StreamState::Faulted));
    bench.want(vec![crate::fakes::camera("a", &server.url())]);
    streaming(&bench).await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_missing_is_asked_for() {
    let auth = Some(("admin".to_owned(), "right".to_owned()));
    let server = FakeCamera::start(Spec {
        auth,
        ..Spec::default()
    });
    let bench = watch_one(&format!("rtsp://127.0.0.1:{}/main", server.port()));
    let reason = fault_of(&bench, FaultKind::Unauthorized).await;
    assert!(
        reason.message.contains("rtsp://user:password@"),
        "{}",
        reason.message
    );
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_codec_that_is_not_kept_waits_for_a_person() {
    let server = FakeCamera::start(Spec {
        codec: Codec::Jpeg,
        ..Spec::default()
    });
    let bench = watch_one(&server.url());
    let reason = fault_of(&bench, FaultKind::UnsupportedCodec).await;
    assert!(reason.message.contains("video/jpeg"), "{}", reason.message);
    assert_eq!(bench.state("a"), Some(StreamState::Faulted));
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_path_is_named_and_tried_again() {
    let server = FakeCamera::start(Spec::default());
    let bench = watch_one(&server.url_of("nowhere"));
    let reason = fault_of(&bench, FaultKind::Protocol).await;
    assert!(
        reason.message.contains("404") && reason.message.contains("check the path"),
        "{}",
        reason.message
    );
    bench
        .until("waits", PATIENCE, |b| {
            b.state("a") == Some(StreamState::Backoff)
        })
        .await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_listens() {
    let bench = watch_one(&format!("rtsp://127.0.0.1:{}/main", free_port()));
    let reason = fault_of(&bench, FaultKind::Unreachable).await;
    assert!(
        reason.message.contains("check power and network"),
        "{}",
        reason.message
    );
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_name_that_does_not_exist() {
    let bench = watch_one("rtsp://no-such-camera.invalid/main");
    fault_of(&bench, FaultKind::Unreachable).await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_cannot_be_used() {
    let bench = watch_one("https://admin:hunter2@camera/main");
    let reason = fault_of(&bench, FaultKind::Protocol).await;
    assert!(
        reason.message.contains("only rtsp://"),
        "{}",
        reason.message
    );
    assert!(!reason.message.contains("hunter2"));
    bench.stop().await;
}

/// A server that reads what is asked and answers as it was told.
async fn server_that_says(answer: &'static [u8], then_close: bool) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut clients = JoinSet::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            clients.spawn(async move {
                let mut asked = [0; 2048];
                if socket.read(&mut asked).await.is_ok_and(|n| n > 0) {
                    socket.write_all(answer).await.ok();
                    if !then_close {
                        std::future::pending::<()>().await;
                    }
                }
            });
        }
    });
    (addr, tasks)
}

async fn fault_of_server(answer: &'static [u8], then_close: bool) -> (FaultKind, String) {
    let (addr, _server) = server_that_says(answer, then_close).await;
    let config = zhenbei::config::VideoConfig {
        answer_timeout_ms: 500,
        ..brisk()
    };
    let bench = watch_with(
        config,
        vec![crate::fakes::camera("a", &format!("rtsp://{addr}/main"))],
    );
    let reason = fault(&bench).await;
    assert!(bench.stop().await < Duration::from_secs(3));
    assert!(
        reason.message.contains(&addr.to_string()),
        "names the host: {}",
        reason.message
    );
    (reason.kind, reason.message)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_server() {
    let answer = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<html></html>";
    let (kind, message) = fault_of_server(answer, true).await;
    assert_eq!(kind, FaultKind::Protocol, "{message}");
    assert!(message.contains("is not RTSP"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage() {
    let (kind, message) = fault_of_server(
        &[
            0xde, 0xad, 0xbe, 0xef, 0, 1, 2, 3, b'\r', b'\n', b'\r', b'\n',
        ],
        false,
    )
    .await;
    assert_eq!(kind, FaultKind::Protocol, "{message}");
    assert!(message.contains("check host and port"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_closes_at_once() {
    let (kind, message) = fault_of_server(b"", true).await;
    assert_eq!(kind, FaultKind::Closed, "{message}");
    assert!(message.contains("RTSP port"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_says_nothing() {
    let (kind, message) = fault_of_server(b"", false).await;
    assert_eq!(kind, FaultKind::TimedOut, "{message}");
    assert!(message.contains("does not answer RTSP"), "{message}");
}
