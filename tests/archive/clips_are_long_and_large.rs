//! More than a day, more than 4 GiB, gaps of many hours: fields do not overflow, and a player finds every moment.
//!
//! The index and the files are real in shape and made in bulk: most of the bytes are holes of sparse files. The clip is written out
//! as a sparse file too, with the parts in place that a player reads.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use zhenbei::archive::Clip;
use zhenbei::model::{FaultKind, TimeRange};
use zhenbei::store::database::{FragmentRow, SegmentPart};

use crate::any_range_plays::{shown, shown_of};
use crate::footage;
use crate::house::{House, SECOND, T0, at, key, range, read};
use crate::support::index::insert;

/// FFmpeg would read on for five seconds of pictures to guess at what the headers say, and find holes.
const QUICKLY: [&str; 4] = ["-analyzeduration", "500000", "-probesize", "32768"];
const HOUR: i64 = 3_600 * SECOND;

fn probe(path: &Path, entries: &str) -> String {
    let out = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-select_streams",
            "v",
            "-show_entries",
            entries,
        ])
        .args(["-of", "csv=p=0"])
        .arg(path)
        .output()
        .expect("ffmpeg is installed");
    assert!(out.status.success() && out.stderr.is_empty(), "{out:?}");
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

/// The clip as a file that has only its first bytes and those around `places`, in thousandths of its media.
async fn sparse(clip: &Clip, dir: &Path, places: &[u64]) -> PathBuf {
    let path = dir.join("clip.mp4");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(clip.len()).unwrap();
    let head = read(clip, 0, 64).await;
    let mut at = 0usize;
    let mut boxes = 0;
    // `ftyp`, `moov` and what `mdat` begins with.
    while boxes < 2 {
        let head = read(clip, at as u64, at as u64 + 8).await;
        at += u32::from_be_bytes(head[..4].try_into().unwrap()) as usize;
        boxes += 1;
    }
    assert_eq!(&head[4..8], b"ftyp");
    file.write_all_at(&read(clip, 0, at as u64 + (2 << 20)).await, 0)
        .unwrap();
    for part in places {
        let place = at as u64 + (clip.len() - at as u64) / 1_000 * part;
        let from = place.saturating_sub(3 << 20);
        let part = read(clip, from, place + (3 << 20)).await;
        file.write_all_at(&part, from).unwrap();
    }
    path
}

/// Records without turning to another file.
async fn one_file() -> House {
    let mut config = crate::house::config();
    config.segment_ms = 600_000;
    House::with(config, None).await
}

