// Compiled by build.sh into one module with the sources of VXWire, so the import is for editors only.
#if canImport(VXWire)
    import VXWire
#endif

// A datagram on the sealed port: its header, then what stands behind it read as if it were opened records.
private func readSealed(_ bytes: RawSpan) {
    if case .header(let header) = SealedHeader.parse(bytes) {
        var written = [UInt8](repeating: 0, count: SealedHeader.length)
        var span = written.mutableSpan
        var target = span.mutableBytes
        header.write(into: &target)
        for offset in 0..<SealedHeader.length { precondition(written[offset] == bytes.readUInt8(at: offset)) }
    }
    guard bytes.byteCount >= SealedHeader.length else { return }
    let records = bytes.extracting(droppingFirst: SealedHeader.length)
    var reader = RecordReader()
    var last = 0
    while true {
        switch reader.next(in: records) {
        case .frame(let offset, let length, _), .control(let offset, let length):
            precondition(offset >= last + RecordHeader.length && offset + length <= records.byteCount)
            last = offset + length
        case .skip:
            break
        case .end:
            return
        }
    }
}

/// libFuzzer's entry point; a trap or an address error is a finding.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    readSealed(UnsafeRawBufferPointer(start: data, count: count).bytes)
    return 0
}
