#!/usr/bin/env bash
# Installs what this project needs and this machine lacks. Safe to run again; quick when nothing is missing.
#
#   scripts/setup.sh --for demo    what `make demo` needs (default)
#   scripts/setup.sh --for test    also what the tests need: PostgreSQL, chromium, VLC, cargo-deny
#
# Debian 12 packages come through apt (as root, or with sudo), npm packages through `npm ci`, cargo-deny through cargo.
# No service that comes with a package is started or enabled: demo and tests start their own, on their own ports.
set -euo pipefail
cd "$(dirname "$0")/.."

purpose=demo
while [ $# -gt 0 ]; do
    case "$1" in
        --for) purpose="${2:-}"; shift 2 || true ;;
        *) echo "usage: scripts/setup.sh [--for demo|test]" >&2; exit 2 ;;
    esac
done
case "$purpose" in demo | test) ;; *) echo "setup: --for takes demo or test, not '$purpose'" >&2; exit 2 ;; esac

fail() { echo "setup: $*" >&2; exit 1; }

# --- what only the operator can install ------------------------------------------------------------------------------
need_rust="1.95" need_node="20.19"
at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

command -v cargo >/dev/null || fail "cargo is not on PATH. Install Rust $need_rust or later with rustup, then run this again."
have_rust=$(rustc --version | cut -d' ' -f2)
at_least "$need_rust" "$have_rust" || fail "Rust $have_rust is too old, $need_rust or later is needed: rustup update stable"
command -v node >/dev/null && command -v npm >/dev/null || fail "node and npm are not on PATH. Install Node $need_node or later, then run this again."
have_node=$(node --version | tr -d v)
at_least "$need_node" "$have_node" || fail "Node $have_node is too old, $need_node or later is needed."

# --- Debian packages -------------------------------------------------------------------------------------------------
packages=(
    # to build: a linker, bindgen's libclang, the headers of GStreamer, FFmpeg and OpenSSL
    build-essential pkg-config clang libclang-dev libssl-dev
    libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev libgstrtspserver-1.0-dev
    libavcodec-dev libavformat-dev libavutil-dev libavfilter-dev libavdevice-dev libswscale-dev libswresample-dev
    # to run: pipelines, stills, the broker, live state, letters for the burnt-in clocks
    gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
    gstreamer1.0-plugins-ugly gstreamer1.0-libav ffmpeg
    # cameras over TLS (rtsps)
    glib-networking
    mosquitto redis-server fonts-noto-cjk
)
services=(mosquitto redis-server)
if [ "$purpose" = test ]; then
    packages+=(postgresql chromium mosquitto-clients unzip openssl vlc-bin vlc-plugin-base)
    services+=(postgresql)
fi

missing_packages() {
    dpkg-query -W -f='${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null |
        sed -n 's/^installed //p' | sort -u >"$scratch/have"
    printf '%s\n' "${packages[@]}" | sort -u | comm -23 - "$scratch/have"
}

scratch=$(mktemp -d)
policy=/usr/sbin/policy-rc.d
policy_is_ours=no
clean_up() {
    rm -rf "$scratch"
    if [ "$policy_is_ours" = yes ]; then $as_root rm -f "$policy"; fi
}
as_root=""
trap clean_up EXIT

install_debian_packages() {
    command -v apt-get >/dev/null || fail "this machine has no apt-get. Install what Debian 12 calls: ${missing[*]}"
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null ||
            fail "these packages are missing and there is no sudo. As root: apt-get install --no-install-recommends ${missing[*]}"
        as_root=sudo
    fi
    echo "setup: installing ${#missing[@]} Debian packages: ${missing[*]}"
    # Debian starts a service as soon as its package is unpacked: a broker on 1883 nobody asked for. invoke-rc.d(8)
    # asks policy-rc.d first; 101 is "no". A policy the machine has already is left alone.
    if [ ! -e "$policy" ]; then
        policy_is_ours=yes
        printf '#!/bin/sh\nexit 101\n' >"$scratch/policy"
        $as_root install -m 755 "$scratch/policy" "$policy"
    fi
    local apt=($as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -y -q)
    "${apt[@]}" update
    "${apt[@]}" install --no-install-recommends "${missing[@]}"
    # Where systemd runs, do not let the new services come up with the next boot either.
    if [ -d /run/systemd/system ]; then
        for service in "${services[@]}"; do
            if printf '%s\n' "${missing[@]}" | grep -qx "$service"; then
                $as_root systemctl disable --now "$service" || true
            fi
        done
    fi
}

mapfile -t missing < <(missing_packages)
if [ "${#missing[@]}" -gt 0 ]; then
    install_debian_packages
    mapfile -t missing < <(missing_packages)
    [ "${#missing[@]}" -eq 0 ] || fail "still missing after the installation: ${missing[*]}"
fi

# --- npm packages ----------------------------------------------------------------------------------------------------
# `npm ci` empties node_modules first, so the mark of the lock file it was done for disappears with a broken run.
lock=$(sha256sum web/package-lock.json | cut -d' ' -f1)
mark=web/node_modules/.zhenbei-lock
if [ "$(cat "$mark" 2>/dev/null || true)" != "$lock" ]; then
    echo "setup: npm ci in web/"
    (cd web && npm ci --no-audit --no-fund </dev/null)
    printf '%s\n' "$lock" >"$mark"
fi

# --- cargo-deny ------------------------------------------------------------------------------------------------------
if [ "$purpose" = test ] && ! command -v cargo-deny >/dev/null && ! [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo-deny" ]; then
    echo "setup: cargo install cargo-deny (a few minutes, once)"
    cargo install --locked --quiet cargo-deny --version 0.20.2
fi
