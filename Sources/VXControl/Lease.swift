public import VXWire

/// What a node publishes of its VXLAN device for one family: flannel's `BackendData` and `BackendV6Data`.
public struct BackendData: Sendable, Hashable {
    /// The network's identifier, as it stands there: not checked.
    public var vni: Int
    /// The device's MAC address.
    public var mac: MACAddress

    /// From its parts.
    public init(vni: Int, mac: MACAddress) {
        self.vni = vni
        self.mac = mac
    }

    /// The bytes that flannel writes. Nodes of flannel that restart find their own MAC address in it again only where no
    /// other text is in it, so nothing may be added.
    public var json: String { "{\"VNI\":\(vni),\"VtepMAC\":\"\(mac)\"}" }
}

/// A node's share of the overlay: its pod subnets, and where they are reached. What flannel calls a lease.
public struct Lease: Sendable, Hashable {
    /// What the directory calls it, unique there and the same while it lasts: the key below `subnets/` in etcd, the node's
    /// name in Kubernetes.
    public var id: String
    /// The node's name where the directory has one. A sealed node's own is in its record.
    public var node: String?
    /// The pod subnet of IPv4, host bits zero.
    public var subnet: IPPrefix?
    /// The pod subnet of IPv6, host bits zero.
    public var subnetV6: IPPrefix?
    /// The underlay address of IPv4; nil where there is none (`0.0.0.0`).
    public var publicIP: IPv4Address?
    /// The underlay address of IPv6.
    public var publicIPv6: IPv6Address?
    /// flannel's backend: `vxlan` for all that can be peers.
    public var backendType: String
    /// The device for IPv4 packets.
    public var backend: BackendData?
    /// The device for IPv6 packets.
    public var backendV6: BackendData?
    /// vxseal's own record, as it was found beside the lease; nil for a node that publishes none. Nothing in it was checked.
    public var record: String?
    /// A subnet that somebody keeps free: there is no node behind it.
    public var isReservation: Bool
    /// More subnets and single addresses of the node, of either family. A longer one may lie within another node's: Calico gives
    /// a node several blocks, and lends addresses of one node's block to another.
    public var extraSubnets: [IPPrefix]
    /// What the node's device for IPv4 packets is called in its own network: the next hop of routes to its subnets. Nil where it
    /// is the first address of `subnet`, as flannel's is.
    public var vtep: IPv4Address?
    /// The same of IPv6.
    public var vtepV6: IPv6Address?
    /// The node is on this node's own link, and packets for its pods go there without VXLAN.
    public var isDirect: Bool

    /// From its parts.
    public init(
        id: String,
        node: String? = nil,
        subnet: IPPrefix?,
        subnetV6: IPPrefix? = nil,
        publicIP: IPv4Address?,
        publicIPv6: IPv6Address? = nil,
        backendType: String = "vxlan",
        backend: BackendData? = nil,
        backendV6: BackendData? = nil,
        record: String? = nil,
        isReservation: Bool = false,
        extraSubnets: [IPPrefix] = [],
        vtep: IPv4Address? = nil,
        vtepV6: IPv6Address? = nil,
        isDirect: Bool = false
    ) {
        self.id = id
        self.node = node
        self.subnet = subnet
        self.subnetV6 = subnetV6
        self.publicIP = publicIP
        self.publicIPv6 = publicIPv6
        self.backendType = backendType
        self.backend = backend
        self.backendV6 = backendV6
        self.record = record
        self.isReservation = isReservation
        self.extraSubnets = extraSubnets
        self.vtep = vtep
        self.vtepV6 = vtepV6
        self.isDirect = isDirect
    }

    /// Both subnets, IPv4 first.
    public var subnets: [IPPrefix] { [subnet, subnetV6].compactMap(\.self) }
}
