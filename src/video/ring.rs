//! One ingest, many readers: a byte-bounded window over the newest items of a stream.
//!
//! The writer never waits. A reader that falls out of the window is told how many video frames it missed and goes on at a
//! key frame. A ring outlives sessions: it belongs to the stream, and carries where sessions end; a reader learns of such an
//! end even when it was too slow to read the item itself, because media time begins anew there. A ring is closed when its
//! stream is taken away.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

use super::frame::{Frame, Media};
use crate::model::{FaultKind, UtcMicros};

/// Bookkeeping counted beside the payload of each item, so that tiny frames are bounded too.
const ITEM_OVERHEAD: usize = 128;

#[derive(Clone, Debug)]
pub enum Item {
    Frame(Arc<Frame>),
    /// Pictures stop here; the next frame begins another session and its own media time.
    End(SessionEnd),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionEnd {
    pub at: UtcMicros,
    /// `None`: stopped on purpose.
    pub fault: Option<FaultKind>,
}

/// Where a new cursor stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the newest key frame in the ring, so that a picture can be shown at once.
    CurrentGop,
    /// At the oldest key frame in the ring.
    Oldest,
    /// At the next key frame to come.
    NextKey,
}

#[derive(Clone, Debug)]
pub enum Read {
    Frame(Arc<Frame>),
    End(SessionEnd),
    /// The reader was too slow: this many video frames went by unread. The next frame is a key frame; an `End` before it
    /// says that it belongs to a later session than the frames read before.
    Skipped {
        frames: u64,
    },
}

pub struct Ring {
    inner: Mutex<Window>,
    head: watch::Sender<Head>,
    /// As `head`, but only told where reading is worth a wake-up.
    marks: watch::Sender<Head>,
    max_bytes: usize,
    home: Option<Handle>,
}

/// What readers wait on.
#[derive(Clone, Copy, Default)]
struct Head {
    /// Number of the next item to come.
    next: u64,
    /// Nothing more will come.
    closed: bool,
}

/// A reader in batches is woken after this part of the window at the latest.
const MARK_PARTS: usize = 4;
/// Shorter than the patience of any reader.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Window {
    items: VecDeque<Slot>,
    /// Number of `items[0]`.
    first: u64,
    bytes: usize,
    /// Video frames ever pushed.
    video_frames: u64,
    /// The newest session end that has left the window, with its number.
    end_left: Option<(u64, SessionEnd)>,
    /// Bytes pushed since the last mark.
    unmarked: usize,
    last_picture: Option<Instant>,
}

struct Slot {
    item: Item,
    /// Video frames pushed before this item.
    video_before: u64,
}

impl Slot {
    fn is_key(&self) -> bool {
        matches!(&self.item, Item::Frame(f) if f.media == Media::Video && f.key)
    }
}

impl Window {
    fn newest_key(&self) -> Option<u64> {
        let back = self.items.iter().rev().position(Slot::is_key)?;
        Some(self.first + (self.items.len() - 1 - back) as u64)
    }

    fn key_at_or_after(&self, seq: u64) -> Option<u64> {
        let skip = usize::try_from(seq.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let at = self.items.iter().skip(skip).position(Slot::is_key)?;
        Some(self.first + (skip + at) as u64)
    }
}

impl Ring {
    /// Holds at most `max_bytes`, and always the newest item however large.
    pub fn new(max_bytes: usize) -> Arc<Self> {
        Self::with_home(max_bytes, None)
    }

    /// As [`Ring::new`], for a stream whose tasks run on `home`.
    pub(super) fn at_home(max_bytes: usize, home: Handle) -> Arc<Self> {
        Self::with_home(max_bytes, Some(home))
    }

