//! `zhenbei check-config`.

use std::io::Write as _;
use std::path::Path;

use super::Failure;
use crate::config;
use crate::media;

pub fn run(file: &Path) -> Result<(), Failure> {
    let loaded = config::load(file).map_err(Failure::Config)?;
    let mut out = std::io::stdout();
    for warning in loaded.warning_lines() {
        writeln!(out, "warning: {warning}")?;
    }
    for pipeline in media::check_pipelines(&loaded.config.media)? {
        writeln!(out, "pipeline {pipeline}: ok")?;
    }
    writeln!(out, "{}: ok", file.display())?;
    Ok(())
}
