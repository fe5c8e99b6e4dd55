/// An address with a prefix length, as `10.98.0.1/24`: a network, or an interface's address in one.
public struct IPPrefix: Hashable, Sendable, CustomStringConvertible {
    /// The address, host bits included.
    public let address: IPAddress
    /// The prefix length in bits.
    public let length: Int

    /// Nil when `length` is negative or beyond the family's.
    public init?(address: IPAddress, length: Int) {
        guard (0...address.bitCount).contains(length) else { return nil }
        self.address = address
        self.length = length
    }

    /// Parses address, slash and length; nil for any other text or a length beyond the family's.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let address = IPAddress(String(parts[0])), let length = UInt8(decimal: parts[1]) else {
            return nil
        }
        self.init(address: address, length: Int(length))
    }

    /// Whether `other` is of the same family and has the same first `length` bits.
    public func contains(_ other: IPAddress) -> Bool {
        switch (address, other) {
        case (.v4(let network), .v4(let other)):
            // Swift's `>>` gives 0 when it shifts everything out, so a length of 0 contains all.
            return (network.rawValue ^ other.rawValue) >> UInt32(32 - length) == 0
        case (.v6(let network), .v6(let other)):
            let high = (network.high ^ other.high) >> UInt64(64 - min(length, 64))
            let low = (network.low ^ other.low) >> UInt64(128 - max(length, 64))
            return high == 0 && low == 0
        case (.v4, .v6), (.v6, .v4):
            return false
        }
    }

    /// The same network with the host bits zero.
    public var network: IPPrefix {
        let masked: IPAddress
        switch address {
        case .v4(let address):
            masked = .v4(IPv4Address(address.rawValue & ~(UInt32.max >> UInt32(length))))
        case .v6(let address):
            masked = .v6(
                IPv6Address(
                    high: address.high & ~(UInt64.max >> UInt64(min(length, 64))),
                    low: address.low & ~(UInt64.max >> UInt64(max(length, 64) - 64))
                )
            )
        }
        return IPPrefix(masked, length)
    }

    /// Whether one of the two contains the other.
    public func overlaps(_ other: IPPrefix) -> Bool {
        length <= other.length ? contains(other.address) : other.contains(address)
    }

    private init(_ address: IPAddress, _ length: Int) {
        self.address = address
        self.length = length
    }

    /// Address, slash and length.
    public var description: String { "\(address)/\(length)" }
}
