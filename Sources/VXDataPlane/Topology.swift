public import VXWire

/// How the frames of a network travel.
public enum NetworkMode: Sendable {
    /// Only inside sealed datagrams; there is no plaintext path.
    case sealed
    /// As standard VXLAN (RFC 7348).
    case plaintext
    /// Sealed to and from peers with a key, standard VXLAN to and from the others; no peer is ever both.
    case mixed
}

/// What of a frame without one known receiver is sent to every peer of a network (head-end replication).
public enum FloodPolicy: Sendable {
    /// Broadcast, multicast, and unicast to an unknown station.
    case all
    /// Nothing: only known stations are sent to.
    case none
}

/// One network as a lane is told of it.
public struct NetworkDefinition: Sendable {
    /// Its identifier.
    public let vni: VNI
    /// How its frames travel.
    public let mode: NetworkMode
    /// Source addresses are learned.
    public let learning: Bool
    /// Frames to 01:80:c2:00:00:00 to 0f are passed on.
    public let forwardLinkLocal: Bool
    /// The outer DSCP is the inner one; else it is zero.
    public let copyDSCP: Bool
    /// The tags it carries, 0 for frames without one; nil for all.
    public let vlans: [UInt16]?
    /// The largest frame of its device, Ethernet header and tags included.
    public let maximumFrame: Int
    /// The peers that take part, which are also those a broadcast goes to.
    public let members: [PeerIndex]
    /// Shared by all lanes.
    public let forwarding: ForwardingDatabase
    /// Keeps the memory of `forwarding` for as long as a lane has the network; nil where that lives as long as the process.
    public let owner: (any AnyObject & Sendable)?
    /// What is flooded.
    public let flood: FloodPolicy
    /// How much of it, shared by all lanes; nil for any.
    public let limiter: FloodLimiter?
    /// Who is answered for, shared by all lanes; nil where every question is flooded.
    public let neighbors: NeighborTable?
    /// Of a mixed network that passes frames between its sealed peers and its plaintext ones, shared by all lanes.
    public let relay: RelayGuard?
    /// Which peers want which groups, shared by all lanes; nil where multicast goes to all.
    public let groups: GroupTable?
    /// Where drops of its frames are counted, shared by all lanes.
    public let drops: NetworkDrops?
    /// Frames also come from a device of this node, and go to it.
    public let hasDevice: Bool
    /// It stands for a place that no network has.
    var isVacant = false

    /// From its parts.
    public init(
        vni: VNI,
        mode: NetworkMode,
        learning: Bool,
        forwardLinkLocal: Bool = false,
        copyDSCP: Bool = true,
        vlans: [UInt16]? = nil,
        maximumFrame: Int,
        members: [PeerIndex],
        forwarding: ForwardingDatabase,
        owner: (any AnyObject & Sendable)? = nil,
        flood: FloodPolicy = .all,
        limiter: FloodLimiter? = nil,
        neighbors: NeighborTable? = nil,
        relay: RelayGuard? = nil,
        groups: GroupTable? = nil,
        drops: NetworkDrops? = nil,
        hasDevice: Bool = true
    ) {
        self.drops = drops
        self.groups = groups
        self.relay = relay
        self.hasDevice = hasDevice
        self.owner = owner
        self.neighbors = neighbors
        self.flood = flood
        self.limiter = limiter
        self.vni = vni
        self.mode = mode
        self.learning = learning
        self.forwardLinkLocal = forwardLinkLocal
        self.copyDSCP = copyDSCP
        self.vlans = vlans
        self.maximumFrame = maximumFrame
        self.members = members
        self.forwarding = forwarding
    }
}

/// One peer as a lane is told of it.
public struct PeerDefinition: Sendable {
    /// A standard VTEP, reached and heard in plaintext only.
    public let isPlaintext: Bool
    /// Where it is, if configured; a sealed peer without one is learned when it calls.
    public let endpoint: Endpoint?
    /// Whether an authenticated datagram from elsewhere moves the endpoint.
    public let roaming: Bool
    /// Where this lane counts what it exchanges with the peer.
    public let counters: PeerCounters
    /// What it may claim to be, shared by all lanes; nil for anything that is no other peer's.
    public let binding: PeerBinding?

