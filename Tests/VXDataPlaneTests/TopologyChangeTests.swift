import Testing
import VXCrypto
import VXWire

@testable import VXDataPlane

/// A lane takes another topology between two batches, and whatever is not named in it goes on.
@Suite struct TopologyChangeTests {
    /// Holds a table's memory, as the daemon does.
    private final class Tables: Sendable {
        let forwarding = ForwardingDatabase(limit: 64, peerCount: 4)

        deinit { forwarding.deallocate() }
    }

    private func network(
        _ vni: UInt32,
        members: [UInt16],
        forwarding: ForwardingDatabase,
        owner: Tables? = nil,
        vlans: [UInt16]? = nil
    ) -> NetworkDefinition {
        NetworkDefinition(
            vni: VNI(truncating: vni),
            mode: .sealed,
            learning: true,
            vlans: vlans,
            maximumFrame: 1522,
            members: members.map { PeerIndex($0) },
            forwarding: forwarding,
            owner: owner
        )
    }

    private func peer(_ counters: PeerCounters = PeerCounters(), binding: PeerBinding? = nil) -> PeerDefinition {
        PeerDefinition(isPlaintext: false, endpoint: nil, roaming: true, counters: counters, binding: binding)
    }

    private let payload = TwoGateways.leftMAC + [0x88, 0xb5] + Array("payload".utf8)

    @Test("networks and peers come and go; the session and what was learned of the others stay")
    func unchanged() {
        let nodes = TwoGateways()
        #expect(nodes.receive(nodes.send(to: TwoGateways.broadcast)[0]).count == 1)
        let tables = Tables()
        var change = TopologyChange(peerCapacity: 4)
        change.networks = [
            (0, network(42, members: [0], forwarding: nodes.rightFDB)), (1, nil),
            (3, network(44, members: [0, 2], forwarding: tables.forwarding, owner: tables)),
        ]
        change.peers = [(PeerIndex(1), .add(peer())), (PeerIndex(2), .add(peer()))]
        nodes.right.apply(change)
        let datagrams = nodes.send(to: TwoGateways.broadcast)
        #expect(nodes.receive(datagrams[0]) == [TwoGateways.broadcast + payload])
        #expect(nodes.receive(datagrams[0]).isEmpty && nodes.right.drops[.replayed] == 1, "the window is the old one")
        #expect(nodes.rightFDB.lookup(MACAddress(0x0200_0000_0001), now: nodes.now) == PeerIndex(0))
        #expect(nodes.receive(nodes.send(to: TwoGateways.broadcast, network: 1)[0]).isEmpty)
        #expect(nodes.right.drops[.unknownVNI] == 1, "the network that went")
    }

    @Test("a peer that is no member any more, then one again")
    func membership() {
        let nodes = TwoGateways()
        var change = TopologyChange(peerCapacity: 1)
        change.networks = [(0, network(42, members: [], forwarding: nodes.rightFDB))]
        nodes.right.apply(change)
        #expect(nodes.receive(nodes.send(to: TwoGateways.broadcast)[0]).isEmpty)
        #expect(nodes.right.drops[.vniNotAllowed] == 1)
        change.networks = [(0, network(42, members: [0], forwarding: nodes.rightFDB))]
        nodes.right.apply(change)
        #expect(nodes.receive(nodes.send(to: TwoGateways.broadcast)[0]).count == 1)
    }

    @Test("VLAN filter and binding of a running network and peer")
    func settings() {
        let nodes = TwoGateways()
        var change = TopologyChange(peerCapacity: 1)
        change.networks = [(0, network(42, members: [0], forwarding: nodes.rightFDB, vlans: [7]))]
        nodes.right.apply(change)
        #expect(nodes.receive(nodes.send(to: TwoGateways.broadcast)[0]).isEmpty)
        #expect(nodes.right.drops[.vlanNotAllowed] == 1)
        change.networks = [(0, network(42, members: [0], forwarding: nodes.rightFDB))]
        let allowance = PeerAllowance(macs: [MACAddress(0x0200_0000_0077)], prefixes: [], router: false)
        change.peers = [(PeerIndex(0), .change(peer(binding: PeerBinding(allowance))))]
        nodes.right.apply(change)
        #expect(nodes.receive(nodes.send(to: TwoGateways.broadcast)[0]).isEmpty)
        #expect(nodes.right.drops[.macNotAllowed] == 1)
        change.peers = [(PeerIndex(0), .change(peer()))]
        nodes.right.apply(change)
        #expect(nodes.receive(nodes.send(to: TwoGateways.broadcast)[0]).count == 1)
    }

