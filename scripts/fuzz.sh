#!/usr/bin/env bash
# Runs every fuzz target for SECONDS each. What it finds goes to fuzz/corpus and is replayed by tests/fuzz_corpus.rs.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds="${1:-30}"
rustup toolchain list 2>/dev/null | grep -q '^nightly' ||
    { echo "fuzz: nightly Rust is needed (libFuzzer): rustup toolchain install nightly" >&2; exit 1; }
cargo fuzz --version >/dev/null 2>&1 ||
    { echo "fuzz: cargo-fuzz is needed: cargo install cargo-fuzz --locked" >&2; exit 1; }

for target in fuzz/fuzz_targets/*.rs; do
    name=$(basename "$target" .rs)
    printf '\n=== fuzz %s, %s s\n' "$name" "$seconds"
    cargo +nightly fuzz run "$name" -- -max_total_time="$seconds" -max_len=65536 -timeout=5 -rss_limit_mb=2048
done
