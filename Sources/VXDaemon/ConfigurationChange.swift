import VXConfig
import VXCrypto
import VXWire

/// What another configuration changes of the one that a node runs with. Pure: it reads no file and touches nothing.
///
/// A sealed peer is its key, whatever it is called, and remains itself when the configuration names the key that it has
/// rotated to. A plaintext peer is its name.
struct ConfigurationChange: Sendable {
    /// One network.
    enum Network: Sendable {
        /// It is new.
        case added(NetworkConfiguration)
        /// It is gone.
        case removed(NetworkConfiguration)
        /// It goes on with other settings, whose fields are named.
        case changed(NetworkConfiguration, fields: [String])
        /// It is removed and made again, with a device of its own, because of the fields that are named.
        case remade(NetworkConfiguration, fields: [String])
    }

    /// One peer.
    enum Peer: Sendable {
        /// It is new.
        case added(PeerConfiguration)
        /// It is gone.
        case removed(PeerConfiguration)
        /// It keeps its session and is known by other settings, whose fields are named.
        case changed(from: PeerConfiguration, to: PeerConfiguration, fields: [String])
        /// The name is another peer's now, because of the field that is named.
        case replaced(PeerConfiguration, by: PeerConfiguration, field: String)
    }

    /// The networks that differ: those that are gone first, then in the new file's order.
    private(set) var networks: [Network] = []
    /// The peers that differ: those that are gone first, then in the new file's order.
    private(set) var peers: [Peer] = []
    /// The fields that a running daemon cannot change, and what differs.
    private(set) var restarts: [String] = []
    /// Keys that the new configuration gives to peers and that others have or had.
    private(set) var conflicts: [String] = []

    /// What rotations know of keys.
    struct Keys: Sendable {
        /// This node's own: the one in use, and the one that replaces it while a rotation is open.
        var own: [PublicKey]
        /// By configured key: the key that a peer uses, when it has rotated.
        var current: [PublicKey: PublicKey]
        /// By configured key: keys that a peer is about to use, or has used.
        var others: [PublicKey: [PublicKey]]

        /// From its parts.
        init(own: [PublicKey], current: [PublicKey: PublicKey] = [:], others: [PublicKey: [PublicKey]] = [:]) {
            self.own = own
            self.current = current
            self.others = others
        }
    }

    /// Compares two configurations.
    init(from old: NodeConfiguration, to new: NodeConfiguration, keys: Keys) {
        restarts = Self.restartFields.filter { $0.differs(old, new) }.map(\.name)
        if !keys.own.contains(new.identity.publicKey) { restarts.append("privateKeyFile (it holds another key)") }
        compareNetworks(old, new)
        comparePeers(old, new, keys)
    }

    /// Nothing that the daemon acts on differs.
    var isEmpty: Bool { networks.isEmpty && peers.isEmpty && restarts.isEmpty }

    /// A line for each network and peer that differs.
    var lines: [String] { networks.map(\.line) + peers.map(\.line) }

    // MARK: - Node

    private struct RestartField: Sendable {
        let name: String
        let differs: @Sendable (NodeConfiguration, NodeConfiguration) -> Bool

        init<Value: Equatable & SendableMetatype>(
            _ name: String,
            _ value: @escaping @Sendable (NodeConfiguration) -> Value
        ) {
            self.name = name
            differs = { value($0) != value($1) }
        }
    }

    private static let restartFields: [RestartField] = [
        RestartField("node") { $0.node },
        RestartField("privateKeyFile") { $0.privateKeyFile },
        RestartField("stateDirectory") { $0.stateDirectory },
        RestartField("listen") { $0.listen },
        RestartField("plaintextListen") { $0.plaintextListen },
        RestartField("firewallMark") { $0.firewallMark },
        RestartField("bindDevice") { $0.bindDevice },
        RestartField("lanes") { $0.lanes },
        RestartField("sourcePorts") { $0.sourcePorts },
        RestartField("lanePorts") { $0.lanePorts },
        RestartField("busyPoll") { $0.busyPoll },
        RestartField("adminSocket") { $0.adminSocket },
        RestartField("sandbox") { $0.isSandboxed },
        RestartField("metrics") { $0.metrics },
        RestartField("offloads") { $0.offloads },
        RestartField("cipher") { $0.cipher },
    ]

