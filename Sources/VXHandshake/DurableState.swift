public import VXCrypto

/// What a node must know again after a restart, beside its key files (protocol.md, 6).
public struct DurableState: Sendable {
    /// A rotation of this node's identity that is open.
    public struct OpenRotation: Sendable, Equatable {
        /// The key that is replaced.
        public let oldKey: PublicKey
        /// The key that replaces it.
        public let newKey: PublicKey
        /// What the statement is numbered.
        public let sequence: UInt64
        /// Unix seconds.
        public let startedAt: UInt64
        /// Unix seconds after which the old key goes, whoever still uses it.
        public let endsAt: UInt64
        /// Configured keys of the peers that have stored the new key.
        public var acknowledged: Set<PublicKey> = []
        /// Configured keys of the peers that use the new key.
        public var switched: Set<PublicKey> = []

        /// One that no peer has heard of.
        public init(oldKey: PublicKey, newKey: PublicKey, sequence: UInt64, startedAt: UInt64, endsAt: UInt64) {
            self.oldKey = oldKey
            self.newKey = newKey
            self.sequence = sequence
            self.startedAt = startedAt
            self.endsAt = endsAt
        }
    }

    /// The last sequence that this node gave a successor statement.
    public var lastSequence: UInt64 = 0
    /// This node's own rotation.
    public var rotation: OpenRotation?
    /// What is known of peers beyond the configuration.
    public var peers: [PeerRecord] = []

    /// Of a node that never rotated.
    public init() {}

    /// The record of a configured key; a fresh one where there is none.
    public func peer(_ configuredKey: PublicKey) -> PeerRecord {
        peers.first { $0.configuredKey == configuredKey } ?? PeerRecord(configuredKey: configuredKey)
    }

    /// Replaces a record; one that says nothing is left out.
    mutating func set(_ record: PeerRecord) {
        peers.removeAll { $0.configuredKey == record.configuredKey }
        if !record.isEmpty { peers.append(record) }
    }
}

/// What rotations changed about one peer. It descends from the configured key: with another key in the configuration it
/// no longer counts.
public struct PeerRecord: Sendable {
    /// `publicKey` of the configuration.
    public let configuredKey: PublicKey
    /// The key the peer uses since a rotation.
    public var currentKey: PublicKey?
    /// A successor that was accepted and is not confirmed by a session yet.
    public var pendingKey: PublicKey?
    /// Keys that were replaced, newest last; initiations from them are dropped.
    public var retiredKeys: [PublicKey] = []
    /// The greatest sequence of an accepted statement.
    public var sequence: UInt64 = 0
    /// Two different successors were stated: nothing is accepted until the operator acts.
    public var isFrozen = false
    /// The preshared key, once it was rotated.
    public var psk: PSKRecord?

    /// How many retired keys are remembered.
    static let mostRetired = 16

    /// One that says nothing.
    public init(configuredKey: PublicKey) { self.configuredKey = configuredKey }

    /// The key that the peer's initiations are expected from.
    public var key: PublicKey { currentKey ?? configuredKey }

    var isEmpty: Bool {
        currentKey == nil && pendingKey == nil && retiredKeys.isEmpty && sequence == 0 && !isFrozen && psk == nil
    }

    /// Takes `key` into use and remembers the one it replaces.
    mutating func replaceKey(by key: PublicKey) {
        guard key != self.key else { return }
        retiredKeys.removeAll { $0 == key }
        retiredKeys.append(self.key)
        if retiredKeys.count > Self.mostRetired { retiredKeys.removeFirst() }
        currentKey = key
        if pendingKey == key { pendingKey = nil }
    }
}

/// Generations of one peer's preshared key.
public struct PSKRecord: Sendable {
    /// A generation that both sides are about to use.
    public struct Pending: Sendable {
        /// The key of the next generation.
        public let key: PresharedKey
        /// n_p.
        public let proposerNonce: [UInt8]
        /// n_a.
        public let answererNonce: [UInt8]

        /// From its parts.
        public init(key: PresharedKey, proposerNonce: [UInt8], answererNonce: [UInt8]) {
            self.key = key
            self.proposerNonce = proposerNonce
            self.answererNonce = answererNonce
        }
    }

    /// BLAKE2b-256 of generation 0, the configured key: with another one in the file the record no longer counts.
    public let origin: [UInt8]
    /// The generation in use.
    public var generation: UInt8
    /// The key in use; of generation 0 the configured one.
    public var key: PresharedKey
    /// Generation + 1, if agreed on.
    public var pending: Pending?

    /// From its parts.
    public init(origin: [UInt8], generation: UInt8, key: PresharedKey, pending: Pending?) {
        self.origin = origin
        self.generation = generation
        self.key = key
        self.pending = pending
    }

    /// Generation 0.
    init(configured: PresharedKey) {
        self.init(origin: configured.fingerprint, generation: 0, key: configured, pending: nil)
    }

    /// The key of a generation; nil when it is not held.
    func key(of generation: UInt8) -> PresharedKey? {
        if generation == self.generation { return key }
        return generation == self.generation &+ 1 ? pending?.key : nil
    }
}
