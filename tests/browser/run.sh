#!/usr/bin/env bash
# The pages in Chromium. Without Chromium, Node or the packages it says SKIPPED and passes.
set -euo pipefail
cd "$(dirname "$0")"
chromium=${CHROMIUM:-/usr/bin/chromium}
if [ ! -x "$chromium" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    # A package list that is out of date is the usual reason why the first try fails.
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -y -q chromium >&2 || { apt-get update -q >&2 && apt-get install -y -q chromium >&2; } || true
fi
if [ ! -x "$chromium" ] || ! command -v node >/dev/null; then
    echo "SKIPPED: the pages in a browser, $chromium or node is absent" >&2
    exit 0
fi
if [ ! -f node_modules/.stamp ] || [ "$(cat node_modules/.stamp)" != "$(sha256sum package-lock.json)" ]; then
    if ! npm ci --ignore-scripts --no-audit --no-fund >&2; then
        echo "SKIPPED: the pages in a browser, the packages of tests/browser cannot be had" >&2
        exit 0
    fi
    sha256sum package-lock.json >node_modules/.stamp
fi
# The libraries that the pages load are what their packages ship.
bash ../../host/src/web/assets/vendor/vendor.sh --check
exec node --test --test-concurrency=1 --test-timeout=240000 *.test.mjs
