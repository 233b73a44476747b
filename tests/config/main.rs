//! What operators write, and what they are told about it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests are tests"
)]

mod bad_files_are_told_whole;
mod environment_and_secrets;
mod site_files;
mod the_shipped_file;

use std::path::Path;

use zhenbei::config::{ConfigErrors, Environment, Loaded, parse};

fn config(text: &str) -> Result<Loaded, ConfigErrors> {
    parse(Path::new("zhenbei.toml"), text, &Environment::default())
}

fn config_with(text: &str, env: &[(&str, &str)]) -> Result<Loaded, ConfigErrors> {
    parse(Path::new("zhenbei.toml"), text, &Environment::of(env))
}

/// The message of a file that must not load.
fn refusal(text: &str) -> String {
    match config(text) {
        Ok(_) => panic!("was taken:\n{text}"),
        Err(e) => e.to_string(),
    }
}
