public import VXCrypto
public import VXWire

/// Everything one lane does per packet: frames from the devices become datagrams, datagrams become frames.
///
/// Owned by one thread, which calls it, then empties its batches (`outgoing`, `delivered`, `events`) before the next
/// call. Nothing here reads a clock, makes a system call or blocks. What the hot functions touch is memory of this lane
/// alone, but for the forwarding databases, which are atomic words.
///
/// The entry points of the packet path are `@_noLocks`: the compiler refuses allocation, reference counting and locks in
/// them and in all they call. It can look into other files only where the module is compiled whole, which is in release
/// builds; hence the `#if !DEBUG` round the attribute.
///
/// A frame's way out: `forward` → `ForwardingDatabase.lookup` or flood → VXLAN header → `seal` in place → `outgoing`.
/// A datagram's way in: `receiveSealed` → `SessionTable.find` → `ReplayWindow.check` → open in place →
/// `ReplayWindow.mark` → records → admission → learning → `delivered`.
public struct VTEP: ~Copyable {
    /// Free bytes that `forward` needs before a frame: sealed header, record header, VXLAN header.
    public static var headroom: Int { SealedHeader.length + RecordHeader.length + VXLANHeader.length }
    /// Free bytes that `forward` needs behind a frame: the AEAD tag.
    public static var tailroom: Int { BulkCipher.tagLength }
    /// Datagrams that the outgoing batch holds.
    public static var batchCapacity: Int { 128 }
    /// Frames that the delivered batch holds: more than the smallest records that fit one datagram, so that one
    /// datagram always finds room in an empty batch.
    static var deliveredCapacity: Int { 8192 }
    static var mostFramesInDatagram: Int { 65_535 / (RecordHeader.length + VXLANHeader.length) + 1 }

    /// Whether a call did all of its work.
    public enum Progress: Sendable {
        /// All of it.
        case finished
        /// The outgoing batch is full: flush it and call `resumeFlood`.
        case batchFull
    }

    /// This lane's number, and how many lane threads the node runs.
    let lane: Int
    let threads: Int
    let cipher: BulkCipher

    var networks: UnsafeMutableBufferPointer<Network>
    var peers: UnsafeMutableBufferPointer<Peer>
    let networkByVNI: PlaceMap
    let plaintextPeers: PlaceMap
    var sessions = SessionTable()
    var scratch: SlotArena
    /// Answers to packets that are too big; given back when `delivered` is emptied.
    var answers = SlotArena(slotSize: VTEP.answerSlot, slotCount: 64)
    /// Where an answer is written that is not sent.
    let spareAnswer = UnsafeMutableRawPointer.allocate(byteCount: VTEP.answerSlot, alignment: 64)
    var answersSince = Instant(nanoseconds: 0)
    var answersLeft: UInt64 = 0
    var flood = FloodCursor()

    /// What this lane dropped.
    public let drops: DropCounters
    /// Datagrams to send, in order.
    public private(set) var outgoing = FixedList<OutgoingDatagram>(capacity: VTEP.batchCapacity)
    /// Frames to write to the devices, in order.
    public private(set) var delivered = FixedList<DeliveredFrame>(capacity: VTEP.deliveredCapacity)
    /// What the handshake thread must hear. Filled only by rare things.
    public private(set) var events: [DataPlaneEvent] = []

