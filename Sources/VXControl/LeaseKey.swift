public import VXWire

/// A lease's key below `subnets/` in etcd: `10.5.52.0-24`, or `10.12.13.0-24&fd00:12:13::-56` for both families
/// (flannel, pkg/subnet/subnet.go, `ParseSubnetKey` and `MakeSubnetKey`).
public struct LeaseKey: Sendable, Hashable, CustomStringConvertible {
    /// The subnet of IPv4, host bits zero.
    public let subnet: IPPrefix
    /// The subnet of IPv6, host bits zero.
    public let subnetV6: IPPrefix?

    /// From its subnets; nil where one is of the wrong family.
    public init?(subnet: IPPrefix, subnetV6: IPPrefix? = nil) {
        guard !subnet.address.isIPv6, subnetV6?.address.isIPv6 ?? true else { return nil }
        self.subnet = subnet.network
        self.subnetV6 = subnetV6?.network
    }

    /// Reads a key; nil for any other text, and for one with host bits, which no node writes.
    public init?(_ text: String) {
        let parts = text.split(separator: "&", omittingEmptySubsequences: false)
        guard parts.count <= 2, let first = Self.prefix(parts[0]), !first.address.isIPv6, first == first.network else {
            return nil
        }
        subnet = first
        guard parts.count == 2 else {
            subnetV6 = nil
            return
        }
        guard let second = Self.prefix(parts[1]), second.address.isIPv6, second == second.network else { return nil }
        subnetV6 = second
    }

    private static func prefix(_ text: Substring) -> IPPrefix? {
        guard let dash = text.lastIndex(of: "-"), !text.contains("/") else { return nil }
        return IPPrefix("\(text[..<dash])/\(text[text.index(after: dash)...])")
    }

    /// The key as flannel writes it.
    public var description: String {
        ([subnet] + [subnetV6].compactMap(\.self)).map { "\($0.address)-\($0.length)" }.joined(separator: "&")
    }
}
