#!/usr/bin/env bash
# optimise.sh CORE OUT: binaryen over the core module, which takes a tenth of its code. Without binaryen the module
# stays as it is.
set -euo pipefail
core=$1
out=$2
if ! command -v wasm-opt >/dev/null; then
    echo "wasm-opt is absent (package binaryen): the component is a tenth larger than it is released" >&2
    cp "$core" "$out"
    exit
fi
# What it made of the same module last time is still right.
if [ "$out" -nt "$core" ]; then
    exit
fi
# The features that rustc's target has by default; the module itself does not say.
wasm-opt -Os --enable-bulk-memory --enable-multivalue --enable-mutable-globals --enable-nontrapping-float-to-int \
    --enable-reference-types --enable-sign-ext "$core" -o "$out.part"
mv "$out.part" "$out"
