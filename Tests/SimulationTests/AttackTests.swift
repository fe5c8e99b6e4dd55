import Testing
import VXCrypto
import VXHandshake
import VXWire

/// Attacks and mishaps by name, each ending as protocol.md says.
@Suite struct AttackTests {
    private func connected(_ count: Int = 2, seed: UInt64 = 7) -> Simulator {
        let simulator = Simulator(gateways: count, seed: seed)
        simulator.startAll()
        simulator.run(milliseconds: 5_000, until: { simulator.isWhole })
        simulator.run(milliseconds: 500)
        #expect(simulator.isWhole)
        return simulator
    }

    private func rotate(_ simulator: Simulator, _ number: Int, overlap: UInt64 = 3600) {
        simulator.act(number) { $0.rotateIdentity(overlap: .seconds(overlap), now: $1) }
        simulator.run(milliseconds: 30_000, until: { simulator.gateways[number].rotation.rotation == nil })
        #expect(simulator.gateways[number].rotation.rotation == nil, "the rotation ends")
    }

    /// "My next key is `key`", with the proof that whoever holds `proof` can make.
    private func statement(
        _ key: PublicKey,
        provenBy proof: StaticKeyPair,
        sender: PublicKey,
        receiver: PublicKey,
        sequence: UInt64
    ) throws -> [UInt8] {
        guard let shared = proof.sharedSecret(with: receiver) else {
            throw CancellationError()
        }
        let number = (0..<8).map { UInt8(truncatingIfNeeded: sequence >> (56 - 8 * UInt64($0))) }
        let proofKey = shared.withBytes { BLAKE2b.hash($0, length: 32) }
        let text = Array("vxseal/1 successor".utf8) + sender.bytes + key.bytes + receiver.bytes + number
        return [6] + key.bytes + number + BLAKE2b.hash(text, length: 32, key: proofKey)
    }

    private func key(of simulator: Simulator, _ number: Int) -> PublicKey {
        simulator.gateways[number].rotation.publicKey
    }

    /// What `number` takes for the key of `other`, in a simulator of two.
    private func known(_ simulator: Simulator, at number: Int) -> RotationSnapshot.Peer {
        simulator.gateways[number].rotation.peers[0]
    }

    @Test("the thief of an old key initiates after the switch: dropped as retired, and no session")
    func thiefInitiates() {
        let simulator = connected()
        let stolen = simulator.gateways[0].disk
        rotate(simulator, 0)
        let genuine = simulator.gateways[0].disk
        simulator.act(0) { gateway, _ in gateway.crash() }
        simulator.gateways[0].disk = stolen
        simulator.gateways[0].disk.timestamp = genuine.timestamp
        simulator.start(simulator.gateways[0])
        simulator.run(milliseconds: 20_000)
        #expect(!simulator.gateways[0].isEstablished(with: 1))
        #expect(simulator.gateways[1].dropped[.retiredKey, default: 0] > 0)
        #expect(known(simulator, at: 1).key == genuine.key.publicKey)
    }

    @Test("the thief of an old key in an old session states a successor after the switch: refused")
    func thiefAppoints() throws {
        let simulator = connected()
        let old = simulator.gateways[0].disk.key
        rotate(simulator, 0)
        let thief = StaticKeyPair()
        // Even from inside a session, a statement is bound to the key of the session's sender.
        let receiver = key(of: simulator, 1)
        let body = try statement(
            thief.publicKey,
            provenBy: thief,
            sender: old.publicKey,
            receiver: receiver,
            sequence: .max
        )
        simulator.act(0) { $0.sendControl(body, to: 1, now: $1) }
        simulator.run(milliseconds: 2_000)
        #expect(simulator.gateways[1].dropped[.invalidSuccessor] == 1)
        #expect(known(simulator, at: 1).pendingKey == nil)
    }

    @Test("a node names another's public key as its successor: no proof of possession, refused")
    func foreignKey() throws {
        let simulator = connected(3)
        let (sender, receiver) = (key(of: simulator, 0), key(of: simulator, 1))
        let own = simulator.gateways[0].disk.key
        // Somebody's whom nobody here knows, the other peer's, the receiver's, and one that nobody can hold.
        let zero = try #require(PublicKey(bytes: [UInt8](repeating: 0, count: 32)))
        let victims = [StaticKeyPair().publicKey, key(of: simulator, 2), receiver, zero]
        for victim in victims {
            let body = try statement(victim, provenBy: own, sender: sender, receiver: receiver, sequence: .max)
            simulator.act(0) { $0.sendControl(body, to: 1, now: $1) }
        }
        // Whoever holds the other peer's key too, and so can prove it, cannot make one node of two.
        let held = simulator.gateways[2].disk.key
        let body = try statement(held.publicKey, provenBy: held, sender: sender, receiver: receiver, sequence: .max)
        simulator.act(0) { $0.sendControl(body, to: 1, now: $1) }
        simulator.run(milliseconds: 2_000)
        #expect(simulator.gateways[1].dropped[.invalidSuccessor] == victims.count + 1)
        #expect(simulator.gateways[1].rotation.peers.allSatisfy { $0.pendingKey == nil })
        #expect(simulator.isWhole)
    }

