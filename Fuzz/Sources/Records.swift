import VXWire

// The records of an opened datagram, which an authentic peer may have made of any bytes. They stand one behind the other
// without a gap; written again from what was read they are the same; and what is left over says why.
private func readRecords(_ bytes: RawSpan) {
    var reader = RecordReader()
    var position = 0
    var steps = 0
    while true {
        steps += 1
        precondition(steps <= bytes.byteCount / RecordHeader.length + 1, "more records than there is room for")
        switch reader.next(in: bytes) {
        case .frame(let offset, let length, let checksumPartial):
            check(
                bytes,
                at: position,
                [RecordHeader.frameKind, checksumPartial ? RecordHeader.checksumPartial : 0],
                length
            )
            precondition(offset == position + RecordHeader.length && offset + length <= bytes.byteCount)
            position = offset + length
        case .control(let offset, let length):
            check(bytes, at: position, [RecordHeader.controlKind, 0], length)
            precondition(offset == position + RecordHeader.length && offset + length <= bytes.byteCount)
            position = offset + length
        case .skip(let reason):
            let kind = bytes.readUInt8(at: position)
            let isKnown = kind == RecordHeader.frameKind || kind == RecordHeader.controlKind
            precondition(kind != RecordHeader.paddingKind)
            precondition(reason == (isKnown ? .unknownRecordFlags : .unknownRecord))
            position += RecordHeader.length + Int(bytes.readUInt16(at: position + 2))
            precondition(position <= bytes.byteCount)
        case .end(let reason):
            let left = bytes.byteCount - position
            let isPadding = left > 0 && bytes.readUInt8(at: position) == RecordHeader.paddingKind
            precondition(reason == (left == 0 || isPadding ? nil : .truncatedRecord))
            if reason != nil, left >= RecordHeader.length {
                precondition(Int(bytes.readUInt16(at: position + 2)) > left - RecordHeader.length)
            }
            precondition(reader.next(in: bytes) == .end(nil), "the end is not the end")
            return
        }
    }
}

/// The header of a record, as it was written.
private func check(_ bytes: RawSpan, at position: Int, _ kindAndFlags: [UInt8], _ length: Int) {
    precondition(
        bytes.readUInt8(at: position) == kindAndFlags[0] && bytes.readUInt8(at: position + 1) == kindAndFlags[1]
    )
    precondition(Int(bytes.readUInt16(at: position + 2)) == length)
}

/// libFuzzer's entry point; a trap or an address error is a finding.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    readRecords(UnsafeRawBufferPointer(start: data, count: count).bytes)
    return 0
}
