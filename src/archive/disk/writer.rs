//! One disk thread: the open files of its streams.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use super::{Job, Site, Written, stable_hash};
use crate::archive::boxes::{Boxes, u32_of};
use crate::archive::fragment::{self, Clockwork, Header};
use crate::archive::health::{cause_of, disk_message};
use crate::archive::state::{ChainHead, StreamState};
use crate::archive::timeline::Take;
use crate::archive::volume::SegmentFile;
use crate::archive::{init, params};
use crate::model::{Fragment, GapCause, Segment, SegmentId, StreamKey, UtcMicros};
use crate::store::database::{FragmentRow, SegmentPart, SegmentRow};
use crate::video::StreamParams;

const RETRY_FULL: Duration = Duration::from_secs(5);
const RETRY_ERROR: Duration = Duration::from_secs(1);
/// Without a key frame a file cannot be changed; after this many times its length it is changed all the same.
const OVERLONG: i64 = 10;

pub(super) struct Writer {
    site: Site,
    waiting: Arc<AtomicUsize>,
    files: HashMap<StreamKey, Open>,
    closed: Vec<Written>,
    /// Streams that lost a fragment: pictures before the next key frame cannot be decoded.
    need_key: HashMap<StreamKey, GapCause>,
    buffer: Boxes,
}

struct Open {
    file: Arc<dyn SegmentFile>,
    row: SegmentRow,
    before: Option<SegmentRow>,
    unsynced: Vec<FragmentRow>,
    params: Arc<StreamParams>,
    clockwork: Clockwork,
    suspect: Arc<AtomicBool>,
    folders: Vec<PathBuf>,
}

