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
/// builds; hence the `#if !DEBUG` round the attribute. Swift 6.2 takes the end of a span's life for a possible release.
///
/// A frame's way out: `forward` → `ForwardingDatabase.lookup` or flood → `FrameSegmenter` → records → sealed into `outgoing`.
/// A datagram's way in: `receiveSealed` → `SessionTable.find` → `ReplayWindow.check` → open in place →
/// `ReplayWindow.mark` → records → admission → learning → `FrameCoalescer` → `delivered`.
public struct VTEP: ~Copyable {
    /// What a sealed frame takes beside itself, before it: sealed header, record header, VXLAN header. `forward` uses so many
    /// bytes before a frame.
    public static var headroom: Int { SealedHeader.length + RecordHeader.length + VXLANHeader.length }
    /// What it takes behind it: the AEAD tag.
    public static var tailroom: Int { BulkCipher.tagLength }
    static var mostFramesInDatagram: Int { 65_535 / (RecordHeader.length + VXLANHeader.length) + 1 }
    /// Memory of the outgoing batch: two super-frames, and room for one more before it counts as full. Small enough to stay
    /// in a core's own cache.
    private static var outgoingBytes: Int { 320 << 10 }

    /// Whether a call did all of its work.
    public enum Progress: Sendable {
        /// All of it.
        case finished
        /// The outgoing batch is full: flush it and call `resume`.
        case batchFull
    }

    /// This lane's number, and how many lane threads the node runs.
    let lane: Int
    let threads: Int
    let cipher: BulkCipher

    var networks: UnsafeMutableBufferPointer<Network>
    var peers: UnsafeMutableBufferPointer<Peer>
    /// Every peer's index is below this, so that it finds its bit in each network.
    var peerCapacity: Int
    var networkByVNI: PlaceMap
    var plaintextPeers: PlaceMap
    var sessions = SessionTable()
    /// The datagram that small frames to one peer are gathered in.
    var open = OpenDatagram()
    /// The frame under way.
    var cursor = SendCursor()
    /// A copy of a super-frame's headers.
    let template = UnsafeMutableRawPointer.allocate(byteCount: FrameSegmenter.mostHeader, alignment: 64)
    /// Where a control message, a segment of a flooded super-frame or a fragment is put together.
    let staging = UnsafeMutableRawPointer.allocate(byteCount: 128 << 10, alignment: 64)
    var coalescer: FrameCoalescer
    /// Received frames that go on to peers.
    var relayed = RelayBatch()
    /// Where keyed peers are, as of `keyedPeersAt`.
    var keyedPeers = PlaceMap([])
    var keyedPeersAt: Instant?
    /// Answers to packets that are too big; given back when `delivered` is emptied.
    var answers = SlotArena(slotSize: VTEP.answerSlot, slotCount: 64)
    /// Where an answer is written that is not sent.
    let spareAnswer = UnsafeMutableRawPointer.allocate(byteCount: VTEP.answerSlot, alignment: 64)
    var answersSince = Instant(nanoseconds: 0)
    var answersLeft: UInt64 = 0

    /// Keeps the memory of `handover`, which holds the ring to each thread.
    var handoverRings: HandoverRings?
    var handover: UnsafeMutablePointer<HandoverRing>?
    var threadsToWake: UInt16 = 0
    /// How many datagrams were handed to other threads, at 0.
    public let handovers = CounterBlock(count: 1)

    let offloads: PacketOffloads
    /// Who is shown this lane's traffic.
    var captures = CaptureTaps()
    /// What this lane dropped.
    public let drops: DropCounters
    /// Datagrams to send, in order.
    public internal(set) var outgoing: DatagramBatch
    /// Frames to write to the devices, in order.
    public internal(set) var delivered = DeliveryBatch()
    /// What the handshake thread must hear. Filled only by rare things.
    public private(set) var events: [DataPlaneEvent] = []

    /// A lane with no session yet.
    /// - Parameters:
    ///   - lane: this thread's number, below `threads`.
    ///   - threads: the node's lane threads.
    ///   - networks: places in this list are the network numbers of `forward` and `DeliveredFrame`.
    ///   - peers: by peer index.
    ///   - peerCapacity: how many peers there may be before networks change for it; nil for those that there are.
    ///   - cipher: the AEAD, with the context of this thread.
    ///   - offloads: which ways of handling many packets as one are in use.
    ///   - drops: where drops are counted.
    public init(
        lane: Int,
        threads: Int,
        networks definitions: [NetworkDefinition],
        peers peerDefinitions: [PeerDefinition],
        peerCapacity: Int? = nil,
        cipher: consuming BulkCipher,
        offloads: PacketOffloads = PacketOffloads(),
        drops: DropCounters
    ) {
        self.lane = lane
        self.threads = threads
        self.cipher = cipher
        self.drops = drops
        self.offloads = offloads
        coalescer = FrameCoalescer(joinsTCP: offloads.coalescesTCP, joinsUDP: offloads.coalescesUDP)
        outgoing = DatagramBatch(bytes: Self.outgoingBytes, joinsRuns: offloads.joinsDatagrams)
        let peerCapacity = max(peerCapacity ?? 0, peerDefinitions.count)
        self.peerCapacity = peerCapacity
        networks = .allocate(capacity: definitions.count)
        for (place, definition) in definitions.enumerated() {
            networks.initializeElement(at: place, to: Network(definition, peerCount: peerCapacity))
        }
        peers = .allocate(capacity: peerDefinitions.count)
        for (place, definition) in peerDefinitions.enumerated() {
            peers.initializeElement(at: place, to: Peer(definition))
        }
        networkByVNI = Self.networkMap(networks)
        plaintextPeers = Self.plaintextMap(peers)
    }

