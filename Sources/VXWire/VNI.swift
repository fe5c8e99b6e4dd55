/// A VXLAN network identifier: 24 bits (RFC 7348, 5).
public struct VNI: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The identifier, below 2^24.
    public let rawValue: UInt32

    /// Nil when `rawValue` needs more than 24 bits.
    @inlinable
    public init?(_ rawValue: UInt32) {
        guard rawValue < 1 << 24 else { return nil }
        self.rawValue = rawValue
    }

    /// Takes the low 24 bits, for a value that came from a 24-bit field.
    @inlinable
    public init(truncating rawValue: UInt32) {
        self.rawValue = rawValue & 0xff_ffff
    }

    /// Numerical order.
    @inlinable
    public static func < (left: VNI, right: VNI) -> Bool { left.rawValue < right.rawValue }

    /// The number in decimal.
    public var description: String { String(rawValue) }
}
