import CSodium

/// BLAKE2b (RFC 7693) and the constructions that Noise builds on it.
public enum BLAKE2b {
    /// Bytes of a full hash.
    public static let length = 64
    /// Bytes of a block, which HMAC pads its key to.
    static let blockLength = 128

    /// A hash of `length` bytes, 16 to 64, keyed if a key of at most 64 bytes is given.
    public static func hash(_ input: UnsafeRawBufferPointer, length: Int = BLAKE2b.length, key: [UInt8] = []) -> [UInt8]
    {
        Sodium.initialize()
        return [UInt8](unsafeUninitializedCapacity: length) { output, count in
            let code = crypto_generichash(
                output.baseAddress!,
                length,
                input.cells,
                UInt64(input.count),
                key.isEmpty ? nil : key,
                key.count
            )
            precondition(code == 0, "a hash length or key length beyond BLAKE2b's")
            count = length
        }
    }

    /// A hash of bytes in an array.
    public static func hash(_ input: [UInt8], length: Int = BLAKE2b.length, key: [UInt8] = []) -> [UInt8] {
        input.withUnsafeBytes { hash($0, length: length, key: key) }
    }
}

/// HMAC (RFC 2104) over BLAKE2b-512 with its 128-byte block, as Noise (revision 34, 4.3) asks; not BLAKE2b's own keyed
/// mode.
public enum HMACBLAKE2b {
    /// Writes the 64-byte code of the pieces, one after the other, to `output`.
    public static func authenticate(
        key: UnsafeRawBufferPointer,
        _ pieces: UnsafeRawBufferPointer...,
        into output: UnsafeMutableRawBufferPointer
    ) {
        Sodium.initialize()
        precondition(output.count == BLAKE2b.length && key.count <= BLAKE2b.blockLength, "HMAC-BLAKE2b sizes")
        // The state wants 64-byte alignment, which its C declaration keeps from Swift.
        withUnsafeTemporaryAllocation(byteCount: crypto_generichash_statebytes(), alignment: 64) { memory in
            withUnsafeTemporaryAllocation(byteCount: BLAKE2b.blockLength, alignment: 16) { pad in
                let state = OpaquePointer(memory.cells)
                func update(_ bytes: UnsafeRawBufferPointer) {
                    crypto_generichash_update(state, bytes.cells, UInt64(bytes.count))
                }
                func start(_ filler: UInt8) {
                    for place in 0..<pad.count { pad[place] = (place < key.count ? key[place] : 0) ^ filler }
                    crypto_generichash_init(state, nil, 0, BLAKE2b.length)
                    update(UnsafeRawBufferPointer(pad))
                }
                start(0x36)
                for piece in pieces { update(piece) }
                crypto_generichash_final(state, output.cells, BLAKE2b.length)
                start(0x5c)
                update(UnsafeRawBufferPointer(output))
                crypto_generichash_final(state, output.cells, BLAKE2b.length)
                sodium_memzero(pad.cells, pad.count)
                sodium_memzero(memory.cells, memory.count)
            }
        }
    }
}

/// Noise's HKDF (revision 34, 4.3) over HMAC-BLAKE2b: 64-byte outputs, side by side in guarded memory.
public enum HKDFBLAKE2b {
    /// Two or three outputs of 64 bytes each.
    public static func derive(
        chainingKey: borrowing SecretBytes,
        inputKeyMaterial: UnsafeRawBufferPointer,
        outputs: Int
    ) -> SecretBytes {
        precondition(outputs == 2 || outputs == 3, "Noise's HKDF gives two or three outputs")
        let size = BLAKE2b.length
        return chainingKey.withBytes { chainingKey in
            SecretBytes(count: outputs * size) { all in
                withUnsafeTemporaryAllocation(byteCount: size, alignment: 16) { temporary in
                    HMACBLAKE2b.authenticate(key: chainingKey, inputKeyMaterial, into: temporary)
                    let key = UnsafeRawBufferPointer(temporary)
                    for number in 0..<outputs {
                        let previous = UnsafeRawBufferPointer(
                            rebasing: all[max(number - 1, 0) * size..<(number == 0 ? 0 : number * size)]
                        )
                        let output = UnsafeMutableRawBufferPointer(rebasing: all[number * size..<(number + 1) * size])
                        let label: InlineArray<1, UInt8> = [UInt8(number + 1)]
                        label.span.withUnsafeBytes { label in
                            HMACBLAKE2b.authenticate(key: key, previous, label, into: output)
                        }
                    }
                    sodium_memzero(temporary.cells, temporary.count)
                }
            }
        }
    }
}
