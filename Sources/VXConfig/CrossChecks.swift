import VXCrypto
import VXWire
import Yams

/// What can be wrong between the parts of a configuration that are right by themselves.
struct CrossChecks {
    let problems: ProblemList
    let root: MappingReader

    func run(
        networks: [Located<NetworkConfiguration>],
        peers: [Located<PeerConfiguration>],
        identity: StaticKeyPair?
    ) {
        if networks.isEmpty {
            problems.add(root.node, "there is no network", "add one under networks:")
        }
        unique(networks, "vni", "VNI") { $0.vni.description }
        unique(networks, "device", "device") { $0.hasDevice ? $0.device : nil }
        unique(peers, "name", "peer name") { $0.name }
        unique(peers, "publicKey", "public key") { $0.sealed?.publicKey.base64 }
        unique(peers, "endpoint", "endpoint") { peer in
            // Plaintext peers are told apart by their address alone.
            peer.endpoint.map {
                peer.sealed == nil ? "\(Endpoint(address: $0.address, port: 0, scope: $0.scope))" : "\($0)"
            }
        }
        let modes = Dictionary(networks.map { ($0.value.vni, $0.value.mode) }) { first, _ in first }
        for peer in peers { check(peer, modes: modes, identity: identity) }
        let names = Dictionary(peers.map { ($0.value.name, $0.value) }) { first, _ in first }
        for network in networks {
            for entry in network.value.fdb where !(names[entry.peer]?.networks.contains(network.value.vni) ?? false) {
                problems.add(
                    network.node.value("fdb"),
                    "an fdb entry names `\(entry.peer)`, which is no peer of VNI \(network.value.vni)",
                    "name a peer whose networks list has it"
                )
            }
        }
        checkSides(networks: networks, peers: peers)
        checkBindings(networks: networks, peers: peers)
        checkBridges(networks)
        if peers.count > 65_000 { problems.add(root.node, "more than 65000 peers", "split the network") }
    }

    /// A bridge passes frames from a sealed network to a plaintext one.
    private func checkBridges(_ networks: [Located<NetworkConfiguration>]) {
        let sealed = networks.filter {
            $0.value.mode == .sealed && !$0.value.allowMixedBridge && $0.value.bridge != nil
        }
        for network in sealed {
            guard
                let other = networks.first(where: {
                    $0.value.mode != .sealed && $0.value.bridge == network.value.bridge
                })
            else { continue }
            problems.add(
                network.node.value("bridge"),
                "the bridge of the sealed VNI \(network.value.vni) also holds VNI \(other.value.vni), which is "
                    + "\(other.value.mode.rawValue)",
                "give each a bridge of its own, or write `allowMixedBridge: true` at the sealed one"
            )
        }
    }

    private func check(
        _ peer: Located<PeerConfiguration>,
        modes: [VNI: NetworkConfiguration.Mode],
        identity: StaticKeyPair?
    ) {
        let value = peer.value
        if let key = value.sealed?.publicKey, key == identity?.publicKey {
            problems.add(peer.node.value("publicKey"), "this is the node's own key", "give the peer's public key")
        }
        for vni in value.networks {
            guard let mode = modes[vni] else {
                problems.add(
                    peer.node.value("networks"),
                    "there is no network with VNI \(vni)",
                    "add it, or correct the list"
                )
                continue
            }
            let isFitting = mode == .mixed || (mode == .sealed) == (value.sealed != nil)
            if !isFitting {
                problems.add(
                    peer.node.value("networks"),
                    "VNI \(vni) is \(mode.rawValue), and `\(value.name)` is a \(value.sealed == nil ? "plaintext" : "sealed") peer",
                    "give it a network of its own kind"
                )
            }
        }
    }

    /// In a mixed network plaintext from the address of a keyed peer is a forgery, so no plaintext peer can be there.
    private func checkSides(networks: [Located<NetworkConfiguration>], peers: [Located<PeerConfiguration>]) {
        let mixed = Set(networks.filter { $0.value.mode == .mixed }.map(\.value.vni))
        for peer in peers where peer.value.sealed == nil {
            guard let endpoint = peer.value.endpoint else { continue }
            let keyed = peers.first { other in
                other.value.sealed != nil && other.value.endpoint?.isSameHost(as: endpoint) == true
                    && !mixed.isDisjoint(with: Set(other.value.networks).intersection(peer.value.networks))
            }
            guard let keyed else { continue }
            problems.add(
                peer.node.value("endpoint"),
                "`\(keyed.value.name)`, which has a key, is at the same address in the same mixed network",
                "keep the one that the peer is now: no peer is both sealed and plaintext"
            )
        }
    }

    /// A MAC address is one peer's alone, and a static entry says nothing else.
    private func checkBindings(networks: [Located<NetworkConfiguration>], peers: [Located<PeerConfiguration>]) {
        var owners: [MACAddress: (name: String, node: Node)] = [:]
        for peer in peers {
            let items = peer.node.value("allow")?.mapping?["macs"]?.sequence.map(Array.init) ?? []
            for item in items {
                guard let mac = item.string.flatMap(MACAddress.init(station:)) else { continue }
                guard let (owner, first) = owners[mac] else {
                    owners[mac] = (peer.value.name, item)
                    continue
                }
                let mend = "leave it to the one it belongs to"
                problems.add(item, "\(mac) is in allow.macs of `\(owner)` (line \(first.mark?.line ?? 0)) too", mend)
                if owner != peer.value.name {
                    let line = item.mark?.line ?? 0
                    problems.add(first, "\(mac) is in allow.macs of `\(peer.value.name)` (line \(line)) too", mend)
                }
            }
        }
        let bound = Dictionary(peers.compactMap { peer in peer.value.allow.map { (peer.value.name, $0.macs) } }) {
            first,
            _ in first
        }
        for network in networks {
            var addresses: Set<IPAddress> = []
            for address in network.value.fdb.flatMap(\.addresses) where !addresses.insert(address).inserted {
                let what = "two fdb entries have the address \(address)"
                problems.add(network.node.value("fdb"), what, "give it to one station")
            }
            for entry in network.value.fdb {
                let owner = owners[entry.mac]?.name
                let isUnbound = owner == nil && bound[entry.peer].map { !$0.isEmpty } ?? false
                guard isUnbound || owner != nil && owner != entry.peer else { continue }
                problems.add(
                    network.node.value("fdb"),
                    owner.map {
                        "\(entry.mac) is \($0)'s by its allow.macs, and an fdb entry gives it to `\(entry.peer)`"
                    }
                        ?? "\(entry.mac) is not in allow.macs of `\(entry.peer)`, and an fdb entry gives it to that peer",
                    "correct one of them"
                )
            }
        }
    }

    private func unique<Value>(
        _ values: [Located<Value>],
        _ field: String,
        _ label: String,
        _ key: (Value) -> String?
    ) {
        var seen: Set<String> = []
        for value in values {
            guard let key = key(value.value), !seen.insert(key).inserted else { continue }
            problems.add(
                value.node.value(field) ?? value.node.node,
                "\(label) `\(key)` stands twice",
                "give each its own"
            )
        }
    }
}
