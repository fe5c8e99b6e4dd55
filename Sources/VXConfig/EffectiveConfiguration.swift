import VXCrypto
import VXWire

extension NodeConfiguration {
    /// The configuration as it takes effect, defaults filled in, as YAML that loads to the same again. Keys stay in their
    /// files; this node's public key is a comment.
    public var yaml: String {
        var lines = [
            "node: \"\(node)\"", "# publicKey: \(identity.publicKey)", "privateKeyFile: \"\(privateKeyFile)\"",
            "stateDirectory: \"\(stateDirectory)\"", list("listen", listen.map(\.configured)),
            list("plaintextListen", plaintextListen.map(\.configured)),
            "firewallMark: \(firewallMark)", "lanes: \(lanes.map(String.init) ?? "auto")",
            "sourcePorts: \(sourcePorts.rawValue)",
        ]
        if !lanePorts.isEmpty { lines.append("lanePorts: [\(lanePorts.map(\.description).joined(separator: ", "))]") }
        lines.append("busyPoll: \(busyPoll.nanoseconds / 1000)us")
        if let bindDevice { lines.append("bindDevice: \"\(bindDevice)\"") }
        lines.append("sandbox: \(isSandboxed ? "auto" : "off")")
        if let metrics { lines.append("metrics: \"\(metrics.configured)\"") }
        lines += ["adminSocket: \"\(adminSocket)\"", "cipher: \(cipher?.rawValue ?? "auto")", "offloads:"]
        lines += OffloadConfiguration.names.map { "  \($0.name): \(offloads[keyPath: $0.field])" }
        lines.append("networks:")
        for network in networks { lines += network.yaml }
        if !peers.isEmpty { lines.append("peers:") }
        for peer in peers { lines += peer.yaml }
        return lines.joined(separator: "\n") + "\n"
    }
}

private func list(_ name: String, _ values: [some CustomStringConvertible]) -> String {
    "\(name): [\(values.map { "\"\($0)\"" }.joined(separator: ", "))]"
}

extension NetworkConfiguration {
    fileprivate var yaml: [String] {
        var lines = [
            "  - vni: \(vni)", "    mode: \(mode.rawValue)", "    relay: \(relay)",
            "    mtu: \(mtu.map(String.init) ?? "auto")", "    vlanHeadroom: \(vlanHeadroom)",
            "    learning: \(learning)", "    fdbLimit: \(fdbLimit)", "    copyDscp: \(copyDscp)",
            "    neighborSuppression: \(neighborSuppression)",
            "    flood: \(flood.rawValue)", "    bumRate: \(bumRate.map(String.init) ?? "unlimited")",
            "    forwardLinkLocal: \(forwardLinkLocal)", "    " + list("addresses", addresses),
        ]
        if hasDevice { lines.append("    device: \"\(device)\"") }
        if let mac { lines.append("    mac: \"\(mac)\"") }
        if let vlans { lines.append("    vlan: [\(TagListReader.text(of: vlans))]") }
        if let bridge { lines.append("    bridge: \"\(bridge)\"") }
        if allowMixedBridge { lines.append("    allowMixedBridge: true") }
        if !fdb.isEmpty { lines.append("    fdb:") }
        lines += fdb.map {
            "      - {mac: \"\($0.mac)\", peer: \"\($0.peer)\", " + list("addresses", $0.addresses) + "}"
        }
        return lines
    }
}

extension PeerConfiguration {
    fileprivate var yaml: [String] {
        var lines = ["  - name: \"\(name)\""]
        if let sealed {
            lines.append("    publicKey: \"\(sealed.publicKey)\"")
            if let file = sealed.presharedKeyFile { lines.append("    presharedKeyFile: \"\(file)\"") }
            lines.append("    roaming: \(roaming)")
        } else {
            lines.append("    plaintext: true")
        }
        if let endpoint { lines.append("    endpoint: \"\(endpoint.configured)\"") }
        if let keepalive { lines.append("    keepalive: \(keepalive.nanoseconds / 1_000_000_000)s") }
        lines.append("    networks: [\(networks.map(\.description).joined(separator: ", "))]")
        if let allow {
            lines += ["    allow:", "      " + list("macs", allow.macs), "      " + list("prefixes", allow.prefixes)]
            lines.append("      router: \(allow.router)")
        }
        return lines
    }
}
