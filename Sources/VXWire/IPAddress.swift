/// An IPv4 address; the first byte on the wire is the most significant.
public struct IPv4Address: Hashable, Sendable {
    /// The address as a number.
    public let rawValue: UInt32

    /// Any 32-bit number is an address.
    @inlinable
    public init(_ rawValue: UInt32) { self.rawValue = rawValue }
}

/// An IPv6 address; the first byte on the wire is the most significant of `high`.
public struct IPv6Address: Hashable, Sendable {
    /// The first eight bytes.
    public let high: UInt64
    /// The last eight bytes.
    public let low: UInt64

    /// From the two halves.
    @inlinable
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }
}

/// An address of either family.
public enum IPAddress: Hashable, Sendable {
    /// IPv4.
    case v4(IPv4Address)
    /// IPv6.
    case v6(IPv6Address)

    /// Which family.
    @inlinable
    public var isIPv6: Bool {
        switch self {
        case .v4: false
        case .v6: true
        }
    }
}

/// A UDP endpoint of the underlay.
public struct Endpoint: Hashable, Sendable {
    /// Where to send to, or where something came from.
    public let address: IPAddress
    /// UDP port, in host order.
    public let port: UInt16
    /// Interface index for a link-local IPv6 address, else 0 (RFC 4007).
    public let scope: UInt32

    /// From its parts.
    @inlinable
    public init(address: IPAddress, port: UInt16, scope: UInt32 = 0) {
        self.address = address
        self.port = port
        self.scope = scope
    }
}

// Written out because the synthesised forms cannot be inlined into the packet path of another module.
extension IPv4Address {
    /// Whether both are the same address.
    @inlinable
    public static func == (left: IPv4Address, right: IPv4Address) -> Bool { left.rawValue == right.rawValue }
}

extension IPv6Address {
    /// Whether both are the same address.
    @inlinable
    public static func == (left: IPv6Address, right: IPv6Address) -> Bool {
        left.high == right.high && left.low == right.low
    }
}

extension IPAddress {
    /// Whether both are the same address of the same family.
    @inlinable
    public static func == (left: IPAddress, right: IPAddress) -> Bool {
        switch (left, right) {
        case (.v4(let left), .v4(let right)): left == right
        case (.v6(let left), .v6(let right)): left == right
        case (.v4, .v6), (.v6, .v4): false
        }
    }
}

extension Endpoint {
    /// Whether both are the same host, whatever the ports: a link-local address is one only on its own link.
    @inlinable
    public func isSameHost(as other: Endpoint) -> Bool { scope == other.scope && address == other.address }

    /// Whether address, port and scope are the same.
    @inlinable
    public static func == (left: Endpoint, right: Endpoint) -> Bool {
        left.port == right.port && left.scope == right.scope && left.address == right.address
    }
}
