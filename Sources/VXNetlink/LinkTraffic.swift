import CNetlink

/// What a device has carried, as the kernel counts (rtnl_link_stats64).
public struct LinkTraffic: Sendable, Equatable {
    /// Packets that the kernel received from the device.
    public var receivedPackets: UInt64
    /// Bytes of them.
    public var receivedBytes: UInt64
    /// Packets that the kernel sent to it.
    public var sentPackets: UInt64
    /// Bytes of them.
    public var sentBytes: UInt64
}

extension NetworkConfigurator {
    /// The traffic of every device, by name; one request, however many there are.
    public func traffic() throws(NetlinkError) -> [String: LinkTraffic] {
        var cache: OpaquePointer?
        let code = rtnl_link_alloc_cache(socket, AF_UNSPEC, &cache)
        guard code >= 0, let cache else { throw NetlinkError("rtnl_link_alloc_cache", code: code, "all devices") }
        defer { nl_cache_free(cache) }
        var traffic: [String: LinkTraffic] = [:]
        var entry = nl_cache_get_first(cache)
        while let link = entry {
            func count(_ id: rtnl_link_stat_id_t) -> UInt64 { rtnl_link_get_stat(link, id) }
            if let name = rtnl_link_get_name(link) {
                traffic[String(cString: name)] = LinkTraffic(
                    receivedPackets: count(RTNL_LINK_RX_PACKETS),
                    receivedBytes: count(RTNL_LINK_RX_BYTES),
                    sentPackets: count(RTNL_LINK_TX_PACKETS),
                    sentBytes: count(RTNL_LINK_TX_BYTES)
                )
            }
            entry = nl_cache_get_next(link)
        }
        return traffic
    }
}