    @Test("frames that wait leave with their network or their peer, counted; the others are sent")
    func waiting() {
        let nodes = TwoGateways(connected: false)
        var start = TopologyChange(peerCapacity: 2)
        let databases = (0..<3).map { _ in ForwardingDatabase() }
        start.networks = databases.enumerated().map { ($0, network(42 + UInt32($0), members: [0], forwarding: $1)) }
        nodes.left.apply(start)
        for place in [0, 1, 2, 1, 0] { #expect(nodes.send(to: TwoGateways.broadcast, network: place).isEmpty) }
        var change = TopologyChange(peerCapacity: 2)
        change.networks = [(1, nil)]
        nodes.left.apply(change)
        #expect(nodes.left.drops[.noSession] == 2)
        // Its place is another network's by now, and nothing of the former's leaves in it.
        change.networks = [(1, network(99, members: [0], forwarding: databases[1]))]
        nodes.left.apply(change)
        nodes.connect()
        #expect(nodes.left.drainWaiting(PeerIndex(0), now: nodes.now) == .finished)
        let frames = nodes.takeOutgoing().flatMap { nodes.receive($0) }
        #expect(frames.count == 2, "VNI 44 is none of the right node's")
        #expect(nodes.right.drops[.unknownVNI] == 1)
    }

    @Test("an index is another peer's: nothing of the first is left")
    func reuse() {
        let nodes = TwoGateways(connected: false)
        #expect(nodes.send(to: TwoGateways.broadcast).isEmpty)
        let counters = PeerCounters()
        var change = TopologyChange(peerCapacity: 1)
        change.networks = [(0, network(42, members: [], forwarding: nodes.leftFDB))]
        change.peers = [(PeerIndex(0), .remove(counters))]
        nodes.left.apply(change)
        #expect(nodes.left.drops[.noSession] == 1)
        change.networks = [(0, network(42, members: [0], forwarding: nodes.leftFDB))]
        change.peers = [(PeerIndex(0), .add(peer(counters)))]
        nodes.left.apply(change)
        nodes.connect()
        #expect(nodes.left.drainWaiting(PeerIndex(0), now: nodes.now) == .finished)
        #expect(nodes.takeOutgoing().isEmpty && counters.sentFrames == 0)
        #expect(nodes.send(to: TwoGateways.broadcast).isEmpty, "the former's endpoint is forgotten")
        #expect(nodes.left.drops[.noEndpoint] == 1)
    }

    @Test("the peers outgrow the networks' bits: every network is told, and the new peer finds its own")
    func growth() {
        let nodes = TwoGateways()
        var change = TopologyChange(peerCapacity: 128)
        change.networks = [
            (0, network(42, members: [0, 127], forwarding: nodes.rightFDB)),
            (1, network(43, members: [0], forwarding: nodes.rightFDB)),
        ]
        change.peers = (1..<128).map { (PeerIndex($0), .add(peer())) }
        nodes.right.apply(change)
        #expect(nodes.right.networks[0].admits(PeerIndex(127)) && !nodes.right.networks[1].admits(PeerIndex(127)))
        #expect(nodes.receive(nodes.send(to: TwoGateways.broadcast)[0]).count == 1)
        #expect(nodes.receive(nodes.send(to: TwoGateways.broadcast, network: 1)[0]).count == 1)
    }

    @Test("a thousand changes: tables go with the last lane that has them")
    func memory() {
        let nodes = TwoGateways()
        var former: [() -> Tables?] = []
        for number in 0..<1_000 {
            let (left, right) = (Tables(), Tables())
            right.forwarding.adopt(nodes.rightFDB) { _ in true }
            var change = TopologyChange(peerCapacity: 1)
            let place = number % 7 + 1
            let other = network(UInt32(100 + place), members: [0], forwarding: right.forwarding, owner: right)
            change.networks = [
                (0, network(42, members: [0], forwarding: right.forwarding, owner: right)),
                (place, number % 2 == 0 ? nil : other),
            ]
            nodes.right.apply(change)
            change.networks = [(0, network(42, members: [0], forwarding: left.forwarding, owner: left))]
            nodes.left.apply(change)
            former.append { [weak left] in left }
            former.append { [weak right] in right }
            #expect(nodes.receive(nodes.send(to: TwoGateways.broadcast)[0]).count == 1)
        }
        let alive = former.count { $0() != nil }
        #expect(
            alive >= 2 && alive <= 9,
            "those of the last change and one for each further place at most, not \(alive)"
        )
    }
}
