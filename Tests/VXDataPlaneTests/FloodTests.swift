import Testing
import VXCrypto
import VXWire

@testable import VXDataPlane

/// Broadcast, unknown unicast and multicast: how much of it passes.
@Suite struct FloodTests {
    private let unknown: [UInt8] = [2, 0, 0, 0, 0, 0x77]
    private let multicast: [UInt8] = [1, 0, 0x5e, 1, 2, 3]

    @Test("twice the rate at once, then the rate; known stations are not counted")
    func rate() {
        let nodes = TwoGateways(bumRate: 100)
        func storm(_ count: Int) -> Int {
            (0..<count).reduce(0) { $0 + nodes.send(to: [TwoGateways.broadcast, unknown, multicast][$1 % 3]).count }
        }
        #expect(storm(1_000) == 200)
        #expect(nodes.left.drops[.floodLimited] == 800)
        nodes.now = nodes.now + .seconds(1)
        #expect(storm(1_000) == 100)
        nodes.now = nodes.now + .seconds(60)
        #expect(storm(1_000) == 200, "a bucket holds no more than the burst")
        // A station that is known, while the bucket is empty.
        #expect(nodes.leftFDB.learn(MACAddress(0x0200_0000_0002), from: PeerIndex(0), now: nodes.now) == .known)
        #expect((0..<1_000).reduce(0) { count, _ in count + nodes.send(to: TwoGateways.rightMAC).count } == 1_000)
    }

    @Test("a storm in one network leaves the other its own")
    func networks() {
        let nodes = TwoGateways(bumRate: 100)
        for _ in 0..<1_000 { _ = nodes.send(to: TwoGateways.broadcast, network: 0) }
        #expect(
            (0..<200).reduce(0) { count, _ in count + nodes.send(to: TwoGateways.broadcast, network: 1).count } == 200
        )
    }

    @Test("a peer's storm ends at this node, and teaches it nothing beyond the rate")
    func fromPeer() {
        let nodes = TwoGateways()
        let strict = TwoGateways(bumRate: 10)
        var frames = 0
        for number in 0..<200 {
            let datagrams = nodes.send(to: TwoGateways.broadcast, from: [2, 0, 0, 0, 1, UInt8(number)])
            frames += datagrams.reduce(0) { $0 + strict.receive($1).count }
        }
        #expect(frames == 20 && strict.right.drops[.floodLimited] == 180)
        #expect(strict.rightFDB.usage.learned == 20)
        // Unicast of the same peer goes on.
        #expect(nodes.send(to: unknown).reduce(0) { $0 + strict.receive($1).count } == 1)
        strict.now = strict.now + .seconds(1)
        nodes.now = strict.now
        #expect(nodes.send(to: TwoGateways.broadcast).reduce(0) { $0 + strict.receive($1).count } == 1)
    }

    @Test("buckets of several peers are apart, and a super-frame pays for each of its frames")
    func buckets() {
        let limiter = FloodLimiter(rate: 10, peerCount: 2)
        var now = Instant(nanoseconds: 5_000_000_000)
        func take(_ frames: Int, _ peer: PeerIndex) -> Bool { limiter.buckets.take(frames, from: peer, now: now) }
        #expect(take(45, PeerIndex(0)), "it passes whole, and is owed")
        #expect(!take(1, PeerIndex(0)))
        #expect(take(1, PeerIndex(1)) && take(1, ForwardingDatabase.localDevice))
        now = now + .milliseconds(2_500)
        #expect(!take(1, PeerIndex(0)))
        now = now + .milliseconds(100)
        #expect(take(1, PeerIndex(0)) && !take(1, PeerIndex(0)))
    }

    @Test("flood: none sends only to known stations")
    func nothing() {
        let nodes = TwoGateways(flood: .none)
        for destination in [TwoGateways.broadcast, unknown, multicast] { #expect(nodes.send(to: destination).isEmpty) }
        #expect(nodes.left.drops[.notFlooded] == 3)
        #expect(nodes.leftFDB.insertPermanent(MACAddress(0x0200_0000_0002), peer: PeerIndex(0)))
        #expect(nodes.send(to: TwoGateways.rightMAC).count == 1)
    }

    @Test("a flooded frame stands in one datagram for each of three peers")
    func replication() {
        let counters = (0..<3).map { _ in PeerCounters() }
        let network = NetworkDefinition(
            vni: VNI(truncating: 42),
            mode: .plaintext,
            learning: true,
            maximumFrame: 1522,
            members: (0..<3).map { PeerIndex(UInt16($0)) },
            forwarding: ForwardingDatabase()
        )
        var node = VTEP(
            lane: 0,
            threads: 1,
            networks: [network],
            peers: counters.enumerated().map { place, counters in
                PeerDefinition(
                    isPlaintext: true,
                    endpoint: Endpoint(address: .v4(IPv4Address(0xc000_0200 + UInt32(place))), port: 4789),
                    roaming: false,
                    counters: counters
                )
            },
            cipher: .libsodium(),
            drops: DropCounters()
        )
        let frame = TestFrame.plain(from: BindingTests.own).bytes()
        let slot = UnsafeMutableRawPointer.allocate(byteCount: 4_096, alignment: 64)
        defer { slot.deallocate() }
        (slot + VTEP.headroom).copyMemory(from: frame, byteCount: frame.count)
        let now = Instant(nanoseconds: 1)
        #expect(node.forward(slot + VTEP.headroom, count: frame.count, network: 0, now: now) == .finished)
        #expect((0..<node.outgoing.count).map { node.outgoing[$0].segments } == [1, 1, 1])
        #expect(counters.map(\.sentFrames) == [1, 1, 1] && counters.map(\.sentDatagrams) == [1, 1, 1])
        node.removeOutgoing()
    }
}
