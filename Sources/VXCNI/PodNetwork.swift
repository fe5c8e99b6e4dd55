import Glibc
import VXLinux
import VXNetlink
import VXWire

/// Makes what a plan says, and takes it away.
struct PodNetwork: ~Copyable {
    private let node: NetworkConfigurator
    private let pod: NetworkNamespace
    /// Bound to the pod's namespace.
    private let inside: NetworkConfigurator

    /// - Parameter namespace: the path of the pod's.
    init(namespace: String) throws(CNIError) {
        let pod = try Self.open(namespace)
        do {
            let node = try NetworkConfigurator()
            let inside = try pod.run { try NetworkConfigurator() }
            self.pod = pod
            self.node = node
            self.inside = inside
        } catch { throw Self.error(error, "the namespace \(namespace) can't be entered") }
    }

    private static func open(_ path: String) throws(CNIError) -> NetworkNamespace {
        do {
            let pod = try NetworkNamespace(path: path)
            if try NetworkNamespace.current().isSame(as: pod) {
                throw CNIError(
                    .invalidEnvironment,
                    "CNI_NETNS is the node's own namespace",
                    "\(path): a container on the host's network needs no plugin"
                )
            }
            return pod
        } catch {
            if (error as? SystemCallError)?.code == ENOENT {
                throw CNIError(.unknownContainer, "the namespace \(path) does not exist", "the container is gone")
            }
            throw Self.error(error, "the namespace \(path) can't be opened")
        }
    }

    /// Refuses names that are taken.
    func refuseTaken(_ attachment: Attachment) throws(CNIError) {
        if inside.link(attachment.interface) != nil {
            throw CNIError(
                .interfaceExists,
                "the container has an interface \(attachment.interface) already",
                "ADD came twice, or another network has the same CNI_IFNAME"
            )
        }
        if node.link(attachment.hostInterface) != nil {
            throw CNIError(
                .interfaceExists,
                "the device \(attachment.hostInterface) is there already",
                "it is \(attachment.containerID)'s, left by an ADD without DEL; remove it: ip link del \(attachment.hostInterface)"
            )
        }
    }

    /// Makes everything. After an error the device outside may be there.
    /// - Returns: the result.
    func attach(_ plan: AttachmentPlan, namespace: String) throws(CNIError) -> AttachmentResult {
        do {
            try forward(plan)
            if let bridge = plan.bridge { try make(bridge, mtu: plan.mtu) }
            let outside = plan.attachment.hostInterface
            try node.makePair(
                outside,
                alias: plan.alias,
                mtu: plan.mtu,
                peer: plan.attachment.interface,
                address: plan.mac,
                namespace: pod.descriptor
            )
            try prepareOutside(plan, outside)
            try pod.run { try prepareInside(plan) }
            try waitUntilOperating(outside)
            // Only now: what the kernel says of a new address would be lost before the bridge forwards it.
            try configureInside(plan)
            for prefix in plan.bridge == nil ? plan.addresses : [] {
                try node.add(DeviceRoute(to: prefix), by: outside, replacing: true)
                try node.setNeighbor(prefix.address, at: plan.mac, on: outside)
            }
            return plan.result(
                bridgeMAC: plan.bridge.flatMap { node.link($0.name)?.address },
                hostMAC: node.link(outside)?.address,
                namespace: namespace
            )
        } catch { throw Self.error(error, "the network of container \(plan.attachment.containerID) can't be made") }
    }

    // MARK: - The node

    private func forward(_ plan: AttachmentPlan) throws {
        for isIPv6 in [false, true] where plan.addresses.contains(where: { $0.address.isIPv6 == isIPv6 }) {
            try Setting.set(isIPv6 ? "ipv6/conf/all/forwarding" : "ipv4/ip_forward", to: 1)
        }
    }

    private func make(_ bridge: AttachmentPlan.Bridge, mtu: Int) throws {
        if let found = node.link(bridge.name), found.kind != "bridge" {
            throw CNIError(
                .invalidConfiguration,
                "\(bridge.name) is no bridge",
                "it is a device of kind \(found.kind ?? "hardware"); name another one by bridge"
            )
        }
        if node.link(bridge.name) == nil {
            try node.makeBridge(bridge.name, address: bridge.mac, alias: Self.bridgeAlias)
            try Setting.setIfThere("ipv6/conf/\(bridge.name)/accept_ra", to: 0)
        }
        guard let link = node.link(bridge.name) else {
            throw CNIError(.network, "the bridge \(bridge.name) is gone again")
        }
        let isOurs = link.alias == Self.bridgeAlias
        if isOurs, link.mtu != mtu { try node.change(bridge.name, mtu: mtu) }
        if !link.isUp { try node.change(bridge.name, isUp: true) }
        let present = try node.addresses().filter { $0.index == link.index }.map(\.prefix)
        for address in bridge.addresses where !present.contains(address) {
            let others = present.filter { $0.address.isIPv6 == address.address.isIPv6 && !$0.isLinkLocal }
            if !isOurs, let other = others.first {
                throw CNIError(
                    .network,
                    "the bridge \(bridge.name) has the address \(other), not \(address)",
                    "the node's subnet has changed; when nothing needs it: ip addr del \(other) dev \(bridge.name)"
                )
            }
            // Those of a lease that was lost: the node would keep what another node's pods are sent.
            for other in others where !bridge.addresses.contains(other) { try node.remove(other, from: bridge.name) }
            try node.add(address, to: bridge.name)
        }
    }

