import Foundation
import VXCrypto
import VXWire
import Yams

/// Turns the file's mapping into a `NodeConfiguration`.
struct NodeReader {
    let loader: ConfigurationLoader
    let problems: ProblemList
    /// Of the file, with its slash: relative key files are beside it.
    let directory: String

    private static let endpointMend =
        "write it as 192.0.2.1:47890, [2001:db8::1]:47890 or, with an interface of this machine, [fe80::1%eth0]:47890"

    func read(_ reader: MappingReader) -> NodeConfiguration? {
        let configuration = readNode(reader)
        let networks = reader.items("networks").enumerated().compactMap {
            NetworkReader(problems: problems).read($1, $0)
        }
        let peers = reader.items("peers").enumerated().compactMap { PeerReader(node: self).read($1, $0) }
        reader.finish()
        CrossChecks(problems: problems, root: reader).run(
            networks: networks,
            peers: peers,
            identity: configuration?.identity
        )
        guard var configuration else { return nil }
        configuration.networks = networks.map(\.value)
        configuration.peers = peers.map(\.value)
        return configuration
    }

    func readAgent(_ reader: MappingReader) -> AgentConfiguration? {
        let configuration = readNode(reader)
        let agent = AgentReader(problems: problems, resolve: resolve).read(reader, node: configuration)
        reader.finish()
        if let name = configuration?.node, !name.isNodeName {
            problems.add(
                reader.value("node"),
                "`\(name)` is no name for a node of a cluster",
                "use lower-case letters, digits, dots and hyphens, as Kubernetes does, or name it with --node"
            )
        }
        return agent
    }

    /// All that is the node's own.
    private func readNode(_ reader: MappingReader) -> NodeConfiguration? {
        let node =
            loader.nodeName.map { name in
                _ = reader.value("node")
                return name
            } ?? reader.required("node", "name this node: `node: node-a`")
        let keyFile = reader.required("privateKeyFile", "make one with: vxseal genkey --output FILE").map(resolve)
        if let keyFile, let makeMissingKey = loader.makeMissingKey, !FileManager.default.fileExists(atPath: keyFile) {
            do {
                try makeMissingKey(keyFile)
            } catch {
                problems.add(reader.value("privateKeyFile"), "no key can be made: \(error)", "make its directory")
            }
        }
        let identity = keyFile.flatMap { path in
            read(reader, "privateKeyFile") { () throws(KeyFile.Refusal) in
                try KeyFile(path: path, mayBeLoose: loader.allowLooseKeyFiles).privateKey(
                    allowExample: loader.allowExampleKeys
                )
            }
        }
        let state = reader.required("stateDirectory", "name a directory that outlives reboots: /var/lib/vxseal")
        if let state { checkStateDirectory(state, reader.value("stateDirectory")) }
        let listen = endpoints(reader, "listen", default: "0.0.0.0:47890")
        let plaintextListen = endpoints(reader, "plaintextListen", default: "0.0.0.0:4789")
        let mark = reader.integer("firewallMark", in: 0...Int(UInt32.max)) ?? 0
        let device = reader.text("bindDevice")
        let socket = reader.text("adminSocket")
        let sandbox = reader.parsed("sandbox", "write auto or off") { ["auto": true, "off": false][$0] }
        let offloads = OffloadReader(problems: problems).read(reader)
        let metrics = reader.parsed("metrics", "write it as 127.0.0.1:9472 or [::1]:9472") { text in
            Endpoint(configured: text).flatMap { $0.port > 0 ? $0 : nil }
        }
        let lanes = LaneReader(reader: reader, problems: problems)
        let sourcePorts = reader.parsed("sourcePorts", "write lanes or fixed", SourcePorts.init) ?? .lanes
        let cipher = cipher(reader)
        let count = lanes.count()
        let lanePorts = lanes.ports(lanes: count, sourcePorts: sourcePorts, taken: listen + plaintextListen)
        let busyPoll = lanes.busyPoll()
        guard let node, let keyFile, let identity, let state else { return nil }
        return NodeConfiguration(
            node: node,
            privateKeyFile: keyFile,
            identity: identity,
            stateDirectory: state,
            listen: listen,
            plaintextListen: plaintextListen,
            firewallMark: UInt32(mark),
            lanes: count,
            sourcePorts: sourcePorts,
            lanePorts: lanePorts,
            busyPoll: busyPoll,
            bindDevice: device,
            adminSocket: socket ?? "/run/vxseal/\(node).sock",
            isSandboxed: sandbox ?? true,
            metrics: metrics,
            offloads: offloads,
            cipher: cipher,
            networks: [],
            peers: []
        )
    }

