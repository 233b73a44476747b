//! `zhenbei fsck`: does the archive say the truth? Files, index, hash chain, tombstones and gaps against each other.
//!
//! Runs while the daemon does not. It names everything that does not fit, and mends what can be mended without losing a
//! picture: the index follows the files, the list of gaps follows both. It never deletes footage: it removes a file only when
//! a tombstone says that a rule had deleted it and no hold stands on it, and cuts off only bytes that are no fragment.

mod chain;
mod files;
mod finding;
mod links;
mod stream;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

pub(in crate::archive) use chain::{joined, subtract};
pub use finding::{Finding, FindingKind, FsckSummary};

use super::ledger::{self, Journal};
use super::recovery::blocking;
use super::volumes::{Mount, Volumes};
use crate::archive::Folder;
use crate::config::ArchiveConfig;
use crate::model::{Clock, Result, StreamKey, UtcMicros};
use crate::store::Database;
use crate::store::database::{ArchiveCommit, Hold};

/// Gaps of the journal in one transaction.
const GAPS: usize = 2_000;

#[derive(Clone, Copy, Debug, Default)]
pub struct FsckOptions {
    /// Mend what can be mended.
    pub repair: bool,
    /// Forget what the index says of files and make it anew from the files. Implies `repair`.
    pub rebuild: bool,
    /// Do not read the files: names, lengths and the index only.
    pub quick: bool,
}

/// An archive that nobody else uses.
pub struct Fsck {
    volumes: Volumes,
    db: Database,
    options: FsckOptions,
    holds: Vec<Hold>,
    summary: FsckSummary,
}

/// Where findings go as they are found.
type Tell<'a> = &'a mut (dyn FnMut(&Finding) + Send);

impl Fsck {
    /// Takes the archive for itself. Error `archive_in_use`: the daemon runs.
    pub async fn open(
        config: &ArchiveConfig,
        dir: PathBuf,
        db: Database,
        clock: Arc<dyn Clock>,
        options: FsckOptions,
    ) -> Result<Self> {
        let make = |_: &str, at: &std::path::Path| -> Arc<dyn super::Volume> {
            Arc::new(Folder::new(at.to_path_buf()))
        };
        let volumes = Volumes::new(config, dir, &make);
        for mount in volumes.all() {
            if let Some(state) = mount.enter(&db, clock.now()).await? {
                mount.set_state(state);
            }
        }
        let holds = db.archive_holds().await?;
        Ok(Self {
            volumes,
            db,
            options: FsckOptions {
                repair: options.repair || options.rebuild,
                quick: options.quick && !options.rebuild,
                ..options
            },
            holds,
            summary: FsckSummary::default(),
        })
    }

    /// Checks all of it.
    pub async fn run(mut self, tell: &mut (dyn FnMut(&Finding) + Send)) -> Result<FsckSummary> {
        self.volumes_there(tell);
        self.waiting_gaps(tell).await?;
        if self.options.rebuild {
            // Ended half-way, the next start reads the rest.
            for dir in self.readable() {
                blocking("note that the index is being made anew", move || {
                    ledger::note_unindexed(&dir, UtcMicros::MIN)
                })
                .await?;
            }
            self.db.archive_forget_all().await?;
        }
        for stream in self.streams(tell).await? {
            self.stream(&stream, tell).await?;
            self.summary.streams += 1;
        }
        if self.options.repair {
            for dir in self.readable() {
                blocking("note that the index has all files", move || {
                    ledger::clear_unindexed(&dir)
                })
                .await?;
            }
        }
        Ok(self.summary)
    }

    fn readable(&self) -> Vec<PathBuf> {
        self.mounts().map(|m| m.dir.clone()).collect()
    }

    fn mounts(&self) -> impl Iterator<Item = &Arc<Mount>> {
        self.volumes.all().iter().filter(|m| m.readable())
    }

    fn say(&mut self, tell: &mut (dyn FnMut(&Finding) + Send), finding: Finding) {
        self.summary.count(&finding);
        tell(&finding);
    }

    fn volumes_there(&mut self, tell: Tell<'_>) {
        let away: Vec<String> = self
            .volumes
            .all()
            .iter()
            .filter(|m| !m.readable())
            .map(|m| {
                let why = m.health().message.unwrap_or_default();
                format!(
                    "the volume {} ({}) is not there: {why}",
                    m.label(),
                    m.dir.display()
                )
            })
            .collect();
        for text in away {
            self.say(tell, Finding::new(FindingKind::VolumeMissing, text));
        }
    }

    /// Gaps that the daemon could not write into the index.
    async fn waiting_gaps(&mut self, tell: Tell<'_>) -> Result<()> {
        for dir in self.readable() {
            let journal = Arc::new(Journal::new(&dir));
            let (mut at, mut n) = (Some(0), 0);
            while let Some(from) = at {
                let reader = Arc::clone(&journal);
                let (gaps, next) =
                    blocking("read the journal of gaps", move || reader.read(from, GAPS)).await?;
                n += gaps.len();
                if self.options.repair && !gaps.is_empty() {
                    let commit = ArchiveCommit {
                        gaps,
                        ..ArchiveCommit::default()
                    };
                    self.db.archive_commit(&commit).await?;
                }
                at = next;
            }
            if n > 0 {
                if self.options.repair {
                    let done = Arc::clone(&journal);
                    blocking("empty the journal of gaps", move || done.clear()).await?;
                }
                let text = format!("{n} gaps in {} are not in the index", dir.display());
                let repaired = self.options.repair;
                let finding = Finding::new(FindingKind::GapsWaiting, text).repaired(repaired);
                self.say(tell, finding);
            }
        }
        Ok(())
    }

    /// Every stream that has a folder, a row or a hold.
    async fn streams(&mut self, tell: Tell<'_>) -> Result<BTreeSet<StreamKey>> {
        let known = self.db.archive_streams().await?;
        let mut all: BTreeSet<StreamKey> = known.into_iter().map(|(key, _)| key).collect();
        all.extend(self.holds.iter().map(|h| h.stream.clone()));
        let mounts: Vec<_> = self.mounts().map(|m| (m.dir.clone(), m.prefix())).collect();
        for (dir, prefix) in mounts {
            let (found, foreign) =
                blocking("list the archive", move || files::streams(&dir)).await?;
            all.extend(found);
            for name in foreign {
                let finding = Finding::new(FindingKind::FileForeign, "this is not the archive's");
                self.say(tell, finding.file(&format!("{prefix}{name}")));
            }
        }
        Ok(all)
    }
}
