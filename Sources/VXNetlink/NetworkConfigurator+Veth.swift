import CNetlink
import Glibc
public import VXWire

// Pairs of virtual devices, one end in another namespace.
extension NetworkConfigurator {
    /// Makes a pair; neither end is up. In the other namespace the device has its name from the start.
    /// - Parameters:
    ///   - name: the end in this namespace, at most 15 bytes.
    ///   - alias: what says later who made it.
    ///   - mtu: of both ends, in bytes.
    ///   - peer: the other end's name.
    ///   - address: the other end's MAC address.
    ///   - namespace: the descriptor of the namespace of the other end.
    public func makePair(
        _ name: String,
        alias: String,
        mtu: Int,
        peer: String,
        address: MACAddress,
        namespace: CInt
    ) throws(NetlinkError) {
        guard let link = rtnl_link_veth_alloc() else {
            throw NetlinkError("rtnl_link_veth_alloc", code: -NLE_NOMEM, "device \(name)")
        }
        // This puts both ends.
        defer { rtnl_link_veth_release(link) }
        let other = rtnl_link_veth_get_peer(link)
        rtnl_link_set_name(link, name)
        rtnl_link_set_mtu(link, UInt32(mtu))
        rtnl_link_set_name(other, peer)
        rtnl_link_set_mtu(other, UInt32(mtu))
        rtnl_link_set_ns_fd(other, namespace)
        let value = Self.linkLayer(address)
        rtnl_link_set_addr(other, value)
        nl_addr_put(value)
        let code = rtnl_link_add(socket, link, NLM_F_CREATE | NLM_F_EXCL)
        if code < 0 { throw NetlinkError("rtnl_link_add", code: code, "devices \(name) and \(peer)") }
        try change(name, alias: alias)
    }

    /// Whether frames that came in by a bridge's port may leave by it again (bridge(8), `hairpin`).
    public func setHairpin(_ isOn: Bool, of port: String) throws(NetlinkError) {
        let link = try find(port)
        defer { rtnl_link_put(link) }
        let change = rtnl_link_alloc()
        defer { rtnl_link_put(change) }
        rtnl_link_set_ifindex(change, rtnl_link_get_ifindex(link))
        rtnl_link_set_family(change, AF_BRIDGE)
        let hairpin = CUnsignedInt(RTNL_BRIDGE_HAIRPIN_MODE.rawValue)
        var code = isOn ? rtnl_link_bridge_set_flags(change, hairpin) : rtnl_link_bridge_unset_flags(change, hairpin)
        if code == 0 { code = rtnl_link_change(socket, change, change, 0) }
        if code < 0 { throw NetlinkError("rtnl_link_change", code: code, "hairpin of \(port)") }
    }

    /// Whether a device is up at both ends and may send: a bridge forwards to a port from then on.
    public func isOperating(_ device: String) throws(NetlinkError) -> Bool {
        let link = try find(device)
        defer { rtnl_link_put(link) }
        // IF_OPER_UP of linux/if.h.
        return rtnl_link_get_operstate(link) == 6
    }

    static func linkLayer(_ address: MACAddress) -> OpaquePointer? {
        var bytes = (0..<6).map { UInt8(truncatingIfNeeded: address.rawValue >> UInt64(40 - 8 * $0)) }
        return nl_addr_build(AF_LLC, &bytes, bytes.count)
    }
}
