import VXWire

/// The nftables rules of a node's ports, as a script for nft(8) in a table of their own.
///
/// Loading it replaces the table in one transaction, so that it may be loaded any number of times. A packet that any table drops is
/// dropped: this one opens nothing that another table closes.
public struct FirewallScript: Sendable {
    /// The table's name in the family `inet`.
    public let table: String
    private let node: String
    private let sealed: [Endpoint]
    private let plaintext: [Endpoint]
    private let lanePorts: [UInt16]
    /// Lanes may leave from ports that the kernel chooses, which only their destination tells.
    private let hasUnknownPorts: Bool
    private let sealedPeers: [PeerConfiguration]
    private let plaintextPeers: [PeerConfiguration]
    /// Peers with a key, of mixed networks.
    private let mixedPeers: [PeerConfiguration]

    /// The rules that a configuration asks for.
    public init(_ configuration: NodeConfiguration) {
        table = Self.table(of: configuration.node)
        node = configuration.node
        sealed = configuration.sealedEndpoints
        plaintext = configuration.hasPlaintext ? configuration.plaintextEndpoints : []
        lanePorts = configuration.lanePorts
        hasUnknownPorts =
            configuration.sourcePorts == .lanes && configuration.lanePorts.isEmpty && configuration.lanes != 1
        sealedPeers = configuration.peers.filter { $0.sealed != nil }
        plaintextPeers = configuration.peers.filter { $0.sealed == nil }
        let mixed = Set(configuration.networks.filter { $0.mode == .mixed }.map(\.vni))
        mixedPeers = sealedPeers.filter { !mixed.isDisjoint(with: $0.networks) }
    }

