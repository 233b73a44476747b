//! At start: what the files hold and the index does not.
//!
//! For every stream on every volume: files the index calls unfinished are read from the last indexed byte on, files it does
//! not know are read whole. Whole fragments are made durable and indexed, a torn tail is cut off, the time since is one open gap
//! (`restart`). A file is removed only when its tombstone says that a rule had deleted it. An index that is lost entirely comes
//! back the same way.
//!
//! A stream writes one file after the other, so only days that are not wholly before its newest closed file are listed: a start
//! costs the same after a month as after a day. What older files may be missing is noted in the folder (`ledger`); everything
//! else is `fsck`'s to find.

use std::collections::{BTreeSet, HashMap};
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Inner;
use super::fsck::{joined, subtract};
use super::health::sync_message;
use super::ledger;
use super::scan::{self, Scan};
use super::state::ChainHead;
use super::sync::count_gaps;
use super::timeline::Standing;
use super::volumes::Mount;
use crate::model::{
    CameraId, Error, Gap, GapCause, Result, Segment, StreamKey, StreamRole, TimeRange, UtcMicros,
    split_path as split,
};
use crate::store::database::{ArchiveCommit, SegmentPart, SegmentRow, Tombstone};

/// Files in one transaction.
const BATCH: usize = 200;
/// Gaps of the journal in one transaction.
const GAPS: usize = 2_000;

/// More than can be written before the index has it, even while the database is away.
const LEFT_FREE: i64 = 1 << 20;

const DAY_US: i64 = 86_400_000_000;

/// Files of a stream to look at: path as the index names it, indexed bytes, whether closed; nothing for a file the index does
/// not know.
type Candidates = Vec<(String, Option<(u64, bool)>)>;

impl Inner {
    pub(super) async fn recover(&self) -> Result<()> {
        for mount in self.volumes.all() {
            self.bring_up(mount).await?;
        }
        self.finish_deletions().await?;
        let known = self.db.archive_streams().await?;
        let stopped: HashMap<StreamKey, UtcMicros> = known
            .iter()
            .filter_map(|(k, s)| s.map(|s| (k.clone(), s)))
            .collect();
        for (stream, _) in known {
            self.resume(&stream, stopped.get(&stream).copied()).await?;
        }
        Ok(())
    }

    /// Reads back what the index missed on one volume. Nothing is being written there.
    pub(super) async fn recover_volume(&self, mount: &Arc<Mount>) -> Result<()> {
        self.replay(mount).await?;
        let known = self.db.archive_streams().await?;
        let dir = mount.dir.clone();
        let (on_disk, owed) = blocking("list the archive", move || {
            Ok((streams(&dir)?, ledger::unindexed(&dir)?))
        })
        .await?;
        let all: BTreeSet<StreamKey> = known.into_iter().map(|(k, _)| k).chain(on_disk).collect();
        for stream in all {
            self.recover_stream(mount, &stream, owed).await?;
        }
        if owed.is_some() {
            let dir = mount.dir.clone();
            blocking("note that the index has all files", move || {
                ledger::clear_unindexed(&dir).or_else(ignore_read_only)
            })
            .await?;
        }
        Ok(())
    }

    /// Writes the gaps of a volume's journal into the index.
    pub(super) async fn replay(&self, mount: &Arc<Mount>) -> Result<()> {
        let (mut at, mut n) = (Some(0), 0);
        while let Some(from) = at {
            let place = Arc::clone(mount);
            let (gaps, next) = blocking("read the journal of gaps", move || {
                place.journal.read(from, GAPS)
            })
            .await?;
            n += gaps.len();
            if !gaps.is_empty() {
                let commit = ArchiveCommit {
                    gaps,
                    ..ArchiveCommit::default()
                };
                self.db.archive_commit(&commit).await?;
                count_gaps(&commit.gaps);
            }
            at = next;
        }
        if n > 0 {
            tracing::info!(
                volume = mount.label(),
                gaps = n,
                "gaps of the journal are in the index now"
            );
        }
        let place = Arc::clone(mount);
        blocking("empty the journal of gaps", move || {
            place.journal.clear().or_else(ignore_read_only)
        })
        .await
    }

    async fn finish_deletion(&self, mount: &Mount, inside: &str, path: &str) -> Result<()> {
        tracing::info!(file = %path, "finishing a deletion");
        let (volume, relative) = (Arc::clone(&mount.volume), PathBuf::from(inside));
        blocking("finish a deletion", move || {
            volume.remove(&relative).or_else(ignore_read_only)
        })
        .await
    }