    /// A lane with no session yet.
    /// - Parameters:
    ///   - lane: this thread's number, below `threads`.
    ///   - threads: the node's lane threads.
    ///   - networks: places in this list are the network numbers of `forward` and `DeliveredFrame`.
    ///   - peers: by peer index.
    ///   - cipher: the AEAD provider of this thread.
    ///   - drops: where drops are counted.
    public init(
        lane: Int,
        threads: Int,
        networks definitions: [NetworkDefinition],
        peers peerDefinitions: [PeerDefinition],
        cipher: BulkCipher,
        drops: DropCounters
    ) {
        self.lane = lane
        self.threads = threads
        self.cipher = cipher
        self.drops = drops
        networks = .allocate(capacity: definitions.count)
        for (place, definition) in definitions.enumerated() {
            networks.initializeElement(at: place, to: Network(definition, peerCount: peerDefinitions.count))
        }
        peers = .allocate(capacity: peerDefinitions.count)
        for (place, definition) in peerDefinitions.enumerated() {
            peers.initializeElement(at: place, to: Peer(definition))
        }
        networkByVNI = PlaceMap(definitions.enumerated().map { (UInt64($1.vni.rawValue), $0) })
        plaintextPeers = PlaceMap(
            peerDefinitions.enumerated().compactMap { place, peer in
                guard peer.isPlaintext, let endpoint = peer.endpoint else { return nil }
                return (endpoint.address.placeKey, place)
            }
        )
        let largest = definitions.map(\.maximumFrame).max() ?? 1514
        scratch = SlotArena(slotSize: largest + Self.headroom + Self.tailroom, slotCount: Self.batchCapacity)
    }

    deinit {
        // Sessions first: peers point at them, and their deinit wipes keys.
        for place in peers.indices { peers.deinitializeElement(at: place) }
        for place in networks.indices { networks.deinitializeElement(at: place) }
        peers.deallocate()
        networks.deallocate()
        spareAnswer.deallocate()
    }

    /// Whether `forward` may be called for one more frame before a flush.
    public var canForward: Bool { outgoing.room >= Self.mostFragments && scratch.room >= Self.mostFragments }

    /// Whether one more datagram may be received before `delivered` is emptied.
    public var canReceive: Bool { delivered.room >= Self.mostFramesInDatagram }

    /// Forgets the datagrams of the outgoing batch, which the caller has sent, and takes back their memory.
    public mutating func removeOutgoing() {
        outgoing.removeAll()
        scratch.giveBackAll()
    }

    /// Forgets the delivered frames, which the caller has written.
    public mutating func removeDelivered() {
        delivered.removeAll()
        answers.giveBackAll()
    }

    /// Takes the events away.
    public mutating func takeEvents() -> [DataPlaneEvent] {
        defer { events.removeAll(keepingCapacity: true) }
        return events
    }

    /// Events are rare: they may allocate, and stay out of the hot functions.
    @inline(never)
    @_semantics("no_performance_analysis")
    mutating func raise(_ event: consuming DataPlaneEvent) { events.append(event) }

    @inline(__always)
    mutating func send(_ base: UnsafeMutableRawPointer, _ count: Int, to endpoint: Endpoint, by path: OutgoingPath) {
        outgoing.append(OutgoingDatagram(base: base, count: count, endpoint: endpoint, path: path))
    }

    @inline(__always)
    mutating func deliver(
        _ base: UnsafeMutableRawPointer,
        _ count: Int,
        network: Int,
        checksum: PartialChecksum?
    ) {
        delivered.append(DeliveredFrame(base: base, count: count, network: network, checksum: checksum))
    }
}

/// What a lane tells the handshake thread.
public enum DataPlaneEvent: Sendable {
    /// The first datagram authenticated under the pair (key confirmation), from this source.
    case confirmed(ReceiverIndex, PeerIndex, from: Endpoint)
    /// Frames wait for a peer that has no usable pair.
    case handshakeNeeded(PeerIndex)
    /// An authenticated datagram moved the peer's endpoint.
    case endpointMoved(PeerIndex, to: Endpoint)
    /// A control message, type byte first, that arrived under the pair.
    case control(PeerIndex, ReceiverIndex, [UInt8])
}

/// Where an unfinished flood stands: the frame is in the caller's buffer, and stays there until the flood is over.
struct FloodCursor {
    var frame: UnsafeMutableRawPointer?
    var count = 0
    var network = 0
    /// The next member to send to.
    var next = 0
    var flowHash: UInt32 = 0
}
