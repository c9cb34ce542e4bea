#!/usr/bin/env bash
# Holds the API to its own document: Schemathesis makes requests from /api/v1/openapi.json, right and wrong ones,
# against a running demo. Fails on any 5xx, any answer that the document does not describe, and any operation that
# answers without a token. Without Python, pip or the packages it says SKIPPED and passes.
set -euo pipefail
cd "$(dirname "$0")/../.."
if ! bash tests/api/setup.sh >&2; then
    echo "SKIPPED: the API against its document, python3, pip or Schemathesis is absent" >&2
    exit 0
fi
program=${TWINBOX:-target/debug/twinbox}
port=$((20000 + RANDOM % 20000))
log=$(mktemp)
"$program" demo --plugin "${COMPONENT:-target/components/twinbox.wasm}" --listen "127.0.0.1:$port" --every 2 >"$log" 2>&1 &
demo=$!
trap 'kill "$demo" 2>/dev/null || true; rm -f "$log"' EXIT
for _ in $(seq 300); do
    curl -sf -o /dev/null "http://127.0.0.1:$port/healthz" && break
    kill -0 "$demo" 2>/dev/null || { cat "$log" >&2; exit 1; }
    sleep 0.1
done
token=$(grep -oE 'twinbox_[A-Za-z0-9_-]+' "$log" | head -1)
# Each tree has its own seed, so that whoever runs this on the same tree makes the same requests.
seed=${SEED:-$((16#$(git rev-parse --short=7 'HEAD^{tree}' 2>/dev/null || echo 0)))}
# A request may be right by the document and still be refused: whether an address is one, or a key was used
# before, no schema says. Hence without `positive_data_acceptance`.
PYTHONPATH=.cache/schemathesis python3 -m schemathesis.cli run "http://127.0.0.1:$port/api/v1/openapi.json" \
    --header "Authorization: Bearer $token" --exclude-checks positive_data_acceptance \
    --seed "$seed" --max-examples "${EXAMPLES:-30}" --request-timeout 10 --no-color
