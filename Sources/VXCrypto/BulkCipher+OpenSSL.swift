import CLibcrypto
import CSodium

extension BulkCipher {
    /// OpenSSL's libcrypto, through EVP contexts that live as long as the cipher: setting a key and nonce allocates
    /// nothing.
    ///
    /// A context holds the last key in ordinary memory. EVP_CIPHER_CTX_reset and EVP_CIPHER_CTX_free cleanse it, which
    /// `forgetKey` and the end of the value see to.
    static func openSSL() throws(Refusal) -> BulkCipher {
        guard let contexts = OpenSSLContexts.make() else {
            throw Refusal(
                .openssl,
                "libcrypto gives no ChaCha20-Poly1305",
                "look at its configuration (openssl list -cipher-algorithms), or set cipher: auto"
            )
        }
        return BulkCipher(
            provider: .openssl,
            context: contexts,
            seal: { context, destination, source, count, header, headerCount, nonce, key in
                let output = destination.assumingMemoryBound(to: UInt8.self)
                let tagLength = CInt(BulkCipher.tagLength)
                let context = OpenSSLContexts.at(context).sealing
                var length: CInt = 0
                let isSealed =
                    EVP_EncryptInit_ex(context, nil, nil, key, nonce) == 1
                    && EVP_EncryptUpdate(context, nil, &length, header.cell, CInt(headerCount)) == 1
                    && EVP_EncryptUpdate(context, output, &length, source.cell, CInt(count)) == 1
                    && EVP_EncryptFinal_ex(context, output + count, &length) == 1
                    && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, tagLength, output + count) == 1
                return isSealed || wipeUnsealed(destination, count: count)
            },
            open: { context, bytes, count, header, headerCount, nonce, key in
                let cells = bytes.assumingMemoryBound(to: UInt8.self)
                let tagLength = CInt(BulkCipher.tagLength)
                let context = OpenSSLContexts.at(context).opening
                var length: CInt = 0
                // The last call compares the tags by CRYPTO_memcmp, in constant time.
                let isAuthentic =
                    EVP_DecryptInit_ex(context, nil, nil, key, nonce) == 1
                    && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, tagLength, cells + count) == 1
                    && EVP_DecryptUpdate(context, nil, &length, header.cell, CInt(headerCount)) == 1
                    && EVP_DecryptUpdate(context, cells, &length, cells, CInt(count)) == 1
                    && EVP_DecryptFinal_ex(context, cells + count, &length) == 1
                if !isAuthentic { sodium_memzero(bytes, count) }
                return isAuthentic
            },
            forget: { OpenSSLContexts.at($0).restart() },
            free: { OpenSSLContexts.free($0) }
        )
    }
}

/// One context for each direction, so that none changes its direction.
private struct OpenSSLContexts {
    let algorithm: OpaquePointer
    let sealing: OpaquePointer
    let opening: OpaquePointer

    @inline(__always)
    static func at(_ context: UnsafeMutableRawPointer?) -> OpenSSLContexts {
        context.unsafelyUnwrapped.assumingMemoryBound(to: OpenSSLContexts.self).pointee
    }

    static func make() -> UnsafeMutableRawPointer? {
        guard let algorithm = EVP_CIPHER_fetch(nil, "ChaCha20-Poly1305", nil) else { return nil }
        guard let sealing = EVP_CIPHER_CTX_new() else {
            EVP_CIPHER_free(algorithm)
            return nil
        }
        guard let opening = EVP_CIPHER_CTX_new() else {
            EVP_CIPHER_CTX_free(sealing)
            EVP_CIPHER_free(algorithm)
            return nil
        }
        let contexts = OpenSSLContexts(algorithm: algorithm, sealing: sealing, opening: opening)
        let memory = UnsafeMutablePointer<OpenSSLContexts>.allocate(capacity: 1)
        memory.initialize(to: contexts)
        if contexts.start() { return UnsafeMutableRawPointer(memory) }
        free(memory)
        return nil
    }

    private func start() -> Bool {
        EVP_EncryptInit_ex2(sealing, algorithm, nil, nil, nil) == 1
            && EVP_DecryptInit_ex2(opening, algorithm, nil, nil, nil) == 1
    }

    /// Cleanses both contexts. One that then cannot start again seals and opens nothing.
    func restart() {
        EVP_CIPHER_CTX_reset(sealing)
        EVP_CIPHER_CTX_reset(opening)
        _ = start()
    }

    static func free(_ context: UnsafeMutableRawPointer?) {
        let contexts = at(context)
        EVP_CIPHER_CTX_free(contexts.sealing)
        EVP_CIPHER_CTX_free(contexts.opening)
        EVP_CIPHER_free(contexts.algorithm)
        context?.deallocate()
    }
}

extension UnsafeRawPointer {
    @inline(__always)
    fileprivate var cell: UnsafePointer<UInt8> { assumingMemoryBound(to: UInt8.self) }
}