    /// From its parts.
    public init(
        isPlaintext: Bool,
        endpoint: Endpoint?,
        roaming: Bool,
        counters: PeerCounters,
        binding: PeerBinding? = nil
    ) {
        self.binding = binding
        self.isPlaintext = isPlaintext
        self.endpoint = endpoint
        self.roaming = roaming
        self.counters = counters
    }
}

/// A network in the lane's table.
struct Network: ~Copyable {
    let vni: VNI
    let isVacant: Bool
    let mode: NetworkMode
    let learning: Bool
    let forwardLinkLocal: Bool
    let forwarding: ForwardingDatabase
    private let owner: (any AnyObject & Sendable)?
    /// What of an inner traffic class shows outside: ECN always.
    let trafficClassMask: UInt8
    private let tags: TagFilter?
    let flood: FloodPolicy
    /// Of `limiter`, which it keeps alive.
    let buckets: FloodBuckets?
    private let limiter: FloodLimiter?
    /// Whether there are `neighbors`, without touching their reference count.
    let suppresses: Bool
    let neighbors: NeighborTable?
    /// Frames are passed on between sealed and plaintext peers.
    let relays: Bool
    /// Of `relay`, which it keeps alive.
    let loops: LoopWatch?
    private let relay: RelayGuard?
    let hasDevice: Bool
    /// Of `groupTable`, which it keeps alive.
    let groups: GroupMembers?
    private let groupTable: GroupTable?
    /// Of `dropCounters`, which it keeps alive.
    let drops: NetworkDropWords?
    private let dropCounters: NetworkDrops?
    /// The largest IP packet of its device.
    let largestPacket: Int
    let members: UnsafeMutableBufferPointer<PeerIndex>
    /// One bit a peer.
    private let membership: UnsafeMutableBufferPointer<UInt64>

    /// - Parameters:
    ///   - definition: what is configured.
    ///   - peerCount: every peer's index is below this.
    init(_ definition: NetworkDefinition, peerCount: Int) {
        vni = definition.vni
        isVacant = definition.isVacant
        mode = definition.mode
        learning = definition.learning
        forwardLinkLocal = definition.forwardLinkLocal
        forwarding = definition.forwarding
        owner = definition.owner
        trafficClassMask = definition.copyDSCP ? 0xff : TrafficClass.ecnMask
        tags = definition.vlans.map(TagFilter.init)
        flood = definition.flood
        limiter = definition.limiter
        buckets = definition.limiter?.buckets
        neighbors = definition.neighbors
        suppresses = definition.neighbors != nil
        relay = definition.relay
        relays = definition.relay != nil
        loops = definition.relay?.watch
        hasDevice = definition.hasDevice
        groupTable = definition.groups
        groups = definition.groups?.groups
        dropCounters = definition.drops
        drops = definition.drops?.words
        // `maximumFrame` counts the Ethernet header and two tags.
        largestPacket = definition.maximumFrame - EthernetFrame.headerLength - 8
        members = .allocate(capacity: definition.members.count)
        _ = members.initialize(from: definition.members)
        membership = .allocate(capacity: peerCount / 64 + 1)
        membership.initialize(repeating: 0)
        for peer in definition.members { membership[Int(peer.rawValue) / 64] |= 1 << UInt64(peer.rawValue % 64) }
    }

    deinit {
        tags?.deallocate()
        members.deallocate()
        membership.deallocate()
    }

    /// Whether the network carries frames with this one's tag.
    @inline(__always)
    func admitsTag(of frame: UnsafeRawPointer, count: Int) -> Bool {
        guard let tags else { return true }
        return tags.admits(frame, count: count)
    }

