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
    /// Where it is; nil when it is learned as it calls, or its name is yet to be looked up.
    public let endpoint: Endpoint?
    /// Lanes are sent to it from the listen port alone: `sourcePorts: fixed`, or no endpoint is configured.
    public let fixedPorts: Bool
    /// Whether it may move.
    public let roaming: Bool
    /// Whether the peer may name its successor key itself.
    public let acceptSuccessors: Bool
    /// Something is sent at least this often, to keep a translator's mapping; nil for never.
    public let keepalive: Interval?

    /// From its parts.
    public init(
        index: PeerIndex,
        publicKey: PublicKey,
        presharedKey: PresharedKey,
        endpoint: Endpoint?,
        fixedPorts: Bool = false,
        roaming: Bool,
        acceptSuccessors: Bool = true,
        keepalive: Interval?
    ) {
        self.index = index
        self.publicKey = publicKey
        self.presharedKey = presharedKey
        self.endpoint = endpoint
        self.fixedPorts = fixedPorts
        self.roaming = roaming
        self.acceptSuccessors = acceptSuccessors
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
    /// Makes sure that a handshake's secrets find memory; false when there is none.
    let reserve: @Sendable () -> Bool

    /// From its sources.
    public init(
        secrets: @escaping @Sendable () -> HandshakeSecrets,
        number: @escaping @Sendable () -> UInt32,
        below: @escaping @Sendable (UInt32) -> UInt32,
        reserve: @escaping @Sendable () -> Bool = { SecretBytes.reserve() }
    ) {
        self.secrets = secrets
        self.number = number
        self.below = below
        self.reserve = reserve
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
    /// Every lane's next send counter.
    public var sendCounters: [UInt64] = []
    /// The highest of them.
    public var sendCounter: UInt64 { sendCounters.max() ?? 0 }
    /// Datagrams sealed under the pair, all lanes together.
    var datagramsSent: UInt64 { sendCounters.reduce(0, &+) }

    /// Nothing yet.
    public init() {}
}

/// What the handshake is told.
public enum LaneEvent: Sendable {
    /// Every lane thread holds the pair. Only now may the peer hear of it (the install barrier).
    case installed(ReceiverIndex)
    /// The first datagram authenticated under the pair; the source is known when it came on lane 0, which alone has the
    /// peer's listen port.
    case confirmed(ReceiverIndex, from: Endpoint?)
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
    /// The name in the configuration stands for this address now.
    case endpointResolved(PeerIndex, Endpoint)
    /// What the interface towards the peer carries, in bytes of IP packet.
    case interfaceMTU(PeerIndex, Int)
    /// The state of this number is on disk, or could not be written.
    case stored(UInt64, succeeded: Bool)
    /// The old private key is gone from the key file, or could not be replaced.
    case promoted(succeeded: Bool)
    /// The endpoint of an `observed` is this node's own, or a translator's.
    case addressObserved(PeerIndex, isOwn: Bool)
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
    /// What both sides take (protocol.md, 2).
    public let features: UInt8
    /// When it ended.
    public let createdAt: Instant
    /// Where the peer's message came from.
    public let endpoint: Endpoint
}

/// A peer's state, as `status` shows it.
public enum PeerState: String, Sendable, CaseIterable {
    /// No usable session and no handshake under way.
    case down
    /// No usable session yet.
    case handshaking
    /// Frames flow.
    case established
    /// Two different successor keys were stated in its name: the operator decides.
    case contested
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
    /// The peer sees this node at this endpoint: answer with `addressObserved`.
    case observed(PeerIndex, Endpoint)
    /// Every lane's port towards the peer, lane 0 first; for the lanes and for `status`.
    case lanePorts(PeerIndex, [LanePort])
    /// Have a lane send what shows whether its own port gets through.
    case checkLane(PeerIndex, lane: Int, LaneCheck)
    /// Send an empty datagram to the peer.
    case keepalive(PeerIndex)
    /// Send a control message, type byte first.
    case control(PeerIndex, [UInt8])
    /// Send a report of the pair under the pair itself.
    case report(PeerIndex, ReceiverIndex)
    /// Send a path-MTU probe that makes an IP packet of `size` bytes.
    case probe(PeerIndex, size: Int, identifier: UInt32)
    /// Packets to the peer may measure so many bytes of IP packet.
    case pathMTU(PeerIndex, Int)
    /// Write the state to disk, then answer with `stored` and the number.
    case store(DurableState, number: UInt64)
    /// Replace the key file's key by the rotation's new one, then answer with `promoted`.
    case promote(PublicKey)
    /// Give up the frames that wait for the peer.
    case dropWaiting(PeerIndex)
    /// For `status`.
    case peerState(PeerIndex, PeerState)
    /// A session stands: for `status`. The round trip is that of the handshake, known to its initiator only.
    case established(PeerIndex, ReceiverIndex, at: Instant, roundTrip: Interval?)
    /// The peer's endpoint is another now: for `status` and the log.
    case endpoint(PeerIndex, Endpoint)
    /// What the peer received under the pair, by lane of this node.
    case reported(PeerIndex, ReceiverIndex, [ControlMessage.LaneReport])
    /// How long the peer took to answer over the session; for `status`.
    case roundTrip(PeerIndex, Interval)
    /// The peer answered an echo request of `ping`.
    case echoed(PeerIndex, identifier: UInt32, sequence: UInt32)
    /// Say what would become of a frame of the peer, then `answer`.
    case judge(PeerIndex, FrameTrace.Request)
    /// The peer said what would become of a frame there.
    case traced(PeerIndex, FrameTrace.Reply)
    /// The name the peer gives itself; shown, never trusted.
    case name(PeerIndex, String)
    /// How many seconds the peer's clock is ahead of this node's, negative for behind, by the label of the initiation that
    /// its session came from; for `status`.
    case clock(PeerIndex, ahead: Int64)
    /// Something that the log should say once.
    case notice(PeerIndex?, RotationNotice)
    /// A message was dropped.
    case dropped(DropReason)
}

/// What rotations have to tell the operator.
public enum RotationNotice: Sendable {
    /// The peer's new key is stored and waits for its first session.
    case successorAccepted(PublicKey)
    /// The peer uses its new key.
    case peerSwitched(PublicKey)
    /// Two different successors were stated.
    case successorConflict
    /// The peer has stored this node's new key.
    case acknowledged
    /// The peer has a session with this node's new key.
    case switched
    /// The overlap is over, and the peer still knows the old key alone.
    case leftBehind
    /// This node's old key is erased.
    case rotationEnded
    /// Both sides use the preshared key of this generation.
    case pskRotated(UInt8)
    /// The state could not be written; what depended on it did not happen.
    case storeFailed
}
