import VXWire

/// What a frame gets that is larger than its peer's path carries (product.md, Path MTU): an answer to its sender, as
/// Linux tunnels give it, or fragments. All of it is off the packet path and may take its time.
enum PacketTooBig {
    /// What can be done about a frame.
    enum Remedy: Equatable {
        /// An IPv4 packet that may be fragmented.
        case fragment
        /// An ICMP or ICMPv6 answer of so many bytes was written.
        case answer(Int)
        /// Nothing.
        case drop
    }

    /// Bytes that `answer` may need: Ethernet header with four tags, IPv6 header, ICMPv6 and as much of the packet as the
    /// least IPv6 MTU allows (RFC 4443, 3.2).
    static let mostAnswer = 14 + 16 + 1280
    /// An IPv4 answer is 576 bytes at most (RFC 1812, 4.3.2.3).
    private static let mostICMP = 576
    private static let leastIPv6MTU = 1280
    private static let ipv4Header = 20
    private static let icmpHeader = 8
    private static let icmp: UInt8 = 1
    private static let fragmentHeader: UInt8 = 44

    /// Decides, and writes the answer if there is to be one.
    /// - Parameters:
    ///   - frame: the frame.
    ///   - largestFrame: what the path carries, Ethernet header included.
    ///   - output: room for `mostAnswer` bytes.
    static func remedy(
        for frame: UnsafeRawBufferPointer,
        largestFrame: Int,
        output: UnsafeMutableRawPointer
    ) -> Remedy {
        guard let ethernet = EthernetFrame(frame.bytes) else { return .drop }
        let offset = ethernet.payloadOffset
        let mtu = largestFrame - offset
        if ethernet.etherType == EtherType.ipv4, let packet = IPv4Packet(ethernet.payload) {
            let flags = ethernet.payload.readUInt16(at: 6)
            if flags & 0x4000 == 0 { return .fragment }
            guard !ethernet.destination.isMulticast, flags & 0x1fff == 0, mayBeAnswered(packet) else { return .drop }
            return .answer(answerIPv4(packet, frame: frame, offset: offset, mtu: mtu, output: output))
        }
        if ethernet.etherType == EtherType.ipv6, let packet = IPv6Packet(ethernet.payload) {
            guard !ethernet.destination.isMulticast, mayBeAnswered(packet) else { return .drop }
            // A sender that is told less than 1280 would still send 1280 (RFC 8201, 4).
            guard packet.payload.byteCount + IPv6Packet.headerLength > leastIPv6MTU else { return .drop }
            return .answer(answerIPv6(packet, frame: frame, offset: offset, mtu: mtu, output: output))
        }
        return .drop
    }

    /// Neither errors nor packets to or from many are answered (RFC 1122, 3.2.2).
    private static func mayBeAnswered(_ packet: IPv4Packet) -> Bool {
        func isUnicast(_ address: IPv4Address) -> Bool {
            let first = address.rawValue >> 24
            return first != 0 && first != 127 && first < 224
        }
        guard isUnicast(packet.source), isUnicast(packet.destination) else { return false }
        guard packet.protocolNumber == icmp else { return true }
        guard packet.payload.byteCount > 0 else { return false }
        return ![3, 4, 5, 11, 12].contains(packet.payload.readUInt8(at: 0))
    }

    /// As above, for IPv6 (RFC 4443, 2.4): a type below 128 is an error. Behind other extension headers than a fragment's
    /// nobody looks.
    private static func mayBeAnswered(_ packet: IPv6Packet) -> Bool {
        func isUnicast(_ address: IPv6Address) -> Bool {
            address.high >> 56 != 0xff && (address.high != 0 || address.low > 1)
        }
        guard isUnicast(packet.source), isUnicast(packet.destination) else { return false }
        let payload = packet.payload
        if packet.nextHeader == fragmentHeader {
            return payload.byteCount >= 8 && payload.readUInt16(at: 2) & 0xfff8 == 0
        }
        return packet.nextHeader != IPProtocol.icmpv6 || payload.byteCount > 0 && payload.readUInt8(at: 0) >= 128
    }

