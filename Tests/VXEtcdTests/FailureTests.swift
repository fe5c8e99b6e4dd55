import Foundation
import Synchronization
import Testing
import VXConfig
import VXControl
import VXWire

@testable import VXEtcd

/// What goes wrong, one thing after the other, with a real etcd.
extension RealEtcd {
    /// A node with a lease that follows, on a server of one member.
    private func following(
        _ server: EtcdServer,
        seconds: Int64 = EtcdDirectory.leaseSeconds,
        record: String? = "signed"
    ) async throws -> (directory: EtcdDirectory, lease: Lease, listener: Listener) {
        let directory = try Self.directory(server, seconds: seconds)
        let request = try Self.request("192.0.2.1", Self.pool("10.244.0.0/16"), record: record)
        let lease = try await directory.acquire(request)
        let listener = Listener()
        await listener.start(directory, lease)
        try await until("the first snapshot") { await listener.snapshots == 1 }
        return (directory, lease, listener)
    }

    @Test func aRestartOfEtcdDuringTheWatchLosesNothing() async throws {
        let server = try await EtcdServer()
        try await server.ready()
        let (_, lease, listener) = try await following(server)
        for round in 0..<2 {
            server.kill(0)
            try await until("it is told that etcd is away") { await listener.reachability.count == 2 * round + 1 }
            server.start(0)
            try await server.ready()
            try await server.ctl("put", Self.subnets + "10.244.99.0-24", Self.value("192.0.2.\(round + 9)"))
            try await until("what came meanwhile") {
                await listener.leases["10.244.99.0-24"]?.publicIP == IPv4Address("192.0.2.\(round + 9)")
            }
        }
        #expect(await listener.reachability == [false, true, false, true])
        #expect(await listener.leases[lease.id] == lease)
        // It was taken up where it was, without a new list.
        #expect(await listener.snapshots == 1)
        #expect(await listener.lost.isEmpty)
        await listener.stop()
    }

    @Test func aCompactionWhileTheWatchIsAwayMakesANewSnapshot() async throws {
        let server = try await EtcdServer()
        try await server.ready()
        let (_, lease, listener) = try await following(server)
        try await server.ctl("put", Self.subnets + "10.244.98.0-24", Self.value("192.0.2.8"))
        try await until("it is told") { await listener.leases["10.244.98.0-24"] != nil }
        let relay = try await TCPRelay(to: server.endpoints[0])
        let away = try EtcdDirectory(
            EtcdConfiguration(endpoints: [relay.endpoint]),
            seconds: EtcdDirectory.leaseSeconds,
            timing: Self.timing
        )
        let second = Listener()
        let leaseOfSecond = try await away.acquire(Self.request("192.0.2.2", Self.pool("10.244.0.0/16")))
        await second.start(away, leaseOfSecond)
        try await until("the first snapshot") { await second.snapshots == 1 }
        await relay.cut()
        try await until("it is told that etcd is away") { await second.reachability == [false] }
        try await server.ctl("del", Self.subnets + "10.244.98.0-24")
        try await server.ctl("put", Self.subnets + "10.244.97.0-24", Self.value("192.0.2.7"))
        let revision = try await Self.revision(server)
        try await server.ctl("compact", "\(revision)")
        try await relay.mend()
        try await until("a new snapshot") { await second.snapshots == 2 }
        #expect(await second.leases["10.244.98.0-24"] == nil)
        #expect(await second.leases["10.244.97.0-24"] != nil)
        #expect(await second.leases[lease.id] == lease)
        #expect(await second.reachability == [false, true])
        #expect(await second.lost.isEmpty)
        // The watch that was there all the time did not mind.
        #expect(await listener.snapshots == 1)
        #expect(await listener.leases == second.leases)
        await second.stop()
        await listener.stop()
    }

    private static func revision(_ server: EtcdServer) async throws -> Int {
        struct Got: Decodable {
            struct Header: Decodable { let revision: Int }
            let header: Header
        }
        let text = try await server.ctl("-w", "json", "get", "x")
        return try JSONDecoder().decode(Got.self, from: Data(text.utf8)).header.revision
    }

    @Test func anEtcdThatWasSetUpAnewIsListedAgain() async throws {
        let server = try await EtcdServer()
        try await server.ready()
        for _ in 0..<20 { try await server.ctl("put", "/else", "x") }
        let (_, lease, listener) = try await following(server)
        server.kill(0)
        try FileManager.default.removeItem(at: server.directory.appendingPathComponent("m0"))
        server.start(0)
        try await server.ready()
        try await until("a new snapshot") { await listener.snapshots == 2 }
        try await until("the own lease is made again") { await listener.leases == [lease.id: lease] }
        #expect(await listener.lost.isEmpty)
        await listener.stop()
    }

