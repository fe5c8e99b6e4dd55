/// The four bytes before each record of a transport datagram (protocol.md, 1): kind, flags, length of the body.
public enum RecordHeader {
    /// Length in bytes.
    @inlinable
    public static var length: Int { 4 }
    /// Ends parsing; the rest of the datagram is ignored.
    @inlinable
    public static var paddingKind: UInt8 { 0 }
    /// VXLAN header and Ethernet frame.
    @inlinable
    public static var frameKind: UInt8 { 1 }
    /// One control message.
    @inlinable
    public static var controlKind: UInt8 { 2 }
    /// Frame flag: the inner TCP or UDP checksum holds the pseudo-header sum only.
    @inlinable
    public static var checksumPartial: UInt8 { 1 }
}

/// What `RecordReader` found. Offsets count from the start of the records.
public enum RecordStep: Equatable, Sendable {
    /// A frame record's body: VXLAN header and frame.
    case frame(offset: Int, length: Int, checksumPartial: Bool)
    /// A control record's body, type byte first.
    case control(offset: Int, length: Int)
    /// A record that is passed over and counted.
    case skip(DropReason)
    /// No more records; the reason says when the rest of the datagram was unusable.
    case end(DropReason?)
}

/// Walks the records of one opened datagram. Any bytes are allowed: authentic does not mean well formed.
public struct RecordReader: Sendable {
    @usableFromInline var position = 0

    /// A reader at the first record.
    @inlinable
    public init() {}

    /// The next record of `bytes`, which must be the same at every call. After `.end` it is `.end` again.
    @inlinable
    public mutating func next(in bytes: RawSpan) -> RecordStep {
        let left = bytes.byteCount &- position
        guard left > 0 else { return .end(nil) }
        let kind = bytes.readUInt8(at: position)
        if kind == RecordHeader.paddingKind {
            position = bytes.byteCount
            return .end(nil)
        }
        guard left >= RecordHeader.length else { return cut(bytes) }
        let flags = bytes.readUInt8(at: position &+ 1)
        let length = Int(bytes.readUInt16(at: position &+ 2))
        guard left &- RecordHeader.length >= length else { return cut(bytes) }
        let offset = position &+ RecordHeader.length
        position = offset &+ length
        switch kind {
        case RecordHeader.frameKind:
            if flags & ~RecordHeader.checksumPartial != 0 { return .skip(.unknownRecordFlags) }
            return .frame(offset: offset, length: length, checksumPartial: flags != 0)
        case RecordHeader.controlKind:
            if flags != 0 { return .skip(.unknownRecordFlags) }
            return .control(offset: offset, length: length)
        default:
            return .skip(.unknownRecord)
        }
    }

    @inlinable
    mutating func cut(_ bytes: RawSpan) -> RecordStep {
        position = bytes.byteCount
        return .end(.truncatedRecord)
    }
}
