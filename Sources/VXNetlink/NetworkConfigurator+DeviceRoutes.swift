import CNetlink
import Glibc
public import VXWire

/// A unicast route of the main table by one device.
public struct DeviceRoute: Sendable, Hashable {
    /// Where packets go to.
    public let destination: IPPrefix
    /// The next hop; nil where the destination itself is on the device's link.
    public let gateway: IPAddress?

    /// From its parts.
    public init(to destination: IPPrefix, via gateway: IPAddress? = nil) {
        self.destination = destination
        self.gateway = gateway
    }
}

extension NetworkConfigurator {
    /// Adds a route.
    /// - Parameters:
    ///   - route: where to.
    ///   - device: the device that packets leave by.
    ///   - replacing: whether it takes the place of a route to the same destination, which is an error otherwise.
    public func add(_ route: DeviceRoute, by device: String, replacing: Bool) throws(NetlinkError) {
        let link = try find(device)
        defer { rtnl_link_put(link) }
        guard let entry = rtnl_route_alloc(), let hop = rtnl_route_nh_alloc(),
            let destination = Self.address(route.destination.address)
        else { throw NetlinkError("rtnl_route_alloc", code: -NLE_NOMEM, "route to \(route.destination)") }
        defer { rtnl_route_put(entry) }
        nl_addr_set_prefixlen(destination, CInt(route.destination.length))
        rtnl_route_set_family(entry, UInt8(route.destination.address.isIPv6 ? AF_INET6 : AF_INET))
        rtnl_route_set_table(entry, UInt32(RT_TABLE_MAIN.rawValue))
        let scope = route.gateway == nil && !route.destination.address.isIPv6 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE
        rtnl_route_set_scope(entry, UInt8(scope.rawValue))
        rtnl_route_set_protocol(entry, Route.Origin.boot.rawValue)
        rtnl_route_set_dst(entry, destination)
        nl_addr_put(destination)
        rtnl_route_nh_set_ifindex(hop, rtnl_link_get_ifindex(link))
        if let gateway = route.gateway.flatMap(Self.address) {
            rtnl_route_nh_set_gateway(hop, gateway)
            nl_addr_put(gateway)
        }
        // The route owns its next hop from here on.
        rtnl_route_add_nexthop(entry, hop)
        let code = rtnl_route_add(socket, entry, NLM_F_CREATE | (replacing ? NLM_F_REPLACE : NLM_F_EXCL))
        if code < 0 {
            throw NetlinkError("rtnl_route_add", code: code, "route to \(route.destination) by \(device)")
        }
    }

    /// The unicast routes of the main table that leave by a device.
    public func routes(by device: String) throws(NetlinkError) -> [DeviceRoute] {
        let link = try find(device)
        defer { rtnl_link_put(link) }
        let index = rtnl_link_get_ifindex(link)
        var routes: [DeviceRoute] = []
        try eachRoute { entry in
            guard let destination = rtnl_route_get_dst(entry), let hop = rtnl_route_nexthop_n(entry, 0),
                rtnl_route_nh_get_ifindex(hop) == index, let address = IPAddress(destination),
                let prefix = IPPrefix(address: address, length: Int(nl_addr_get_prefixlen(destination)))
            else { return }
            routes.append(DeviceRoute(to: prefix, via: rtnl_route_nh_get_gateway(hop).flatMap { IPAddress($0) }))
        }
        return routes
    }

    /// Sets the MAC address of a neighbour for good, in place of what is known of it.
    public func setNeighbor(_ address: IPAddress, at mac: MACAddress, on device: String) throws(NetlinkError) {
        let link = try find(device)
        defer { rtnl_link_put(link) }
        try replace(PermanentNeighbor(address: address, mac: mac), on: Int(rtnl_link_get_ifindex(link)))
    }
}
