import CNetlink
import Glibc
public import VXWire

// Bridges, and devices as ports of them.
extension NetworkConfigurator {
    /// Makes a bridge and sets it up.
    /// - Parameters:
    ///   - name: its name, at most 15 bytes.
    ///   - address: its MAC address. Without one of its own it would follow its ports', and neighbours would lose it.
    ///   - alias: what says later who made it.
    public func makeBridge(_ name: String, address: MACAddress, alias: String) throws(NetlinkError) {
        let code = rtnl_link_bridge_add(socket, name)
        if code < 0 { throw NetlinkError("rtnl_link_bridge_add", code: code, "bridge \(name)") }
        try change(name, address: address, isUp: true, alias: alias)
    }

    /// Removes a device.
    public func remove(_ device: String) throws(NetlinkError) {
        let link = try find(device)
        defer { rtnl_link_put(link) }
        let code = rtnl_link_delete(socket, link)
        if code < 0 { throw NetlinkError("rtnl_link_delete", code: code, "device \(device)") }
    }

    /// Makes a device a bridge's port towards a tunnel, with every flag set that matters to one, whatever it was:
    /// - learning on: nobody else tells the bridge which stations are behind the tunnel, and what it does not know it
    ///   floods to all ports;
    /// - flooding of unknown unicast, multicast and broadcast on: the tunnel's own database decides where these go;
    /// - permanent multicast router port: a snooping bridge keeps groups from ports that it has heard no member or router
    ///   on, but those behind a tunnel may listen to a querier on the other side of it;
    /// - hairpin off: nothing that came out of the tunnel goes back into it;
    /// - isolation and port locks off: stations behind the tunnel are as good as local ones.
    public func join(_ device: String, asTunnelPortOf bridge: String) throws(NetlinkError) {
        let link = try find(device)
        let index = rtnl_link_get_ifindex(link)
        rtnl_link_put(link)
        try change(device, bridge: bridge)
        guard let message = nlmsg_alloc_simple(CInt(RTM_SETLINK), 0) else {
            throw NetlinkError("nlmsg_alloc", code: -NLE_NOMEM, "device \(device)")
        }
        var header = ifinfomsg()
        header.ifi_family = UInt8(AF_BRIDGE)
        header.ifi_index = index
        nlmsg_append(message, &header, MemoryLayout<ifinfomsg>.size, CInt(NLMSG_ALIGNTO))
        let nest = nla_nest_start(message, CInt(IFLA_PROTINFO) | CInt(NLA_F_NESTED))
        let flags: [(CInt, UInt8)] = [
            (CInt(IFLA_BRPORT_LEARNING), 1), (CInt(IFLA_BRPORT_UNICAST_FLOOD), 1), (CInt(IFLA_BRPORT_MCAST_FLOOD), 1),
            (CInt(IFLA_BRPORT_BCAST_FLOOD), 1), (CInt(IFLA_BRPORT_MODE), 0), (CInt(IFLA_BRPORT_ISOLATED), 0),
            (CInt(IFLA_BRPORT_NEIGH_SUPPRESS), 0), (CInt(IFLA_BRPORT_MULTICAST_ROUTER), Self.permanentRouter),
        ]
        for (flag, value) in flags { nla_put_u8(message, flag, value) }
        nla_nest_end(message, nest)
        // This frees the message.
        let code = nl_send_sync(socket, message)
        if code < 0 { throw NetlinkError("RTM_SETLINK", code: code, "port \(device) of bridge \(bridge)") }
    }

    /// MDB_RTR_TYPE_PERM (linux/if_bridge.h): multicast goes there whatever was heard.
    private static var permanentRouter: UInt8 { 2 }

    /// Takes a device out of its bridge.
    public func leaveBridge(_ device: String) throws(NetlinkError) {
        let link = try find(device)
        defer { rtnl_link_put(link) }
        let change = rtnl_link_alloc()
        defer { rtnl_link_put(change) }
        rtnl_link_set_master(change, 0)
        let code = rtnl_link_change(socket, link, change, 0)
        if code < 0 { throw NetlinkError("rtnl_link_change", code: code, "taking \(device) out of its bridge") }
    }

    /// A device gets no link-local address of its own accord: a port of a bridge is no station, and would speak as one.
    /// Where IPv6 is switched off there is none to prevent.
    public func preventLinkLocalAddress(_ device: String) throws(NetlinkError) {
        let link = try find(device)
        defer { rtnl_link_put(link) }
        let change = rtnl_link_alloc()
        defer { rtnl_link_put(change) }
        rtnl_link_inet6_set_addr_gen_mode(change, UInt8(IN6_ADDR_GEN_MODE_NONE.rawValue))
        _ = rtnl_link_change(socket, link, change, 0)
    }

    /// All links of this namespace.
    public func links() throws(NetlinkError) -> [Link] {
        var cache: OpaquePointer?
        let code = rtnl_link_alloc_cache(socket, AF_UNSPEC, &cache)
        guard code >= 0, let cache else { throw NetlinkError("rtnl_link_alloc_cache", code: code, "links") }
        defer { nl_cache_free(cache) }
        var links: [Link] = []
        var next = nl_cache_get_first(cache)
        while let object = next {
            links.append(Link(object))
            next = nl_cache_get_next(object)
        }
        return links
    }
}
