import VXConfig
import VXNetlink
import VXWire

/// Rules of nftables, which iptables-nft writes as well, or of iptables-legacy, that drop what the node sends or is sent.
enum FirewallChecks {
    static func run(_ node: Examination) -> [Finding] {
        var unread: [Finding] = []
        func miss(_ id: String, _ what: String, package: String) {
            unread.append(
                Finding(
                    .info,
                    id,
                    .firewall,
                    "the rules of \(what) cannot be read",
                    why: "whether one drops the node's datagrams was not looked at",
                    mend: "run doctor as root, with \(package) installed: apt-get install \(package)"
                )
            )
        }
        let nftables = ruleset(node.host)
        if nftables == nil { miss("firewall.unread", "nftables", package: "nftables") }
        var rules = nftables ?? Ruleset()
        for isIPv6 in [false, true] {
            let name = isIPv6 ? "ip6" : "ip"
            // Tables that the kernel has; iptables-legacy would make them.
            guard node.host.read("/proc/net/\(name)_tables_names")?.isEmpty == false else { continue }
            if let text = node.host.run("\(name)tables-legacy-save", []) {
                rules.add(LegacyRules(text, isIPv6: isIPv6))
            } else {
                miss("firewall.legacyUnread", "\(name)tables-legacy", package: "iptables")
            }
        }
        return unread + drops(PacketFilter(ruleset: rules), node)
    }

    private static func drops(_ filter: PacketFilter, _ node: Examination) -> [Finding] {
        var told: [(drop: PacketFilter.Drop, port: UInt16)] = []
        return node.peers.flatMap { peer in
            outer(peer, node).compactMap { outer -> Finding? in
                guard let drop = filter.drop(of: outer.packet), !told.contains(where: { $0 == (drop, outer.port) })
                else { return nil }
                told.append((drop, outer.port))
                return outer.finding(drop)
            }
        } + inner(filter, node)
    }

    /// The rules, where nft is there and this user may see them.
    static func ruleset(_ host: Host) -> Ruleset? {
        host.run("nft", ["-j", "list", "ruleset"]).flatMap { Ruleset(json: $0) }
    }

    /// A datagram to or from a peer.
    private struct Outer {
        let packet: PacketFilter.Packet
        let peer: String
        let isIncoming: Bool
        let port: UInt16

        func finding(_ drop: PacketFilter.Drop) -> Finding {
            let what = isIncoming ? "drops UDP port \(port), which \(peer) sends to" : "drops what is sent to \(peer)"
            return Finding(
                .error,
                !isIncoming ? "firewall.output" : drop.handle == nil ? "firewall.policy" : "firewall.port",
                .firewall,
                drop.handle != nil
                    ? "a rule \(what): \(drop.place)"
                    : "the chain \(drop.place) has no rule that accepts, and so \(what)",
                why: isIncoming
                    ? "its datagrams do not come in; `vxseal firewall` opens nothing that another table closes"
                    : "no datagram of this node leaves for it",
                mend: drop.acceptance(nft: "udp dport \(port)", iptables: "-p udp --dport \(port)")
            )
        }
    }

    private static func outer(_ peer: PeerConfiguration, _ node: Examination) -> [Outer] {
        let own = peer.sealed == nil ? node.configuration.plaintextEndpoints : node.configuration.sealedEndpoints
        return own.flatMap { local -> [Outer] in
            let isIPv6 = local.address.isIPv6
            let endpoint = peer.endpoint
            guard endpoint.map({ $0.address.isIPv6 == isIPv6 }) ?? true else { return [] }
            let device = endpoint.flatMap(node.host.route).flatMap(node.host.link)?.name
            var packet = PacketFilter.Packet(hooks: ["prerouting", "input"], isIPv6: isIPv6, transport: "udp")
            packet.destinationPort = Int(local.port)
            packet.source = endpoint?.address
            packet.incoming = device
            let incoming = Outer(packet: packet, peer: peer.name, isIncoming: true, port: local.port)
            guard let endpoint else { return [incoming] }
            packet = PacketFilter.Packet(hooks: ["output", "postrouting"], isIPv6: isIPv6, transport: "udp")
            packet.destinationPort = Int(endpoint.port)
            packet.destination = endpoint.address
            packet.outgoing = device
            return [incoming, Outer(packet: packet, peer: peer.name, isIncoming: false, port: endpoint.port)]
        }
    }

    /// The networks' own traffic. What a machine drops of every device is its own affair, but for a bridge whose ports' frames the
    /// kernel shows to the forward hook as well (br_netfilter).
    private static func inner(_ filter: PacketFilter, _ node: Examination) -> [Finding] {
        let isBridgeFiltered = node.host.number("/proc/sys/net/bridge/bridge-nf-call-iptables") == 1
        let bridges = Set(node.configuration.networks.compactMap(\.bridge))
        return node.ownDevices.sorted().compactMap { device in
            func packet(_ hooks: [String], in incoming: String?, out outgoing: String?) -> PacketFilter.Packet {
                PacketFilter.Packet(hooks: hooks, isIPv6: false, incoming: incoming, outgoing: outgoing)
            }
            let ways: [(packet: (String) -> PacketFilter.Packet, isAlwaysOurs: Bool)] = [
                ({ packet(["prerouting", "input"], in: $0, out: nil) }, false),
                ({ packet(["output", "postrouting"], in: nil, out: $0) }, false),
                ({ packet(["forward"], in: $0, out: nil) }, false), ({ packet(["forward"], in: nil, out: $0) }, false),
                ({ packet(["forward"], in: $0, out: $0) }, isBridgeFiltered && bridges.contains(device)),
            ]
            let drop = ways.lazy.compactMap { way -> PacketFilter.Drop? in
                guard let drop = filter.drop(of: way.packet(device)) else { return nil }
                return way.isAlwaysOurs || filter.drop(of: way.packet("")) != drop ? drop : nil
            }.first
            guard let drop else { return nil }
            return Finding(
                .warning,
                "firewall.device",
                .firewall,
                drop.handle != nil
                    ? "a rule drops packets of the device \(device): \(drop.place)"
                    : "the chain \(drop.place) has no rule that accepts packets between the ports of \(device)",
                why: "stations are not reached, though sessions stand",
                mend: drop.handle.map { drop.removal(of: $0) }
                    ?? drop.acceptance(
                        nft: "iifname \"\(device)\" oifname \"\(device)\"",
                        iptables: "-i \(device) -o \(device)"
                    )
            )
        }
    }
}
