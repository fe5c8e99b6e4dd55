/// What `GET /v1/status` answers and `vxseal status --json` prints: schema `vxseal.status/1`. Fields may be added within
/// a schema number, none renamed.
public struct StatusReply: Codable, Sendable {
    /// The schema's name and number.
    public var schema = "vxseal.status/1"
    /// The node's name.
    public var node: String
    /// The node's identity, base64.
    public var publicKey: String
    /// The sealed endpoints it listens on.
    public var listen: [String]
    /// Who computes ChaCha20-Poly1305.
    public var cipher: String
    /// Lane threads.
    public var lanes: Int
    /// Who decides on which lane a frame leaves: `ebpf`, a program that keeps each flow on one lane, or `kernel`, whose own
    /// rule may move a flow; absent with a single lane.
    public var steering: String?
    /// Datagrams that arrived at another lane thread than the one that owns their lane, and were handed over.
    public var handovers: UInt64
    /// Every offload: `on`, `off` by configuration, `missing` in this kernel, or `retreated` from after it failed.
    public var offloads: [String: String]
    /// Seconds since the daemon started.
    public var uptimeSeconds: Double
    /// What each lane thread has done, in their order.
    public var laneTraffic: [LaneStatus] = []
    /// The networks, in the configuration's order.
    public var networks: [NetworkStatus]
    /// The peers, in the configuration's order.
    public var peers: [PeerStatus]
    /// Every drop reason, also at zero.
    public var drops: [String: UInt64]
    /// What the daemon may still do; absent from a daemon of an earlier version.
    public var sandbox: SandboxStatus?

    /// From its parts.
    public init(
        node: String,
        publicKey: String,
        listen: [String],
        cipher: String,
        lanes: Int,
        steering: String?,
        handovers: UInt64,
        offloads: [String: String],
        uptimeSeconds: Double,
        networks: [NetworkStatus],
        peers: [PeerStatus],
        drops: [String: UInt64]
    ) {
        self.node = node
        self.publicKey = publicKey
        self.listen = listen
        self.cipher = cipher
        self.lanes = lanes
        self.steering = steering
        self.handovers = handovers
        self.offloads = offloads
        self.uptimeSeconds = uptimeSeconds
        self.networks = networks
        self.peers = peers
        self.drops = drops
    }
}

/// One lane thread in `StatusReply`.
public struct LaneStatus: Codable, Sendable {
    /// What it took from sockets.
    public var received: PeerStatus.Traffic
    /// What it sent.
    public var sent: PeerStatus.Traffic
    /// What it dropped, by reason; reasons at zero are left out.
    public var drops: [String: UInt64]

    /// From its parts.
    public init(received: PeerStatus.Traffic, sent: PeerStatus.Traffic, drops: [String: UInt64]) {
        self.received = received
        self.sent = sent
        self.drops = drops
    }
}

/// One network in `StatusReply`.
public struct NetworkStatus: Codable, Sendable {
    /// How full its forwarding database is.
    public struct Forwarding: Codable, Sendable {
        /// Stations that are learned.
        public var learned: Int
        /// How many may be: `fdbLimit`.
        public var limit: Int
        /// How often a station was not learned, since the limit or its peer's share was reached.
        public var refused: UInt64
        /// How often an entry was frozen since it moved too often.
        public var frozen: UInt64

        /// From its parts.
        public init(learned: Int, limit: Int, refused: UInt64, frozen: UInt64) {
            self.learned = learned
            self.limit = limit
            self.refused = refused
            self.frozen = frozen
        }
    }

    /// ARP and neighbour discovery that is answered here.
    public struct Neighbors: Codable, Sendable {
        /// Addresses that were heard and may be answered for.
        public var known: Int
        /// Questions that were answered instead of flooded.
        public var answered: UInt64
        /// How often an address was not taken up, since the table or its peer's share of it was full.
        public var refused: UInt64

