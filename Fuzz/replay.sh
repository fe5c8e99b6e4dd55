#!/usr/bin/env bash
# Builds the fuzz targets and replays the committed corpus once; fails when an input traps.
set -euo pipefail
cd "$(dirname "$0")/.."
Fuzz/build.sh
for corpus in Fuzz/Corpus/*/; do
    name=$(basename "$corpus")
    inputs=("$corpus"*)
    if ! log=$(".build-fuzz/$name" "${inputs[@]}" 2>&1); then
        echo "$log"
        echo "error: $name: an input of $corpus fails" >&2
        exit 1
    fi
    echo "$name: $(find "$corpus" -type f | wc -l) inputs"
done
