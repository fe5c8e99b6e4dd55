public import VXCrypto
public import VXWire

/// The handshake side of the node: every sealed peer's initiations, key pairs, timers, path MTU, and the rotations of
/// identity and preshared keys (protocol.md, 2 to 6).
///
/// Sans I/O: messages, lane events and the time come in by `handleDatagram`, `handle` and `handleTimeout`; after each of
/// them `nextAction` is polled until it is nil, and `nextTimeout` says when to come back at the latest. A call too many is
/// harmless. Everything runs on one thread.
///
/// What a peer sends that does not fit becomes `dropped(reason)`, and leaves all state as it was.
public struct HandshakeMachine: ~Copyable {
    /// The node's key, and behind it the one that replaces it while a rotation is open.
    var identities: [LocalIdentity]
    // Constants, but Swift 6.2 calls no mutating method in the initialiser of a type that has any.
    private(set) var name: String
    private(set) var lanes: UInt8
    private(set) var randomness: HandshakeRandomness
    /// What this node takes, as its handshakes say.
    private(set) var features: UInt8
    var peers: [PeerMachine]
    var state: DurableState
    var cookies = CookieChecker()
    var gate = FloodGate()
    /// What waits for the state's number to be on disk.
    var afterStore: [UInt64: AfterStore] = [:]
    /// When the key file's key is to be replaced by the new one: at the end of an overlap, and again while that fails.
    var promotion: Repetition?
    /// An attempt is under way.
    var isPromoting = false
    private var peerByIndex: [PeerIndex: PeerMachine]
    /// By every key that is or was a peer's.
    private var peerByKey: [PublicKey: PeerMachine] = [:]
    private var storeNumber: UInt64 = 0
    /// The owner of every index that is pending or live.
    private var owners: [UInt32: PeerMachine] = [:]
    private var lastTimestamp: TAI64N
    private var actions: [HandshakeAction] = []
    private var taken = 0

    /// A node with no session yet.
    /// - Parameters:
    ///   - identity: this node's key pair.
    ///   - successor: the key pair of the rotation that `state` says is open.
    ///   - name: sent to peers in `hello`.
    ///   - lanes: how many lanes this node sends on, 1 to 16.
    ///   - features: feature bits of what this node takes (protocol.md, 2).
    ///   - peers: the sealed peers.
    ///   - state: what rotations left on disk. Records of keys that are not configured are dropped.
    ///   - lastTimestamp: no initiation's label is at or below this; from the state directory.
    ///   - randomness: `system`, but for tests.
    public init(
        identity: StaticKeyPair,
        successor: StaticKeyPair? = nil,
        name: String,
        lanes: UInt8,
        features: UInt8 = SessionFeatures.aggregation | SessionFeatures.partialChecksums,
        peers: [HandshakePeer],
        state: DurableState = DurableState(),
        lastTimestamp: TAI64N,
        randomness: HandshakeRandomness = .system
    ) {
        precondition((1...HandshakeConstants.mostLanes).contains(lanes), "lane counts are 1 to 16")
        precondition(
            state.rotation?.newKey == successor?.publicKey,
            "an open rotation and its key come together"
        )
        identities = [LocalIdentity(identity)] + (successor.map { [LocalIdentity($0)] } ?? [])
        self.name = name
        self.lanes = lanes
        self.features = features
        self.lastTimestamp = lastTimestamp
        self.randomness = randomness
        self.state = state
        self.state.peers.removeAll { record in !peers.contains { $0.publicKey == record.configuredKey } }
        self.peers = peers.map { PeerMachine($0, record: state.peer($0.publicKey), lanes: lanes) }
        peerByIndex = Dictionary(uniqueKeysWithValues: self.peers.map { ($0.index, $0) })
        for peer in self.peers where isBehind(peer) {
            peer.announcement = Repetition(now: Instant(nanoseconds: 0))
        }
        indexKeys()
    }

    /// The next thing to do; nil when there is none.
    public mutating func nextAction() -> HandshakeAction? {
        guard taken < actions.count else {
            actions.removeAll(keepingCapacity: true)
            taken = 0
            return nil
        }
        defer { taken += 1 }
        return actions[taken]
    }

    /// Schedules the first initiations, spread over the first moments: 5 ms a peer, at most 5 s.
    public mutating func start(now: Instant) {
        for peer in peers { start(peer, among: peers.count, now: now) }
    }

