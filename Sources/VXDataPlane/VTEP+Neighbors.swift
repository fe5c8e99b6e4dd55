import VXWire

// ARP and neighbour discovery in place of stations behind peers (product.md, `neighborSuppression`). Such frames are few, and
// all of it is off the packet path but for telling them apart.
extension VTEP {
    private static var etherHeader: Int { EthernetFrame.headerLength }

    /// Whether a frame is ARP, or a neighbour solicitation or advertisement without extension headers. One that is tagged is
    /// not: an address may mean another station in every VLAN.
    @inline(__always)
    static func isNeighborMessage(_ frame: UnsafeRawPointer, count: Int) -> Bool {
        let type = frame.bigEndian16(at: 12)
        if type == EtherType.arp { return count >= etherHeader &+ ARPPacket.length }
        guard type == EtherType.ipv6, count >= etherHeader &+ 64,
            frame.load(fromByteOffset: etherHeader &+ 6, as: UInt8.self) == IPProtocol.icmpv6
        else { return false }
        let kind = frame.load(fromByteOffset: etherHeader &+ 40, as: UInt8.self)
        return kind == NeighborMessage.solicitation || kind == NeighborMessage.advertisement
    }

    /// Notes what a station behind a peer says of its addresses; `BindingInspection` has found that it may.
    @inline(never)
    @_semantics("no_performance_analysis")
    func noteNeighbor(_ frame: UnsafeRawPointer, count: Int, network: Int, peer: PeerIndex, now: Instant) {
        guard let table = networks[network].neighbors else { return }
        let bytes = UnsafeRawBufferPointer(start: frame, count: count).bytes
        guard let ethernet = EthernetFrame(bytes) else { return }
        if ethernet.etherType == EtherType.arp {
            guard let packet = ARPPacket(ethernet.payload), packet.senderAddress.rawValue != 0 else { return }
            let address = IPAddress.v4(packet.senderAddress).mapped
            return table.note(address, mac: packet.senderMAC, isRouter: nil, from: peer, now: now)
        }
        guard let message = NeighborMessage(frame, count: count) else { return }
        if message.isAdvertisement {
            // Without the option it is the answer to a unicast question, from who is known already (RFC 4861, 7.2.4).
            let mac = message.linkLayerAddress ?? ethernet.source
            table.note(message.target, mac: mac, isRouter: message.isFromRouter, from: peer, now: now)
        } else if !message.isFromNobody, let mac = message.linkLayerAddress {
            table.note(message.source, mac: mac, isRouter: nil, from: peer, now: now)
        }
    }

    /// Answers a question of the own device for a station behind a peer.
    /// - Returns: false when it is to be flooded: a probe, an announcement, duplicate address detection, or nobody is known.
    @inline(never)
    @_semantics("no_performance_analysis")
    mutating func answerNeighbor(_ frame: UnsafeRawPointer, count: Int, network: Int, now: Instant) -> Bool {
        guard let table = networks[network].neighbors else { return false }
        let isARP = frame.bigEndian16(at: 12) == EtherType.arp
        let isAnswered =
            isARP
            ? answerARP(frame, count: count, network: network, table: table, now: now)
            : answerSolicitation(frame, count: count, network: network, table: table, now: now)
        if isAnswered { table.countAnswer() }
        return isAnswered
    }

    /// Somebody who is behind a peer for certain, and not the one who asks.
    private func answerable(
        _ address: IPv6Address,
        asker: MACAddress,
        network: Int,
        table: NeighborTable,
        now: Instant
    ) -> NeighborTable.Neighbor? {
        guard answers.room > 0, delivered.room > 0, !asker.isMulticast, !asker.isZero,
            let neighbor = table.find(address, now: now), neighbor.mac != asker,
            networks[network].forwarding.lookup(neighbor.mac, now: now) == neighbor.peer
        else { return nil }
        return neighbor
    }

    private mutating func answerARP(
        _ frame: UnsafeRawPointer,
        count: Int,
        network: Int,
        table: NeighborTable,
        now: Instant
    ) -> Bool {
        let bytes = UnsafeRawBufferPointer(start: frame, count: count).bytes
        guard let ethernet = EthernetFrame(bytes), let packet = ARPPacket(ethernet.payload),
            packet.senderAddress.rawValue != 0
        else { return false }
        let asker = packet.senderMAC
        table.contest(IPAddress.v4(packet.senderAddress).mapped, mac: asker, now: now)
        let target = packet.targetAddress
        guard packet.operation == 1, ethernet.destination == .broadcast, packet.senderAddress != target,
            let neighbor = answerable(
                IPAddress.v4(target).mapped,
                asker: asker,
                network: network,
                table: table,
                now: now
            )
        else { return false }
        let output = beginAnswer(to: asker, from: neighbor.mac, type: EtherType.arp)
        let answer = output + Self.etherHeader
        // Ethernet and IPv4, 6 and 4 bytes, an answer (RFC 826).
        answer.storeBigEndian(UInt32(0x0001_0800), at: 0)
        answer.storeBigEndian(UInt32(0x0604_0002), at: 4)
        answer.storeBigEndian(neighbor.mac, at: 8)
        answer.storeBigEndian(target.rawValue, at: 14)
        answer.storeBigEndian(asker, at: 18)
        answer.storeBigEndian(packet.senderAddress.rawValue, at: 24)
        let length = Self.etherHeader + ARPPacket.length
        _ = delivered.append(output, count: length, network: network, offload: VirtioNetHeader())
        return true
    }

