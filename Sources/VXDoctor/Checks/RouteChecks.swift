import VXConfig
import VXNetlink
import VXWire

/// Addresses that overlap, routes that loop, filters for asymmetric paths.
enum RouteChecks {
    static func run(_ node: Examination) -> [Finding] { bound(node) + overlaps(node) + routes(node) + filters(node) }

    private static func bound(_ node: Examination) -> [Finding] {
        guard let name = node.configuration.bindDevice, node.host.link(name)?.isUp != true else { return [] }
        let isThere = node.host.link(name) != nil
        return [
            Finding(
                .error,
                "routes.bindDevice",
                .routes,
                "bindDevice \(name) \(isThere ? "is down" : "does not exist")",
                why: "the underlay is tied to it",
                mend: isThere ? "ip link set \(name) up" : "correct bindDevice; see: ip link"
            )
        ]
    }

    private static func overlaps(_ node: Examination) -> [Finding] {
        let own = node.configuration.networks.flatMap { network in network.addresses.map { (network, $0) } }
        let underlay = node.host.addresses.compactMap { address -> (Link, IPPrefix)? in
            guard let link = node.host.link(address.index), !node.ownDevices.contains(link.name) else { return nil }
            // Every interface has fe80::/64, and a host's own address overlaps nothing.
            if case .v6(let value) = address.prefix.address, value.isLinkLocal { return nil }
            return address.prefix.length == address.prefix.address.bitCount ? nil : (link, address.prefix)
        }
        return own.flatMap { network, prefix in
            underlay.filter { overlap($0.1, prefix) }.map { link, other in
                Finding(
                    .error,
                    "routes.overlap",
                    .routes,
                    "\(prefix) of VNI \(network.vni) overlaps with \(other) of \(link.name)",
                    why: "packets for one go to the other, and which is a matter of chance",
                    mend: "give the network a prefix of its own: addresses of VNI \(network.vni)"
                )
            }
        }
    }

    static func overlap(_ left: IPPrefix, _ right: IPPrefix) -> Bool {
        left.length <= right.length ? left.contains(right.address) : right.contains(left.address)
    }

    private static func routes(_ node: Examination) -> [Finding] {
        node.peers.compactMap { peer in
            guard let endpoint = peer.endpoint else { return nil }
            guard let index = node.host.route(endpoint), let link = node.host.link(index) else {
                return Finding(
                    .error,
                    "routes.none",
                    .routes,
                    "there is no route to \(endpoint.configured) of \(peer.name)",
                    why: "nothing can be sent there",
                    mend: "ip route add \(endpoint.address) via GATEWAY; see: ip route get \(endpoint.address)"
                )
            }
            let isOwn =
                node.ownDevices.contains(link.name)
                || node.configuration.networks.contains { network in
                    network.bridge.flatMap(node.host.link)?.index == link.index
                }
            guard isOwn else { return nil }
            return Finding(
                .error,
                "routes.loop",
                .routes,
                "the route to \(endpoint.configured) of \(peer.name) leads into the overlay (\(link.name))",
                why: "sealed datagrams would be sealed again, without end",
                mend: "ip route add \(endpoint.address) by the underlay; or bindDevice: with the underlay's interface"
            )
        }
    }

    /// ip-sysctl: of `all` and the interface's own value the greater counts; 1 is strict, 2 loose.
    private static func filters(_ node: Examination) -> [Finding] {
        func filter(_ name: String) -> Int {
            let values = ["all", name].map { node.host.number("/proc/sys/net/ipv4/conf/\($0)/rp_filter") ?? 0 }
            return values.max() ?? 0
        }
        let devices = node.configuration.networks.filter(\.hasDevice).map { $0.bridge ?? $0.device }
        let own = Set(devices).sorted().filter { node.host.link($0) != nil && filter($0) == 1 }.map { name in
            Finding(
                .warning,
                "routes.overlayFilter",
                .routes,
                "\(name) drops packets whose way back leads elsewhere (rp_filter 1)",
                why: "with other routes than one to each station, packets from behind peers vanish without a trace",
                repair: .setting(path: "/proc/sys/net/ipv4/conf/\(name)/rp_filter", value: "2")
            )
        }
        let outer = Set(node.peers.compactMap(\.endpoint).filter { !$0.address.isIPv6 }.compactMap(node.host.route))
        let underlay = outer.compactMap(node.host.link).filter { !node.ownDevices.contains($0.name) }
        guard underlay.count > 1 else { return own }
        return own
            + underlay.map(\.name).sorted().filter { filter($0) == 1 }.map { name in
                Finding(
                    .info,
                    "routes.underlayFilter",
                    .routes,
                    "\(name) drops packets whose way back leads elsewhere (rp_filter 1), and peers are behind several interfaces",
                    why: "a peer that answers by another way than it is sent to is not heard",
                    mend: "sysctl -w net.ipv4.conf.\(name).rp_filter=2"
                )
            }
    }
}
