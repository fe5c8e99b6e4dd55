import CNetlink
import Glibc
public import VXWire

// Routes of the main table, and permanent neighbours.
extension NetworkConfigurator {
    /// RTNH_F_ONLINK of linux/rtnetlink.h.
    private static var onLink: UInt32 { 4 }

    /// Sets a route, in place of any to the same destination with the same metric.
    public func replace(_ route: Route) throws(NetlinkError) {
        try with(route) { entry throws(NetlinkError) in
            let code = rtnl_route_add(socket, entry, NLM_F_CREATE | NLM_F_REPLACE)
            if code < 0 { throw NetlinkError("rtnl_route_add", code: code, "route to \(route.destination)") }
        }
    }

    /// Removes a route; one that is not there is no error.
    public func remove(_ route: Route) throws(NetlinkError) {
        try with(route) { entry throws(NetlinkError) in
            let code = rtnl_route_delete(socket, entry, 0)
            if code < 0, code != -NLE_OBJ_NOTFOUND, code != -NLE_NODEV {
                throw NetlinkError("rtnl_route_delete", code: code, "route to \(route.destination)")
            }
        }
    }

    /// Packets to a network for which there is no closer route are refused (ip-route(8), `unreachable`), instead of following
    /// the default route. Of several such routes this one counts last.
    public func refuse(_ network: IPPrefix) throws(NetlinkError) {
        guard let entry = rtnl_route_alloc(), let destination = Self.address(network.address) else {
            throw NetlinkError("rtnl_route_alloc", code: -NLE_NOMEM, "unreachable \(network)")
        }
        defer { rtnl_route_put(entry) }
        nl_addr_set_prefixlen(destination, CInt(network.length))
        rtnl_route_set_family(entry, UInt8(network.address.isIPv6 ? AF_INET6 : AF_INET))
        rtnl_route_set_table(entry, UInt32(RT_TABLE_MAIN.rawValue))
        rtnl_route_set_protocol(entry, Route.Origin.vxseal.rawValue)
        _ = rtnl_route_set_type(entry, UInt8(RTN_UNREACHABLE))
        rtnl_route_set_priority(entry, Self.lastMetric)
        rtnl_route_set_dst(entry, destination)
        nl_addr_put(destination)
        let code = rtnl_route_add(socket, entry, NLM_F_CREATE | NLM_F_REPLACE)
        if code < 0 { throw NetlinkError("rtnl_route_add", code: code, "unreachable \(network)") }
    }

    /// The metric that nothing else uses: it comes after all others.
    private static var lastMetric: UInt32 { .max - 1 }

    private func with(
        _ route: Route,
        _ body: (OpaquePointer) throws(NetlinkError) -> Void
    ) throws(NetlinkError) {
        guard let entry = rtnl_route_alloc(), let hop = rtnl_route_nh_alloc(),
            let destination = Self.address(route.destination.address), let gateway = Self.address(route.gateway)
        else { throw NetlinkError("rtnl_route_alloc", code: -NLE_NOMEM, "route to \(route.destination)") }
        defer { rtnl_route_put(entry) }
        nl_addr_set_prefixlen(destination, CInt(route.destination.length))
        rtnl_route_set_family(entry, UInt8(route.destination.address.isIPv6 ? AF_INET6 : AF_INET))
        rtnl_route_set_table(entry, UInt32(RT_TABLE_MAIN.rawValue))
        rtnl_route_set_scope(entry, UInt8(RT_SCOPE_UNIVERSE.rawValue))
        rtnl_route_set_protocol(entry, route.origin.rawValue)
        rtnl_route_set_dst(entry, destination)
        nl_addr_put(destination)
        rtnl_route_nh_set_ifindex(hop, CInt(route.device))
        rtnl_route_nh_set_gateway(hop, gateway)
        nl_addr_put(gateway)
        if route.isOnLink { rtnl_route_nh_set_flags(hop, Self.onLink) }
        // The route owns its next hop from here on.
        rtnl_route_add_nexthop(entry, hop)
        try body(entry)
    }

    /// All unicast routes of the main table with one next hop that has a gateway.
    public func routes() throws(NetlinkError) -> [Route] {
        var routes: [Route] = []
        try eachRoute { entry in
            guard let destination = rtnl_route_get_dst(entry), rtnl_route_get_nnexthops(entry) == 1,
                let hop = rtnl_route_nexthop_n(entry, 0), let gateway = rtnl_route_nh_get_gateway(hop),
                let address = IPAddress(gateway), let base = IPAddress(destination),
                let prefix = IPPrefix(address: base, length: Int(nl_addr_get_prefixlen(destination)))
            else { return }
            routes.append(
                Route(
                    destination: prefix,
                    gateway: address,
                    device: Int(rtnl_route_nh_get_ifindex(hop)),
                    isOnLink: rtnl_route_nh_get_flags(hop) & Self.onLink != 0,
                    origin: Route.Origin(rawValue: rtnl_route_get_protocol(entry))
                )
            )
        }
        return routes
    }

    /// The device of the default route of a family with the lowest metric.
    /// - Returns: its interface index; nil without one.
    public func defaultDevice(isIPv6: Bool) throws(NetlinkError) -> Int? {
        var best: (priority: UInt32, device: Int)?
        try eachRoute { entry in
            guard rtnl_route_get_family(entry) == UInt8(isIPv6 ? AF_INET6 : AF_INET),
                rtnl_route_get_dst(entry).map({ nl_addr_get_prefixlen($0) == 0 }) ?? true,
                let hop = rtnl_route_nexthop_n(entry, 0)
            else { return }
            let priority = rtnl_route_get_priority(entry)
            if best.map({ priority < $0.priority }) ?? true {
                best = (priority, Int(rtnl_route_nh_get_ifindex(hop)))
            }
        }
        return best?.device
    }

