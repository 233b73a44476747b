//! `zhenbei check-config`.

use std::io::Write as _;
use std::path::Path;

use super::Failure;
use crate::config;
use crate::media::{Media, this_program};

pub(super) fn run(file: &Path) -> Result<(), Failure> {
    let loaded = config::load(file).map_err(Failure::Config)?;
    let mut out = std::io::stdout();
    for warning in loaded.warning_lines() {
        writeln!(out, "warning: {warning}")?;
    }
    super::people::block_on(async {
        let media = Media::start(&loaded.config.media, this_program())?;
        let pipelines = media.check_pipelines().await;
        media.stop().await;
        for pipeline in pipelines? {
            writeln!(std::io::stdout(), "pipeline {pipeline}: ok")?;
        }
        Ok(())
    })?;
    writeln!(out, "{}: ok", file.display())?;
    Ok(())
}