        /// From its parts.
        public init(known: Int, answered: UInt64, refused: UInt64) {
            self.known = known
            self.answered = answered
            self.refused = refused
        }
    }

    /// Frames that are passed on between sealed and plaintext peers.
    public struct Relay: Codable, Sendable {
        /// Broadcast, multicast and unknown unicast are not passed on for now, since frames came back.
        public var isStopped: Bool
        /// How often that was.
        public var stops: UInt64

        /// From its parts.
        public init(isStopped: Bool, stops: UInt64) {
            self.isStopped = isStopped
            self.stops = stops
        }
    }

    /// Multicast that goes only where it is wanted.
    public struct Groups: Codable, Sendable {
        /// Memberships of peers that are known.
        public var memberships: Int
        /// How often one was not taken up, since the table or its peer's share of it was full.
        public var refused: UInt64
        /// Messages that were not believed: cut, with a wrong checksum, from beyond the link, or a router's from a peer whose
        /// `allow` has no `router: true`.
        public var ignored: UInt64
        /// The peers that get all groups, for a multicast router is behind them.
        public var routers: [String]
        /// Somebody asks for memberships of IPv4 groups (IGMP); else all are flooded.
        public var hasIPv4Querier: Bool
        /// The same for IPv6 (MLD).
        public var hasIPv6Querier: Bool

        /// From its parts.
        public init(
            memberships: Int,
            refused: UInt64,
            ignored: UInt64,
            routers: [String],
            hasIPv4Querier: Bool,
            hasIPv6Querier: Bool
        ) {
            self.memberships = memberships
            self.refused = refused
            self.ignored = ignored
            self.routers = routers
            self.hasIPv4Querier = hasIPv4Querier
            self.hasIPv6Querier = hasIPv6Querier
        }
    }

    /// What its device has carried.
    public struct Traffic: Codable, Sendable {
        /// Packets from peers, handed to the device.
        public var receivedPackets: UInt64
        /// Bytes of them.
        public var receivedBytes: UInt64
        /// Packets that the device had for peers.
        public var sentPackets: UInt64
        /// Bytes of them.
        public var sentBytes: UInt64

        /// From its parts.
        public init(receivedPackets: UInt64, receivedBytes: UInt64, sentPackets: UInt64, sentBytes: UInt64) {
            self.receivedPackets = receivedPackets
            self.receivedBytes = receivedBytes
            self.sentPackets = sentPackets
            self.sentBytes = sentBytes
        }
    }

    /// Its identifier.
    public var vni: UInt32
    /// `sealed`, `mixed` or `plaintext`.
    public var mode: String
    /// Absent where nothing is passed on between peers.
    public var relay: Relay?
    /// Its TAP device; absent for a relay without one.
    public var device: String?
    /// What was dropped of its frames, by reason; reasons at zero are left out.
    public var drops: [String: UInt64] = [:]
    /// The device's MTU in bytes.
    public var mtu: Int
    /// The bridge that the device is to be a port of, if any.
    public var bridge: String?
    /// Whether the device is kept out of that bridge, because a plaintext network is in it; absent without a bridge.
    public var isKeptApart: Bool?
    /// How often the device was removed by somebody, and made again.
    public var deviceRestarts: Int = 0
    /// How full its forwarding database is.
    public var fdb: Forwarding
    /// What ARP and neighbour discovery are answered from; absent without `neighborSuppression`.
    public var neighbors: Neighbors?
    /// What the device has carried, by the kernel's count; absent without a device.
    public var traffic: Traffic?
    /// Who wants which multicast groups; absent but with `flood: known-multicast`.
    public var groups: Groups?

    /// From its parts.
    public init(vni: UInt32, mode: String, device: String?, mtu: Int, fdb: Forwarding) {
        self.fdb = fdb
        self.vni = vni
        self.mode = mode
        self.device = device
        self.mtu = mtu
    }
}

