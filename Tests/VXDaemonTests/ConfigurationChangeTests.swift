import Testing
import VXCrypto
import VXWire

@testable import VXConfig
@testable import VXDaemon

/// What a reload finds changed.
@Suite struct ConfigurationChangeTests {
    private static let keys = (0..<6).map { _ in StaticKeyPair().publicKey }

    private func network(_ vni: UInt32, _ change: (inout NetworkConfiguration) -> Void = { _ in })
        -> NetworkConfiguration
    {
        TestConfiguration.network(vni, change)
    }

    /// With a key of the list; without one for a plaintext peer.
    private func peer(
        _ name: String,
        _ key: Int?,
        _ change: (inout PeerConfiguration) -> Void = { _ in }
    ) -> PeerConfiguration {
        TestConfiguration.peer(name, key.map { Self.keys[$0] }, in: [42], change)
    }

    private func node(
        _ networks: [NetworkConfiguration],
        _ peers: [PeerConfiguration],
        _ change: (inout NodeConfiguration) -> Void = { _ in }
    ) -> NodeConfiguration {
        TestConfiguration.node(networks, peers, change)
    }

    private func change(
        _ old: NodeConfiguration,
        _ new: NodeConfiguration,
        current: [PublicKey: PublicKey] = [:],
        others: [PublicKey: [PublicKey]] = [:]
    ) -> ConfigurationChange {
        ConfigurationChange(
            from: old,
            to: new,
            keys: .init(own: [TestConfiguration.identity.publicKey], current: current, others: others)
        )
    }

    @Test("nothing changed, also when everything stands in another order")
    func nothing() {
        let (first, second) = (network(42), network(43))
        let old = node([first, second], [peer("b", 0), peer("c", 1) { $0.networks = [first.vni, second.vni] }])
        let new = node([second, first], [peer("c", 1) { $0.networks = [second.vni, first.vni] }, peer("b", 0)])
        #expect(change(old, old).isEmpty && change(old, new).isEmpty && change(old, new).lines.isEmpty)
    }