/// Files one after the other, each a copy of `part` moved in time.
fn repeated(part: &SegmentPart, times: i64) -> impl Iterator<Item = SegmentPart> {
    let length = part.row.range().micros();
    let seqs = i64::try_from(part.fragments.len()).unwrap();
    (1..=times).map(move |n| crate::support::index::moved(part, n * length, n * seqs))
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_six_hours_are_one_clip() {
    let f = footage::h264_reordered(20);
    let mut house = one_file().await;
    house.play(&f, 0.0, 20.0, T0);
    house.stop().await;
    let all = shown(&house.bytes(range(0.0, 20.0)).await);
    let part = house
        .db
        .archive_between(&key(), range(0.0, 20.0))
        .await
        .unwrap()
        .pop()
        .unwrap();
    let hours = 26;
    let times = hours * HOUR / (20 * SECOND);
    insert(
        &house.folder.path().join("index.db"),
        repeated(&part, times),
    )
    .await;
    house.clock.set(at(200_000.0));

    #[allow(clippy::cast_precision_loss, reason = "few hours")]
    let end = hours as f64 * 3_600.0;
    let clip = house.clip(range(0.4, end)).await;
    assert_eq!(clip.frames(), usize::try_from(hours * 90_000).unwrap());
    let dir = tempfile::tempdir().unwrap();
    let path = sparse(&clip, dir.path(), &[17_000 / 26, 1_000]).await;
    let duration: f64 = probe(&path, "format=duration").parse().unwrap();
    assert!((duration - (end - 0.4)).abs() < 0.001, "{duration}");
    assert_eq!(probe(&path, "stream=time_base"), "1/90000");
    // 0.4 s less than whole repetitions: the clip's time is 0.4 s behind that of the recording.
    for (seconds, picture) in [
        (17.0 * 3_600.0, 0usize),
        (26.0 * 3_600.0 - 20.0, 0),
        (end - 7.0, 325),
    ] {
        let seek = format!("{}", seconds - 0.4);
        let found = shown_of(
            &path,
            &[&QUICKLY[..], &["-ss", &seek, "-t", "0.4"]].concat(),
        );
        assert_eq!(found, all[picture..picture + 10], "at {seek}");
    }
    let again = house.clip(range(0.4, end)).await;
    assert_eq!(again.etag(), clip.etag());
    let e = house
        .archive
        .clip(&key(), range(0.0, 49.0 * 3_600.0))
        .await
        .unwrap_err();
    assert_eq!(e.code(), "bad_range");
}

/// A sample table of one picture, as docs of `samples` say: version, flags, then LEB128 numbers.
fn table_of_one(data: u64, duration: u64, size: u64) -> Vec<u8> {
    let mut out = vec![1, 0];
    for mut v in [data, 1, duration, size << 1 | 1] {
        loop {
            let low = u8::try_from(v & 0x7f).unwrap();
            v >>= 7;
            if v == 0 {
                out.push(low);
                break;
            }
            out.push(low | 0x80);
        }
    }
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_four_gibibytes_are_found() {
    const GIB: u64 = 1 << 30;
    // No fragment is longer than 64 MiB.
    const HUGE: u64 = 60 << 20;
    const TENTH: i64 = SECOND / 10;
    let f = footage::h264(4);
    let mut house = one_file().await;
    house.play(&f, 0.0, 4.0, T0);
    house.stop().await;
    let all = shown(&house.bytes(range(0.0, 4.0)).await);
    let part = house
        .db
        .archive_between(&key(), range(0.0, 4.0))
        .await
        .unwrap()
        .pop()
        .unwrap();

    // Ten seconds of ten pictures of 60 MiB each, in a file that is one hole; then the real seconds again.
    let mut huge = part.clone();
    huge.row = crate::support::index::moved(&part, 4 * SECOND, 4).row;
    huge.row.ended = at(14.0);
    huge.row.segment.path = "cam-001/main/huge.mp4".into();
    let one = |n: i64| {
        let mut row: FragmentRow = part.fragments[0].clone();
        row.fragment.seq = 5 + n;
        row.fragment.segment = huge.row.segment.id;
        row.fragment.range = TimeRange {
            from: at(4.0) + n * TENTH,
            to: at(4.0) + (n + 1) * TENTH,
        };
        row.fragment.offset = n.unsigned_abs() * (HUGE + 600);
        row.fragment.len = u32::try_from(HUGE + 600).unwrap();
        row.fragment.samples = table_of_one(600, 9_000, HUGE);
        row
    };
    huge.fragments = (0..100).map(one).collect();
    huge.row.bytes = 100 * (HUGE + 600);
    let file = std::fs::File::create(house.dir().join(&huge.row.segment.path)).unwrap();
    file.set_len(huge.row.bytes).unwrap();
    let last = crate::support::index::moved(&part, 14 * SECOND, 104);
    insert(
        &house.folder.path().join("index.db"),
        [huge, last].into_iter(),
    )
    .await;
    house.clock.set(at(60.0));

    let clip = house.clip(range(1.0, 18.0)).await;
    assert!(clip.len() > 5 * GIB, "{}", clip.len());
    assert!(clip.gaps().is_empty(), "{:?}", clip.gaps());
    let dir = tempfile::tempdir().unwrap();
    let path = sparse(&clip, dir.path(), &[1_000]).await;

    // ISO/IEC 14496-12 §4.2: size 1 means that 64 bits follow. §8.7.5: `co64`.
    let head = read(&clip, 0, 16_384).await;
    let find = |kind: &[u8; 4]| head.windows(4).position(|w| w == kind).unwrap();
    let mdat = find(b"mdat");
    assert_eq!(head[mdat - 4..mdat], [0, 0, 0, 1]);
    let size = u64::from_be_bytes(head[mdat + 4..mdat + 12].try_into().unwrap());
    assert_eq!(size + mdat as u64 - 4, clip.len());
    let co64 = find(b"co64");
    let count = u32::from_be_bytes(head[co64 + 8..co64 + 12].try_into().unwrap()) as usize;
    let offset = |n: usize| {
        let at = co64 + 12 + n * 8;
        u64::from_be_bytes(head[at..at + 8].try_into().unwrap())
    };
    assert_eq!(count, 107);
    assert!(
        offset(count - 1) > u64::from(u32::MAX),
        "{}",
        offset(count - 1)
    );
    assert_eq!(offset(0), mdat as u64 + 12);
    // The second real second again begins where its table says.
    let there = read(&clip, offset(104), offset(104) + f.video[25].2.len() as u64).await;
    assert!(there == f.video[25].2);

    assert_eq!(
        probe(&path, "format=duration").parse::<f64>().unwrap(),
        17.0
    );
    // Sought to exactly, and shown to the end.
    assert_eq!(
        shown_of(&path, &[&QUICKLY[..], &["-ss", "14.2"]].concat()),
        all[30..100]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_of_twenty_hours_keeps_its_length() {
    let f = footage::h264_reordered(8);
    let mut house = House::new().await;
    house.play(&f, 0.0, 4.0, T0);
    house.end(at(4.0), Some(FaultKind::Closed));
    house.play(&f, 4.0, 8.0, at(72_004.0));
    house.stop().await;
    let all = shown(&house.bytes(range(0.0, 4.0)).await);
    let after = shown(&house.bytes(range(72_004.0, 72_008.0)).await);
    assert_eq!((all.len(), after.len()), (100, 100));
    let clip = house.clip(range(1.0, 72_008.0)).await;
    assert_eq!(clip.gaps().len(), 1);
    assert_eq!(clip.gaps()[0].0, range(4.0, 72_004.0));
    let bytes = read(&clip, 0, u64::MAX).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("clip.mp4");
    std::fs::write(&path, &bytes).unwrap();
    let duration: f64 = probe(&path, "format=duration").parse().unwrap();
    assert!((duration - 72_007.0).abs() < 0.001, "{duration}");
    // A picture of 20 h at 90 kHz would be more than 31 bits say.
    assert_eq!(probe(&path, "stream=time_base"), "1/8000");
    let found = shown(&bytes);
    assert_eq!(found[..75], all[25..]);
    assert_eq!(found[75..], after);
    assert_eq!(shown_of(&path, &["-ss", "72004"]), after[25..]);
}
