import Testing
import VXCrypto
import VXWire

@testable import VXHandshake

/// The handshake against itself on virtual time.
@Suite struct TwoNodeTests {
    @Test("a clean link: one handshake, and both send")
    func clean() {
        let nodes = TwoNodes(seed: 1)
        nodes.run(milliseconds: 1_000)
        #expect(nodes.bothEstablished)
        #expect(nodes.left.established == 1 && nodes.right.established == 1)
    }

    @Test("who is called learns by how much the caller's clock differs", arguments: [(0, 90), (90, 0), (7, 7)])
    func clocks(left: UInt64, right: UInt64) {
        let nodes = TwoNodes(seed: 1)
        (nodes.left.clock, nodes.right.clock) = (left, right)
        nodes.run(milliseconds: 1_000)
        #expect(nodes.bothEstablished)
        #expect(nodes.left.clocks.isEmpty && nodes.right.clocks == [Int64(left) - Int64(right)])
    }

    @Test("loss, duplication and reordering: a session soon after the link heals", arguments: 1...20)
    func lossy(seed: Int) {
        let nodes = TwoNodes(seed: UInt64(seed), bothCall: seed % 2 == 0)
        nodes.loss = 60
        nodes.duplication = 30
        nodes.latency = 1...400
        nodes.run(milliseconds: 20_000)
        nodes.loss = 0
        nodes.run(milliseconds: 12_000, until: { nodes.bothEstablished })
        #expect(nodes.bothEstablished, "seed \(seed)")
    }

    @Test("start: a hundred peers are called within half a second, not all at once")
    func startJitter() {
        let peers = (0..<100).map { place in
            HandshakePeer(
                index: PeerIndex(UInt16(place)),
                publicKey: StaticKeyPair().publicKey,
                presharedKey: .none,
                endpoint: Endpoint(address: .v4(IPv4Address(0xc000_0200 + UInt32(place))), port: 47890),
                roaming: true,
                keepalive: nil
            )
        }
        var machine = HandshakeMachine(
            identity: StaticKeyPair(),
            name: "node",
            lanes: 1,
            peers: peers,
            lastTimestamp: TAI64N(seconds: 0, nanoseconds: 0)
        )
        machine.start(now: Instant(nanoseconds: 0))
        var calls: [Int] = []
        for millisecond in 0..<500 {
            let instant = Instant(nanoseconds: UInt64(millisecond) * 1_000_000)
            machine.handleTimeout(now: Now(instant: instant, label: TAI64N(seconds: 1, nanoseconds: 0)))
            while let action = machine.nextAction() { if case .send = action { calls.append(millisecond) } }
        }
        #expect(calls.count == 100)
        // A hundred dice of 500 sides show some 90 different faces.
        #expect(Set(calls).count > 60)
    }

    @Test("both initiate at once: the two agree on one pair", arguments: 1...10)
    func crossed(seed: Int) {
        let nodes = TwoNodes(seed: UInt64(seed), bothCall: true)
        nodes.latency = 20...20
        nodes.run(milliseconds: 3_000)
        #expect(nodes.bothEstablished)
        #expect(nodes.left.sending?.localIndex == nodes.right.sending?.remoteIndex)
    }

    @Test(
        "without memory for secrets messages are dropped and counted, and the next try succeeds",
        arguments: [true, false]
    )
    func noKeyMemory(atInitiator: Bool) {
        let nodes = TwoNodes(seed: 5)
        let poor = atInitiator ? nodes.left : nodes.right
        poor.keyMemory.isLeft = false
        nodes.run(milliseconds: 8_000)
        #expect(!nodes.bothEstablished)
        #expect(poor.drops[.keyMemoryExhausted, default: 0] >= 1)
        poor.keyMemory.isLeft = true
        nodes.run(milliseconds: 12_000, until: { nodes.bothEstablished })
        #expect(nodes.bothEstablished)
    }

    @Test("another PSK: no session, counted as failed by the initiator")
    func wrongPSK() {
        let nodes = TwoNodes(seed: 3, leftPSK: PresharedKey(), rightPSK: PresharedKey())
        nodes.run(milliseconds: 8_000)
        #expect(!nodes.bothEstablished)
        #expect(nodes.left.drops[.handshakeFailed, default: 0] >= 1)
    }

    @Test("another protocol version: a right mac1, a known key, and it fails authentication")
    func otherVersion() throws {
        for (version, answers) in [("vxseal/1", 1), ("vxseal/2", 0)] {
            let (caller, called) = (StaticKeyPair(), StaticKeyPair())
            let endpoints = [1, 2].map { Endpoint(address: .v4(IPv4Address(0xc000_0200 | $0)), port: 47890) }
            let node = SimulatedNode(identity: called, endpoint: endpoints[1], peer: caller.publicKey, at: nil)
            let pattern = HandshakePattern(
                protocolName: HandshakeConstants.protocolName,
                prologue: Array(version.utf8),
                usesKEM: true
            )
            let now = Now(instant: Instant(nanoseconds: 1_000_000_000), label: TAI64N(seconds: 1, nanoseconds: 0))
            let payload = InitiationPayload(timestamp: now.label, lanes: 1, generation: 0, features: 0)
            guard
                let handshake = InitiatorHandshake(
                    pattern: pattern,
                    identity: caller,
                    peer: called.publicKey,
                    secrets: .random(),
                    payload: payload.bytes
                )
            else {
                Issue.record("no initiation")
                return
            }
            let message = HandshakeMessage.initiation(
                sender: ReceiverIndex(7),
                noise: handshake.message,
                mac1Key: HandshakeMessage.mac1Key(for: called.publicKey),
                cookie: nil
            )
            node.receive(message, from: endpoints[0], now: now)
            node.settle(now)
            #expect(node.sent.count == answers, "\(version)")
            #expect(node.drops == (answers == 0 ? [.handshakeFailed: 1] : [:]), "\(version)")
        }
    }

