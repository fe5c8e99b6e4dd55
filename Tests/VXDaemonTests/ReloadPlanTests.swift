import Testing
import VXCrypto
import VXDataPlane
import VXHandshake
import VXWire

@testable import VXConfig
@testable import VXDaemon
@testable import VXRuntime

/// Which places and indices a reload uses, and which tables it leaves alone.
@Suite struct ReloadPlanTests {
    private func network(_ vni: UInt32, _ change: (inout NetworkConfiguration) -> Void = { _ in })
        -> NetworkConfiguration
    {
        TestConfiguration.network(vni, change)
    }

    private func peer(
        _ name: String,
        in networks: [UInt32],
        _ change: (inout PeerConfiguration) -> Void = { _ in }
    ) -> PeerConfiguration {
        TestConfiguration.peer(name, key(name), in: networks, change)
    }

    /// A key for each name; a prime behind it stands for another.
    private func key(_ name: String) -> PublicKey {
        let secret = BLAKE2b.hash(Array(name.utf8), length: 32)
        return StaticKeyPair(secret: SecretBytes(copying: secret)).publicKey
    }

    private func node(_ networks: [NetworkConfiguration], _ peers: [PeerConfiguration]) -> NodeConfiguration {
        TestConfiguration.node(networks, peers)
    }

    private func start(_ configuration: NodeConfiguration) throws -> Roster {
        try Roster(starting: configuration, lanes: 2, mtus: configuration.networks.map { _ in 1400 })
    }

    private func plan(_ old: Roster, _ new: NodeConfiguration) throws -> ReloadPlan {
        let difference = ConfigurationChange(
            from: old.configuration,
            to: new,
            keys: .init(own: [TestConfiguration.identity.publicKey])
        )
        return try ReloadPlan(from: old, to: new, difference) { $0.mtu ?? 1400 }
    }

    private func index(_ number: UInt16) -> PeerIndex { PeerIndex(number) }