    fn with_home(max_bytes: usize, home: Option<Handle>) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::default(),
            head: watch::Sender::new(Head::default()),
            marks: watch::Sender::new(Head::default()),
            max_bytes,
            home,
        })
    }

    /// Where the writer runs, for readers that take everything: beside it they cost no hand-over to another core.
    pub fn home(&self) -> Option<&Handle> {
        self.home.as_ref()
    }

    pub fn push(&self, item: Item) {
        let now = Instant::now();
        let mut w = self.window();
        let video_before = w.video_frames;
        // A key frame completes what came before it, an end completes the session.
        let mut mark = true;
        if let Item::Frame(f) = &item {
            mark = f.key && f.media == Media::Video;
            if f.media == Media::Video {
                w.video_frames += 1;
                // Pictures go on after a pause: readers in batches have stopped looking.
                mark |= w.last_picture.is_none_or(|at| now > at + PAUSE);
                w.last_picture = Some(now);
            }
        }
        let cost = item.cost();
        w.bytes += cost;
        w.unmarked += cost;
        mark |= w.unmarked > self.max_bytes / MARK_PARTS;
        if mark {
            w.unmarked = 0;
        }
        w.items.push_back(Slot { item, video_before });
        while w.bytes > self.max_bytes && w.items.len() > 1 {
            w.drop_oldest();
        }
        let next = w.head();
        drop(w);
        // Two writers at once must not turn the head back.
        self.head.send_modify(|h| h.next = h.next.max(next));
        if mark {
            self.marks.send_modify(|h| h.next = h.next.max(next));
        }
    }

    /// Says that nothing more will come: readers get what is left and then `None`.
    pub fn close(&self) {
        for told in [&self.head, &self.marks] {
            told.send_modify(|h| h.closed = true);
        }
    }

    /// When the newest picture was pushed.
    pub fn last_picture(&self) -> Option<Instant> {
        self.window().last_picture
    }

    pub fn cursor(self: &Arc<Self>, start: Start) -> Cursor {
        let w = self.window();
        let next = match start {
            Start::CurrentGop => w.newest_key().unwrap_or(w.head()),
            Start::Oldest => w.key_at_or_after(w.first).unwrap_or(w.head()),
            Start::NextKey => w.head(),
        };
        let video_seen = w.video_before(next);
        drop(w);
        Cursor {
            ring: Arc::clone(self),
            head: self.head.subscribe(),
            marks: self.marks.subscribe(),
            next,
            video_seen,
            need_key: true,
            begun: false,
            passed: 0,
            end_missed: None,
        }
    }

    /// The newest key frame that is still held, for a still without waiting.
    pub fn newest_key(&self) -> Option<Arc<Frame>> {
        let w = self.window();
        let at = usize::try_from(w.newest_key()? - w.first).ok()?;
        match &w.items.get(at)?.item {
            Item::Frame(f) => Some(Arc::clone(f)),
            Item::End(_) => None,
        }
    }

    pub fn bytes(&self) -> usize {
        self.window().bytes
    }

    fn window(&self) -> std::sync::MutexGuard<'_, Window> {
        // Nothing in here panics half-way; a poisoned window is still whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Item {
    fn cost(&self) -> usize {
        ITEM_OVERHEAD
            + match self {
                Self::Frame(f) => f.data.len(),
                Self::End(_) => 0,
            }
    }
}

impl Window {
    /// Number of the next item to come.
    fn head(&self) -> u64 {
        self.first + self.items.len() as u64
    }

    fn drop_oldest(&mut self) {
        let Some(old) = self.items.pop_front() else {
            return;
        };
        self.bytes -= old.item.cost();
        if let Item::End(end) = old.item {
            self.end_left = Some((self.first, end));
        }
        self.first += 1;
    }

