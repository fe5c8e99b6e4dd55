public import VXConfig
public import VXWire

/// What a node does with the peers of its overlay: the networks and peers of its packet process, and the kernel's routes. Pure.
public struct OverlayPlan: Sendable {
    /// A route to a node's pods.
    public struct Route: Sendable, Hashable {
        /// The pods.
        public var destination: IPPrefix
        /// The next hop, which is on the device's link whatever its addresses say.
        public var gateway: IPAddress
        /// Through the overlay's device; false for a node of the same subnet of the underlay (DirectRouting).
        public var isOverlay: Bool

        /// From its parts.
        public init(destination: IPPrefix, gateway: IPAddress, isOverlay: Bool) {
            self.destination = destination
            self.gateway = gateway
            self.isOverlay = isOverlay
        }
    }

    /// A permanent neighbour on the overlay's device.
    public struct Neighbor: Sendable, Hashable {
        /// The next hop.
        public var address: IPAddress
        /// Its device.
        public var mac: MACAddress

        /// From its parts.
        public init(address: IPAddress, mac: MACAddress) {
            self.address = address
            self.mac = mac
        }
    }

    /// The overlay's network.
    public private(set) var network: NetworkConfiguration
    /// Its peers, by name.
    public private(set) var peers: [PeerConfiguration] = []
    /// To all nodes' pods.
    public private(set) var routes: Set<Route> = []
    /// All next hops of the overlay.
    public private(set) var neighbors: Set<Neighbor> = []

    /// What a plan is made from, beside the peers.
    public struct Basis: Sendable {
        /// The overlay.
        public var flannel: FlannelNetworkConfiguration
        /// Whom this node speaks with.
        public var seal: SealPolicy
        /// The overlay's device.
        public var device: String
        /// The own lease.
        public var lease: Lease
        /// The underlay's subnets that this node is in, for DirectRouting.
        public var links: [IPPrefix]

        /// From its parts.
        public init(
            flannel: FlannelNetworkConfiguration,
            seal: SealPolicy,
            device: String,
            lease: Lease,
            links: [IPPrefix]
        ) {
            self.flannel = flannel
            self.seal = seal
            self.device = device
            self.lease = lease
            self.links = links
        }

        /// What a sealed full-size frame takes of the underlay's MTU (protocol.md, 1), or a standard one where nothing is sealed.
        public var overhead: Int {
            let isV6 = lease.publicIP == nil
            return (isV6 ? 40 : 20) + (seal == .off ? 8 + 8 + 14 : 8 + 58)
        }
    }

    /// Makes the plan.
    /// - Parameters:
    ///   - basis: what holds for all peers.
    ///   - mtu: the device's MTU in bytes.
    ///   - peers: those of the table.
    public init(_ basis: Basis, mtu: Int, peers: some Collection<OverlayPeer>) {
        network = NetworkConfiguration(
            vni: basis.flannel.backend.vni,
            device: basis.device,
            mode: basis.seal == .off ? .plaintext : basis.seal == .prefer ? .mixed : .sealed,
            addresses: Self.addresses(of: basis.lease),
            mtu: mtu,
            learning: basis.flannel.backend.learning,
            fdbLimit: 16_384
        )
        network.mac = (basis.lease.backend ?? basis.lease.backendV6)?.mac
        for peer in peers.sorted(by: { $0.name < $1.name }) { add(peer, basis) }
    }

    /// The device's: of each family the one that others' routes lead to.
    private static func addresses(of lease: Lease) -> [IPPrefix] {
        [
            lease.vtep.map(IPAddress.v4) ?? lease.subnet?.address,
            lease.vtepV6.map(IPAddress.v6) ?? lease.subnetV6?.address,
        ].compactMap { $0.flatMap { IPPrefix(address: $0, length: $0.bitCount) } }
    }

    private mutating func add(_ peer: OverlayPeer, _ basis: Basis) {
        let hops: [(IPAddress?, IPAddress?, MACAddress?, Bool)] = [
            (peer.publicIP.map(IPAddress.v4), peer.vtep.map(IPAddress.v4) ?? peer.subnet?.address, peer.mac, false),
            (
                peer.publicIPv6.map(IPAddress.v6), peer.vtepV6.map(IPAddress.v6) ?? peer.subnetV6?.address, peer.macV6,
                true
            ),
        ]
        for (address, hop, mac, isIPv6) in hops {
            let subnets = (peer.subnets + peer.extraSubnets).filter { $0.address.isIPv6 == isIPv6 }
            guard !subnets.isEmpty, let hop else { continue }
            // Without encapsulation there is no seal.
            let isOnLink =
                basis.flannel.backend.directRouting
                && basis.links.contains { link in
                    address.map(link.contains) ?? false
                }
            if peer.sealed == nil, peer.isDirect || isOnLink, let address {
                for subnet in subnets { routes.insert(Route(destination: subnet, gateway: address, isOverlay: false)) }
                continue
            }
            guard let mac else { continue }
            for subnet in subnets { routes.insert(Route(destination: subnet, gateway: hop, isOverlay: true)) }
            neighbors.insert(Neighbor(address: hop, mac: mac))
        }
        // Pods speak from their subnets, and processes of the node's own network to pods from its addresses.
        let hosts = peer.addresses + [peer.vtep.map(IPAddress.v4), peer.vtepV6.map(IPAddress.v6)].compactMap(\.self)
        let prefixes =
            peer.subnets + peer.extraSubnets + hosts.compactMap { IPPrefix(address: $0, length: $0.bitCount) }
        if let sealed = peer.sealed {
            let endpoint =
                sealed.endpoints.first { $0.address.isIPv6 == (basis.lease.publicIP == nil) } ?? sealed.endpoints.first
            add(
                PeerConfiguration(
                    name: peer.name,
                    sealed: .init(sealed.publicKey),
                    endpoint: endpoint,
                    networks: [network.vni],
                    allow: .init(stations: Self.unique([peer.mac, peer.macV6]), prefixes: prefixes)
                )
            )
            return
        }
        // Each family's device of a flannel node is a VTEP of its own, unless both have one address: then one reaches both.
        let isOne = peer.mac == peer.macV6
        let port = basis.flannel.backend.port
        let vteps = [
            (peer.mac, peer.publicIP.map(IPAddress.v4), ""), (peer.macV6, peer.publicIPv6.map(IPAddress.v6), "/6"),
        ]
        var isFirst = true
        for case (let mac?, let address?, let suffix) in vteps {
            let macs = isOne && !isFirst ? [] : [mac]
            add(
                PeerConfiguration(
                    name: peer.name + (isFirst ? "" : suffix),
                    sealed: nil,
                    endpoint: Endpoint(address: address, port: port),
                    networks: [network.vni],
                    allow: .init(stations: macs, prefixes: prefixes)
                )
            )
            isFirst = false
        }
    }

    private mutating func add(_ peer: PeerConfiguration) {
        peers.append(peer)
        network.fdb += (peer.allow?.macs ?? []).map { .init(station: $0, behind: peer.name) }
    }

    private static func unique(_ macs: [MACAddress?]) -> [MACAddress] {
        macs.compactMap(\.self).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }
}
