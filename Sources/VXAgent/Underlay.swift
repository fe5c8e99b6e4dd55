import VXConfig
import VXNetlink
import VXWire

/// This node's place in the underlay.
struct Underlay: Sendable, Equatable {
    /// The interface that other nodes are reached by.
    let interface: String
    /// Its MTU in bytes.
    let mtu: Int
    /// The address of IPv4 that others are told.
    let publicIP: IPv4Address?
    /// The address of IPv6 that others are told.
    let publicIPv6: IPv6Address?
    /// The subnets on the interface.
    let links: [IPPrefix]

    /// Why there is none.
    struct Failure: Error, CustomStringConvertible { let description: String }

    /// Looks at the machine.
    /// - Parameters:
    ///   - configuration: what is settled there is not looked for.
    ///   - wantsV4: the overlay has IPv4, or nothing else.
    ///   - wantsV6: the overlay has IPv6.
    init(_ configuration: AgentConfiguration, wantsV4: Bool, wantsV6: Bool) throws {
        let netlink = try NetworkConfigurator()
        let links = try netlink.links()
        let addresses = try netlink.addresses()
        let index = try Self.index(configuration, links: links, addresses: addresses, netlink: netlink)
        guard let link = links.first(where: { $0.index == index }) else {
            throw Failure(description: "no interface for the underlay; name it: `interface: eth0`")
        }
        interface = link.name
        mtu = link.mtu
        let own = addresses.filter { $0.index == index }.map(\.prefix)
        self.links = own.compactMap { $0.address.isLinkLocal ? nil : $0.network }
        publicIP =
            configuration.publicIP
            ?? (wantsV4
                ? own.lazy.compactMap {
                    if case .v4(let address) = $0.address, !$0.address.isLinkLocal { address } else { nil }
                }
                .first : nil)
        publicIPv6 =
            configuration.publicIPv6
            ?? (wantsV6
                ? own.lazy.compactMap {
                    if case .v6(let address) = $0.address, !$0.address.isLinkLocal { address } else { nil }
                }
                .first : nil)
        guard publicIP != nil || publicIPv6 != nil else {
            throw Failure(
                description:
                    "the interface \(link.name) has no address for the underlay; give it one, or write publicIP"
            )
        }
        if wantsV4, publicIP == nil {
            throw Failure(
                description:
                    "the overlay has IPv4 and the interface \(link.name) no IPv4 address; give it one, or write publicIP"
            )
        }
        if wantsV6, publicIPv6 == nil {
            throw Failure(
                description:
                    "the overlay has IPv6 and the interface \(link.name) no IPv6 address; give it one, or write publicIPv6"
            )
        }
    }

    private static func index(
        _ configuration: AgentConfiguration,
        links: [Link],
        addresses: [DeviceAddress],
        netlink: borrowing NetworkConfigurator
    ) throws -> Int? {
        if let name = configuration.interface {
            guard let link = links.first(where: { $0.name == name }) else {
                throw Failure(description: "no interface \(name); see them with: ip link")
            }
            return link.index
        }
        let settled = [configuration.publicIP.map(IPAddress.v4), configuration.publicIPv6.map(IPAddress.v6)].compactMap(
            \.self
        )
        if let found = addresses.first(where: { settled.contains($0.prefix.address) }) { return found.index }
        if let device = try netlink.defaultDevice(isIPv6: false) { return device }
        guard let device = try netlink.defaultDevice(isIPv6: true) else {
            throw Failure(description: "there is no default route to find the underlay by; name it: `interface: eth0`")
        }
        return device
    }
}

extension IPAddress {
    /// 169.254.0.0/16 or fe80::/10.
    fileprivate var isLinkLocal: Bool {
        switch self {
        case .v4(let address): address.rawValue >> 16 == 0xa9fe
        case .v6(let address): address.isLinkLocal
        }
    }
}
