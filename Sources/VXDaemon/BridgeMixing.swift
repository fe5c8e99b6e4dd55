import VXNetlink

/// Keeps sealed networks and plaintext ones apart: on a bridge frames would pass from the one to the other.
enum BridgeMixing {
    /// Kinds of devices by which the kernel itself carries frames over IP in the clear.
    private static let plaintextKinds: Set<String> = ["vxlan", "geneve", "gretap", "ip6gretap"]

    /// The ports of a bridge that lead to a plaintext network.
    /// - Parameters:
    ///   - bridge: its interface index.
    ///   - links: all links.
    ///   - plaintextDevices: the devices of this node's networks that are not sealed.
    static func plaintextPorts(of bridge: Int, links: [Link], plaintextDevices: Set<String>) -> [String] {
        links.filter { link in
            link.master == bridge
                && (plaintextDevices.contains(link.name) || link.kind.map(plaintextKinds.contains) == true)
        }.map(\.name)
    }
}
