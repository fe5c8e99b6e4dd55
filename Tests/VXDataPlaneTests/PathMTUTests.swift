import Testing
import VXDataPlane
import VXWire

/// Frames that are too big for their peer (product.md, Path MTU).
@Suite struct PathMTUTests {
    private let nodes = TwoGateways()
    private let ethernet = TwoGateways.rightMAC + TwoGateways.leftMAC

    /// Bytes of IP that the peer's path is to carry, by way of the path's own MTU over IPv4.
    private func limit(_ inner: Int) {
        nodes.left.setPathMTU(inner + 14 + 8 + 4 + 16 + 16 + 28, of: PeerIndex(0))
    }

    private func ipv4(_ count: Int, flags: UInt16, protocolNumber: UInt8 = 17, options: [UInt8] = []) -> [UInt8] {
        let header = 20 + options.count
        var packet = [UInt8](repeating: 0, count: header)
        packet[0] = 0x40 | UInt8(header / 4)
        (packet[2], packet[3]) = (UInt8(count >> 8), UInt8(count & 0xff))
        (packet[6], packet[7]) = (UInt8(flags >> 8), UInt8(flags & 0xff))
        (packet[8], packet[9]) = (64, protocolNumber)
        packet.replaceSubrange(12..<20, with: [10, 98, 0, 1, 10, 98, 0, 2])
        packet.replaceSubrange(20..<header, with: options)
        return packet + (0..<count - header).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    }

    private func ipv6(_ count: Int, nextHeader: UInt8 = 17) -> [UInt8] {
        let payload = count - 40
        let addresses: [UInt8] = [0xfd] + [UInt8](repeating: 0, count: 14) + [1, 0xfd]
        return [0x60, 0, 0, 0, UInt8(payload >> 8), UInt8(payload & 0xff), nextHeader, 64] + addresses
            + [UInt8](repeating: 0, count: 14) + [2] + [UInt8](repeating: 0x80, count: payload)
    }

    /// Sends a frame and returns what reached the other side and what came back to the own device.
    private func send(_ frame: [UInt8]) -> (arrived: [[UInt8]], answers: [[UInt8]]) {
        let datagrams = nodes.forward(frame)
        let answers = TwoGateways.takeDelivered(&nodes.left).map(\.frame)
        return (datagrams.flatMap { nodes.receive($0) }, answers)
    }

    private func sum(_ bytes: ArraySlice<UInt8>, _ start: Int = 0) -> Int {
        var sum = start
        for place in stride(from: bytes.startIndex, to: bytes.endIndex, by: 2) {
            sum += Int(bytes[place]) << 8 | (place + 1 < bytes.endIndex ? Int(bytes[place + 1]) : 0)
        }
        while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
        return sum
    }

    @Test("what fits passes as it is")
    func fits() {
        limit(1000)
        let frame = ethernet + [0x08, 0x00] + ipv4(1000, flags: 0x4000)
        #expect(send(frame).arrived == [frame])
    }

    @Test(
        "IPv4 without DF is fragmented, and put together again is what it was",
        arguments: [[UInt8](), [0x94, 4, 0, 0]]
    )
    func fragments(options: [UInt8]) throws {
        for (size, inner) in [(1400, 1000), (1400, 577), (1401, 600), (1016, 1000)] {
            limit(inner)
            let packet = ipv4(size, flags: 0, options: options)
            let (arrived, answers) = send(ethernet + [0x08, 0x00] + packet)
            #expect(answers.isEmpty && arrived.count > 1)
            let header = 20 + options.count
            var payload: [UInt8] = []
            for (number, frame) in arrived.enumerated() {
                let part = Array(frame[14...])
                #expect(part.count <= inner && Int(part[2]) << 8 | Int(part[3]) == part.count)
                #expect(sum(part[..<header]) == 0xffff, "the header's checksum")
                #expect((Int(part[6]) << 8 | Int(part[7])) & 0x1fff == payload.count / 8)
                #expect((part[6] & 0x20 != 0) == (number < arrived.count - 1), "more fragments")
                payload += part[header...]
            }
            #expect(payload == Array(packet[header...]))
        }
        #expect(nodes.left.drops[.tooBig] == 0)
    }

