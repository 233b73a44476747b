//! One stream: its files against its rows, its chain, its time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::path::PathBuf;

use super::chain::{self, Run};
use super::files::{self, Content, Look};
use super::finding::{Finding, FindingKind};
use super::{Fsck, Tell};
use crate::archive::recovery::blocking;
use crate::archive::scan;
use crate::model::{Result, StreamKey, TimeRange};
use crate::store::database::{ArchiveCommit, SegmentPart};

/// Files of the index read at once, and new files in one transaction.
const PAGE: usize = 200;

/// What is gathered of a stream.
#[derive(Default)]
pub(super) struct Gathered {
    /// Names of the files that runs point to.
    pub(super) paths: Vec<String>,
    pub(super) runs: Vec<Run>,
    /// First number of each run, and its last: no second file may have them.
    numbers: BTreeMap<i64, i64>,
    /// Footage found lost in this check.
    pub(super) lost: Vec<(i64, i64, TimeRange)>,
    /// Nothing is said of what lies on a volume that is away.
    pub(super) unseen: Vec<(i64, i64, TimeRange)>,
}

impl Gathered {
    fn add(
        &mut self,
        path: &str,
        part: &SegmentPart,
        content: Option<&Content>,
    ) -> Vec<chain::Broken> {
        let file = self.paths.len();
        self.paths.push(path.to_owned());
        let from = self.runs.len();
        let broken = match content {
            Some(c) => {
                let all = c.scan.fragments.iter();
                chain::runs_of(
                    file,
                    all.map(|(row, p)| (&row.fragment, Some(&p.header))),
                    &mut self.runs,
                )
            }
            None => {
                let all = part.fragments.iter();
                chain::runs_of(file, all.map(|f| (&f.fragment, None)), &mut self.runs)
            }
        };
        for run in self.runs.get(from..).unwrap_or(&[]) {
            self.numbers.insert(run.first_seq, run.last_seq);
        }
        broken
    }

    fn has_number_of(&self, part: &SegmentPart) -> Option<i64> {
        part.fragments.iter().map(|f| f.fragment.seq).find(|seq| {
            let before = self.numbers.range(..=*seq).next_back();
            before.is_some_and(|(_, last)| last >= seq)
        })
    }
}

impl Fsck {
    pub(super) async fn stream(&mut self, stream: &StreamKey, tell: Tell<'_>) -> Result<()> {
        let mut unknown: BTreeSet<String> = BTreeSet::new();
        let mounts: Vec<_> = self.mounts().map(|m| (m.dir.clone(), m.prefix())).collect();
        for (dir, prefix) in mounts {
            let key = stream.clone();
            let found = blocking("list recorded files", move || files::list(&dir, &key)).await?;
            let named = |name: String| format!("{prefix}{name}");
            unknown.extend(found.segments.into_iter().map(named));
            for name in found.torn {
                let text =
                    "a file without a whole head was set aside; no picture of it can be shown";
                let finding = Finding::new(FindingKind::FileTorn, text).of(stream);
                self.say(tell, finding.file(&format!("{prefix}{name}")));
            }
            for name in found.foreign {
                let finding = Finding::new(FindingKind::FileForeign, "this is not the archive's");
                self.say(tell, finding.of(stream).file(&format!("{prefix}{name}")));
            }
        }
        let mut g = Gathered::default();
        let mut after = i64::MIN;
        loop {
            let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
            let page = self.db.archive_page(stream, after, limit).await?;
            let Some(last) = page.last() else { break };
            after = last.row.first_seq;
            for part in page {
                unknown.remove(&part.row.segment.path);
                self.known(&part, &mut g, tell).await?;
            }
        }
        self.unknown(stream, unknown, &mut g, tell).await?;
        g.runs.sort_by_key(|r| (r.first_seq, r.range.from));
        let gaps = self.gaps(stream).await?;
        self.summary.gaps += gaps.len() as u64;
        self.chain(stream, &mut g, &gaps, tell).await?;
        self.tiles(stream, &mut g, &gaps, tell).await?;
        self.held(stream, &g, tell).await
    }

    /// Where a file of the index lies; `None` when its volume is away.
    pub(super) fn place(&self, path: &str) -> Option<PathBuf> {
        let (mount, inside) = self.volumes.locate(path).ok()?;
        mount.readable().then(|| mount.dir.join(inside))
    }

