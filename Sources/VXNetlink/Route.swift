public import VXWire

/// A unicast route of the main table with one next hop, as the agent makes them.
public struct Route: Sendable, Hashable {
    /// Where packets go to; host bits zero.
    public var destination: IPPrefix
    /// The next hop.
    public var gateway: IPAddress
    /// The interface index of the device that they leave by.
    public var device: Int
    /// The next hop is on the device's link, whatever its addresses say.
    public var isOnLink: Bool
    /// Who made it (rtnetlink(7), rtm_protocol).
    public var origin: Origin

    /// Who made a route.
    public struct Origin: RawRepresentable, Sendable, Hashable {
        /// The number in rtm_protocol.
        public let rawValue: UInt8
        /// Any number.
        public init(rawValue: UInt8) { self.rawValue = rawValue }
        /// RTPROT_BOOT, what ip(8) and flannel leave there; `ip route show` does not name it.
        public static let boot = Origin(rawValue: 3)
        /// This project's own, of those that nobody has registered (rtnetlink.h: "values above static are not interpreted by
        /// the kernel"): what finds routes again that are not on a device of its own.
        public static let vxseal = Origin(rawValue: 86)
    }

    /// From its parts.
    public init(destination: IPPrefix, gateway: IPAddress, device: Int, isOnLink: Bool, origin: Origin) {
        self.destination = destination
        self.gateway = gateway
        self.device = device
        self.isOnLink = isOnLink
        self.origin = origin
    }
}

/// A permanent entry of a device's neighbour table.
public struct PermanentNeighbor: Sendable, Hashable {
    /// The address.
    public var address: IPAddress
    /// Its link-layer address.
    public var mac: MACAddress

    /// From its parts.
    public init(address: IPAddress, mac: MACAddress) {
        self.address = address
        self.mac = mac
    }
}