    /// The files that the index may not have, oldest first. `owed`: files from then on may be missing whatever it has.
    async fn candidates(
        &self,
        mount: &Mount,
        stream: &StreamKey,
        owed: Option<UtcMicros>,
    ) -> Result<Candidates> {
        let (dir, key) = (mount.dir.clone(), stream.clone());
        let days = blocking("list recorded days", move || days(&dir, &key)).await?;
        let owed = owed.unwrap_or(UtcMicros::MAX);
        let mut found: Candidates = Vec::new();
        let mut missing = 0;
        let mut oldest = UtcMicros::MAX;
        for (day, begin) in days.into_iter().rev() {
            let range = TimeRange {
                from: begin,
                to: begin + DAY_US,
            };
            oldest = begin;
            let mut known = self.db.archive_paths_in(stream, range).await?;
            known.retain(|path, _| split(path).0 == mount.name);
            let (dir, prefix) = (mount.dir.clone(), mount.prefix());
            let names = blocking("list recorded files", move || {
                names(&dir.join(&day)).map(|n| (day, n))
            })
            .await?;
            let settled = known.values().any(|(_, closed)| *closed);
            for name in names.1.into_iter().filter(|n| n.ends_with(".mp4")) {
                let path = format!("{prefix}{}/{name}", names.0);
                let row = known.remove(&path);
                found.push((path, row));
            }
            missing += known.len();
            if settled && range.to <= owed {
                break;
            }
        }
        // Left open by an earlier crash or a failed sync, and passed by since.
        for (path, row) in self.db.archive_paths_open(stream, oldest).await? {
            if split(&path).0 == mount.name {
                found.push((path, Some(row)));
            }
        }
        if missing > 0 {
            tracing::error!(
                stream = %stream, files = missing,
                "files of the archive are gone that the index knows; check whether the right disk is mounted, then run \
                 `zhenbei fsck`"
            );
        }
        found.sort_unstable();
        Ok(found)
    }

    async fn recover_stream(
        &self,
        mount: &Arc<Mount>,
        stream: &StreamKey,
        owed: Option<UtcMicros>,
    ) -> Result<()> {
        let mut commit = ArchiveCommit::default();
        let (mut found, mut torn) = (0usize, 0u64);
        for (path, known) in self.candidates(mount, stream, owed).await? {
            let from = match known {
                Some((_, true)) => continue,
                Some((bytes, false)) => bytes,
                None => 0,
            };
            if let Some((part, gaps, holes, cut)) = self.recover_file(mount, &path, from).await? {
                found += part.fragments.len();
                torn += cut;
                commit.segments.push(part);
                commit.gaps.extend(gaps);
                commit.tombstones.extend(holes);
            }
            if commit.segments.len() >= BATCH {
                self.take_in(stream, std::mem::take(&mut commit)).await?;
            }
        }
        self.take_in(stream, commit).await?;
        if found > 0 || torn > 0 {
            tracing::warn!(
                stream = %stream, fragments = found, torn_bytes = torn,
                "read back what the index had missed"
            );
        }
        Ok(())
    }

    /// Writes what was read back; gaps that stood for it go.
    async fn take_in(&self, stream: &StreamKey, commit: ArchiveCommit) -> Result<()> {
        if commit.is_empty() {
            return Ok(());
        }
        self.db.archive_commit(&commit).await?;
        let all = commit.segments.iter().flat_map(|p| &p.fragments);
        let spans = joined(all.map(|f| f.fragment.range));
        self.db.archive_uncover(stream, &spans).await
    }

