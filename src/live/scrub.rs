//! Scrubbing: where the key frames of a recording are, and small pictures of them for the time line and for playing backwards.
//!
//! A list of times shows nothing and is not logged; each picture is a look like any other, logged by the hour of footage. Pictures
//! are made one at a time by a worker of their own and kept in a bounded memory: whoever drags along a time line takes nothing from
//! stills, transcodes or the recorder.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::playback::{Playback, Still, no_camera};
use crate::access::{Action, Actor, Permission};
use crate::archive::KeyTimes;
use crate::model::{Error, Result, StreamKey, TimeRange, UtcMicros};

/// Times in one answer.
const MOST_TIMES: usize = 500;
/// Slots of one strip.
const MOST_SLOTS: usize = 120;
/// Widths that are made: any other would fill the memory with the same pictures.
const WIDTHS: [u32; 5] = [96, 160, 320, 640, 1280];
/// Of all pictures kept.
const MOST_BYTES: usize = 32 << 20;
const HOUR_US: i64 = 3_600_000_000;

/// One piece of a strip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    pub range: TimeRange,
    /// Its first key frame; `None` where nothing is recorded.
    pub at: Option<UtcMicros>,
}

impl Playback {
    /// When the key frames of a range are shown: the first of each `step` microseconds, 0: all.
    pub async fn key_times(
        &self,
        actor: &Actor,
        key: &StreamKey,
        range: TimeRange,
        step: i64,
    ) -> Result<KeyTimes> {
        let inner = &self.inner;
        let what = format!("key frames of {key}");
        inner
            .audit
            .check(actor, Permission::RecordingView, &what)
            .await?;
        let found = inner
            .archive
            .key_times(key, range, step.max(0), MOST_TIMES)
            .await?;
        if found.times.is_empty() && inner.cameras.get(&key.camera).is_none() {
            // Deleted cameras keep their recordings; one that never was has none.
            let parts = inner.archive.key_frame_at(key, UtcMicros::MAX).await?;
            return parts.map(|_| found).ok_or_else(|| no_camera(key));
        }
        Ok(found)
    }

    /// The range in `count` equal pieces, each with its first key frame.
    pub async fn strip(
        &self,
        actor: &Actor,
        key: &StreamKey,
        range: TimeRange,
        count: usize,
    ) -> Result<Vec<Slot>> {
        if !(1..=MOST_SLOTS).contains(&count) {
            return Err(Error::invalid(
                "bad_count",
                format!("`count` must be 1 to {MOST_SLOTS}"),
            ));
        }
        let pieces = i64::try_from(count).unwrap_or(1);
        let step = (range.micros() / pieces).max(1);
        let found = self.key_times(actor, key, range, step).await?;
        let mut times = found.times.into_iter().peekable();
        let slots = (0..pieces).map(|i| {
            let from = range.from + i * step;
            let to = if i + 1 == pieces {
                range.to
            } else {
                from + step
            };
            let mut at = None;
            while let Some(t) = times.next_if(|t| *t < to) {
                at = at.or(Some(t));
            }
            let range = TimeRange { from, to };
            Slot { range, at }
        });
        Ok(slots.collect())
    }

    /// A small picture of the last key frame at or before `at`.
    pub async fn thumbnail(
        &self,
        actor: &Actor,
        key: &StreamKey,
        at: UtcMicros,
        width: u32,
    ) -> Result<Still> {
        let width = WIDTHS.into_iter().find(|w| *w >= width).unwrap_or(1280);
        let hour = UtcMicros(at.micros().div_euclid(HOUR_US).saturating_mul(HOUR_US));
        let object = format!("{key} thumbnails of the hour from {hour}");
        self.look(actor, Action::Still, &object, at, async {
            let inner = &self.inner;
            if let Some(still) = inner.thumbnails.get(key, at, width) {
                // What retention has taken since is not shown from memory either.
                let moment = TimeRange {
                    from: still.at,
                    to: still.at + 1,
                };
                inner.archive.has_footage(key, moment).await?;
                return Ok(still);
            }
            let found = inner.archive.key_frame_at(key, at).await?.ok_or_else(|| {
                Error::not_found(
                    "no_footage",
                    format!("nothing of {key} is recorded at or before {at}"),
                )
            })?;
            let jpeg = inner
                .media
                .thumbnail(&found.params, found.data, width)
                .await?;
            let at_key = found.at;
            inner.thumbnails.put(key, at, width, (at_key, jpeg.clone()));
            Ok(Still { jpeg, at: at_key })
        })
        .await
    }
}

