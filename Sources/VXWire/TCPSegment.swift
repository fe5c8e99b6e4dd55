/// A checked view of a TCP segment (RFC 9293), as an IP packet's payload: header with options whole.
public struct TCPSegment: ~Escapable {
    /// Least length in bytes of the header.
    @inlinable
    public static var leastHeaderLength: Int { 20 }
    /// Where the checksum stands, from the start of the header.
    @inlinable
    public static var checksumOffset: Int { 16 }
    @usableFromInline let bytes: RawSpan
    /// Length of the header with options, in bytes.
    public let headerLength: Int

    /// Nil when the header is cut or tells a length that does not fit.
    @inlinable
    @_lifetime(copy bytes)
    public init?(_ bytes: RawSpan) {
        guard bytes.byteCount >= Self.leastHeaderLength else { return nil }
        let header = Int(bytes.readUInt8(at: 12) &>> 4) &* 4
        guard header >= Self.leastHeaderLength, bytes.byteCount >= header else { return nil }
        self.bytes = bytes
        headerLength = header
    }

    /// Port of the sender.
    @inlinable
    public var sourcePort: UInt16 { bytes.readUInt16(at: 0) }
    /// Port of the receiver.
    @inlinable
    public var destinationPort: UInt16 { bytes.readUInt16(at: 2) }
    /// Number of the first byte of the payload.
    @inlinable
    public var sequenceNumber: UInt32 { bytes.readUInt32(at: 4) }
    /// The eight control bits, CWR the highest and FIN the lowest.
    @inlinable
    public var flags: UInt8 { bytes.readUInt8(at: 13) }
    /// The checksum as it stands there.
    @inlinable
    public var checksum: UInt16 { bytes.readUInt16(at: Self.checksumOffset) }
    /// What follows the header and its options.
    @inlinable
    public var payload: RawSpan {
        @_lifetime(copy self)
        get { bytes.extracting(droppingFirst: headerLength) }
    }
}
