//! From `zhenbei.toml` and the environment to a [`Config`] that can be used as it is.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::check;
use super::document::{self, Form};
use super::errors::{ConfigErrors, Finding};
use super::model::Config;
use super::secrets::Environment;
use crate::model::Secret;

/// The file we ship: every key, its default and a comment.
pub const SHIPPED: &str = include_str!("../../config/zhenbei.toml");

/// A configuration that may be used, and what the operator should know about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub config: Config,
    /// Legal, but probably not meant. Log them at start, show them in `check-config`.
    pub warnings: Vec<Finding>,
    pub file: PathBuf,
}

impl Loaded {
    pub fn warning_lines(&self) -> impl Iterator<Item = String> {
        self.warnings.iter().map(|w| w.line(&self.file))
    }
}

/// Reads the file, with the variables of this process over it.
pub fn load(file: &Path) -> Result<Loaded, ConfigErrors> {
    parse(file, &read_text(file)?, &Environment::of_process())
}

/// As [`load`], from text and an environment of the caller's. `file` is only a name and the folder of relative paths.
pub fn parse(file: &Path, text: &str, env: &Environment) -> Result<Loaded, ConfigErrors> {
    let form = Form {
        overlay: Some("ZHENBEI_"),
        sample: SHIPPED,
        later: &["jt808", "nmea", "osmand"],
    };
    let (mut config, mut report) = document::read::<Config>(file, text, env, &form)?;
    settle(&mut config, file.parent().unwrap_or(Path::new("")));
    check::check(&config, &mut report);
    if report.errors.is_empty() {
        Ok(Loaded {
            config,
            warnings: report.warnings,
            file: file.to_owned(),
        })
    } else {
        Err(ConfigErrors::new(file, report.errors))
    }
}

pub(super) fn read_text(file: &Path) -> Result<String, ConfigErrors> {
    std::fs::read_to_string(file).map_err(|e| {
        let what = if e.kind() == ErrorKind::NotFound {
            "there is no such file; copy config/zhenbei.toml and change it, or name another with --config".to_owned()
        } else if e.kind() == ErrorKind::InvalidData {
            "is not UTF-8 text".to_owned()
        } else {
            format!("cannot be read: {e}")
        };
        ConfigErrors::whole_file(file, what)
    })
}

/// Empty text means "not set", and a path is seen from the folder of the file: where the daemon was started must not matter.
fn settle(config: &mut Config, base: &Path) {
    fn unset<T>(value: &mut Option<T>, empty: impl Fn(&T) -> bool) {
        if value.as_ref().is_some_and(empty) {
            *value = None;
        }
    }
    let no_text = |s: &Secret| s.reveal().is_empty();
    unset(&mut config.database.url, no_text);
    unset(&mut config.redis.url, no_text);
    unset(&mut config.redis.prefix, String::is_empty);
    unset(&mut config.map.url, String::is_empty);
    let folders = [
        &mut config.http.ui_dir,
        &mut config.archive.dir,
        &mut config.media.pipelines_dir,
        &mut config.map.dir,
    ];
    for folder in folders {
        unset(folder, |p| p.as_os_str().is_empty());
        if let Some(path) = folder {
            *path = base.join(&path);
        }
    }
    for volume in &mut config.archive.volumes {
        if !volume.dir.as_os_str().is_empty() {
            volume.dir = base.join(&volume.dir);
        }
    }
    if !config.data.dir.as_os_str().is_empty() {
        config.data.dir = base.join(&config.data.dir);
    }
}
