import VXConfig
import VXCrypto
import VXLinux
import VXNetlink
import VXRuntime
import VXWire

extension OffloadConfiguration {
    /// What to ask of a device. Super-frames come with partial checksums.
    var wanted: TAPOffloads {
        var wanted: TAPOffloads = []
        if tapTso || tapUso || partialChecksums { wanted.insert(.checksum) }
        if tapTso { wanted.insert(.tcpSegmentation) }
        if tapUso { wanted.insert(.udpSegmentation) }
        return wanted
    }
}

/// Makes the TAP devices of a node's networks. They last as long as their queues are open: the kernel removes them with the
/// daemon, however it ends.
struct DeviceMaker {
    var configuration: NodeConfiguration
    /// What the devices' MAC addresses come from: see `DeviceKeyFile`.
    let addressKey: PublicKey

    /// What a sealed full-size frame takes beside its payload (protocol.md, 1): UDP, sealed header, record, VXLAN, inner
    /// Ethernet and tag; with 20 or 40 bytes of IP.
    private static let sealedOverhead = 8 + 58
    /// What standard VXLAN takes: UDP, VXLAN, inner Ethernet.
    private static let plaintextOverhead = 8 + 8 + 14
    private static let usualMTU = 1500

    /// The device's MTU: the configured one, or what every peer's underlay carries.
    func mtu(of network: NetworkConfiguration) -> Int {
        if let mtu = network.mtu { return mtu }
        let overhead = network.mode == .plaintext ? Self.plaintextOverhead : Self.sealedOverhead
        let endpoints = configuration.peers.filter { $0.networks.contains(network.vni) }.compactMap(\.endpoint)
        let room = endpoints.map { endpoint in
            (UnderlayRoute.mtu(towards: endpoint) ?? Self.usualMTU) - (endpoint.address.isIPv6 ? 40 : 20)
        }
        let mtu = (room.min() ?? Self.usualMTU - 20) - overhead - network.vlanHeadroom
        return max(mtu, 576)
    }

    /// The device's MAC address: the same after every restart, so that neighbours need not ask again; another for every node
    /// and network.
    func address(of network: NetworkConfiguration) -> MACAddress { network.mac ?? address(vni: network.vni) }

    func address(vni: VNI) -> MACAddress { address(for: "device", vni: vni.rawValue) }

    private func address(for purpose: String, vni: UInt32) -> MACAddress {
        let input = addressKey.bytes + Array("vxseal \(purpose) \(vni)".utf8)
        let number = BLAKE2b.hash(input, length: 16).prefix(6).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        // A unicast address that is locally administered (IEEE 802-2014, 8.4).
        return MACAddress(number & ~0x0100_0000_0000 | 0x0200_0000_0000)
    }

    /// What says that this node made a bridge, and may remove it.
    var alias: String { "made by vxseal \(configuration.node)" }

    /// Devices whose frames travel in the clear.
    var plaintextDevices: Set<String> {
        Set(configuration.networks.filter { $0.hasDevice && $0.mode != .sealed }.map(\.device))
    }

    /// Makes the device at start, with a queue for each lane.
    /// - Returns: whether the kernel keeps each flow on one queue.
    func make(_ network: NetworkConfiguration, lanes: inout OwnedArray<LanePorts>) throws -> Bool {
        var queues = OwnedArray<TAPDevice>()
        let isSteered = try make(network, lanes: lanes.count, queues: &queues)
        while let queue = queues.takeLast() { lanes[queues.count].devices.append(queue) }
        return isSteered
    }

