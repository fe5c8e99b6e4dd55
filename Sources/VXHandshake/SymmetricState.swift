import VXCrypto

/// Noise's SymmetricState (revision 34, 5.2) over BLAKE2b and ChaCha20-Poly1305. The chaining key and the cipher key live
/// in guarded memory; the handshake hash is public.
struct SymmetricState: ~Copyable {
    private var chainingKey: SecretBytes
    private var key: SecretBytes?
    private var counter: UInt64 = 0
    private(set) var hash: [UInt8]

    init(protocolName: String, prologue: [UInt8], responderStatic: PublicKey) {
        let name = Array(protocolName.utf8)
        hash =
            name.count <= BLAKE2b.length
            ? name + [UInt8](repeating: 0, count: BLAKE2b.length - name.count) : BLAKE2b.hash(name)
        chainingKey = SecretBytes(copying: hash)
        key = nil
        mixHash(prologue)
        mixHash(responderStatic.bytes)
    }

    private init(copying other: borrowing SymmetricState) {
        chainingKey = other.chainingKey.copy()
        key = other.key.copy()
        counter = other.counter
        hash = other.hash
    }

    /// A second state at the same point, so that a forged message can fail on it and leave the first intact.
    func copy() -> SymmetricState { SymmetricState(copying: self) }

    mutating func mixHash(_ data: [UInt8]) {
        hash = BLAKE2b.hash(hash + data)
    }

    mutating func mixKey(_ material: borrowing SecretBytes) {
        let outputs = unsafe material.withBytes { unsafe Self.derive(chainingKey, $0, outputs: 2) }
        chainingKey = outputs.part(at: 0, count: BLAKE2b.length)
        key = outputs.part(at: BLAKE2b.length, count: 32)
        counter = 0
    }

    mutating func mixKey(public bytes: [UInt8]) {
        mixKey(SecretBytes(copying: bytes))
    }

    mutating func mixKeyAndHash(_ psk: PresharedKey) {
        let outputs = unsafe psk.withBytes { unsafe Self.derive(chainingKey, $0, outputs: 3) }
        chainingKey = outputs.part(at: 0, count: BLAKE2b.length)
        let middle = outputs.part(at: BLAKE2b.length, count: BLAKE2b.length)
        mixHash(unsafe middle.withBytes { unsafe [UInt8]($0) })
        key = outputs.part(at: 2 * BLAKE2b.length, count: 32)
        counter = 0
    }

    private static func derive(
        _ chainingKey: borrowing SecretBytes,
        _ material: UnsafeRawBufferPointer,
        outputs: Int
    ) -> SecretBytes {
        unsafe HKDFBLAKE2b.derive(chainingKey: chainingKey, inputKeyMaterial: material, outputs: outputs)
    }

    mutating func encryptAndHash(_ plaintext: [UInt8]) -> [UInt8] {
        precondition(key != nil, "a field is sealed before any key was mixed")
        let ciphertext = HandshakeCipher.seal(plaintext, key: key!, counter: counter, associatedData: hash)
        counter += 1
        mixHash(ciphertext)
        return ciphertext
    }

    mutating func decryptAndHash(_ ciphertext: [UInt8]) -> [UInt8]? {
        precondition(key != nil, "a field is opened before any key was mixed")
        guard
            let plaintext = HandshakeCipher.open(ciphertext, key: key!, counter: counter, associatedData: hash)
        else { return nil }
        counter += 1
        mixHash(ciphertext)
        return plaintext
    }

    /// Noise's Split: two outputs of 64 bytes, of which the first 32 of each are the keys, initiator's first.
    func split() -> SecretBytes {
        unsafe Self.derive(chainingKey, UnsafeRawBufferPointer(start: nil, count: 0), outputs: 2)
    }
}

extension SecretBytes {
    /// A copy of some of the bytes in guarded memory of its own.
    fileprivate func part(at offset: Int, count: Int) -> SecretBytes {
        unsafe withBytes { all in
            unsafe SecretBytes(copying: UnsafeRawBufferPointer(rebasing: all[offset..<offset + count]))
        }
    }

    fileprivate func copy() -> SecretBytes { part(at: 0, count: count) }
}

extension Optional where Wrapped == SecretBytes {
    fileprivate func copy() -> SecretBytes? {
        switch self {
        case .some(let secret): secret.copy()
        case .none: nil
        }
    }
}