    private mutating func answerSolicitation(
        _ frame: UnsafeRawPointer,
        count: Int,
        network: Int,
        table: NeighborTable,
        now: Instant
    ) -> Bool {
        guard let message = NeighborMessage(frame, count: count), !message.isFromNobody,
            let asker = message.linkLayerAddress, message.isRight
        else { return false }
        table.contest(message.source, mac: asker, now: now)
        guard !message.isAdvertisement, message.isToSolicitedNode,
            let neighbor = answerable(message.target, asker: asker, network: network, table: table, now: now)
        else { return false }
        // Hosts forget a router that says it is none (RFC 4861, 7.2.5): whoever might be one and has not said is not answered
        // for.
        let isGuarded = peers[Int(neighbor.peer.rawValue)].rules.refusesRouters
        guard isGuarded || neighbor.isRouter != nil else { return false }
        let output = beginAnswer(to: asker, from: neighbor.mac, type: EtherType.ipv6)
        let header = output + Self.etherHeader
        header.storeBigEndian(UInt32(0x6000_0000), at: 0)
        header.storeBigEndian(UInt16(32), at: 4)
        header.storeBytes(of: IPProtocol.icmpv6, toByteOffset: 6, as: UInt8.self)
        header.storeBytes(of: 255, toByteOffset: 7, as: UInt8.self)
        header.storeBigEndian(message.target, at: 8)
        header.storeBigEndian(message.source, at: 24)
        let body = header + IPv6Packet.headerLength
        body.storeBigEndian(UInt32(NeighborMessage.advertisement) << 24, at: 0)
        // Router, solicited, override (RFC 9161, 3.2).
        let isRouter = !isGuarded && neighbor.isRouter == true
        body.storeBigEndian(UInt32(isRouter ? 0xe000_0000 : 0x6000_0000), at: 4)
        body.storeBigEndian(message.target, at: 8)
        body.storeBigEndian(UInt16(0x0201), at: 24)
        body.storeBigEndian(neighbor.mac, at: 26)
        body.storeBigEndian(InternetChecksum.icmpv6(header, count: 32), at: 2)
        let length = Self.etherHeader + IPv6Packet.headerLength + 32
        _ = delivered.append(output, count: length, network: network, offload: VirtioNetHeader())
        return true
    }

    /// Takes a slot for an answer and writes its Ethernet header; `answerable` has looked at the room.
    private mutating func beginAnswer(
        to asker: MACAddress,
        from mac: MACAddress,
        type: UInt16
    ) -> UnsafeMutableRawPointer {
        let output = answers.take() + Self.answerHeadroom
        output.storeBigEndian(asker, at: 0)
        output.storeBigEndian(mac, at: 6)
        output.storeBigEndian(type, at: 12)
        return output
    }
}

/// A neighbour solicitation or advertisement (RFC 4861, 4.3 and 4.4) directly behind an untagged IPv6 header.
struct NeighborMessage {
    static var solicitation: UInt8 { 135 }
    static var advertisement: UInt8 { 136 }

    let isAdvertisement: Bool
    let source: IPv6Address
    let target: IPv6Address
    /// Of the source in a solicitation, of the target in an advertisement.
    let linkLayerAddress: MACAddress?
    /// The R flag of an advertisement.
    let isFromRouter: Bool
    /// To the multicast group of the target.
    let isToSolicitedNode: Bool
    /// The checksum fits.
    let isRight: Bool

    /// Duplicate address detection.
    var isFromNobody: Bool { source.high == 0 && source.low == 0 }

    /// Nil when it is cut, came through a router, or has options without length.
    init?(_ frame: UnsafeRawPointer, count: Int) {
        let header = frame + EthernetFrame.headerLength
        let room = count - EthernetFrame.headerLength - IPv6Packet.headerLength
        guard room >= 24, header.load(as: UInt8.self) >> 4 == 6, header.load(fromByteOffset: 7, as: UInt8.self) == 255
        else { return nil }
        let length = Int(header.bigEndian16(at: 4))
        let body = header + IPv6Packet.headerLength
        guard length >= 24, length <= room, body.load(fromByteOffset: 1, as: UInt8.self) == 0 else { return nil }
        isAdvertisement = body.load(as: UInt8.self) == Self.advertisement
        isFromRouter = isAdvertisement && body.load(fromByteOffset: 4, as: UInt8.self) & 0x80 != 0
        source = header.ipv6Address(at: 8)
        target = body.ipv6Address(at: 8)
        let group = header.ipv6Address(at: 24)
        isToSolicitedNode =
            group.high == 0xff02_0000_0000_0000
            && group.low == 0x0000_0001_ff00_0000 | target.low & 0xff_ffff
        var found: MACAddress?
        var offset = 24
        while offset + 8 <= length {
            let size = Int(body.load(fromByteOffset: offset + 1, as: UInt8.self)) * 8
            guard size > 0 else { return nil }
            if body.load(fromByteOffset: offset, as: UInt8.self) == (isAdvertisement ? 2 : 1), size == 8 {
                found = VTEP.macAddress(at: body + offset + 2)
            }
            offset += size
        }
        linkLayerAddress = found
        isRight = InternetChecksum.icmpv6(header, count: length) == 0
    }
}
