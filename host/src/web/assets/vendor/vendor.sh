#!/usr/bin/env bash
# The libraries of the pages, from the packages that ship them: `vendor.sh` copies them here, `vendor.sh --check` fails when
# what is here is not what they ship. Their versions and checksums are in package-lock.json.
set -euo pipefail
cd "$(dirname "$0")"
here=$PWD
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp package.json package-lock.json "$folder"
(cd "$folder" && npm ci --silent --ignore-scripts --no-audit --no-fund)
shipped() {
    echo "$folder/node_modules/htmx.org/dist/htmx.min.js htmx.min.js"
    echo "$folder/node_modules/htmx-ext-sse/dist/sse.min.js htmx-ext-sse.min.js"
    echo "$folder/node_modules/idiomorph/dist/idiomorph-ext.min.js idiomorph-ext.min.js"
}
shipped | while read -r file name; do
    if [ "${1:-}" = --check ]; then
        cmp "$file" "$here/$name"
    else
        cp "$file" "$here/$name"
    fi
done
