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
        /// What is decided: `network`, `station`, `database`, `peer`, `size`, `outer`, `back`.
        public var stage: String
        /// How, and why.
        public var text: String

        /// From its parts.
        public init(_ stage: String, _ text: String) {
            self.stage = stage
            self.text = text
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
    /// The drop reason, as `status` counts it; absent unless dropped.
    public var reason: String?

    /// Nothing decided yet.
    public init() {}
}
