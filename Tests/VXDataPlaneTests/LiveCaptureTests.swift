import Testing
import VXCrypto
import VXDataPlane
import VXWire

/// What captures see of a lane, what they leave alone, and that traffic is the same with them.
@Suite struct LiveCaptureTests {
    /// A packet in a buffer, copied out.
    private struct Packet {
        let label: CaptureLabel
        let bytes: [UInt8]
    }

    private func take(_ buffer: CaptureBuffer) -> [Packet] {
        var packets: [Packet] = []
        while let packet = buffer.next() { packets.append(Packet(label: packet.label, bytes: [UInt8](packet.bytes))) }
        buffer.release()
        return packets
    }

    private func filter(_ change: (inout CaptureFilter) -> Void = { _ in }) -> CaptureFilter {
        var filter = CaptureFilter()
        change(&filter)
        return filter
    }

    private let everything: (inout CaptureFilter) -> Void = {
        $0.outer = true
        $0.drops = .included
    }

    private static let frame = TwoGateways.rightMAC + TwoGateways.leftMAC + [0x88, 0xb5] + Array("payload".utf8)

    @Test("a frame is seen where it leaves and where it arrives, inside and outside, as it is on the wire")
    func bothSides() throws {
        let nodes = TwoGateways()
        let (left, right) = (CaptureBuffer(networks: 2), CaptureBuffer(networks: 2))
        nodes.left.setCapture(CaptureProgram(filter: filter(everything), buffer: left), at: 1)
        nodes.right.setCapture(CaptureProgram(filter: filter(everything), buffer: right), at: 3)
        nodes.right.noteArrival(port: 47890)
        (nodes.slot + VTEP.headroom).copyMemory(from: Self.frame, byteCount: Self.frame.count)
        let progress = nodes.left.forward(
            nodes.slot + VTEP.headroom,
            count: Self.frame.count,
            network: 0,
            now: nodes.now
        )
        #expect(progress == .finished)
        nodes.left.sealOpenDatagram(now: nodes.now)
        let (capturesOutgoing, runs) = (nodes.left.capturesOutgoing, nodes.left.outgoing.count)
        try #require(capturesOutgoing && runs == 1)
        nodes.left.captureOutgoing(0, from: 40_000, now: nodes.now)
        let datagram = try #require(nodes.takeOutgoing().first)
        #expect(nodes.receive(datagram) == [Self.frame])

        let sent = take(left)
        try #require(sent.count == 2)
        #expect(!sent[0].label.isOuter && sent[0].label.isSent && sent[0].bytes == Self.frame)
        #expect(sent[0].label.vni?.rawValue == 42 && sent[0].label.peer == PeerIndex(0) && sent[0].label.epoch == 7)
        #expect(sent[1].label.isOuter && sent[1].label.isSent && sent[1].bytes == datagram)
        #expect(sent[1].label.remote == TwoGateways.rightEndpoint && sent[1].label.localPort == 40_000)
        #expect(sent[1].label.epoch == 7 && sent[1].label.vni == nil)
        let received = take(right)
        try #require(received.count == 2)
        #expect(received[0].label.isOuter && !received[0].label.isSent && received[0].bytes == datagram)
        #expect(received[0].label.remote == TwoGateways.leftEndpoint && received[0].label.localPort == 47890)
        #expect(!received[1].label.isOuter && received[1].bytes == Self.frame && received[1].label.dropped == nil)
        #expect(received[1].label.vni?.rawValue == 42 && received[1].label.epoch == 9)
    }

    @Test("dropped datagrams are seen as they came, with the reason, once")
    func droppedDatagrams() throws {
        let nodes = TwoGateways()
        let buffer = CaptureBuffer(networks: 2)
        nodes.right.setCapture(CaptureProgram(filter: filter(everything), buffer: buffer), at: 0)
        let datagram = try #require(nodes.send(to: TwoGateways.rightMAC).first)
        var forged = datagram
        forged[forged.count - 1] ^= 1
        var foreign = datagram
        foreign[4] ^= 0xff
        #expect(nodes.receive(datagram).count == 1)
        let cases: [([UInt8], DropReason)] = [
            (forged, .replayed), (foreign, .unknownReceiver), ([9], .unknownMessage), ([4, 0], .malformed),
        ]
        _ = take(buffer)
        for (bytes, reason) in cases {
            #expect(nodes.receive(bytes).isEmpty)
            let packets = take(buffer)
            #expect(packets.map(\.bytes) == [bytes] && packets.map(\.label.dropped) == [reason])
            let count = nodes.right.drops[reason]
            #expect(count == 1)
        }
        let next = try #require(nodes.send(to: TwoGateways.rightMAC).first)
        forged = next
        forged[forged.count - 1] ^= 1
        #expect(nodes.receive(forged).isEmpty)
        let packets = take(buffer)
        #expect(packets.map(\.bytes) == [forged], "not what was left of it by opening it in place")
        #expect(packets.map(\.label.dropped) == [.authenticationFailed] && packets[0].label.epoch == 9)
    }

