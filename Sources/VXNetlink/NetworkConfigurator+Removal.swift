import CNetlink
import Glibc

extension NetworkConfigurator {
    /// Removes many devices at once, by a device group of their own (IFLA_GROUP): one by one the kernel waits some 20 ms after
    /// each. Those that are gone already are left out.
    public func remove(all devices: [String]) throws(NetlinkError) {
        let group = UInt32.random(in: 1 << 16..<1 << 31)
        var isEmpty = true
        for device in devices {
            guard let link = try? find(device) else { continue }
            defer { rtnl_link_put(link) }
            let change = rtnl_link_alloc()
            defer { rtnl_link_put(change) }
            rtnl_link_set_group(change, group)
            if rtnl_link_change(socket, link, change, 0) == 0 { isEmpty = false }
        }
        guard !isEmpty else { return }
        guard let message = nlmsg_alloc_simple(CInt(RTM_DELLINK), 0) else {
            throw NetlinkError("nlmsg_alloc_simple", code: -NLE_NOMEM, "removing devices")
        }
        defer { nlmsg_free(message) }
        var header = ifinfomsg()
        var code = nlmsg_append(message, &header, MemoryLayout<ifinfomsg>.size, CInt(NLMSG_ALIGNTO))
        if code == 0 { code = nla_put_u32(message, CInt(IFLA_GROUP), group) }
        if code == 0 { code = nl_send_auto(socket, message) }
        if code >= 0 { code = nl_wait_for_ack(socket) }
        if code < 0 { throw NetlinkError("RTM_DELLINK", code: code, "removing \(devices.count) devices") }
    }
}