impl Writer {
    pub(super) fn new(site: Site, waiting: Arc<AtomicUsize>) -> Self {
        Self {
            site,
            waiting,
            files: HashMap::new(),
            closed: Vec::new(),
            need_key: HashMap::new(),
            buffer: Boxes::default(),
        }
    }

    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(job) = jobs.blocking_recv() {
            match job {
                Job::Write(state, take) => {
                    let cost = take.bytes();
                    self.write(&state, &take);
                    drop(take);
                    state.leave_queue();
                    self.waiting.fetch_sub(cost, Ordering::Relaxed);
                }
                Job::Close(key) => {
                    self.close(&key);
                    self.need_key.remove(&key);
                }
                Job::CloseAll => {
                    let keys: Vec<StreamKey> = self.files.keys().cloned().collect();
                    for key in keys {
                        self.close(&key);
                    }
                }
                Job::Collect(answer) => {
                    let mut all = std::mem::take(&mut self.closed);
                    all.extend(self.files.values_mut().filter_map(Open::collect));
                    // Nobody waits any more: it was the last round.
                    answer.send(all).ok();
                }
            }
        }
    }

    fn write(&mut self, state: &Arc<StreamState>, take: &Take) {
        let key = &state.key;
        if let Some(cause) = state.blocked(self.site.clock.now()) {
            self.need_key.insert(key.clone(), cause);
        }
        if let Some(cause) = self.need_key.get(key).copied()
            && (!take.key || state.blocked(self.site.clock.now()).is_some())
        {
            state.lost(take.range, cause);
            return;
        }
        if self.must_change(key, take) {
            self.close(key);
        }
        let chain = state.chain();
        match self.append(key, take, chain) {
            Ok(hash) => {
                self.need_key.remove(key);
                state.advance(ChainHead {
                    next_seq: chain.next_seq + 1,
                    hash,
                    end: Some(take.range.to),
                });
                if self.site.troubles.disk(None) {
                    tracing::info!(stream = %key, "recording works again");
                }
            }
            Err(e) => self.failed(state, take, &e),
        }
    }

    fn must_change(&self, key: &StreamKey, take: &Take) -> bool {
        let Some(open) = self.files.get(key) else {
            return false;
        };
        let started = open.row.segment.started;
        let length = self.site.segment_us;
        // Each stream changes files at its own second: files of all streams at once would be a burst of seeks.
        let offset = i64::from(stable_hash(key)) * 1_000 % length;
        let turn = |t: UtcMicros| (t.micros() - offset).div_euclid(length);
        open.suspect.load(Ordering::Relaxed)
            || take.session
            || (!Arc::ptr_eq(&open.params, &take.params) && open.params != take.params)
            || (take.key && turn(take.range.from) != turn(started))
            || take.range.from.micros_since(started) > length.saturating_mul(OVERLONG)
    }

    fn append(&mut self, key: &StreamKey, take: &Take, chain: ChainHead) -> io::Result<[u8; 32]> {
        self.buffer.buf.clear();
        let is_new = !self.files.contains_key(key);
        if is_new {
            let open = self.create(key, take, chain.next_seq)?;
            self.files.insert(key.clone(), open);
        }
        let Some(open) = self.files.get_mut(key) else {
            return Err(io::Error::other("the file is gone"));
        };
        let lead = self.buffer.len();
        let header = Header {
            segment: open.row.segment.id,
            stream: key.clone(),
            seq: chain.next_seq,
            previous: chain.hash,
            range: take.range,
            gap: chain
                .end
                .filter(|end| *end < take.range.from)
                .map(|end| (end, self.need_key.get(key).copied().unwrap_or(take.before))),
            received: take.received,
            lost: take.lost,
            clock: take.clock,
            key: take.key,
            session: take.session,
        };
        let mut clockwork = open.clockwork;
        let (sha256, table) = fragment::write(&mut self.buffer, &header, take, &mut clockwork);
        let at = open.row.bytes;
        open.file.write_at(&self.buffer.buf, at)?;
        open.clockwork = clockwork;
        let fragment = Fragment {
            segment: open.row.segment.id,
            seq: chain.next_seq,
            range: take.range,
            offset: at + lead as u64,
            len: u32_of(self.buffer.len() - lead),
            sha256,
            packets_lost: take.lost,
            clock: take.clock,
            samples: table.pack(),
        };
        open.row.whole &= open.row.ended == take.range.from;
        open.row.ended = take.range.to;
        open.row.bytes += self.buffer.len() as u64;
        open.unsynced.push(FragmentRow {
            fragment,
            key: take.key,
        });
        // One huge GOP must not keep its memory for ever.
        if self.buffer.buf.capacity() > 8 << 20 {
            self.buffer = Boxes::default();
        }
        Ok(sha256)
    }

    /// A new file; its head goes into the buffer, to be written together with the first fragment.
    fn create(&mut self, key: &StreamKey, take: &Take, first_seq: i64) -> io::Result<Open> {
        let id = SegmentId::generate();
        let started = take.range.from;
        let path = path(key, started, id);
        let head = init::Head {
            id,
            stream: key.clone(),
            started,
            params: params::to_text(&take.params),
        };
        init::write(&mut self.buffer, &head, &take.params);
        let file = self.site.volume.create(Path::new(&path))?;
        let named = format!("{}{path}", self.site.mount.prefix());
        let folders = Path::new(&path)
            .ancestors()
            .skip(1)
            .map(Path::to_path_buf)
            .collect();
        Ok(Open {
            file,
            before: None,
            row: SegmentRow {
                segment: Segment {
                    id,
                    stream: key.clone(),
                    path: named,
                    started,
                    init_len: u32_of(self.buffer.len()),
                },
                first_seq,
                ended: started,
                bytes: 0,
                freed: 0,
                whole: true,
                closed: false,
                params: head.params,
            },
            unsynced: Vec::new(),
            params: Arc::clone(&take.params),
            clockwork: Clockwork {
                started,
                audio_end: 0,
            },
            suspect: Arc::default(),
            folders,
        })
    }

    fn failed(&mut self, state: &Arc<StreamState>, take: &Take, e: &io::Error) {
        let key = &state.key;
        let cause = cause_of(e);
        let wait = if cause == GapCause::DiskFull {
            RETRY_FULL
        } else {
            RETRY_ERROR
        };
        state.lost(take.range, cause);
        state.block(cause, self.site.clock.now().plus(wait));
        self.need_key.insert(key.clone(), cause);
        let message = disk_message(&self.site.root, e);
        if self.site.troubles.disk(Some(message.clone())) {
            tracing::error!(stream = %key, error = %e, "{message}");
        }
        let Some(open) = self.files.get(key) else {
            return;
        };
        if open.row.bytes == 0 {
            // Made for this write and holds nothing.
            let path = PathBuf::from(open.row.segment.split_path().1);
            self.files.remove(key);
            self.site.volume.remove(&path).ok();
        } else if open.file.truncate(open.row.bytes).is_err() || cause != GapCause::DiskFull {
            // The same file is not tried again; recovery cuts what the failed write left.
            self.close(key);
        }
    }

    fn close(&mut self, key: &StreamKey) {
        if let Some(mut open) = self.files.remove(key) {
            open.row.closed = true;
            if let Some(written) = open.take() {
                self.closed.push(written);
            }
        }
    }
}

impl Open {
    fn collect(&mut self) -> Option<Written> {
        if self.unsynced.is_empty() {
            return None;
        }
        self.take()
    }

    fn take(&mut self) -> Option<Written> {
        if self.before.is_none() && self.unsynced.is_empty() {
            return None;
        }
        let before = self.before.replace(self.row.clone());
        Some(Written {
            file: Arc::clone(&self.file),
            part: SegmentPart {
                row: self.row.clone(),
                fragments: std::mem::take(&mut self.unsynced),
            },
            before,
            suspect: Arc::clone(&self.suspect),
            folders: std::mem::take(&mut self.folders),
        })
    }
}

/// `camera/stream/day/time-id.mp4`, all in UTC: names sort by time, a day is a folder.
fn path(key: &StreamKey, started: UtcMicros, id: SegmentId) -> String {
    let text = started.to_string(); // 2026-11-24T06:25:00.000000Z
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let (day, time) = digits.split_at_checked(8).unwrap_or((&digits, ""));
    let id = id.0.simple().to_string();
    let tail = id.get(24..).unwrap_or(&id);
    format!("{}/{}/{day}/{day}T{time}Z-{tail}.mp4", key.camera, key.role)
}
