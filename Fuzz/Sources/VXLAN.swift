import VXWire

// A plaintext VXLAN datagram. A header without reserved bits must be written back byte for byte.
private func readVXLAN(_ bytes: RawSpan) {
    guard let header = VXLANHeader(bytes) else { return }
    var written = [UInt8](repeating: 0, count: VXLANHeader.length)
    var span = written.mutableSpan
    var target = span.mutableBytes
    VXLANHeader.write(vni: header.vni, into: &target)
    let isSame = (0..<VXLANHeader.length).allSatisfy { written[$0] == bytes.readUInt8(at: $0) }
    precondition(isSame == header.reservedIsZero)
    _ = flowHash(frame: bytes.extracting(droppingFirst: VXLANHeader.length))
}

/// libFuzzer's entry point; a trap or an address error is a finding.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    readVXLAN(UnsafeRawBufferPointer(start: data, count: count).bytes)
    return 0
}