    @Test func aLeaseThatIsKeptAliveOutlastsItsTimeAndAnotherDoesNot() async throws {
        let server = try await EtcdServer()
        try await server.ready()
        let (_, lease, listener) = try await following(server, seconds: 3)
        let dead = try Self.directory(server, seconds: 3)
        let other = try await dead.acquire(Self.request("192.0.2.2", Self.pool("10.244.0.0/16"), record: "other"))
        try await until("the other is told") { await listener.leases[other.id] == other }
        try await until("the other ran out") { await listener.leases[other.id] == nil }
        #expect(await listener.leases[lease.id] == lease)
        #expect(try await server.value(Self.nodes + lease.id) == "signed")
        #expect(try await server.ctl("get", Self.nodes + other.id).isEmpty)
        #expect(try await Self.leaseCount(server) == 1)
        // Gone with its record in one piece of news.
        #expect(await listener.events.count == 3)
        await listener.stop()
    }

    @Test func anOwnLeaseThatRanOutIsMadeAgainWhereItIsFree() async throws {
        let server = try await EtcdServer()
        try await server.ready()
        let (_, lease, listener) = try await following(server)
        let etcdLease = try #require(try await server.ctl("lease", "list").split(separator: "\n").last)
        try await server.ctl("lease", "revoke", String(etcdLease))
        try await until("it is there again") {
            await listener.events.suffix(2) == [.removed(lease.id), .updated(lease)]
        }
        #expect(try await server.value(Self.subnets + lease.id) == Self.value("192.0.2.1"))
        #expect(try await server.value(Self.nodes + lease.id) == "signed")
        #expect(try await Self.leaseCount(server) == 1)
        #expect(await listener.lost.isEmpty)
        await listener.stop()
    }

    @Test func anOwnKeyThatIsDeletedIsLost() async throws {
        let server = try await EtcdServer()
        try await server.ready()
        let (directory, lease, listener) = try await following(server)
        try await server.ctl("del", Self.subnets + lease.id)
        try await until("it is lost") { await listener.lost.count == 1 }
        #expect(await listener.lost[0].contains("deleted"))
        // Nor is its record left, or its etcd lease.
        try await until("all of it is gone") { try await Self.leaseCount(server) == 0 }
        #expect(try await server.ctl("get", "--prefix", "--keys-only", "/").isEmpty)
        // The others' news go on.
        try await server.ctl("put", Self.subnets + "10.244.99.0-24", Self.value("192.0.2.9"))
        try await until("others are told") { await listener.leases["10.244.99.0-24"] != nil }
        await listener.stop()
        let again = try await directory.acquire(
            Self.request("192.0.2.1", Self.pool("10.244.0.0/16"), earlier: lease.subnets.map(\.description))
        )
        #expect(again.id == lease.id)
    }

    @Test(arguments: [true, false])
    func anOwnKeyThatIsOverwrittenIsLost(isRecord: Bool) async throws {
        let server = try await EtcdServer()
        try await server.ready()
        let (_, lease, listener) = try await following(server)
        let key = (isRecord ? Self.nodes : Self.subnets) + lease.id
        try await server.ctl("put", key, isRecord ? "forged" : Self.value("192.0.2.66"))
        try await until("it is lost") { await listener.lost.count == 1 }
        try await until("its etcd lease is given up") { try await Self.leaseCount(server) == 0 }
        // What another has written is not ours to remove.
        #expect(try await server.value(key) == (isRecord ? "forged" : Self.value("192.0.2.66")))
        await listener.stop()
    }

    @Test func aLeaseThatAnotherTookMeanwhileIsLost() async throws {
        let server = try await EtcdServer()
        try await server.ready()
        let (_, lease, listener) = try await following(server)
        let etcdLease = try #require(try await server.ctl("lease", "list").split(separator: "\n").last)
        await listener.stop()
        try await server.ctl("lease", "revoke", String(etcdLease))
        try await server.ctl("put", Self.subnets + lease.id, Self.value("192.0.2.66"))
        await listener.start(try Self.directory(server), lease)
        try await until("it is lost") { await listener.lost.count == 1 }
        #expect(try await server.value(Self.subnets + lease.id) == Self.value("192.0.2.66"))
        await listener.stop()
    }

