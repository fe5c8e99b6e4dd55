/// A hash over a frame's flow: the 5-tuple of TCP and UDP over IPv4 and IPv6; the addresses alone for fragments, other
/// protocols and packets with IPv6 extension headers, so that all parts of one packet go the same way; MAC addresses and
/// EtherType for the rest. It picks the outer source port of plaintext VXLAN (RFC 7348, 5) and the lane of a flow.
///
/// Not for tables that a stranger may fill: whoever chooses the addresses chooses the hash.
@inlinable
public func flowHash(frame bytes: RawSpan) -> UInt32 {
    guard let frame = EthernetFrame(bytes) else { return 0 }
    var state = FlowMixer()
    if frame.etherType == EtherType.ipv4, let packet = IPv4Packet(frame.payload) {
        state.mix(UInt64(packet.source.rawValue) &<< 32 | UInt64(packet.destination.rawValue))
        if !packet.isFragment { state.mixPorts(of: packet.payload, protocolNumber: packet.protocolNumber) }
    } else if frame.etherType == EtherType.ipv6, let packet = IPv6Packet(frame.payload) {
        state.mix(packet.source.high)
        state.mix(packet.source.low)
        state.mix(packet.destination.high)
        state.mix(packet.destination.low)
        state.mixPorts(of: packet.payload, protocolNumber: packet.nextHeader)
    } else {
        state.mix(frame.source.rawValue &<< 16 | UInt64(frame.etherType))
        state.mix(frame.destination.rawValue)
    }
    return state.hash
}

/// Multiply-and-fold mixing, enough to spread flows.
@usableFromInline
struct FlowMixer {
    @usableFromInline var state: UInt64 = 0x9e37_79b9_7f4a_7c15

    @inlinable
    init() {}

    @inlinable
    mutating func mix(_ value: UInt64) {
        let product = (state ^ value).multipliedFullWidth(by: 0xff51_afd7_ed55_8ccd)
        state = product.high ^ product.low
    }

    @inlinable
    mutating func mixPorts(of payload: borrowing RawSpan, protocolNumber: UInt8) {
        guard protocolNumber == IPProtocol.tcp || protocolNumber == IPProtocol.udp, payload.byteCount >= 4 else {
            return
        }
        mix(UInt64(protocolNumber) &<< 32 | UInt64(payload.readUInt32(at: 0)))
    }

    @inlinable
    var hash: UInt32 { UInt32(truncatingIfNeeded: state ^ state &>> 32) }
}