    /// Has a peer called for the first time, together with so many others.
    mutating func start(_ peer: PeerMachine, among count: Int, now: Instant) {
        let spread = UInt32(min(count * 5, 5000))
        if peer.endpoint != nil { peer.nextInitiation = now + .milliseconds(UInt64(randomness.below(spread))) }
        tellPorts(of: peer)
        updateState(of: peer, now: now)
    }

    /// When `handleTimeout` has something to do at the latest; pairs' timers come with their `activity`.
    public var nextTimeout: Instant? {
        peers.compactMap(\.nextInitiation).min()
    }

    /// Does what is due.
    public mutating func handleTimeout(now: Now) {
        for peer in peers {
            runPairTimers(peer, now: now)
            if let due = peer.nextInitiation, due <= now.instant { initiate(peer, now: now) }
        }
        endOverlap(now: now)
    }

    // MARK: - What the other files of this type share

    mutating func act(_ action: HandshakeAction) { actions.append(action) }

    mutating func drop(_ reason: DropReason) { act(.dropped(reason)) }

    func peer(_ index: PeerIndex) -> PeerMachine? { peerByIndex[index] }

    /// The peer whose key this is, or was before a rotation.
    func peer(knownBy key: PublicKey) -> PeerMachine? { peerByKey[key] }

    /// Changes what is remembered of a peer; `store` brings it to disk.
    mutating func commit(_ record: PeerRecord, of peer: PeerMachine) {
        peer.record = record
        state.set(record)
        indexKeys()
    }

    /// After a change of `peers` or of what is remembered of them.
    mutating func indexPeers() {
        peerByIndex = Dictionary(uniqueKeysWithValues: peers.map { ($0.index, $0) })
        indexKeys()
    }

    private mutating func indexKeys() {
        peerByKey = [:]
        for peer in peers { for key in peer.record.retiredKeys { peerByKey[key] = peer } }
        // Keys in use come last: none of them is hidden by another peer's past.
        for peer in peers {
            if let pending = peer.record.pendingKey { peerByKey[pending] = peer }
            peerByKey[peer.record.key] = peer
        }
    }

    func owner(of index: ReceiverIndex) -> PeerMachine? {
        owners[index.rawValue].flatMap { $0.isRemoved ? nil : $0 }
    }

    mutating func release(_ index: ReceiverIndex) { owners[index.rawValue] = nil }

    /// The lanes hold no pair of a removed peer any more.
    mutating func releaseRemoved() { owners = owners.filter { !$0.value.isRemoved } }

    /// An index that no pending or live pair has.
    mutating func allocateIndex(for peer: PeerMachine) -> ReceiverIndex {
        while true {
            let number = randomness.number()
            if owners[number] == nil {
                owners[number] = peer
                return ReceiverIndex(number)
            }
        }
    }

    /// The label of a new initiation: the clock's, or one above the last where the clock went back.
    mutating func nextTimestamp(_ clock: TAI64N) -> TAI64N {
        lastTimestamp = max(clock, lastTimestamp.successor)
        return lastTimestamp
    }

    /// The greatest label used; the caller keeps an hour more than this on disk.
    public var greatestTimestamp: TAI64N { lastTimestamp }

    /// Has the state written, and `next` happen once it is.
    mutating func store(_ next: AfterStore) {
        storeNumber += 1
        afterStore[storeNumber] = next
        act(.store(state, number: storeNumber))
    }

    mutating func updateState(of peer: PeerMachine, now: Instant) {
        let state: PeerState =
            peer.record.isFrozen
            ? .contested
            : peer.sendingPair(at: now) != nil ? .established : peer.seriesStart != nil ? .handshaking : .down
        guard state != peer.reportedState else { return }
        peer.reportedState = state
        act(.peerState(peer.index, state))
    }
}

/// What happens once the state is on disk. A state that could not be written leaves everything as it was.
enum AfterStore {
    /// Nothing depends on it.
    case nothing
    /// Tell the peer that its successor is stored.
    case acknowledgeSuccessor(PeerMachine, ReceiverIndex, acknowledgement: [UInt8], previous: PeerRecord)
    /// Tell the peers of the successor.
    case announce(previous: DurableState)
    /// Send the messages of a preshared key's rotation.
    case pskMessages(PeerMachine, [[UInt8]], previous: PeerRecord)
}