    /// The networks that `refuse` was asked for.
    public func refusedNetworks() throws(NetlinkError) -> [IPPrefix] {
        var networks: [IPPrefix] = []
        try eachRoute(type: UInt8(RTN_UNREACHABLE)) { entry in
            guard rtnl_route_get_priority(entry) == Self.lastMetric, let destination = rtnl_route_get_dst(entry),
                let address = IPAddress(destination),
                let prefix = IPPrefix(address: address, length: Int(nl_addr_get_prefixlen(destination)))
            else { return }
            networks.append(prefix)
        }
        return networks
    }

    func eachRoute(
        type: UInt8 = UInt8(RTN_UNICAST),
        _ body: (OpaquePointer) -> Void
    ) throws(NetlinkError) {
        var cache: OpaquePointer?
        let code = rtnl_route_alloc_cache(socket, AF_UNSPEC, 0, &cache)
        guard code >= 0, let cache else { throw NetlinkError("rtnl_route_alloc_cache", code: code, "routes") }
        defer { nl_cache_free(cache) }
        var next = nl_cache_get_first(cache)
        while let entry = next {
            next = nl_cache_get_next(entry)
            guard rtnl_route_get_table(entry) == UInt32(RT_TABLE_MAIN.rawValue),
                rtnl_route_get_type(entry) == type
            else { continue }
            body(entry)
        }
    }

    // MARK: - Neighbours

    /// Sets a permanent neighbour, in place of what is known of the address.
    public func replace(_ neighbor: PermanentNeighbor, on device: Int) throws(NetlinkError) {
        try with(neighbor, device) { entry throws(NetlinkError) in
            let code = rtnl_neigh_add(socket, entry, NLM_F_CREATE | NLM_F_REPLACE)
            if code < 0 { throw NetlinkError("rtnl_neigh_add", code: code, "neighbour \(neighbor.address)") }
        }
    }

    /// Removes a neighbour; one that is not there is no error.
    public func remove(_ neighbor: PermanentNeighbor, on device: Int) throws(NetlinkError) {
        try with(neighbor, device) { entry throws(NetlinkError) in
            let code = rtnl_neigh_delete(socket, entry, 0)
            if code < 0, code != -NLE_OBJ_NOTFOUND {
                throw NetlinkError("rtnl_neigh_delete", code: code, "neighbour \(neighbor.address)")
            }
        }
    }

    /// The permanent neighbours on a device.
    public func permanentNeighbors(on device: Int) throws(NetlinkError) -> [PermanentNeighbor] {
        var cache: OpaquePointer?
        let code = rtnl_neigh_alloc_cache(socket, &cache)
        guard code >= 0, let cache else { throw NetlinkError("rtnl_neigh_alloc_cache", code: code, "neighbours") }
        defer { nl_cache_free(cache) }
        var neighbors: [PermanentNeighbor] = []
        var next = nl_cache_get_first(cache)
        while let entry = next {
            next = nl_cache_get_next(entry)
            guard Int(rtnl_neigh_get_ifindex(entry)) == device, rtnl_neigh_get_state(entry) & Self.permanent != 0,
                let address = rtnl_neigh_get_dst(entry).flatMap({ IPAddress($0) }),
                let mac = rtnl_neigh_get_lladdr(entry).flatMap({ MACAddress(linkLayer: $0) })
            else { continue }
            neighbors.append(PermanentNeighbor(address: address, mac: mac))
        }
        return neighbors
    }

    private func with(
        _ neighbor: PermanentNeighbor,
        _ device: Int,
        _ body: (OpaquePointer) throws(NetlinkError) -> Void
    ) throws(NetlinkError) {
        guard let entry = rtnl_neigh_alloc(), let address = Self.address(neighbor.address),
            let mac = Self.linkLayer(neighbor.mac)
        else { throw NetlinkError("rtnl_neigh_alloc", code: -NLE_NOMEM, "neighbour \(neighbor.address)") }
        defer { rtnl_neigh_put(entry) }
        rtnl_neigh_set_ifindex(entry, CInt(device))
        rtnl_neigh_set_dst(entry, address)
        rtnl_neigh_set_lladdr(entry, mac)
        nl_addr_put(address)
        nl_addr_put(mac)
        rtnl_neigh_set_state(entry, Self.permanent)
        try body(entry)
    }

    /// NUD_PERMANENT of linux/neighbour.h.
    private static var permanent: CInt { 0x80 }
}

extension IPAddress {
    /// From libnl's form; nil for another family's.
    init?(_ address: OpaquePointer) {
        guard let raw = nl_addr_get_binary_addr(address) else { return nil }
        let bytes = UnsafeRawBufferPointer(start: raw, count: Int(nl_addr_get_len(address)))
        func number(_ range: Range<Int>) -> UInt64 { bytes[range].reduce(0) { $0 << 8 | UInt64($1) } }
        switch (nl_addr_get_family(address), bytes.count) {
        case (AF_INET, 4): self = .v4(IPv4Address(UInt32(number(0..<4))))
        case (AF_INET6, 16): self = .v6(IPv6Address(high: number(0..<8), low: number(8..<16)))
        // The default route's destination has no bytes.
        case (AF_INET, 0): self = .v4(IPv4Address(0))
        case (AF_INET6, 0): self = .v6(IPv6Address(high: 0, low: 0))
        default: return nil
        }
    }
}
