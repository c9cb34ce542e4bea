#!/usr/bin/env bash
# Fuzzes one target for so many seconds: led by coverage (libFuzzer, nightly) where cargo-bolero is installed, at
# random where it is not. What is found lies in tests/fuzz/tests/all/__fuzz__ and is run by every test from then on.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=${1:-} seconds=${2:-600}
if [ -z "$target" ]; then
    echo "TARGET is one of:"
    sed -n 's/^    \([a-z0-9_]*\) => .*::target,$/  \1/p' tests/fuzz/tests/all/*.rs
    exit 2
fi
# Most targets need no sandbox, and are built far sooner without it.
features=--no-default-features
if grep -q "^    $target =>" tests/fuzz/tests/all/sandbox.rs; then
    features= target=sandbox::$target
fi
if cargo bolero --version >/dev/null 2>&1; then
    exec cargo bolero test "$target" --package fuzz $features --toolchain nightly --sanitizer NONE -T "${seconds}s"
fi
echo "cargo-bolero is not installed (cargo install cargo-bolero): fuzzing at random" >&2
BOLERO_RANDOM_TEST_TIME_MS=$((seconds * 1000)) exec cargo test --package fuzz $features --test all -- --exact "$target" --nocapture