    // MARK: - Networks

    private mutating func compareNetworks(_ old: NodeConfiguration, _ new: NodeConfiguration) {
        let known = Dictionary(uniqueKeysWithValues: old.networks.map { ($0.vni, $0) })
        let wanted = Set(new.networks.map(\.vni))
        networks += old.networks.filter { !wanted.contains($0.vni) }.map(Network.removed)
        for network in new.networks {
            guard let before = known[network.vni] else {
                networks.append(.added(network))
                continue
            }
            guard before != network else { continue }
            var overlaid = before
            let differing = NetworkField.all.filter { $0.differs(before, network) }
            for field in differing { field.copy(&overlaid, network) }
            // What is in no list is not known to be changeable.
            let isRemade = overlaid != network || differing.contains { $0.isRemade(before, network) }
            let fields = differing.map(\.name) + (overlaid == network ? [] : ["other settings"])
            networks.append(isRemade ? .remade(network, fields: fields) : .changed(network, fields: fields))
        }
    }

    private struct NetworkField: Sendable {
        let name: String
        /// Whether the device is made again for it.
        let isRemade: @Sendable (NetworkConfiguration, NetworkConfiguration) -> Bool
        let differs: @Sendable (NetworkConfiguration, NetworkConfiguration) -> Bool
        let copy: @Sendable (inout NetworkConfiguration, NetworkConfiguration) -> Void

        init<Value: Equatable & SendableMetatype>(
            _ name: String,
            _ path: any WritableKeyPath<NetworkConfiguration, Value> & Sendable,
            isRemade: @escaping @Sendable (NetworkConfiguration, NetworkConfiguration) -> Bool = { _, _ in false }
        ) {
            self.name = name
            self.isRemade = isRemade
            differs = { $0[keyPath: path] != $1[keyPath: path] }
            copy = { $0[keyPath: path] = $1[keyPath: path] }
        }

        private static let always: @Sendable (NetworkConfiguration, NetworkConfiguration) -> Bool = { _, _ in true }

        static let all: [NetworkField] = [
            NetworkField("device", \.device, isRemade: always),
            NetworkField("device", \.hasDevice, isRemade: always),
            NetworkField("mac", \.mac, isRemade: always),
            // The device of a mixed network is that of a sealed one: the last step of a migration loses nothing.
            NetworkField("mode", \.mode, isRemade: { $0.mode == .plaintext || $1.mode == .plaintext }),
            NetworkField("relay", \.relay),
            NetworkField("bridge", \.bridge, isRemade: always),
            NetworkField("addresses", \.addresses),
            NetworkField("allowMixedBridge", \.allowMixedBridge),
            NetworkField("mtu", \.mtu),
            NetworkField("vlanHeadroom", \.vlanHeadroom),
            NetworkField("learning", \.learning),
            NetworkField("forwardLinkLocal", \.forwardLinkLocal),
            NetworkField("copyDscp", \.copyDscp),
            NetworkField("vlan", \.vlans),
            NetworkField("fdb", \.fdb),
            NetworkField("fdbLimit", \.fdbLimit),
            NetworkField("flood", \.flood),
            NetworkField("bumRate", \.bumRate),
            NetworkField("neighborSuppression", \.neighborSuppression),
        ]
    }

    // MARK: - Peers

