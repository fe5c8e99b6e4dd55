/// A checked view of an Ethernet frame without FCS. 802.1Q and 802.1ad tags are looked past and never touched.
public struct EthernetFrame: ~Escapable {
    /// Length in bytes of the header without tags: destination, source, EtherType.
    @inlinable
    public static var headerLength: Int { 14 }
    /// A frame may carry this many tags before its payload counts as unknown.
    @inlinable
    public static var mostTags: Int { 4 }

    @usableFromInline let bytes: RawSpan
    /// Where the payload starts, behind any tags.
    public let payloadOffset: Int
    /// The EtherType behind any tags, or a length field (IEEE 802.3) below 0x0600.
    public let etherType: UInt16

    /// Nil when the frame is shorter than its header and tags.
    @inlinable
    @_lifetime(copy bytes)
    public init?(_ bytes: RawSpan) {
        guard bytes.byteCount >= Self.headerLength else { return nil }
        var offset = 12
        var type = bytes.readUInt16(at: offset)
        var tags = 0
        while type == EtherType.vlan || type == EtherType.serviceVLAN, tags < Self.mostTags {
            guard bytes.byteCount >= offset &+ 6 else { return nil }
            offset &+= 4
            tags &+= 1
            type = bytes.readUInt16(at: offset)
        }
        self.bytes = bytes
        payloadOffset = offset &+ 2
        etherType = type
    }

    /// Where the frame goes.
    @inlinable
    public var destination: MACAddress {
        MACAddress(UInt64(bytes.readUInt32(at: 0)) &<< 16 | UInt64(bytes.readUInt16(at: 4)))
    }

    /// Where it comes from.
    @inlinable
    public var source: MACAddress {
        MACAddress(UInt64(bytes.readUInt16(at: 6)) &<< 32 | UInt64(bytes.readUInt32(at: 8)))
    }

    /// What follows the header and its tags.
    @inlinable
    public var payload: RawSpan {
        @_lifetime(copy self)
        get { bytes.extracting(droppingFirst: payloadOffset) }
    }
}

/// EtherTypes that forwarding tells apart (IANA, IEEE 802 Numbers).
public enum EtherType {
    /// IPv4.
    @inlinable
    public static var ipv4: UInt16 { 0x0800 }
    /// ARP.
    @inlinable
    public static var arp: UInt16 { 0x0806 }
    /// An 802.1Q tag.
    @inlinable
    public static var vlan: UInt16 { 0x8100 }
    /// IPv6.
    @inlinable
    public static var ipv6: UInt16 { 0x86dd }
    /// An 802.1ad service tag.
    @inlinable
    public static var serviceVLAN: UInt16 { 0x88a8 }
}
