package import VXNetlink
package import VXWire

/// What CHECK compares: the result of ADD with what is there now.
package enum AttachmentCheck {
    /// What is there.
    package struct Observation: Equatable, Sendable {
        /// Of the pod's interface; nil where that is gone.
        package var mac: MACAddress?
        /// Likewise.
        package var isUp: Bool?
        package var addresses: [IPPrefix]
        package var routes: [DeviceRoute]
        /// The device outside; nil where it is gone.
        package var outside: String?
        package var isInBridge: Bool
        package var bridgeAddresses: [IPPrefix]
        /// The node's routes by the device outside.
        package var nodeRoutes: [IPPrefix]

        package init(
            mac: MACAddress?,
            isUp: Bool?,
            addresses: [IPPrefix],
            routes: [DeviceRoute],
            outside: String?,
            isInBridge: Bool,
            bridgeAddresses: [IPPrefix],
            nodeRoutes: [IPPrefix]
        ) {
            self.mac = mac
            self.isUp = isUp
            self.addresses = addresses
            self.routes = routes
            self.outside = outside
            self.isInBridge = isInBridge
            self.bridgeAddresses = bridgeAddresses
            self.nodeRoutes = nodeRoutes
        }
    }

    /// Everything that differs, in words.
    /// - Parameters:
    ///   - result: the last plugin's.
    ///   - attachment: whose.
    ///   - namespace: of the container.
    package static func differences(
        _ result: AttachmentResult,
        _ attachment: Attachment,
        namespace: String,
        mode: PluginConfiguration.Mode,
        bridge: String,
        _ found: Observation
    ) -> [String] {
        var differences: [String] = []
        let name = attachment.interface
        guard let index = result.interfaces.firstIndex(where: { $0.name == name && $0.sandbox == namespace }) else {
            return ["prevResult has no interface \(name) in \(namespace)"]
        }
        if found.isUp == nil { return ["the container has no interface \(name)"] }
        if found.isUp == false { differences.append("\(name) is down") }
        let mac = result.interfaces[index].mac
        if !mac.isEmpty, MACAddress(mac) != found.mac {
            differences.append("\(name) has the MAC address \(found.mac.map { "\($0)" } ?? "none"), not \(mac)")
        }
        let addresses = result.addresses.filter { $0.interface ?? index == index }
        for address in addresses where !found.addresses.contains(address.prefix) {
            differences.append("\(name) has no address \(address.prefix)")
        }
        for route in result.routes {
            let isThere = found.routes.contains {
                $0.destination == route.destination.network && (route.gateway == nil || $0.gateway == route.gateway)
            }
            if !isThere { differences.append("\(name) has no route to \(route.destination)") }
        }
        if found.outside == nil {
            return differences + ["the node has no device \(attachment.hostInterface)"]
        }
        for address in addresses {
            switch mode {
            case .bridge:
                guard let gateway = address.gateway else { continue }
                if !found.bridgeAddresses.contains(where: { $0.address == gateway }) {
                    differences.append("the bridge \(bridge) has no address \(gateway)")
                }
            case .routed:
                if !found.nodeRoutes.contains(address.prefix) {
                    differences.append("the node has no route to \(address.prefix) by \(attachment.hostInterface)")
                }
            }
        }
        if mode == .bridge, !found.isInBridge {
            differences.append("\(attachment.hostInterface) is not in the bridge \(bridge)")
        }
        return differences
    }
}
