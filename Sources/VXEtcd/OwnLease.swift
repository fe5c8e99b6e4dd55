import Foundation
import VXControl

/// This node's lease in etcd: its two keys, and the one etcd lease that both are attached to. One thing is done to it at a time.
actor OwnLease {
    /// What became of it.
    enum State: Sendable, Equatable {
        case held
        /// It is another's, or gone; why.
        case lost(String)
    }

    /// Seconds on the clock of `LeaseClock`.
    private static let start = ContinuousClock.now
    static var now: Double { start.duration(to: .now) / .seconds(1) }

    let id: String
    private let client: EtcdClient
    private let keys: EtcdKeys
    private let seconds: Int64
    private let gate = Gate()
    /// 0 for a reservation, which lasts without one.
    private var etcdLease: Int64
    private var clock: LeaseClock
    private var value: String
    private var record: String?
    /// Whether what was last to be written may not have been.
    private var isUnsure = false
    private var state = State.held

    /// - Parameters:
    ///   - etcdLease: the one that both keys have just been attached to; 0 for a reservation.
    ///   - granted: seconds that it lasts.
    ///   - seconds: what is asked for where a new one has to be made.
    init(
        _ lease: Lease,
        client: EtcdClient,
        keys: EtcdKeys,
        etcdLease: Int64,
        granted: Int64,
        seconds: Int64
    ) {
        id = lease.id
        self.client = client
        self.keys = keys
        self.seconds = seconds
        self.etcdLease = etcdLease
        value = LeaseAttributes(lease).json
        record = lease.record
        var random = SystemRandomNumberGenerator()
        clock = LeaseClock(seconds: Double(granted), now: Self.now, using: &random)
    }

    /// When it is to be kept alive; nil for a reservation and for what is lost.
    var nextRenewal: Double? { etcdLease == 0 || state != .held ? nil : clock.next }

    /// Whether an event of the own keys is what this node wrote.
    func expects(_ event: WatchReply.Event) -> Bool {
        guard !event.isDeletion else { return record == nil && event.kv.key == Data(keys.record(id).utf8) }
        guard event.kv.leaseID == etcdLease else { return false }
        return event.kv.bytes
            == (event.kv.key == Data(keys.lease(id).utf8) ? Data(value.utf8) : record.map { Data($0.utf8) })
    }

    // MARK: - Steps

    /// Writes what is new.
    func publish(_ lease: Lease) async throws {
        try await gate.pass { try await self.write(LeaseAttributes(lease).json, lease.record) }
    }

    private func write(_ value: String, _ record: String?) async throws {
        try demand()
        self.value = value
        self.record = record
        isUnsure = true
        let reply = try await client.transact(
            [.exists(keys.lease(id)), .isAttached(keys.lease(id), to: etcdLease)],
            success: writes(to: etcdLease),
            failure: [.get(keys.lease(id))]
        )
        if reply.succeeded == true {
            isUnsure = false
        } else if let entry = reply.entries.first {
            try await settle(entry)
        } else {
            try await restore()
        }
        try demand()
    }

    private func demand() throws(DirectoryError) {
        if case .lost(let why) = state { throw DirectoryError(why + "; acquire a lease again") }
    }

    /// Keeps it alive where its time has come.
    func renew() async -> (state: State, failure: EtcdError?) {
        await attempt { try await self.keepAlive() }
    }

    /// Looks whether the keys are still what this node wrote, after news that they are not.
    func verify() async -> (state: State, failure: EtcdError?) {
        await attempt {
            guard let entry = try await self.client.get(self.keys.lease(self.id)) else {
                return try await self.restore()
            }
            try await self.settle(entry)
        }
    }

    private func attempt(_ step: @escaping @Sendable () async throws -> Void) async -> (State, EtcdError?) {
        await gate.pass {
            guard await self.state == .held else { return (await self.state, nil) }
            do {
                try await step()
                return (await self.state, nil)
            } catch let error as EtcdError {
                await self.failed()
                return (await self.state, error)
            } catch {
                return (await self.state, nil)
            }
        }
    }

    private func failed() {
        var random = SystemRandomNumberGenerator()
        clock.failed(now: Self.now, using: &random)
    }

    private func keepAlive() async throws {
        guard etcdLease != 0 else { return }
        guard let granted = try await client.keepLeaseAlive(etcdLease) else { return try await restore() }
        var random = SystemRandomNumberGenerator()
        clock.renewed(seconds: Double(granted), now: Self.now, using: &random)
    }

    /// Gives it back.
    func release(_ lease: Lease) async throws {
        try await gate.pass { try await self.giveBack(lease) }
    }

    private func giveBack(_ lease: Lease) async throws {
        guard state == .held else { return }
        if etcdLease != 0 {
            try await client.revokeLease(etcdLease)
        } else {
            // The reservation stays, with the address that it is for and no node behind it.
            var empty = LeaseAttributes(lease)
            empty.backendType = ""
            empty.backend = nil
            empty.backendV6 = nil
            _ = try await client.transact(
                [.isAttached(keys.lease(id), to: 0), .exists(keys.lease(id))],
                success: [.put(keys.lease(id), empty.json, lease: 0), .delete(keys.record(id))]
            )
        }
        state = .lost("the lease was given back")
    }

    // MARK: - What is found

    private func writes(to lease: Int64) -> [Operation] {
        [
            .put(keys.lease(id), value, lease: lease),
            record.map { .put(keys.record(id), $0, lease: lease) } ?? .delete(keys.record(id)),
        ]
    }

    /// The key is there: is it this node's?
    private func settle(_ entry: EtcdEntry) async throws {
        let isOwnValue = entry.bytes == Data(value.utf8)
        if entry.leaseID == 0, etcdLease != 0, isOwnValue {
            // An operator has made a reservation of it.
            let old = etcdLease
            etcdLease = 0
            _ = try await client.transact([.isAttached(keys.lease(id), to: 0)], success: writes(to: 0))
            try await client.revokeEmptyLease(old)
            return
        }
        guard entry.leaseID == etcdLease, isOwnValue || isUnsure else {
            return await lose("the lease \(id) was overwritten in etcd by another node or program")
        }
        let found = try await client.get(keys.record(id)).map(\.bytes)
        guard isUnsure || found == record.map({ Data($0.utf8) }) else {
            return await lose("the record of \(id) was changed in etcd by another node or program")
        }
    }

    /// The key is gone. Where that is because its time ran out, it is made again, if it is still free.
    private func restore() async throws {
        guard etcdLease != 0, try await client.keepLeaseAlive(etcdLease) == nil else {
            return await lose("the lease \(id) was deleted from etcd")
        }
        let fresh = Int64.random(in: 1 ... .max)
        do {
            let granted = try await client.grantLease(fresh, seconds: seconds)
            let reply = try await client.transact(
                [.isAbsent(keys.claim(id))],
                success: writes(to: fresh),
                failure: [.get(keys.lease(id))]
            )
            // A request that was repeated may find what it has done itself.
            guard reply.succeeded == true || reply.entries.first?.leaseID == fresh else {
                try await client.revokeLease(fresh)
                return await lose("the lease \(id) ran out while etcd was not reached, and is another node's")
            }
            etcdLease = fresh
            isUnsure = false
            var random = SystemRandomNumberGenerator()
            clock.renewed(seconds: Double(granted), now: Self.now, using: &random)
        } catch {
            // It is not known whether it holds the keys; if it does, they go with it, and the next attempt makes them.
            try? await client.revokeLease(fresh)
            throw error
        }
    }

    private func lose(_ why: String) async {
        state = .lost(why)
        // The record must not outlast the lease.
        if etcdLease != 0 {
            try? await client.revokeLease(etcdLease)
        } else if let record {
            let key = keys.record(id)
            _ = try? await client.transact([.holds(key, record)], success: [.delete(key)])
        }
    }
}