    @Test("dropped frames are seen on both sides, and only by who wants them")
    func droppedFrames() throws {
        let nodes = TwoGateways()
        let (all, passed) = (CaptureBuffer(networks: 2), CaptureBuffer(networks: 2))
        nodes.left.setCapture(CaptureProgram(filter: filter { $0.drops = .only }, buffer: all), at: 0)
        nodes.left.setCapture(CaptureProgram(filter: filter(), buffer: passed), at: 1)
        #expect(nodes.send(to: TwoGateways.rightMAC, from: [3, 0, 0, 0, 0, 9]).isEmpty)
        let sent = take(all)
        #expect(sent.map(\.label.dropped) == [.invalidSource] && sent[0].label.isSent && sent[0].label.peer == nil)
        #expect(take(passed).isEmpty)

        nodes.right.setCapture(CaptureProgram(filter: filter { $0.drops = .only }, buffer: all), at: 0)
        let elsewhere = try #require(nodes.send(to: TwoGateways.rightMAC, network: 1).first)
        #expect(nodes.receive(elsewhere).isEmpty)
        let received = take(all)
        #expect(received.map(\.label.dropped) == [.vniNotAllowed] && received[0].label.vni?.rawValue == 43)
        #expect(received[0].bytes == Self.frame && received[0].label.peer == PeerIndex(0))
        #expect(take(passed).count == 1)
    }

    @Test("a super-frame is seen whole, once, though its bytes are used up by sending it")
    func superFrame() throws {
        let shape = try #require(SuperFrameTests.shapes.first { $0.isTCP && !$0.isIPv6 && $0.payload == 10_000 })
        let nodes = TwoGateways()
        let buffer = CaptureBuffer(networks: 2)
        nodes.left.setCapture(CaptureProgram(filter: filter(), buffer: buffer), at: 0)
        #expect(nodes.forward(shape.frame, offload: shape.offload).count > 1)
        let packets = take(buffer)
        #expect(packets.map(\.bytes) == [shape.frame])
        #expect(packets[0].label.segmentSize == shape.offload.segmentSize && packets[0].label.isPartial)
    }

    @Test("bytes beyond the snap length are not kept, and the length is told")
    func snap() {
        let nodes = TwoGateways()
        let buffer = CaptureBuffer(networks: 2)
        nodes.left.setCapture(CaptureProgram(filter: filter { $0.snap = 14 }, buffer: buffer), at: 0)
        _ = nodes.send(to: TwoGateways.rightMAC)
        let packets = take(buffer)
        #expect(packets.map(\.bytes) == [Array(Self.frame.prefix(14))] && packets[0].label.length == Self.frame.count)
    }

    @Test("a full buffer loses packets of its own, counted by network, and no frame of the traffic")
    func full() {
        let nodes = TwoGateways()
        let buffer = CaptureBuffer(networks: 2, capacity: 1 << 18)
        nodes.left.setCapture(CaptureProgram(filter: filter(everything), buffer: buffer), at: 0)
        let payload = [UInt8](repeating: 1, count: 1_000)
        let frame = TwoGateways.rightMAC + TwoGateways.leftMAC + [0x88, 0xb5] + payload
        let count = 1_000
        for number in 0..<count {
            let datagrams = nodes.forward(frame, network: number % 2)
            #expect(datagrams.count == 1)
        }
        let kept = take(buffer).count
        #expect(kept > 100 && kept < count)
        #expect(buffer.lostFrames(of: 0) + buffer.lostFrames(of: 1) == UInt64(count - kept))
        #expect(buffer.lostFrames(of: 0) > 0 && buffer.lostFrames(of: 1) > 0)
        #expect(buffer.lostOthers == 0 && buffer.lostDatagrams == 0)
        _ = nodes.forward(frame)
        #expect(take(buffer).count == 1, "there is room again")
    }