    @Test("a stranger: authentic to itself, unknown here")
    func stranger() {
        let nodes = TwoNodes(seed: 4)
        let (mine, foreign) = (StaticKeyPair(), StaticKeyPair())
        let known = SimulatedNode(identity: mine, endpoint: nodes.left.endpoint, peer: foreign.publicKey, at: nil)
        let unknown = SimulatedNode(
            identity: StaticKeyPair(),
            endpoint: nodes.right.endpoint,
            peer: mine.publicKey,
            at: nodes.left.endpoint
        )
        unknown.machine.handle(.handshakeNeeded(PeerIndex(0)), now: nodes.now)
        unknown.settle(nodes.now)
        for datagram in unknown.sent { known.receive(datagram.message, from: unknown.endpoint, now: nodes.now) }
        known.settle(nodes.now)
        #expect(known.drops[.unknownPeer] == 1)
        #expect(known.sent.isEmpty, "a stranger gets no answer")
    }

    @Test("a recorded initiation, sent again once its session is confirmed: stale, and no answer")
    func replay() throws {
        let nodes = TwoNodes(seed: 5)
        nodes.run(milliseconds: 1_000)
        let initiation = try #require(nodes.recorded.first { $0.first == 1 })
        nodes.right.receive(initiation, from: nodes.left.endpoint, now: nodes.now)
        nodes.right.settle(nodes.now)
        #expect(nodes.right.drops[.staleTimestamp] == 1)
        #expect(nodes.right.sent.isEmpty)
    }

    @Test("a forged response leaves the outstanding initiation as it is")
    func forgedResponse() throws {
        let nodes = TwoNodes(seed: 6)
        nodes.latency = 200...200
        nodes.run(milliseconds: 300)
        let initiation = try #require(nodes.recorded.first)
        var forged = [UInt8](repeating: 0, count: MessageType.response.size)
        forged[0] = 2
        forged.replaceSubrange(8..<12, with: initiation[4..<8])
        nodes.left.receive(forged, from: nodes.right.endpoint, now: nodes.now)
        nodes.left.settle(nodes.now)
        #expect(nodes.left.drops[.invalidMac1] == 1)
        nodes.run(milliseconds: 1_000)
        #expect(nodes.bothEstablished)
    }

    @Test("REKEY_AFTER_TIME: the initiator renews at 120 s, and the old pair goes after its silence")
    func rekey() {
        let nodes = TwoNodes(seed: 7)
        nodes.run(milliseconds: 118_000)
        #expect(nodes.left.established == 1)
        nodes.run(milliseconds: 5_000)
        #expect(nodes.left.established == 2)
        nodes.run(milliseconds: 12_000)
        #expect(nodes.left.installed.count == 1 && nodes.right.installed.count == 1)
    }

    @Test("REKEY_AFTER_MESSAGES: a worn pair is renewed at once")
    func rekeyByMessages() throws {
        let nodes = TwoNodes(seed: 8)
        nodes.run(milliseconds: 1_000)
        let pair = try #require(nodes.left.sending)
        var activity = PairActivity()
        activity.sendCounters = [3, 1 << 60]
        nodes.left.machine.handle(.activity(pair.localIndex, activity), now: nodes.now)
        nodes.run(milliseconds: 500)
        #expect(nodes.left.established == 2)
    }

    @Test("rotate session, many times: never more than four pairs")
    func manyRotations() {
        let nodes = TwoNodes(seed: 9)
        nodes.run(milliseconds: 500)
        for _ in 0..<12 {
            nodes.left.machine.handle(.rekeyRequested(PeerIndex(0)), now: nodes.now)
            nodes.run(milliseconds: 300)
            #expect(nodes.left.installed.count <= 4 && nodes.right.installed.count <= 4)
        }
        #expect(nodes.left.established == 13)
    }

    @Test("any bytes: no trap, no answer")
    func garbage() {
        let nodes = TwoNodes(seed: 10)
        var numbers = SeededNumbers(state: 10)
        for _ in 0..<2_000 {
            let size = [0, 1, 32, 64, 1220, 1352, Int(numbers.next() % 2_000)].randomElement(using: &numbers) ?? 0
            var bytes = (0..<size).map { _ in UInt8(truncatingIfNeeded: numbers.next()) }
            if !bytes.isEmpty { bytes[0] = UInt8(numbers.next() % 6) }
            nodes.right.machine.handleDatagram(bytes, from: nodes.left.endpoint, now: nodes.now)
        }
        nodes.right.settle(nodes.now)
        #expect(nodes.right.sent.isEmpty)
        #expect(nodes.right.drops.values.reduce(0, +) == 2_000)
    }
}
