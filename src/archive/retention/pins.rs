//! Files being read right now, and files being deleted. A file is never both.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::SegmentId;

/// Files being read right now, and files being deleted. A file is never both.
#[derive(Debug, Default)]
pub(in crate::archive) struct Pins(Mutex<Sets>);

#[derive(Debug, Default)]
struct Sets {
    reading: HashMap<SegmentId, usize>,
    deleting: HashSet<SegmentId>,
}

/// While this lives, retention leaves the files alone. (Open file handles alone would keep the bytes too, but a clip of a day
/// is 1 440 files, and they are opened one after the other.)
#[derive(Debug)]
pub(in crate::archive) struct Pinned {
    pins: Arc<Pins>,
    ids: Vec<SegmentId>,
}

impl Pins {
    /// `None` when one of them is being deleted.
    pub(in crate::archive) fn pin(self: &Arc<Self>, ids: Vec<SegmentId>) -> Option<Pinned> {
        let mut sets = self.lock();
        if ids.iter().any(|id| sets.deleting.contains(id)) {
            return None;
        }
        for id in &ids {
            *sets.reading.entry(*id).or_insert(0) += 1;
        }
        drop(sets);
        Some(Pinned {
            pins: Arc::clone(self),
            ids,
        })
    }

    /// Whether it may be deleted; nobody can pin it from then on.
    pub(in crate::archive) fn condemn(&self, id: SegmentId) -> bool {
        let mut sets = self.lock();
        !sets.reading.contains_key(&id) && sets.deleting.insert(id)
    }

    /// The deletion is over, done or not.
    pub(in crate::archive) fn release(&self, id: SegmentId) {
        self.lock().deleting.remove(&id);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Sets> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let mut sets = self.pins.lock();
        for id in &self.ids {
            if let Some(n) = sets.reading.get_mut(id) {
                *n -= 1;
                if *n == 0 {
                    sets.reading.remove(id);
                }
            }
        }
    }
}
