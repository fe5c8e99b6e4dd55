import CNetlink
import Glibc
public import VXWire

/// A network device as the kernel describes it.
public struct Link: Sendable, Equatable {
    /// The interface index.
    public let index: Int
    /// Its name.
    public let name: String
    /// Its MAC address, if it has one of 48 bits.
    public let address: MACAddress?
    /// Somebody has set it up (ip-link(8)).
    public let isUp: Bool
    /// The interface index of the bridge (or bond, or VRF) it is in; 0 for none.
    public let master: Int
    /// What the kernel calls its kind: `tun`, `bridge`, `vxlan`; nil for hardware.
    public let kind: String?
    /// The text that somebody gave it (ip-link(8), `alias`).
    public let alias: String?
    /// Its MTU in bytes.
    public let mtu: Int
    /// The UDP port that a VXLAN device of the kernel listens on; nil for other kinds.
    public let vxlanPort: UInt16?
    /// The VNI of a VXLAN device of the kernel; nil for other kinds.
    public let vxlanVNI: UInt32?

    /// Copies what is known of a link.
    init(_ link: OpaquePointer) {
        index = Int(rtnl_link_get_ifindex(link))
        name = rtnl_link_get_name(link).map { String(cString: $0) } ?? ""
        isUp = rtnl_link_get_flags(link) & UInt32(IFF_UP) != 0
        master = Int(rtnl_link_get_master(link))
        kind = rtnl_link_get_type(link).map { String(cString: $0) }
        alias = rtnl_link_get_ifalias(link).map { String(cString: $0) }
        mtu = Int(rtnl_link_get_mtu(link))
        var port: UInt32 = 0
        let isVXLAN = rtnl_link_is_vxlan(link) != 0 && rtnl_link_vxlan_get_port(link, &port) == 0
        vxlanPort = isVXLAN ? UInt16(truncatingIfNeeded: port) : nil
        var vni: UInt32 = 0
        vxlanVNI = isVXLAN && rtnl_link_vxlan_get_id(link, &vni) == 0 ? vni : nil
        address = rtnl_link_get_addr(link).flatMap { MACAddress(linkLayer: $0) }
    }
}

extension MACAddress {
    /// Of a link-layer address of libnl, if it has 48 bits.
    init?(linkLayer value: OpaquePointer) {
        guard nl_addr_get_len(value) == 6, let bytes = nl_addr_get_binary_addr(value) else { return nil }
        self.init(UnsafeRawBufferPointer(start: bytes, count: 6).reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
    }
}