    @Test func acquiringWaitsForEtcdAndSaysSoOnce() async throws {
        let server = try await EtcdServer()
        try await server.ready()
        server.kill(0)
        let notices = Notices()
        let directory = try EtcdDirectory(
            EtcdConfiguration(endpoints: server.endpoints),
            seconds: 60,
            timing: Self.timing
        ) { notices.add($0) }
        let request = try Self.request("192.0.2.1", Self.pool("10.244.0.0/16"))
        let acquiring = Task { try await directory.acquire(request) }
        try await until("it says that it waits") { notices.all.count == 1 }
        server.start(0)
        let lease = try await acquiring.value
        #expect(try await server.value(Self.subnets + lease.id) == Self.value("192.0.2.1"))
        #expect(notices.all.count == 1 && notices.all[0].contains(server.endpoints[0]))
    }

    private final class Notices: Sendable {
        private let texts = Mutex<[String]>([])
        var all: [String] { texts.withLock(\.self) }
        func add(_ text: String) { texts.withLock { $0.append(text) } }
    }

    @Test func acquisitionsThatAreCancelledLeaveNoEtcdLeaseWithoutKey() async throws {
        let server = try await EtcdServer()
        try await server.ready()
        let pool = try Self.pool("10.244.0.0/16")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for n in 1...40 {
                let request = try Self.request("192.0.2.\(n)", pool, record: "signed")
                group.addTask {
                    let acquiring = Task { try await Self.directory(server).acquire(request) }
                    // Wherever it is by then.
                    try await Task.sleep(for: .milliseconds(5 * n))
                    acquiring.cancel()
                    _ = await acquiring.result
                }
            }
            try await group.waitForAll()
        }
        let keys = try await server.ctl("get", "--prefix", "--keys-only", Self.subnets).split(separator: "\n").count
        #expect(try await Self.leaseCount(server) == keys)
    }

    // MARK: - Several members

    @Test(arguments: ["killed", "stopped"])
    func theNewsGoOnWhenTheLeaderIs(what: String) async throws {
        let server = try await EtcdServer(members: 3)
        try await server.ready()
        // The leader is the first that is asked, so that the watch is there.
        let leader = try await server.leader()
        let endpoints =
            [server.endpoints[leader]] + server.endpoints.enumerated().filter { $0.offset != leader }.map(\.element)
        let directory = try Self.directory(server) { $0.endpoints = endpoints }
        let lease = try await directory.acquire(Self.request("192.0.2.1", Self.pool("10.244.0.0/16")))
        let listener = Listener()
        await listener.start(directory, lease)
        try await until("the first snapshot") { await listener.snapshots == 1 }
        if what == "killed" { server.kill(leader) } else { server.freeze(leader) }
        let rest = endpoints.dropFirst().joined(separator: ",")
        try await until("a new leader takes a change") {
            await EtcdServer.run(
                "etcdctl",
                ["--endpoints", rest, "put", Self.subnets + "10.244.99.0-24", Self.value("192.0.2.9")]
            ).code == 0
        }
        try await until("it is told") { await listener.leases["10.244.99.0-24"] != nil }
        var changed = lease
        changed.record = "after the failure"
        try await directory.publish(changed)
        let wanted = changed
        try await until("what is published is told") { await listener.leases[lease.id] == wanted }
        #expect(await listener.lost.isEmpty)
        #expect(await listener.snapshots == 1)
        server.thaw(leader)
        await listener.stop()
    }

    @Test func aMemberWithoutItsQuorumIsNotListenedTo() async throws {
        let server = try await EtcdServer(members: 3)
        try await server.ready()
        let leader = try await server.leader()
        let follower = (leader + 1) % 3
        // No silence to be noticed: it is etcd that must tell.
        var timing = Self.timing
        timing.silence = 600
        let directory = try EtcdDirectory(
            EtcdConfiguration(endpoints: [server.endpoints[follower]]),
            seconds: EtcdDirectory.leaseSeconds,
            timing: timing
        )
        let lease = try await directory.acquire(Self.request("192.0.2.1", Self.pool("10.244.0.0/16")))
        let listener = Listener()
        await listener.start(directory, lease)
        try await until("the first snapshot") { await listener.snapshots == 1 }
        for n in 0..<3 where n != follower { server.kill(n) }
        try await until("it is told that etcd is away") { await listener.reachability == [false] }
        for n in 0..<3 where n != follower { server.start(n) }
        try await until("it is told that etcd is back") { await listener.reachability == [false, true] }
        #expect(await listener.lost.isEmpty)
        await listener.stop()
    }
}
