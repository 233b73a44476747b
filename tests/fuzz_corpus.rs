//! Every input the fuzzers ever found interesting, on stable Rust: a defect once mended stays mended.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test; a body fails by panicking"
)]

#[path = "../fuzz/bodies.rs"]
#[allow(
    unreachable_pub,
    dead_code,
    reason = "shared with the fuzz package, which finds its target at compile time"
)]
mod bodies;
#[path = "../fuzz/meter.rs"]
#[allow(
    unreachable_pub,
    unsafe_code,
    reason = "shared with the fuzz package; an allocator is unsafe by its trait"
)]
mod meter;

#[global_allocator]
static METER: meter::Meter = meter::Meter;

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

/// The `[[bin]]` entries of the fuzz package.
fn binaries() -> BTreeSet<String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/Cargo.toml"));
    let package: toml::Table = text.unwrap().parse().unwrap();
    let bins = package["bin"].as_array().unwrap();
    bins.iter()
        .map(|b| b["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_target_has_a_body_and_a_corpus() {
    let bodies: BTreeSet<String> = bodies::ALL.iter().map(|t| t.name.to_owned()).collect();
    assert_eq!(bodies, names("fuzz_targets"));
    assert_eq!(bodies, names("corpus"));
    assert_eq!(bodies, binaries());
    assert_eq!(bodies.len(), bodies::ALL.len(), "a name twice");
}

#[test]
fn the_corpus_runs_through() {
    for target in bodies::ALL {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/corpus")
            .join(target.name);
        let mut inputs = 0;
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let data = fs::read(&path).unwrap();
            let run = std::panic::catch_unwind(|| bodies::run(target, &data));
            assert!(run.is_ok(), "{} breaks its rules", path.display());
            inputs += 1;
        }
        assert!(inputs > 0, "{} is empty", dir.display());
    }
}

/// Small enough that nobody minds: the rest of what a fuzzer finds is found again.
#[test]
fn the_corpus_is_small() {
    let (mut bytes, mut files) = (0, 0);
    for target in bodies::ALL {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/corpus")
            .join(target.name);
        for entry in fs::read_dir(&dir).unwrap() {
            bytes += entry.unwrap().metadata().unwrap().len();
            files += 1;
        }
    }
    assert!(bytes < 1 << 20, "{bytes} bytes");
    assert!(files < 100 * bodies::ALL.len(), "{files} files");
}

#[test]
fn a_body_that_lets_its_input_decide_how_much_to_allocate_is_caught() {
    fn greedy(data: &[u8]) {
        let n = data
            .first_chunk::<4>()
            .map_or(0, |n| u32::from_be_bytes(*n));
        drop(std::hint::black_box(Vec::<u8>::with_capacity(n as usize)));
    }
    let target = bodies::Target {
        name: "greedy",
        body: greedy,
        memory: 1 << 20,
    };
    bodies::run(&target, &[0, 0, 0xff, 0]);
    let run = std::panic::catch_unwind(|| bodies::run(&target, &[1, 0, 0, 0]));
    assert!(run.is_err());
}