    @Test("what is put back is read again")
    func putBack() {
        let nodes = TwoGateways()
        let buffer = CaptureBuffer(networks: 2)
        nodes.left.setCapture(CaptureProgram(filter: filter(), buffer: buffer), at: 0)
        for _ in 0..<3 { _ = nodes.send(to: TwoGateways.rightMAC) }
        _ = buffer.next()
        buffer.release()
        _ = buffer.next()
        buffer.putBack()
        #expect(take(buffer).count == 2)
    }

    @Test("a capture that has ended sees nothing, and others go on")
    func end() {
        let nodes = TwoGateways()
        let (first, second) = (CaptureBuffer(networks: 2), CaptureBuffer(networks: 2))
        nodes.left.setCapture(CaptureProgram(filter: filter(everything), buffer: first), at: 0)
        nodes.left.setCapture(CaptureProgram(filter: filter(), buffer: second), at: 1)
        nodes.left.setCapture(nil, at: 0)
        let capturesOutgoing = nodes.left.capturesOutgoing
        #expect(!capturesOutgoing)
        _ = nodes.send(to: TwoGateways.rightMAC)
        #expect(take(first).isEmpty && take(second).count == 1)
        nodes.left.setCapture(nil, at: 1)
        _ = nodes.send(to: TwoGateways.rightMAC)
        #expect(take(second).isEmpty)
    }

    // MARK: - Filters

    /// One filter, and which of `samples` it lets through.
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let filter: CaptureFilter
        let wanted: Set<String>

