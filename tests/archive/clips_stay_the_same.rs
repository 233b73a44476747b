//! The same range is the same bytes: while recording goes on, across a restart, asked for by many at once; and a file that is being
//! read stays until it is read.

use std::time::Duration;

use zhenbei::model::FaultKind;

use crate::footage;
use crate::house::{House, T0, at, key, range, read};

#[tokio::test(flavor = "multi_thread")]
async fn while_recording_goes_on_and_across_a_restart() {
    let mut config = crate::house::config();
    config.segment_ms = 4_000;
    let mut house = House::with(config, None).await;
    let f = footage::h264_reordered(16);
    house.play_on(&f, 0.0, 8.0, T0);
    house.durable(at(6.0)).await;
    let asked = range(1.3, 5.7);
    let first = house.clip(asked).await;
    // Half of it is read now, the other half when the file it lies in has grown, closed and been folded.
    let half = first.len() / 2;
    let mut bytes = read(&first, 0, half).await;
    house.play_on(&f, 8.0, 16.0, T0);
    house.durable(at(14.0)).await;
    bytes.extend(read(&first, half, u64::MAX).await);
    let second = house.clip(asked).await;
    assert_eq!(second.etag(), first.etag());
    assert!(read(&second, 0, u64::MAX).await == bytes);
    // Other plans push this one out of memory.
    for n in 0..20 {
        house.clip(range(0.04 * f64::from(n), 3.0)).await;
    }
    let third = house.clip(asked).await;
    assert_eq!(third.etag(), first.etag());

    house.stop().await;
    let etag = first.etag().to_owned();
    drop((first, second, third));
    let house = house.again(None, at(30.0)).await;
    let later = house.clip(asked).await;
    assert_eq!(later.etag(), etag);
    assert!(read(&later, 0, u64::MAX).await == bytes);
    // Other bytes, other tag: one picture more, and the same length of time elsewhere.
    assert_ne!(house.clip(range(1.3, 5.74)).await.etag(), etag);
    assert_ne!(house.clip(range(1.34, 5.74)).await.etag(), etag);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_crowd_asks() {
    let mut house = House::new().await;
    let f = footage::h264(12);
    house.play(&f, 0.0, 12.0, T0);
    house.stop().await;
    let mut asking = tokio::task::JoinSet::new();
    for n in 0..64u32 {
        let archive = house.archive.clone();
        // Half of them want the same, the others more ranges than are remembered: two are planned at a time, all are served.
        let asked = if n % 2 == 0 {
            range(2.0, 9.0)
        } else {
            range(0.04 * f64::from(n), 11.0)
        };
        asking.spawn(async move {
            let clip = archive.clip(&key(), asked).await.unwrap();
            (
                n % 2 == 0,
                clip.etag().to_owned(),
                read(&clip, 0, u64::MAX).await,
            )
        });
    }
    let mut same: Vec<(String, Vec<u8>)> = Vec::new();
    let mut others = std::collections::HashSet::new();
    while let Some(done) = asking.join_next().await {
        let (one, etag, bytes) = done.unwrap();
        if one {
            same.push((etag, bytes));
        } else {
            others.insert(etag);
        }
    }
    assert_eq!((same.len(), others.len()), (32, 32));
    assert!(same.windows(2).all(|w| w[0] == w[1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn and_a_remembered_plan_keeps_no_file() {
    let mut config = crate::house::config();
    config.segment_ms = 3_000;
    config.retention_days = 1.0;
    let mut house = House::with(config, None).await;
    let f = footage::h264(12);
    house.play(&f, 0.0, 12.0, T0);
    house.end(at(12.0), Some(FaultKind::Closed));
    house.stop().await;
    let asked = range(1.0, 11.0);
    let reading = house.clip(asked).await;
    let other = reading.clone();
    house.clock.set(at(200_000.0));
    assert_eq!(
        house.archive.tidy().await.unwrap(),
        0,
        "all of it is being read"
    );
    let bytes = read(&reading, 0, u64::MAX).await;
    assert_eq!(bytes.len() as u64, reading.len());
    drop(reading);
    assert_eq!(
        house.archive.tidy().await.unwrap(),
        0,
        "a clone reads still"
    );
    // The stream of bytes alone keeps them too.
    let mut stream = Box::pin(other.read(0..other.len()));
    drop(other);
    let chunk = futures_util::StreamExt::next(&mut stream).await;
    assert!(chunk.is_some_and(|c| c.is_ok()));
    assert_eq!(
        house.archive.tidy().await.unwrap(),
        0,
        "it is being downloaded"
    );
    drop(stream);
    // The chunk that was read ahead may still be on its thread.
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(house.archive.tidy().await.unwrap() >= 4, "nobody reads it");
    let e = house.archive.clip(&key(), asked).await.unwrap_err();
    assert_eq!(e.code(), "no_footage", "{e}");
}
