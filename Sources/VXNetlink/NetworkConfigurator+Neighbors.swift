import CNetlink
import Glibc
public import VXWire

extension NetworkConfigurator {
    /// The link-layer address that the kernel knows for an address on a device (ip-neighbour(8)); nil without an entry that
    /// is in use.
    public func neighbor(_ address: IPAddress, on device: String) throws(NetlinkError) -> MACAddress? {
        let link = try find(device)
        defer { rtnl_link_put(link) }
        var cache: OpaquePointer?
        let code = rtnl_neigh_alloc_cache(socket, &cache)
        guard code >= 0, let cache else { throw NetlinkError("rtnl_neigh_alloc_cache", code: code, "neighbours") }
        defer { nl_cache_free(cache) }
        guard let wanted = Self.address(address) else { return nil }
        defer { nl_addr_put(wanted) }
        guard let entry = rtnl_neigh_get(cache, rtnl_link_get_ifindex(link), wanted) else { return nil }
        defer { rtnl_neigh_put(entry) }
        return rtnl_neigh_get_lladdr(entry).flatMap { MACAddress(linkLayer: $0) }
    }
}
