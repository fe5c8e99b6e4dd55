#!/usr/bin/env bash
# Builds the libFuzzer targets into .build-fuzz: all of them, or those named. usage: Fuzz/build.sh [NAME...]
# Then, to search: .build-fuzz/NAME -max_len=256 Fuzz/Corpus/NAME
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p .build-fuzz
if [ $# -eq 0 ]; then
    for source in Fuzz/Sources/*.swift; do set -- "$@" "$(basename "$source" .swift)"; done
fi
settings=(-O -parse-as-library -swift-version 6 -package-name vxseal
    -enable-upcoming-feature InternalImportsByDefault -enable-upcoming-feature MemberImportVisibility
    -enable-upcoming-feature ExistentialAny -enable-experimental-feature Lifetimes)
[ "${VXSEAL_WARNINGS:-}" != error ] || settings+=(-warnings-as-errors)
# lld, because gold warns about every symbol of the sanitizer's run time. What Debian's Swift 6.2 brings of libFuzzer and
# AddressSanitizer cannot be linked: with it the corpora are replayed without them.
if ! echo '@_cdecl("LLVMFuzzerTestOneInput") public func f(_ p: UnsafePointer<UInt8>, _ n: Int) -> CInt { 0 }' |
    swiftc -parse-as-library -sanitize=fuzzer,address -use-ld=lld -o .build-fuzz/probe - > /dev/null 2>&1; then
    echo "note: libFuzzer and AddressSanitizer cannot be linked here; the targets only replay"
    swiftc -O -module-name Replay -c Fuzz/Replay/main.swift -o .build-fuzz/Replay.o
    linked=(.build-fuzz/Replay.o)
else
    settings+=(-sanitize=fuzzer,address)
    linked=(-use-ld=lld)
fi
swiftc "${settings[@]}" -wmo -module-name VXWire -emit-module -emit-module-path .build-fuzz/VXWire.swiftmodule \
    -c Sources/VXWire/*.swift -o .build-fuzz/VXWire.o
for name; do
    # What a target needs of the packet path is not public: it is compiled into the target's module. Its first line says what.
    read -ra sources < <(sed -n '1s#^// With VXDataPlane: ##p' "Fuzz/Sources/$name.swift") || true
    sources=("${sources[@]/#/Sources/VXDataPlane/}")
    sources=("${sources[@]/%/.swift}")
    [ ${#sources[@]} -eq 0 ] || sources+=(Fuzz/Shared/*.swift)
    swiftc "${settings[@]}" "${linked[@]}" -module-name "$name" -I .build-fuzz \
        .build-fuzz/VXWire.o "${sources[@]}" "Fuzz/Sources/$name.swift" -o ".build-fuzz/$name"
done
