public import VXCrypto
public import VXWire

/// What a lane needs to know to hold one key pair. Every lane of the node gets the same one (protocol.md, 2: the install
/// barrier), and takes from it the keys of the lanes it owns.
public struct SessionParameters: Sendable {
    /// Whose pair it is.
    public let peer: PeerIndex
    /// The index that the peer writes into its datagrams.
    public let localIndex: ReceiverIndex
    /// The index that this node writes into its datagrams.
    public let remoteIndex: ReceiverIndex
    /// All lanes' keys.
    public let keys: TransportKeySet
    /// The initiator may send at once; the responder only after key confirmation.
    public let isInitiator: Bool
    /// What both sides take, as `SessionFeatures`.
    public let features: UInt8
    /// When the handshake ended; REJECT_AFTER_TIME counts from here.
    public let createdAt: Instant
    /// Where every lane publishes what it sees of the pair.
    public let counters: PairCounters
    /// The pair's number with this peer since the node started, from 1; captures show it.
    public let epoch: UInt32

    /// From its parts.
    public init(
        peer: PeerIndex,
        localIndex: ReceiverIndex,
        remoteIndex: ReceiverIndex,
        keys: TransportKeySet,
        isInitiator: Bool,
        features: UInt8,
        createdAt: Instant,
        counters: PairCounters,
        epoch: UInt32 = 0
    ) {
        self.peer = peer
        self.localIndex = localIndex
        self.remoteIndex = remoteIndex
        self.keys = keys
        self.isInitiator = isInitiator
        self.features = features
        self.createdAt = createdAt
        self.counters = counters
        self.epoch = epoch
    }
}

/// One receive lane that this thread owns: key and window belong together and to nobody else.
struct ReceiveLane: ~Copyable {
    let key: TransportKey
    let counters: ReceiveLaneCounters
    var window = ReplayWindow()
}

/// One key pair as one lane thread holds it. Lives in the slab of `SessionTable`; never moves, never shared.
struct TransportSession: ~Copyable {
    let peer: PeerIndex
    let localIndex: ReceiverIndex
    let remoteIndex: ReceiverIndex
    let createdAt: Instant
    let epoch: UInt32
    let isInitiator: Bool
    /// The peer takes inner checksums that are still partial.
    let takesPartialChecksums: Bool
    /// The peer takes several frames in one datagram.
    let takesAggregates: Bool
    /// What this thread counts, in the memory of `pairCounters`.
    let counters: SessionCounters
    /// All threads' counters.
    let pairCounters: PairCounters
    /// Keeps the guarded memory alive that the keys below point into.
    let keys: TransportKeySet

    let sendKey: TransportKey
    /// The next counter to seal under; consumed before sealing and never given back.
    var sendCounter: UInt64 = 0

    /// How many lanes the peer announced.
    let announcedLanes: Int
    /// The announced lanes that this thread owns: lane L at place L / threads.
    private let lanes: UnsafeMutablePointer<ReceiveLane>
    private let laneCount: Int

    /// A datagram has authenticated under the pair, so the peer holds the keys too.
    var isConfirmed = false

    init(_ parameters: SessionParameters, lane: Int, threads: Int) {
        peer = parameters.peer
        localIndex = parameters.localIndex
        remoteIndex = parameters.remoteIndex
        createdAt = parameters.createdAt
        epoch = parameters.epoch
        isInitiator = parameters.isInitiator
        takesPartialChecksums = parameters.features & SessionFeatures.partialChecksums != 0
        takesAggregates = parameters.features & SessionFeatures.aggregation != 0
        pairCounters = parameters.counters
        counters = pairCounters.session(thread: lane)
        keys = parameters.keys
        sendKey = keys.sendKey(lane: lane)
        announcedLanes = keys.receiveLanes
        // None where the peer announced fewer lanes than this node has threads.
        laneCount = max(0, announcedLanes - lane + threads - 1) / threads
        lanes = .allocate(capacity: max(laneCount, 1))
        for place in 0..<laneCount {
            let number = place * threads + lane
            let counters = pairCounters.receiveLane(number)
            (lanes + place).initialize(to: ReceiveLane(key: keys.receiveKey(lane: number), counters: counters))
        }
    }

    deinit {
        lanes.deinitialize(count: laneCount)
        lanes.deallocate()
    }

    /// The receive lane at a place, as a pointer so that using it copies nothing.
    @inline(__always)
    func receiveLane(at place: Int) -> UnsafeMutablePointer<ReceiveLane> {
        precondition(place < laneCount, "a receive lane of another thread")
        return lanes + place
    }
}
