//! Key frames by time, for scrubbing, and as a playlist of their own.

use std::fs;

use zhenbei::model::FaultKind;

use crate::any_range_plays::shown_of;
use crate::footage;
use crate::house::{House, T0, access_units, at, key, range};

#[tokio::test(flavor = "multi_thread")]
async fn their_times_are_listed_over_files_and_gaps() {
    let mut config = crate::house::config();
    config.segment_ms = 3_000;
    let mut house = House::with(config, None).await;
    let f = footage::h264_reordered(12);
    house.play(&f, 0.0, 6.0, T0);
    house.end(at(6.0), Some(FaultKind::Closed));
    house.play(&f, 6.0, 12.0, at(100.0));
    house.stop().await;
    let seconds = |list: &[f64]| list.iter().map(|s| at(*s)).collect::<Vec<_>>();
    let ask = async |from, to, step, most| {
        let asked = range(from, to);
        house
            .archive
            .key_times(&key(), asked, step, most)
            .await
            .unwrap()
    };
    let all = ask(0.0, 200.0, 0, 100).await;
    let every = [
        0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 100.0, 101.0, 102.0, 103.0, 104.0, 105.0,
    ];
    assert_eq!((all.times, all.next), (seconds(&every), None));
    assert_eq!(ask(1.02, 4.0, 0, 100).await.times, seconds(&[2.0, 3.0]));
    // One for each four seconds, counted from the begin of the range.
    let some = ask(0.5, 108.0, 4_000_000, 100).await;
    assert_eq!(some.times, seconds(&[1.0, 5.0, 100.0, 101.0, 105.0]));
    let few = ask(0.0, 200.0, 0, 5).await;
    assert_eq!(few.times, seconds(&every[..5]));
    let next = few.next.unwrap();
    assert!(next > at(4.0) && next <= at(5.0), "{next}");
    assert!(ask(20.0, 90.0, 0, 100).await.times.is_empty());
    // What is listed is what a still shows.
    let still = house.archive.key_frame_at(&key(), at(101.0)).await.unwrap();
    assert_eq!(still.unwrap().at, at(101.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn their_playlist_has_the_bytes_of_each_and_no_more() {
    let mut config = crate::house::config();
    config.segment_ms = 3_000;
    let mut house = House::with(config, None).await;
    let f = footage::h265_reordered(12);
    house.play(&f, 0.0, 6.0, T0);
    house.end(at(6.0), Some(FaultKind::Closed));
    house.play(&f, 6.0, 12.0, at(10.0));
    house.stop().await;
    let asked = range(1.5, 16.0);
    let list = house.archive.hls_key_frames(&key(), asked).await.unwrap();
    assert!(
        list.text.contains("#EXT-X-I-FRAMES-ONLY\n"),
        "{}",
        list.text
    );
    let lines: Vec<&str> = list.text.lines().collect();
    let mut pictures = Vec::new();
    let mut total = 0.0;
    let dir = tempfile::tempdir().unwrap();
    for (i, line) in lines.iter().enumerate() {
        let Some(range) = line.strip_prefix("#EXT-X-BYTERANGE:") else {
            continue;
        };
        let lasts = lines[i - 1].strip_prefix("#EXTINF:").unwrap();
        total += lasts.trim_end_matches(',').parse::<f64>().unwrap();
        let (len, from) = range.split_once('@').unwrap();
        let (len, from): (u64, u64) = (len.parse().unwrap(), from.parse().unwrap());
        let id = lines[i + 1]
            .trim_start_matches("segment/")
            .trim_end_matches(".mp4");
        let id = zhenbei::model::SegmentId::parse(id).unwrap();
        let file = house.archive.segment(&key(), id).await.unwrap();
        let bytes = {
            let mut out = Vec::new();
            let mut stream = std::pin::pin!(file.read(from..from + len));
            while let Some(chunk) = futures_util::StreamExt::next(&mut stream).await {
                out.extend_from_slice(&chunk.unwrap());
            }
            out
        };
        assert_eq!(bytes.len() as u64, len);
        // It ends with the last byte of a key frame of the camera.
        let whole = f.video.iter().find(|v| v.1 && bytes.ends_with(&v.2));
        pictures.push(whole.expect("a key frame, whole").2.clone());
        fs::write(dir.path().join(format!("{}.bin", pictures.len())), bytes).unwrap();
    }
    let keys: Vec<_> = f
        .video
        .iter()
        .filter(|v| v.1)
        .map(|v| v.2.clone())
        .collect();
    // From the one that the first moment needs: all but the first.
    assert!(pictures == keys[1..], "{}", list.text);
    let recorded = list.range.micros() - 4_000_000;
    #[allow(clippy::cast_precision_loss, reason = "few seconds")]
    let recorded = recorded as f64 / 1e6;
    assert!((total - recorded).abs() < 0.1, "{total} of {recorded}");

    let master = house
        .archive
        .hls_master(&key(), asked, "from=a&to=b")
        .await
        .unwrap()
        .text;
    assert!(master.contains("\nindex.m3u8?from=a&to=b\n"), "{master}");
    assert!(
        master.contains("URI=\"keyframes.m3u8?from=a&to=b\""),
        "{master}"
    );
    assert!(
        master.contains(&format!("CODECS=\"{}\"", f.params.rfc6381)),
        "{master}"
    );
    assert!(master.contains("RESOLUTION=320x240"), "{master}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_that_begins_with_leading_pictures_has_what_they_need() {
    let f = footage::h265_open_gop(6);
    let mut house = House::new().await;
    house.play(&f, 0.0, 6.0, T0);
    house.stop().await;
    let whole = house.bytes(range(0.0, 6.0)).await;
    let path = house.folder.path().join("whole.mp4");
    fs::write(&path, whole).unwrap();
    let all = shown_of(&path, &[]);
    // Where a key frame is shown after pictures that were sent behind it.
    let i = (1..f.video.len())
        .find(|i| f.video[*i].1 && f.video[i + 1].0 < f.video[*i].0)
        .expect("x265 made an open GOP");
    let leading = f.video[i + 1..].iter().map(|v| v.0).min().unwrap();
    let first = usize::try_from(leading / 3_600).unwrap();
    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    let from = first as f64 * 0.04;
    let clip = house.clip(range(from, from + 0.4)).await;
    let bytes = crate::house::read(&clip, 0, u64::MAX).await;
    assert!(access_units(&bytes).len() > 25, "the GOP before is there");
    fs::write(&path, bytes).unwrap();
    assert_eq!(shown_of(&path, &[]), all[first..first + 10]);
}