    @Test("networks come, change and go; a device of another name or mode is made again")
    func networks() {
        let old = node([network(42), network(43), network(44), network(45)], [])
        let new = node(
            [
                network(42) {
                    $0.bumRate = nil
                    $0.vlans = [7]
                }, network(44) { $0.device = "x" }, network(45), network(46),
            ],
            []
        )
        #expect(
            change(old, new).lines == [
                "- network 43", "~ network 42: vlan, bumRate", "~ network 44: device; removed and made again",
                "+ network 46",
            ]
        )
        let remade = change(node([network(42)], []), node([network(42) { $0.mode = .plaintext }], []))
        guard case .remade(_, fields: ["mode"])? = remade.networks.first else {
            Issue.record("a network that turns plaintext must not keep its device: \(remade.networks)")
            return
        }
    }

    /// Each changes one field of a network, and names it.
    private static let fields: [(name: String, change: @Sendable (inout NetworkConfiguration) -> Void)] = [
        ("addresses", { $0.addresses = [IPPrefix("10.98.0.1/24")].compactMap(\.self) }),
        ("bridge", { $0.bridge = "b" }),
        ("allowMixedBridge", { $0.allowMixedBridge = true }), ("mtu", { $0.mtu = 1300 }),
        ("vlanHeadroom", { $0.vlanHeadroom = 4 }), ("learning", { $0.learning = false }),
        ("forwardLinkLocal", { $0.forwardLinkLocal = true }), ("copyDscp", { $0.copyDscp = false }),
        ("vlan", { $0.vlans = [1] }), ("fdb", { $0.fdb = [.init(mac: MACAddress(2), peer: "b", addresses: [])] }),
        ("fdbLimit", { $0.fdbLimit = 20 }), ("flood", { $0.flood = .none }), ("bumRate", { $0.bumRate = 1 }),
        ("neighborSuppression", { $0.neighborSuppression = true }), ("device", { $0.device = "d" }),
        ("mode", { $0.mode = .plaintext }),
    ]

    @Test("every field of a network is found", arguments: fields.map(\.name))
    func everyField(name: String) throws {
        let field = try #require(Self.fields.first { $0.name == name })
        let lines = change(node([network(42)], []), node([network(42, field.change)], [])).lines
        #expect(lines.count == 1 && lines[0].hasPrefix("~ network 42: \(name)"))
    }

    @Test("a peer is its key: renamed it is the same, with another key it is not")
    func identity() {
        let old = node([network(42)], [peer("b", 0), peer("c", 1), peer("d", 2)])
        let new = node([network(42)], [peer("x", 0) { $0.roaming = false }, peer("c", 3), peer("e", 4)])
        #expect(
            change(old, new).lines == [
                "- peer d", "~ peer x: name (was b), roaming", "~ peer c: publicKey, so it is another peer", "+ peer e",
            ]
        )
    }

    @Test("names that are exchanged are two renamed peers; a sealed peer that turns plaintext is another")
    func exchange() {
        let old = node([network(42)], [peer("b", 0), peer("c", 1), peer("d", 2), peer("p", nil)])
        let new = node(
            [network(42)],
            [peer("c", 0), peer("b", 1), peer("d", nil), peer("p", nil) { $0.endpoint = nil }]
        )
        #expect(
            change(old, new).lines == [
                "~ peer c: name (was b)", "~ peer b: name (was c)", "~ peer d: plaintext, so it is another peer",
                "~ peer p: endpoint",
            ]
        )
    }

    @Test("a peer that has rotated is itself under both its keys, and a key that it retired is nobody's")
    func rotation() {
        let old = node([network(42)], [peer("b", 0), peer("c", 1)])
        let current = [Self.keys[0]: Self.keys[2]]
        let others = [Self.keys[0]: [Self.keys[0], Self.keys[3]]]
        #expect(change(old, old, current: current, others: others).isEmpty)
        let caughtUp = node([network(42)], [peer("b", 2), peer("c", 1)])
        let change = change(old, caughtUp, current: current, others: others)
        #expect(change.lines == ["~ peer b: publicKey"] && change.conflicts.isEmpty)
        for retired in [3, 2] {
            let taken = node([network(42)], [peer("b", 0), peer("c", 1), peer("e", retired)])
            let conflicts = self.change(old, taken, current: current, others: others).conflicts
            #expect(conflicts.count == 1 && conflicts[0].contains("peer e") && conflicts[0].contains("forget b"))
        }
        // The configuration has caught up, and goes back.
        let back = self.change(caughtUp, old, others: [Self.keys[2]: [Self.keys[0]]])
        #expect(back.conflicts.count == 1)
    }

    @Test("this node's own key: the file's other key, and a peer that has it")
    func ownKeys() {
        let old = node([network(42)], [peer("b", 0)])
        let other = node([network(42)], [peer("b", 0)]) { $0.identity = StaticKeyPair() }
        #expect(change(old, other).restarts == ["privateKeyFile (it holds another key)"])
        let keys = ConfigurationChange.Keys(own: [TestConfiguration.identity.publicKey, Self.keys[5]])
        let mirrored = node([network(42)], [peer("b", 5)])
        #expect(ConfigurationChange(from: old, to: mirrored, keys: keys).conflicts.count == 1)
    }

    /// Each changes one field that is for a restart.
    private static let restarts: [(name: String, change: @Sendable (inout NodeConfiguration) -> Void)] = [
        ("node", { $0.node = "b" }), ("privateKeyFile", { $0.privateKeyFile = "/b.key" }),
        ("stateDirectory", { $0.stateDirectory = "/b" }),
        ("listen", { $0.listen = [Endpoint("0.0.0.0:1")].compactMap(\.self) }),
        ("plaintextListen", { $0.plaintextListen = [Endpoint("0.0.0.0:1")].compactMap(\.self) }),
        ("firewallMark", { $0.firewallMark = 1 }), ("lanes", { $0.lanes = 2 }),
        ("sourcePorts", { $0.sourcePorts = .fixed }),
        ("lanePorts", { $0.lanePorts = [1] }), ("busyPoll", { $0.busyPoll = .milliseconds(1) }),
        ("bindDevice", { $0.bindDevice = "x" }), ("adminSocket", { $0.adminSocket = "/b.sock" }),
        ("metrics", { $0.metrics = Endpoint("127.0.0.1:9472") }),
        ("offloads", { $0.offloads.tapTso = false }), ("cipher", { $0.cipher = .libsodium }),
    ]

    @Test("what needs a restart is named", arguments: restarts.map(\.name))
    func restart(name: String) throws {
        let field = try #require(Self.restarts.first { $0.name == name })
        let old = node([network(42)], [])
        let change = change(old, node([network(42)], [], field.change))
        #expect(change.restarts == [name] && !change.isEmpty)
    }

    @Test("every field of a peer is found")
    func peerFields() {
        let old = node([network(42)], [peer("b", 0)])
        let fields: [(String, (inout PeerConfiguration) -> Void)] = [
            ("presharedKeyFile", { $0.sealed?.presharedKey = PresharedKey() }), ("endpoint", { $0.endpoint = nil }),
            ("endpoint", { $0.endpointName = EndpointName("b.example:1") }), ("roaming", { $0.roaming = false }),
            ("acceptSuccessors", { $0.acceptSuccessors = false }), ("keepalive", { $0.keepalive = .seconds(5) }),
            ("networks", { $0.networks = [] }), ("allow", { $0.allow = .init(macs: [], prefixes: [], router: true) }),
        ]
        for (name, change) in fields {
            #expect(self.change(old, node([network(42)], [peer("b", 0, change)])).lines == ["~ peer b: \(name)"])
        }
    }
}
