#!/usr/bin/env bash
# Installs Google's client libraries into .cache/python, once for each list of them and each Python.
set -euo pipefail
cd "$(dirname "$0")/../../../.."
wanted=tests/gmail-sim/tests/google/requirements.txt
target=.cache/python
mkdir -p .cache
exec 9>.cache/python.lock
flock 9
stamp=$(python3 --version && cat "$wanted")
[ -f "$target/stamp" ] && [ "$stamp" = "$(cat "$target/stamp")" ] && exit 0
rm -rf "$target"
python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore \
    --only-binary :all: --target "$target" -r "$wanted"
printf '%s\n' "$stamp" >"$target/stamp"
