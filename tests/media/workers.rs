//! Worker processes die, hang, fall idle and are never left behind.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use zhenbei::config::MediaConfig;
use zhenbei::media::Media;
use zhenbei::model::{ErrorKind, VideoCodec};

use crate::clips::plain;
use crate::{is_running, media, program, signal, until};

#[tokio::test]
async fn a_killed_worker_costs_one_still() {
    let media = media(|_| {});
    let clip = plain(VideoCodec::H264, "3060c0", "640x360");
    media
        .still(&clip.params, clip.first_key(), None)
        .await
        .unwrap();
    let (_, pid) = media.workers()[0];

    // Stopped first, so that the kill comes in the middle of the job and not between two.
    signal(pid, Signal::STOP);
    let still = media.still(&clip.params, clip.first_key(), None);
    let kill = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        signal(pid, Signal::KILL);
    };
    let (result, ()) = tokio::join!(still, kill);
    let error = result.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Unavailable, "worker_died")
    );
    assert!(error.detail().contains("signal 9"), "{error}");

    media
        .still(&clip.params, clip.first_key(), None)
        .await
        .expect("a new worker");
    assert_ne!(media.workers()[0].1, pid);
    media.stop().await;
}

#[tokio::test]
async fn a_worker_that_hangs_is_ended_in_time() {
    let media = media(|c| c.still_timeout_ms = 400);
    let clip = plain(VideoCodec::H264, "3060c0", "640x360");
    media
        .still(&clip.params, clip.first_key(), None)
        .await
        .unwrap();
    let (_, pid) = media.workers()[0];
    signal(pid, Signal::STOP);
    let begun = std::time::Instant::now();
    let error = media
        .still(&clip.params, clip.first_key(), None)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Unavailable, "still_timeout")
    );
    assert!(error.detail().contains("400 ms"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(2));
    until("the end of the hung worker", || !is_running(pid)).await;
    media
        .still(&clip.params, clip.first_key(), None)
        .await
        .expect("a new worker");
    media.stop().await;
}

#[tokio::test]
async fn a_hundred_stills_need_two_workers_and_leave_none() {
    let media = media(|_| {});
    let clip = plain(VideoCodec::H264, "3060c0", "320x240");
    let mut pids = std::collections::BTreeSet::new();
    for _ in 0..10 {
        let ten = (0..10).map(|_| media.still(&clip.params, clip.first_key(), Some(160)));
        for still in futures_util::future::join_all(ten).await {
            still.unwrap();
        }
        pids.extend(media.workers().into_iter().map(|(_, pid)| pid));
    }
    assert!(pids.len() <= 2, "{pids:?}");
    media.stop().await;
    assert!(media.workers().is_empty());
    for pid in pids {
        assert!(!is_running(pid), "worker {pid} outlived the room");
    }
}

#[tokio::test]
async fn more_callers_than_places_are_told_so() {
    let media = media(|_| {});
    let clip = plain(VideoCodec::H264, "3060c0", "640x360");
    let all = (0..80).map(|_| media.still(&clip.params, clip.first_key(), None));
    let results = futures_util::future::join_all(all).await;
    let refused: Vec<_> = results.iter().filter_map(|r| r.as_ref().err()).collect();
    assert!(results.iter().any(Result::is_ok));
    assert!(!refused.is_empty());
    for error in refused {
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::TooMuch, "still_queue_full")
        );
    }
    media.stop().await;
}

#[tokio::test]
async fn a_worker_that_nobody_needs_ends() {
    let idle = Duration::from_millis(200);
    let media = Media::start_with_idle(&MediaConfig::default(), program(), idle).unwrap();
    let clip = plain(VideoCodec::H264, "3060c0", "320x240");
    media
        .still(&clip.params, clip.first_key(), None)
        .await
        .unwrap();
    let (_, pid) = media.workers()[0];
    until("the end of the idle worker", || {
        media.workers().is_empty() && !is_running(pid)
    })
    .await;
    media
        .still(&clip.params, clip.first_key(), None)
        .await
        .expect("started again when needed");
    media.stop().await;
}

#[tokio::test]
async fn a_caller_who_walks_away_does_not_cost_a_worker() {
    let media = media(|_| {});
    let clip = plain(VideoCodec::H264, "3060c0", "640x360");
    media
        .still(&clip.params, clip.first_key(), None)
        .await
        .unwrap();
    let before = media.workers();
    let gone = media.still(&clip.params, clip.first_key(), None);
    assert!(
        tokio::time::timeout(Duration::from_micros(1), gone)
            .await
            .is_err()
    );
    media
        .still(&clip.params, clip.first_key(), None)
        .await
        .unwrap();
    assert!(before.iter().all(|w| media.workers().contains(w)));
    media.stop().await;
}