/// One peer in `StatusReply`.
public struct PeerStatus: Codable, Sendable {
    /// Traffic in one direction, over all sessions.
    public struct Traffic: Codable, Sendable {
        /// UDP datagrams.
        public var datagrams: UInt64 = 0
        /// Ethernet frames in them.
        public var frames: UInt64 = 0
        /// Bytes of those frames.
        public var bytes: UInt64 = 0

        /// All at zero.
        public init() {}
    }

    /// Datagrams that one side sealed and the other did not get, by the session's own counters.
    public struct Loss: Codable, Sendable {
        /// From the peer to this node.
        public var received: UInt64 = 0
        /// From this node to the peer, as the peer reported it.
        public var sent: UInt64 = 0

        /// All at zero.
        public init() {}
    }

    /// Round trips of the last minutes, measured by echo requests within the session.
    public struct RoundTrip: Codable, Sendable {
        /// The shortest, in microseconds.
        public var minMicroseconds: UInt64
        /// Half of them were shorter.
        public var medianMicroseconds: UInt64
        /// 99 of 100 were no longer.
        public var p99Microseconds: UInt64
        /// How many were measured.
        public var samples: Int

        /// From its parts.
        public init(minMicroseconds: UInt64, medianMicroseconds: UInt64, p99Microseconds: UInt64, samples: Int) {
            self.minMicroseconds = minMicroseconds
            self.medianMicroseconds = medianMicroseconds
            self.p99Microseconds = p99Microseconds
            self.samples = samples
        }
    }

    /// Traffic a second, over the last few.
    public struct Rates: Codable, Sendable {
        /// Frames from the peer.
        public var receivedFrames: UInt64
        /// Bytes of them.
        public var receivedBytes: UInt64
        /// Frames to the peer.
        public var sentFrames: UInt64
        /// Bytes of them.
        public var sentBytes: UInt64

        /// From its parts.
        public init(receivedFrames: UInt64, receivedBytes: UInt64, sentFrames: UInt64, sentBytes: UInt64) {
            self.receivedFrames = receivedFrames
            self.receivedBytes = receivedBytes
            self.sentFrames = sentFrames
            self.sentBytes = sentBytes
        }
    }

    /// Its name in the configuration.
    public var name: String
    /// Its identity, base64; absent for a plaintext peer.
    public var publicKey: String?
    /// `sealed` or `plaintext`.
    public var mode: String
    /// Where it is, if known.
    public var endpoint: String?
    /// `down`, `handshaking`, `established`, `plaintext` or `contested`.
    public var state: String
    /// Whether the session's key exchange is post-quantum.
    public var postQuantum: Bool
    /// Age of the sending key; absent without a session.
    public var keyAgeSeconds: Double?
    /// Time since the last completed handshake.
    public var lastHandshakeSecondsAgo: Double?
    /// By how much its clock is ahead of this node's, negative for behind, in the last session that it began; absent when it
    /// has begun none. A handshake's travel is in it.
    public var clockAheadSeconds: Int64?
    /// When the keys are renewed if nothing asks for it before; absent without a session.
    public var nextRekeySeconds: Double?
    /// The median of `rtt`; before the first measurement the time that the last handshake took which this node began.
    public var rttMicroseconds: UInt64?
    /// Absent before the first measurement.
    public var rtt: RoundTrip?
    /// What flows now.
    public var rates: Rates?
    /// Bytes of IP packet that the path carries; absent until it is discovered.
    public var pathMTU: Int?
    /// How many lanes it sends on; absent before the first session.
    public var peerLanes: Int?
    /// From which port each lane of this node is sent to it, lane 0 first: `own`, `fixed` (the listen port) or `black` (the
    /// listen port, since nothing from the lane's own port arrives there); empty for a plaintext peer.
    public var lanePorts: [String] = []
    /// How many handshakes were completed with it.
    public var handshakes: UInt64 = 0
    /// What came from it.
    public var received = Traffic()
    /// What went to it.
    public var sent = Traffic()
    /// What was lost between.
    public var lost = Loss()
    /// Datagrams from it whose counter had been seen; dropped.
    public var duplicated: UInt64 = 0
    /// Datagrams from it that arrived behind a later one.
    public var reordered: UInt64 = 0
    /// VXLAN datagrams from a plaintext peer with reserved bits set, which are ignored as RFC 7348 says.
    public var reservedBits: UInt64 = 0
    /// What was dropped of what it sent or was to be sent, by reason; reasons at zero are left out.
    public var drops: [String: UInt64] = [:]
    /// Plaintext that claimed to come from this keyed peer.
    public var tripwires: UInt64 = 0
    /// Where the last of it came from; absent without.
    public var lastTripwireSource: String?
    /// How long ago that was.
    public var lastTripwireSecondsAgo: Double?

