import CSodium

/// An Ed25519 key pair (RFC 8032), which signs what a node publishes in a directory, or an operator's roster. It is apart from
/// the X25519 identity, which cannot sign, and stays when that is rotated.
public final class SigningKeyPair: @unchecked Sendable {
    /// Seed and public key, as libsodium wants them.
    private let secret: SecretBytes
    /// The public key.
    public let publicKey: SigningKey

    /// From a seed of 32 secret bytes.
    public init(seed: consuming SecretBytes) {
        precondition(seed.count == 32, "an Ed25519 seed has 32 bytes")
        Sodium.initialize()
        var bytes = [UInt8](repeating: 0, count: SigningKey.length)
        let seed = seed
        secret = SecretBytes(count: 64) { secret in
            let output = secret.cells
            let code = seed.withBytes { crypto_sign_seed_keypair(&bytes, output, $0.cells) }
            precondition(code == 0, "crypto_sign_seed_keypair failed")
        }
        guard let key = SigningKey(bytes: bytes) else { preconditionFailure("an Ed25519 key has 32 bytes") }
        publicKey = key
    }

    /// A new random key pair.
    public convenience init() { self.init(seed: .random(count: 32)) }

    /// Reads a seed in base64; nil for any other text.
    public convenience init?(base64 text: String) {
        guard let seed = SecretBytes.decode(base64: text, count: 32) else { return nil }
        self.init(seed: seed)
    }

    /// Lends the seed as base64, for writing it to its file.
    public func withBase64<Result>(_ body: (String) throws -> Result) rethrows -> Result {
        let seed = secret.withBytes { SecretBytes(copying: UnsafeRawBufferPointer(rebasing: $0.prefix(32))) }
        return try seed.withBase64(body)
    }

    /// Signs a message.
    /// - Returns: 64 bytes.
    public func sign(_ message: [UInt8]) -> [UInt8] {
        var signature = [UInt8](repeating: 0, count: SigningKey.signatureLength)
        _ = secret.withBytes {
            crypto_sign_detached(&signature, nil, message, UInt64(message.count), $0.cells)
        }
        return signature
    }
}

/// An Ed25519 public key (RFC 8032).
public struct SigningKey: Hashable, Sendable, CustomStringConvertible {
    /// Length in bytes.
    public static let length = 32
    /// Length of a signature in bytes.
    public static let signatureLength = 64
    /// The bytes.
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

    /// Whether a signature is this key's of that message.
    public func verifies(_ signature: [UInt8], of message: [UInt8]) -> Bool {
        guard signature.count == Self.signatureLength else { return false }
        return crypto_sign_verify_detached(signature, message, UInt64(message.count), bytes) == 0
    }

    /// Standard base64, 44 characters.
    public var base64: String { bytes.withUnsafeBytes { SecretBytes.encode(base64: $0) } }

    /// Base64.
    public var description: String { base64 }
}
