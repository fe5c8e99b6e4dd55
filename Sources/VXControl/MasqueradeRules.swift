public import VXWire

/// The nftables rules of a node: what leaves the overlay gets the node's address, and packets of the overlay are forwarded.
/// They are in a table of their own, and say what flannel's say (pkg/trafficmngr).
public struct MasqueradeRules: Sendable, Equatable {
    /// The table, `inet`.
    public static let table = "vxseal-overlay"

    /// The overlay, by family.
    public var networks: [IPPrefix]
    /// This node's subnets.
    public var subnets: [IPPrefix]
    /// Masquerade, beside forwarding.
    public var masquerades: Bool

    /// From its parts.
    public init(networks: [IPPrefix], subnets: [IPPrefix], masquerades: Bool) {
        self.networks = networks
        self.subnets = subnets
        self.masquerades = masquerades
    }

    /// Removes the table, if there is one.
    public static let removal = "table inet \(table)\ndelete table inet \(table)\n"

    /// Replaces the table in one step, for `nft -f`.
    public var script: String {
        var lines = ["table inet \(Self.table)", "delete table inet \(Self.table)", "table inet \(Self.table) {"]
        lines += ["  chain forward {", "    type filter hook forward priority filter; policy accept;"]
        for network in networks {
            let family = network.family
            lines += ["    \(family) saddr \(network) accept", "    \(family) daddr \(network) accept"]
        }
        lines.append("  }")
        if masquerades {
            lines += ["  chain postrouting {", "    type nat hook postrouting priority srcnat; policy accept;"]
            // What kube-proxy has marked is masqueraded by its own rules.
            lines.append("    meta mark and 0x4000 == 0x4000 return")
            for network in networks {
                let family = network.family
                let multicast = network.address.isIPv6 ? "ff00::/8" : "224.0.0.0/4"
                for subnet in subnets where subnet.address.isIPv6 == network.address.isIPv6 {
                    lines += [
                        "    \(family) saddr \(subnet) \(family) daddr \(network) return",
                        "    \(family) saddr \(network) \(family) daddr \(subnet) return",
                        "    \(family) saddr != \(network) \(family) daddr \(subnet) return",
                    ]
                }
                lines += [
                    "    \(family) saddr \(network) \(family) daddr != \(multicast) \(family) daddr != \(network) masquerade fully-random",
                    "    \(family) saddr != \(network) \(family) daddr \(network) masquerade fully-random",
                ]
            }
            lines.append("  }")
        }
        lines.append("}")
        return lines.joined(separator: "\n") + "\n"
    }
}

extension IPPrefix {
    fileprivate var family: String { address.isIPv6 ? "ip6" : "ip" }
}
