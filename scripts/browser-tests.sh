#!/usr/bin/env bash
# Starts the demo on a free port in a folder of its own, runs a command against it, and always stops it.
#
#   scripts/browser-tests.sh PROGRAM [COMMAND…]      default command: node --test on web/e2e/*.test.mjs
#
# The command finds ZHENBEI_URL, ZHENBEI_USER and ZHENBEI_PASSWORD in its environment.
set -euo pipefail
cd "$(dirname "$0")/.."

program="${1:?usage: scripts/browser-tests.sh PROGRAM [COMMAND…]}"
shift
start_within_s=120
stop_within_s=20

dir=$(mktemp -d)
pid=""
stop() {
    status=$?
    trap - EXIT INT TERM
    if [ -n "$pid" ]; then
        kill -INT "$pid" 2>/dev/null || true
        for _ in $(seq $((stop_within_s * 10))); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        if kill -0 "$pid" 2>/dev/null; then
            echo "browser tests: the demo did not stop within $stop_within_s s of Ctrl-C" >&2
            kill -KILL "$pid" 2>/dev/null || true
            [ "$status" -ne 0 ] || status=1
        fi
        wait "$pid" 2>/dev/null || true
        # The demo leads a process group: brokers, cameras and workers it started are in it and must be gone too.
        if kill -0 -- "-$pid" 2>/dev/null; then
            echo "browser tests: the demo left processes behind:" >&2
            pgrep -a -g "$pid" >&2 || true
            kill -KILL -- "-$pid" 2>/dev/null || true
            [ "$status" -ne 0 ] || status=1
        fi
    fi
    if [ "$status" -ne 0 ] && [ -s "$dir/log" ]; then
        echo "--- last lines of the demo's log:" >&2
        tail -n 60 "$dir/log" >&2
    fi
    rm -rf "$dir"
    exit "$status"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

[ -x "$program" ] || { echo "browser tests: $program is not built: make build" >&2; exit 1; }
ls web/e2e/*.test.mjs >/dev/null

# Job control gives the demo a process group of its own: a background child of a plain script ignores SIGINT.
set -m
"$program" demo --json --listen 127.0.0.1:0 --dir "$dir/demo" >"$dir/out" 2>"$dir/log" </dev/null &
pid=$!
set +m

for _ in $(seq $((start_within_s * 10))); do
    line=$(grep -m 1 '^{.*"url"' "$dir/out" 2>/dev/null || true)
    [ -z "$line" ] || break
    kill -0 "$pid" 2>/dev/null || { echo "browser tests: the demo ended at its start" >&2; exit 1; }
    sleep 0.1
done
[ -n "$line" ] || { echo "browser tests: no address from the demo within $start_within_s s" >&2; exit 1; }

field() { node -e 'process.stdout.write(String(JSON.parse(process.argv[1])[process.argv[2]] ?? ""))' "$line" "$1"; }
ZHENBEI_URL=$(field url)
ZHENBEI_USER=$(field user)
ZHENBEI_PASSWORD=$(field password)
export ZHENBEI_URL ZHENBEI_USER ZHENBEI_PASSWORD
for name in ZHENBEI_URL ZHENBEI_USER ZHENBEI_PASSWORD; do
    [ -n "${!name}" ] || { echo "browser tests: the demo's line has no ${name#ZHENBEI_}: $line" >&2; exit 1; }
done

if [ $# -gt 0 ]; then
    "$@"
else
    node --test --test-concurrency=1 web/e2e/*.test.mjs
fi