    /// `vxseal_` and the node's name in the letters that nft takes. A name that is not only letters, digits and hyphens gets a
    /// number, so that no two nodes of a machine share a table.
    static func table(of node: String) -> String {
        let isPlain = { (byte: UInt8) in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: false
            }
        }
        let bytes = Array(node.utf8)
        let kept = bytes.prefix(64).map { isPlain($0) ? $0 : UInt8(ascii: "_") }
        let name = "vxseal_" + String(decoding: kept, as: UTF8.self)
        guard bytes.count > 64 || bytes.contains(where: { !isPlain($0) && $0 != UInt8(ascii: "-") }) else {
            return name
        }
        // FNV-1a, 32 bits.
        let hash = bytes.reduce(UInt32(0x811c_9dc5)) { ($0 ^ UInt32($1)) &* 0x0100_0193 }
        return name + "_" + String(hash, radix: 16)
    }

    /// Removes the table; without an error where there is none.
    public var removal: String { "add table inet \(table)\ndelete table inet \(table)\n" }

    /// The script.
    public var text: String {
        var lines = [
            "#!/usr/sbin/nft -f",
            "# Rules for the ports of node \(plain(node)).",
            "# Replaces its own table in one transaction and touches no other. What another table drops stays",
            "# dropped: where that is so, accept the same ports there. Untracked packets match no",
            "# `ct state established`.",
            "add table inet \(table)",
            "delete table inet \(table)",
            "table inet \(table) {",
        ]
        lines += chain("prerouting", "prerouting priority raw", untracked(.incoming))
        lines += [""] + chain("output", "output priority raw", untracked(.outgoing))
        lines += [""] + chain("input", "input priority filter", admissions)
        lines.append("}")
        return lines.joined(separator: "\n") + "\n"
    }

    private func chain(_ name: String, _ hook: String, _ rules: [String]) -> [String] {
        ["    chain \(name) {", "        type filter hook \(hook); policy accept;"]
            + rules.map { "        " + $0 } + ["    }"]
    }

    /// Connection tracking costs every packet a look-up, its table may overflow, and it tells nothing here.
    private func untracked(_ direction: Direction) -> [String] {
        var rules = ["# No connection tracking of \(direction == .incoming ? "what arrives" : "what is sent")."]
        rules += (sealed + plaintext).map { "\(direction.own($0))udp \(direction.ownPort) \($0.port) notrack" }
        guard direction == .outgoing else { return rules }
        if !lanePorts.isEmpty {
            rules.append("# The lanes' own ports.")
            rules.append("udp sport { \(lanePorts.map(\.description).joined(separator: ", ")) } notrack")
        }
        let sealed = PeerSet(hasUnknownPorts ? sealedPeers : [])
        if !sealed.isEmpty {
            rules.append("# Lanes of other ports, which the kernel chooses; a peer that has moved is not among these.")
            rules += sealed.rules(.outgoing, withPorts: true) { "\($0)notrack" }
        }
        let plaintext = PeerSet(plaintext.isEmpty ? [] : plaintextPeers)
        if !plaintext.isEmpty {
            rules.append("# Plaintext VXLAN leaves from many ports.")
            rules += plaintext.rules(.outgoing, withPorts: true) { "\($0)notrack" }
        }
        return rules
    }

    /// A peer that moves, or whose place is not known for certain, comes from anywhere.
    private var isAnywhere: Bool { sealedPeers.contains { $0.endpoint == nil || $0.endpointName != nil || $0.roaming } }

    private var admissions: [String] {
        var rules: [String] = []
        if isAnywhere {
            rules.append("# Sealed, from anywhere: a peer roams, is found by name, or has no endpoint.")
            rules += sealed.map { "\(Direction.incoming.own($0))udp dport \($0.port) counter accept" }
        } else {
            rules.append("# Sealed, from the peers alone: none of them roams.")
            rules += sealed.flatMap { only(sealedPeers, to: $0) }
        }
        if !plaintext.isEmpty {
            rules.append("# Plaintext VXLAN, from the plaintext peers alone.")
            if !mixedPeers.isEmpty {
                rules.append(
                    "# In the name of a mixed network's keyed peer it is dropped, counted and told (tripwire) by vxseal."
                )
            }
            rules += plaintext.flatMap { only(plaintextPeers + mixedPeers, to: $0) }
        }
        return rules
    }

    private func only(_ peers: [PeerConfiguration], to own: Endpoint) -> [String] {
        let isIPv6 = own.address.isIPv6
        let port = "\(Direction.incoming.own(own))udp dport \(own.port)"
        let family = own.address.isUnspecified ? "meta nfproto \(isIPv6 ? "ipv6" : "ipv4") " : ""
        return PeerSet(peers.filter { $0.endpoint?.address.isIPv6 == isIPv6 }).rules(.incoming, withPorts: false) {
            "\($0)\(port) counter accept"
        } + ["\(family)\(port) counter drop"]
    }

    /// Which way a packet goes, seen from this node.
    private enum Direction {
        case incoming, outgoing

        var interface: String { self == .incoming ? "iifname" : "oifname" }
        var peerAddress: String { self == .incoming ? "saddr" : "daddr" }
        var ownPort: String { self == .incoming ? "dport" : "sport" }

        /// This node's side of a packet; nothing where it listens on every address.
        func own(_ endpoint: Endpoint) -> String {
            guard !endpoint.address.isUnspecified else { return "" }
            let link = endpoint.interface.map { "\(interface) \"\(plain($0))\" " } ?? ""
            let side = self == .incoming ? "daddr" : "saddr"
            return "\(link)\(endpoint.address.isIPv6 ? "ip6" : "ip") \(side) \(endpoint.address) "
        }
    }

    /// Peers in nft's sets, which cost one look-up however many there are: IPv4, IPv6, and IPv6 with its link.
    private struct PeerSet {
        private struct Member {
            let endpoint: Endpoint
            let name: String
        }

        private let members: [Member]

        init(_ peers: [PeerConfiguration]) {
            members = peers.compactMap { peer in peer.endpoint.map { Member(endpoint: $0, name: peer.name) } }
        }

        var isEmpty: Bool { members.isEmpty }

        func rules(_ direction: Direction, withPorts: Bool, _ rule: (String) -> String) -> [String] {
            let port = withPorts ? " . udp dport" : ""
            let side = direction.peerAddress
            let groups: [(key: String, members: [Member], link: Bool)] = [
                ("ip \(side)\(port)", members.filter { !$0.endpoint.address.isIPv6 }, false),
                ("ip6 \(side)\(port)", members.filter { $0.endpoint.address.isIPv6 && $0.endpoint.scope == 0 }, false),
                ("\(direction.interface) . ip6 \(side)\(port)", members.filter { $0.endpoint.interface != nil }, true),
            ]
            return groups.flatMap { group -> [String] in
                guard !group.members.isEmpty else { return [] }
                var seen: Set<String> = []
                let elements = group.members.compactMap { member -> String? in
                    let link = group.link ? "\"\(plain(member.endpoint.interface ?? ""))\" . " : ""
                    let port = withPorts ? " . \(member.endpoint.port)" : ""
                    let element = "\(link)\(member.endpoint.address)\(port)"
                    return seen.insert(element).inserted ? "    \(element), # \(plain(member.name))" : nil
                }
                return ["\(group.key) {"] + elements + [rule("} ")]
            }
        }
    }
}

/// Names are the configuration's; nothing of them may end a comment or a string.
private func plain(_ text: String) -> String {
    let bytes = text.utf8.prefix(64).map { byte in
        (0x20..<0x7f).contains(byte) && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
            ? byte : UInt8(ascii: "?")
    }
    return String(decoding: bytes, as: UTF8.self)
}

extension IPAddress {
    /// 0.0.0.0 or ::, which a socket binds to for all addresses.
    fileprivate var isUnspecified: Bool {
        switch self {
        case .v4(let address): address.rawValue == 0
        case .v6(let address): address.high == 0 && address.low == 0
        }
    }
}
