//! Clips planned lately. A player asks for one clip in many Range requests: only the first of them plans it.
//!
//! What is remembered keeps no file alive: a plan is pinned anew each time it is used, and forgotten when a file of it goes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::read::Layout;
use super::{Facts, Gaps};
use crate::archive::retention::{Pinned, Pins};
use crate::model::{Error, Result, SegmentId, StreamKey, TimeRange, UtcMicros};

/// Planned side by side: a day is two million pictures in memory.
const AT_ONCE: usize = 2;
const PATIENCE: Duration = Duration::from_secs(20);
const MOST: usize = 16;
/// Of all plans together, about.
const MOST_BYTES: usize = 96 << 20;

/// What decides the plan of a clip. Files that go are told by [`Planned::forget`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) stream: StreamKey,
    pub(super) range: TimeRange,
    /// How much of the range is durable; fragments are only ever added behind that.
    pub(super) durable: Option<UtcMicros>,
}

impl Key {
    pub(super) fn new(stream: &StreamKey, range: TimeRange, durable: Option<UtcMicros>) -> Self {
        Self {
            stream: stream.clone(),
            range,
            durable: durable.map(|d| d.min(range.to)),
        }
    }

    /// Nothing can be added to the range any more, and its gaps have their final cause.
    pub(super) fn settled(&self) -> bool {
        self.durable == Some(self.range.to)
    }
}

#[derive(Clone)]
pub(super) struct Made {
    pub(super) facts: Arc<Facts>,
    pub(super) layout: Arc<Layout>,
    pub(super) files: Arc<[SegmentId]>,
    /// When they are final.
    pub(super) gaps: Option<Gaps>,
}

impl Made {
    fn weight(&self) -> usize {
        self.layout.weight() + self.facts.weight()
    }
}

pub(in crate::archive) struct Planned {
    made: Mutex<VecDeque<(Key, Made)>>,
    planning: Semaphore,
}

impl Default for Planned {
    fn default() -> Self {
        Self {
            made: Mutex::default(),
            planning: Semaphore::new(AT_ONCE),
        }
    }
}

impl Planned {
    /// A turn to plan.
    pub(in crate::archive) async fn turn(&self) -> Result<SemaphorePermit<'_>> {
        let busy = || {
            Error::unavailable(
                "archive_busy",
                "many clips are asked for at once; try again in a moment",
            )
        };
        match tokio::time::timeout(PATIENCE, self.planning.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            // It is never closed.
            Ok(Err(e)) => Err(busy().because(e)),
            Err(e) => Err(busy().because(e)),
        }
    }

    /// The plan of `key` with its files pinned.
    pub(super) fn find(&self, key: &Key, pins: &Arc<Pins>) -> Option<(Made, Pinned)> {
        let mut all = self.lock();
        let at = all.iter().position(|(k, _)| k == key)?;
        let (key, made) = all.remove(at)?;
        // Pinned before the lock is given back: whoever deletes a file condemns it first and only then forgets its plans.
        let pinned = pins.pin(made.files.to_vec())?;
        all.push_back((key, made.clone()));
        Some((made, pinned))
    }

    /// The caller still has the files pinned.
    pub(super) fn keep(&self, key: Key, made: Made) {
        let mut all = self.lock();
        // An older plan of a range that grows is of no use any more.
        all.retain(|(k, _)| k.stream != key.stream || k.range != key.range);
        all.push_back((key, made));
        let mut bytes: usize = all.iter().map(|(_, m)| m.weight()).sum();
        while all.len() > MOST || bytes > MOST_BYTES {
            let Some((_, oldest)) = all.pop_front() else {
                break;
            };
            bytes -= oldest.weight();
        }
    }

    /// These files are gone.
    pub(in crate::archive) fn forget(&self, files: &[SegmentId]) {
        self.lock()
            .retain(|(_, made)| !made.files.iter().any(|f| files.contains(f)));
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Key, Made)>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::clip::ClipAudio;
    use crate::archive::volumes::Volumes;
    use crate::model::CameraId;

    fn key(to: i64, durable: i64) -> Key {
        let stream = StreamKey::main(CameraId::new("cam-1").unwrap());
        let range = TimeRange {
            from: UtcMicros(0),
            to: UtcMicros(to),
        };
        Key::new(&stream, range, Some(UtcMicros(durable)))
    }

    fn made(file: SegmentId, head: usize) -> Made {
        Made {
            facts: Arc::new(Facts {
                etag: String::new(),
                delivered: key(1, 1).range,
                media_from: UtcMicros(0),
                audio: ClipAudio::None,
                fragments: Vec::new(),
                codecs: Vec::new(),
                frames: 0,
            }),
            layout: Arc::new(Layout::new(Volumes::nowhere(), vec![0; head], Vec::new())),
            files: [file].into(),
            gaps: None,
        }
    }

    #[test]
    fn a_plan_is_found_until_more_is_durable_or_a_file_goes() {
        let (planned, pins) = (Planned::default(), Arc::new(Pins::default()));
        let (a, b) = (SegmentId::generate(), SegmentId::generate());
        planned.keep(key(100, 50), made(a, 1));
        planned.keep(key(200, 900), made(b, 1));
        assert!(key(200, 900).settled() && !key(100, 50).settled());
        assert!(planned.find(&key(100, 50), &pins).is_some());
        assert!(planned.find(&key(100, 60), &pins).is_none());
        assert!(planned.find(&key(200, 1_000), &pins).is_some(), "settled");
        planned.forget(&[b]);
        assert!(planned.find(&key(200, 900), &pins).is_none());
        planned.keep(key(100, 60), made(a, 1));
        assert!(planned.find(&key(100, 50), &pins).is_none(), "replaced");
    }

    #[test]
    fn what_is_found_is_pinned_and_what_is_only_remembered_is_not() {
        let (planned, pins) = (Planned::default(), Arc::new(Pins::default()));
        let file = SegmentId::generate();
        planned.keep(key(100, 100), made(file, 1));
        let found = planned.find(&key(100, 100), &pins);
        assert!(!pins.condemn(file), "in use");
        drop(found);
        assert!(pins.condemn(file), "a memory keeps no file");
        assert!(planned.find(&key(100, 100), &pins).is_none());
        pins.release(file);
    }

    #[test]
    fn memory_is_bounded() {
        let (planned, pins) = (Planned::default(), Arc::new(Pins::default()));
        let file = SegmentId::generate();
        for n in 1..=20 {
            planned.keep(key(n, n), made(file, 1));
        }
        assert_eq!(planned.lock().len(), MOST);
        assert!(planned.find(&key(4, 4), &pins).is_none());
        assert!(planned.find(&key(5, 5), &pins).is_some());
        planned.keep(key(99, 99), made(file, MOST_BYTES));
        assert_eq!(planned.lock().len(), 1);
        planned.keep(key(98, 98), made(file, MOST_BYTES + 1));
        assert_eq!(planned.lock().len(), 0, "too large to remember");
    }
}
