# Each line is one a person could type. `make` alone says what there is.

WASM_TARGET := wasm32-unknown-unknown
CORE := target/$(WASM_TARGET)/component
COMPONENT := target/components
SEEDS := 20000

.PHONY: help setup component mutations build run test test-api test-browser simulate fuzz bench lint docs clean

help:
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## what a fresh machine lacks: the wasm target, wasm-opt
	@rustup target list --installed 2>/dev/null | grep -qx $(WASM_TARGET) || rustup target add $(WASM_TARGET)
	@command -v wasm-opt >/dev/null || bash plugin/componentize/install.sh

# Only the core module: Cargo does not optimise a crate across its dependencies while it also builds its rlib.
component: setup ## the plugin as a component: target/components/twinbox.wasm
	cargo rustc --locked -p twinbox-plugin --lib --crate-type cdylib --target $(WASM_TARGET) --profile component
	cargo build --locked -p probe-guest --target $(WASM_TARGET) --profile component
	@bash plugin/componentize/optimise.sh $(CORE)/twinbox_plugin.wasm $(CORE)/twinbox_plugin.small.wasm
	cargo run --locked -q -p componentize -- $(CORE)/twinbox_plugin.small.wasm $(COMPONENT)/twinbox.wasm
	cargo run --locked -q -p componentize -- $(CORE)/probe_guest.wasm $(COMPONENT)/probe.wasm

mutations: setup ## the same with deliberate bugs, for the simulation to find
	cargo rustc --locked -p twinbox-plugin --lib --crate-type cdylib --features mutations --target $(WASM_TARGET) --profile component
	cargo run --locked -q -p componentize -- $(CORE)/twinbox_plugin.wasm $(COMPONENT)/twinbox-mutations.wasm

build: component ## target/release/twinbox and gmail-sim, with the component beside them
	cargo build --locked --release -p twinbox-host -p gmail-sim --bins
	cp $(COMPONENT)/twinbox.wasm target/release/twinbox.wasm

run: build ## the demo: http://127.0.0.1:8080
	target/release/twinbox demo

test: mutations component ## all tests
	@bash tests/run.sh

test-api: component ## the API against its own document (Schemathesis)
	cargo build --locked -p twinbox-host --bin twinbox
	@bash tests/api/run.sh

test-browser: component ## the pages in Chromium, screenshots in target/screenshots
	cargo build --locked -p twinbox-host --bin twinbox
	@bash tests/browser/run.sh

simulate: component ## SEEDS=N simulated worlds, checked against the rules
	cargo run --locked --release -q -p simulation --bin simulate -- --seeds $(SEEDS)

fuzz: component ## one target, led by coverage: make fuzz TARGET=mime_to_message SECONDS=3600
	@bash tests/fuzz/long.sh "$(TARGET)" "$(or $(SECONDS),600)"

bench: build ## the figures, one line each, and target/bench.json
	cargo run --locked --release -q -p proofs --bin bench

lint: setup ## formatting and lints
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

docs: ## the API's documentation: target/doc
	cargo doc --locked --no-deps --workspace

clean: ## everything built
	cargo clean
