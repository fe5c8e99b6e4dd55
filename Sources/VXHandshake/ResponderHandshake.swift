import VXCrypto

// The responder reads an initiation in two steps, so that a stranger costs one Diffie-Hellman and no state:
//
//     ReceivedInitiation         e, es, e1, s   — who is it?       → the caller looks the key up
//     AuthenticatedInitiation    ss, payload    — is it really?    → the caller checks the timestamp
//     FinishedResponder          the response and the keys

/// An initiation up to the initiator's static key, which is decrypted and not yet proven.
struct ReceivedInitiation: ~Copyable {
    fileprivate let pattern: HandshakePattern
    fileprivate let identity: StaticKeyPair
    fileprivate let remoteEphemeral: PublicKey
    fileprivate let encapsulationKey: [UInt8]
    fileprivate let state: SymmetricState
    fileprivate let sealedPayload: [UInt8]
    /// Who the initiator says it is.
    let remoteStatic: PublicKey

    /// Reads the Noise part of an initiation; nil when it does not authenticate.
    init?(_ message: [UInt8], pattern: HandshakePattern = .vxseal, identity: StaticKeyPair) {
        var reader = FieldReader(message)
        var state = pattern.symmetricState(responderStatic: identity.publicKey)
        guard let bytes = reader.take(PublicKey.length), let ephemeral = PublicKey(bytes: bytes) else { return nil }
        state.mixHash(bytes)
        state.mixKey(public: bytes)
        guard let es = identity.sharedSecret(with: ephemeral) else { return nil }
        state.mixKey(es)
        var encapsulationKey: [UInt8] = []
        if pattern.usesKEM {
            guard let sealed = reader.take(MLKEM.encapsulationKeyLength + BulkCipher.tagLength),
                let key = state.decryptAndHash(sealed)
            else { return nil }
            encapsulationKey = key
        }
        guard let sealed = reader.take(PublicKey.length + BulkCipher.tagLength),
            let decrypted = state.decryptAndHash(sealed), let remote = PublicKey(bytes: decrypted)
        else { return nil }
        self.pattern = pattern
        self.identity = identity
        self.encapsulationKey = encapsulationKey
        self.state = state
        remoteEphemeral = ephemeral
        remoteStatic = remote
        sealedPayload = reader.rest()
    }

    /// Proves the initiator's static key; nil when the payload does not authenticate.
    consuming func authenticate() -> AuthenticatedInitiation? { AuthenticatedInitiation(self) }
}

/// An initiation whose sender holds the static key it names.
struct AuthenticatedInitiation: ~Copyable {
    private let pattern: HandshakePattern
    private let identity: StaticKeyPair
    private let remoteStatic: PublicKey
    private let remoteEphemeral: PublicKey
    private let encapsulationKey: [UInt8]
    private let state: SymmetricState
    /// What the initiator says.
    let payload: [UInt8]

    fileprivate init?(_ received: consuming ReceivedInitiation) {
        var state = received.state.copy()
        guard let ss = received.identity.sharedSecret(with: received.remoteStatic) else { return nil }
        state.mixKey(ss)
        guard let payload = state.decryptAndHash(received.sealedPayload) else { return nil }
        pattern = received.pattern
        identity = received.identity
        remoteStatic = received.remoteStatic
        remoteEphemeral = received.remoteEphemeral
        encapsulationKey = received.encapsulationKey
        self.state = state
        self.payload = payload
    }

    /// Makes the Noise part of the response; nil when the initiator's keys are unusable.
    consuming func respond(
        ephemeral: StaticKeyPair,
        psk: PresharedKey,
        payload: [UInt8]
    ) -> FinishedResponder? {
        var state = state.copy()
        var message = ephemeral.publicKey.bytes
        state.mixHash(ephemeral.publicKey.bytes)
        state.mixKey(public: ephemeral.publicKey.bytes)
        guard let ee = ephemeral.sharedSecret(with: remoteEphemeral),
            let se = ephemeral.sharedSecret(with: remoteStatic)
        else { return nil }
        state.mixKey(ee)
        if pattern.usesKEM {
            guard let (shared, ciphertext) = MLKEM.encapsulate(to: encapsulationKey) else { return nil }
            message += state.encryptAndHash(ciphertext)
            state.mixKey(unsafe shared.withBytes { unsafe SecretBytes(copying: $0) })
        }
        state.mixKey(se)
        state.mixKeyAndHash(psk)
        message += state.encryptAndHash(payload)
        return FinishedResponder(message: message, keys: HandshakeKeys(state, isInitiator: false))
    }
}

/// The responder with its response made.
struct FinishedResponder: ~Copyable {
    let message: [UInt8]
    let keys: HandshakeKeys

    /// The keys, apart from the rest.
    consuming func takeKeys() -> HandshakeKeys { keys }
}