    /// Makes the device.
    /// - Parameters:
    ///   - network: its network.
    ///   - lanes: how many queues it gets.
    ///   - queues: where they are added.
    /// - Returns: whether the kernel keeps each flow on one of them.
    func make(_ network: NetworkConfiguration, lanes: Int, queues: inout OwnedArray<TAPDevice>) throws -> Bool {
        guard network.hasDevice else {
            for _ in 0..<lanes { queues.append(.absent) }
            return true
        }
        let netlink = try NetworkConfigurator()
        if netlink.link(network.device) != nil {
            throw StartError(
                "the device \(network.device) exists already; choose another name, or remove it: ip link del \(network.device)"
            )
        }
        for _ in 0..<lanes {
            queues.append(try TAPDevice(name: network.device, offloads: configuration.offloads.wanted))
        }
        let isSteered = lanes == 1 || queues[0].steerFlows()
        // An address that was set is not replaced: systemd's MACAddressPolicy looks at addr_assign_type, which is
        // NET_ADDR_SET from here on. Until here it is NET_ADDR_RANDOM; what udev does in between, `DeviceKeeper` mends.
        try netlink.change(network.device, mtu: mtu(of: network), address: address(of: network))
        if network.bridge != nil { try netlink.preventLinkLocalAddress(network.device) }
        for address in network.addresses { try netlink.add(address, to: network.device) }
        try netlink.omitQueueing(of: network.device)
        try netlink.change(network.device, isUp: true)
        return isSteered
    }

    /// Puts the device into its network's bridge.
    /// - Parameter mayMake: a bridge that is not there is made.
    /// - Returns: the bridge; nil without one.
    func join(_ network: NetworkConfiguration, mayMake: Bool) throws -> Link? {
        guard let name = network.bridge else { return nil }
        let netlink = try NetworkConfigurator()
        if netlink.link(name) == nil {
            guard mayMake else { return nil }
            try netlink.makeBridge(name, address: address(for: "bridge \(name)", vni: 0), alias: alias)
        }
        let bridge = try bridge(of: network, netlink)
        try netlink.join(network.device, asTunnelPortOf: name)
        return bridge
    }

    /// Whether the network's device may join its bridge, as far as that is there.
    /// - Parameter leaving: devices that will be gone.
    /// - Throws: when it may not.
    func checkBridge(of network: NetworkConfiguration, leaving: Set<String>) throws {
        guard let name = network.bridge else { return }
        let netlink = try NetworkConfigurator()
        guard netlink.link(name) != nil else { return }
        _ = try bridge(of: network, netlink, leaving: leaving)
    }

    private func bridge(
        of network: NetworkConfiguration,
        _ netlink: borrowing NetworkConfigurator,
        leaving: Set<String> = []
    ) throws -> Link {
        let name = network.bridge ?? ""
        guard let bridge = netlink.link(name), bridge.kind == "bridge" else {
            throw StartError(
                "`\(name)` of VNI \(network.vni) is no bridge; name one, or a device that does not exist yet"
            )
        }
        if network.mode == .sealed, !network.allowMixedBridge {
            let ports = BridgeMixing.plaintextPorts(
                of: bridge.index,
                links: try netlink.links().filter { !leaving.contains($0.name) },
                plaintextDevices: plaintextDevices
            )
            if let port = ports.first {
                throw StartError(
                    "the bridge \(name) of the sealed VNI \(network.vni) holds \(port), which leads to a plaintext network; "
                        + "take that out (ip link set \(port) nomaster), or allow it by allowMixedBridge: true"
                )
            }
        }
        return bridge
    }

    /// Removes the devices, which would also go with their last queue, one by one.
    func removeDevices() {
        guard configuration.networks.count > 1, let netlink = try? NetworkConfigurator(),
            let links = try? netlink.links()
        else { return }
        let names = Set(configuration.networks.filter(\.hasDevice).map(\.device))
        try? netlink.remove(all: links.filter { $0.kind == "tun" && names.contains($0.name) }.map(\.name))
    }

    /// Removes the bridges that this node made, unless somebody else has ports in them.
    /// - Parameter kept: those that stay.
    func removeBridges(except kept: Set<String> = []) {
        guard let netlink = try? NetworkConfigurator(), let links = try? netlink.links() else { return }
        let devices = Set(configuration.networks.map(\.device))
        for name in Set(configuration.networks.compactMap(\.bridge)).subtracting(kept) {
            guard let bridge = links.first(where: { $0.name == name }), bridge.alias == alias,
                !links.contains(where: { $0.master == bridge.index && !devices.contains($0.name) })
            else { continue }
            try? netlink.remove(name)
        }
    }
}
