import Foundation
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
    let configuration: NodeConfiguration

    /// What a sealed full-size frame takes beside its payload (protocol.md, 1): UDP, sealed header, record, VXLAN, inner
    /// Ethernet and tag; with 20 or 40 bytes of IP.
    private static let sealedOverhead = 8 + 58
    /// What standard VXLAN takes: UDP, VXLAN, inner Ethernet.
    private static let plaintextOverhead = 8 + 8 + 14
    private static let usualMTU = 1500

    /// The device's MTU: the configured one, or what every peer's underlay carries.
    func mtu(of network: NetworkConfiguration) -> Int {
        if let mtu = network.mtu { return mtu }
        let overhead = network.mode == .sealed ? Self.sealedOverhead : Self.plaintextOverhead
        let endpoints = configuration.peers.filter { $0.networks.contains(network.vni) }.compactMap(\.endpoint)
        let room = endpoints.map { endpoint in
            (UnderlayRoute.mtu(towards: endpoint) ?? Self.usualMTU) - (endpoint.address.isIPv6 ? 40 : 20)
        }
        let mtu = (room.min() ?? Self.usualMTU - 20) - overhead - network.vlanHeadroom
        return max(mtu, 576)
    }

    /// The device's MAC address: the same after every restart, so that neighbours need not ask again, also after the
    /// identity was rotated; another for every machine, node and network.
    func address(of network: NetworkConfiguration) -> MACAddress {
        let machine = FileManager.default.contents(atPath: "/etc/machine-id").map { [UInt8]($0) } ?? []
        let input = machine + Array("vxseal device \(configuration.node) \(network.vni.rawValue)".utf8)
        let number = BLAKE2b.hash(input, length: 16).prefix(6).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        // A unicast address that is locally administered (IEEE 802-2014, 8.4).
        return MACAddress(number & ~0x0100_0000_0000 | 0x0200_0000_0000)
    }

    /// Makes the device, with a queue for each lane.
    /// - Returns: whether the kernel keeps each flow on one queue.
    func make(_ network: NetworkConfiguration, lanes: inout OwnedArray<LanePorts>) throws -> Bool {
        let netlink = try NetworkConfigurator()
        if netlink.exists(network.device) {
            throw StartError(
                "the device \(network.device) exists already; choose another name, or remove it: ip link del \(network.device)"
            )
        }
        for place in 0..<lanes.count {
            lanes[place].devices.append(try TAPDevice(name: network.device, offloads: configuration.offloads.wanted))
        }
        let isSteered = lanes.count == 1 || lanes[0].devices[lanes[0].devices.count - 1].steerFlows()
        try netlink.change(network.device, mtu: mtu(of: network), address: address(of: network), bridge: network.bridge)
        for address in network.addresses { try netlink.add(address, to: network.device) }
        try netlink.change(network.device, isUp: true)
        return isSteered
    }
}
