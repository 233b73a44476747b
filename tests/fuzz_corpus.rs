//! Every input the fuzzers ever found interesting, on stable Rust: a defect once mended stays mended.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test; a body fails by panicking"
)]

#[path = "../fuzz/bodies.rs"]
#[allow(unreachable_pub, reason = "shared with the fuzz package")]
mod bodies;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn names(dir: &str) -> BTreeSet<String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(dir);
    let stem = |e: fs::DirEntry| e.path().file_stem().unwrap().to_string_lossy().into_owned();
    fs::read_dir(dir)
        .unwrap()
        .map(|e| stem(e.unwrap()))
        .collect()
}

#[test]
fn every_target_has_a_body_and_a_corpus() {
    let bodies: BTreeSet<String> = bodies::ALL
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    assert_eq!(bodies, names("fuzz_targets"));
    assert_eq!(bodies, names("corpus"));
}

#[test]
fn the_corpus_runs_through() {
    for (name, body) in bodies::ALL {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/corpus")
            .join(name);
        let mut inputs = 0;
        for entry in fs::read_dir(&dir).unwrap() {
            body(&fs::read(entry.unwrap().path()).unwrap());
            inputs += 1;
        }
        assert!(inputs > 0, "{} is empty", dir.display());
    }
}
