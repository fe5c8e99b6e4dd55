import VXCrypto

/// One of the node's static keys, with what is derived from it once. During a rotation there are two.
struct LocalIdentity {
    let keyPair: StaticKeyPair
    let mac1Key: [UInt8]
    let cookieKey: [UInt8]

    init(_ keyPair: StaticKeyPair) {
        self.keyPair = keyPair
        mac1Key = HandshakeMessage.mac1Key(for: keyPair.publicKey)
        cookieKey = HandshakeMessage.cookieKey(for: keyPair.publicKey)
    }

    var publicKey: PublicKey { keyPair.publicKey }
}
