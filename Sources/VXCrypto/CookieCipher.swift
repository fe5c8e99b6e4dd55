import CSodium

/// XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) for cookie replies: a random nonce of 24 bytes needs no state.
public enum CookieCipher {
    /// Bytes of a nonce.
    public static var nonceLength: Int { 24 }

    /// A fresh random nonce and the ciphertext with its 16-byte tag behind it.
    public static func seal(
        _ plaintext: [UInt8],
        key: [UInt8],
        associatedData: [UInt8]
    ) -> (nonce: [UInt8], ciphertext: [UInt8]) {
        Sodium.initialize()
        precondition(key.count == 32, "an XChaCha20 key has 32 bytes")
        let nonce = [UInt8](unsafeUninitializedCapacity: nonceLength) { bytes, count in
            randombytes_buf(bytes.baseAddress!, nonceLength)
            count = nonceLength
        }
        let ciphertext = [UInt8](unsafeUninitializedCapacity: plaintext.count + BulkCipher.tagLength) { output, count in
            var length: UInt64 = 0
            _ = crypto_aead_xchacha20poly1305_ietf_encrypt(
                output.baseAddress!,
                &length,
                plaintext,
                UInt64(plaintext.count),
                associatedData,
                UInt64(associatedData.count),
                nil,
                nonce,
                key
            )
            count = Int(length)
        }
        return (nonce, ciphertext)
    }

    /// The plaintext, or nil when the tag does not fit or the nonce is of another length.
    public static func open(
        _ ciphertext: [UInt8],
        nonce: [UInt8],
        key: [UInt8],
        associatedData: [UInt8]
    ) -> [UInt8]? {
        precondition(key.count == 32, "an XChaCha20 key has 32 bytes")
        guard ciphertext.count >= BulkCipher.tagLength, nonce.count == nonceLength else { return nil }
        var isAuthentic = false
        let plaintext = [UInt8](unsafeUninitializedCapacity: ciphertext.count) { output, count in
            var length: UInt64 = 0
            let code = crypto_aead_xchacha20poly1305_ietf_decrypt(
                output.baseAddress!,
                &length,
                nil,
                ciphertext,
                UInt64(ciphertext.count),
                associatedData,
                UInt64(associatedData.count),
                nonce,
                key
            )
            isAuthentic = code == 0
            count = isAuthentic ? Int(length) : 0
        }
        return isAuthentic ? plaintext : nil
    }
}
