//! HLS over the recorded fragments: what the playlist names is there and decodes.

use std::fmt::Write as _;
use std::fs;

use futures_util::StreamExt;
use zhenbei::model::{FaultKind, SegmentId};

use crate::footage;
use crate::house::{House, T0, at, key, probe_file, range};

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_plays_the_playlist() {
    let mut house = House::new().await;
    let f = footage::h264(12);
    house.play(&f, 0.0, 6.0, T0);
    house.end(at(6.0), Some(FaultKind::Closed));
    house.play(&f, 6.0, 12.0, at(10.0));
    house.stop().await;
    let playlist = house.archive.hls(&key(), range(2.5, 14.0)).await.unwrap();
    assert_eq!(playlist.range.from, at(2.0));
    let text = &playlist.text;
    assert_eq!(text.matches("#EXTINF:1.000000,").count(), 8, "{text}");
    assert_eq!(text.matches("#EXT-X-DISCONTINUITY\n").count(), 1, "{text}");
    assert_eq!(text.matches("#EXT-X-MAP:").count(), 2, "{text}");
    assert!(text.contains("#EXT-X-START:TIME-OFFSET=0.500000"), "{text}");
    let mut times = String::new();
    for t in [at(2.0), at(10.0)] {
        writeln!(times, "#EXT-X-PROGRAM-DATE-TIME:{t}").unwrap();
    }
    assert!(times.lines().all(|line| text.contains(line)), "{text}");

    // Serve it as files: the same names, the same bytes.
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("segment")).unwrap();
    for part in house
        .db
        .archive_between(&key(), playlist.range)
        .await
        .unwrap()
    {
        let id = part.row.segment.id;
        let file = house.archive.segment(&key(), id).await.unwrap();
        let mut bytes = Vec::new();
        let mut stream = std::pin::pin!(file.read(0..file.len()));
        while let Some(chunk) = stream.next().await {
            bytes.extend_from_slice(&chunk.unwrap());
        }
        assert_eq!(bytes.len() as u64, file.len());
        fs::write(dir.path().join(format!("segment/{id}.mp4")), bytes).unwrap();
    }
    // ffmpeg's own HLS reader does not start media time anew at a discontinuity (browsers do): each side for itself.
    for asked in [range(2.5, 5.9), range(10.2, 14.0)] {
        let path = dir.path().join("index.m3u8");
        fs::write(&path, house.archive.hls(&key(), asked).await.unwrap().text).unwrap();
        let p = probe_file(&path);
        assert_eq!(p.frames, 100, "{p:?}");
    }

    assert!(
        house
            .archive
            .segment(&key(), SegmentId::generate())
            .await
            .is_err()
    );
    assert_eq!(
        house
            .archive
            .hls(&key(), range(7.0, 9.0))
            .await
            .unwrap_err()
            .code(),
        "no_footage"
    );
}
