import VXWire

// The body of a control record. What was understood is written again and must then mean the same; only a name may
// differ, whose replaced characters can make it too long.
private func readControl(_ bytes: RawSpan) {
    guard case .message(let message) = ControlMessage.parse(bytes) else { return }
    let again = message.bytes
    guard case .message(let second) = ControlMessage.parse(again.span.bytes) else { fatalError("not read again") }
    if case .hello = message {
        precondition(second.type == .hello && again.count <= 1 + ControlMessage.mostNameBytes)
    } else {
        precondition(second == message)
    }
}

/// libFuzzer's entry point; a trap or an address error is a finding.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    readControl(UnsafeRawBufferPointer(start: data, count: count).bytes)
    return 0
}