    private mutating func comparePeers(_ old: NodeConfiguration, _ new: NodeConfiguration, _ keys: Keys) {
        var places: [PublicKey: Int] = [:]
        var names: [String: Int] = [:]
        for (place, peer) in old.peers.enumerated() {
            guard let key = peer.sealed?.publicKey else {
                names[peer.name] = place
                continue
            }
            if let current = keys.current[key] { places[current] = place }
            places[key] = place
        }
        var left = Set(old.peers.indices)
        var found: [(before: PeerConfiguration?, after: PeerConfiguration)] = []
        for peer in new.peers {
            let place = peer.sealed.map { places[$0.publicKey] } ?? names[peer.name]
            // Two peers may be given the configured and the current key of one: the first is it.
            guard let place, left.remove(place) != nil else {
                found.append((nil, peer))
                continue
            }
            found.append((old.peers[place], peer))
        }
        let renewed = Set(found.filter { $0.before == nil }.map(\.after.name))
        let replaced = Dictionary(
            left.map { (old.peers[$0].name, old.peers[$0]) }.filter { renewed.contains($0.0) }
        ) { first, _ in first }
        peers = old.peers.indices.filter { left.contains($0) && replaced[old.peers[$0].name] == nil }.map {
            .removed(old.peers[$0])
        }
        for (before, after) in found {
            if let before {
                let fields = Self.differences(before, after)
                if !fields.isEmpty { peers.append(.changed(from: before, to: after, fields: fields)) }
            } else if let former = replaced[after.name] {
                let isSealed = (former.sealed != nil, after.sealed != nil)
                let field = isSealed == (true, true) ? "publicKey" : "plaintext"
                peers.append(.replaced(former, by: after, field: field))
            } else {
                peers.append(.added(after))
            }
        }
        findConflicts(old, found, keys)
    }

    /// Keys that the other side of a rotation has taken out of use must not come back.
    private mutating func findConflicts(
        _ old: NodeConfiguration,
        _ found: [(before: PeerConfiguration?, after: PeerConfiguration)],
        _ keys: Keys
    ) {
        var owners: [PublicKey: String] = [:]
        for peer in old.peers {
            guard let key = peer.sealed?.publicKey else { continue }
            for other in [keys.current[key]].compactMap(\.self) + (keys.others[key] ?? []) { owners[other] = peer.name }
        }
        for (before, after) in found {
            guard let key = after.sealed?.publicKey else { continue }
            if keys.own.contains(key) {
                conflicts.append("the publicKey of peer \(after.name) is this node's own")
            } else if before == nil, let owner = owners[key] {
                conflicts.append(
                    "the publicKey of peer \(after.name) is a key that peer \(owner) has rotated to or from; "
                        + "give it its own, or first: vxseal rotate forget \(owner)"
                )
            }
        }
    }

    private static func differences(_ old: PeerConfiguration, _ new: PeerConfiguration) -> [String] {
        let checks: [(String, Bool)] = [
            ("name", old.name != new.name),
            ("publicKey", old.sealed?.publicKey != new.sealed?.publicKey),
            ("presharedKeyFile", old.sealed?.presharedKey.fingerprint != new.sealed?.presharedKey.fingerprint),
            ("endpoint", old.endpoint != new.endpoint || old.endpointName != new.endpointName),
            ("roaming", old.roaming != new.roaming),
            ("acceptSuccessors", old.acceptSuccessors != new.acceptSuccessors),
            ("keepalive", old.keepalive != new.keepalive),
            ("networks", Set(old.networks) != Set(new.networks)),
            ("allow", old.allow != new.allow),
        ]
        return checks.filter(\.1).map(\.0)
    }
}

extension ConfigurationChange.Network {
    fileprivate var line: String {
        switch self {
        case .added(let network): "+ network \(network.vni)"
        case .removed(let network): "- network \(network.vni)"
        case .changed(let network, let fields): "~ network \(network.vni): \(fields.joined(separator: ", "))"
        case .remade(let network, let fields):
            "~ network \(network.vni): \(fields.joined(separator: ", ")); removed and made again"
        }
    }
}

extension ConfigurationChange.Peer {
    fileprivate var line: String {
        switch self {
        case .added(let peer): "+ peer \(peer.name)"
        case .removed(let peer): "- peer \(peer.name)"
        case .changed(let before, let after, let fields):
            "~ peer \(after.name): "
                + fields.map { $0 == "name" ? "name (was \(before.name))" : $0 }.joined(separator: ", ")
        case .replaced(_, let peer, let field): "~ peer \(peer.name): \(field), so it is another peer"
        }
    }
}