    /// The newest session end among the items `from..to`, also if it has left the window.
    fn last_end(&self, from: u64, to: u64) -> Option<SessionEnd> {
        let at = |seq: u64| usize::try_from(seq.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let (from_at, to_at) = (at(from), at(to).min(self.items.len()));
        let held = self
            .items
            .range(from_at.min(to_at)..to_at)
            .rev()
            .find_map(|s| match &s.item {
                Item::End(end) => Some(*end),
                Item::Frame(_) => None,
            });
        held.or_else(|| {
            self.end_left
                .filter(|(seq, _)| (from..to).contains(seq))
                .map(|(_, end)| end)
        })
    }

    /// Video frames pushed before item `seq`.
    fn video_before(&self, seq: u64) -> u64 {
        usize::try_from(seq.saturating_sub(self.first))
            .ok()
            .and_then(|i| self.items.get(i))
            .map_or(self.video_frames, |s| s.video_before)
    }
}

/// One reader. Reads at its own pace; never slows the writer.
pub struct Cursor {
    ring: Arc<Ring>,
    head: watch::Receiver<Head>,
    marks: watch::Receiver<Head>,
    next: u64,
    video_seen: u64,
    /// Nothing but a key frame may come next.
    need_key: bool,
    /// A frame has been read or a skip has been told.
    begun: bool,
    /// Video frames read over while looking for a key frame, not told yet.
    passed: u64,
    /// A session ended among the items that were skipped; told before the next frame.
    end_missed: Option<SessionEnd>,
}

impl Cursor {
    /// The next item; waits for it. Cancel-safe. `None` when the ring is closed and everything is read.
    pub async fn next(&mut self) -> Option<Read> {
        loop {
            if let Some(read) = self.try_next() {
                return Some(read);
            }
            let next = self.next;
            let head = *self
                .head
                .wait_for(|h| h.next > next || h.closed)
                .await
                .ok()?;
            if head.closed && head.next <= next {
                return None;
            }
        }
    }

    /// Waits until something is unread that is worth a wake-up: a key frame, the end of a session, or a part of the window
    /// that must not be lost. Read it with `try_next`. Cancel-safe. `false` when the ring is closed and everything is read.
    pub async fn batch(&mut self) -> bool {
        let next = self.next;
        let marked = self.marks.wait_for(|h| h.next > next || h.closed).await;
        marked.is_ok_and(|h| h.next > next) || self.behind() > 0
    }

    /// The next item if it is there already.
    pub fn try_next(&mut self) -> Option<Read> {
        if let Some(end) = self.end_missed.take() {
            return Some(Read::End(end));
        }
        let w = self.ring.window();
        if self.next < w.first {
            // Overrun: go on at the oldest key frame still held, or at the next one to come.
            let to = w.key_at_or_after(w.first).unwrap_or(w.head());
            self.end_missed = w.last_end(self.next, to);
            let video = w.video_before(to);
            drop(w);
            return Some(Read::Skipped {
                frames: self.jump(to, video),
            });
        }
        loop {
            let at = usize::try_from(self.next - w.first).ok()?;
            let slot = w.items.get(at)?;
            self.next += 1;
            match &slot.item {
                Item::End(end) => {
                    self.need_key = true;
                    return Some(Read::End(*end));
                }
                Item::Frame(f) => {
                    let video = u64::from(f.media == Media::Video);
                    if self.need_key && !slot.is_key() {
                        self.video_seen += video;
                        self.passed += video;
                        continue;
                    }
                    // Frames passed over on the way to this key frame are missed too, unless the reader has only begun.
                    let passed = std::mem::take(&mut self.passed);
                    if passed > 0 && self.begun {
                        self.next -= 1;
                        return Some(Read::Skipped { frames: passed });
                    }
                    self.video_seen += video;
                    self.need_key = false;
                    self.begun = true;
                    return Some(Read::Frame(Arc::clone(f)));
                }
            }
        }
    }

    /// Leaves what is unread and goes on at the newest key frame held that is still unread, else at the next to come.
    /// Returns the number of video frames left unread.
    pub fn skip_to_newest_key(&mut self) -> u64 {
        let w = self.ring.window();
        let to = w
            .newest_key()
            .filter(|k| *k >= self.next)
            .unwrap_or(w.head());
        self.end_missed = w.last_end(self.next, to).or(self.end_missed);
        let video = w.video_before(to);
        drop(w);
        self.jump(to, video)
    }

    /// Goes on at item `to`, before which `video` video frames were pushed; returns how many of them were not read.
    fn jump(&mut self, to: u64, video: u64) -> u64 {
        let frames = video.saturating_sub(self.video_seen) + std::mem::take(&mut self.passed);
        self.begun = true;
        self.next = to;
        self.video_seen = video;
        self.need_key = true;
        frames
    }

    /// Items pushed and not yet read.
    pub fn behind(&self) -> u64 {
        self.head.borrow().next.saturating_sub(self.next)
    }
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
