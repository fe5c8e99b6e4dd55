public import VXCrypto
public import VXWire

/// A sealed peer as the handshake is told of it.
public struct HandshakePeer: Sendable {
    /// Its place in this node's tables.
    public let index: PeerIndex
    /// Its identity.
    public let publicKey: PublicKey
    /// `PresharedKey.none` where none is configured.
    public let presharedKey: PresharedKey
    /// Where it is; nil when it is learned as it calls.
    public let endpoint: Endpoint?
    /// Whether it may move.
    public let roaming: Bool
    /// Something is sent at least this often, to keep a translator's mapping; nil for never.
    public let keepalive: Interval?

    /// From its parts.
    public init(
        index: PeerIndex,
        publicKey: PublicKey,
        presharedKey: PresharedKey,
        endpoint: Endpoint?,
        roaming: Bool,
        keepalive: Interval?
    ) {
        self.index = index
        self.publicKey = publicKey
        self.presharedKey = presharedKey
        self.endpoint = endpoint
        self.roaming = roaming
        self.keepalive = keepalive
    }
}

/// Both times of one moment: BOOTTIME for the timers, the label for initiations.
public struct Now: Sendable {
    /// CLOCK_BOOTTIME.
    public let instant: Instant
    /// CLOCK_REALTIME as TAI64N.
    public let label: TAI64N

    /// From both readings.
    public init(instant: Instant, label: TAI64N) {
        self.instant = instant
        self.label = label
    }
}

/// Where the handshake's random numbers come from, so that a simulation can repeat itself.
public struct HandshakeRandomness: Sendable {
    let secrets: @Sendable () -> HandshakeSecrets
    let number: @Sendable () -> UInt32
    let below: @Sendable (UInt32) -> UInt32

    /// From three sources.
    public init(
        secrets: @escaping @Sendable () -> HandshakeSecrets,
        number: @escaping @Sendable () -> UInt32,
        below: @escaping @Sendable (UInt32) -> UInt32
    ) {
        self.secrets = secrets
        self.number = number
        self.below = below
    }

    /// The kernel's.
    public static let system = HandshakeRandomness(
        secrets: { .random() },
        number: { Random.number() },
        below: { Random.number(below: $0) }
    )
}

/// What the lanes have seen of one pair; times are nil for never.
public struct PairActivity: Sendable {
    /// When anything was last sent under it.
    public var lastSent: Instant?
    /// When records were last sent under it.
    public var lastDataSent: Instant?
    /// When anything authenticated last arrived under it.
    public var lastReceived: Instant?
    /// When records last arrived under it.
    public var lastDataReceived: Instant?
    /// The highest send counter of any lane.
    public var sendCounter: UInt64 = 0

    /// Nothing yet.
    public init() {}
}

/// What the handshake is told.
public enum LaneEvent: Sendable {
    /// Every lane thread holds the pair. Only now may the peer hear of it (the install barrier).
    case installed(ReceiverIndex)
    /// The first datagram authenticated under the pair.
    case confirmed(ReceiverIndex, from: Endpoint)
    /// Every lane has let the pair go; its index is free again.
    case retired(ReceiverIndex)
    /// Frames wait and there is no usable pair.
    case handshakeNeeded(PeerIndex)
    /// What the lanes have seen of a pair; a few times a second for each.
    case activity(ReceiverIndex, PairActivity)
    /// A new key pair is wanted now (`rotate session`).
    case rekeyRequested(PeerIndex)
    /// An authenticated datagram moved the peer.
    case endpointMoved(PeerIndex, to: Endpoint)
    /// An authenticated control message, type byte first.
    case control(PeerIndex, ReceiverIndex, [UInt8])
    /// The lanes have erased all pairs after a jump of the clocks.
    case erased
    /// The daemon ends.
    case shutdown
}

/// A new key pair for the lanes.
public struct PairInstallation: Sendable {
    /// Whose it is.
    public let peer: PeerIndex
    /// What the peer will write into its datagrams.
    public let localIndex: ReceiverIndex
    /// What this node writes into its datagrams.
    public let remoteIndex: ReceiverIndex
    /// All lanes' keys.
    public let keys: TransportKeySet
    /// Who started the handshake.
    public let isInitiator: Bool
    /// When it ended.
    public let createdAt: Instant
    /// Where the peer's message came from.
    public let endpoint: Endpoint
}

/// A peer's state, as `status` shows it.
public enum PeerState: String, Sendable {
    /// No usable session and no handshake under way.
    case down
    /// No usable session yet.
    case handshaking
    /// Frames flow.
    case established
}

/// What the handshake wants done.
public enum HandshakeAction: Sendable {
    /// Send a handshake message.
    case send([UInt8], to: Endpoint)
    /// Give the pair to every lane, then answer with `installed`.
    case install(PairInstallation)
    /// Send under the pair from now on. With `announce` an empty datagram leaves at once.
    case activate(ReceiverIndex, peer: PeerIndex, announce: Bool)
    /// Send nothing more under the pair, and still receive.
    case stopSending(ReceiverIndex, peer: PeerIndex)
    /// Let the pair go, then answer with `retired`.
    case retire(ReceiverIndex)
    /// Send an empty datagram to the peer.
    case keepalive(PeerIndex)
    /// Send a control message, type byte first.
    case control(PeerIndex, [UInt8])
    /// Send a report of the pair.
    case report(PeerIndex, ReceiverIndex)
    /// Give up the frames that wait for the peer.
    case dropWaiting(PeerIndex)
    /// For `status`.
    case peerState(PeerIndex, PeerState)
    /// A session stands: for `status`. The round trip is that of the handshake, known to its initiator only.
    case established(PeerIndex, ReceiverIndex, at: Instant, roundTrip: Interval?)
    /// The peer's endpoint is another now: for `status` and the log.
    case endpoint(PeerIndex, Endpoint)
    /// What the peer reported of this node's sending on lane 0: the highest counter seen, and datagrams received.
    case reported(PeerIndex, ReceiverIndex, highest: UInt64, received: UInt64)
    /// The name the peer gives itself; shown, never trusted.
    case name(PeerIndex, String)
    /// A message was dropped.
    case dropped(DropReason)
}
