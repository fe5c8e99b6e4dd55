/// What an agent knows of its overlay: `GET /v1/agent`.
public struct AgentReply: Codable, Sendable {
    /// The schema's name and number.
    public var schema = "vxseal.agent/1"
    /// This node's name.
    public var node: String
    /// Where nodes find each other: `etcd`, `kubernetes` or `file`.
    public var directory: String
    /// It answers; what it said before goes on to hold where it does not.
    public var isReachable: Bool
    /// Why it does not.
    public var problem: String?
    /// Seconds since that last changed.
    public var sinceSeconds: Double
    /// Whom this node speaks with: `off`, `prefer` or `require`.
    public var seal: String
    /// Whose records are believed: `directory`, `pinned` or `roster`.
    public var trust: String
    /// This node's subnets.
    public var subnets: [String]
    /// Its underlay addresses.
    public var addresses: [String]
    /// The overlay's device.
    public var device: String
    /// Its MTU in bytes.
    public var mtu: Int
    /// All other nodes, by name.
    public var nodes: [AgentNode]
    /// Entries of the directory that are no peers, by id.
    public var refused: [AgentRefusal]
    /// Entries that no honest directory contains, counted since the start.
    public var suspicions: UInt64
    /// Routes and neighbours that were set again after others had changed them, counted since the start.
    public var repairs: UInt64
    /// What is wrong on this node; empty when nothing is.
    public var faults: [String]

    /// From its parts.
    public init(
        node: String,
        directory: String,
        isReachable: Bool,
        problem: String?,
        sinceSeconds: Double,
        seal: String,
        trust: String,
        subnets: [String],
        addresses: [String],
        device: String,
        mtu: Int,
        nodes: [AgentNode],
        refused: [AgentRefusal],
        suspicions: UInt64,
        repairs: UInt64,
        faults: [String]
    ) {
        self.node = node
        self.directory = directory
        self.isReachable = isReachable
        self.problem = problem
        self.sinceSeconds = sinceSeconds
        self.seal = seal
        self.trust = trust
        self.subnets = subnets
        self.addresses = addresses
        self.device = device
        self.mtu = mtu
        self.nodes = nodes
        self.refused = refused
        self.suspicions = suspicions
        self.repairs = repairs
        self.faults = faults
    }
}

/// Another node of the overlay.
public struct AgentNode: Codable, Sendable {
    /// Its name.
    public var name: String
    /// Its subnets.
    public var subnets: [String]
    /// Its underlay addresses.
    public var addresses: [String]
    /// What it can do: `plaintext` as flannel, `sealed` too, or `sealedOnly`.
    public var speaks: String
    /// Its identity; nil without one.
    public var publicKey: String?

    /// From its parts.
    public init(name: String, subnets: [String], addresses: [String], speaks: String, publicKey: String?) {
        self.name = name
        self.subnets = subnets
        self.addresses = addresses
        self.speaks = speaks
        self.publicKey = publicKey
    }
}

/// An entry that is no peer.
public struct AgentRefusal: Codable, Sendable {
    /// What the directory calls it.
    public var id: String
    /// Why, and where there is one, the mend.
    public var reason: String
    /// No honest directory contains it.
    public var isSuspicious: Bool
    /// What a believed record said before still holds.
    public var isKept: Bool

    /// From its parts.
    public init(id: String, reason: String, isSuspicious: Bool, isKept: Bool) {
        self.id = id
        self.reason = reason
        self.isSuspicious = isSuspicious
        self.isKept = isKept
    }
}