    /// With nothing exchanged yet.
    public init(name: String, publicKey: String?, mode: String, endpoint: String?, state: String) {
        self.name = name
        self.publicKey = publicKey
        self.mode = mode
        self.endpoint = endpoint
        self.state = state
        postQuantum = false
    }
}

/// What `GET /v1/fdb` answers.
public struct FDBReply: Codable, Sendable {
    /// One entry of a forwarding database.
    public struct Entry: Codable, Sendable {
        /// The network.
        public var vni: UInt32
        /// The station's MAC address.
        public var mac: String
        /// The peer it is behind; absent for a station of this node's own device.
        public var peer: String?
        /// `static`, `allowed` (by a peer's `allow.macs`), `control` (by a directory), `local` or `learned`.
        public var kind: String
        /// Seconds since it was last heard; absent for an entry that never ages.
        public var ageSeconds: Double?

        /// From its parts.
        public init(vni: UInt32, mac: String, peer: String?, kind: String, ageSeconds: Double?) {
            self.vni = vni
            self.mac = mac
            self.peer = peer
            self.kind = kind
            self.ageSeconds = ageSeconds
        }
    }

    /// A multicast group that somebody behind a peer wants, in a network with `flood: known-multicast`.
    public struct Group: Codable, Sendable {
        /// The network.
        public var vni: UInt32
        /// The MAC address that the group's frames go to.
        public var mac: String
        /// The peer.
        public var peer: String
        /// Seconds until it is forgotten without another report.
        public var expiresInSeconds: Double

        /// From its parts.
        public init(vni: UInt32, mac: String, peer: String, expiresInSeconds: Double) {
            self.vni = vni
            self.mac = mac
            self.peer = peer
            self.expiresInSeconds = expiresInSeconds
        }
    }

    /// The schema's name and number.
    public var schema = "vxseal.fdb/1"
    /// The entries, by network and address.
    public var entries: [Entry]
    /// Who wants which multicast groups, by network, address and peer.
    public var groups: [Group]

    /// From its parts.
    public init(entries: [Entry], groups: [Group]) {
        self.entries = entries
        self.groups = groups
    }
}

/// What `POST /v1/fdb/flush` takes: what is forgotten must fit all that is given.
public struct FlushRequest: Codable, Sendable {
    /// The name of the peer that a station is behind.
    public var peer: String?
    /// The network.
    public var vni: UInt32?
    /// The station.
    public var mac: String?

    /// Nothing given: all that was learned.
    public init(peer: String? = nil, vni: UInt32? = nil, mac: String? = nil) {
        self.peer = peer
        self.vni = vni
        self.mac = mac
    }
}

/// What `POST /v1/rotate/session` takes.
public struct RotateSessionRequest: Codable, Sendable {
    /// The peer's name; absent for all.
    public var peer: String?

    /// For one peer or all.
    public init(peer: String?) { self.peer = peer }
}

/// What `POST /v1/rotate/session` answers.
public struct RotateSessionReply: Codable, Sendable {
    /// The schema's name and number.
    public var schema = "vxseal.rotate-session/1"
    /// The peers that a new handshake was started with.
    public var peers: [String]

    /// From the peers' names.
    public init(peers: [String]) { self.peers = peers }
}
