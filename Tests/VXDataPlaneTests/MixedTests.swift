import Testing
import VXCrypto
import VXDataPlane
import VXWire

/// Networks with sealed peers and plaintext ones, and the relay between them.
@Suite struct MixedTests {
    private static let stations = (0..<8).map { MACAddress(0x0200_0000_0100 | UInt64($0)) }

    private static func frame(to destination: MACAddress = .broadcast, from source: MACAddress) -> [UInt8] {
        var frame = TestFrame.plain(from: source)
        frame.destination = destination
        return frame.bytes()
    }

    @Test("a flood from one side goes to all of the other, to the device, and to nobody of its own side")
    func splitHorizon() {
        let node = MixedGateway(relays: true)
        let fromPlaintext = node.hear(Self.frame(from: Self.stations[1]), fromPlaintext: 1)
        #expect(fromPlaintext.sealed == [Self.frame(from: Self.stations[1])])
        #expect(fromPlaintext.plaintext.isEmpty)
        #expect(fromPlaintext.device == [Self.frame(from: Self.stations[1])])

        let fromSealed = node.hear(Self.frame(from: Self.stations[0]), fromPlaintext: nil)
        #expect(fromSealed.plaintext.map(\.to) == [node.plaintextEndpoints[0], node.plaintextEndpoints[1]])
        #expect(fromSealed.plaintext.allSatisfy { $0.frame == Self.frame(from: Self.stations[0]) })
        #expect(fromSealed.sealed.isEmpty)
        #expect(fromSealed.device.count == 1)
    }

    @Test("without relay nothing passes from peer to peer")
    func noRelay() {
        let node = MixedGateway(relays: false)
        let heard = node.hear(Self.frame(from: Self.stations[1]), fromPlaintext: 1)
        #expect(heard.sealed.isEmpty && heard.plaintext.isEmpty && heard.device.count == 1)
    }

    @Test("a known station is sent to alone, and one of the same side is not relayed")
    func unicast() {
        let node = MixedGateway(relays: true)
        _ = node.hear(Self.frame(from: Self.stations[0]), fromPlaintext: nil)
        _ = node.hear(Self.frame(from: Self.stations[1]), fromPlaintext: 1)
        _ = node.hear(Self.frame(from: Self.stations[2]), fromPlaintext: 2)

        let there = node.hear(Self.frame(to: Self.stations[2], from: Self.stations[0]), fromPlaintext: nil)
        #expect(there.plaintext.map(\.to) == [node.plaintextEndpoints[1]])
        #expect(there.sealed.isEmpty && there.device.isEmpty)
        let back = node.hear(Self.frame(to: Self.stations[0], from: Self.stations[2]), fromPlaintext: 2)
        #expect(back.sealed.count == 1 && back.plaintext.isEmpty && back.device.isEmpty)

        let aside = node.hear(Self.frame(to: Self.stations[2], from: Self.stations[1]), fromPlaintext: 1)
        #expect(aside.sealed.isEmpty && aside.plaintext.isEmpty && aside.device.isEmpty)
        #expect(node.gateway.drops[.hairpin] == 1)
    }

    @Test("what the device sends reaches both sides, each in its own way")
    func fromDevice() {
        let node = MixedGateway(relays: true)
        let sent = node.forward(Self.frame(from: Self.stations[7]))
        #expect(sent.sealed.count == 1)
        #expect(sent.plaintext.map(\.to) == node.plaintextEndpoints)
    }

    @Test("a relay without a device delivers nothing")
    func withoutDevice() {
        let node = MixedGateway(relays: true, hasDevice: false)
        let heard = node.hear(Self.frame(from: Self.stations[1]), fromPlaintext: 1)
        #expect(heard.sealed.count == 1 && heard.device.isEmpty)
    }

    @Test("a station of one side is believed on the other after a second of silence")
    func borrowedStation() {
        let node = MixedGateway(relays: false)
        _ = node.hear(Self.frame(from: Self.stations[0]), fromPlaintext: nil)
        #expect(node.hear(Self.frame(from: Self.stations[0]), fromPlaintext: 1).device.isEmpty)
        #expect(node.gateway.drops[.loopSuspected] == 1)
        node.now = node.now + .milliseconds(1600)
        #expect(node.hear(Self.frame(from: Self.stations[0]), fromPlaintext: 1).device.count == 1)
    }

