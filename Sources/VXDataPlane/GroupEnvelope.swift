import VXWire

/// What IGMP, the ICMPv6 of multicast and PIM travel in: an IP packet of the link, which no router has passed on.
struct GroupEnvelope {
    private static let igmp: UInt8 = 2
    private static let pim: UInt8 = 103

    let isIPv6: Bool
    let isPIM: Bool
    /// Where the message stands.
    let message: UnsafeRawPointer
    /// Bytes of the message, as the IP header says.
    let count: Int
    /// The message's first byte: its type, in PIM after the version.
    let type: UInt8
    /// Whole, with right checksums, and from this link: TTL or hop limit 1, in IPv6 a link-local sender or, before it has an
    /// address, none (RFC 3376, 4; RFC 3810, 5).
    let isIntact: Bool
    /// The sender has an address.
    let hasSender: Bool

    /// Nil for what is none of these.
    /// - Parameters:
    ///   - frame: the Ethernet header's first byte.
    ///   - count: bytes of the frame.
    init?(_ frame: UnsafeRawPointer, count: Int) {
        guard let (network, type) = InnerPacket.networkHeader(frame, count: count) else { return nil }
        let header = frame + network
        let room = count &- network
        switch type {
        case EtherType.ipv4: self.init(ipv4: header, room: room)
        case EtherType.ipv6: self.init(ipv6: header, room: room)
        default: return nil
        }
    }

    private init?(ipv4 header: UnsafeRawPointer, room: Int) {
        func byte(_ offset: Int) -> UInt8 { header.load(fromByteOffset: offset, as: UInt8.self) }
        guard room >= 20, byte(9) == Self.igmp || byte(9) == Self.pim else { return nil }
        let start = Int(byte(0) & 15) &* 4
        // A later fragment has no header.
        guard start >= 20, room > start, header.bigEndian16(at: 6) & 0x1fff == 0 else { return nil }
        isIPv6 = false
        isPIM = byte(9) == Self.pim
        message = header + start
        count = Int(header.bigEndian16(at: 2)) &- start
        self.type = byte(start)
        hasSender = header.bigEndian32(at: 12) != 0
        isIntact =
            byte(0) &>> 4 == 4 && byte(8) == 1 && count >= (isPIM ? 4 : 8) && room >= start &+ count
            && InternetChecksum.of(header, count: start) == 0 && InternetChecksum.of(message, count: count) == 0
    }

    private init?(ipv6 header: UnsafeRawPointer, room: Int) {
        func byte(_ offset: Int) -> UInt8 { header.load(fromByteOffset: offset, as: UInt8.self) }
        guard room > 48 else { return nil }
        var start = 40
        var next = byte(6)
        // MLD always carries a Router Alert option (RFC 2710, 3), and so do advertisements (RFC 4286, 3); PIM does not.
        if next == 0 {
            next = byte(40)
            start = 48 &+ 8 &* Int(byte(41))
            guard next == IPProtocol.icmpv6 else { return nil }
        }
        guard next == IPProtocol.icmpv6 && start > 40 || next == Self.pim, room > start else { return nil }
        isIPv6 = true
        isPIM = next == Self.pim
        message = header + start
        count = 40 &+ Int(header.bigEndian16(at: 4)) &- start
        self.type = byte(start)
        let source = header.ipv6Address(at: 8)
        hasSender = source.high != 0 || source.low != 0
        let isNear = source.high &>> 54 == 0x3fa || !hasSender
        guard isNear, byte(7) == 1, count >= (isPIM ? 4 : 8), room >= start &+ count else {
            isIntact = false
            return
        }
        // RFC 8200, 8.1.
        let pseudo = InternetChecksum.sum(header + 8, count: 32) &+ UInt64(count) &+ UInt64(next)
        isIntact = InternetChecksum.finish(pseudo &+ InternetChecksum.sum(message, count: count)) == 0
    }
}
