extension Endpoint: CustomStringConvertible {
    /// Parses `192.0.2.2:47890`, `[fd00::1]:47890` or, with a numeric scope on a link-local address,
    /// `[fe80::1%3]:47890`; nil for any other text.
    public init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(decimal: text[text.index(after: colon)...]) else {
            return nil
        }
        let host = text[..<colon]
        guard host.first == "[", host.last == "]" else {
            guard let address = IPv4Address(String(host)) else { return nil }
            self.init(address: .v4(address), port: port)
            return
        }
        let parts = host.dropFirst().dropLast().split(separator: "%", omittingEmptySubsequences: false)
        guard let first = parts.first, parts.count <= 2, let address = IPv6Address(String(first)) else { return nil }
        var scope: UInt32 = 0
        if parts.count == 2 {
            // The kernel reports no scope for other addresses, so an endpoint with one would never compare equal.
            guard address.isLinkLocal, let number = UInt32(decimal: parts[1]), number > 0 else { return nil }
            scope = number
        }
        self.init(address: .v6(address), port: port, scope: scope)
    }

    /// Address and port, an IPv6 address in brackets.
    public var description: String {
        switch address {
        case .v4(let address): "\(address):\(port)"
        case .v6(let address): scope == 0 ? "[\(address)]:\(port)" : "[\(address)%\(scope)]:\(port)"
        }
    }
}

extension IPv6Address {
    /// In fe80::/10 (RFC 4291, 2.5.6).
    public var isLinkLocal: Bool { high >> 54 == 0xfe80 >> 6 }
}
