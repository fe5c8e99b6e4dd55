import VXWire

// A datagram on the sealed port: what its header was understood as is written again, and must be the same bytes.
private func readSealed(_ bytes: RawSpan) {
    guard case .header(let header) = SealedHeader.parse(bytes) else { return }
    var written = [UInt8](repeating: 0, count: SealedHeader.length)
    var span = written.mutableSpan
    var target = span.mutableBytes
    header.write(into: &target)
    for offset in 0..<SealedHeader.length { precondition(written[offset] == bytes.readUInt8(at: offset)) }
}

/// libFuzzer's entry point; a trap or an address error is a finding.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    readSealed(UnsafeRawBufferPointer(start: data, count: count).bytes)
    return 0
}