    func resolve(_ path: String) -> String { path.hasPrefix("/") ? path : directory + path }

    /// Reads a key and turns its refusal into a problem at the field.
    func read<Key>(_ reader: MappingReader, _ field: String, _ body: () throws(KeyFile.Refusal) -> Key) -> Key? {
        do {
            return try body()
        } catch {
            problems.add(reader.value(field), error.what, error.mend)
            return nil
        }
    }

    /// Nil for `auto`. A provider that is named must be there and prove itself.
    private func cipher(_ reader: MappingReader) -> BulkCipher.Provider? {
        if reader.value("cipher")?.string == "auto" { return nil }
        let names = BulkCipher.Provider.allCases.map(\.rawValue).joined(separator: ", ")
        let cipher = reader.parsed("cipher", "write auto or one of \(names)", BulkCipher.Provider.init(rawValue:))
        if let refusal = cipher?.refusal {
            problems.add(reader.value("cipher"), "cipher \(refusal.provider): \(refusal.what)", refusal.mend)
        }
        return cipher
    }

    /// A text or a list of texts.
    private func endpoints(_ reader: MappingReader, _ field: String, default text: String) -> [Endpoint] {
        guard let node = reader.value(field) else { return [text].compactMap { Endpoint($0) } }
        if node.sequence != nil { return reader.parsedItems(field, Self.endpointMend, Endpoint.init(configured:)) }
        return [reader.parsed(field, Self.endpointMend, Endpoint.init(configured:))].compactMap { $0 }
    }

    /// Timestamps must outlive a reboot, or a peer that remembers ours refuses us after it.
    private func checkStateDirectory(_ path: String, _ node: Node?) {
        guard path.hasPrefix("/") else {
            return problems.add(node, "stateDirectory `\(path)` is no absolute path", "start it with a slash")
        }
        guard !loader.allowVolatileState else { return }
        if ["tmpfs", "ramfs"].contains(MountTable.current.fileSystem(of: path)) {
            problems.add(
                node,
                "stateDirectory \(path) is in memory and lost at a reboot",
                "choose a directory on disk, or pass --allow-volatile-state"
            )
        }
    }
}

/// A value with the node it was read from, for checks that compare several.
struct Located<Value> {
    let value: Value
    let node: MappingReader
}

/// Reads one network.
struct NetworkReader {
    let problems: ProblemList

    /// Frames a second (product.md, Configuration).
    private static let defaultBUMRate = 2000

