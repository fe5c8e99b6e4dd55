import Testing
import VXCrypto
import VXWire

@testable import VXDataPlane

/// DSCP, ECN and VLAN tags between a frame and what carries it.
@Suite struct TrafficClassTests {
    private static let ethernet = TwoGateways.broadcast + TwoGateways.leftMAC

    /// A frame with a UDP datagram whose IP header has this traffic class.
    private static func frame(_ trafficClass: UInt8, isIPv6: Bool, tags: [UInt8] = [], payload: Int = 20) -> [UInt8] {
        let data = [UInt8](repeating: 7, count: payload)
        let udp: [UInt8] = [0, 9, 0, 9, 0, UInt8(8 + payload), 0, 0] + data
        guard !isIPv6 else {
            var header: [UInt8] = [0x60 | trafficClass >> 4, trafficClass << 4, 0, 0, 0, UInt8(udp.count), 17, 64]
            header += [UInt8](repeating: 0xfd, count: 16) + [UInt8](repeating: 0xfe, count: 16)
            return ethernet + tags + [0x86, 0xdd] + header + udp
        }
        var header: [UInt8] = [0x45, trafficClass, 0, UInt8(20 + udp.count), 0xab, 0xcd, 0x40, 0, 64, 17, 0, 0]
        header += [10, 0, 0, 1, 10, 0, 0, 2]
        let checksum = header.withUnsafeBytes { InternetChecksum.of($0.baseAddress!, count: 20) }
        header[10] = UInt8(checksum >> 8)
        header[11] = UInt8(checksum & 0xff)
        return ethernet + tags + [0x08, 0] + header + udp
    }