    @Test("a peer's index is free in the reload after the one it goes in")
    func indices() throws {
        let old = try start(node([network(42)], [peer("b", in: [42]), peer("c", in: [42]), peer("d", in: [42])]))
        let first = try plan(old, node([network(42)], [peer("b", in: [42]), peer("e", in: [42]), peer("d", in: [42])]))
        #expect(first.leaving == [index(1)] && first.arriving == [index(3)])
        #expect(
            first.change.departures.map(\.peers.count) == [1, 1] && first.change.lanes.map(\.peers.count) == [1, 1]
        )
        #expect(first.change.handshake.removed == [index(1)] && first.change.handshake.added.map(\.index) == [index(3)])
        #expect(first.roster.orderedPeers.map(\.index) == [index(0), index(3), index(2)])
        first.roster.counters[1][1].reset()
        let second = try plan(
            first.roster,
            node([network(42)], first.roster.configuration.peers + [peer("f", in: [42])])
        )
        #expect(second.leaving.isEmpty && second.arriving == [index(1)])
        #expect(second.roster.index(of: "f") == index(1) && second.roster.name(of: index(1)) == "f")
    }

    @Test("another key under the same name: another index, while the former still stands")
    func replaced() throws {
        let old = try start(node([network(42)], [peer("b", in: [42])]))
        var other = peer("b", in: [42])
        other.sealed?.publicKey = key("b'")
        let plan = try plan(old, node([network(42)], [other]))
        #expect(plan.leaving == [index(0)] && plan.arriving == [index(1)])
        #expect(plan.roster.networks[0]?.tables.contents.members == [index(1)])
        #expect(plan.roster.orderedPeers.map(\.index) == [index(1)])
    }

    @Test("only networks whose contents changed get other tables; what the threads are told is as little")
    func tables() throws {
        let peers = [peer("b", in: [42, 43]), peer("c", in: [43])]
        let old = try start(node([network(42), network(43)], peers))
        let more = try plan(old, node([network(42), network(43)], peers + [peer("d", in: [43])]))
        #expect(more.roster.networks[0]?.tables === old.networks[0]?.tables)
        #expect(more.roster.networks[1]?.tables !== old.networks[1]?.tables && more.successions.count == 1)
        #expect(more.roster.networks[1]?.limiter === old.networks[1]?.limiter)
        #expect(more.change.lanes[0].networks.map(\.place) == [1])
        #expect(more.released.isEmpty && more.appearing.isEmpty && more.adjusted.isEmpty)

        let rate = try plan(old, node([network(42) { $0.bumRate = 5 }, network(43)], peers))
        #expect(rate.roster.networks[0]?.tables === old.networks[0]?.tables && rate.successions.isEmpty)
        #expect(rate.roster.networks[0]?.limiter !== old.networks[0]?.limiter)
        #expect(rate.change.lanes[0].networks.map(\.place) == [0])

        let keepalive = try plan(
            old,
            node([network(42), network(43)], [peer("b", in: [42, 43]) { $0.keepalive = .seconds(9) }, peers[1]])
        )
        #expect(keepalive.change.lanes[0].networks.isEmpty && keepalive.change.handshake.changed.count == 1)

        let renamed = [peer("b", in: [42, 43]) { $0.name = "x" }, peers[1]]
        let name = try plan(old, node([network(42), network(43)], renamed))
        #expect(name.change.lanes[0].networks.isEmpty && name.successions.isEmpty && name.changed == [index(0)])
        #expect(name.roster.name(of: index(0)) == "x")
    }

    @Test("a static entry and a binding make new tables, with what was learned of those who may have it")
    func contents() throws {
        let peers = [peer("b", in: [42]), peer("c", in: [42])]
        let old = try start(node([network(42)], peers))
        let now = Instant(nanoseconds: 1_000_000_000)
        let database = try #require(old.networks[0]).tables.forwarding
        for (number, peer) in [(1, 0), (2, 1)] {
            _ = database.learn(MACAddress(0x0200_0000_0000 | UInt64(number)), from: index(UInt16(peer)), now: now)
        }
        let bound = peer("c", in: [42]) {
            $0.allow = .init(macs: [MACAddress(0x0200_0000_0009)], prefixes: [], router: false)
        }
        let entry = NetworkConfiguration.StaticEntry(mac: MACAddress(0x0200_0000_0007), peer: "b", addresses: [])
        let plan = try plan(old, node([network(42) { $0.fdb = [entry] }], [peers[0], bound]))
        #expect(plan.rebound == [index(1)])
        for (new, former) in plan.successions { new.adopt(former) }
        let rows = try #require(plan.roster.networks[0]).tables.forwarding.rows(now: now)
        #expect(
            Set(rows.map { "\($0.address) \($0.peer.rawValue) \($0.kind)" }) == [
                "02:00:00:00:00:01 0 learned", "02:00:00:00:00:07 0 static", "02:00:00:00:00:09 1 allowed",
            ]
        )
    }

    @Test("a network that is made again has another place; one that goes leaves it for the next reload")
    func places() throws {
        let old = try start(node([network(42), network(43)], []))
        let remade = try plan(old, node([network(42) { $0.device = "x" }, network(43)], []))
        #expect(remade.released == [0] && remade.appearing.map(\.place) == [2] && remade.successions.isEmpty)
        #expect(remade.roster.networks[0] == nil && remade.roster.networks[2]?.configuration.device == "x")
        #expect(remade.change.lanes[1].networks.map(\.place) == [0, 2])
        #expect(remade.roster.orderedNetworks.map(\.place) == [2, 1])
        let next = try plan(remade.roster, node([network(42) { $0.device = "x" }, network(44)], []))
        #expect(next.released == [1] && next.appearing.map(\.place) == [0])
    }

    @Test("an MTU changes when its settings do; an automatic one stays what it was made with")
    func mtu() throws {
        let old = try start(node([network(42), network(43)], []))
        let plan = try plan(old, node([network(42) { $0.mtu = 1300 }, network(43) { $0.learning = false }], []))
        #expect(plan.adjusted.map(\.mtu) == [1300, nil] && plan.roster.networks.map { $0?.mtu } == [1300, 1400])
        #expect(plan.change.largestFrame == 1422)
    }

    @Test("more peers than the tables have room for: every network gets others")
    func growth() throws {
        let few = (0..<60).map { peer("p\($0)", in: [42]) }
        let old = try start(node([network(42), network(43)], few))
        #expect(old.peerCapacity == 64)
        let many = few + (60..<65).map { peer("p\($0)", in: [42]) }
        let plan = try plan(old, node([network(42), network(43)], many))
        #expect(plan.roster.peerCapacity == 128 && plan.successions.count == 2)
        #expect(plan.change.lanes[0].networks.map(\.place) == [0, 1] && plan.change.lanes[0].peerCapacity == 128)
        #expect(plan.arriving.map(\.rawValue) == [60, 61, 62, 63, 64])
    }

    @Test("the last plaintext network closes the ports")
    func plaintext() throws {
        let old = try start(node([network(42), network(43) { $0.mode = .plaintext }], []))
        #expect(old.hasPlaintextPorts)
        let plan = try plan(old, node([network(42)], []))
        #expect(plan.change.closesPlaintext && !plan.roster.hasPlaintextPorts)
        let next = try self.plan(plan.roster, node([network(42), network(44)], []))
        #expect(!next.change.closesPlaintext)
    }

    @Test("a thousand reloads: tables go with the roster that has them, indices and places stay few")
    func memory() throws {
        var roster = try start(node([network(42)], [peer("b", in: [42])]))
        var former: [() -> NetworkTables?] = []
        for number in 0..<1_000 {
            let extra = number % 2 == 0
            let configuration = node(
                [network(42)] + (extra ? [network(UInt32(100 + number))] : []),
                [peer("b", in: [42])] + (extra ? [peer("p\(number)", in: [42, UInt32(100 + number)])] : [])
            )
            let plan = try plan(roster, configuration)
            for (new, old) in plan.successions { new.adopt(old) }
            roster = plan.roster
            for case let network? in roster.networks { former.append { [weak tables = network.tables] in tables } }
        }
        #expect(former.count { $0() != nil } <= 2)
        #expect(roster.peers.count <= 3 && roster.networks.count <= 3 && roster.counters[0].count <= 3)
    }
}
