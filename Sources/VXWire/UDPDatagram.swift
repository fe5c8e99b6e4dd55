/// A checked view of a UDP datagram (RFC 768), as an IP packet's payload: header whole, length within the bytes.
public struct UDPDatagram: ~Escapable {
    /// Length in bytes of the header.
    @inlinable
    public static var headerLength: Int { 8 }
    /// Where the checksum stands, from the start of the header.
    @inlinable
    public static var checksumOffset: Int { 6 }
    @usableFromInline let bytes: RawSpan

    /// Nil when the header is cut or tells a length that does not fit.
    @inlinable
    @_lifetime(copy bytes)
    public init?(_ bytes: RawSpan) {
        guard bytes.byteCount >= Self.headerLength else { return nil }
        let length = Int(bytes.readUInt16(at: 4))
        guard length >= Self.headerLength, bytes.byteCount >= length else { return nil }
        self.bytes = bytes.extracting(first: length)
    }

    /// Port of the sender.
    @inlinable
    public var sourcePort: UInt16 { bytes.readUInt16(at: 0) }
    /// Port of the receiver.
    @inlinable
    public var destinationPort: UInt16 { bytes.readUInt16(at: 2) }
    /// The checksum as it stands there; 0 means none.
    @inlinable
    public var checksum: UInt16 { bytes.readUInt16(at: Self.checksumOffset) }
    /// What follows the header.
    @inlinable
    public var payload: RawSpan {
        @_lifetime(copy self)
        get { bytes.extracting(droppingFirst: Self.headerLength) }
    }
}
