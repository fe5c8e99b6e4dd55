import CNetlink
import Glibc
public import VXWire

/// Links and addresses through rtnetlink, by libnl-route. Used at start, never on the packet path.
public struct NetworkConfigurator: ~Copyable {
    let socket: OpaquePointer

    /// Opens a netlink socket.
    public init() throws(NetlinkError) {
        guard let socket = nl_socket_alloc() else { throw NetlinkError("nl_socket_alloc", code: -NLE_NOMEM, "netlink") }
        let code = nl_connect(socket, NETLINK_ROUTE)
        if code < 0 {
            nl_socket_free(socket)
            throw NetlinkError("nl_connect", code: code, "netlink")
        }
        self.socket = socket
    }

    deinit { nl_socket_free(socket) }

    /// The device of this name, if there is one.
    public func link(_ device: String) -> Link? {
        guard let link = try? find(device) else { return nil }
        defer { rtnl_link_put(link) }
        return Link(link)
    }

    /// Changes a device.
    /// - Parameters:
    ///   - device: its name.
    ///   - mtu: the new MTU in bytes, nil to leave it.
    ///   - address: the new MAC address, nil to leave it.
    ///   - isUp: the new state, nil to leave it.
    ///   - bridge: the bridge it joins, nil to leave it.
    ///   - alias: a text that says what it is for, nil to leave it.
    public func change(
        _ device: String,
        mtu: Int? = nil,
        address: MACAddress? = nil,
        isUp: Bool? = nil,
        bridge: String? = nil,
        alias: String? = nil
    ) throws(NetlinkError) {
        let link = try find(device)
        defer { rtnl_link_put(link) }
        let change = rtnl_link_alloc()
        defer { rtnl_link_put(change) }
        if let mtu { rtnl_link_set_mtu(change, UInt32(mtu)) }
        if let address {
            let value = Self.linkLayer(address)
            rtnl_link_set_addr(change, value)
            nl_addr_put(value)
        }
        if let isUp {
            if isUp {
                rtnl_link_set_flags(change, UInt32(IFF_UP))
            } else {
                rtnl_link_unset_flags(change, UInt32(IFF_UP))
            }
        }
        if let alias { rtnl_link_set_ifalias(change, alias) }
        if let bridge {
            let master = try find(bridge)
            rtnl_link_set_master(change, rtnl_link_get_ifindex(master))
            rtnl_link_put(master)
        }
        let code = rtnl_link_change(socket, link, change, 0)
        if code < 0 { throw NetlinkError("rtnl_link_change", code: code, "device \(device)") }
    }

    /// Lets a device that is not up yet hand its packets over without a queueing discipline before. A TAP device never holds the
    /// kernel up, so that one has nothing to do, and for a multi-queue device the kernel would make one for each of 256 possible
    /// queues: 6 MiB a device. Where the kernel refuses, it makes them.
    public func omitQueueing(of device: String) throws(NetlinkError) {
        let link = try find(device)
        defer { rtnl_link_put(link) }
        guard let discipline = rtnl_qdisc_alloc() else { return }
        defer { rtnl_qdisc_put(discipline) }
        rtnl_tc_set_ifindex(discipline, rtnl_link_get_ifindex(link))
        // TC_H_ROOT of linux/pkt_sched.h.
        rtnl_tc_set_parent(discipline, .max)
        _ = rtnl_tc_set_kind(discipline, "noqueue")
        _ = rtnl_qdisc_add(socket, discipline, NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// Gives a device an address; one that is there already is no error. An IPv6 address is usable at once: an overlay
    /// that is still connecting would lose its duplicate address detection anyway.
    public func add(_ prefix: IPPrefix, to device: String) throws(NetlinkError) {
        try withAddress(prefix, of: device) { entry throws(NetlinkError) in
            if prefix.address.isIPv6 { rtnl_addr_set_flags(entry, UInt32(IFA_F_NODAD)) }
            let code = rtnl_addr_add(socket, entry, 0)
            if code < 0, code != -NLE_EXIST {
                throw NetlinkError("rtnl_addr_add", code: code, "address \(prefix) on device \(device)")
            }
        }
    }

    /// Takes an address from a device; one that is not there is no error.
    public func remove(_ prefix: IPPrefix, from device: String) throws(NetlinkError) {
        try withAddress(prefix, of: device) { entry throws(NetlinkError) in
            let code = rtnl_addr_delete(socket, entry, 0)
            if code < 0, code != -NLE_NOADDR, code != -NLE_OBJ_NOTFOUND {
                throw NetlinkError("rtnl_addr_delete", code: code, "address \(prefix) on device \(device)")
            }
        }
    }

    private func withAddress(
        _ prefix: IPPrefix,
        of device: String,
        _ body: (OpaquePointer?) throws(NetlinkError) -> Void
    ) throws(NetlinkError) {
        let link = try find(device)
        defer { rtnl_link_put(link) }
        let entry = rtnl_addr_alloc()
        defer { rtnl_addr_put(entry) }
        let local = Self.address(prefix.address)
        nl_addr_set_prefixlen(local, CInt(prefix.length))
        rtnl_addr_set_ifindex(entry, rtnl_link_get_ifindex(link))
        rtnl_addr_set_local(entry, local)
        nl_addr_put(local)
        try body(entry)
    }

    func find(_ device: String) throws(NetlinkError) -> OpaquePointer {
        var link: OpaquePointer?
        guard rtnl_link_get_kernel(socket, 0, device, &link) == 0, let link else {
            throw NetlinkError(missing: device)
        }
        return link
    }

    static func address(_ address: IPAddress) -> OpaquePointer? {
        switch address {
        case .v4(let address):
            var bytes = address.rawValue.bigEndian
            return nl_addr_build(AF_INET, &bytes, 4)
        case .v6(let address):
            var halves = (address.high.bigEndian, address.low.bigEndian)
            return nl_addr_build(AF_INET6, &halves, 16)
        }
    }
}
