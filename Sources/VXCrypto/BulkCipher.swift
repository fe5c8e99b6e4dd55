import CSodium

/// ChaCha20-Poly1305 (RFC 8439) for transport datagrams, by one provider. The bytes are the same whoever computes them.
///
/// Thin C function pointers and a context: no existential, no reference counting, no allocation, one predictable
/// indirect call a datagram. The context is one thread's working memory, so a value belongs to one thread at a time and
/// cannot be copied; it goes with its owner, wiped where it held a key.
public struct BulkCipher: ~Copyable, @unchecked Sendable {
    /// Bytes of the tag behind the ciphertext.
    @inlinable
    public static var tagLength: Int { 16 }
    /// Bytes of associated data: the sealed header.
    @inlinable
    public static var headerLength: Int { 16 }

    /// The provider's working memory; the libsodium provider has none.
    @usableFromInline typealias Context = UnsafeMutableRawPointer
    /// Seals: destination, source, count, associated data and its count, 12-byte nonce, 32-byte key.
    @usableFromInline typealias Seal =
        @convention(c) (
            Context?, UnsafeMutableRawPointer, UnsafeRawPointer, Int, UnsafeRawPointer, Int, UnsafePointer<UInt8>,
            UnsafePointer<UInt8>
        ) -> Bool
    /// Opens in place, or wipes: bytes, count, associated data and its count, 12-byte nonce, 32-byte key.
    @usableFromInline typealias Open =
        @convention(c) (
            Context?, UnsafeMutableRawPointer, Int, UnsafeRawPointer, Int, UnsafePointer<UInt8>, UnsafePointer<UInt8>
        ) -> Bool

    /// Who computes.
    public let provider: Provider
    @usableFromInline let context: Context?
    @usableFromInline let sealFunction: Seal
    @usableFromInline let openFunction: Open
    private let forgetFunction: @convention(c) (Context?) -> Void
    private let freeFunction: @convention(c) (Context?) -> Void

    /// From a provider's functions.
    init(
        provider: Provider,
        context: Context? = nil,
        seal: Seal,
        open: Open,
        forget: @convention(c) (Context?) -> Void = { _ in },
        free: @convention(c) (Context?) -> Void = { _ in }
    ) {
        self.provider = provider
        self.context = context
        sealFunction = seal
        openFunction = open
        forgetFunction = forget
        freeFunction = free
    }

    deinit { freeFunction(context) }

    /// Seals `count` bytes.
    /// - Parameters:
    ///   - destination: takes the ciphertext and, right behind it, the tag; is `source`, or does not overlap it.
    ///   - source: the plaintext, at any alignment.
    ///   - count: bytes of plaintext.
    ///   - header: 16 bytes of associated data.
    ///   - counter: makes the nonce; never used twice with one key.
    ///   - key: of the sending lane.
    /// - Returns: false when the provider failed, which none is known to do: the destination then holds zeros, and the
    ///   datagram must not leave.
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
    ) -> Bool {
        withNonce(counter) { nonce in
            sealFunction(context, destination, source, count, header, Self.headerLength, nonce, key.bytes)
        }
    }

    /// Opens `count` bytes of ciphertext with the tag behind them, in place.
    /// - Returns: false when the tag does not fit; the bytes are then wiped.
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
        withNonce(counter) { nonce in
            openFunction(context, bytes, count, header, Self.headerLength, nonce, key.bytes)
        }
    }

    /// Wipes what the context still holds of the last key. For the moment when a session's keys are erased.
    @inline(never)
    @_semantics("no_performance_analysis")
    public func forgetKey() { forgetFunction(context) }
}

/// Lends the Noise ChaChaPoly nonce: four zero bytes, then the counter as 64-bit little-endian.
@inlinable
@inline(__always)
func withNonce(_ counter: UInt64, _ body: (UnsafePointer<UInt8>) -> Bool) -> Bool {
    var nonce: (UInt32, UInt32, UInt32) = (
        0,
        UInt32(truncatingIfNeeded: counter).littleEndian,
        UInt32(truncatingIfNeeded: counter &>> 32).littleEndian
    )
    return withUnsafePointer(to: &nonce) { pointer in
        pointer.withMemoryRebound(to: UInt8.self, capacity: 12) { body($0) }
    }
}

/// What every provider does when sealing failed: zeros in place of whatever stands where a datagram was to be.
@inline(never)
func wipeUnsealed(_ destination: UnsafeMutableRawPointer, count: Int) -> Bool {
    sodium_memzero(destination, count + BulkCipher.tagLength)
    return false
}
