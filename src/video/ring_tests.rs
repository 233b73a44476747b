//! What the ring promises its writer and its readers.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::model::VideoCodec;
use crate::video::StreamParams;

fn params() -> Arc<StreamParams> {
    Arc::new(StreamParams {
        codec: VideoCodec::H264,
        extra_data: Bytes::new(),
        rfc6381: "avc1.42c01f".into(),
        width: 320,
        height: 240,
        pixel_aspect: None,
        audio: None,
    })
}

fn frame(media: Media, n: i64, key: bool, len: usize) -> Item {
    let data = Bytes::from(vec![0; len]);
    Item::Frame(Arc::new(Frame {
        media,
        pts: n,
        received: UtcMicros(n),
        arrival: crate::video::Arrival::unmoved(UtcMicros(n)),
        key,
        data,
        lost: 0,
        camera_clock: crate::model::CameraClock::default(),
        params: params(),
    }))
}

fn video(n: i64, key: bool) -> Item {
    frame(Media::Video, n, key, 1000)
}

const COST: usize = 1000 + ITEM_OVERHEAD;

fn end(n: i64) -> Item {
    Item::End(SessionEnd {
        at: UtcMicros(n),
        fault: Some(FaultKind::Closed),
    })
}

/// What a reader gets without waiting, in short: `3`, `-7` (skipped seven), `E5`.
fn drain(c: &mut Cursor) -> Vec<String> {
    std::iter::from_fn(|| c.try_next())
        .map(|r| match r {
            Read::Frame(f) => f.pts.to_string(),
            Read::Skipped { frames } => format!("-{frames}"),
            Read::End(e) => format!("E{}", e.at.micros()),
        })
        .collect()
}

#[test]
fn a_new_reader_begins_at_the_key_frame_it_asked_for() {
    let ring = Ring::new(100 * COST);
    for n in 0..10 {
        ring.push(video(n, n % 4 == 0));
    }
    assert_eq!(drain(&mut ring.cursor(Start::CurrentGop)), ["8", "9"]);
    assert_eq!(drain(&mut ring.cursor(Start::Oldest)).len(), 10);
    let mut next = ring.cursor(Start::NextKey);
    assert!(drain(&mut next).is_empty());
    for n in 10..14 {
        ring.push(video(n, n % 4 == 0));
    }
    assert_eq!(drain(&mut next), ["12", "13"]);
    assert_eq!(ring.newest_key().unwrap().pts, 12);
}

/// Whether a reader in batches would be woken now.
fn woken(c: &mut Cursor) -> bool {
    futures_util::FutureExt::now_or_never(c.batch()).is_some()
}

#[tokio::test(start_paused = true)]
async fn a_reader_in_batches_is_woken_where_something_is_complete() {
    let ring = Ring::new(100 * COST);
    let mut c = ring.cursor(Start::NextKey);
    assert!(!woken(&mut c));
    ring.push(video(0, true));
    assert!(woken(&mut c), "a key frame");
    assert_eq!(drain(&mut c), ["0"]);
    for n in 1..4 {
        ring.push(video(n, false));
        assert!(!woken(&mut c), "picture {n} alone is worth no wake-up");
    }
    ring.push(video(4, true));
    assert!(woken(&mut c));
    assert_eq!(drain(&mut c), ["1", "2", "3", "4"]);
    ring.push(video(5, false));
    ring.push(end(6));
    assert!(woken(&mut c), "the end of a session");
    assert_eq!(drain(&mut c), ["5", "E6"]);
    ring.push(video(7, true));
    drain(&mut c);
    tokio::time::advance(PAUSE * 2).await;
    ring.push(video(8, false));
    assert!(woken(&mut c), "pictures go on after a pause");
    assert_eq!(drain(&mut c), ["8"]);
    ring.close();
    assert!(!c.batch().await);
}

