import CSodium

/// A private X25519 key with its public key: a node's identity, or one handshake's ephemeral.
public final class StaticKeyPair: @unchecked Sendable {
    private let secret: SecretBytes
    /// The public key.
    public let publicKey: PublicKey

    /// From 32 secret bytes.
    public init(secret: consuming SecretBytes) {
        precondition(secret.count == 32, "an X25519 key has 32 bytes")
        var bytes = [UInt8](repeating: 0, count: PublicKey.length)
        let code = secret.withBytes { crypto_scalarmult_base(&bytes, $0.cells) }
        guard code == 0, let key = PublicKey(bytes: bytes) else { preconditionFailure("crypto_scalarmult_base failed") }
        publicKey = key
        self.secret = secret
    }

    /// A new random key pair.
    public convenience init() {
        self.init(secret: .random(count: 32))
    }

    /// Reads base64 of 32 bytes; nil for any other text.
    public convenience init?(base64 text: String) {
        guard let secret = SecretBytes.decode(base64: text, count: 32) else { return nil }
        self.init(secret: secret)
    }

    /// Lends the private key as base64, for writing it to its file.
    public func withBase64<Result>(_ body: (String) throws -> Result) rethrows -> Result {
        try secret.withBase64(body)
    }

    /// X25519 with another's public key; nil when the result is all zeros, which a handshake must refuse
    /// (RFC 7748, 6.1; protocol.md, 2).
    public func sharedSecret(with key: PublicKey) -> SecretBytes? {
        var isValid = false
        let shared = SecretBytes(count: 32) { bytes in
            let output = bytes.cells
            let code = secret.withBytes { secret in
                crypto_scalarmult(output, secret.cells, key.bytes)
            }
            isValid = code == 0 && sodium_is_zero(output, 32) == 0
        }
        if isValid { return shared }
        return nil
    }
}
