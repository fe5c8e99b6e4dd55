import VXWire

/// The configuration that the address plugin (IPAM) is given: the network's own, with `ipam` made whole.
package enum AddressRequest {
    /// For ADD, and for whatever comes later of the same attachment.
    package static func configuration(_ network: PluginConfiguration, subnet: SubnetEnvironment) -> [String: JSON] {
        var ipam = defaults(network)
        if ipam["type"]?.text == hostLocal {
            if ipam["ranges"] == nil, ipam["subnet"] == nil {
                ipam["ranges"] = .list(subnet.subnets.map { .list([.object(["subnet": .text("\($0.network)")])]) })
            }
            if ipam["routes"] == nil {
                ipam["routes"] = .list(subnet.networks.map { .object(["dst": .text("\($0)")]) })
            }
        }
        return with(ipam, network)
    }

    /// For DEL and GC when neither the record of ADD nor the agent's file is there.
    package static func configurationWithoutSubnet(_ network: PluginConfiguration) -> [String: JSON] {
        var ipam = defaults(network)
        if ipam["type"]?.text == hostLocal, ipam["ranges"] == nil, ipam["subnet"] == nil {
            // host-local releases by container and interface, whatever the range, but wants one: TEST-NET-1 of RFC 5737.
            ipam["ranges"] = .list([.list([.object(["subnet": .text("192.0.2.0/24")])])])
        }
        return with(ipam, network)
    }

    private static let hostLocal = "host-local"

    private static func defaults(_ network: PluginConfiguration) -> [String: JSON] {
        var ipam = network.ipam
        if ipam["type"] == nil { ipam["type"] = .text(hostLocal) }
        if ipam["type"]?.text == hostLocal, ipam["dataDir"] == nil {
            ipam["dataDir"] = .text(network.dataDirectory + "/addresses")
        }
        return ipam
    }

    private static func with(_ ipam: [String: JSON], _ network: PluginConfiguration) -> [String: JSON] {
        var object = network.object
        object["ipam"] = .object(ipam)
        return object
    }
}
