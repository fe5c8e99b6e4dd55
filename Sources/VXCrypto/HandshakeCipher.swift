import CSodium

/// ChaCha20-Poly1305 (RFC 8439) for handshake fields: any associated data, results in arrays. Transport datagrams go
/// through `BulkCipher`.
public enum HandshakeCipher {
    private static func nonce(_ counter: UInt64) -> [UInt8] {
        [0, 0, 0, 0] + (0..<8).map { UInt8(truncatingIfNeeded: counter >> (8 * $0)) }
    }

    /// Ciphertext with its 16-byte tag behind it.
    /// - Parameters:
    ///   - plaintext: what is sealed.
    ///   - key: 32 bytes.
    ///   - counter: makes the Noise nonce.
    ///   - associatedData: authenticated, not sealed.
    public static func seal(
        _ plaintext: [UInt8],
        key: borrowing SecretBytes,
        counter: UInt64,
        associatedData: [UInt8]
    ) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: plaintext.count + BulkCipher.tagLength) { output, count in
            guard let target = output.baseAddress else { return }
            var length: UInt64 = 0
            key.withBytes { key in
                _ = crypto_aead_chacha20poly1305_ietf_encrypt(
                    target,
                    &length,
                    plaintext,
                    UInt64(plaintext.count),
                    associatedData,
                    UInt64(associatedData.count),
                    nil,
                    nonce(counter),
                    key.cells
                )
            }
            count = Int(length)
        }
    }

    /// The plaintext, or nil when the tag does not fit.
    public static func open(
        _ ciphertext: [UInt8],
        key: borrowing SecretBytes,
        counter: UInt64,
        associatedData: [UInt8]
    ) -> [UInt8]? {
        guard ciphertext.count >= BulkCipher.tagLength else { return nil }
        var isAuthentic = false
        let plaintext = [UInt8](unsafeUninitializedCapacity: ciphertext.count) { output, count in
            guard let target = output.baseAddress else { return }
            var length: UInt64 = 0
            let code = key.withBytes { key in
                crypto_aead_chacha20poly1305_ietf_decrypt(
                    target,
                    &length,
                    nil,
                    ciphertext,
                    UInt64(ciphertext.count),
                    associatedData,
                    UInt64(associatedData.count),
                    nonce(counter),
                    key.cells
                )
            }
            isAuthentic = code == 0
            count = isAuthentic ? Int(length) : 0
        }
        return isAuthentic ? plaintext : nil
    }

    /// Whether two codes are equal, in a time that depends on their length alone.
    public static func areEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        left.count == right.count && sodium_memcmp(left, right, left.count) == 0
    }
}

/// Random numbers from the kernel, through libsodium.
public enum Random {
    /// Any 32-bit number.
    public static func number() -> UInt32 {
        Sodium.initialize()
        return randombytes_random()
    }

    /// A number below `bound`, each equally likely; 0 for a bound of 0.
    public static func number(below bound: UInt32) -> UInt32 {
        Sodium.initialize()
        return randombytes_uniform(bound)
    }
}