    /// What is new in one file, the gaps and the deletions it tells of, and the bytes cut off.
    async fn recover_file(
        &self,
        mount: &Arc<Mount>,
        path: &str,
        from: u64,
    ) -> Result<Option<(SegmentPart, Vec<Gap>, Vec<Tombstone>, u64)>> {
        let inside = split(path).1;
        let full = mount.dir.join(inside);
        let head = {
            let full = full.clone();
            blocking("read a file of the archive", move || scan::head(&full)).await
        };
        let head = match head {
            Ok(Some(head)) => head,
            Ok(None) => {
                let kept = full.with_extension("torn");
                tracing::warn!(file = %path, kept = %kept.display(), "a file without a whole head is set aside");
                blocking("set a torn file aside", move || {
                    std::fs::rename(&full, kept).or_else(ignore_read_only)
                })
                .await?;
                return Ok(None);
            }
            Err(e) => {
                // One unreadable file must not keep the others from being used.
                tracing::error!(file = %path, error = %e.chain(), "a file of the archive cannot be read");
                return Ok(None);
            }
        };
        let (head, init_len) = head;
        let known = self.db.archive_segment(head.id).await?;
        if known.is_none() && self.db.archive_is_buried(head.id).await? {
            self.finish_deletion(mount, inside, path).await?;
            return Ok(None);
        }
        // The index promises what survives a power cut. A process that was killed left pages that are not on the disk yet.
        let settled = {
            let full = full.clone();
            tokio::task::spawn_blocking(move || scan::settle(&full)).await
        };
        if let Ok(Err(e)) = settled
            && ignore_read_only(io::Error::from(e.kind())).is_err()
        {
            let message = sync_message(&mount.dir, &e);
            mount.troubles.sync(Some(message));
            tracing::error!(file = %path, error = %e, "a file of the archive cannot be made durable; it is not taken into the index");
            return Ok(None);
        }
        let offset = from.max(u64::from(init_len));
        let scanned = {
            let (full, head) = (full.clone(), head.clone());
            blocking("read a file of the archive", move || {
                scan::scan(&full, &head, offset)
            })
            .await
        };
        let scanned = match scanned {
            Ok(scanned) => scanned,
            Err(e) => {
                tracing::error!(file = %path, error = %e.chain(), "a file of the archive cannot be read");
                return Ok(None);
            }
        };
        if scanned.len < from {
            tracing::error!(
                file = %path, indexed = from, found = scanned.len,
                "a file of the archive is shorter than what was made durable; check the disk"
            );
        }
        for (at, to) in &scanned.damaged {
            tracing::error!(file = %path, from = at, to, "damaged bytes in a file of the archive; what lies behind them is kept");
        }
        let cut = scanned.len.saturating_sub(scanned.whole);
        if cut > 0 {
            let keep = scanned.whole;
            let shortened = blocking("cut a torn tail off", move || {
                OpenOptions::new()
                    .write(true)
                    .open(&full)
                    .and_then(|f| f.set_len(keep).and_then(|()| f.sync_all()))
            })
            .await;
            if let Err(e) = shortened {
                tracing::warn!(file = %path, error = %e.chain(), "a torn tail could not be cut off; it is passed over");
            }
        }
        let gaps = self.told_gaps(&scanned).await?;
        let row = match known {
            Some(part) => Some(part.row),
            None => scanned.fragments.first().map(|(first, _)| SegmentRow {
                segment: Segment {
                    id: head.id,
                    stream: head.stream.clone(),
                    path: path.to_owned(),
                    started: head.started,
                    init_len,
                },
                first_seq: first.fragment.seq,
                ended: head.started,
                bytes: u64::from(init_len),
                freed: 0,
                whole: true,
                closed: true,
                params: head.params.clone(),
            }),
        };
        let holes = told_deletions(path, &head.stream, &scanned);
        // A head and no fragment: nothing to index, nothing lost.
        Ok(row.map(|row| (part_of(row, scanned), gaps, holes, cut)))
    }

    /// Gaps that fragments tell of, as far as the index does not have them. Several causes in a row come back as the last one.
    async fn told_gaps(&self, scanned: &Scan) -> Result<Vec<Gap>> {
        let mut gaps = Vec::new();
        for (row, parsed) in &scanned.fragments {
            let Some((from, cause)) = parsed.header.gap else {
                continue;
            };
            let range = TimeRange {
                from,
                to: row.fragment.range.from,
            };
            let stream = &parsed.header.stream;
            let known = self.db.archive_gaps(stream, range).await?;
            let known = joined(known.into_iter().map(|(range, _)| range));
            gaps.extend(subtract(range, &known).into_iter().map(|range| Gap {
                stream: stream.clone(),
                range,
                cause,
            }));
        }
        Ok(gaps)
    }

    /// A volume that is away may hold fragments that the index missed: so many numbers are left free for them.
    pub(super) fn left_free(&self) -> i64 {
        let all_read = self.volumes.all().iter().all(|m| m.is_recovered());
        if all_read { 0 } else { LEFT_FREE }
    }

    /// Sets a stream's state to what the index now knows.
    async fn resume(&self, stream: &StreamKey, stopped: Option<UtcMicros>) -> Result<()> {
        let last = self.db.archive_before(stream, UtcMicros::MAX, 1).await?;
        let skip = self.left_free();
        let none = ChainHead {
            next_seq: 1 + skip,
            ..ChainHead::EMPTY
        };
        let recorded = last
            .first()
            .and_then(|p| p.fragments.last())
            .map(|row| ChainHead {
                next_seq: row.fragment.seq + 1 + skip,
                hash: row.fragment.sha256,
                end: Some(row.fragment.range.to),
            });
        // What was deleted last may lie behind the last that is left, which is held.
        let dead = self
            .db
            .archive_tombstone_before(stream, UtcMicros::MAX)
            .await?;
        let deleted = dead.map(|t| ChainHead {
            next_seq: t.last_seq + 1 + skip,
            hash: t.last_sha256,
            end: Some(t.range.to),
        });
        let chain = recorded
            .into_iter()
            .chain(deleted)
            .max_by_key(|c| c.next_seq)
            .unwrap_or(none);
        let known_until = chain.end.max(self.db.archive_last_gap(stream).await?);
        let known_until = self
            .explain(stream, chain.end, known_until, stopped)
            .await?;
        let missing = match (stopped, known_until) {
            (Some(from), until) => Some((until.unwrap_or(from).max(from), GapCause::Stopped)),
            (None, Some(from)) => Some((from, GapCause::Restart)),
            (None, None) => None,
        };
        let ahead = last
            .first()
            .and_then(|p| p.fragments.last())
            .map_or(0, |row| row.fragment.clock.ahead_us);
        self.state(stream)
            .resume(chain, missing, Standing::restored(ahead));
        Ok(())
    }

