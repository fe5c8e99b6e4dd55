/// A 48-bit IEEE 802 MAC address, held in the low 48 bits; the first byte on the wire is the most significant.
public struct MACAddress: Hashable, Sendable {
    /// The address as a number, always below 2^48.
    public let rawValue: UInt64

    /// Takes the low 48 bits of `rawValue`.
    @inlinable
    public init(_ rawValue: UInt64) {
        self.rawValue = rawValue & 0xffff_ffff_ffff
    }

    /// ff:ff:ff:ff:ff:ff.
    public static let broadcast = MACAddress(0xffff_ffff_ffff)

    /// The group bit (IEEE 802-2014, 8.2.2): set for broadcast and multicast.
    @inlinable
    public var isMulticast: Bool { rawValue & 0x0100_0000_0000 != 0 }

    /// The all-zero address, which no station may have.
    @inlinable
    public var isZero: Bool { rawValue == 0 }

    /// 01:80:c2:00:00:00 to 0f, the addresses no bridge forwards (IEEE 802.1Q-2022, table 8-1).
    @inlinable
    public var isLinkLocal: Bool { rawValue & 0xffff_ffff_fff0 == 0x0180_c200_0000 }

    /// Parses six hexadecimal bytes divided by colons; nil for any other text.
    public init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 6 else { return nil }
        var value: UInt64 = 0
        for part in parts {
            guard part.utf8.count == 2, let byte = UInt8(hexadecimal: part) else { return nil }
            value = value << 8 | UInt64(byte)
        }
        self.init(value)
    }
}

extension MACAddress: CustomStringConvertible {
    /// Six lower-case hexadecimal bytes divided by colons.
    public var description: String {
        stride(from: 40, through: 0, by: -8).map { shift in
            let byte = UInt8(truncatingIfNeeded: rawValue >> UInt64(shift))
            return (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }.joined(separator: ":")
    }
}
