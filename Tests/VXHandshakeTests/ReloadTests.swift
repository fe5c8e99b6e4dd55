import Testing
import VXCrypto
import VXWire

@testable import VXHandshake

/// Peers that come, change and go while the machine runs.
@Suite struct ReloadTests {
    /// What the machine wants done, in words.
    private func actions(_ node: SimulatedNode, _ change: HandshakeChange, now: Now) -> [String] {
        node.machine.apply(change, now: now)
        var found: [String] = []
        while let action = node.machine.nextAction() {
            switch action {
            case .control(let peer, let bytes) where bytes.first == 0x05: found.append("goodbye \(peer.rawValue)")
            case .retire(let index):
                found.append("retire")
                node.machine.handle(.retired(index), now: now)
            case .send: found.append("send")
            case .endpoint(let peer, let endpoint): found.append("endpoint \(peer.rawValue) \(endpoint)")
            case .store(_, let number): node.machine.handle(.stored(number, succeeded: true), now: now)
            default: break
            }
        }
        return found
    }

    private func peer(
        _ index: UInt16,
        _ key: PublicKey,
        psk: PresharedKey = .none,
        at endpoint: Endpoint?,
        keepalive: Interval? = nil
    ) -> HandshakePeer {
        HandshakePeer(
            index: PeerIndex(index),
            publicKey: key,
            presharedKey: psk,
            endpoint: endpoint,
            roaming: true,
            keepalive: keepalive
        )
    }

    /// Two nodes with a session, and the key that the left one knows the right one by.
    private func connected(seed: UInt64) -> (nodes: TwoNodes, key: PublicKey) {
        let nodes = TwoNodes(seed: seed)
        nodes.run(milliseconds: 1_000)
        return (nodes, nodes.left.machine.peers[0].configuration.publicKey)
    }

    @Test("a peer is added: called soon, and the session that stands is not touched")
    func added() {
        let (nodes, _) = connected(seed: 1)
        let pair = nodes.left.sending?.localIndex
        var change = HandshakeChange()
        let new = StaticKeyPair()
        change.added = [peer(7, new.publicKey, at: Endpoint("192.0.2.77:47890"))]
        #expect(actions(nodes.left, change, now: nodes.now).isEmpty)
        nodes.left.machine.handleTimeout(
            now: Now(instant: nodes.now.instant + .milliseconds(10), label: nodes.now.label)
        )
        var calls: [Endpoint] = []
        while let action = nodes.left.machine.nextAction() {
            if case .send(_, let endpoint) = action { calls.append(endpoint) }
        }
        #expect(calls.map(\.description) == ["192.0.2.77:47890"])
        nodes.run(milliseconds: 60_000)
        #expect(nodes.bothEstablished && nodes.left.established == 1 && nodes.left.sending?.localIndex == pair)
    }

    @Test("a peer is removed: goodbye, then its pairs go; it is a stranger from then on")
    func removed() {
        let (nodes, _) = connected(seed: 2)
        var change = HandshakeChange()
        change.removed = [PeerIndex(0)]
        let done = actions(nodes.left, change, now: nodes.now)
        #expect(done == ["goodbye 0", "goodbye 0", "goodbye 0", "retire"])
        #expect(nodes.left.machine.peers.isEmpty && nodes.left.machine.nextTimeout == nil)
        nodes.left.installed.removeAll()
        nodes.left.sending = nil
        nodes.right.machine.handle(.rekeyRequested(PeerIndex(0)), now: nodes.now)
        nodes.run(milliseconds: 10_000)
        #expect(nodes.left.drops[.unknownPeer, default: 0] > 0 && nodes.left.established == 1)
    }

    @Test("what the lanes say of a removed peer's pairs comes too late")
    func lateConfirmation() throws {
        let (nodes, key) = connected(seed: 9)
        let pair = try #require(nodes.left.sending?.localIndex)
        var change = HandshakeChange()
        change.removed = [PeerIndex(0)]
        nodes.left.machine.apply(change, now: nodes.now)
        while nodes.left.machine.nextAction() != nil {}
        change = HandshakeChange()
        change.added = [peer(0, StaticKeyPair().publicKey, at: nil)]
        nodes.left.machine.apply(change, now: nodes.now)
        while nodes.left.machine.nextAction() != nil {}
        nodes.left.machine.handle(.confirmed(pair, from: nil), now: nodes.now)
        nodes.left.machine.handle(.installed(pair), now: nodes.now)
        nodes.left.machine.handle(.activity(pair, PairActivity()), now: nodes.now)
        nodes.left.machine.handle(.retired(pair), now: nodes.now)
        #expect(nodes.left.machine.nextAction() == nil, "the index is another peer's by now")
        #expect(nodes.left.machine.owner(of: pair) == nil && nodes.left.machine.configuredKey(of: PeerIndex(0)) != key)
    }

    @Test("a call that is out when its peer is removed is answered in vain")
    func removedWhileCalling() {
        let nodes = TwoNodes(seed: 3)
        nodes.latency = 50...50
        nodes.run(milliseconds: 60)
        var change = HandshakeChange()
        change.removed = [PeerIndex(0)]
        _ = actions(nodes.left, change, now: nodes.now)
        nodes.run(milliseconds: 3_000)
        #expect(nodes.left.established == 0 && nodes.left.installed.isEmpty)
        #expect(nodes.left.drops[.unexpectedResponse, default: 0] > 0)
    }