        init(_ name: String, _ wanted: Set<String>, _ change: (inout CaptureFilter) -> Void) {
            testDescription = name
            self.wanted = wanted
            var filter = CaptureFilter()
            change(&filter)
            self.filter = filter
        }
    }

    private static let samples: [(name: String, bytes: [UInt8])] = {
        let tag: [UInt8] = [0x81, 0, 0, 7]
        let udp4 = TestFrame.udp4(from: "10.98.0.7", ports: (5000, 53))
        var fragment = udp4
        fragment.payload[7] = 1
        var cut = udp4.bytes()
        cut.removeLast(cut.count - 36)
        return [
            ("udp4", udp4.bytes()), ("tagged", udp4.bytes(tags: [tag])), ("fragment", fragment.bytes()), ("cut", cut),
            ("udp6", TestFrame.udp6(from: "fd98::7", ports: (53, 6000)).bytes()),
            ("icmp6", TestFrame.icmp6(from: "fd98::7", type: 128, body: [0, 0, 0, 0]).bytes()),
            (
                "arp",
                TestFrame.arp(operation: 1, sender: BindingTests.own, "10.98.0.7", target: "10.98.0.254").bytes()
            ),
            ("plain", TestFrame.plain(from: MACAddress(0x0200_0000_0009)).bytes()), ("short", [1, 2, 3]),
        ]
    }()

    static let cases: [Case] = {
        let all: Set<String> = Set(samples.map(\.name))
        let ipv4: Set<String> = ["udp4", "tagged", "fragment", "cut", "arp"]
        return [
            Case("everything", all) { _ in },
            Case("a source address", ipv4) { $0.address = IPAddress("10.98.0.7") },
            Case("a destination address, in ARP too", ipv4) { $0.address = IPAddress("10.98.0.254") },
            Case("another address", []) { $0.address = IPAddress("10.98.0.8") },
            Case("an IPv6 address", ["udp6", "icmp6"]) { $0.address = IPAddress("fd98::7") },
            Case("an IPv6 group", ["udp6", "icmp6"]) { $0.address = IPAddress("ff02::1") },
            Case("a port on either side", ["udp4", "tagged", "udp6"]) { $0.port = 53 },
            Case("a port of one family", ["udp6"]) { $0.port = 6000 },
            Case("address and port", ["udp4", "tagged"]) {
                $0.address = IPAddress("10.98.0.7")
                $0.port = 53
            },
            Case("a station that sends", ["plain"]) { $0.mac = MACAddress("02:00:00:00:00:09") },
            Case("a group that is sent to", all.subtracting(["short"])) { $0.mac = .broadcast },
            Case("of the peer", all) { $0.peer = PeerIndex(0) },
            Case("of another peer", []) { $0.peer = PeerIndex(1) },
            Case("of the network", all) { $0.vni = VNI(truncating: 42) },
            Case("of another network", []) { $0.vni = VNI(truncating: 43) },
            Case("to peers", all) { $0.isSent = true },
            Case("from peers", []) { $0.isSent = false },
            Case("datagrams alone", []) {
                $0.inner = false
                $0.outer = true
            },
        ]
    }()

    @Test("each filter lets through what it names", arguments: cases)
    func filters(one: Case) {
        var taps = CaptureTaps()
        let buffer = CaptureBuffer(networks: 1)
        taps.set(CaptureProgram(filter: one.filter, buffer: buffer), at: 2)
        var passed: Set<String> = []
        for (name, bytes) in Self.samples {
            var label = CaptureLabel(
                time: Instant(nanoseconds: 1),
                isOuter: false,
                isSent: true,
                length: bytes.count
            )
            label.peer = PeerIndex(0)
            label.vni = VNI(truncating: 42)
            bytes.withUnsafeBytes { taps.offer($0.baseAddress!, count: bytes.count, label: label) }
            if !take(buffer).isEmpty { passed.insert(name) }
        }
        #expect(passed == one.wanted)
    }

    @Test("a datagram whose peer is not known is its by the address it came from")
    func strangers() {
        var filter = CaptureFilter()
        filter.outer = true
        filter.drops = .only
        filter.peer = PeerIndex(5)
        filter.peerEndpoint = TwoGateways.rightEndpoint
        var taps = CaptureTaps()
        let buffer = CaptureBuffer(networks: 1)
        taps.set(CaptureProgram(filter: filter, buffer: buffer), at: 0)
        for remote in [TwoGateways.rightEndpoint, TwoGateways.leftEndpoint] {
            var label = CaptureLabel(time: Instant(nanoseconds: 1), isOuter: true, isSent: false, length: 1)
            label.remote = Endpoint(address: remote.address, port: 1)
            label.dropped = .unknownReceiver
            [UInt8(4)].withUnsafeBytes { taps.offer($0.baseAddress!, count: 1, label: label) }
        }
        #expect(take(buffer).map(\.label.remote?.address) == [TwoGateways.rightEndpoint.address])
    }

    // MARK: - Headers

    @Test("the headers of a datagram are made anew with right lengths and checksums")
    func headers() throws {
        let payload = [UInt8](repeating: 0xab, count: 101)
        let four = payload.withUnsafeBytes {
            UnderlayHeader.bytes(
                from: TwoGateways.leftEndpoint,
                to: TwoGateways.rightEndpoint,
                payload: $0,
                length: 101,
                trafficClass: 0xb9
            )
        }
        #expect(four.count == 28 && four[1] == 0xb9 && four[2...3] == [0, 129] && four[24...25] == [0, 109])
        #expect(four[12...19] == [192, 0, 2, 1, 192, 0, 2, 2] && four[20...23] == [0xbb, 0x12, 0xbb, 0x12])
        #expect(sum(Array(four[..<20])) == 0xffff)
        let from = Endpoint(address: .v6(IPv6Address(high: 0xfd00 << 48, low: 1)), port: 40_000)
        let to = Endpoint(address: .v6(IPv6Address(high: 0xfd00 << 48, low: 2)), port: 47890)
        let six = payload.withUnsafeBytes {
            UnderlayHeader.bytes(from: from, to: to, payload: $0, length: 101, trafficClass: 0xb9)
        }
        #expect(six.count == 48 && six[0...1] == [0x6b, 0x90] && six[4...7] == [0, 109, 17, 64])
        #expect(sum(Array(six[8...]) + [0, 0, 0, 109, 0, 0, 0, 17] + payload) == 0xffff)
        let cut = payload.prefix(20).withUnsafeBytes {
            UnderlayHeader.bytes(from: from, to: to, payload: $0, length: 101, trafficClass: 0)
        }
        #expect(cut[46...47] == [0, 0], "no checksum of bytes that are not there")
    }

    /// The ones' complement sum of big-endian words (RFC 1071).
    private func sum(_ bytes: [UInt8]) -> UInt32 {
        var sum: UInt32 = 0
        for (place, byte) in bytes.enumerated() { sum += UInt32(byte) << (place % 2 == 0 ? 8 : 0) }
        while sum >> 16 > 0 { sum = sum & 0xffff + sum >> 16 }
        return sum
    }
}