    private static var bridgeAlias: String { "vxseal-cni" }

    private func prepareOutside(_ plan: AttachmentPlan, _ outside: String) throws {
        try Setting.setIfThere("ipv6/conf/\(outside)/accept_ra", to: 0)
        try node.preventLinkLocalAddress(outside)
        if let bridge = plan.bridge {
            try node.change(outside, bridge: bridge.name)
            try node.setHairpin(plan.isHairpin, of: outside)
        }
        for hop in plan.nextHops where hop.isIPv6 {
            if let prefix = IPPrefix(address: hop, length: 64) { try node.add(prefix, to: outside) }
        }
        try node.change(outside, isUp: true)
    }

    /// The kernel tells of it shortly after both ends are up; no packet passes a bridge before.
    private func waitUntilOperating(_ outside: String) throws {
        for _ in 0..<2000 {
            if try node.isOperating(outside) { return }
            usleep(500)
        }
        throw CNIError(.tryLater, "the device \(outside) does not come up", "it was waited for one second")
    }

    // MARK: - The pod

    private func prepareInside(_ plan: AttachmentPlan) throws {
        let interface = plan.attachment.interface
        // Whatever family: another pod's advertisement would make it the router.
        try Setting.setIfThere("ipv6/conf/\(interface)/accept_ra", to: 0)
        if plan.addresses.contains(where: \.address.isIPv6) {
            try Setting.set("ipv6/conf/\(interface)/disable_ipv6", to: 0)
            // Addresses are given, not found: nobody waits for duplicates, of the link-local one either.
            try Setting.set("ipv6/conf/\(interface)/accept_dad", to: 0)
            try Setting.set("ipv6/conf/\(interface)/ndisc_notify", to: 1)
        }
        try inside.change(interface, isUp: true)
    }

    private func configureInside(_ plan: AttachmentPlan) throws {
        let interface = plan.attachment.interface
        for address in plan.addresses { try inside.add(address, to: interface) }
        if let outside = plan.nextHops.isEmpty ? nil : node.link(plan.attachment.hostInterface)?.address {
            for hop in plan.nextHops { try inside.setNeighbor(hop, at: outside, on: interface) }
        }
        for route in plan.routes { try inside.add(route, by: interface, replacing: false) }
    }

    // MARK: - Seeing

    /// What is there of an attachment.
    func observe(_ attachment: Attachment, bridge: String?) throws(CNIError) -> AttachmentCheck.Observation {
        do {
            let interface = inside.link(attachment.interface)
            let outside = node.link(attachment.hostInterface)
            let master = bridge.flatMap { node.link($0) }
            return AttachmentCheck.Observation(
                mac: interface?.address,
                isUp: interface?.isUp,
                addresses: try inside.addresses().filter { $0.index == interface?.index }.map(\.prefix),
                routes: interface == nil ? [] : try inside.routes(by: attachment.interface),
                outside: outside?.name,
                isInBridge: outside != nil && outside?.master == master?.index,
                bridgeAddresses: try node.addresses().filter { $0.index == master?.index }.map(\.prefix),
                nodeRoutes: outside == nil ? [] : try node.routes(by: attachment.hostInterface).map(\.destination)
            )
        } catch { throw Self.error(error, "the network of container \(attachment.containerID) can't be looked at") }
    }

    // MARK: - Removal

    /// Removes the devices of an attachment; those that are gone are no error.
    /// - Parameter namespace: the path of the pod's; nil or another's where it is gone.
    static func detach(_ attachment: Attachment, namespace: String?) throws(CNIError) {
        do {
            let node = try NetworkConfigurator()
            if try removePair(attachment.hostInterface, node) { return }
            // The device that another plugin made, before this one took its place.
            guard let namespace, let pod = try? NetworkNamespace(path: namespace),
                try !NetworkNamespace.current().isSame(as: pod)
            else { return }
            let inside: NetworkConfigurator
            // A path that is left over when the container is gone is an ordinary file.
            do { inside = try pod.run { try NetworkConfigurator() } } catch { return }
            _ = try removePair(attachment.interface, inside)
        } catch { throw Self.error(error, "the devices of container \(attachment.containerID) can't be removed") }
    }

    /// - Returns: whether there was one.
    private static func removePair(_ name: String, _ configurator: borrowing NetworkConfigurator) throws -> Bool {
        guard configurator.link(name)?.kind == "veth" else { return false }
        do { try configurator.remove(name) } catch {
            // The kernel removes both ends when the namespace of one goes.
            if configurator.link(name) != nil { throw error }
        }
        return true
    }

    /// The attachments of a network that devices outside tell of.
    static func attachments(of network: String) throws(CNIError) -> [Attachment] {
        do {
            return try NetworkConfigurator().links().compactMap { link in
                link.alias.flatMap { AttachmentPlan.attachment(fromAlias: $0, of: network) }
            }
        } catch { throw CNIError(error, "the devices can't be listed") }
    }

    private static func error(_ error: any Error, _ message: String) -> CNIError {
        switch error {
        case let error as CNIError: error
        case let error as NetlinkError: CNIError(error, message)
        case let error as SystemCallError: CNIError(error, message)
        default: CNIError(.network, message, "\(error)")
        }
    }
}

extension IPPrefix {
    /// fe80::/10.
    fileprivate var isLinkLocal: Bool { IPPrefix("fe80::/10")?.contains(address) == true }
}