    @Test("another keepalive: nothing is sent for it, and it counts")
    func changed() {
        let (nodes, key) = connected(seed: 4)
        let endpoint = nodes.right.endpoint
        var change = HandshakeChange()
        change.changed = [peer(0, key, at: endpoint, keepalive: .seconds(3))]
        #expect(actions(nodes.left, change, now: nodes.now).isEmpty)
        #expect(nodes.left.machine.peers[0].configuration.keepalive == .seconds(3))
        #expect(nodes.left.machine.configuredKey(of: PeerIndex(0)) == key)
        nodes.run(milliseconds: 60_000)
        #expect(nodes.left.established == 1)
    }

    @Test("another endpoint moves the peer with its session; one that roamed stays where it is otherwise")
    func endpoint() {
        let (nodes, key) = connected(seed: 5)
        var change = HandshakeChange()
        change.changed = [peer(0, key, at: Endpoint("192.0.2.99:47890"))]
        #expect(actions(nodes.left, change, now: nodes.now) == ["endpoint 0 192.0.2.99:47890"])
        let roamed = Endpoint(address: .v4(IPv4Address(0xc633_6401)), port: 5)
        nodes.left.machine.handle(.endpointMoved(PeerIndex(0), to: roamed), now: nodes.now)
        while nodes.left.machine.nextAction() != nil {}
        change.changed = [peer(0, key, at: Endpoint("192.0.2.99:47890"), keepalive: .seconds(3))]
        #expect(actions(nodes.left, change, now: nodes.now).isEmpty)
        #expect(nodes.left.machine.peers[0].endpoint == roamed)
    }

    @Test("another preshared key: agreed on at once where both sides have it, and the session lasts until then")
    func presharedKey() {
        let (nodes, key) = connected(seed: 6)
        let psk = PresharedKey()
        var change = HandshakeChange()
        change.changed = [peer(0, key, psk: psk, at: nodes.right.endpoint)]
        nodes.left.machine.apply(change, now: nodes.now)
        nodes.run(milliseconds: 3_000)
        #expect(nodes.left.established == 1 && nodes.bothEstablished, "the other side has the key before")
        #expect(nodes.right.drops[.handshakeFailed, default: 0] + nodes.left.drops[.handshakeFailed, default: 0] > 0)
        let left = nodes.right.machine.peers[0].configuration.publicKey
        change.changed = [peer(0, left, psk: psk, at: nodes.left.endpoint)]
        nodes.right.machine.apply(change, now: nodes.now)
        nodes.run(milliseconds: 12_000, until: { nodes.left.established == 2 })
        #expect(nodes.left.established == 2 && nodes.bothEstablished)
    }

    @Test(
        "the configuration names the key that a peer has rotated to: it is the same peer, and the old key stays retired"
    )
    func caughtUp() throws {
        let (nodes, key) = connected(seed: 7)
        let (next, retired) = (StaticKeyPair().publicKey, key)
        let machine = nodes.left.machine.peers[0]
        machine.record.replaceKey(by: next)
        machine.record.sequence = 12
        machine.record.psk = PSKRecord(origin: [1], generation: 3, key: .none, pending: nil)
        nodes.left.machine.state.rotation = DurableState.OpenRotation(
            oldKey: key,
            newKey: next,
            sequence: 1,
            startedAt: 1,
            endsAt: 2
        )
        nodes.left.machine.state.rotation?.acknowledged = [key]
        nodes.left.machine.state.rotation?.switched = [key]
        var change = HandshakeChange()
        change.changed = [peer(0, next, at: nodes.right.endpoint)]
        #expect(actions(nodes.left, change, now: nodes.now).isEmpty)
        let record = nodes.left.machine.peers[0].record
        #expect(record.configuredKey == next && record.key == next && record.currentKey == nil)
        #expect(record.retiredKeys == [retired] && record.sequence == 12 && record.psk?.generation == 3)
        #expect(nodes.left.machine.state.peers.map(\.configuredKey) == [next])
        #expect(nodes.left.machine.state.rotation?.acknowledged == [next])
        #expect(nodes.left.machine.state.rotation?.switched == [next])
    }

    @Test("a peer that comes back under the same configured key is known by the key that it had rotated to")
    func comesBack() {
        let (nodes, key) = connected(seed: 8)
        let next = StaticKeyPair().publicKey
        var record = nodes.left.machine.peers[0].record
        record.replaceKey(by: next)
        nodes.left.machine.commit(record, of: nodes.left.machine.peers[0])
        var change = HandshakeChange()
        change.removed = [PeerIndex(0)]
        _ = actions(nodes.left, change, now: nodes.now)
        change = HandshakeChange()
        change.added = [peer(1, key, at: nil)]
        _ = actions(nodes.left, change, now: nodes.now)
        let back = nodes.left.machine.peers[0]
        #expect(back.index == PeerIndex(1) && back.record.key == next && back.record.retiredKeys == [key])
    }
}
