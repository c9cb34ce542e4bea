#!/usr/bin/env bash
# Installs Schemathesis into .cache/schemathesis, once for each list of packages and each Python.
set -euo pipefail
cd "$(dirname "$0")/../.."
wanted=tests/api/requirements.txt
target=.cache/schemathesis
mkdir -p .cache
exec 9>.cache/schemathesis.lock
flock 9
stamp=$(python3 --version && cat "$wanted")
[ -f "$target/stamp" ] && [ "$stamp" = "$(cat "$target/stamp")" ] && exit 0
rm -rf "$target"
python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore \
    --only-binary :all: --target "$target" -r "$wanted"
printf '%s\n' "$stamp" >"$target/stamp"
