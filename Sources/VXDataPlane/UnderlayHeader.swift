public import VXWire

/// The IP and UDP headers of a captured datagram, which the sockets keep to themselves: made anew from what is known of it.
/// What is not known is as the kernel usually has it: TTL 64, no fragments, and no IPv4 identification.
public enum UnderlayHeader {
    /// The headers; the checksum of UDP is left out where IPv4 or cut bytes allow no other.
    /// - Parameters:
    ///   - source: where it comes from.
    ///   - destination: where it goes, an address of the same family.
    ///   - payload: its bytes, as far as they are kept.
    ///   - length: how many bytes it has.
    ///   - trafficClass: DSCP and ECN.
    public static func bytes(
        from source: Endpoint,
        to destination: Endpoint,
        payload: UnsafeRawBufferPointer,
        length: Int,
        trafficClass: UInt8
    ) -> [UInt8] {
        let udpLength = UInt16(clamping: length + 8)
        let udp = bytes(source.port) + bytes(destination.port) + bytes(udpLength) + [0, 0]
        if case (.v4(let from), .v4(let to)) = (source.address, destination.address) {
            let head: [UInt8] =
                [0x45, trafficClass] + bytes(UInt16(clamping: length + 28)) + [0, 0, 0x40, 0, 64, 17, 0, 0]
            var header = head + bytes(from.rawValue) + bytes(to.rawValue)
            let checksum = header.withUnsafeBytes { header in
                header.baseAddress.map { InternetChecksum.of($0, count: header.count) } ?? 0
            }
            header.replaceSubrange(10..<12, with: bytes(checksum))
            return header + udp
        }
        let (from, to) = (source.address.mapped, destination.address.mapped)
        let addresses = bytes(from.high) + bytes(from.low) + bytes(to.high) + bytes(to.low)
        let flow = 0x6000_0000 | UInt32(trafficClass) << 20
        var packet = bytes(flow) + bytes(udpLength) + [17, 64] + addresses + udp
        if payload.count == length {
            let pseudo = addresses + bytes(UInt32(udpLength)) + [0, 0, 0, 17] + udp
            let total = pseudo.withUnsafeBytes { Self.sum(of: $0) } &+ sum(of: payload)
            let checksum = InternetChecksum.finish(total)
            // Zero would mean none (RFC 768).
            packet.replaceSubrange(46..<48, with: bytes(checksum == 0 ? 0xffff : checksum))
        }
        return packet
    }

    private static func sum(of bytes: UnsafeRawBufferPointer) -> UInt64 {
        bytes.baseAddress.map { InternetChecksum.sum($0, count: bytes.count) } ?? 0
    }

    private static func bytes<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
        stride(from: Number.bitWidth - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: number >> $0) }
    }
}
