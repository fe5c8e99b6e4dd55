/// A 32-byte symmetric key that two peers hold beside their identities (Noise `psk`).
public final class PresharedKey: @unchecked Sendable {
    let secret: SecretBytes

    /// From 32 secret bytes.
    public init(secret: consuming SecretBytes) {
        precondition(secret.count == 32, "a preshared key has 32 bytes")
        self.secret = secret
    }

    /// A new random key.
    public convenience init() {
        self.init(secret: .random(count: 32))
    }

    /// Reads base64 of 32 bytes; nil for any other text.
    public convenience init?(base64 text: String) {
        guard let secret = SecretBytes.decode(base64: text, count: 32) else { return nil }
        self.init(secret: secret)
    }

    /// What the handshake mixes in where none is configured: 32 zero bytes (protocol.md, 2).
    public static let none = PresharedKey(
        secret: SecretBytes(count: 32) { $0.initializeMemory(as: UInt8.self, repeating: 0) }
    )

    /// Lends the bytes.
    public func withBytes<Result: ~Copyable>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        secret.withBytes(body)
    }

    /// Lends the key as base64, for writing it to its file.
    public func withBase64<Result>(_ body: (String) throws -> Result) rethrows -> Result {
        try secret.withBase64(body)
    }

    /// BLAKE2b-256 of the key: tells keys apart without showing them.
    public var fingerprint: [UInt8] {
        secret.withBytes { BLAKE2b.hash($0, length: 32) }
    }
}