    deinit {
        // Sessions first: peers point at them, and their deinit wipes keys.
        for place in peers.indices { peers.deinitializeElement(at: place) }
        for place in networks.indices { networks.deinitializeElement(at: place) }
        peers.deallocate()
        networks.deallocate()
        spareAnswer.deallocate()
        template.deallocate()
        staging.deallocate()
        open.records.deallocate()
        handover?.deallocate()
    }

    /// Whether one more datagram, or run of them, may be received before `delivered` is emptied.
    public var canReceive: Bool {
        delivered.room >= Self.mostFramesInDatagram && relayed.room >= 2 &* Self.mostFramesInDatagram
    }

    /// Forgets the datagrams of the outgoing batch, which the caller has sent, and takes back their memory.
    public mutating func removeOutgoing() {
        outgoing.removeAll()
    }

    /// The kernel takes no runs after all: every datagram leaves alone from now on.
    public mutating func stopJoiningDatagrams() { outgoing.joinsRuns = false }

    /// Ends the runs of `delivered`, before it is written.
    public mutating func finishDelivered() { coalescer.finish(delivered) }

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
}

/// What a lane tells the handshake thread.
public enum DataPlaneEvent: Sendable {
    /// The first datagram authenticated under the pair (key confirmation); from this source, the peer's listen port, if
    /// it came on lane 0.
    case confirmed(ReceiverIndex, PeerIndex, from: Endpoint?)
    /// Frames wait for a peer that has no usable pair.
    case handshakeNeeded(PeerIndex)
    /// An authenticated datagram moved the peer's endpoint.
    case endpointMoved(PeerIndex, to: Endpoint)
    /// Plaintext VXLAN came from the address of a keyed peer, and was dropped.
    case tripwire(PeerIndex, from: Endpoint)
    /// A control message, type byte first, that arrived under the pair.
    case control(PeerIndex, ReceiverIndex, [UInt8])
}

/// The frame that is being sent: it is in the caller's buffer, and stays there until all of it has left.
struct SendCursor {
    /// Whom a flood concerns in a network with `flood: known-multicast`.
    enum Audience {
        case all
        /// Those that want the group.
        case group(MACAddress, isIPv6: Bool)
        /// Those that learn from reports of membership.
        case reports(isIPv6: Bool)

        var isAll: Bool { if case .all = self { true } else { false } }
    }

    var frame: UnsafeMutableRawPointer?
    var count = 0
    var network = 0
    /// The checksum is partial, at a place that the receiver finds by its own parse.
    var isPartial = false
    /// How a super-frame is cut.
    var segmenter: FrameSegmenter?
    /// What the kernel said of it.
    var offload = VirtioNetHeader()
    var flowHash: UInt32 = 0
    /// Of its outer headers.
    var trafficClass: UInt8 = 0
    /// To every member of the network, else to `peer` alone.
    var isFlood = false
    var peer = PeerIndex(0)
    /// The peers that a flood goes to; nil for all.
    var floodSide: FloodSide?
    /// Whom a flood concerns.
    var audience = Audience.all
    /// The peer that a relayed frame came from.
    var origin: PeerIndex?
    /// The next member to send to.
    var nextMember = 0
    /// The next segment of the super-frame to that peer.
    var nextSegment = 0
}

/// One of a mixed network's two kinds of peers.
enum FloodSide {
    case sealed
    case plaintext
}

/// Frames that were waiting for the same peer share a datagram; this one is being filled.
struct OpenDatagram {
    /// Nil while there is none.
    var session: UnsafeMutablePointer<TransportSession>?
    /// Records so far, in bytes.
    var count = 0
    /// What the peer's path carries of records.
    var limit = 0
    /// Of its outer header, and of every frame in it.
    var trafficClass: UInt8 = 0
    /// Where the records stand.
    let records = UnsafeMutableRawPointer.allocate(byteCount: 64 << 10, alignment: 64)
}