    /// The frame's Ethernet header the other way round, tags kept.
    private static func turnRound(_ frame: UnsafeRawBufferPointer, offset: Int, output: UnsafeMutableRawPointer) {
        guard let base = frame.baseAddress else { return }
        output.copyMemory(from: base + 6, byteCount: 6)
        (output + 6).copyMemory(from: base, byteCount: 6)
        (output + 12).copyMemory(from: base + 12, byteCount: offset - 12)
    }

    /// From the packet's destination, as Linux tunnels send it (RFC 1191): type 3, code 4, next-hop MTU.
    private static func answerIPv4(
        _ packet: borrowing IPv4Packet,
        frame: UnsafeRawBufferPointer,
        offset: Int,
        mtu: Int,
        output: UnsafeMutableRawPointer
    ) -> Int {
        turnRound(frame, offset: offset, output: output)
        let whole = packet.headerLength + packet.payload.byteCount
        let quoted = min(whole, mostICMP - ipv4Header - icmpHeader)
        let total = ipv4Header + icmpHeader + quoted
        let header = output + offset
        header.initializeMemory(as: UInt8.self, repeating: 0, count: ipv4Header + icmpHeader)
        header.storeBytes(of: 0x45, as: UInt8.self)
        header.storeBigEndian(UInt16(total), at: 2)
        header.storeBigEndian(UInt16(0x4000), at: 6)
        header.storeBytes(of: 64, toByteOffset: 8, as: UInt8.self)
        header.storeBytes(of: icmp, toByteOffset: 9, as: UInt8.self)
        header.storeBigEndian(packet.destination.rawValue, at: 12)
        header.storeBigEndian(packet.source.rawValue, at: 16)
        header.storeBigEndian(InternetChecksum.of(header, count: ipv4Header), at: 10)
        let message = header + ipv4Header
        message.storeBytes(of: 3, as: UInt8.self)
        message.storeBytes(of: 4, toByteOffset: 1, as: UInt8.self)
        message.storeBigEndian(UInt16(clamping: mtu), at: 6)
        if let base = frame.baseAddress { (message + icmpHeader).copyMemory(from: base + offset, byteCount: quoted) }
        message.storeBigEndian(InternetChecksum.of(message, count: icmpHeader + quoted), at: 2)
        return offset + total
    }

    /// ICMPv6 type 2 (RFC 4443, 3.2).
    private static func answerIPv6(
        _ packet: borrowing IPv6Packet,
        frame: UnsafeRawBufferPointer,
        offset: Int,
        mtu: Int,
        output: UnsafeMutableRawPointer
    ) -> Int {
        turnRound(frame, offset: offset, output: output)
        let whole = IPv6Packet.headerLength + packet.payload.byteCount
        let quoted = min(whole, leastIPv6MTU - IPv6Packet.headerLength - icmpHeader)
        let header = output + offset
        header.initializeMemory(as: UInt8.self, repeating: 0, count: IPv6Packet.headerLength + icmpHeader)
        header.storeBytes(of: 0x60, as: UInt8.self)
        header.storeBigEndian(UInt16(icmpHeader + quoted), at: 4)
        header.storeBytes(of: IPProtocol.icmpv6, toByteOffset: 6, as: UInt8.self)
        header.storeBytes(of: 64, toByteOffset: 7, as: UInt8.self)
        header.storeBigEndian(packet.destination, at: 8)
        header.storeBigEndian(packet.source, at: 24)
        let message = header + IPv6Packet.headerLength
        message.storeBytes(of: 2, as: UInt8.self)
        message.storeBigEndian(UInt32(max(mtu, leastIPv6MTU)), at: 4)
        if let base = frame.baseAddress { (message + icmpHeader).copyMemory(from: base + offset, byteCount: quoted) }
        let length = icmpHeader + quoted
        message.storeBigEndian(InternetChecksum.icmpv6(header, count: length), at: 2)
        return offset + IPv6Packet.headerLength + length
    }
}