    /// A gap may have reached the index before the pictures ahead of it were durable. What nothing explains until the last
    /// moment known was lost by the crash; returns that moment.
    async fn explain(
        &self,
        stream: &StreamKey,
        end: Option<UtcMicros>,
        known_until: Option<UtcMicros>,
        stopped: Option<UtcMicros>,
    ) -> Result<Option<UtcMicros>> {
        let (Some(from), Some(to)) = (end, known_until.max(stopped)) else {
            return Ok(known_until);
        };
        if from >= to {
            return Ok(known_until);
        }
        let range = TimeRange { from, to };
        let known = self.db.archive_gaps(stream, range).await?;
        let known = joined(known.into_iter().map(|(range, _)| range));
        let lost: Vec<_> = subtract(range, &known)
            .into_iter()
            .map(|range| (range, GapCause::Restart))
            .collect();
        self.db.archive_put_gaps(stream, &[], &lost).await?;
        Ok(Some(to))
    }
}

/// Deletions that the file's own holes tell of.
fn told_deletions(path: &str, stream: &StreamKey, scanned: &Scan) -> Vec<Tombstone> {
    let told = scanned.freed.iter().filter_map(|(at, hole)| {
        let note = hole.note.as_ref()?;
        Some(Tombstone {
            segment: note.segment,
            stream: stream.clone(),
            path: path.to_owned(),
            range: note.range,
            first_seq: note.first_seq,
            last_seq: note.last_seq,
            last_sha256: note.last_sha256,
            byte_from: *at,
            bytes: hole.len,
            rule: note.rule.clone(),
            actor: note.actor.clone(),
            in_part: true,
            deleted_at: note.deleted_at,
        })
    });
    told.collect()
}

fn part_of(mut row: SegmentRow, scanned: Scan) -> SegmentPart {
    let freed = scanned.freed_bytes();
    let mut fragments = Vec::with_capacity(scanned.fragments.len());
    for (fragment, _) in scanned.fragments {
        row.whole &= row.ended == fragment.fragment.range.from;
        row.ended = fragment.fragment.range.to;
        fragments.push(fragment);
    }
    row.bytes = row.bytes.max(scanned.whole);
    row.freed = freed;
    row.whole &= row.freed == 0;
    row.closed = true;
    SegmentPart { row, fragments }
}

/// Every stream with a folder.
fn streams(dir: &Path) -> io::Result<Vec<StreamKey>> {
    let mut found = Vec::new();
    for camera in names(dir)? {
        let Ok(id) = CameraId::new(&camera) else {
            continue;
        };
        for role in names(&dir.join(&camera))? {
            if let Some(role) = StreamRole::parse(&role) {
                found.push(StreamKey::new(id.clone(), role));
            }
        }
    }
    Ok(found)
}

/// Folders of a stream's days and when each begins, in order.
fn days(dir: &Path, stream: &StreamKey) -> io::Result<Vec<(String, UtcMicros)>> {
    let base = format!("{}/{}", stream.camera, stream.role);
    let days = names(&dir.join(&base))?;
    Ok(days
        .into_iter()
        .filter_map(|name| {
            let (year, rest) = name.split_at_checked(4)?;
            let (month, day) = rest.split_at_checked(2)?;
            let begin = UtcMicros::parse(&format!("{year}-{month}-{day}T00:00:00Z")).ok()?;
            Some((format!("{base}/{name}"), begin))
        })
        .collect())
}

/// Names in a folder, sorted; none if it is not there or no folder. Names that are not UTF-8 are not ours.
fn names(dir: &Path) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Vec::new());
        }
        Err(e) => return Err(e),
    };
    let mut found = Vec::new();
    for entry in entries {
        if let Ok(name) = entry?.file_name().into_string() {
            found.push(name);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// On a disk that cannot be written recovery reads and leaves things as they are.
fn ignore_read_only(e: io::Error) -> io::Result<()> {
    let harmless = matches!(
        e.kind(),
        io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::StorageFull
            | io::ErrorKind::NotFound
    );
    if harmless { Ok(()) } else { Err(e) }
}

pub(super) async fn blocking<T: Send + 'static>(
    doing: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let fail = || {
        Error::unavailable(
            "archive_disk",
            format!("could not {doing}; check the disk of the archive"),
        )
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(e)) => Err(fail().because(e)),
        Err(e) => Err(fail().because(e)),
    }
}
