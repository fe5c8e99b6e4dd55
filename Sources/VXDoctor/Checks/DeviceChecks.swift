import VXConfig
import VXControlSocket
import VXDaemon
import VXNetlink
import VXWire

/// The networks' devices, and what other programs or a killed daemon left behind.
enum DeviceChecks {
    /// What flannel, Calico and CNI plugins leave on a machine that they no longer run on.
    private static let leftovers: [(device: String, programs: [String])] = [
        ("flannel.1", ["flanneld"]), ("flannel-v6.1", ["flanneld"]), ("vxlan.calico", ["calico-node"]),
        ("vxlan-v6.calico", ["calico-node"]), ("cni0", ["flanneld", "kubelet", "containerd", "crio"]),
    ]

    static func run(_ node: Examination) -> [Finding] {
        node.configuration.networks.filter(\.hasDevice).flatMap { network in
            node.status == nil ? stopped(network, node) : running(network, node)
        } + others(node.host)
    }

    private static func running(_ network: NetworkConfiguration, _ node: Examination) -> [Finding] {
        guard let status = node.status?.networks.first(where: { $0.vni == network.vni.rawValue }) else { return [] }
        guard let link = node.host.link(network.device) else {
            return [
                Finding(
                    .error,
                    "device.missing",
                    .devices,
                    "the daemon runs, but there is no device \(network.device) of VNI \(network.vni) here",
                    why:
                        "nothing gets into or out of the network; or this is another network namespace than the daemon's",
                    mend: "run doctor in the daemon's namespace: nsenter -t PID -n vxseal doctor -c FILE"
                )
            ]
        }
        let expected = DeviceExpectation(of: network, in: node.configuration)
        return state(of: link, network, status: status.mtu, expected) + bridge(of: link, network, node)
            + addresses(of: link, network, node)
    }

    private static func state(
        of link: Link,
        _ network: NetworkConfiguration,
        status mtu: Int,
        _ expected: DeviceExpectation
    ) -> [Finding] {
        var findings: [Finding] = []
        if !link.isUp {
            findings.append(
                Finding(
                    .error,
                    "device.down",
                    .devices,
                    "the device \(link.name) of VNI \(network.vni) is down",
                    why: "the kernel sends and takes nothing through it",
                    mend: "ip link set \(link.name) up"
                )
            )
        }
        if link.mtu != mtu {
            findings.append(
                Finding(
                    .warning,
                    "device.mtu",
                    .devices,
                    "\(link.name) has an MTU of \(link.mtu); the daemon gave it \(mtu)",
                    why: link.mtu > mtu
                        ? "packets are made that no peer's path carries whole"
                        : "packets are smaller than they need to be",
                    mend: "ip link set \(link.name) mtu \(mtu)"
                )
            )
        } else if network.mtu == nil, expected.mtu < mtu {
            findings.append(
                Finding(
                    .warning,
                    "device.mtuOutdated",
                    .devices,
                    "\(link.name) has an MTU of \(mtu), the underlay now leaves room for \(expected.mtu)",
                    why: "`mtu: auto` is chosen at start; larger packets are answered \"too big\" or dropped since",
                    mend: "mtu: \(expected.mtu) at the network, and vxseal reload"
                )
            )
        }
        if let address = expected.address, link.address != address {
            findings.append(
                Finding(
                    .warning,
                    "device.mac",
                    .devices,
                    "\(link.name) has the MAC address \(link.address.map(\.description) ?? "none"), not \(address)",
                    why: "neighbours and static entries know the latter; udev's .link files (MACAddress=, "
                        + "MACAddressPolicy=) and other programs change it, and the daemon sets it back when it hears of it",
                    mend: "ip link set \(link.name) address \(address)"
                )
            )
        }
        return findings
    }

    private static func bridge(of link: Link, _ network: NetworkConfiguration, _ node: Examination) -> [Finding] {
        guard let name = network.bridge else { return [] }
        if node.status?.networks.first(where: { $0.vni == network.vni.rawValue })?.isKeptApart == true {
            return [
                Finding(
                    .error,
                    "bridge.mixed",
                    .devices,
                    "\(link.name) is kept out of the bridge \(name), which holds a plaintext network as well",
                    why: "a sealed network's frames would leave in the clear",
                    mend: "take the other port out (bridge link show), or allowMixedBridge: true at VNI \(network.vni)"
                )
            ]
        }
        guard let bridge = node.host.link(name), link.master == bridge.index else {
            return [
                Finding(
                    .error,
                    "bridge.left",
                    .devices,
                    "\(link.name) is no port of the bridge \(name)",
                    why:
                        "the stations of the bridge do not reach VNI \(network.vni); a port that was taken out stays out",
                    mend: "ip link set \(link.name) master \(name)"
                )
            ]
        }
        guard bridge.isUp else {
            return [
                Finding(
                    .error,
                    "bridge.down",
                    .devices,
                    "the bridge \(name) is down",
                    why: "it passes nothing on",
                    mend: "ip link set \(name) up"
                )
            ]
        }
        return []
    }

    private static func addresses(of link: Link, _ network: NetworkConfiguration, _ node: Examination) -> [Finding] {
        let present = node.host.addresses.filter { $0.index == link.index }.map(\.prefix)
        return network.addresses.filter { !present.contains($0) }.map { address in
            Finding(
                .error,
                "device.address",
                .devices,
                "\(link.name) has lost its address \(address)",
                why: "this node cannot be reached by it in VNI \(network.vni)",
                mend: "ip address add \(address) dev \(link.name)"
            )
        }
    }

    private static func stopped(_ network: NetworkConfiguration, _ node: Examination) -> [Finding] {
        var findings: [Finding] = []
        if let link = node.host.link(network.device) {
            findings.append(
                Finding(
                    .error,
                    "device.taken",
                    .devices,
                    "there is a device \(link.name) (\(link.kind ?? "hardware")), and no daemon that answers",
                    why:
                        "VNI \(network.vni) is to have a device of this name; the daemon does not start while another has it",
                    mend: "ip link delete \(link.name), if nobody uses it; or another `device:`"
                )
            )
        }
        guard let name = network.bridge, let bridge = node.host.link(name),
            bridge.alias == DeviceExpectation(of: network, in: node.configuration).bridgeAlias
        else { return findings }
        let isUsed = node.host.links.contains { $0.master == bridge.index }
        findings.append(
            Finding(
                .info,
                "bridge.stale",
                .devices,
                "the bridge \(name), which this node made, was not removed"
                    + (isUsed ? "; others have ports in it" : ""),
                why: "a killed daemon leaves its bridges; the next one takes them over",
                mend: "none needed",
                repair: isUsed ? nil : .bridge(name: name)
            )
        )
        return findings
    }

    private static func others(_ host: Host) -> [Finding] {
        let found = leftovers.filter { host.link($0.device) != nil }
        guard !found.isEmpty else { return [] }
        let running = Set(
            host.list("/proc").filter { Int($0) != nil }.compactMap { process in
                host.read("/proc/\(process)/comm").map { String($0.split(separator: "\n").first ?? "") }
            }
        )
        return found.filter { running.isDisjoint(with: $0.programs) }.map { name, programs in
            Finding(
                .warning,
                "device.leftover",
                .devices,
                "the device \(name) is here, but no \(programs.joined(separator: ", ")) runs",
                why: "its routes and its VXLAN port may take what is meant for vxseal",
                mend: "ip link delete \(name)"
            )
        }
    }
}
