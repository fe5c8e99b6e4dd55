private import Crypto
private import Foundation

/// ML-KEM-768 (FIPS 203) from swift-crypto.
public enum MLKEM {
    /// Bytes of an encapsulation key.
    public static let encapsulationKeyLength = 1184
    /// Bytes of a ciphertext.
    public static let ciphertextLength = 1088
    /// Bytes of a key pair's seed, d || z (FIPS 203, 7.1).
    public static let seedLength = 64

    /// A key pair of one handshake. It holds the seed in guarded memory and expands it when it is used.
    public struct KeyPair: ~Copyable {
        private let seed: SecretBytes
        /// The encapsulation key, for the other side.
        public let encapsulationKey: [UInt8]

        /// From a 64-byte seed; nil when the library refuses it.
        public init?(seed: consuming SecretBytes) {
            guard let key = Self.expand(seed) else { return nil }
            encapsulationKey = [UInt8](key.publicKey.rawRepresentation)
            self.seed = seed
        }

        private static func expand(_ seed: borrowing SecretBytes) -> MLKEM768.PrivateKey? {
            seed.withBytes { bytes in
                try? MLKEM768.PrivateKey(seedRepresentation: Data(bytes), publicKey: nil)
            }
        }

        /// The shared secret of a ciphertext; nil for one of a wrong length. A ciphertext that was made for another key
        /// gives a secret that nobody shares (implicit rejection).
        public func decapsulate(_ ciphertext: [UInt8]) -> SecretBytes? {
            guard let shared = try? Self.expand(seed)?.decapsulate(ciphertext) else { return nil }
            return SecretBytes(copying: shared)
        }
    }

    /// A fresh shared secret for an encapsulation key; nil when the key is not valid.
    public static func encapsulate(to key: [UInt8]) -> (sharedSecret: SharedSecret, ciphertext: [UInt8])? {
        guard let publicKey = try? MLKEM768.PublicKey(rawRepresentation: key),
            let result = try? publicKey.encapsulate()
        else { return nil }
        return (SharedSecret(SecretBytes(copying: result.sharedSecret)), [UInt8](result.encapsulated))
    }

    /// Carries a secret through a tuple, which cannot hold a non-copyable value.
    public final class SharedSecret: @unchecked Sendable {
        private let secret: SecretBytes

        init(_ secret: consuming SecretBytes) { self.secret = secret }

        /// Lends the bytes.
        public func withBytes<Result: ~Copyable>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
            secret.withBytes(body)
        }
    }
}

extension SecretBytes {
    /// swift-crypto's key type, copied into guarded memory. (Its closure cannot return a non-copyable value.)
    fileprivate init(copying key: SymmetricKey) {
        self.init(count: key.bitCount / 8) { target in key.withUnsafeBytes { target.copyMemory(from: $0) } }
    }
}
