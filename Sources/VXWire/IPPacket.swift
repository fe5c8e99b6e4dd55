/// Protocol numbers that forwarding tells apart (IANA, Assigned Internet Protocol Numbers).
public enum IPProtocol {
    /// TCP.
    @inlinable
    public static var tcp: UInt8 { 6 }
    /// UDP.
    @inlinable
    public static var udp: UInt8 { 17 }
    /// ICMPv6.
    @inlinable
    public static var icmpv6: UInt8 { 58 }
}

/// A checked view of an IPv4 packet (RFC 791): header whole, total length within the bytes.
public struct IPv4Packet: ~Escapable {
    @usableFromInline let bytes: RawSpan
    /// Length of the header with options, in bytes.
    public let headerLength: Int

    /// Nil when the header is cut, is of another version, or tells a length that does not fit.
    @inlinable
    @_lifetime(copy bytes)
    public init?(_ bytes: RawSpan) {
        guard bytes.byteCount >= 20 else { return nil }
        let first = bytes.readUInt8(at: 0)
        let header = Int(first & 0x0f) &* 4
        let total = Int(bytes.readUInt16(at: 2))
        guard first &>> 4 == 4, header >= 20, total >= header, bytes.byteCount >= total else { return nil }
        // Ethernet pads short frames: what lies behind the total length is no part of the packet.
        self.bytes = bytes.extracting(first: total)
        headerLength = header
    }

    /// Sender.
    @inlinable
    public var source: IPv4Address { IPv4Address(bytes.readUInt32(at: 12)) }
    /// Receiver.
    @inlinable
    public var destination: IPv4Address { IPv4Address(bytes.readUInt32(at: 16)) }
    /// Protocol of the payload.
    @inlinable
    public var protocolNumber: UInt8 { bytes.readUInt8(at: 9) }
    /// Any part of a fragmented packet, the first one included.
    @inlinable
    public var isFragment: Bool { bytes.readUInt16(at: 6) & 0x3fff != 0 }
    /// What follows the header and its options.
    @inlinable
    public var payload: RawSpan {
        @_lifetime(copy self)
        get { bytes.extracting(droppingFirst: headerLength) }
    }
}

/// A checked view of an IPv6 packet (RFC 8200): fixed header whole, payload length within the bytes. Extension headers
/// count as payload.
public struct IPv6Packet: ~Escapable {
    /// Length in bytes of the fixed header.
    @inlinable
    public static var headerLength: Int { 40 }
    @usableFromInline let bytes: RawSpan

    /// Nil when the header is cut, is of another version, or tells a length that does not fit.
    @inlinable
    @_lifetime(copy bytes)
    public init?(_ bytes: RawSpan) {
        guard bytes.byteCount >= Self.headerLength, bytes.readUInt8(at: 0) &>> 4 == 6 else { return nil }
        let total = Self.headerLength &+ Int(bytes.readUInt16(at: 4))
        guard bytes.byteCount >= total else { return nil }
        self.bytes = bytes.extracting(first: total)
    }

    /// Sender.
    @inlinable
    public var source: IPv6Address { IPv6Address(high: bytes.readUInt64(at: 8), low: bytes.readUInt64(at: 16)) }
    /// Receiver.
    @inlinable
    public var destination: IPv6Address { IPv6Address(high: bytes.readUInt64(at: 24), low: bytes.readUInt64(at: 32)) }
    /// The header behind the fixed one: a protocol or an extension.
    @inlinable
    public var nextHeader: UInt8 { bytes.readUInt8(at: 6) }
    /// What follows the fixed header.
    @inlinable
    public var payload: RawSpan {
        @_lifetime(copy self)
        get { bytes.extracting(droppingFirst: Self.headerLength) }
    }
}
