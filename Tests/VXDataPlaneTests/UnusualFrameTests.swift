import Testing
import VXDataPlane
import VXWire

/// What a switch or a hostile station may send and no host does. None of it ends anything, or is passed on wrongly.
@Suite struct UnusualFrameTests {
    private static let station = MACAddress(0x0200_0000_0301)

    private static func frame(payload: Int, tags: Int = 0) -> [UInt8] {
        let tag: [UInt8] = [0x81, 0, 0, 7]
        let end: [UInt8] = [0x88, 0xb5] + [UInt8](repeating: 3, count: payload)
        return [UInt8](repeating: 0xff, count: 6) + station.bytes + (0..<tags).flatMap { _ in tag } + end
    }

    @Test("reserved bits of the VXLAN header are ignored and counted; without the I flag there is no VNI")
    func reservedBits() {
        let node = MixedGateway(relays: false)
        var expected: UInt64 = 0
        for bit in 0..<64 where !(32..<56).contains(bit) {
            var header: [UInt8] = [8, 0, 0, 0, 0, 0, 42, 0]
            header[bit / 8] ^= 0x80 >> UInt8(bit % 8)
            let heard = node.hear(datagram: header + Self.frame(payload: 40), from: node.plaintextEndpoints[0])
            let isFlag = bit == 4
            #expect(heard.device.count == (isFlag ? 0 : 1), "bit \(bit)")
            if !isFlag { expected += 1 }
            #expect(node.plaintextCounters[0].reservedBits == expected, "bit \(bit)")
        }
        #expect(node.gateway.drops[.invalidPlaintext] == 1)
    }

    @Test("frames shorter than an Ethernet header are dropped, on either side")
    func short() {
        let node = MixedGateway(relays: true)
        let frame = Self.frame(payload: 0)
        for count in 0..<14 {
            let heard = node.hear(Array(frame.prefix(count)), fromPlaintext: 1)
            #expect(heard.device.isEmpty && heard.sealed.isEmpty)
        }
        #expect(node.gateway.drops[.shortFrame] == 14)
        #expect(node.hear(frame, fromPlaintext: 1).device == [frame])
    }

    @Test("jumbo frames and four tags pass as they are", arguments: [(9000, 0), (40, 4), (9000, 4), (60_000, 0)])
    func large(payload: Int, tags: Int) {
        let node = MixedGateway(relays: true)
        let frame = Self.frame(payload: payload, tags: tags)
        let heard = node.hear(frame, fromPlaintext: 1)
        #expect(heard.device == [frame] && heard.sealed == [frame])
    }

    @Test("random stations at full rate fill a peer's share, and others are still learned")
    func floodOfStations() {
        let node = MixedGateway(relays: true)
        for number in 0..<40_000 {
            var frame = Self.frame(payload: 20)
            let address = MACAddress(0x0200_0100_0000 | UInt64(number))
            frame.replaceSubrange(6..<12, with: address.bytes)
            _ = node.hear(frame, fromPlaintext: 1)
        }
        let usage = node.forwarding.usage
        #expect(usage.learned <= usage.limit && usage.refused > 0)
        var frame = Self.frame(payload: 20)
        #expect(node.hear(frame, fromPlaintext: 2).sealed.count == 1)
        frame.replaceSubrange(0..<6, with: Self.station.bytes)
        frame.replaceSubrange(6..<12, with: MACAddress(0x0200_0000_0302).bytes)
        // Known behind the second plaintext peer, so sent there alone.
        #expect(node.hear(frame, fromPlaintext: nil).plaintext.map(\.to) == [node.plaintextEndpoints[1]])
    }
}
