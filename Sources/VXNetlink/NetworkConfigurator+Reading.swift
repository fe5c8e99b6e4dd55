import CNetlink
import Glibc
public import VXWire

/// An address of a device.
public struct DeviceAddress: Sendable, Equatable {
    /// The device's interface index.
    public let index: Int
    /// The address with its prefix length.
    public let prefix: IPPrefix
}

extension NetworkConfigurator {
    /// All addresses of this namespace.
    public func addresses() throws(NetlinkError) -> [DeviceAddress] {
        var cache: OpaquePointer?
        let code = rtnl_addr_alloc_cache(socket, &cache)
        guard code >= 0, let cache else { throw NetlinkError("rtnl_addr_alloc_cache", code: code, "addresses") }
        defer { nl_cache_free(cache) }
        var addresses: [DeviceAddress] = []
        var next = nl_cache_get_first(cache)
        while let entry = next {
            next = nl_cache_get_next(entry)
            guard let local = rtnl_addr_get_local(entry), let address = IPAddress(local) else { continue }
            guard let prefix = IPPrefix(address: address, length: Int(nl_addr_get_prefixlen(local))) else { continue }
            addresses.append(DeviceAddress(index: Int(rtnl_addr_get_ifindex(entry)), prefix: prefix))
        }
        return addresses
    }

    /// Where the routing table sends packets to an address.
    /// - Parameters:
    ///   - address: where they go.
    ///   - mark: SO_MARK of the socket that sends them, 0 for none.
    ///   - device: the interface index of the device that the socket is bound to, 0 for none.
    /// - Returns: the interface index of the device that they leave by; nil when there is no route.
    public func outputDevice(towards address: IPAddress, mark: UInt32, boundTo device: Int) -> Int? {
        guard let message = nlmsg_alloc_simple(CInt(RTM_GETROUTE), 0) else { return nil }
        defer { nlmsg_free(message) }
        var header = rtmsg()
        header.rtm_family = UInt8(address.isIPv6 ? AF_INET6 : AF_INET)
        header.rtm_dst_len = UInt8(address.bitCount)
        nlmsg_append(message, &header, MemoryLayout<rtmsg>.size, CInt(NLMSG_ALIGNTO))
        guard let destination = Self.address(address) else { return nil }
        nla_put_addr(message, CInt(RTA_DST.rawValue), destination)
        nl_addr_put(destination)
        if mark != 0 { nla_put_u32(message, CInt(RTA_MARK.rawValue), mark) }
        if device != 0 { nla_put_u32(message, CInt(RTA_OIF.rawValue), UInt32(device)) }
        var answer: UInt32 = 0
        nl_socket_disable_auto_ack(socket)
        defer {
            nl_socket_enable_auto_ack(socket)
            nl_socket_modify_cb(socket, NL_CB_VALID, NL_CB_DEFAULT, nil, nil)
        }
        let code = withUnsafeMutablePointer(to: &answer) { place -> CInt in
            let heard: nl_recvmsg_msg_cb_t = { message, place in
                guard let message, let header = nlmsg_hdr(message), header.pointee.nlmsg_type == UInt16(RTM_NEWROUTE),
                    let found = nlmsg_find_attr(header, CInt(MemoryLayout<rtmsg>.size), CInt(RTA_OIF.rawValue))
                else { return CInt(NL_OK.rawValue) }
                place?.storeBytes(of: nla_get_u32(found), as: UInt32.self)
                return CInt(NL_OK.rawValue)
            }
            nl_socket_modify_cb(socket, NL_CB_VALID, NL_CB_CUSTOM, heard, place)
            let sent = nl_send_auto(socket, message)
            return sent < 0 ? sent : nl_recvmsgs_default(socket)
        }
        return code < 0 || answer == 0 ? nil : Int(answer)
    }
}