    @Test("IPv4 with DF: ICMP fragmentation needed, from the destination, with the MTU that fits", arguments: [0, 1])
    func answered(tags: Int) throws {
        limit(1000)
        let tag: [UInt8] = tags == 1 ? [0x81, 0x00, 0x00, 0x07] : []
        let packet = ipv4(1200, flags: 0x4000)
        let (arrived, answers) = send(ethernet + tag + [0x08, 0x00] + packet)
        #expect(arrived.isEmpty && nodes.left.drops[.tooBig] == 1)
        let answer = try #require(answers.first)
        #expect(answer.starts(with: TwoGateways.leftMAC + TwoGateways.rightMAC + tag + [0x08, 0x00]))
        let reply = Array(answer[(14 + tag.count)...])
        #expect(reply[9] == 1 && reply[12..<20] == [10, 98, 0, 2, 10, 98, 0, 1])
        #expect(sum(reply[..<20]) == 0xffff && sum(reply[20...]) == 0xffff)
        #expect(reply[20] == 3 && reply[21] == 4)
        #expect(Int(reply[26]) << 8 | Int(reply[27]) == 1000 - tag.count)
        #expect(reply.count == 576 && Array(reply[28...]) == Array(packet[..<548]))
    }

    @Test("IPv6: ICMPv6 packet too big, its MTU never below 1280")
    func answeredIPv6() throws {
        limit(1100)
        let (arrived, answers) = send(ethernet + [0x86, 0xdd] + ipv6(1400))
        #expect(arrived.isEmpty)
        let reply = Array(try #require(answers.first)[14...])
        #expect(reply.count == 1280 && reply[6] == 58 && reply[40] == 2 && reply[41] == 0)
        #expect(Int(reply[46]) << 8 | Int(reply[47]) == 1280)
        #expect(sum(reply[40...], sum(reply[8..<40]) + reply.count - 40 + 58) == 0xffff)
    }

    @Test("no answer to multicast, to errors, to later fragments, to nobody; and none beyond the rate")
    func unanswered() {
        limit(1000)
        let multicast = [0x01, 0, 0x5e, 0, 0, 1] + TwoGateways.leftMAC
        var error = ipv4(1200, flags: 0x4000, protocolNumber: 1)
        error[20] = 3
        var nobody = ipv4(1200, flags: 0x4000)
        nobody.replaceSubrange(12..<16, with: [0, 0, 0, 0])
        let frames: [[UInt8]] = [
            multicast + [0x08, 0x00] + ipv4(1200, flags: 0x4000), ethernet + [0x08, 0x00] + error,
            ethernet + [0x08, 0x00] + ipv4(1200, flags: 0x4001), ethernet + [0x08, 0x00] + nobody,
            ethernet + [0x86, 0xdd] + ipv6(1200), ethernet + [0x88, 0xb5] + [UInt8](repeating: 0, count: 1200),
        ]
        for frame in frames {
            let (arrived, answers) = send(frame)
            #expect(arrived.isEmpty && answers.isEmpty)
        }
        #expect(nodes.left.drops[.tooBig] == UInt64(frames.count))
        let many = (0..<300).flatMap { _ in send(ethernet + [0x08, 0x00] + ipv4(1200, flags: 0x4000)).answers }
        #expect(many.count == 100)
    }

    @Test("a probe makes an IP packet of the size it tells, and does nothing but be acknowledged")
    func probe() throws {
        let isSent = nodes.left.sendProbe(size: 1400, identifier: 77, to: PeerIndex(0), now: nodes.now)
        #expect(isSent && nodes.left.outgoing[0].count + 28 == 1400)
        #expect(nodes.receive([UInt8](nodes.left.outgoing[0].datagram(0))).isEmpty)
        let messages = nodes.right.takeEvents().compactMap {
            if case .control(_, _, let message) = $0 { message } else { nil }
        }
        #expect(messages == [[3, 0x05, 0x78, 0, 0, 0, 77]])
        let isTooLarge = nodes.left.sendProbe(size: 70_000, identifier: 78, to: PeerIndex(0), now: nodes.now)
        #expect(!isTooLarge)
    }
}
