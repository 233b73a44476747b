//! Deletes what is too old or too much, oldest first; never what is held, never what is being read.
//!
//! A file goes in this order: holds looked at once more, tombstone and gap into the index, row out (one transaction), then the
//! file. A crash in between leaves a file with a tombstone, which the next start removes.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Inner;
use super::recovery::blocking;
use super::sync::as_f64;
use super::volumes::Mount;
use crate::model::{Result, SegmentId, UtcMicros, split_path};
use crate::store::database::{Hold, SegmentRow, Tombstone};
use crate::telemetry::{Metric, count, gauge};

/// Files looked at and buried in one transaction.
const BATCH: i64 = 64;
/// Free space never costs the newest of the archive: a disk filled by something else must not empty it entirely.
const YOUNGEST: Duration = Duration::from_secs(600);

/// Files being read right now, and files being deleted. A file is never both.
#[derive(Debug, Default)]
pub(super) struct Pins(Mutex<Sets>);

#[derive(Debug, Default)]
struct Sets {
    reading: HashMap<SegmentId, usize>,
    deleting: HashSet<SegmentId>,
}

/// While this lives, retention leaves the files alone. (Open file handles alone would keep the bytes too, but a clip of a day
/// is 1 440 files, and they are opened one after the other.)
#[derive(Debug)]
pub(super) struct Pinned {
    pins: Arc<Pins>,
    ids: Vec<SegmentId>,
}

impl Pins {
    /// `None` when one of them is being deleted.
    pub(super) fn pin(self: &Arc<Self>, ids: Vec<SegmentId>) -> Option<Pinned> {
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
    pub(super) fn condemn(&self, id: SegmentId) -> bool {
        let mut sets = self.lock();
        !sets.reading.contains_key(&id) && sets.deleting.insert(id)
    }

    /// The deletion is over, done or not.
    pub(super) fn release(&self, id: SegmentId) {
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

/// Why a file goes.
fn rule(
    days: f64,
    mount: &Mount,
    row: &SegmentRow,
    now: UtcMicros,
    total: u64,
    free: u64,
) -> Option<String> {
    let age = now.micros_since(row.ended);
    let (max_bytes, min_free) = (mount.max_bytes, mount.min_free_bytes);
    #[allow(clippy::cast_precision_loss, reason = "days, compared roughly")]
    if age as f64 > days * 86_400e6 {
        return Some(format!("retention_days = {days}"));
    }
    if max_bytes > 0 && total > max_bytes {
        return Some(format!("max_bytes = {max_bytes}"));
    }
    let young = age < i64::try_from(YOUNGEST.as_micros()).unwrap_or(i64::MAX);
    (free < min_free && !young).then(|| format!("min_free_bytes = {min_free}"))
}

fn held(holds: &[Hold], row: &SegmentRow) -> bool {
    holds
        .iter()
        .any(|h| h.stream == row.segment.stream && h.range.overlaps(&row.range()))
}

impl Inner {
    pub(super) async fn keep_tidy(self: Arc<Self>, every: Duration, stop: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(every) => {}
            }
            match self.tidy().await {
                Ok(_) => {
                    self.troubles.retention(None);
                }
                Err(e) => {
                    let message = format!("old recordings could not be deleted: {}", e.detail());
                    if self.troubles.retention(Some(message)) {
                        tracing::error!(error = %e.chain(), "retention failed");
                    }
                }
            }
        }
    }

    /// One pass over all volumes that are there; returns the number of files deleted.
    pub(super) async fn tidy(&self) -> Result<usize> {
        let mut deleted = 0;
        let mut failed = None;
        for mount in self.volumes.all() {
            if !mount.readable() {
                continue;
            }
            match self.tidy_volume(mount).await {
                Ok(n) => deleted += n,
                // The others are tidied all the same.
                Err(e) => failed = Some(e),
            }
        }
        failed.map_or(Ok(deleted), Err)
    }

    async fn tidy_volume(&self, mount: &Arc<Mount>) -> Result<usize> {
        let now = self.clock.now();
        let asked = Arc::clone(mount);
        let mut free = blocking("ask for free space", move || asked.ask_free()).await?;
        let told = i64::try_from(free).unwrap_or(i64::MAX);
        let label = [("volume", mount.label())];
        gauge(Metric::ArchiveFreeBytes, &label, as_f64(told));
        let mut total = mount.bytes();
        let days = self.config.retention_days;
        let mut after = (UtcMicros::MIN, String::new());
        let mut deleted = 0;
        loop {
            let oldest = {
                let after = (after.0, after.1.as_str());
                self.db.archive_oldest(&mount.name, after, BATCH).await?
            };
            let Some(last) = oldest.last() else {
                break;
            };
            after = (last.segment.started, last.segment.id.to_string());
            // Read again for each batch: a hold put meanwhile counts.
            let holds = self.db.archive_holds().await?;
            let mut go = Vec::new();
            let mut kept_by_rule = true;
            for row in oldest {
                let Some(rule) = rule(days, mount, &row, now, total, free) else {
                    continue;
                };
                kept_by_rule = false;
                if held(&holds, &row) || !self.pins.condemn(row.segment.id) {
                    continue;
                }
                total = total.saturating_sub(row.bytes);
                free = free.saturating_add(row.bytes);
                go.push((row, rule));
            }
            let condemned: Vec<SegmentId> = go.iter().map(|(row, _)| row.segment.id).collect();
            let done = self.delete(mount, go, now).await;
            for id in condemned {
                self.pins.release(id);
            }
            deleted += done?;
            if kept_by_rule {
                break; // younger ones are kept too
            }
        }
        Ok(deleted)
    }

    async fn delete(
        &self,
        mount: &Mount,
        rows: Vec<(SegmentRow, String)>,
        now: UtcMicros,
    ) -> Result<usize> {
        let mut tombstones = Vec::with_capacity(rows.len());
        for (row, rule) in rows {
            let part = self.db.archive_segment(row.segment.id).await?;
            let Some(part) = part else { continue };
            let last = part.fragments.last();
            tombstones.push(Tombstone {
                segment: row.segment.id,
                stream: row.segment.stream.clone(),
                path: row.segment.path.clone(),
                range: row.range(),
                first_seq: row.first_seq,
                last_seq: last.map_or(row.first_seq, |f| f.fragment.seq),
                last_sha256: last.map_or([0; 32], |f| f.fragment.sha256),
                bytes: row.bytes,
                rule,
                actor: "retention".into(),
                in_part: false,
                deleted_at: now,
            });
        }
        if tombstones.is_empty() {
            return Ok(0);
        }
        // A hold put since it was looked for keeps its files: only what was really buried goes.
        let buried = self.db.archive_bury(&tombstones).await?;
        self.planned.forget(&buried);
        let n = buried.len();
        for t in tombstones {
            if !buried.contains(&t.segment) {
                continue;
            }
            mount.shrank(t.bytes);
            tracing::info!(stream = %t.stream, file = %t.path, rule = %t.rule, "recording deleted");
            let key = t.rule.split(' ').next().unwrap_or_default();
            count(Metric::ArchiveDeleted, &[("cause", key)], 1);
            let volume = Arc::clone(&mount.volume);
            let path = PathBuf::from(split_path(&t.path).1);
            // A file that cannot be removed now is removed at the next start: its tombstone stands.
            let removed = blocking("remove a file", move || volume.remove(&path)).await;
            if let Err(e) = removed {
                tracing::warn!(error = %e.chain(), "a deleted recording's file is still there");
            }
        }
        Ok(n)
    }
}