    @Test("two different successors under rising sequences: contested, the old key stays, the operator mends it")
    func conflict() throws {
        let simulator = connected()
        let (first, second) = (StaticKeyPair(), StaticKeyPair())
        let (sender, receiver) = (key(of: simulator, 0), key(of: simulator, 1))
        for (sequence, next) in [(UInt64(100), first), (101, second), (102, first)] {
            let body = try statement(
                next.publicKey,
                provenBy: next,
                sender: sender,
                receiver: receiver,
                sequence: sequence
            )
            simulator.act(0) { $0.sendControl(body, to: 1, now: $1) }
            simulator.run(milliseconds: 500)
        }
        #expect(simulator.gateways[1].dropped[.successorConflict] == 1)
        #expect(simulator.gateways[1].dropped[.successorRefused] == 1)
        #expect(simulator.gateways[1].isContested(0))
        #expect(known(simulator, at: 1).key == sender)
        // Frozen over a restart too.
        simulator.act(1) { gateway, _ in gateway.crash() }
        simulator.start(simulator.gateways[1])
        simulator.run(milliseconds: 10_000)
        #expect(simulator.gateways[1].isContested(0))
        var accepted = false
        simulator.act(1) { accepted = $0.accept(sender, of: 0, now: $1) }
        simulator.run(milliseconds: 10_000, until: { simulator.isWhole })
        #expect(accepted && simulator.isWhole)
        rotate(simulator, 0)
    }

    @Test("a successor replayed after a restart, or out of order: nothing changes")
    func successorReplayed() throws {
        let simulator = connected()
        let (sender, receiver) = (key(of: simulator, 0), key(of: simulator, 1))
        let next = StaticKeyPair()
        let other = StaticKeyPair()
        let body = try statement(next.publicKey, provenBy: next, sender: sender, receiver: receiver, sequence: 50)
        let older = try statement(other.publicKey, provenBy: other, sender: sender, receiver: receiver, sequence: 49)
        simulator.act(0) { $0.sendControl(body, to: 1, now: $1) }
        simulator.run(milliseconds: 500)
        simulator.act(1) { gateway, _ in gateway.crash() }
        simulator.start(simulator.gateways[1])
        simulator.run(milliseconds: 10_000, until: { simulator.isWhole })
        simulator.run(milliseconds: 500)
        simulator.act(0) { $0.sendControl(body, to: 1, now: $1) }
        simulator.act(0) { $0.sendControl(older, to: 1, now: $1) }
        simulator.run(milliseconds: 500)
        #expect(known(simulator, at: 1).pendingKey == next.publicKey)
        #expect(simulator.gateways[1].dropped[.staleSuccessor] == 1)
    }

    @Test("a state directory rolled back to before a peer's rotation: no session, until `rotate accept`")
    func rolledBack() {
        let simulator = connected()
        let before = simulator.gateways[1].disk
        rotate(simulator, 0)
        let timestamp = simulator.gateways[1].disk.timestamp
        simulator.act(1) { gateway, _ in gateway.crash() }
        simulator.gateways[1].disk = before
        simulator.gateways[1].disk.timestamp = timestamp
        simulator.start(simulator.gateways[1])
        simulator.run(milliseconds: 30_000)
        #expect(!simulator.gateways[1].isEstablished(with: 0))
        #expect(simulator.gateways[1].dropped[.unknownPeer, default: 0] > 0)
        let key = key(of: simulator, 0)
        simulator.act(1) { _ = $0.accept(key, of: 0, now: $1) }
        simulator.run(milliseconds: 20_000, until: { simulator.isWhole })
        #expect(simulator.isWhole)
    }

    @Test("a peer absent past the overlap: named, left behind, and mended by `rotate accept`")
    func absent() {
        let simulator = connected(3)
        simulator.act(2) { gateway, _ in gateway.crash() }
        simulator.act(0) { $0.rotateIdentity(overlap: .seconds(60), now: $1) }
        simulator.run(milliseconds: 62_000)
        #expect(simulator.gateways[0].rotation.rotation == nil)
        let isNamed = simulator.gateways[0].notices.contains { if case .leftBehind = $0 { true } else { false } }
        #expect(isNamed)
        #expect(simulator.gateways[0].isEstablished(with: 1), "the peer that was there has switched")
        simulator.start(simulator.gateways[2])
        simulator.run(milliseconds: 30_000)
        #expect(!simulator.gateways[2].isEstablished(with: 0))
        let key = key(of: simulator, 0)
        simulator.act(2) { _ = $0.accept(key, of: 0, now: $1) }
        simulator.run(milliseconds: 20_000, until: { simulator.isWhole })
        #expect(simulator.isWhole)
    }

