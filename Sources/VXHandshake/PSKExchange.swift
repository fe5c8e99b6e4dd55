import VXCrypto
import VXWire

/// One rotation of a preshared key as this node sees it (protocol.md, 6). What must survive a restart, the next
/// generation's key and the numbers it came from, is in the peer's `PSKRecord`.
struct PSKExchange {
    /// Who sends the first number: the side with the smaller static key in the session that carries the message. A rotation
    /// of an identity may turn the two round, so a role is never kept.
    enum Role: UInt8 {
        case proposer = 0
        case answerer = 1
    }

    let generation: UInt8
    /// n_p of a proposal that has no answer yet, of the proposer only.
    var proposerNonce: [UInt8]?
    /// The other side has shown that it stored the key.
    var isConfirmed = false
    var repetition: Repetition

    static let nonceLength = 32
    private static let label = Array("vxseal/1 psk".utf8)

    /// The next generation's key: HMAC-BLAKE2b(psk, "vxseal/1 psk" || g+1 || n_p || n_a), first 32 bytes.
    static func nextKey(_ key: PresharedKey, generation: UInt8, proposer: [UInt8], answerer: [UInt8]) -> PresharedKey {
        let code = authenticate(label + [generation] + proposer + answerer, key: key)
        return unsafe code.withBytes { bytes in
            unsafe PresharedKey(secret: SecretBytes(copying: UnsafeRawBufferPointer(rebasing: bytes[0..<32])))
        }
    }

    /// What shows that a side has stored the key: HMAC-BLAKE2b(psk', "ack" || role), first 32 bytes.
    static func confirmation(_ key: PresharedKey, by role: Role) -> [UInt8] {
        let code = authenticate(Array("ack".utf8) + [role.rawValue], key: key)
        return unsafe code.withBytes { unsafe [UInt8]($0[0..<32]) }
    }

    private static func authenticate(_ input: [UInt8], key: PresharedKey) -> SecretBytes {
        unsafe SecretBytes(count: BLAKE2b.length) { output in
            unsafe key.withBytes { key in
                unsafe input.withUnsafeBytes { unsafe HMACBLAKE2b.authenticate(key: key, $0, into: output) }
            }
        }
    }

    /// 32 fresh random bytes.
    static func nonce() -> [UInt8] { (0..<nonceLength / 4).flatMap { _ in bigEndianBytes(Random.number()) } }
}
