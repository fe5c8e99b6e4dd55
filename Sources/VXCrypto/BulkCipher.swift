import CSodium

/// ChaCha20-Poly1305 (RFC 8439) for transport datagrams, by one provider. The bytes are the same whoever computes them.
///
/// Thin C function pointers and a context: no existential, no reference counting, one predictable indirect call a
/// datagram. A value belongs to one thread.
public struct BulkCipher {
    /// Bytes of the tag behind the ciphertext.
    @inlinable
    public static var tagLength: Int { 16 }
    /// Bytes of associated data: the sealed header.
    @inlinable
    public static var headerLength: Int { 16 }

    @usableFromInline typealias Seal =
        @convention(c) (
            UnsafeMutableRawPointer, UnsafeRawPointer, Int, UnsafeRawPointer, UInt64, UnsafePointer<UInt8>
        ) -> Void
    @usableFromInline typealias Open =
        @convention(c) (
            UnsafeMutableRawPointer, Int, UnsafeRawPointer, UInt64, UnsafePointer<UInt8>
        ) -> Bool

    /// The provider's name, as `status` shows it.
    public let name: StaticString
    @usableFromInline let sealFunction: Seal
    @usableFromInline let openFunction: Open

    /// The reference provider, which is always there.
    public static func libsodium() -> BulkCipher {
        Sodium.initialize()
        return BulkCipher(
            name: "libsodium",
            sealFunction: { destination, source, count, header, counter, key in
                withNonce(counter) { nonce in
                    var length: UInt64 = 0
                    _ = crypto_aead_chacha20poly1305_ietf_encrypt(
                        destination.assumingMemoryBound(to: UInt8.self),
                        &length,
                        source.assumingMemoryBound(to: UInt8.self),
                        UInt64(count),
                        header.assumingMemoryBound(to: UInt8.self),
                        UInt64(BulkCipher.headerLength),
                        nil,
                        nonce,
                        key
                    )
                }
            },
            openFunction: { bytes, count, header, counter, key in
                withNonce(counter) { nonce in
                    let cells = bytes.assumingMemoryBound(to: UInt8.self)
                    var length: UInt64 = 0
                    let code = crypto_aead_chacha20poly1305_ietf_decrypt(
                        cells,
                        &length,
                        nil,
                        cells,
                        UInt64(count + BulkCipher.tagLength),
                        header.assumingMemoryBound(to: UInt8.self),
                        UInt64(BulkCipher.headerLength),
                        nonce,
                        key
                    )
                    return code == 0
                }
            }
        )
    }

    /// Seals `count` bytes.
    /// - Parameters:
    ///   - destination: takes the ciphertext and, behind it, the tag; may be `source`.
    ///   - source: the plaintext.
    ///   - count: bytes of plaintext.
    ///   - header: 16 bytes of associated data.
    ///   - counter: makes the nonce; never used twice with one key.
    ///   - key: of the sending lane.
    @inlinable
    @inline(__always)
    @_semantics("no_performance_analysis")
    public func seal(
        into destination: UnsafeMutableRawPointer,
        from source: UnsafeRawPointer,
        count: Int,
        header: UnsafeRawPointer,
        counter: UInt64,
        key: TransportKey
    ) {
        sealFunction(destination, source, count, header, counter, key.bytes)
    }

    /// Opens `count` bytes of ciphertext with the tag behind them, in place.
    /// - Returns: false when the tag does not fit; the bytes are then of no use.
    @inlinable
    @inline(__always)
    @_semantics("no_performance_analysis")
    public func open(
        inPlace bytes: UnsafeMutableRawPointer,
        count: Int,
        header: UnsafeRawPointer,
        counter: UInt64,
        key: TransportKey
    ) -> Bool {
        openFunction(bytes, count, header, counter, key.bytes)
    }
}

/// The Noise ChaChaPoly nonce: four zero bytes, then the counter as 64-bit little-endian.
@inline(__always)
private func withNonce<Result>(_ counter: UInt64, _ body: (UnsafePointer<UInt8>) -> Result) -> Result {
    var nonce: (UInt32, UInt32, UInt32) = (
        0,
        UInt32(truncatingIfNeeded: counter).littleEndian,
        UInt32(truncatingIfNeeded: counter &>> 32).littleEndian
    )
    return withUnsafePointer(to: &nonce) { pointer in
        pointer.withMemoryRebound(to: UInt8.self, capacity: 12) { body($0) }
    }
}
