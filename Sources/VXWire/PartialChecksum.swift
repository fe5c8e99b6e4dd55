/// Where a frame's TCP or UDP checksum is still to be completed.
///
/// A kernel that expects its network card to do it leaves the sum of the pseudo-header in the field; on a virtual link
/// nobody does, and a VXLAN frame then arrives so. The sum is cheap to compare with, and where a complete checksum happens
/// to be equal to it, completing it again gives the same.
public struct PartialChecksum: Equatable, Sendable {
    /// Where the checksum starts to count, from the start of the frame.
    public let start: UInt16
    /// Where the field is, from `start`.
    public let offset: UInt16

    /// Nil for a frame whose checksum is complete, and for anything but TCP and UDP in one piece.
    @inlinable
    public static func find(in bytes: RawSpan) -> PartialChecksum? {
        guard let frame = EthernetFrame(bytes) else { return nil }
        let protocolNumber: UInt8
        let header: Int
        var sum: UInt64
        let length: Int
        if frame.etherType == EtherType.ipv4, let packet = IPv4Packet(frame.payload) {
            if packet.isFragment { return nil }
            protocolNumber = packet.protocolNumber
            header = packet.headerLength
            length = packet.payload.byteCount
            sum = UInt64(packet.source.rawValue) &+ UInt64(packet.destination.rawValue)
        } else if frame.etherType == EtherType.ipv6, let packet = IPv6Packet(frame.payload) {
            protocolNumber = packet.nextHeader
            header = IPv6Packet.headerLength
            length = packet.payload.byteCount
            sum = (packet.source.high &>> 32) &+ (packet.source.high & 0xffff_ffff)
            sum &+= (packet.source.low &>> 32) &+ (packet.source.low & 0xffff_ffff)
            sum &+= (packet.destination.high &>> 32) &+ (packet.destination.high & 0xffff_ffff)
            sum &+= (packet.destination.low &>> 32) &+ (packet.destination.low & 0xffff_ffff)
        } else {
            return nil
        }
        let offset: Int
        switch protocolNumber {
        case IPProtocol.tcp: offset = 16
        case IPProtocol.udp: offset = 6
        default: return nil
        }
        guard length >= offset &+ 2 else { return nil }
        sum &+= UInt64(protocolNumber) &+ UInt64(length)
        while sum > 0xffff { sum = (sum & 0xffff) &+ (sum &>> 16) }
        let start = frame.payloadOffset &+ header
        guard UInt64(bytes.readUInt16(at: start &+ offset)) == sum else { return nil }
        return PartialChecksum(start: UInt16(truncatingIfNeeded: start), offset: UInt16(truncatingIfNeeded: offset))
    }

    @usableFromInline
    init(start: UInt16, offset: UInt16) {
        self.start = start
        self.offset = offset
    }
}