    @Test("sixteen frames that came back stop floods for thirty seconds; known stations are still reached")
    func loop() {
        let node = MixedGateway(relays: true)
        _ = node.hear(Self.frame(from: Self.stations[2]), fromPlaintext: 2)
        for round in 0..<16 {
            let station = Self.frame(from: Self.stations[0])
            #expect(node.hear(station, fromPlaintext: nil).plaintext.count == 2, "round \(round)")
            // What was relayed comes back from the other side.
            #expect(node.hear(station, fromPlaintext: 1).sealed.isEmpty)
        }
        let state = node.guardian.state(now: node.now)
        #expect(state.isStopped && state.stops == 1)
        // A lane whose reading of the clock is a little older sees the same.
        #expect(node.guardian.state(now: Instant(nanoseconds: node.now.nanoseconds - 1_000_000)).isStopped)
        #expect(node.hear(Self.frame(from: Self.stations[0]), fromPlaintext: nil).plaintext.isEmpty)
        #expect(node.gateway.drops[.relayStopped] == 1)
        let known = node.hear(Self.frame(to: Self.stations[2], from: Self.stations[0]), fromPlaintext: nil)
        #expect(known.plaintext.count == 1)
        node.now = node.now + .seconds(31)
        #expect(!node.guardian.state(now: node.now).isStopped)
        #expect(node.hear(Self.frame(from: Self.stations[0]), fromPlaintext: nil).plaintext.count == 2)
    }

    @Test("plaintext in a keyed peer's name is dropped, counted with the peer, and told of once a second")
    func tripwire() {
        let node = MixedGateway(relays: true)
        let forged = Endpoint(address: node.farEndpoint.address, port: 31337)
        for _ in 0..<3 {
            let heard = node.hear(Self.frame(from: Self.stations[3]), from: forged)
            #expect(heard.sealed.isEmpty && heard.plaintext.isEmpty && heard.device.isEmpty)
        }
        #expect(node.gateway.drops[.tripwire] == 3)
        #expect(node.farCounters.tripwires == 3)
        let events = node.gateway.takeEvents().filter { if case .tripwire = $0 { true } else { false } }
        #expect(events.count == 1)
        // A stranger is only a stranger.
        let stranger = Endpoint(address: .v4(IPv4Address(0xc000_0263)), port: 4789)
        _ = node.hear(Self.frame(from: Self.stations[3]), from: stranger)
        #expect(node.gateway.drops[.unknownSource] == 1)
    }

    @Test("a partial checksum is completed for plaintext, and travels partial between kernel and sealed peer")
    func checksums() throws {
        let node = MixedGateway(relays: true)
        var frame = TestFrame.udp4(from: "10.98.0.1", ports: (1000, 2000), payload: Array("some payload".utf8))
        frame.destination = .broadcast
        frame.source = Self.stations[0]
        var bytes = frame.bytes()
        let offload = VirtioNetHeader(checksumStart: 34, checksumOffset: 6)
        let sum = Self.pseudoHeaderSum(bytes)
        bytes[40] = UInt8(sum >> 8)
        bytes[41] = UInt8(sum & 255)
        let complete = try #require(node.far(bytes, offload: offload).plaintext.first?.frame)
        #expect(Self.isComplete(complete))
        // A kernel that leaves the checksum to a card hands it over partial.
        bytes.replaceSubrange(6..<12, with: Self.stations[1].bytes)
        let sealed = node.hear(bytes, fromPlaintext: 1)
        #expect(sealed.sealed == [bytes])
        #expect(sealed.sealedOffloads == [offload])
    }

    @Test("a packet too big for the sealed path is answered to the plaintext peer that it came from")
    func tooBig() throws {
        let node = MixedGateway(relays: true, hasDevice: false)
        node.gateway.setPathMTU(1280, of: PeerIndex(0))
        var frame = TestFrame.udp4(from: "10.98.0.1", ports: (1000, 2000), payload: [UInt8](repeating: 7, count: 1300))
        frame.destination = Self.stations[0]
        frame.source = Self.stations[1]
        var bytes = frame.bytes()
        bytes[20] = 0x40  // DF
        _ = node.hear(Self.frame(from: Self.stations[0]), fromPlaintext: nil)
        let heard = node.hear(bytes, fromPlaintext: 1)
        #expect(heard.sealed.isEmpty)
        let answer = try #require(heard.plaintext.first)
        #expect(heard.plaintext.count == 1 && answer.to == node.plaintextEndpoints[0])
        #expect(Array(answer.frame[0..<6]) == Self.stations[1].bytes)
        // ICMP "fragmentation needed" (RFC 792, RFC 1191).
        #expect(answer.frame[23] == 1 && answer.frame[34] == 3 && answer.frame[35] == 4)
    }

    private static func sum(_ bytes: some Sequence<UInt8>) -> UInt32 {
        let all = Array(bytes) + [0]
        var sum = stride(from: 0, to: all.count - 1, by: 2).reduce(UInt32(0)) {
            $0 + (UInt32(all[$1]) << 8 | UInt32(all[$1 + 1]))
        }
        while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
        return sum
    }

    private static func pseudoHeaderSum(_ frame: [UInt8]) -> UInt32 {
        let length = frame.count - 34
        return sum(frame[26..<34] + [0, 17, UInt8(length >> 8), UInt8(length & 255)])
    }

    /// Whether the UDP checksum of an IPv4 frame without options fits (RFC 768).
    private static func isComplete(_ frame: [UInt8]) -> Bool {
        let pseudo = pseudoHeaderSum(frame)
        return sum([UInt8(pseudo >> 8), UInt8(pseudo & 255)] + frame[34...]) == 0xffff
    }
}
