public import VXWire

/// `/run/flannel/subnet.env`, which CNI plugins read: the text alone.
public struct SubnetFile: Sendable, Equatable {
    /// The overlay of IPv4.
    public var network: IPPrefix?
    /// This node's subnet of IPv4.
    public var subnet: IPPrefix?
    /// The overlay of IPv6.
    public var networkV6: IPPrefix?
    /// This node's subnet of IPv6.
    public var subnetV6: IPPrefix?
    /// What pods' devices carry, in bytes.
    public var mtu: Int
    /// This node masquerades what leaves the overlay, so that the CNI plugin must not.
    public var masquerades: Bool

    /// Of a node.
    public init(pool: SubnetPool, lease: Lease, mtu: Int, masquerades: Bool) {
        network = pool.v4?.network
        subnet = lease.subnet
        networkV6 = pool.v6?.network
        subnetV6 = lease.subnetV6
        self.mtu = mtu
        self.masquerades = masquerades
    }

    /// The text, byte for byte as flannel writes it: a subnet is named by its first address after the base, which is the bridge's.
    public var text: String {
        var lines: [String] = []
        if let network, let subnet {
            lines += ["FLANNEL_NETWORK=\(network)", "FLANNEL_SUBNET=\(subnet.firstHost)"]
        }
        if let networkV6, let subnetV6 {
            lines += ["FLANNEL_IPV6_NETWORK=\(networkV6)", "FLANNEL_IPV6_SUBNET=\(subnetV6.firstHost)"]
        }
        lines += ["FLANNEL_MTU=\(mtu)", "FLANNEL_IPMASQ=\(masquerades)"]
        return lines.map { $0 + "\n" }.joined()
    }
}

extension IPPrefix {
    /// The address after the base, with the prefix length.
    fileprivate var firstHost: String {
        switch network.address {
        case .v4(let address): "\(IPv4Address(address.rawValue | 1))/\(length)"
        case .v6(let address): "\(IPv6Address(high: address.high, low: address.low | 1))/\(length)"
        }
    }
}
