public import VXConfig
public import VXControl
import VXWire

/// The directory of peers in the Kubernetes API, in flannel's own annotations of the nodes: nodes with flannel and
/// nodes with vxseal see each other's leases. Pod subnets are those that the cluster has assigned.
public actor KubernetesDirectory: PeerDirectory {
    private let configuration: KubernetesConfiguration
    private let client: KubernetesClient
    private let annotations: NodeAnnotations
    private let notice: @Sendable (String) -> Void
    /// What this node published last.
    private var published: Lease?

    /// - Parameters:
    ///   - configuration: how the API is reached.
    ///   - notice: is told, once, why `acquire` has to wait.
    /// - Throws: `DirectoryError` where the configuration cannot be.
    public init(
        _ configuration: KubernetesConfiguration,
        notice: @escaping @Sendable (String) -> Void = { _ in }
    ) throws(DirectoryError) {
        let access = try APIAccess.configured(configuration)
        try self.init(configuration, access: access, timing: KubernetesClient.Timing(), notice: notice)
    }

    /// With an access and times of a test's own.
    init(
        _ configuration: KubernetesConfiguration,
        access: APIAccess,
        timing: KubernetesClient.Timing,
        notice: @escaping @Sendable (String) -> Void = { _ in }
    ) throws(DirectoryError) {
        guard SealRecord.isName(configuration.node) else {
            throw DirectoryError(
                "`\(configuration.node)` is no name of a node; give the one that `kubectl get nodes` lists"
            )
        }
        self.configuration = configuration
        self.notice = notice
        let names = try AnnotationNames(prefix: configuration.annotationPrefix)
        annotations = NodeAnnotations(names: names)
        client = KubernetesClient(access, timing: timing, wanted: names.all)
    }

    // MARK: - PeerDirectory

    /// The file's text.
    public func networkConfiguration() async throws -> String {
        try configuration.readNetConf()
    }

    /// Waits until the cluster has given the node its pod subnets.
    public func acquire(_ request: LeaseRequest) async throws -> Lease {
        let follower = ResourceFollower<NodeObject>(client: client, only: configuration.node)
        var noticed = false
        do {
            try await follower.run { news in
                let wait: String
                switch news {
                case .replaced(let nodes):
                    if let node = nodes.first, let lease = try lease(of: node, request) { throw Acquired(lease: lease) }
                    wait =
                        nodes.isEmpty
                        ? "the API knows no node \(configuration.node)"
                        : "the node \(configuration.node) has no podCIDR yet"
                case .put(let node):
                    guard let lease = try lease(of: node, request) else { return }
                    throw Acquired(lease: lease)
                case .unreachable(let why): wait = why
                case .removed, .reachable: return
                }
                if !noticed { notice(wait) }
                noticed = true
            }
        } catch let acquired as Acquired {
            return acquired.lease
        }
        throw CancellationError()
    }

    /// Patches the node's annotations and its condition where they differ.
    public func publish(_ lease: Lease) async throws {
        guard lease.id == configuration.node else { throw foreign(lease) }
        // Before it is written, or what the watch tells of it meanwhile would look like somebody else's doing.
        published = lease
        try await write(lease)
    }

    /// Removes what this directory has written.
    public func release(_ lease: Lease) async throws {
        guard lease.id == configuration.node else { throw foreign(lease) }
        published = nil
        try await told {
            do {
                let node: NodeObject = try await client.get(configuration.node)
                guard let change = annotations.removal(from: node) else { return }
                try await client.patch(node: configuration.node, change)
            } catch let error as KubernetesError where error.code == 404 {
                // With the node, all that it wrote is gone.
            }
        }
    }

    /// Follows all nodes, and keeps what is published as it is.
    public func run(_ lease: Lease, tell: @escaping @Sendable (DirectoryEvent) async -> Void) async throws {
        let (changes, change) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.follow(lease, tell) { change.yield() } }
            group.addTask { try await self.keepPublished(changes) }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    /// What the operator has set for this node by annotations.
    /// - Throws: `DirectoryError` when the API cannot be asked now, or an annotation is no address.
    public func settings() async throws -> NodeSettings {
        try await told {
            let node: NodeObject
            do {
                node = try await client.get(configuration.node)
            } catch let error as KubernetesError where error.code == 404 {
                throw DirectoryError("the API knows no node \(configuration.node) yet", isTransient: true)
            }
            do {
                return try annotations.settings(of: node)
            } catch let failure as NodeFailure {
                throw DirectoryError("node \(node.name): \(failure); mend it with kubectl annotate")
            }
        }
    }

    // MARK: - The own node

    /// Ends `acquire`.
    private struct Acquired: Error {
        let lease: Lease
    }

    /// Nil while the cluster has not assigned subnets.
    private func lease(of node: NodeObject, _ request: LeaseRequest) throws(DirectoryError) -> Lease? {
        do {
            let subnets = try node.subnets()
            if subnets.isEmpty { return nil }
            var lease = try annotations.settings(of: node).overwriting(request.lease)
            lease.id = node.name
            lease.node = node.name
            lease.subnet = try share(subnets.v4, of: request.pool.v4, node, "IPv4")
            lease.subnetV6 = try share(subnets.v6, of: request.pool.v6, node, "IPv6")
            return lease
        } catch let failure as NodeFailure {
            throw DirectoryError("node \(node.name): \(failure)")
        } catch let error as DirectoryError {
            throw error
        } catch {
            preconditionFailure("no other error is thrown")
        }
    }

    private func share(
        _ subnet: IPPrefix?,
        of family: SubnetPool.Family?,
        _ node: NodeObject,
        _ name: String
    ) throws(DirectoryError) -> IPPrefix? {
        guard let family else { return nil }
        guard let subnet else {
            throw DirectoryError(
                "node \(node.name) has the podCIDRs \(node.podCIDRs.joined(separator: ", ")) and none of \(name), which net-conf.json"
                    + " enables; give the controller manager a --cluster-cidr of both families, or disable \(name)"
            )
        }
        guard family.network.length <= subnet.length, family.network.contains(subnet.address) else {
            throw DirectoryError(
                "node \(node.name) has the podCIDR \(subnet), which is outside the network \(family.network) of net-conf.json;"
                    + " both must be the controller manager's --cluster-cidr"
            )
        }
        return subnet
    }

    private func write(_ lease: Lease) async throws {
        try await told {
            let node: NodeObject
            do {
                node = try await client.get(configuration.node)
            } catch let error as KubernetesError where error.code == 404 {
                throw DirectoryError(
                    "the API knows no node \(configuration.node); start the agent with the name that `kubectl get nodes` lists",
                    isTransient: true
                )
            }
            for change in annotations.changes(of: node, to: lease) {
                try await client.patch(node: configuration.node, change)
            }
        }
    }

    private func foreign(_ lease: Lease) -> DirectoryError {
        DirectoryError("the lease \(lease.id) is not this node's, \(configuration.node)")
    }

    /// With errors that callers of the directory know.
    private func told<Result: Sendable>(_ step: () async throws -> Result) async throws -> Result {
        do {
            return try await step()
        } catch let error as KubernetesError {
            throw error.directoryError
        }
    }

    // MARK: - Following

    private func follow(
        _ lease: Lease,
        _ tell: @Sendable (DirectoryEvent) async -> Void,
        _ changed: @Sendable () -> Void
    ) async throws {
        var table = NodeTable(annotations)
        var own = OwnNode(lease, annotations)
        let follower = ResourceFollower<NodeObject>(client: client)
        try await follower.run { news in
            let events: [DirectoryEvent]
            let state: OwnNode.State
            switch news {
            case .replaced(let nodes):
                events = table.replace(nodes)
                state = own.look(at: nodes.first { $0.name == lease.id }, published: published)
            case .put(let node):
                events = table.put(node).map { [$0] } ?? []
                state = node.name == lease.id ? own.look(at: node, published: published) : .unchanged
            case .removed(let name):
                events = table.remove(name).map { [$0] } ?? []
                state = name == lease.id ? own.look(at: nil, published: published) : .unchanged
            case .unreachable(let why):
                events = [.unreachable(why)]
                state = .unchanged
            case .reachable:
                events = [.reachable]
                state = .unchanged
            }
            for event in events { await tell(event) }
            switch state {
            case .unchanged: break
            case .overwritten: changed()
            case .lost(let why): await tell(.lost(why))
            }
        }
    }

    /// Writes the own annotations again when others have changed them, ever more seldom while they go on to do so.
    private func keepPublished(_ changes: AsyncStream<Void>) async throws {
        var random = SystemRandomNumberGenerator()
        var pauses = client.timing.pauses
        var last = ContinuousClock.now
        for await _ in changes {
            if last.duration(to: .now) > .seconds(600) { pauses.reset() }
            var isWritten = false
            while !isWritten {
                try await Task.sleep(for: .seconds(pauses.pause(using: &random)))
                guard let published else { break }
                do {
                    try await write(published)
                    isWritten = true
                } catch is DirectoryError {
                    // What keeps it from the API is told by the watch.
                }
            }
            last = .now
        }
        try Task.checkCancellation()
    }
}
