import CSodium

extension BulkCipher {
    /// The reference provider, which is always there. Keeps nothing between calls.
    public static func libsodium() -> BulkCipher {
        Sodium.initialize()
        return BulkCipher(
            provider: .libsodium,
            seal: { _, destination, source, count, header, headerCount, nonce, key in
                var length: UInt64 = 0
                let code = crypto_aead_chacha20poly1305_ietf_encrypt(
                    destination.assumingMemoryBound(to: UInt8.self),
                    &length,
                    source.assumingMemoryBound(to: UInt8.self),
                    UInt64(count),
                    header.assumingMemoryBound(to: UInt8.self),
                    UInt64(headerCount),
                    nil,
                    nonce,
                    key
                )
                return code == 0 || wipeUnsealed(destination, count: count)
            },
            open: { _, bytes, count, header, headerCount, nonce, key in
                let cells = bytes.assumingMemoryBound(to: UInt8.self)
                var length: UInt64 = 0
                // Checks the tag before it decrypts, and zeroes the bytes when it does not fit.
                let code = crypto_aead_chacha20poly1305_ietf_decrypt(
                    cells,
                    &length,
                    nil,
                    cells,
                    UInt64(count + BulkCipher.tagLength),
                    header.assumingMemoryBound(to: UInt8.self),
                    UInt64(headerCount),
                    nonce,
                    key
                )
                return code == 0
            }
        )
    }
}
