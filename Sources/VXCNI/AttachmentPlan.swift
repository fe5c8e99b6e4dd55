package import VXNetlink
package import VXWire

/// What is made for a pod, decided before anything is touched.
package struct AttachmentPlan: Equatable, Sendable {
    /// A bridge as it must be.
    package struct Bridge: Equatable, Sendable {
        package var name: String
        /// The node's addresses in the pods' subnets.
        package var addresses: [IPPrefix]
        /// For one that is made: the same from whichever of several ADDs at once makes it.
        package var mac: MACAddress
    }

    /// The pod's interface and the device outside.
    package var attachment: Attachment
    /// The network's name.
    package var network: String
    /// Of both ends, in bytes.
    package var mtu: Int
    /// The pod's MAC address. It follows from the IPv4 address, as that of other CNI plugins did: a neighbour that remembers
    /// the address of a pod that is gone reaches the one that has it now.
    package var mac: MACAddress
    /// Nil: routed.
    package var bridge: Bridge?
    /// Frames may leave by the port that they came in by.
    package var isHairpin: Bool
    /// The pod's addresses.
    package var addresses: [IPPrefix]
    /// The pod's routes, those first that others need.
    package var routes: [DeviceRoute]
    /// Next hops that are on no subnet of the pod's: the device outside answers for them without being asked.
    package var nextHops: [IPAddress]
    /// What the result says of addresses.
    package var resultAddresses: [AttachmentResult.Address]
    /// What the result says of routes.
    package var resultRoutes: [AttachmentResult.Route]
    /// What the result says of names.
    package var dns: JSON

    /// The next hop of routed pods for IPv4, link-local (RFC 3927).
    package static let nextHop4 = IPAddress.v4(IPv4Address(0xa9fe_0101))
    /// The next hop of routed pods for IPv6, fe80::1.
    package static let nextHop6 = IPAddress.v6(IPv6Address(high: 0xfe80 << 48, low: 1))

    /// - Parameter answer: the address plugin's.
    package init(
        _ configuration: PluginConfiguration,
        _ attachment: Attachment,
        subnet: SubnetEnvironment,
        answer: AttachmentResult
    ) throws(CNIError) {
        guard let first = answer.addresses.first else {
            throw CNIError(
                .addressPlugin,
                "the address plugin gave no address",
                "ipam of network \(configuration.name)"
            )
        }
        self.attachment = attachment
        network = configuration.name
        mtu = configuration.mtu ?? subnet.mtu
        isHairpin = configuration.isHairpin
        dns = configuration.dns ?? answer.dns
        mac = Self.mac(of: answer.addresses.map(\.prefix.address).first { !$0.isIPv6 } ?? first.prefix.address)
        let isRouted = configuration.mode == .routed
        if mtu < 1280, answer.addresses.contains(where: \.prefix.address.isIPv6) {
            throw CNIError(.invalidConfiguration, "an MTU of \(mtu) carries no IPv6", "it needs 1280 (RFC 8200, 5)")
        }
        resultAddresses = answer.addresses.map { address in
            guard isRouted else {
                return AttachmentResult.Address(
                    prefix: address.prefix,
                    gateway: address.gateway ?? address.prefix.firstHost,
                    interface: 2
                )
            }
            return AttachmentResult.Address(
                prefix: address.prefix.address.alone ?? address.prefix,
                gateway: address.prefix.address.isIPv6 ? Self.nextHop6 : Self.nextHop4,
                interface: 1
            )
        }
        addresses = resultAddresses.map(\.prefix)
        var gateways: [(isIPv6: Bool, address: IPAddress)] = []
        for isIPv6 in [false, true] {
            let first = resultAddresses.first { $0.prefix.address.isIPv6 == isIPv6 }
            if let gateway = first?.gateway { gateways.append((isIPv6, gateway)) }
        }
        func gateway(for destination: IPPrefix) -> IPAddress? {
            gateways.first { $0.isIPv6 == destination.address.isIPv6 }?.address
        }
        resultRoutes = answer.routes.filter { gateway(for: $0.destination) != nil }
        if configuration.isDefaultGateway {
            for (isIPv6, gateway) in gateways {
                guard let everything = IPPrefix(isIPv6 ? "::/0" : "0.0.0.0/0"),
                    !resultRoutes.contains(where: { $0.destination == everything })
                else { continue }
                resultRoutes.append(AttachmentResult.Route(to: everything, via: gateway))
            }
        }
        routes = resultRoutes.map { route in
            // Routed pods have one next hop, whatever the plugin thinks.
            let gateway = gateway(for: route.destination)
            return DeviceRoute(to: route.destination, via: isRouted ? gateway : route.gateway ?? gateway)
        }
        nextHops = isRouted ? gateways.map(\.address) : []
        if isRouted {
            // fe80::/64 is on the link anyway.
            routes = nextHops.filter { !$0.isIPv6 }.compactMap { $0.alone }.map { DeviceRoute(to: $0) } + routes
            bridge = nil
        } else {
            bridge = Bridge(
                name: configuration.bridge,
                addresses: resultAddresses.compactMap { address in
                    address.gateway.flatMap { IPPrefix(address: $0, length: address.prefix.length) }
                },
                mac: MACAddress(0x02 << 40 | stableHash("\(configuration.bridge) \(subnet.subnets)") & 0xff_ffff_ffff)
            )
        }
    }

    /// 0a:58 and four bytes: the IPv4 address, or a hash of the IPv6 address.
    private static func mac(of address: IPAddress) -> MACAddress {
        switch address {
        case .v4(let address): MACAddress(0x0a58 << 32 | UInt64(address.rawValue))
        case .v6(let address): MACAddress(0x0a58 << 32 | stableHash("\(address)") & 0xffff_ffff)
        }
    }

    /// The alias of the device outside: by it GC knows whose it is.
    package var alias: String { Self.alias(attachment, of: network) }

    package static func alias(_ attachment: Attachment, of network: String) -> String {
        "vxseal-cni \(network) \(attachment.containerID) \(attachment.interface)"
    }

    /// The attachment of a device with this alias; nil where it is none of the network's.
    package static func attachment(fromAlias alias: String, of network: String) -> Attachment? {
        let words = alias.split(separator: " ")
        guard words.count == 4, words[0] == "vxseal-cni", words[1] == network else { return nil }
        return try? Attachment(containerID: String(words[2]), interface: String(words[3]))
    }

    /// The result of ADD.
    /// - Parameters:
    ///   - bridgeMAC: what the bridge has.
    ///   - hostMAC: what the device outside has.
    ///   - namespace: the pod's.
    package func result(bridgeMAC: MACAddress?, hostMAC: MACAddress?, namespace: String) -> AttachmentResult {
        var result = AttachmentResult()
        func interface(_ name: String, _ mac: MACAddress?, _ sandbox: String? = nil) {
            result.interfaces.append(.init(name: name, mac: mac.map { "\($0)" } ?? "", sandbox: sandbox, mtu: mtu))
        }
        if let bridge { interface(bridge.name, bridgeMAC) }
        interface(attachment.hostInterface, hostMAC)
        interface(attachment.interface, mac, namespace)
        result.addresses = resultAddresses
        result.routes = resultRoutes
        result.dns = dns
        return result
    }
}

extension IPPrefix {
    /// The address after the network's base.
    fileprivate var firstHost: IPAddress {
        switch network.address {
        case .v4(let address): .v4(IPv4Address(address.rawValue | 1))
        case .v6(let address): .v6(IPv6Address(high: address.high, low: address.low | 1))
        }
    }
}

extension IPAddress {
    /// The network of this address and no other; never nil, for the length fits.
    package var alone: IPPrefix? { IPPrefix(address: self, length: bitCount) }
}