    @Test("a peer that was down during the rotation learns the successor when it returns")
    func returns() {
        let simulator = connected(3)
        simulator.act(2) { gateway, _ in gateway.crash() }
        simulator.act(0) { $0.rotateIdentity(overlap: .seconds(3600), now: $1) }
        simulator.run(milliseconds: 30_000)
        #expect(simulator.gateways[0].rotation.rotation != nil, "the overlap lasts while one is down")
        simulator.start(simulator.gateways[2])
        simulator.run(milliseconds: 90_000, until: { simulator.gateways[0].rotation.rotation == nil })
        #expect(simulator.gateways[0].rotation.rotation == nil)
        #expect(simulator.gateways[2].rotation.peers[0].key == key(of: simulator, 0))
    }

    @Test("both ends rotate their identities, and propose a preshared key, at once", arguments: 1...20)
    func both(seed: Int) {
        let simulator = connected(seed: UInt64(seed))
        for number in [0, 1] {
            simulator.act(number) { $0.rotateIdentity(overlap: .seconds(3600), now: $1) }
            simulator.act(number) { $0.rotatePSK(with: 1 - number, now: $1) }
        }
        simulator.run(milliseconds: 60_000)
        for number in [0, 1] {
            #expect(simulator.gateways[number].rotation.rotation == nil)
            #expect(known(simulator, at: number).generation == 1)
            #expect(!known(simulator, at: number).isRotatingPSK)
            #expect(known(simulator, at: number).key == key(of: simulator, 1 - number))
        }
        #expect(simulator.isWhole && simulator.problems.isEmpty)
    }

    @Test("a recorded initiation after the responder restarted, from elsewhere: the endpoint does not move")
    func recordedInitiation() throws {
        let simulator = connected()
        let initiation = try #require(simulator.recorded.first { $0.datagram[0] == 1 })
        let responder = simulator.gateways[initiation.to]
        simulator.partitions = [simulator.pair(0, 1)]
        simulator.act(initiation.to) { gateway, _ in gateway.crash() }
        simulator.start(responder)
        let stranger = Endpoint(address: .v4(IPv4Address(0xcb00_7105)), port: 4242)
        simulator.inject(initiation.datagram, from: stranger, to: initiation.to)
        simulator.run(milliseconds: 20_000)
        #expect(responder.heardFrom(initiation.from) == nil)
        simulator.partitions = []
        simulator.run(milliseconds: 20_000, until: { simulator.isWhole })
        #expect(simulator.isWhole)
    }

    @Test("a clock an hour back: the reserved timestamps go on rising, and the session comes back at once")
    func clockBack() {
        let simulator = connected()
        simulator.act(0) { gateway, _ in gateway.crash() }
        simulator.gateways[0].skew = -3600
        simulator.start(simulator.gateways[0])
        let start = simulator.milliseconds
        simulator.run(milliseconds: 30_000, until: { simulator.gateways[0].isEstablished(with: 1) })
        #expect(simulator.milliseconds - start < 1_000)
    }

    @Test("a late goodbye of an older pair: the newer one stays")
    func lateGoodbye() {
        let simulator = connected()
        let wasAt = simulator.milliseconds
        // The goodbye leaves under the pair of now, and is held back until there is a newer one.
        simulator.weather.latency = 800...800
        simulator.act(0) { $0.sendControl([5, 0], to: 1, now: $1) }
        simulator.weather.latency = 5...5
        simulator.act(1) { $0.rotateSession(with: 0, now: $1) }
        simulator.run(milliseconds: 700)
        #expect(simulator.milliseconds - wasAt == 700 && simulator.isWhole)
        simulator.run(milliseconds: 5_000)
        #expect(simulator.isWhole)
        simulator.sendFrame(from: 1, to: 0)
        simulator.run(milliseconds: 100)
        #expect(simulator.deliveredFrames.count == 1, "frames go on under the newer pair")
    }

    @Test("a suspended machine: every pair is erased before anything is sent, and new ones come by themselves")
    func suspended() {
        let simulator = connected()
        simulator.act(0) { $0.erase(now: $1) }
        simulator.run(milliseconds: 1_000)
        simulator.sendFrame(from: 0, to: 1)
        simulator.sendFrame(from: 1, to: 0)
        simulator.run(milliseconds: 20_000)
        #expect(simulator.isWhole && simulator.problems.isEmpty)
        #expect(simulator.deliveredFrames.count == 2)
    }

    @Test("a flood of initiations from one address: after the burst a cookie each, and with it the rate still holds")
    func flood() throws {
        let simulator = connected()
        let initiation = try #require(simulator.recorded.first { $0.datagram[0] == 1 })
        let stranger = Endpoint(address: .v4(IPv4Address(0xcb00_7105)), port: 4242)
        for place in 0..<500 {
            simulator.inject(initiation.datagram, from: stranger, to: initiation.to, after: 1 + UInt64(place) / 10)
        }
        simulator.run(milliseconds: 100)
        let drops = simulator.gateways[initiation.to].dropped
        // Five at once and twenty a second: what was worked on is stale, the rest got a cookie and no work.
        #expect(drops[.staleTimestamp, default: 0] <= 6)
        #expect(drops[.cookieSent, default: 0] >= 490)
        #expect(simulator.isWhole)
    }
}