    @Test("the outer traffic class is the inner one, under tags too; what is no IP has none")
    func outer() {
        func of(_ frame: [UInt8]) -> UInt8 {
            frame.withUnsafeBytes { TrafficClass.outer(of: $0.baseAddress!, count: $0.count) }
        }
        for isIPv6 in [false, true] {
            for value in UInt8(0)...255 { #expect(of(Self.frame(value, isIPv6: isIPv6)) == value) }
            #expect(of(Self.frame(0xb9, isIPv6: isIPv6, tags: [0x88, 0xa8, 0, 1, 0x81, 0, 0, 2])) == 0xb9)
        }
        #expect(of(Self.ethernet + [0x08, 0x06] + [UInt8](repeating: 0xff, count: 28)) == 0)
        #expect(of(Self.ethernet + [0x08, 0]) == 0, "a frame that ends there")
        #expect(of(Self.ethernet + [0x81, 0, 0, 1, 0x81]) == 0)
    }

    @Test("RFC 6040, figure 4, every row and column, over both families", arguments: [false, true])
    func decapsulation(isIPv6: Bool) {
        // By inner field, then outer: Not-ECT, ECT(1), ECT(0), CE; nil is a drop.
        let table: [[UInt8?]] = [[0, 0, 0, nil], [1, 1, 1, 3], [2, 1, 2, 3], [3, 3, 3, 3]]
        for inner in UInt8(0)...3 {
            for outer in UInt8(0)...3 {
                let nodes = TwoGateways()
                // DSCP stays as it is, whatever it is outside.
                let sent = Self.frame(0xb8 | inner, isIPv6: isIPv6)
                let datagram = nodes.forward(sent)[0]
                nodes.slot.copyMemory(from: datagram, byteCount: datagram.count)
                nodes.right.receiveSealed(
                    nodes.slot,
                    count: datagram.count,
                    segmentSize: 0,
                    from: TwoGateways.leftEndpoint,
                    outerECN: outer,
                    now: nodes.now
                )
                let arrived = TwoGateways.takeDelivered(&nodes.right).map(\.frame)
                let expected = table[Int(inner)][Int(outer)].map { Self.frame(0xb8 | $0, isIPv6: isIPv6) }
                // The expected frame's checksum was computed whole, the arrived one's was corrected.
                #expect(arrived == [expected].compactMap { $0 }, "inner \(inner), outer \(outer)")
                #expect(nodes.right.drops[.notECNCapable] == (expected == nil ? 1 : 0))
            }
        }
    }

    @Test("a corrected checksum is the one that is computed whole, for headers of any content")
    func checksums() {
        var state: UInt64 = 3
        for _ in 0..<20_000 {
            var frame = Self.frame(2, isIPv6: false)
            for place in 18..<26 where place != 24 && place != 25 {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                frame[place] = UInt8(truncatingIfNeeded: state >> 40)
            }
            (frame[24], frame[25]) = (0, 0)
            let complete = { (frame: inout [UInt8]) in
                (frame[24], frame[25]) = (0, 0)
                let sum = frame.withUnsafeBytes { InternetChecksum.of($0.baseAddress! + 14, count: 20) }
                (frame[24], frame[25]) = (UInt8(sum >> 8), UInt8(sum & 0xff))
            }
            complete(&frame)
            var marked = frame
            let isTaken = marked.withUnsafeMutableBytes {
                TrafficClass.merge(3, into: $0.baseAddress!, count: $0.count)
            }
            frame[15] |= 3
            complete(&frame)
            #expect(isTaken && marked == frame)
        }
    }

    @Test("frames that are cut, or no IP, take congestion without a trap")
    func garbage() {
        for isIPv6 in [false, true] {
            let whole = Self.frame(1, isIPv6: isIPv6, tags: [0x81, 0, 0, 5])
            for count in 0..<whole.count {
                var frame = Array(whole.prefix(count)) + [0]
                #expect(frame.withUnsafeMutableBytes { TrafficClass.merge(3, into: $0.baseAddress!, count: count) })
                if count < 18 + 20 { #expect(Array(frame.prefix(count)) == Array(whole.prefix(count))) }
            }
        }
        var arp = Self.ethernet + [0x08, 0x06] + [UInt8](repeating: 0, count: 28)
        #expect(arp.withUnsafeMutableBytes { TrafficClass.merge(3, into: $0.baseAddress!, count: $0.count) })
    }

    @Test("frames share a datagram, and datagrams a run, only with their own traffic class")
    func runs() {
        let nodes = TwoGateways()
        func sent(_ classes: [UInt8], payload: Int) -> [(UInt8, Int)] {
            for value in classes {
                let frame = Self.frame(value, isIPv6: false, payload: payload)
                (nodes.slot + VTEP.headroom).copyMemory(from: frame, byteCount: frame.count)
                _ = nodes.left.forward(nodes.slot + VTEP.headroom, count: frame.count, network: 0, now: nodes.now)
            }
            nodes.left.sealOpenDatagram(now: nodes.now)
            defer { nodes.left.removeOutgoing() }
            return (0..<nodes.left.outgoing.count).map {
                (nodes.left.outgoing[$0].trafficClass, nodes.left.outgoing[$0].segments)
            }
        }
        let small = sent([0, 0, 0xb8, 0xb8, 0xb8, 0], payload: 20)
        #expect(small.map(\.0) == [0, 0xb8, 0] && small.map(\.1) == [1, 1, 1])
        let large = sent([0, 0, 0xb9, 0xb9, 0], payload: 200)
        #expect(large.map(\.0) == [0, 0xb9, 0])
        nodes.left.keepalive(PeerIndex(0), now: nodes.now)
        #expect(nodes.left.outgoing[0].trafficClass == 0)
        nodes.left.removeOutgoing()
    }

    /// A node of one lane with one plaintext network and one peer, at `TwoGateways.rightEndpoint`.
    private static func plaintextNode(copyDSCP: Bool = true, vlans: [UInt16]? = nil) -> VTEP {
        let network = NetworkDefinition(
            vni: VNI(truncating: 7),
            mode: .plaintext,
            learning: true,
            copyDSCP: copyDSCP,
            vlans: vlans,
            maximumFrame: 1522,
            members: [PeerIndex(0)],
            forwarding: ForwardingDatabase()
        )
        let peer = PeerDefinition(
            isPlaintext: true,
            endpoint: TwoGateways.rightEndpoint,
            roaming: false,
            counters: PeerCounters()
        )
        return VTEP(
            lane: 0,
            threads: 1,
            networks: [network],
            peers: [peer],
            cipher: .libsodium(),
            drops: DropCounters()
        )
    }

    @Test("a hidden DSCP leaves ECN outside")
    func hidden() {
        var node = Self.plaintextNode(copyDSCP: false)
        let slot = UnsafeMutableRawPointer.allocate(byteCount: 2048, alignment: 64)
        defer { slot.deallocate() }
        for value: UInt8 in [0xb8, 0xba, 0xbb, 0] {
            let frame = Self.frame(value, isIPv6: true)
            (slot + VTEP.headroom).copyMemory(from: frame, byteCount: frame.count)
            _ = node.forward(slot + VTEP.headroom, count: frame.count, network: 0, now: Instant(nanoseconds: 1))
        }
        #expect((0..<node.outgoing.count).map { node.outgoing[$0].trafficClass } == [0, 2, 3, 0])
    }

    @Test("a network's tags: listed ones pass both ways, others are dropped and counted")
    func tags() {
        let slot = UnsafeMutableRawPointer.allocate(byteCount: 2048, alignment: 64)
        defer { slot.deallocate() }
        // Tagged 10 and 4094; a provider's tag 10 with a customer's 20; a priority tag; none; cut within the tag.
        let frames: [[UInt8]] = [
            [0x81, 0, 0x60, 10, 0x88, 0xb5], [0x81, 0, 0x0f, 0xfe, 0x88, 0xb5],
            [0x88, 0xa8, 0, 10, 0x81, 0, 0, 20, 0x88, 0xb5], [0x81, 0, 0xe0, 0, 0x88, 0xb5], [0x88, 0xb5, 1, 2],
            [0x81, 0, 0],
        ]
        for (vlans, expected) in [
            (nil, [true, true, true, true, true, true]), ([10], [true, false, true, false, false, false]),
            ([0, 4094], [false, true, false, true, true, false]),
        ] as [([UInt16]?, [Bool])] {
            var node = Self.plaintextNode(vlans: vlans)
            for (rest, passes) in zip(frames, expected) {
                let frame = Self.ethernet + rest
                (slot + VTEP.headroom).copyMemory(from: frame, byteCount: frame.count)
                _ = node.forward(slot + VTEP.headroom, count: frame.count, network: 0, now: Instant(nanoseconds: 1))
                #expect(node.outgoing.count == (passes ? 1 : 0), "to the peer: \(rest)")
                node.removeOutgoing()
                let datagram: [UInt8] = [8, 0, 0, 0, 0, 0, 7, 0] + TwoGateways.broadcast + [2, 0, 0, 0, 0, 2] + rest
                slot.copyMemory(from: datagram, byteCount: datagram.count)
                node.receivePlaintext(
                    slot,
                    count: datagram.count,
                    segmentSize: 0,
                    from: TwoGateways.rightEndpoint,
                    now: Instant(nanoseconds: 1)
                )
                #expect(TwoGateways.takeDelivered(&node).count == (passes ? 1 : 0), "from the peer: \(rest)")
            }
            #expect(node.drops[.vlanNotAllowed] == UInt64(2 * expected.filter { !$0 }.count))
        }
    }
}
