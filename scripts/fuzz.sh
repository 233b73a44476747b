#!/usr/bin/env bash
# Looks for inputs that break a parser: scripts/fuzz.sh [--keep] [TARGET…], all targets when none is named.
#
#   FUZZ_SECONDS   for each target (30)
#   FUZZ_RUNS      executions of each target instead
#   --keep         adds to fuzz/corpus what reaches code that nothing there reaches, instead of looking for more
#
# What is found on the way is kept in fuzz/target/corpus and built on by the next run. What breaks a parser lies in
# fuzz/artifacts/TARGET: mend the parser, and move the input to fuzz/corpus/TARGET under a name that says what it is, where
# tests/fuzz_corpus.rs replays it.
set -euo pipefail
cd "$(dirname "$0")/.."

keep=0
if [[ "${1:-}" == --keep ]]; then
    keep=1
    shift
fi
rustup toolchain list 2>/dev/null | grep -q '^nightly' ||
    { echo "fuzz: nightly Rust is needed (libFuzzer's instrumentation): rustup toolchain install nightly --profile minimal" >&2; exit 1; }
cargo fuzz --version >/dev/null 2>&1 ||
    { echo "fuzz: cargo-fuzz is needed: cargo install cargo-fuzz --locked" >&2; exit 1; }

targets=("$@")
if ((${#targets[@]} == 0)); then
    for file in fuzz/fuzz_targets/*.rs; do
        targets+=("$(basename "$file" .rs)")
    done
fi
if [[ -n "${FUZZ_RUNS:-}" ]]; then
    until=(-runs="$FUZZ_RUNS")
else
    until=(-max_total_time="${FUZZ_SECONDS:-30}")
fi

# No address sanitizer: the parsers are safe Rust (unsafe_code is denied), and it halves the speed. Memory is counted by
# fuzz/meter.rs, overflow is checked by debug assertions.
printf '\n=== fuzz: build\n'
cargo +nightly fuzz build --sanitizer none

# Longer than anything a target takes; shorter inputs are tried sooner.
longest() {
    case "$1" in
        config | site) echo 16384 ;;
        segment_scan) echo 4096 ;;
        segment_head | worker_messages | clip_plan | position_json) echo 2048 ;;
        *) echo 1024 ;;
    esac
}

summary=()
failed=()
for name in "${targets[@]}"; do
    [[ -f "fuzz/fuzz_targets/$name.rs" ]] ||
        { echo "fuzz: there is no target $name; see fuzz/fuzz_targets" >&2; exit 1; }
    found="fuzz/target/corpus/$name"
    mkdir -p "$found"
    if ((keep)); then
        printf '\n=== fuzz %s: what reaches new code\n' "$name"
        cargo +nightly fuzz run --sanitizer none "$name" "fuzz/corpus/$name" "$found" -- \
            -set_cover_merge=1 -use_counters=0 -max_len=2048
        continue
    fi
    printf '\n=== fuzz %s\n' "$name"
    log="fuzz/target/$name.log"
    if ! cargo +nightly fuzz run --sanitizer none "$name" "$found" "fuzz/corpus/$name" -- "${until[@]}" \
        -max_len="$(longest "$name")" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 2>&1 | tee "$log"; then
        failed+=("$name")
    fi
    summary+=("$(awk -v name="$name" -v kept="$(find "$found" -type f | wc -l)" '
        /^Done / { seconds = $5 }
        /^stat::number_of_executed_units:/ { runs = $2 }
        /^stat::peak_rss_mb:/ { rss = $2 }
        / cov: / { for (i = 1; i < NF; i++) if ($i == "cov:") cov = $(i + 1) }
        END { printf "%-16s %12d executions %6d s %6d edges %6d inputs %5d MB", name, runs, seconds, cov, kept, rss }
    ' "$log")")
done
((keep)) || printf '\n=== fuzz: all targets\n%s\n' "$(printf '%s\n' "${summary[@]}")"
if ((${#failed[@]})); then
    echo "fuzz: broken: ${failed[*]}; the inputs are in fuzz/artifacts" >&2
    exit 1
fi