    func read(_ item: Node, _ place: Int) -> Located<NetworkConfiguration>? {
        guard let reader = MappingReader(item, path: "networks[\(place)]", problems: problems) else { return nil }
        if reader.value("vni") == nil { problems.add(item, "networks[\(place)].vni is missing", "give its identifier") }
        let vni = reader.integer("vni", in: 0...0xff_ffff).flatMap { VNI(UInt32($0)) }
        let device = reader.text("device") ?? vni.map { "vxs\($0)" }
        if let device, !isDeviceName(device) {
            problems.add(
                reader.value("device") ?? item,
                "`\(device)` is no device name",
                "use at most 15 bytes, no slash"
            )
        }
        let mac = reader.parsed("mac", AllowanceReader.stationMend, MACAddress.init(station:))
        let mode = reader.parsed("mode", "write sealed, mixed or plaintext") {
            NetworkConfiguration.Mode(rawValue: $0)
        }
        let addresses = reader.parsedItems("addresses", "write them as 10.98.0.1/24 or fd00::1/64", IPPrefix.init)
        let mtu = reader.value("mtu")?.string == "auto" ? nil : reader.integer("mtu", in: 576...9000)
        if let mtu, mtu < 1280, addresses.contains(where: \.address.isIPv6) {
            problems.add(reader.value("mtu"), "an MTU of \(mtu) carries no IPv6", "give at least 1280")
        }
        let fdb = reader.items("fdb").enumerated().compactMap { staticEntry($1, "networks[\(place)].fdb[\($0)]") }
        let headroom = reader.integer("vlanHeadroom", in: 0...16) ?? 0
        let learning = reader.boolean("learning", default: true)
        let copyDscp = reader.boolean("copyDscp", default: true)
        let vlans = TagListReader(problems: problems).read(reader, place: place)
        let linkLocal = reader.boolean("forwardLinkLocal", default: false)
        let fdbLimit = reader.integer("fdbLimit", in: 16...1 << 20) ?? 16_384
        let flood = reader.parsed("flood", "write all, none or known-multicast") {
            NetworkConfiguration.Flood(rawValue: $0)
        }
        let bumRate =
            reader.value("bumRate")?.string == "unlimited"
            ? nil : reader.integer("bumRate", in: 1...10_000_000) ?? Self.defaultBUMRate
        let suppression = reader.boolean("neighborSuppression", default: true)
        let bridge = reader.text("bridge")
        if let bridge, !isDeviceName(bridge) {
            problems.add(reader.value("bridge"), "`\(bridge)` is no device name", "use at most 15 bytes, no slash")
        }
        if bridge != nil, !addresses.isEmpty {
            problems.add(
                reader.value("addresses"),
                "addresses of a bridge's port cannot be reached",
                "remove them, or give them to the bridge: ip address add dev \(bridge ?? "")"
            )
        }
        let allowMixedBridge = reader.boolean("allowMixedBridge", default: false)
        let relay = reader.boolean("relay", default: false)
        if relay, mode != .mixed {
            problems.add(
                reader.value("relay"),
                "a relay passes frames between sealed and plaintext peers, which only a mixed network has",
                "write `mode: mixed`, or remove relay"
            )
        }
        reader.finish()
        guard let vni, let device else { return nil }
        let value = NetworkConfiguration(
            vni: vni,
            device: device,
            mac: mac,
            hasDevice: !relay || reader.value("device") != nil || bridge != nil || !addresses.isEmpty,
            mode: mode ?? .sealed,
            relay: relay,
            addresses: addresses,
            bridge: bridge,
            allowMixedBridge: allowMixedBridge,
            mtu: mtu,
            vlanHeadroom: headroom,
            learning: learning,
            forwardLinkLocal: linkLocal,
            copyDscp: copyDscp,
            vlans: vlans,
            fdb: fdb,
            fdbLimit: fdbLimit,
            flood: flood ?? .all,
            bumRate: bumRate,
            neighborSuppression: suppression
        )
        return Located(value: value, node: reader)
    }

    private func isDeviceName(_ name: String) -> Bool {
        name.utf8.count <= 15 && !name.contains("/") && !name.contains(where: \.isWhitespace)
    }

    private func staticEntry(_ item: Node, _ path: String) -> NetworkConfiguration.StaticEntry? {
        guard let reader = MappingReader(item, path: path, problems: problems) else { return nil }
        let mac = reader.parsed("mac", AllowanceReader.stationMend, MACAddress.init(station:))
        let peer = reader.required("peer", "name one of the peers")
        let addresses = reader.parsedItems("addresses", "write single addresses: 10.98.0.7 or fd00::7") {
            IPAddress($0)
        }
        reader.finish()
        guard let mac, let peer else { return nil }
        return NetworkConfiguration.StaticEntry(mac: mac, peer: peer, addresses: addresses)
    }
}

/// Reads one peer.
struct PeerReader {
    let node: NodeReader

