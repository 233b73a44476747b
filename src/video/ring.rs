//! One ingest, many readers: a byte-bounded window over the newest items of a stream.
//!
//! The writer never waits. A reader that falls out of the window is told how many video frames it missed and goes on at a
//! key frame. A ring outlives sessions: it belongs to the stream, and carries where sessions begin and end.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

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
    /// The reader was too slow: this many video frames went by unread. The next frame is a key frame.
    Skipped {
        frames: u64,
    },
}

pub struct Ring {
    inner: Mutex<Window>,
    /// Number of the next item to come; readers wait on it.
    head: watch::Sender<u64>,
    max_bytes: usize,
}

#[derive(Default)]
struct Window {
    items: VecDeque<Slot>,
    /// Number of `items[0]`.
    first: u64,
    bytes: usize,
    /// Video frames ever pushed.
    video_frames: u64,
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
        Arc::new(Self {
            inner: Mutex::default(),
            head: watch::Sender::new(0),
            max_bytes,
        })
    }

    pub fn push(&self, item: Item) {
        let cost = ITEM_OVERHEAD
            + match &item {
                Item::Frame(f) => f.data.len(),
                Item::End(_) => 0,
            };
        let mut w = self.window();
        let video_before = w.video_frames;
        if let Item::Frame(f) = &item
            && f.media == Media::Video
        {
            w.video_frames += 1;
        }
        w.items.push_back(Slot { item, video_before });
        w.bytes += cost;
        while w.bytes > self.max_bytes && w.items.len() > 1 {
            if let Some(old) = w.items.pop_front() {
                w.first += 1;
                w.bytes -= ITEM_OVERHEAD
                    + match &old.item {
                        Item::Frame(f) => f.data.len(),
                        Item::End(_) => 0,
                    };
            }
        }
        let head = w.first + w.items.len() as u64;
        drop(w);
        self.head.send_replace(head);
    }

    pub fn cursor(self: &Arc<Self>, start: Start) -> Cursor {
        let w = self.window();
        let head = w.first + w.items.len() as u64;
        let next = match start {
            Start::CurrentGop => w.newest_key().unwrap_or(head),
            Start::Oldest => w.key_at_or_after(w.first).unwrap_or(head),
            Start::NextKey => head,
        };
        let video_seen = w.video_before(next);
        drop(w);
        Cursor {
            ring: Arc::clone(self),
            head: self.head.subscribe(),
            next,
            video_seen,
            need_key: true,
        }
    }

    /// The newest key frame and everything after it that is still held, for a still without waiting.
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

impl Window {
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
    head: watch::Receiver<u64>,
    next: u64,
    video_seen: u64,
    /// Nothing but a key frame may come next.
    need_key: bool,
}

impl Cursor {
    /// The next item; waits for it. Cancel-safe. `None` when the ring is gone.
    pub async fn next(&mut self) -> Option<Read> {
        loop {
            if let Some(read) = self.try_next() {
                return Some(read);
            }
            let next = self.next;
            self.head.wait_for(|head| *head > next).await.ok()?;
        }
    }

    /// The next item if it is there already.
    pub fn try_next(&mut self) -> Option<Read> {
        let w = self.ring.window();
        if self.next < w.first {
            // Overrun: go on at the oldest key frame still held, or at the next one to come.
            let head = w.first + w.items.len() as u64;
            self.next = w.key_at_or_after(w.first).unwrap_or(head);
            let now = w.video_before(self.next);
            let frames = now.saturating_sub(self.video_seen);
            self.video_seen = now;
            self.need_key = true;
            return Some(Read::Skipped { frames });
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
                    if f.media == Media::Video {
                        self.video_seen += 1;
                    }
                    if self.need_key && !slot.is_key() {
                        continue;
                    }
                    self.need_key = false;
                    return Some(Read::Frame(Arc::clone(f)));
                }
            }
        }
    }

    /// Leaves what is unread and goes on at the newest key frame held that is still unread, else at the next to come.
    /// Returns the number of video frames left unread.
    pub fn skip_to_newest_key(&mut self) -> u64 {
        let w = self.ring.window();
        let head = w.first + w.items.len() as u64;
        self.next = w.newest_key().filter(|k| *k >= self.next).unwrap_or(head);
        let now = w.video_before(self.next);
        let frames = now.saturating_sub(self.video_seen);
        self.video_seen = now;
        self.need_key = true;
        frames
    }

    /// Items pushed and not yet read.
    pub fn behind(&self) -> u64 {
        self.head.borrow().saturating_sub(self.next)
    }
}
