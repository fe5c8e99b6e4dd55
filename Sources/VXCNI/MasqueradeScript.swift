import VXWire

/// The nftables rules that give the node's address to what pods send out of the overlay.
package enum MasqueradeScript {
    /// For `nft -f`: in a table of the plugin's own, one chain a network, made anew in one step each time.
    package static func text(network: String, subnet: SubnetEnvironment) -> String {
        let chain = "inet vxseal-cni net-\(network)"
        var lines = [
            "add table inet vxseal-cni",
            "add chain \(chain) { type nat hook postrouting priority srcnat; policy accept; }",
            "flush chain \(chain)",
            // What kube-proxy has marked is masqueraded by its own rules.
            "add rule \(chain) meta mark and 0x4000 == 0x4000 return",
        ]
        for pods in subnet.subnets {
            let isIPv6 = pods.address.isIPv6
            let family = isIPv6 ? "ip6" : "ip"
            let inside = subnet.networks.filter { $0.address.isIPv6 == isIPv6 }.map { "\($0.network)" }
            let excluded = (inside + ["\(pods.network)", isIPv6 ? "ff00::/8" : "224.0.0.0/4"])
                .map { "\(family) daddr != \($0) " }.joined()
            lines.append("add rule \(chain) \(family) saddr \(pods.network) \(excluded)masquerade fully-random")
        }
        return lines.map { $0 + "\n" }.joined()
    }
}