    func read(_ item: Node, _ place: Int) -> Located<PeerConfiguration>? {
        let problems = node.problems
        guard let reader = MappingReader(item, path: "peers[\(place)]", problems: problems) else { return nil }
        let name = reader.required("name", "name it: `name: node-b`")
        let isPlaintext = reader.boolean("plaintext", default: false)
        let key = reader.parsed("publicKey", "it is what `vxseal pubkey` prints on that node: 44 characters") {
            PublicKey(base64: $0)
        }
        if let key, ExampleKeys.contains(key), !node.loader.allowExampleKeys {
            problems.add(
                reader.value("publicKey"),
                "this is an example key whose private half everybody has",
                "use the peer's own key, or try things out with --allow-example-keys"
            )
        }
        let pskFile = reader.text("presharedKeyFile").map(node.resolve)
        let psk = pskFile.flatMap { path in
            node.read(reader, "presharedKeyFile") { () throws(KeyFile.Refusal) in
                try KeyFile(path: path, mayBeLoose: node.loader.allowLooseKeyFiles).presharedKey(
                    allowExample: node.loader.allowExampleKeys
                )
            }
        }
        let endpointText = reader.text("endpoint")
        let endpointName = endpointText.flatMap {
            Endpoint(configured: $0) == nil && !isPlaintext ? EndpointName($0) : nil
        }
        let endpoint =
            endpointName == nil
            ? reader.parsed(
                "endpoint",
                isPlaintext
                    ? "write it as 192.0.2.9:4789, [2001:db8::9]:4789 or, with an interface of this machine, [fe80::9%eth0]:4789"
                    : "write it as 192.0.2.2:47890, [2001:db8::2]:47890, node-b.example.net:47890 or, with an interface of this machine, "
                        + "[fe80::2%eth0]:47890",
                Endpoint.init(configured:)
            ) : nil
        if isPlaintext, endpoint == nil, reader.value("endpoint") == nil {
            problems.add(item, "the plaintext peer has no endpoint", "say where it is: `endpoint: 192.0.2.9:4789`")
        }
        if isPlaintext, reader.value("publicKey") != nil {
            problems.add(reader.value("publicKey"), "a plaintext peer has no key", "remove publicKey or plaintext")
        }
        if !isPlaintext, reader.value("publicKey") == nil {
            problems.add(item, "peers[\(place)].publicKey is missing", "give what `vxseal pubkey` prints on that node")
        }
        let keepalive = reader.parsed("keepalive", "write it as 25s, from 1s to 65535s") { text -> Interval? in
            guard text.hasSuffix("s"), let count = UInt64(text.dropLast()), (1...65535).contains(count) else {
                return nil
            }
            return .seconds(count)
        }
        let networks = reader.parsedItems("networks", "give the VNIs of networks above") { text in
            UInt32(text).flatMap { VNI($0) }
        }
        if reader.value("networks") == nil {
            problems.add(item, "the peer takes part in no network", "list VNIs: `networks: [42]`")
        }
        let roaming = reader.boolean("roaming", default: true)
        let acceptSuccessors = reader.boolean("acceptSuccessors", default: true)
        let allow = reader.value("allow").flatMap {
            AllowanceReader(problems: problems).read($0, "peers[\(place)].allow")
        }
        reader.finish()
        guard let name, isPlaintext || key != nil else { return nil }
        let sealed = key.flatMap { key in
            isPlaintext
                ? nil
                : PeerConfiguration.Sealed(publicKey: key, presharedKeyFile: pskFile, presharedKey: psk ?? .none)
        }
        let value = PeerConfiguration(
            name: name,
            sealed: sealed,
            endpoint: endpoint,
            endpointName: endpointName,
            roaming: roaming,
            acceptSuccessors: acceptSuccessors,
            keepalive: keepalive,
            networks: networks,
            allow: allow
        )
        return Located(value: value, node: reader)
    }
}

extension String {
    /// A name as Kubernetes has them (RFC 1123 subdomain).
    package var isNodeName: Bool {
        (1...253).contains(utf8.count)
            && split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
                (1...63).contains(label.utf8.count) && label.utf8.first != 0x2d && label.utf8.last != 0x2d
                    && label.utf8.allSatisfy { (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2d }
            }
    }
}
