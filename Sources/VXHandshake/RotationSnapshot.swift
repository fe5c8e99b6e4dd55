public import VXCrypto
public import VXWire

/// Where the rotations of a node stand, for `rotate status`.
public struct RotationSnapshot: Sendable {
    /// How far a peer is with this node's new key.
    public enum Progress: String, Sendable {
        /// It has not acknowledged it.
        case announced
        /// It has stored it.
        case acknowledged
        /// It uses it.
        case switched
    }

    /// One sealed peer.
    public struct Peer: Sendable {
        /// Its place.
        public let index: PeerIndex
        /// `publicKey` of the configuration.
        public let configuredKey: PublicKey
        /// The key it is known by now.
        public let key: PublicKey
        /// The successor that waits for its first session.
        public let pendingKey: PublicKey?
        /// Keys that it has used before.
        public let retiredKeys: [PublicKey]
        /// Two different successors were stated.
        public let isContested: Bool
        /// With this node's open rotation; nil without one.
        public let progress: Progress?
        /// The preshared key's generation.
        public let generation: UInt8
        /// Whether the next generation is under way.
        public let isRotatingPSK: Bool
    }

    /// The key that peers know this node by, or knew before the open rotation.
    public let publicKey: PublicKey
    /// This node's open rotation.
    public let rotation: DurableState.OpenRotation?
    /// Every sealed peer.
    public let peers: [Peer]
}

extension HandshakeMachine {
    /// Where the rotations stand.
    public var rotationSnapshot: RotationSnapshot {
        RotationSnapshot(
            publicKey: identities[0].publicKey,
            rotation: state.rotation,
            peers: peers.map { peer in
                RotationSnapshot.Peer(
                    index: peer.index,
                    configuredKey: peer.configuration.publicKey,
                    key: peer.record.key,
                    pendingKey: peer.record.pendingKey,
                    retiredKeys: peer.record.retiredKeys,
                    isContested: peer.record.isFrozen,
                    progress: progress(of: peer),
                    generation: peer.psk.generation,
                    isRotatingPSK: peer.pskExchange != nil || peer.psk.pending != nil
                )
            }
        )
    }

    private func progress(of peer: PeerMachine) -> RotationSnapshot.Progress? {
        guard let rotation = state.rotation else { return nil }
        let key = peer.configuration.publicKey
        return rotation.switched.contains(key)
            ? .switched : rotation.acknowledged.contains(key) ? .acknowledged : .announced
    }
}
