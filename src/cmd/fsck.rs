//! `zhenbei fsck`: does the archive say the truth? For people as paragraphs, for programs as one JSON document.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use super::{Failure, people};
use crate::app::open_store;
use crate::archive::{Finding, Fsck, FsckOptions, FsckSummary};
use crate::config;
use crate::model::SystemClock;

pub(super) fn run(file: &Path, options: FsckOptions, json: bool) -> Result<(), Failure> {
    let config = config::load(file).map_err(Failure::Config)?.config;
    people::block_on(async {
        let db = open_store(&config).await?;
        let dir = config
            .archive
            .dir
            .clone()
            .unwrap_or_else(|| config.data.dir.join("archive"));
        let clock = Arc::new(SystemClock);
        let fsck = Fsck::open(&config.archive, dir, db.clone(), clock, options).await?;
        let mut out = Output { json, first: true };
        out.begin()?;
        // A reader that went away ends the printing, not the check: a rebuild must not stop half-way.
        let summary = fsck
            .run(&mut |finding: &Finding| out.finding(finding).unwrap_or(()))
            .await?;
        out.end(&summary).unwrap_or(());
        db.close().await;
        if summary.remaining > 0 {
            return Err(anyhow::anyhow!(
                "{} of what was found remains; each line above says what to do",
                summary.remaining
            )
            .into());
        }
        Ok(())
    })
}

/// Findings are written as they come: a month of an archive may have many.
struct Output {
    json: bool,
    first: bool,
}

impl Output {
    fn begin(&self) -> std::io::Result<()> {
        if self.json {
            write!(std::io::stdout(), "{{\"findings\":[")?;
        }
        Ok(())
    }

    fn finding(&mut self, finding: &Finding) -> std::io::Result<()> {
        let mut out = std::io::stdout();
        if !self.json {
            return writeln!(out, "{finding}");
        }
        let comma = if std::mem::take(&mut self.first) {
            ""
        } else {
            ","
        };
        writeln!(out, "{comma}{}", serde_json::to_string(finding)?)
    }

    fn end(&self, s: &FsckSummary) -> std::io::Result<()> {
        let mut out = std::io::stdout();
        if self.json {
            return writeln!(out, "],\"summary\":{}}}", serde_json::to_string(s)?);
        }
        writeln!(
            out,
            "{} streams, {} files, {} fragments, {} gaps looked at, {} bytes read",
            s.streams, s.files, s.fragments, s.gaps, s.bytes
        )?;
        match (s.found, s.remaining) {
            (0, _) => writeln!(out, "the archive is sound ({} notes)", s.notes),
            (found, 0) => writeln!(out, "{found} found, all repaired ({} notes)", s.notes),
            (found, left) => writeln!(
                out,
                "{found} found, {} repaired, {left} remain ({} notes)",
                s.repaired, s.notes
            ),
        }
    }
}
