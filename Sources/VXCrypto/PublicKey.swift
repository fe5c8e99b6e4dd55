import CSodium

/// An X25519 public key (RFC 7748): 32 bytes, little-endian as the RFC has it. A node's identity.
public struct PublicKey: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// Length in bytes.
    public static let length = 32
    /// The bytes as they stand on the wire.
    public let bytes: [UInt8]

    /// Nil when there are not exactly 32 bytes.
    public init?(bytes: [UInt8]) {
        guard bytes.count == Self.length else { return nil }
        self.bytes = bytes
    }

    /// Reads standard base64 of 32 bytes; nil for any other text.
    public init?(base64 text: String) {
        guard let decoded = SecretBytes.decode(base64: text, count: Self.length) else { return nil }
        bytes = decoded.withBytes { [UInt8]($0) }
    }

    /// Standard base64, 44 characters.
    public var base64: String {
        bytes.withUnsafeBytes { SecretBytes.encode(base64: $0) }
    }

    /// Base64, as `wg` shows keys.
    public var description: String { base64 }

    /// The order of the bytes, which settles who yields when both sides initiate at once (protocol.md, 2).
    public static func < (left: PublicKey, right: PublicKey) -> Bool {
        left.bytes.lexicographicallyPrecedes(right.bytes)
    }
}
