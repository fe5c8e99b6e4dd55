import VXCrypto

/// The initiator between its initiation and the response (protocol.md, 2):
///
///     -> e, es, e1, s, ss      made by `init`
///     <- e, ee, ekem1, se, psk read by `finish`
struct InitiatorHandshake: ~Copyable {
    private let pattern: HandshakePattern
    private let identity: StaticKeyPair
    private let ephemeral: StaticKeyPair
    private let kem: MLKEM.KeyPair?
    private let state: SymmetricState
    /// The Noise part of the initiation: e, enc e1, enc s, enc payload.
    let message: [UInt8]

    /// Nil when the peer's key gives an all-zero shared secret, or the KEM refuses its seed.
    init?(
        pattern: HandshakePattern = .vxseal,
        identity: StaticKeyPair,
        peer: PublicKey,
        secrets: consuming HandshakeSecrets,
        payload: [UInt8]
    ) {
        let ephemeral = secrets.ephemeral
        var state = pattern.symmetricState(responderStatic: peer)
        var message = ephemeral.publicKey.bytes
        state.mixHash(ephemeral.publicKey.bytes)
        state.mixKey(public: ephemeral.publicKey.bytes)
        guard let es = ephemeral.sharedSecret(with: peer), let ss = identity.sharedSecret(with: peer) else {
            return nil
        }
        state.mixKey(es)
        var kem: MLKEM.KeyPair?
        if pattern.usesKEM {
            guard let pair = MLKEM.KeyPair(seed: secrets.takeSeed()) else { return nil }
            message += state.encryptAndHash(pair.encapsulationKey)
            kem = consume pair
        }
        message += state.encryptAndHash(identity.publicKey.bytes)
        state.mixKey(ss)
        message += state.encryptAndHash(payload)
        self.pattern = pattern
        self.identity = identity
        self.ephemeral = ephemeral
        self.kem = consume kem
        self.state = state
        self.message = message
    }

    /// Reads the Noise part of a response. A forged one gives nil and leaves this handshake as it is.
    borrowing func finish(_ response: [UInt8], psk: PresharedKey) -> FinishedInitiator? {
        var reader = FieldReader(response)
        var state = state.copy()
        guard let bytes = reader.take(PublicKey.length), let remote = PublicKey(bytes: bytes) else { return nil }
        state.mixHash(bytes)
        state.mixKey(public: bytes)
        guard let ee = ephemeral.sharedSecret(with: remote) else { return nil }
        state.mixKey(ee)
        if pattern.usesKEM {
            guard let sealed = reader.take(MLKEM.ciphertextLength + BulkCipher.tagLength),
                let ciphertext = state.decryptAndHash(sealed), let shared = kem?.decapsulate(ciphertext)
            else { return nil }
            state.mixKey(shared)
        }
        guard let se = identity.sharedSecret(with: remote) else { return nil }
        state.mixKey(se)
        state.mixKeyAndHash(psk)
        guard let payload = state.decryptAndHash(reader.rest()) else { return nil }
        return FinishedInitiator(payload: payload, keys: HandshakeKeys(state, isInitiator: true))
    }
}

/// The initiator after a valid response.
struct FinishedInitiator: ~Copyable {
    let payload: [UInt8]
    let keys: HandshakeKeys

    /// The keys, apart from the rest.
    consuming func takeKeys() -> HandshakeKeys { keys }
}

/// Cuts a message into its fields.
struct FieldReader {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// The next `count` bytes; nil when there are fewer.
    mutating func take(_ count: Int) -> [UInt8]? {
        guard bytes.count - position >= count else { return nil }
        defer { position += count }
        return Array(bytes[position..<position + count])
    }

    /// Everything that is left.
    mutating func rest() -> [UInt8] {
        defer { position = bytes.count }
        return Array(bytes[position...])
    }
}