#[tokio::test]
async fn a_missing_executable_is_said() {
    let config = MediaConfig::default();
    let media = Media::start(&config, "/nonexistent/zhenbei".into()).unwrap();
    let clip = plain(VideoCodec::H264, "3060c0", "320x240");
    let error = media
        .still(&clip.params, clip.first_key(), None)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Unavailable, "worker_start")
    );
    media.stop().await;
}

#[tokio::test]
async fn workers_have_limits_and_not_the_environment() {
    let media = media(|_| {});
    let clip = plain(VideoCodec::H264, "3060c0", "320x240");
    media
        .still(&clip.params, clip.first_key(), None)
        .await
        .unwrap();
    let (role, pid) = media.workers()[0];
    assert_eq!(role, "still");
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let limit = |name: &str| {
        let line = limits.lines().find(|l| l.starts_with(name)).unwrap();
        line.strip_prefix(name)
            .unwrap()
            .split_whitespace()
            .next()
            .unwrap()
            .to_owned()
    };
    let data: u64 = limit("Max data size").parse().unwrap();
    assert!((1 << 30..4 << 30).contains(&data), "{data}");
    assert_eq!(limit("Max core file size"), "0");
    assert_ne!(limit("Max address space"), "unlimited");
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    // cargo gives its tests many; none is for a worker.
    assert!(!String::from_utf8_lossy(&environment).contains("CARGO_"));
    media.stop().await;
}

/// The parent is killed with -9 and cannot say goodbye.
#[tokio::test]
async fn a_worker_does_not_outlive_its_parent() {
    for (role, kept_open) in [
        ("still", false),
        ("still", true),
        ("transcode", false),
        ("transcode", true),
    ] {
        let mut shell = Command::new("sh");
        // With `kept_open` a third process holds the pipe, so that only the death signal can end the worker.
        let holder = if kept_open {
            "sleep 60 <&3 3<&- & echo $!; "
        } else {
            "echo 0; "
        };
        let script =
            format!("exec 3<&0; {holder} \"$0\" worker {role} <&3 >/dev/null & echo $!; wait");
        shell
            .args(["-c", &script])
            .arg(program())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut parent = shell.spawn().unwrap();
        let mut lines =
            std::io::BufRead::lines(std::io::BufReader::new(parent.stdout.take().unwrap()));
        let holder: u32 = lines.next().unwrap().unwrap().parse().unwrap();
        let worker: u32 = lines.next().unwrap().unwrap().parse().unwrap();
        until("the worker's limits", || {
            std::fs::read_to_string(format!("/proc/{worker}/limits")).is_ok_and(|l| {
                // Set after the death signal.
                l.lines()
                    .any(|l| l.starts_with("Max data size") && !l.contains("unlimited"))
            })
        })
        .await;
        let mut input = parent.stdin.take().unwrap();
        if kept_open {
            input.flush().unwrap();
        }
        signal(parent.id(), Signal::KILL);
        parent.wait().unwrap();
        if !kept_open {
            drop(input);
            until("the end of the worker", || !is_running(worker)).await;
            continue;
        }
        until("the end of the worker", || !is_running(worker)).await;
        drop(input);
        if holder != 0 {
            signal(holder, Signal::KILL);
        }
    }
}

/// What the daemon starts as its workers is itself, also when the file has been replaced.
#[test]
fn this_program_is_the_program_that_runs() {
    // A running copy of these tests, whose file is gone by then, starts itself.
    if std::env::var_os("ZHENBEI_TEST_COPY").is_none() {
        let dir = tempfile::tempdir().unwrap();
        let copy = dir.path().join("copy");
        std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
        let own_name = "workers::this_program_is_the_program_that_runs";
        let out = Command::new(&copy)
            .args([own_name, "--exact"])
            .env("ZHENBEI_TEST_COPY", &copy)
            .output()
            .unwrap();
        assert!(
            out.status.success(),
            "{}",
            String::from_utf8_lossy(&out.stdout)
        );
        return;
    }
    std::fs::remove_file(std::env::var_os("ZHENBEI_TEST_COPY").unwrap()).unwrap();
    let out = Command::new(zhenbei::media::this_program())
        .arg("--list")
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&out.stdout).contains("this_program_is_the_program_that_runs"));
}

#[test]
fn a_worker_started_by_hand_explains_itself() {
    for args in [&["worker"][..], &["worker", "nonsense"]] {
        let out = Command::new(program())
            .args(args)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(out.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&out.stderr).contains("started by the daemon"));
    }
}
