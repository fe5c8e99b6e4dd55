/// What `POST /v1/trace` takes: a frame to think of.
public struct TraceRequest: Codable, Sendable {
    /// An inner IP address, or a station's MAC address.
    public var source: String
    /// An inner IP address, or a station's MAC address.
    public var destination: String
    /// The network; needed where the destination does not tell it.
    public var vni: UInt32?
    /// Bytes of the IP packet; nil for the largest that the device takes.
    public var size: Int?
    /// The peers that would get the frame are asked what they would do with it.
    public var sends = false
    /// The IP protocol of a frame that is asked about: 1 ICMP (58 in IPv6), 6 TCP, 17 UDP.
    public var ipProtocol: UInt8?
    /// Its destination port, with TCP and UDP.
    public var port: UInt16?

    /// From its parts.
    public init(source: String, destination: String, vni: UInt32? = nil, size: Int? = nil) {
        self.source = source
        self.destination = destination
        self.vni = vni
        self.size = size
    }
}

/// What `POST /v1/trace` answers: how this node decides; schema `vxseal.trace/1`.
public struct TraceReply: Codable, Sendable {
    /// One decision.
    public struct Step: Codable, Sendable {
        /// What is decided: `network`, `station`, `database`, `peer`, `size`, `outer`, `back`, `probe`.
        public var stage: String
        /// How, and why.
        public var text: String

        /// From its parts.
        public init(_ stage: String, _ text: String) {
            self.stage = stage
            self.text = text
        }
    }

    /// What a peer would do with the frame.
    public struct Probe: Codable, Sendable {
        /// The peer.
        public var peer: String
        /// `device`, `relayed` or `dropped` there; `lost` when no answer came.
        public var fate: String
        /// The drop reason there; absent unless dropped.
        public var reason: String?
        /// From the question to its answer; absent without one.
        public var roundTripMicroseconds: Double?
        /// How much of that the peer took, by its own clock; absent without an answer.
        public var peerMicroseconds: Double?

        /// From its parts.
        public init(
            peer: String,
            fate: String,
            reason: String? = nil,
            roundTripMicroseconds: Double? = nil,
            peerMicroseconds: Double? = nil
        ) {
            self.peer = peer
            self.fate = fate
            self.reason = reason
            self.roundTripMicroseconds = roundTripMicroseconds
            self.peerMicroseconds = peerMicroseconds
        }
    }

    /// What becomes of the frame.
    public enum Outcome: String, Codable, Sendable {
        /// One peer gets it.
        case sent
        /// All peers of the network get it, or those that want its group.
        case flooded
        /// It stays on this node's own device.
        case local
        /// It is dropped, for `reason`.
        case dropped
    }

    /// The schema's name and number.
    public var schema = "vxseal.trace/1"
    /// The decisions, in their order.
    public var steps: [Step] = []
    /// What becomes of the frame.
    public var outcome = Outcome.dropped
    /// Who gets it.
    public var peers: [String] = []
    /// The network; absent when none was found.
    public var vni: UInt32?
    /// The MAC address that the frame goes to; absent when it is unknown.
    public var station: String?
    /// What peers said with `--send`.
    public var probes: [Probe] = []
    /// The drop reason, as `status` counts it; absent unless dropped.
    public var reason: String?

    /// Nothing decided yet.
    public init() {}
}
