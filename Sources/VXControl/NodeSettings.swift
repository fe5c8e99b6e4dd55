public import VXWire

/// What the operator has set for a node in the directory; Kubernetes alone has such settings, as annotations.
public struct NodeSettings: Sendable, Equatable {
    /// `node-public-ip`: the local address that the node is to use.
    public var localIP: IPv4Address?
    /// `node-public-ipv6`.
    public var localIPv6: IPv6Address?
    /// `public-ip-overwrite`: the address that peers are to use, where it is not the node's own.
    public var publicIP: IPv4Address?
    /// `public-ipv6-overwrite`.
    public var publicIPv6: IPv6Address?

    /// From its parts.
    public init(
        localIP: IPv4Address? = nil,
        localIPv6: IPv6Address? = nil,
        publicIP: IPv4Address? = nil,
        publicIPv6: IPv6Address? = nil
    ) {
        self.localIP = localIP
        self.localIPv6 = localIPv6
        self.publicIP = publicIP
        self.publicIPv6 = publicIPv6
    }

    /// The lease with the addresses that peers are to use.
    public func overwriting(_ lease: Lease) -> Lease {
        var lease = lease
        if lease.publicIP != nil, let publicIP { lease.publicIP = publicIP }
        if lease.publicIPv6 != nil, let publicIPv6 { lease.publicIPv6 = publicIPv6 }
        return lease
    }
}
