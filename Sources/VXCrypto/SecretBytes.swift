import CSodium
import Glibc

/// Secret bytes in guarded memory (`GuardedMemory`): locked, left out of core dumps, gone in forked children, read-only once
/// filled, wiped when the owner goes.
///
/// Non-copyable, so that a secret stands in one place. Never described, never part of an error.
public struct SecretBytes: ~Copyable, @unchecked Sendable {
    private let slot: GuardedMemory.Slot
    /// How many bytes.
    public let count: Int

    private var base: UnsafeMutableRawPointer { slot.base }

    /// Takes memory, has `fill` write the bytes, then makes them read-only.
    public init(count: Int, filledBy fill: (UnsafeMutableRawBufferPointer) -> Void) {
        guard let slot = GuardedMemory.shared.take(count) else {
            preconditionFailure("no guarded memory: raise vm.max_map_count or the memory limit")
        }
        self.slot = slot
        self.count = count
        fill(UnsafeMutableRawBufferPointer(start: slot.base, count: count))
        GuardedMemory.shared.endWriting(slot)
    }

    /// Makes sure that a handshake's secrets find memory, so that what a peer sends never ends the process.
    /// - Returns: false when there is none: refuse the work.
    public static func reserve() -> Bool { GuardedMemory.shared.reserve() }

    /// A copy of bytes that stand elsewhere; whoever holds them wipes them.
    public init(copying bytes: UnsafeRawBufferPointer) {
        self.init(count: bytes.count) { $0.copyMemory(from: bytes) }
    }

    /// A copy of bytes that are not secret, where a secret is asked for.
    public init(copying bytes: [UInt8]) {
        self.init(count: bytes.count) { $0.copyBytes(from: bytes) }
    }

    /// Fresh random bytes.
    public static func random(count: Int) -> SecretBytes {
        SecretBytes(count: count) { randombytes_buf($0.cells, $0.count) }
    }

    deinit { GuardedMemory.shared.giveBack(slot) }

    /// Lends the bytes.
    @inlinable
    public borrowing func withBytes<Result: ~Copyable, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(lent)
    }

    @usableFromInline var lent: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    /// Whether two secrets are equal, in a time that depends on their length alone.
    public static func areEqual(_ left: borrowing SecretBytes, _ right: borrowing SecretBytes) -> Bool {
        left.count == right.count && sodium_memcmp(left.base, right.base, left.count) == 0
    }

    /// Reads base64 of exactly `count` bytes; nil for any other text.
    static func decode(base64 text: String, count: Int) -> SecretBytes? {
        Sodium.initialize()
        var valid = false
        let secret = SecretBytes(count: count) { bytes in
            var length = 0
            var end: UnsafePointer<CChar>?
            let code = text.withCString { source in
                let size = strlen(source)
                let code = sodium_base642bin(
                    bytes.cells,
                    count,
                    source,
                    size,
                    nil,
                    &length,
                    &end,
                    sodium_base64_VARIANT_ORIGINAL
                )
                return code == 0 && end == source + size
            }
            valid = code && length == count
        }
        if valid { return secret }
        return nil
    }

    /// Lends the bytes as base64 text.
    borrowing func withBase64<Result>(_ body: (String) throws -> Result) rethrows -> Result {
        try body(Self.encode(base64: lent))
    }

    /// Base64 of bytes that need not be secret.
    static func encode(base64 bytes: UnsafeRawBufferPointer) -> String {
        let size = sodium_base64_encoded_len(bytes.count, sodium_base64_VARIANT_ORIGINAL)
        return String(unsafeUninitializedCapacity: size) { buffer in
            buffer.withMemoryRebound(to: CChar.self) { characters in
                guard let first = characters.baseAddress else { return }
                sodium_bin2base64(first, size, bytes.cells, bytes.count, sodium_base64_VARIANT_ORIGINAL)
            }
            return size - 1
        }
    }
}
