#!/usr/bin/env bash
# Runs every test and ends with one line: N passed, N failed, N skipped.
set -uo pipefail
cd "$(dirname "$0")/.."

if [ ! -d ../shared/mail/real ]; then
    echo "SKIPPED: tests on real mail, ../shared/mail is absent" >&2
fi
if ! bash tests/gmail-sim/tests/google/setup.sh >&2; then
    echo "SKIPPED: tests with Google's Python libraries, python3, pip or the packages are absent" >&2
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --locked --workspace --no-fail-fast 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    summary=$(grep -E '^ *Summary' "$log" | tail -1)
    passed=$(grep -oE '[0-9]+ passed' <<<"$summary" | grep -oE '[0-9]+' || echo 0)
    failed=$(grep -oE '[0-9]+ (failed|timed out)' <<<"$summary" | grep -oE '[0-9]+' | paste -sd+ | bc 2>/dev/null)
    skipped=$(grep -oE '[0-9]+ skipped' <<<"$summary" | grep -oE '[0-9]+' || echo 0)
    # A test that lacks what it is for says so, and counts as passed there.
    if [ -f target/nextest/default/junit.xml ]; then
        unfit=$(grep -ohE 'SKIPPED: [^<]*' target/nextest/default/junit.xml | sort)
        if [ -n "$unfit" ]; then
            echo "$unfit" >&2
            number=$(wc -l <<<"$unfit")
            passed=$((${passed:-0} - number))
            skipped=$((${skipped:-0} + number))
        fi
    fi
else
    cargo test --locked --workspace --no-fail-fast 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    passed=$(grep -oE '[0-9]+ passed' "$log" | awk '{n+=$1} END {print n+0}')
    failed=$(grep -oE '[0-9]+ failed' "$log" | awk '{n+=$1} END {print n+0}')
    skipped=$(grep -oE '[0-9]+ ignored' "$log" | awk '{n+=$1} END {print n+0}')
fi
echo "${passed:-0} passed, ${failed:-0} failed, ${skipped:-0} skipped"
exit "$status"