/// Pictures made lately, by what was asked for.
#[derive(Default)]
pub(super) struct Thumbnails(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    all: HashMap<(StreamKey, UtcMicros, u32), Picture>,
    bytes: usize,
    /// Counts up with every use.
    now: u64,
}

struct Picture {
    at: UtcMicros,
    jpeg: Bytes,
    used: u64,
}

impl Thumbnails {
    fn get(&self, key: &StreamKey, at: UtcMicros, width: u32) -> Option<Still> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.now += 1;
        let now = kept.now;
        let picture = kept.all.get_mut(&(key.clone(), at, width))?;
        picture.used = now;
        Some(Still {
            jpeg: picture.jpeg.clone(),
            at: picture.at,
        })
    }

    fn put(&self, key: &StreamKey, asked: UtcMicros, width: u32, made: (UtcMicros, Bytes)) {
        let (at, jpeg) = made;
        // An answer about the newest moment may be another one soon.
        if jpeg.len() > MOST_BYTES / 4 || at != asked {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.now += 1;
        let used = kept.now;
        kept.bytes += jpeg.len();
        let new = Picture { at, jpeg, used };
        if let Some(old) = kept.all.insert((key.clone(), asked, width), new) {
            kept.bytes -= old.jpeg.len();
        }
        if kept.bytes > MOST_BYTES {
            kept.forget_half();
        }
    }
}

impl Kept {
    /// Those not used for longest; half at once, so that it is not done for each new one.
    fn forget_half(&mut self) {
        let mut uses: Vec<u64> = self.all.values().map(|p| p.used).collect();
        let middle = uses.len() / 2;
        let (_, limit, _) = uses.select_nth_unstable(middle);
        let limit = *limit;
        self.all.retain(|_, p| p.used >= limit);
        self.bytes = self.all.values().map(|p| p.jpeg.len()).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::CameraId;

    #[test]
    fn pictures_are_kept_until_others_are_used_more() {
        let kept = Thumbnails::default();
        let key = StreamKey::main(CameraId::new("cam-1").unwrap());
        let (size, t) = (1 << 20, UtcMicros);
        for n in 0..30 {
            kept.put(&key, t(n), 160, (t(n), Bytes::from(vec![0; size])));
        }
        assert!(kept.get(&key, t(0), 160).is_some(), "all fit");
        assert!(kept.get(&key, t(0), 320).is_none(), "of another width");
        for n in 30..33 {
            kept.put(&key, t(n), 160, (t(n), Bytes::from(vec![0; size])));
        }
        assert!(kept.0.lock().unwrap().bytes <= MOST_BYTES);
        assert!(kept.get(&key, t(0), 160).is_some(), "used since");
        assert!(kept.get(&key, t(1), 160).is_none(), "longest unused");
        assert!(kept.get(&key, t(32), 160).is_some());
    }

    #[test]
    fn what_may_change_is_not_kept() {
        let kept = Thumbnails::default();
        let key = StreamKey::main(CameraId::new("cam-1").unwrap());
        kept.put(
            &key,
            UtcMicros(9),
            160,
            (UtcMicros(5), Bytes::from_static(b"x")),
        );
        assert!(kept.get(&key, UtcMicros(9), 160).is_none());
    }
}
