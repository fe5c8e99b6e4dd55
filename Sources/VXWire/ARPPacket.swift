/// A checked view of an ARP packet for IPv4 over Ethernet (RFC 826); other pairs of protocols are none of our concern.
public struct ARPPacket: ~Escapable {
    /// Length in bytes.
    @inlinable
    public static var length: Int { 28 }
    @usableFromInline let bytes: RawSpan

    /// Nil when the packet is cut or is not about IPv4 over Ethernet.
    @inlinable
    @_lifetime(copy bytes)
    public init?(_ bytes: RawSpan) {
        // Hardware type 1, protocol 0x0800, address lengths 6 and 4.
        guard bytes.byteCount >= Self.length, bytes.readUInt32(at: 0) == 0x0001_0800, bytes.readUInt16(at: 4) == 0x0604
        else { return nil }
        self.bytes = bytes.extracting(first: Self.length)
    }

    /// 1 asks, 2 answers.
    @inlinable
    public var operation: UInt16 { bytes.readUInt16(at: 6) }
    /// MAC address of who sends.
    @inlinable
    public var senderMAC: MACAddress {
        MACAddress(UInt64(bytes.readUInt32(at: 8)) &<< 16 | UInt64(bytes.readUInt16(at: 12)))
    }
    /// IPv4 address of who sends.
    @inlinable
    public var senderAddress: IPv4Address { IPv4Address(bytes.readUInt32(at: 14)) }
    /// MAC address of who is asked or answered; zero in a question.
    @inlinable
    public var targetMAC: MACAddress {
        MACAddress(UInt64(bytes.readUInt32(at: 18)) &<< 16 | UInt64(bytes.readUInt16(at: 22)))
    }
    /// IPv4 address of who is asked or answered.
    @inlinable
    public var targetAddress: IPv4Address { IPv4Address(bytes.readUInt32(at: 24)) }
}
