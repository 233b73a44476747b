# Two commands are enough: `make demo` and `make test`. `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# The steps of `make test` run in the order they are written, one at a time, and stop at the first failure.
.NOTPARALLEL:

CARGO ?= cargo
BIN := $(or $(CARGO_TARGET_DIR),target)
UI_SOURCES := $(shell find web/src web/public -type f 2>/dev/null) \
	$(wildcard web/index.html web/vite.config.ts web/tsconfig.json web/package.json web/package-lock.json)
FUZZ_SECONDS ?= 30
CAMERAS ?= 32,200
SECONDS ?= 20
ROUNDS ?= 3

# One header line per step, so that the end of a long log says where it stopped.
step = @printf '\n=== %s\n' "$(1)"

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

# --- the two commands -------------------------------------------------------------------------------------------------

.PHONY: demo
demo: setup build-release ## Install what is missing, build, start the synthetic city (Ctrl-C stops it; DEMO_ARGS=… for its options)
	@exec $(BIN)/release/zhenbei demo $(DEMO_ARGS)

.PHONY: test
test: setup-test fmt ui lint deny check-web test-web test-rust test-browser ## Everything CI runs

# --- set-up and builds ------------------------------------------------------------------------------------------------

.PHONY: setup setup-test
setup: ## Install what the demo needs
	@scripts/setup.sh --for demo

setup-test: ## Install what the tests need
	@scripts/setup.sh --for test

.PHONY: ui
ui: web/dist/index.html ## Build the console into web/dist

web/dist/index.html: $(UI_SOURCES)
	$(call step,console: vite build)
	@cd web && npm run --silent build
	@touch $@

.PHONY: build build-release
build: ui ## Build target/debug/zhenbei
	@$(CARGO) build --locked

build-release: ui ## Build target/release/zhenbei with the console inside
	@$(CARGO) build --locked --release

# --- checks, in the order `make test` runs them -----------------------------------------------------------------------

.PHONY: fmt fix lint layers deny check-web test-web test-rust test-browser
fmt: ## Check the format of the Rust code (`make fix` mends it)
	$(call step,format: cargo fmt --check)
	@$(CARGO) fmt --check

fix: ## Mend what tools can mend: format, lint suggestions
	@$(CARGO) fmt
	@cd web && npx --no-install eslint . --fix

lint: ## clippy on everything, warnings are errors
	$(call step,lints: cargo clippy)
	@$(CARGO) clippy --locked --all-targets -- -D warnings
	@$(CARGO) clippy --locked --package zhenbei-bench-archive -- -D warnings

layers: ## Only the rules of the house: imports one way, file length, docs name what exists
	@$(CARGO) test --locked --test layers

deny: ## Licences, banned crates and sources of all dependencies
	$(call step,dependencies: cargo deny)
	@$(CARGO) deny --locked check bans licenses sources

check-web: ## Type check and lints of the console
	$(call step,console: types and lints)
	@cd web && npm run --silent check

test-web: ## Unit tests of the console
	$(call step,console: unit tests)
	@cd web && npm run --silent test

test-rust: ## Unit and integration tests, on real servers
	$(call step,Rust tests: build)
	@$(CARGO) test --locked --no-run
	$(call step,Rust tests: run)
	@$(CARGO) test --locked

test-browser: build ## Drive a running demo in chromium
	$(call step,browser tests)
	@scripts/browser-tests.sh $(BIN)/debug/zhenbei

.PHONY: demo-check
demo-check: setup build-release ## Drive the whole main job through the public API, once
	@$(BIN)/release/zhenbei demo --check

# --- other ------------------------------------------------------------------------------------------------------------

.PHONY: check-config openapi docs screenshots bench bench-archive bench-clip test-clips test-holds test-faults fuzz advisories clean
check-config: build ## Check config/zhenbei.toml
	@$(BIN)/debug/zhenbei check-config --config config/zhenbei.toml

openapi: build ## Write docs/openapi.json
	@$(BIN)/debug/zhenbei openapi > docs/openapi.json.new
	@mv docs/openapi.json.new docs/openapi.json

test-holds: ## A million random steps: nothing held is ever deleted (HOLD_STEPS=… for another number)
	@ZHENBEI_HOLD_STEPS=$(or $(HOLD_STEPS),1000000) $(CARGO) test --locked --lib -- --nocapture --exact archive::retention::model::no_path_deletes_held_data

docs: ## Write docs/configuration.md from config/zhenbei.toml
	@ZHENBEI_WRITE_DOCS=1 $(CARGO) test --locked --test config the_reference_page

screenshots: setup-test build ## Take the pictures in docs/screenshots from a running demo
	@scripts/browser-tests.sh $(BIN)/debug/zhenbei node web/e2e/screenshots.mjs

bench: ## Measure the hot paths beside their references
	@$(CARGO) bench --locked --bench hot_paths

bench-archive: build-release ## What recording costs beside its floor and ffmpeg (CAMERAS=32,200 SECONDS=20 ROUNDS=3)
	@$(CARGO) run --locked --release --package zhenbei-bench-archive -- --binary $(BIN)/release/zhenbei \
		--scratch $(BIN)/bench-archive --cameras $(CAMERAS) --seconds $(SECONDS) --rounds $(ROUNDS)

bench-clip: ## Measure the first byte of a clip out of a month of 200 cameras, and a GB of clip beside sendfile (needs 6 GB of disk)
	@$(CARGO) bench --locked --bench clip

test-clips: ## Try 200 random ranges of each kind of stream (`make test` tries a few)
	@ZHENBEI_CLIP_RANGES=200 $(CARGO) test --locked --test archive any_range_plays

test-faults: ## Kills, full and broken disks, clocks, links under 16 cameras; prints a table (25 min; FAULTS=name for some)
	@ZHENBEI_FAULTS=full ZHENBEI_FAULTS_ONLY="$(FAULTS)" $(CARGO) test --locked --test faults -- --nocapture

fuzz: ## Run every fuzz target for FUZZ_SECONDS or FUZZ_RUNS executions (nightly Rust, cargo-fuzz; FUZZ_TARGETS="…" for some)
	@FUZZ_SECONDS=$(FUZZ_SECONDS) FUZZ_RUNS=$(FUZZ_RUNS) scripts/fuzz.sh $(FUZZ_TARGETS)

advisories: ## Known vulnerabilities of dependencies (fetches the advisory database: needs the internet)
	@$(CARGO) deny --locked check advisories

clean: ## Remove what was built
	@$(CARGO) clean
	@rm -rf web/dist fuzz/target
