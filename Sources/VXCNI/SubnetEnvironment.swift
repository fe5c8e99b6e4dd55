package import VXWire

/// What the agent (or flannel) says of this node's pods in `subnet.env`.
package struct SubnetEnvironment: Equatable, Sendable {
    /// FLANNEL_NETWORK and FLANNEL_IPV6_NETWORK: the overlay.
    package var networks: [IPPrefix]
    /// FLANNEL_SUBNET and FLANNEL_IPV6_SUBNET: this node's pods, with the node's own address among them.
    package var subnets: [IPPrefix]
    /// FLANNEL_MTU in bytes.
    package var mtu: Int
    /// FLANNEL_IPMASQ: the agent masquerades.
    package var isMasqueraded: Bool

    /// Reads the file's text.
    /// - Parameter file: its name, for errors.
    package init(_ text: String, file: String) throws(CNIError) {
        var values: [String: String] = [:]
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { continue }
            values[String(parts[0])] = String(parts[1])
        }
        func unusable(_ what: String) -> CNIError {
            CNIError(.undecodable, "\(file): \(what)", "vxseal agent writes this file anew when it starts")
        }
        networks = []
        subnets = []
        for (network, subnet, isIPv6) in [
            ("FLANNEL_NETWORK", "FLANNEL_SUBNET", false), ("FLANNEL_IPV6_NETWORK", "FLANNEL_IPV6_SUBNET", true),
        ] {
            guard let network = values[network].map({ (name: network, text: $0) }) else {
                if values[subnet] != nil { throw unusable("\(subnet) without \(network)") }
                continue
            }
            // A list where the overlay has several networks; the subnet is one.
            for text in network.text.split(separator: ",", omittingEmptySubsequences: false) {
                guard let prefix = IPPrefix(String(text)), prefix.address.isIPv6 == isIPv6 else {
                    throw unusable("\(network.name)=\(network.text) is no list of networks")
                }
                networks.append(prefix)
            }
            guard let text = values[subnet], let prefix = IPPrefix(text), prefix.address.isIPv6 == isIPv6 else {
                throw unusable("\(subnet)=\(values[subnet] ?? "") is no subnet")
            }
            subnets.append(prefix)
        }
        if networks.isEmpty { throw unusable("neither FLANNEL_NETWORK nor FLANNEL_IPV6_NETWORK") }
        guard let mtu = values["FLANNEL_MTU"].flatMap({ Int($0) }), (68...65_535).contains(mtu) else {
            throw unusable("FLANNEL_MTU=\(values["FLANNEL_MTU"] ?? "") is no MTU")
        }
        self.mtu = mtu
        guard let isMasqueraded = values["FLANNEL_IPMASQ"].flatMap({ Bool($0) }) else {
            throw unusable("FLANNEL_IPMASQ=\(values["FLANNEL_IPMASQ"] ?? "") is neither true nor false")
        }
        self.isMasqueraded = isMasqueraded
    }
}
