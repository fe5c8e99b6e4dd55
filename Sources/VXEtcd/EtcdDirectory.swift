import Foundation
public import VXConfig
public import VXControl
import VXWire

/// The directory of peers in etcd, in flannel's own keys: nodes with flannel and nodes with vxseal see each other's leases.
///
/// Below the prefix: `config` is read; `subnets/<id>` are the leases, as flannel's; `vxseal/nodes/<id>` are the records of sealed
/// nodes, which flannel does not look at. Both keys of a node are attached to one etcd lease, which is kept alive.
public actor EtcdDirectory: PeerDirectory {
    /// Seconds that a lease lasts without its node (flannel, pkg/subnet/etcd, `subnetTTL`).
    public static let leaseSeconds: Int64 = 86400
    /// Subnets that are tried in turn, when others take them at the same time, before the leases are listed again.
    private static let attempts = 10

    let client: EtcdClient
    let keys: EtcdKeys
    let timing: Timing
    private let seconds: Int64
    private let notice: @Sendable (String) -> Void
    private(set) var own: OwnLease?

    /// How long is waited.
    struct Timing: Sendable {
        /// Seconds of silence of a watch after which the member is asked whether it is still there: a machine that hangs ends no
        /// connection. It is drawn between half of this and all.
        var silence = 300.0
        /// Seconds for a watch to begin.
        var opening = EtcdTransport.patience
        /// Pauses between attempts.
        var pauses = Backoff(first: 1, longest: 60)
    }

    /// - Parameters:
    ///   - configuration: how etcd is reached.
    ///   - notice: is told, once, why `acquire` has to wait.
    /// - Throws: `DirectoryError` where the configuration cannot be.
    public init(_ configuration: EtcdConfiguration, notice: @escaping @Sendable (String) -> Void = { _ in }) throws {
        try self.init(configuration, seconds: Self.leaseSeconds, timing: Timing(), notice: notice)
    }

    /// With times of a test's own.
    init(
        _ configuration: EtcdConfiguration,
        seconds: Int64,
        timing: Timing,
        notice: @escaping @Sendable (String) -> Void = { _ in }
    ) throws {
        do {
            client = try EtcdClient(configuration)
        } catch {
            throw error.directoryError
        }
        keys = EtcdKeys(prefix: configuration.prefix)
        self.seconds = seconds
        self.timing = timing
        self.notice = notice
    }

    // MARK: - PeerDirectory

    /// The value of `<prefix>/config`.
    public func networkConfiguration() async throws -> String {
        guard let entry = try await told({ try await self.client.get(self.keys.configuration) }) else {
            throw DirectoryError(
                "etcd has no key \(keys.configuration); write the overlay's net-conf.json there: "
                    + "etcdctl put \(keys.configuration) \"$(cat net-conf.json)\"",
                isTransient: true
            )
        }
        guard let text = String(validating: entry.bytes, as: UTF8.self) else {
            throw DirectoryError("the value of \(keys.configuration) in etcd is no UTF-8")
        }
        return text
    }

    /// The lease that has the node's underlay address, where it fits; else a new one. Waits for etcd, and while others are faster.
    public func acquire(_ request: LeaseRequest) async throws -> Lease {
        var pauses = timing.pauses
        var random = SystemRandomNumberGenerator()
        var isNoticed = false
        while true {
            do {
                if let lease = try await attempt(request) { return lease }
                // Others were faster, so often that they come as one: apart, then.
                pauses.reset()
            } catch let error as EtcdError {
                try Task.checkCancellation()
                guard error.isTransient else { throw error.directoryError }
                if !isNoticed { notice(error.description) }
                isNoticed = true
            }
            try await Task.sleep(for: .seconds(pauses.pause(using: &random)))
        }
    }

    /// Writes both keys, if the lease is still this node's.
    public func publish(_ lease: Lease) async throws {
        guard let own, own.id == lease.id else { throw notAcquired(lease) }
        try await told { try await own.publish(lease) }
    }

    /// Removes both keys and their etcd lease; a reservation stays, with no node behind it.
    public func release(_ lease: Lease) async throws {
        guard let own, own.id == lease.id else { throw notAcquired(lease) }
        try await told { try await own.release(lease) }
        self.own = nil
    }

    /// Watches all below the prefix, and keeps the etcd lease alive. Where etcd is away from the start, that is told before the
    /// first snapshot. After `.lost` the others' news go on.
    public func run(_ lease: Lease, tell: @escaping @Sendable (DirectoryEvent) async -> Void) async throws {
        let own = own.flatMap { $0.id == lease.id ? $0 : nil }
        let follower = LeaseFollower(id: lease.id, own: own, client: client, keys: keys, timing: timing, tell: tell)
        try await follower.run()
    }

    private func notAcquired(_ lease: Lease) -> DirectoryError {
        DirectoryError("the lease \(lease.id) was not acquired here, or is lost; acquire one first")
    }

    /// With errors that callers of the directory know.
    private func told<Result: Sendable>(_ step: @Sendable () async throws -> Result) async throws -> Result {
        do {
            return try await step()
        } catch let error as EtcdError {
            throw error.directoryError
        }
    }

    // MARK: - Acquiring

    /// A lease that is there, with its key's state.
    private struct Found {
        let key: LeaseKey
        let id: String
        let entry: EtcdEntry
        /// Nil where the value is none of a lease's; the subnets are taken all the same.
        let lease: Lease?
    }

    /// One round; nil where other nodes were faster.
    private func attempt(_ request: LeaseRequest) async throws -> Lease? {
        own = nil
        let found = try await leases()
        for old in found where old.lease.map({ Self.isOwn($0, request.lease) }) == true {
            if request.pool.fits(subnet: old.key.subnetV4, subnetV6: old.key.subnetV6) {
                return try await takeOver(old, request)
            }
            // A reservation is somebody's decision, and waits for the configuration that it fits.
            if old.entry.leaseID != 0 { try await remove(old) }
        }
        let taken = found.filter { old in
            old.entry.leaseID == 0 || old.lease.map { !Self.isOwn($0, request.lease) } ?? true
        }
        return try await create(request, taken: taken.flatMap(\.key.subnets))
    }

    private func leases() async throws -> [Found] {
        try await client.list(EtcdRange(prefix: keys.leases)).entries.compactMap { entry in
            guard case .lease(let key, let id) = keys.meaning(of: entry.key) else { return nil }
            return Found(key: key, id: id, entry: entry, lease: try? Lease(key: key, id: id, entry: entry))
        }
    }

    /// As flannel: whose underlay address a lease has, his it is.
    private static func isOwn(_ found: Lease, _ wanted: Lease) -> Bool {
        guard let address = wanted.publicIP else {
            return found.publicIP == nil && wanted.publicIPv6 != nil && found.publicIPv6 == wanted.publicIPv6
        }
        return found.publicIP == address
    }

    /// Writes this node's values into a lease that it has already, under an etcd lease of this process.
    private func takeOver(_ old: Found, _ request: LeaseRequest) async throws -> Lease? {
        let oldRecord = try await client.get(keys.record(old.id))
        var lease = request.lease
        lease.id = old.id
        lease.subnet = old.key.subnetV4
        lease.subnetV6 = old.key.subnetV6
        // What is published stays, or the node would look unsealed until it publishes again.
        lease.record = request.lease.record ?? oldRecord.flatMap { String(validating: $0.bytes, as: UTF8.self) }
        let unchanged: [Comparison] = [
            .isUnchanged(keys.lease(old.id), since: old.entry.mod_revision?.value ?? 0),
            .isUnchanged(keys.record(old.id), since: oldRecord?.mod_revision?.value ?? 0),
        ]
        let isReservation = old.entry.leaseID == 0
        guard try await write(lease, if: unchanged, isReservation: isReservation) else { return nil }
        for id in Set([old.entry.leaseID, oldRecord?.leaseID ?? 0]) where id != 0 {
            try? await client.revokeEmptyLease(id)
        }
        return lease
    }

    /// Removes a lease of this node that does not fit the configuration any more.
    private func remove(_ old: Found) async throws {
        let reply = try await client.transact(
            [.isUnchanged(keys.lease(old.id), since: old.entry.mod_revision?.value ?? 0)],
            success: [.delete(keys.lease(old.id)), .delete(keys.record(old.id))]
        )
        if reply.succeeded == true { try? await client.revokeEmptyLease(old.entry.leaseID) }
    }

    private func create(_ request: LeaseRequest, taken: [IPPrefix]) async throws -> Lease? {
        var random = SystemRandomNumberGenerator()
        var allocator = SubnetAllocator(pool: request.pool, taken: taken)
        for _ in 0..<Self.attempts {
            let choice = try allocator.choose(earlier: request.earlier, using: &random)
            guard let key = LeaseKey(choice) else { throw DirectoryError("neither EnableIPv4 nor EnableIPv6 is set") }
            var lease = request.lease
            lease.id = key.description
            lease.subnet = choice.subnet
            lease.subnetV6 = choice.subnetV6
            if try await write(lease, if: [.isAbsent(keys.claim(lease.id))], isReservation: false) {
                if let loser = try await overlapping(key) {
                    for subnet in loser.subnets { allocator.exclude(subnet) }
                    try await own?.release(lease)
                    own = nil
                    continue
                }
                return lease
            }
            if let first = key.subnets.first { allocator.exclude(first) }
        }
        return nil
    }

    /// Writes both keys under a new etcd lease, and remembers it.
    /// - Returns: false where the conditions did not hold.
    private func write(_ lease: Lease, if conditions: [Comparison], isReservation: Bool) async throws -> Bool {
        let id = isReservation ? 0 : Int64.random(in: 1 ... .max)
        do {
            let granted = isReservation ? 0 : try await client.grantLease(id, seconds: seconds)
            let reply = try await client.transact(
                conditions,
                success: [
                    .put(keys.lease(lease.id), LeaseAttributes(lease).json, lease: id),
                    lease.record.map { .put(keys.record(lease.id), $0, lease: id) } ?? .delete(keys.record(lease.id)),
                ],
                failure: [.get(keys.lease(lease.id))]
            )
            // A request that was repeated may find what it has done itself.
            guard reply.succeeded == true || id != 0 && reply.entries.first?.leaseID == id else {
                if id != 0 { try await client.revokeLease(id) }
                return false
            }
            own = OwnLease(lease, client: client, keys: keys, etcdLease: id, granted: granted, seconds: seconds)
            return true
        } catch {
            // Nothing may be left behind, nor by a task that was cancelled.
            if id != 0 { _ = await Task { [client] in try? await client.revokeLease(id) }.value }
            throw error
        }
    }

    /// Two nodes that choose at once can choose subnets that overlap under keys that differ: of one family, or of other lengths.
    /// Both then see it, and the one that wrote later gives way.
    private func overlapping(_ own: LeaseKey) async throws -> LeaseKey? {
        let entries = try await client.list(EtcdRange(prefix: keys.leases), keysOnly: true).entries
        let ownKey = Data(keys.lease(own.description).utf8)
        guard let created = entries.first(where: { $0.key == ownKey })?.create_revision?.value else { return nil }
        for entry in entries where entry.key != ownKey && entry.create_revision?.value ?? 0 <= created {
            guard case .lease(let key, _) = keys.meaning(of: entry.key) else { continue }
            if key.subnets.contains(where: { subnet in own.subnets.contains { $0.overlaps(subnet) } }) { return key }
        }
        return nil
    }
}
