import VXCrypto

/// "My next key is this one": the body of a successor message (protocol.md, 6), 72 bytes. The proof shows that the sender
/// holds the new key too, so nobody can name another's.
struct SuccessorStatement {
    static let length = 72
    private static let label = Array("vxseal/1 successor".utf8)

    let key: PublicKey
    let sequence: UInt64
    private let proof: [UInt8]

    /// Nil when there are not exactly 72 bytes.
    init?(_ body: [UInt8]) {
        guard body.count == Self.length, let key = PublicKey(bytes: Array(body[0..<32])) else { return nil }
        self.key = key
        sequence = body[32..<40].reduce(0) { $0 << 8 | UInt64($1) }
        proof = Array(body[40...])
    }

    /// The body; nil when the receiver's key is of low order, which no session can have.
    static func make(sender: PublicKey, successor: StaticKeyPair, receiver: PublicKey, sequence: UInt64) -> [UInt8]? {
        guard let shared = successor.sharedSecret(with: receiver) else { return nil }
        let proof = prove(
            shared,
            sender: sender,
            successor: successor.publicKey,
            receiver: receiver,
            sequence: sequence
        )
        return successor.publicKey.bytes + bigEndianBytes(sequence) + proof
    }

    /// Whether the sender holds the new key.
    func isProven(sender: PublicKey, receiver: StaticKeyPair) -> Bool {
        guard let shared = receiver.sharedSecret(with: key) else { return false }
        let expected = Self.prove(
            shared,
            sender: sender,
            successor: key,
            receiver: receiver.publicKey,
            sequence: sequence
        )
        return HandshakeCipher.areEqual(expected, proof)
    }

    static func acknowledgement(of body: [UInt8]) -> [UInt8] { BLAKE2b.hash(body, length: 32) }

    private static func prove(
        _ shared: borrowing SecretBytes,
        sender: PublicKey,
        successor: PublicKey,
        receiver: PublicKey,
        sequence: UInt64
    ) -> [UInt8] {
        let key = unsafe shared.withBytes { unsafe BLAKE2b.hash($0, length: 32) }
        let statement = label + sender.bytes + successor.bytes + receiver.bytes + bigEndianBytes(sequence)
        return BLAKE2b.hash(statement, length: 32, key: key)
    }
}