    /// Whether the peer may speak in this network.
    @inline(__always)
    func admits(_ peer: PeerIndex) -> Bool {
        membership[Int(peer.rawValue &>> 6)] & (1 &<< UInt64(peer.rawValue & 63)) != 0
    }
}

/// A peer in the lane's table.
struct Peer: ~Copyable {
    let isPlaintext: Bool
    var roaming: Bool
    let counters: PeerCounters
    /// Of `binding`, which it keeps alive.
    private(set) var rules: BindingRules
    private var binding: PeerBinding?
    var endpoint: Endpoint?
    /// Which socket this lane's sealed datagrams to the peer leave from.
    var sealedPath = OutgoingPath.sealed
    /// The largest frame that the path carries, Ethernet header included.
    var largestFrame = Int.max
    /// How many bytes of records a datagram carries on the path.
    var largestRecords = VTEP.leastRecords
    /// What that comes from, in bytes of IP packet; nil until known.
    var pathMTU: Int?
    /// The newest confirmed pair, which frames are sealed under.
    var sending: UnsafeMutablePointer<TransportSession>?
    var waiting = WaitingQueue()
    /// When the handshake thread was last asked for a session, in nanoseconds since boot; 0 for never.
    var askedAt: UInt64 = 0
    /// When it was last told of plaintext that claims to come from the peer.
    var tripwireToldAt: Instant?

    init(_ definition: PeerDefinition) {
        isPlaintext = definition.isPlaintext
        roaming = definition.roaming
        counters = definition.counters
        binding = definition.binding
        rules = definition.binding?.rules ?? .none
        endpoint = definition.endpoint
    }

    /// Takes over what may change while the peer is known. A sealed peer's endpoint comes from the handshake thread.
    mutating func change(to definition: PeerDefinition) {
        roaming = definition.roaming
        rules = definition.binding?.rules ?? .none
        binding = definition.binding
        if isPlaintext { endpoint = definition.endpoint }
    }

    deinit {
        var waiting = waiting
        waiting.removeAll()
    }
}

/// A fixed map from 64-bit keys to table places: VNIs to networks, addresses to plaintext peers. Open addressing,
/// filled once, then only read.
struct PlaceMap: ~Copyable {
    private let keys: UnsafeMutablePointer<UInt64>
    private let values: UnsafeMutablePointer<Int32>
    private let mask: Int

    init(_ entries: [(key: UInt64, value: Int)]) {
        var size = 16
        while size < entries.count * 2 { size *= 2 }
        mask = size - 1
        keys = .allocate(capacity: size)
        values = .allocate(capacity: size)
        keys.initialize(repeating: 0, count: size)
        values.initialize(repeating: -1, count: size)
        for (key, value) in entries {
            var place = Self.hash(key) & mask
            while values[place] >= 0, keys[place] != key { place = (place + 1) & mask }
            keys[place] = key
            values[place] = Int32(value)
        }
    }

    deinit {
        keys.deallocate()
        values.deallocate()
    }

    @inline(__always)
    private static func hash(_ key: UInt64) -> Int {
        Int(truncatingIfNeeded: (key &* 0x9e37_79b9_7f4a_7c15) &>> 40)
    }

    /// The value of a key, or -1.
    @inline(__always)
    func find(_ key: UInt64) -> Int {
        var place = Self.hash(key) & mask
        while values[place] >= 0 {
            if keys[place] == key { return Int(values[place]) }
            place = (place &+ 1) & mask
        }
        return -1
    }
}

extension IPAddress {
    /// A key for tables by address; whoever finds something by it compares the address itself, since two may share a key.
    @inline(__always)
    var placeKey: UInt64 {
        switch self {
        case .v4(let address): UInt64(address.rawValue)
        case .v6(let address): address.high ^ (address.low &* 0xff51_afd7_ed55_8ccd)
        }
    }
}

extension Endpoint {
    /// The same of the host without its port: a link-local address is one only on its own link.
    @inline(__always)
    var placeKey: UInt64 { address.placeKey ^ UInt64(scope) &<< 32 }
}
