public import VXCrypto

/// Which form of the handshake runs. The wire has only one, `vxseal`; the published Noise vectors know the form without
/// the KEM, and tests alone make that one.
struct HandshakePattern: Sendable {
    let protocolName: String
    let prologue: [UInt8]
    let usesKEM: Bool

    static let vxseal = HandshakePattern(
        protocolName: HandshakeConstants.protocolName,
        prologue: HandshakeConstants.prologue,
        usesKEM: true
    )

    func symmetricState(responderStatic: PublicKey) -> SymmetricState {
        SymmetricState(protocolName: protocolName, prologue: prologue, responderStatic: responderStatic)
    }
}

/// The random parts of one handshake message, given from outside so that tests can set them.
public struct HandshakeSecrets: ~Copyable {
    let ephemeral: StaticKeyPair
    let kemSeed: SecretBytes

    /// From an ephemeral key and a 64-byte ML-KEM seed (used by an initiator only).
    public init(ephemeral: StaticKeyPair, kemSeed: consuming SecretBytes) {
        self.ephemeral = ephemeral
        self.kemSeed = kemSeed
    }

    /// The seed, apart from the rest.
    consuming func takeSeed() -> SecretBytes { kemSeed }

    /// Fresh ones.
    public static func random() -> HandshakeSecrets {
        HandshakeSecrets(ephemeral: StaticKeyPair(), kemSeed: .random(count: MLKEM.seedLength))
    }
}

/// What a handshake leaves: the keys of both directions, before they are cut into lanes.
struct HandshakeKeys: ~Copyable {
    private let split: SecretBytes
    /// Names this run of the handshake.
    let hash: [UInt8]
    private let isInitiator: Bool

    init(_ state: consuming SymmetricState, isInitiator: Bool) {
        split = state.split()
        hash = state.hash
        self.isInitiator = isInitiator
    }

    /// Every lane's keys; the Noise keys are erased with this value.
    consuming func laneKeys(sendLanes: UInt8, receiveLanes: UInt8) -> TransportKeySet {
        unsafe split.withBytes { all in
            let first = unsafe UnsafeRawBufferPointer(rebasing: all[0..<32])
            let second = unsafe UnsafeRawBufferPointer(rebasing: all[BLAKE2b.length..<BLAKE2b.length + 32])
            return unsafe TransportKeySet(
                send: isInitiator ? first : second,
                receive: isInitiator ? second : first,
                sendLanes: Int(sendLanes),
                receiveLanes: Int(receiveLanes)
            )
        }
    }

    /// The two keys themselves, for the vectors.
    func noiseKeys() -> (initiatorToResponder: [UInt8], responderToInitiator: [UInt8]) {
        unsafe split.withBytes { all in
            unsafe ([UInt8](all[0..<32]), [UInt8](all[BLAKE2b.length..<BLAKE2b.length + 32]))
        }
    }
}
