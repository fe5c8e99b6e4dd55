public import VXWire

/// Where the nodes of a cluster find each other: a file, etcd, or the Kubernetes API. It is I/O alone; what its news mean is
/// decided by `PeerTable`.
public protocol PeerDirectory: Sendable {
    /// The text of flannel's net-conf.json.
    /// - Throws: `DirectoryError` when the directory cannot be asked now, or has none.
    func networkConfiguration() async throws -> String

    /// Takes subnets for this node: those that it had, else free ones. Asks until it has them.
    /// - Returns: the lease, with what the directory decides: its id and subnets.
    /// - Throws: `DirectoryError` when that cannot succeed however long one waits, and `CancellationError`.
    func acquire(_ request: LeaseRequest) async throws -> Lease

    /// Publishes what is new of the own lease: addresses, device, record. Also before the first `run`.
    func publish(_ lease: Lease) async throws

    /// Keeps the own lease alive and tells of the others', until the task is cancelled. What the directory lacks for hours is no
    /// reason to return: it tells, waits with growing and jittered pauses, and asks again.
    /// - Parameters:
    ///   - lease: the own one.
    ///   - tell: takes the news, one after the other. The first is a snapshot.
    /// - Throws: `CancellationError` alone.
    func run(_ lease: Lease, tell: @escaping @Sendable (DirectoryEvent) async -> Void) async throws

    /// What the operator has set for this node in the directory; nothing where a directory has no such settings.
    func settings() async throws -> NodeSettings

    /// Gives the own lease back, for a node that leaves for good.
    func release(_ lease: Lease) async throws
}

extension PeerDirectory {
    /// Nothing.
    public func settings() async throws -> NodeSettings { NodeSettings() }
}

/// What a node asks for.
public struct LeaseRequest: Sendable, Equatable {
    /// The node's name.
    public var node: String
    /// Where subnets are taken from.
    public var pool: SubnetPool
    /// What the node publishes, but for id and subnets, which the directory fills in.
    public var lease: Lease
    /// Subnets that it had before, by its own records: taken again where they are free.
    public var earlier: [IPPrefix]

    /// From its parts.
    public init(node: String, pool: SubnetPool, lease: Lease, earlier: [IPPrefix] = []) {
        self.node = node
        self.pool = pool
        self.lease = lease
        self.earlier = earlier
    }
}

/// Where subnets are taken from: net-conf.json's `Network`, `SubnetLen`, `SubnetMin` and `SubnetMax`, and their IPv6 forms.
public struct SubnetPool: Sendable, Equatable {
    /// One family's.
    public struct Family: Sendable, Equatable {
        /// The whole overlay.
        public var network: IPPrefix
        /// The prefix length of a node's share.
        public var length: Int
        /// The first share's address.
        public var first: IPAddress
        /// The last share's address.
        public var last: IPAddress

        /// From its parts.
        public init(network: IPPrefix, length: Int, first: IPAddress, last: IPAddress) {
            self.network = network
            self.length = length
            self.first = first
            self.last = last
        }
    }

    /// IPv4's.
    public var v4: Family?
    /// IPv6's.
    public var v6: Family?

    /// From its parts.
    public init(v4: Family?, v6: Family? = nil) {
        self.v4 = v4
        self.v6 = v6
    }
}

/// What a directory has to say.
public enum DirectoryEvent: Sendable, Equatable {
    /// All leases, in place of what was told before: at start, and when news may have been missed.
    case snapshot([Lease])
    /// A lease that is new or has changed.
    case updated(Lease)
    /// A lease that is gone, by its id.
    case removed(String)
    /// An entry that cannot be read, by its id; what it said before no longer holds.
    case unreadable(String, why: String)
    /// The directory cannot be asked; what was told goes on to hold.
    case unreachable(String)
    /// It answers again.
    case reachable
    /// The own lease is gone or another node's, and `acquire` must be asked again.
    case lost(String)
}

/// Why a directory does not do what it was asked.
public struct DirectoryError: Error, Equatable, CustomStringConvertible {
    /// What, where, and how to mend it.
    public let description: String
    /// Asking again may help.
    public let isTransient: Bool

    /// From its parts.
    public init(_ description: String, isTransient: Bool = false) {
        self.description = description
        self.isTransient = isTransient
    }
}

/// Pauses between attempts: each twice as long as the one before, up to a limit, and at random between half of that and all,
/// so that the nodes of a cluster do not come back as one.
public struct Backoff: Sendable {
    private var next: Double
    private let first: Double
    private let longest: Double

    /// - Parameters:
    ///   - first: seconds of the first pause.
    ///   - longest: seconds that none is longer than.
    public init(first: Double = 0.5, longest: Double = 60) {
        self.first = first
        self.longest = longest
        next = first
    }

    /// The next pause in seconds.
    public mutating func pause(using random: inout some RandomNumberGenerator) -> Double {
        defer { next = min(next * 2, longest) }
        return Double.random(in: next / 2...next, using: &random)
    }

    /// After a success.
    public mutating func reset() { next = first }
}
