public import VXWire

extension NodeConfiguration {
    /// What the sealed port is bound to: `[::]` alone stands for both families, each on sockets of its own.
    public var sealedEndpoints: [Endpoint] { Self.bothFamilies(listen) }

    /// What the plaintext port is bound to, as for the sealed one; opened only with `hasPlaintext`.
    public var plaintextEndpoints: [Endpoint] { Self.bothFamilies(plaintextListen) }

    /// Whether any network takes standard VXLAN.
    public var hasPlaintext: Bool { networks.contains { $0.mode != .sealed } }

    private static func bothFamilies(_ listen: [Endpoint]) -> [Endpoint] {
        let any = IPAddress.v6(IPv6Address(high: 0, low: 0))
        guard let first = listen.first, listen.count == 1, first.address == any else { return listen }
        return [Endpoint(address: .v4(IPv4Address(0)), port: first.port), first]
    }
}
