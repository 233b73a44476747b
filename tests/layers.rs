//! The rules of the house, held by a machine instead of by reminders.
//!
//! Rooms import one way; no file is too long to read; documents name only what exists; nothing of the machine it was built on
//! stays in the tree; nothing is left half done. Each rule is a function from text to complaints, tried on bad samples below.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::string_slice,
    reason = "a test; it reads its own tree"
)]

#[path = "layers/alerts.rs"]
mod alerts;
#[path = "layers/documents.rs"]
mod documents;
#[path = "layers/leftovers.rs"]
mod leftovers;
#[path = "layers/length.rs"]
mod length;
#[path = "layers/rooms.rs"]
mod rooms;

use std::fs;
use std::path::{Path, PathBuf};

/// From the ground up: a room may import only rooms before it. `docs/architecture.md` has the same list with what each holds.
const ROOMS: [&str; 18] = [
    "model",
    "config",
    "telemetry",
    "store",
    "access",
    "site",
    "media",
    "video",
    "archive",
    "fleet",
    "evidence",
    "casefile",
    "live",
    "api",
    "app",
    "demo",
    "cmd",
    "main",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of the tree that people write, its path from the root.
fn files() -> Vec<PathBuf> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let made =
                ["target", "node_modules", "dist", ".git", "demo-data"].contains(&name.as_str());
            if path.is_dir() && !made {
                walk(&path, found);
            } else if path.is_file() && name != ".git" {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    walk(root(), &mut found);
    found.sort();
    assert!(found.len() > 50, "the tree was not found: {found:?}");
    found
}

fn has_extension(path: &Path, of: &[&str]) -> bool {
    path.extension().is_some_and(|e| of.iter().any(|o| e == *o))
}

fn text(path: &Path) -> Option<String> {
    fs::read_to_string(root().join(path)).ok()
}

fn no_complaints(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}
