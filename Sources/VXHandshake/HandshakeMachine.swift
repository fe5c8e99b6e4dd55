public import VXCrypto
public import VXWire

/// The handshake side of the node: every sealed peer's initiations, key pairs and timers (protocol.md, 2 and 4).
///
/// Sans I/O: messages, lane events and the time come in by `handleDatagram`, `handle` and `handleTimeout`; after each of
/// them `nextAction` is polled until it is nil, and `nextTimeout` says when to come back at the latest. A call too many is
/// harmless. Everything runs on one thread.
///
/// What a peer sends that does not fit becomes `dropped(reason)`, and leaves all state as it was.
public struct HandshakeMachine: ~Copyable {
    let identity: StaticKeyPair
    let name: String
    let lanes: UInt8
    let randomness: HandshakeRandomness
    let mac1Key: [UInt8]
    let features = HandshakeConstants.aggregation
    let peers: [PeerMachine]
    private let peerByIndex: [PeerIndex: PeerMachine]
    private let peerByKey: [PublicKey: PeerMachine]
    /// The owner of every index that is pending or live.
    private var owners: [UInt32: PeerMachine] = [:]
    private var lastTimestamp: TAI64N
    private var actions: [HandshakeAction] = []
    private var taken = 0

    /// A node with no session yet.
    /// - Parameters:
    ///   - identity: this node's key pair.
    ///   - name: sent to peers in `hello`.
    ///   - lanes: how many lanes this node sends on, 1 to 16.
    ///   - peers: the sealed peers.
    ///   - lastTimestamp: no initiation's label is at or below this; from the state directory.
    ///   - randomness: `system`, but for tests.
    public init(
        identity: StaticKeyPair,
        name: String,
        lanes: UInt8,
        peers: [HandshakePeer],
        lastTimestamp: TAI64N,
        randomness: HandshakeRandomness = .system
    ) {
        precondition((1...HandshakeConstants.mostLanes).contains(lanes), "lane counts are 1 to 16")
        self.identity = identity
        self.name = name
        self.lanes = lanes
        self.lastTimestamp = lastTimestamp
        self.randomness = randomness
        mac1Key = HandshakeMessage.mac1Key(for: identity.publicKey)
        self.peers = peers.map(PeerMachine.init)
        peerByIndex = Dictionary(uniqueKeysWithValues: self.peers.map { ($0.index, $0) })
        peerByKey = Dictionary(uniqueKeysWithValues: self.peers.map { ($0.configuration.publicKey, $0) })
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
        let spread = UInt32(min(peers.count * 5, 5000))
        for peer in peers where peer.endpoint != nil {
            peer.nextInitiation = now + .milliseconds(UInt64(randomness.below(spread)))
        }
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
    }

    // MARK: - What the other files of this type share

    mutating func act(_ action: HandshakeAction) { actions.append(action) }

    mutating func drop(_ reason: DropReason) { act(.dropped(reason)) }

    func peer(_ index: PeerIndex) -> PeerMachine? { peerByIndex[index] }

    func peer(holding key: PublicKey) -> PeerMachine? { peerByKey[key] }

    func owner(of index: ReceiverIndex) -> PeerMachine? { owners[index.rawValue] }

    mutating func release(_ index: ReceiverIndex) { owners[index.rawValue] = nil }

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

    mutating func updateState(of peer: PeerMachine, now: Instant) {
        let state: PeerState =
            peer.sendingPair(at: now) != nil ? .established : peer.seriesStart != nil ? .handshaking : .down
        guard state != peer.reportedState else { return }
        peer.reportedState = state
        act(.peerState(peer.index, state))
    }
}
