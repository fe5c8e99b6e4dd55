import Foundation
public import VXConfig
public import VXControl
import VXWire

/// The nodes of a Calico cluster with VXLAN, where Kubernetes is Calico's datastore. It is only read: what the own node
/// is called and has been given there is Calico's doing, or the operator's. All of it is plaintext, for Calico knows no
/// other.
public actor CalicoDirectory: PeerDirectory {
    private let configuration: CalicoConfiguration
    private let client: KubernetesClient
    private let notice: @Sendable (String) -> Void

    /// - Parameters:
    ///   - configuration: how the API is reached.
    ///   - notice: is told, once, why `acquire` has to wait.
    /// - Throws: `DirectoryError` where the configuration cannot be.
    public init(
        _ configuration: CalicoConfiguration,
        notice: @escaping @Sendable (String) -> Void = { _ in }
    ) throws(DirectoryError) {
        let access = try APIAccess.configured(configuration.kubernetes)
        self.init(configuration, access: access, timing: KubernetesClient.Timing(), notice: notice)
    }

    /// With an access and times of a test's own.
    init(
        _ configuration: CalicoConfiguration,
        access: APIAccess,
        timing: KubernetesClient.Timing,
        notice: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.configuration = configuration
        self.notice = notice
        client = KubernetesClient(access, timing: timing, wanted: CalicoNode.annotations)
    }

    /// The file's text.
    public func networkConfiguration() async throws -> String {
        try configuration.kubernetes.readNetConf()
    }

    /// Waits until Calico has given the node an address for its device and a block.
    /// - Returns: the lease, whose addresses and MAC address are Calico's: the device must have these.
    public func acquire(_ request: LeaseRequest) async throws -> Lease {
        let own = configuration.kubernetes.node
        var isNoticed = false
        do {
            try await follow { table, events in
                if let lease = table.lease(of: own) { throw Acquired(lease: lease) }
                guard !isNoticed else { return }
                for event in events {
                    switch event {
                    case .unreachable(let why): notice(why)
                    case .snapshot:
                        notice("Calico has given the node \(own) no tunnel address, no IPv4Address or no block yet")
                    case .updated, .removed, .unreadable, .reachable, .lost: continue
                    }
                    isNoticed = true
                    return
                }
            }
        } catch let acquired as Acquired {
            return acquired.lease
        }
    }

    /// Does nothing: Calico reads only what it has written.
    public func publish(_ lease: Lease) async throws {}

    /// Does nothing: Calico takes its blocks back when the node's object goes.
    public func release(_ lease: Lease) async throws {}

    /// Follows all nodes and blocks.
    public func run(_ lease: Lease, tell: @escaping @Sendable (DirectoryEvent) async -> Void) async throws {
        var isLost = false
        try await follow { table, events in
            for event in events { await tell(event) }
            guard !isLost, !events.isEmpty, table.isComplete else { return }
            let now = table.lease(of: lease.id)
            guard now?.vtep != lease.vtep || now?.vtepV6 != lease.vtepV6 || now?.backend != lease.backend else {
                return
            }
            isLost = true
            await tell(.lost("Calico has taken the node \(lease.id)'s tunnel address, or changed it"))
        }
    }

    // MARK: - Following

    /// Ends `acquire`.
    private struct Acquired: Error {
        let lease: Lease
    }

    private enum News: Sendable {
        case nodes(ResourceNews<NodeObject>)
        case blocks(ResourceNews<CalicoBlock>)
    }

    /// Follows both resources, until `take` throws or the task is cancelled.
    private func follow(_ take: (CalicoTable, [DirectoryEvent]) async throws -> Void) async throws -> Never {
        let (news, feed) = AsyncStream.makeStream(of: News.self)
        let client = client
        let followers = Task {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await ResourceFollower<NodeObject>(client: client).run { feed.yield(.nodes($0)) } }
                group.addTask {
                    try await ResourceFollower<CalicoBlock>(client: client).run { feed.yield(.blocks($0)) }
                }
                defer { group.cancelAll() }
                try await group.next()
            }
        }
        defer { followers.cancel() }
        var table = CalicoTable(own: configuration.kubernetes.node, isCrossSubnet: configuration.isCrossSubnet)
        var reach = Reach()
        for await item in news {
            let events: [DirectoryEvent]
            switch item {
            case .nodes(let news): events = reach.take(news, "nodes") ?? table.take(news)
            case .blocks(let news): events = reach.take(news, "blocks") ?? table.take(news)
            }
            try await take(table, events)
        }
        throw CancellationError()
    }

    /// What is away: told once for both.
    private struct Reach {
        private var away: Set<String> = []

        /// Nil for other news.
        mutating func take<Object>(_ news: ResourceNews<Object>, _ name: String) -> [DirectoryEvent]? {
            switch news {
            case .unreachable(let why):
                let isFirst = away.isEmpty
                away.insert(name)
                return isFirst ? [.unreachable(why)] : []
            case .reachable:
                away.remove(name)
                return away.isEmpty ? [.reachable] : []
            case .replaced, .put, .removed: return nil
            }
        }
    }
}
