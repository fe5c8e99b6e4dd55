#!/usr/bin/env bash
# Builds the libFuzzer targets into .build-fuzz: all of them, or those named. usage: Fuzz/build.sh [NAME...]
# Then, to search: .build-fuzz/NAME -max_len=256 Fuzz/Corpus/NAME
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p .build-fuzz
if [ $# -eq 0 ]; then
    for source in Fuzz/Sources/*.swift; do set -- "$@" "$(basename "$source" .swift)"; done
fi
for name; do
    # lld, because gold warns about every symbol of the sanitizer's run time.
    swiftc -O -parse-as-library -swift-version 6 -warnings-as-errors -use-ld=lld -sanitize=fuzzer,address \
        -enable-experimental-feature Lifetimes Sources/VXWire/*.swift "Fuzz/Sources/$name.swift" -o ".build-fuzz/$name"
done