    async fn known(&mut self, part: &SegmentPart, g: &mut Gathered, tell: Tell<'_>) -> Result<()> {
        let row = &part.row;
        let (stream, path) = (&row.segment.stream, row.segment.path.as_str());
        let numbers = (
            row.first_seq,
            part.fragments
                .last()
                .map_or(row.first_seq, |f| f.fragment.seq),
        );
        let Some(full) = self.place(path) else {
            g.unseen.push((numbers.0, numbers.1, row.range()));
            g.add(path, part, None);
            return Ok(());
        };
        self.summary.files += 1;
        if self.options.quick {
            return self.glance(part, full, g, tell).await;
        }
        let (known, at) = (row.clone(), full.clone());
        let looked = blocking("read a file of the archive", move || {
            Ok(files::look(&at, Some(&known)))
        })
        .await?;
        let content = match looked {
            Look::Read(content) => content,
            Look::Missing => return self.missing(part, numbers, g, tell).await,
            Look::NoHead | Look::Unreadable(_) => {
                let why = match looked {
                    Look::Unreadable(e) => e.to_string(),
                    Look::Read(_) | Look::Missing | Look::NoHead => "it has no head".into(),
                };
                let text = format!("the file cannot be read: {why}");
                let finding = Finding::new(FindingKind::FileUnreadable, text)
                    .of(stream)
                    .file(path);
                self.say(tell, finding.range(row.range()));
                g.lost.push((numbers.0, numbers.1, row.range()));
                return Ok(());
            }
        };
        self.count(&content);
        let mut content = content;
        let mut found = files::part(path, &content);
        let mut compared = files::compare(part, found.as_ref(), &content);
        if self.options.repair && compared.differs {
            // Only what the disk really has goes into the index.
            let at = full.clone();
            if let Err(e) = blocking("make a file durable", move || scan::settle(&at)).await {
                let text = format!("the file cannot be made durable: {}", e.chain());
                let finding = Finding::new(FindingKind::NotDurable, text)
                    .of(stream)
                    .file(path);
                self.say(tell, finding);
                g.add(path, part, None);
                return Ok(());
            }
            let (known, at) = (row.clone(), full.clone());
            let again = blocking("read a file of the archive", move || {
                Ok(files::look(&at, Some(&known)))
            })
            .await?;
            if let Look::Read(c) = again {
                content = c;
                found = files::part(path, &content);
                compared = files::compare(part, found.as_ref(), &content);
            }
        }
        let mut mended = false;
        if self.options.repair && compared.differs {
            match &found {
                Some(found) => {
                    self.db
                        .archive_replace(found, content.scan.freed_bytes())
                        .await?;
                    let spans: Vec<TimeRange> =
                        chain::joined(found.fragments.iter().map(|f| f.fragment.range));
                    self.db.archive_uncover(stream, &spans).await?;
                }
                None => self.db.archive_forget(row.segment.id).await?,
            }
            mended = true;
        }
        let cut =
            self.options.repair && compared.tail > 0 && self.cut(&full, content.scan.whole).await;
        for finding in compared.findings {
            let repaired = match finding.kind {
                FindingKind::FileLonger | FindingKind::RowDiffers | FindingKind::NotClosed => {
                    mended
                }
                FindingKind::TornTail => cut,
                // What is lost stays lost, whatever the index says.
                #[allow(
                    clippy::wildcard_enum_match_arm,
                    reason = "none of the others can be mended here"
                )]
                _ => false,
            };
            self.say(tell, finding.repaired(repaired));
        }
        g.lost.extend(compared.lost);
        if let Some(found) = &found {
            let broken = g.add(path, found, Some(&content));
            self.broken_inside(stream, path, broken, tell);
        }
        Ok(())
    }

    fn broken_inside(
        &mut self,
        stream: &StreamKey,
        path: &str,
        broken: Vec<chain::Broken>,
        tell: &mut (dyn FnMut(&Finding) + Send),
    ) {
        for (seq, offset) in broken {
            let text = format!("fragment {seq} does not carry the hash of the one before it");
            let finding = Finding::new(FindingKind::ChainBroken, text)
                .of(stream)
                .file(path);
            self.say(tell, finding.fragment(seq).offset(offset));
        }
    }

    fn count(&mut self, content: &Content) {
        self.summary.fragments += content.scan.fragments.len() as u64;
        self.summary.bytes += content.scan.len;
    }

    async fn cut(&self, full: &std::path::Path, keep: u64) -> bool {
        let full = full.to_path_buf();
        blocking("cut a torn tail off", move || {
            let file = OpenOptions::new().write(true).open(&full)?;
            file.set_len(keep)?;
            file.sync_all()
        })
        .await
        .is_ok()
    }

    /// Only what costs no reading.
    async fn glance(
        &mut self,
        part: &SegmentPart,
        full: PathBuf,
        g: &mut Gathered,
        tell: Tell<'_>,
    ) -> Result<()> {
        let row = &part.row;
        let (stream, path) = (&row.segment.stream, row.segment.path.as_str());
        let last = part
            .fragments
            .last()
            .map_or(row.first_seq, |f| f.fragment.seq);
        let end = part
            .fragments
            .last()
            .map_or(row.bytes, |f| f.fragment.offset + u64::from(f.fragment.len));
        let say = |kind, text: String| {
            Finding::new(kind, text)
                .of(stream)
                .file(path)
                .range(row.range())
        };
        self.summary.fragments += part.fragments.len() as u64;
        match blocking("look at a file of the archive", move || {
            Ok(files::glance(&full))
        })
        .await?
        {
            Ok(len) if len < end => {
                let text = format!("the file has {len} bytes and should have {end}");
                self.say(tell, say(FindingKind::FileShort, text).offset(len));
            }
            Ok(len) if len > row.bytes && row.closed => {
                let text = format!("{} bytes are behind what the index has", len - row.bytes);
                self.say(tell, say(FindingKind::FileLonger, text).offset(row.bytes));
            }
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return self.missing(part, (row.first_seq, last), g, tell).await;
            }
            Err(e) => {
                let text = format!("the file cannot be looked at: {e}");
                self.say(tell, say(FindingKind::FileUnreadable, text));
            }
        }
        if !row.closed {
            let text = "the file was being written when the daemon ended".into();
            self.say(tell, say(FindingKind::NotClosed, text));
        }
        g.add(path, part, None);
        Ok(())
    }

    async fn missing(
        &mut self,
        part: &SegmentPart,
        numbers: (i64, i64),
        g: &mut Gathered,
        tell: Tell<'_>,
    ) -> Result<()> {
        let row = &part.row;
        let text = format!(
            "the file is gone: {} ({} bytes)",
            files::fragments_named(numbers.0, numbers.1),
            row.bytes
        );
        let finding = Finding::new(FindingKind::FileMissing, text)
            .of(&row.segment.stream)
            .file(&row.segment.path)
            .fragment(numbers.0)
            .range(row.range());
        self.say(tell, finding);
        for span in chain::joined(part.fragments.iter().map(|f| f.fragment.range)) {
            g.lost.push((numbers.0, numbers.1, span));
        }
        if self.options.repair {
            // Should it come back, it is a file the index does not know, and is taken in.
            self.db.archive_forget(row.segment.id).await?;
        }
        Ok(())
    }

    /// Files that no row names.
    async fn unknown(
        &mut self,
        stream: &StreamKey,
        unknown: BTreeSet<String>,
        g: &mut Gathered,
        tell: Tell<'_>,
    ) -> Result<()> {
        let mut commit = ArchiveCommit::default();
        for path in unknown {
            self.summary.files += 1;
            if let Some(part) = self.newcomer(stream, &path, g, tell).await? {
                commit.segments.push(part);
            }
            if commit.segments.len() >= PAGE {
                self.index(stream, std::mem::take(&mut commit)).await?;
            }
        }
        self.index(stream, commit).await
    }

    async fn index(&self, stream: &StreamKey, commit: ArchiveCommit) -> Result<()> {
        if commit.is_empty() {
            return Ok(());
        }
        self.db.archive_commit(&commit).await?;
        if self.options.rebuild {
            return Ok(()); // the gaps are mended as a whole, later
        }
        let all = commit.segments.iter().flat_map(|p| &p.fragments);
        let spans = chain::joined(all.map(|f| f.fragment.range));
        self.db.archive_uncover(stream, &spans).await
    }

    /// A file the index does not know: what to write of it.
    async fn newcomer(
        &mut self,
        stream: &StreamKey,
        path: &str,
        g: &mut Gathered,
        tell: Tell<'_>,
    ) -> Result<Option<SegmentPart>> {
        let Some(full) = self.place(path) else {
            return Ok(None);
        };
        let repair = self.options.repair;
        let say = |kind, text: String| Finding::new(kind, text).of(stream).file(path);
        let at = full.clone();
        let id = blocking("read a file of the archive", move || Ok(files::id_of(&at))).await?;
        let id = match id {
            Ok(Some(id)) => id,
            Ok(None) => {
                let text = "the file has no whole head; no picture of it can be shown".into();
                let aside = full.with_extension("torn");
                let moved = repair
                    && blocking("set a torn file aside", move || {
                        std::fs::rename(full, aside)
                    })
                    .await
                    .is_ok();
                self.say(tell, say(FindingKind::FileTorn, text).repaired(moved));
                return Ok(None);
            }
            Err(e) => {
                let text = format!("the file cannot be read: {e}");
                self.say(tell, say(FindingKind::FileUnreadable, text));
                return Ok(None);
            }
        };
        let elsewhere = self.db.archive_segment(id).await?;
        if let Some(other) = &elsewhere {
            let there = match self.place(&other.row.segment.path) {
                Some(full) => blocking("look for a file", move || full.try_exists()).await?,
                // On a volume that is away: perhaps.
                None => true,
            };
            if there {
                let text = format!("a second copy of {}", other.row.segment.path);
                self.say(tell, say(FindingKind::FileForeign, text));
                return Ok(None);
            }
        } else if self.db.archive_is_buried(id).await? {
            return self
                .unfinished(stream, path, full, tell)
                .await
                .map(|()| None);
        }
        if repair {
            let at = full.clone();
            if let Err(e) = blocking("make a file durable", move || scan::settle(&at)).await {
                let text = format!("the file cannot be made durable: {}", e.chain());
                self.say(tell, say(FindingKind::NotDurable, text));
                return Ok(None);
            }
        }
        let at = full.clone();
        let looked = blocking("read a file of the archive", move || {
            Ok(files::look(&at, None))
        })
        .await?;
        let Look::Read(content) = looked else {
            self.say(
                tell,
                say(
                    FindingKind::FileUnreadable,
                    "the file cannot be read".into(),
                ),
            );
            return Ok(None);
        };
        self.count(&content);
        for (from, to) in &content.scan.damaged {
            let text = format!(
                "{} bytes are no fragment; what lies behind them is kept",
                to - from
            );
            self.say(tell, say(FindingKind::Damaged, text).offset(*from));
        }
        let tail = content.scan.len.saturating_sub(content.scan.whole);
        if tail > 0 {
            let cut = repair && self.cut(&full, content.scan.whole).await;
            let text = format!("{tail} bytes at the end are no whole fragment");
            let finding = say(FindingKind::TornTail, text).offset(content.scan.whole);
            self.say(tell, finding.repaired(cut));
        }
        let Some(part) = files::part(path, &content) else {
            return Ok(None); // a head and nothing behind it
        };
        let range = part.row.range();
        if let Some(seq) = g.has_number_of(&part) {
            let text = format!("fragment {seq} of this file stands in another file too");
            let finding = say(FindingKind::SequenceTwice, text).fragment(seq);
            self.say(tell, finding.range(range));
            return Ok(None);
        }
        if !self.options.rebuild {
            let last = part.fragments.last().map_or(0, |f| f.fragment.seq);
            let text = match &elsewhere {
                Some(other) => format!("the index says it is at {}", other.row.segment.path),
                None => format!(
                    "the index does not know the file: {}",
                    files::fragments_named(part.row.first_seq, last)
                ),
            };
            let kind = match elsewhere {
                Some(_) => FindingKind::FileMoved,
                None => FindingKind::FileUnknown,
            };
            let finding = say(kind, text).fragment(part.row.first_seq).range(range);
            self.say(tell, finding.repaired(repair));
        }
        let broken = g.add(path, &part, Some(&content));
        self.broken_inside(stream, path, broken, tell);
        if !repair {
            return Ok(None);
        }
        if elsewhere.is_some() {
            self.db
                .archive_replace(&part, content.scan.freed_bytes())
                .await?;
            return Ok(None);
        }
        Ok(Some(part))
    }

    /// A file that a rule had deleted, and that is still there.
    async fn unfinished(
        &mut self,
        stream: &StreamKey,
        path: &str,
        full: PathBuf,
        tell: Tell<'_>,
    ) -> Result<()> {
        let at = full.clone();
        let looked = blocking("read a file of the archive", move || {
            Ok(files::look(&at, None))
        })
        .await?;
        let range = match &looked {
            Look::Read(c) => files::part(path, c).map(|p| p.row.range()),
            Look::Missing | Look::NoHead | Look::Unreadable(_) => None,
        };
        let held = range.is_some_and(|r| {
            self.holds
                .iter()
                .any(|h| h.stream == *stream && h.range.overlaps(&r))
        });
        let gone = self.options.repair
            && !held
            && blocking("finish a deletion", move || std::fs::remove_file(full))
                .await
                .is_ok();
        let text = if held {
            "a rule had deleted the file, it is still there, and a hold stands on its time now"
        } else {
            "a rule had deleted the file, and it is still there"
        };
        let mut finding = Finding::new(FindingKind::DeletionUnfinished, text)
            .of(stream)
            .file(path);
        finding.range = range;
        self.say(tell, finding.repaired(gone));
        Ok(())
    }
}