#[tokio::test]
async fn a_reader_in_batches_loses_nothing_of_a_gop_larger_than_the_window() {
    let ring = Ring::new(20 * COST);
    let mut c = ring.cursor(Start::NextKey);
    let mut read = Vec::new();
    for n in 0..100 {
        ring.push(video(n, n == 0));
        if woken(&mut c) {
            read.extend(drain(&mut c));
        }
    }
    read.extend(drain(&mut c));
    assert_eq!(read, (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn a_slow_reader_is_told_what_it_missed_and_goes_on_at_a_key_frame() {
    let ring = Ring::new(6 * COST);
    let mut slow = ring.cursor(Start::NextKey);
    for n in 0..3 {
        ring.push(video(n, n == 0));
    }
    assert_eq!(drain(&mut slow), ["0", "1", "2"]);
    for n in 3..20 {
        ring.push(video(n, n % 4 == 0));
    }
    // 14..20 are held; 16 is the oldest key frame among them.
    assert_eq!(drain(&mut slow), ["-13", "16", "17", "18", "19"]);
}

#[test]
fn frames_before_the_key_frame_after_a_skip_are_missed_too() {
    let ring = Ring::new(3 * COST);
    let mut slow = ring.cursor(Start::NextKey);
    ring.push(video(0, true));
    assert_eq!(drain(&mut slow), ["0"]);
    for n in 1..8 {
        ring.push(video(n, false));
    }
    assert_eq!(drain(&mut slow), ["-7"]);
    ring.push(video(8, false));
    ring.push(video(9, true));
    assert_eq!(drain(&mut slow), ["-1", "9"]);
}

#[test]
fn a_session_end_is_told_even_when_it_was_overrun() {
    let ring = Ring::new(4 * COST);
    let mut slow = ring.cursor(Start::NextKey);
    ring.push(video(0, true));
    assert_eq!(drain(&mut slow), ["0"]);
    ring.push(end(100));
    for n in 1..10 {
        ring.push(video(n, n % 3 == 1));
    }
    assert_eq!(drain(&mut slow), ["-6", "E100", "7", "8", "9"]);
    ring.push(end(101));
    ring.push(video(10, true));
    assert_eq!(slow.skip_to_newest_key(), 0);
    assert_eq!(drain(&mut slow), ["E101", "10"]);
}

#[test]
fn after_an_end_only_a_key_frame_comes() {
    let ring = Ring::new(100 * COST);
    let mut c = ring.cursor(Start::NextKey);
    ring.push(video(0, true));
    ring.push(end(5));
    ring.push(frame(Media::Audio, 1, true, 10));
    ring.push(video(2, true));
    ring.push(frame(Media::Audio, 3, true, 10));
    assert_eq!(drain(&mut c), ["0", "E5", "2", "3"]);
}

#[test]
fn skipping_to_the_newest_key_frame_leaves_what_was_read() {
    let ring = Ring::new(100 * COST);
    let mut c = ring.cursor(Start::NextKey);
    for n in 0..9 {
        ring.push(video(n, n % 4 == 0));
    }
    assert_eq!(c.skip_to_newest_key(), 8);
    assert_eq!(drain(&mut c), ["8"]);
    ring.push(video(9, false));
    // 8 is read: the next key frame is yet to come.
    assert_eq!(c.skip_to_newest_key(), 1);
    assert_eq!(c.behind(), 0);
    assert!(drain(&mut c).is_empty());
}

#[test]
fn the_newest_item_is_held_however_large() {
    let ring = Ring::new(10);
    ring.push(frame(Media::Video, 0, true, 5_000_000));
    assert_eq!(drain(&mut ring.cursor(Start::CurrentGop)), ["0"]);
    ring.push(video(1, true));
    assert_eq!(ring.bytes(), COST);
}

#[tokio::test]
async fn waiting_readers_are_woken_by_frames_and_by_the_close() {
    let ring = Ring::new(100 * COST);
    let mut c = ring.cursor(Start::NextKey);
    let (read, ()) = tokio::join!(c.next(), async { ring.push(video(1, true)) });
    assert!(matches!(read, Some(Read::Frame(f)) if f.pts == 1));
    ring.push(video(2, false));
    let (last, none, ()) = tokio::join!(
        async { ring.cursor(Start::CurrentGop).next().await },
        async {
            c.next().await;
            c.next().await
        },
        async { ring.close() }
    );
    assert!(
        matches!(last, Some(Read::Frame(f)) if f.pts == 1),
        "what is left can still be read"
    );
    assert!(none.is_none());
}

#[tokio::test]
async fn a_reader_that_is_dropped_while_waiting_loses_nothing() {
    let ring = Ring::new(100 * COST);
    let mut c = ring.cursor(Start::NextKey);
    tokio::select! {
        biased;
        _ = c.next() => panic!("nothing was pushed"),
        () = std::future::ready(()) => {}
    }
    ring.push(video(1, true));
    assert!(matches!(c.next().await, Some(Read::Frame(f)) if f.pts == 1));
}

#[derive(Clone, Debug)]
enum Op {
    Video { key: bool, len: usize },
    Audio { len: usize },
    End,
    Read(u8),
    Newest,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (any::<bool>(), 0usize..3000).prop_map(|(key, len)| Op::Video { key, len }),
        2 => (0usize..300).prop_map(|len| Op::Audio { len }),
        1 => Just(Op::End),
        3 => (1u8..6).prop_map(Op::Read),
        1 => Just(Op::Newest),
    ]
}

/// Follows one reader: what it got must be whole, in order and accounted for.
#[derive(Default)]
struct Account {
    read: u64,
    skipped: u64,
    last: i64,
    ends: Vec<i64>,
    after_break: bool,
}

impl Account {
    fn take(&mut self, read: Read) -> Result<(), TestCaseError> {
        match read {
            Read::Frame(f) => {
                prop_assert!(f.pts > self.last, "{} after {}", f.pts, self.last);
                self.last = f.pts;
                prop_assert!(
                    !self.after_break || (f.key && f.media == Media::Video),
                    "a break is followed by a key frame"
                );
                self.after_break = false;
                self.read += u64::from(f.media == Media::Video);
            }
            Read::Skipped { frames } => {
                self.skipped += frames;
                self.after_break = true;
            }
            Read::End(e) => {
                prop_assert!(
                    self.ends.last().is_none_or(|l| *l < e.at.micros()),
                    "an end is told once"
                );
                self.ends.push(e.at.micros());
                self.after_break = true;
            }
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn memory_is_bounded_and_every_frame_is_read_or_counted(
        ops in prop::collection::vec(op(), 1..200),
        limit in 200usize..20_000,
    ) {
        let ring = Ring::new(limit);
        let mut c = ring.cursor(Start::NextKey);
        let mut account = Account { last: -1, after_break: true, ..Account::default() };
        let (mut n, mut pushed, mut first_key) = (0, 0u64, None);
        for op in ops {
            n += 1;
            let newest = match op {
                Op::Video { key, len } => {
                    if key && first_key.is_none() {
                        first_key = Some(pushed);
                    }
                    pushed += 1;
                    ring.push(frame(Media::Video, n, key, len));
                    len + ITEM_OVERHEAD
                }
                Op::Audio { len } => {
                    ring.push(frame(Media::Audio, n, true, len));
                    len + ITEM_OVERHEAD
                }
                Op::End => {
                    ring.push(end(n));
                    ITEM_OVERHEAD
                }
                Op::Read(times) => {
                    for _ in 0..times {
                        let Some(read) = c.try_next() else { break };
                        account.take(read)?;
                    }
                    0
                }
                Op::Newest => {
                    account.skipped += c.skip_to_newest_key();
                    account.after_break = true;
                    0
                }
            };
            if newest > 0 {
                prop_assert!(ring.bytes() <= limit.max(newest));
            }
        }
        while let Some(read) = c.try_next() {
            account.take(read)?;
        }
        // What is still passed over in search of a key frame will be told with that key frame.
        ring.push(frame(Media::Video, n + 1, true, 0));
        pushed += 1;
        while let Some(read) = c.try_next() {
            account.take(read)?;
        }
        prop_assert_eq!(account.last, n + 1);
        prop_assert!(account.read + account.skipped <= pushed);
        // Only what came before the reader's first key frame may be untold.
        prop_assert!(account.read + account.skipped >= pushed - first_key.unwrap_or(pushed - 1));
    }
}
