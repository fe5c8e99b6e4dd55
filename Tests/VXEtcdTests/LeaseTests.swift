import Foundation
import Testing
import VXControl
import VXWire

@testable import VXEtcd

extension RealEtcd {
    /// A recorded run of a real flannel: what it wrote.
    struct Recording: Decodable, Sendable {
        struct Run: Decodable, Sendable, CustomTestStringConvertible {
            struct Key: Decodable, Sendable {
                let key: String
                let value: String
                let lease: Bool
            }
            let config: String
            let keys: [Key]
            let leaseGrantedTTL: [Int]
            var testDescription: String { config }
        }
        let runs: [Run]

        static let all: [Run] = {
            let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
                .appendingPathComponent("VXControlTests/Vectors/flannel-etcd.json")
            guard let data = try? Data(contentsOf: url),
                let recording = try? JSONDecoder().decode(Recording.self, from: data)
            else { preconditionFailure("the recording cannot be read") }
            return recording.runs
        }()
    }

    @Test(arguments: Recording.all)
    func flannelsRunIsSeenAndWrittenAlike(run: Recording.Run) async throws {
        let server = try await EtcdServer()
        try await server.ready()
        // The first node is a flannel; the second is this one, which had the recorded subnet before.
        let keys = run.keys.filter(\.lease)
        try await server.ctl("put", Self.prefix + "/config", run.config)
        let granted = try await server.ctl("lease", "grant", "\(run.leaseGrantedTTL[0])").split(separator: " ")[1]
        try await server.ctl("put", "--lease", String(granted), keys[0].key, keys[0].value)

        let directory = try Self.directory(server)
        let text = try await directory.networkConfiguration()
        #expect(text == run.config)
        let configuration = try FlannelNetworkConfiguration(parsing: text)
        let attributes = try LeaseAttributes(parsing: keys[1].value)
        let id = try #require(keys[1].key.components(separatedBy: "/subnets/").last)
        let key = try #require(LeaseKey(id))
        let wanted = Lease(
            id: "",
            subnet: nil,
            publicIP: attributes.publicIP,
            publicIPv6: attributes.publicIPv6,
            backendType: attributes.backendType,
            backend: attributes.backend,
            backendV6: attributes.backendV6
        )
        let request = LeaseRequest(node: "b", pool: configuration.pool, lease: wanted, earlier: key.subnets)
        let lease = try await directory.acquire(request)
        #expect(lease.id == id && lease.subnet == key.subnet && lease.subnetV6 == key.subnetV6)
        #expect(try await server.value(keys[1].key) == keys[1].value)
        let ttl = try await server.ctl("-w", "json", "get", keys[1].key)
        struct Got: Decodable {
            struct Entry: Decodable { let lease: Int64 }
            let kvs: [Entry]
        }
        let etcdLease = try #require(try JSONDecoder().decode(Got.self, from: Data(ttl.utf8)).kvs.first?.lease)
        let time = try await server.ctl("lease", "timetolive", String(etcdLease, radix: 16))
        #expect(time.contains("granted with TTL(\(run.leaseGrantedTTL[1])s)"))

        let listener = Listener()
        await listener.start(directory, lease)
        try await until("both are told") { await listener.leases.count == 2 }
        let other = try #require(await listener.leases[keys[0].key.components(separatedBy: "/subnets/")[1]])
        #expect(try LeaseAttributes(parsing: keys[0].value) == LeaseAttributes(other))
        #expect(await listener.leases[id] == lease)
        #expect(await listener.events.count == 1)
        await listener.stop()
    }

    @Test func theOwnLeaseIsTakenAgainWithItsRecordAndNoEtcdLeaseIsLeftBehind() async throws {
        let server = try await EtcdServer()
        try await server.ready()
        let request = try Self.request("192.0.2.1", Self.pool("10.244.0.0/16"), record: "signed")
        let first = try await Self.directory(server).acquire(request)
        for _ in 0..<3 {
            let again = try await Self.directory(server).acquire(
                Self.request("192.0.2.1", Self.pool("10.244.0.0/16"), earlier: ["10.244.250.0/24"])
            )
            #expect(again == first)
        }
        #expect(try await Self.leaseCount(server) == 1)
        #expect(try await server.value(Self.nodes + first.id) == "signed")

        // The configuration is another: the old lease goes, with its record.
        let directory = try Self.directory(server)
        let moved = try await directory.acquire(Self.request("192.0.2.1", Self.pool("10.9.0.0/16")))
        #expect(moved.subnet.map { IPPrefix("10.9.0.0/16")?.contains($0.address) == true } == true)
        #expect(try await server.ctl("get", "--prefix", "--keys-only", "/").contains("10.244") == false)
        #expect(try await Self.leaseCount(server) == 1)

        try await directory.release(moved)
        #expect(try await Self.leaseCount(server) == 0)
        #expect(try await server.ctl("get", "--prefix", "--keys-only", "/").isEmpty)
    }

    @Test func reservationsAreLeftToWhomTheyAreFor() async throws {
        let server = try await EtcdServer()
        try await server.ready()
        let pool = try Self.pool("10.244.0.0/16", min: "10.244.1.0", max: "10.244.3.0")
        try await server.ctl("put", Self.subnets + "10.244.1.0-24", #"{"PublicIP":"192.0.2.77"}"#)
        try await server.ctl("put", Self.subnets + "10.244.2.0-24", #"{"PublicIP":"192.0.2.1"}"#)
        let own = try Self.directory(server)
        let lease = try await own.acquire(Self.request("192.0.2.1", pool))
        #expect(lease.id == "10.244.2.0-24")
        #expect(try await Self.leaseCount(server) == 0)
        #expect(try await server.value(Self.subnets + "10.244.2.0-24") == Self.value("192.0.2.1"))
        let stranger = try Self.directory(server)
        #expect(try await stranger.acquire(Self.request("192.0.2.2", pool)).id == "10.244.3.0-24")

        let listener = Listener()
        await listener.start(own, lease)
        try await until("all are told") { await listener.leases.count == 3 }
        #expect(await listener.leases["10.244.1.0-24"]?.isReservation == true)
        #expect(await listener.leases["10.244.2.0-24"]?.isReservation == false)

        let late = try Self.directory(server)
        await #expect { _ = try await late.acquire(Self.request("192.0.2.3", pool)) } throws: { error in
            "\(error)".contains("widen Network")
        }

        try await own.release(lease)
        try await until("no node is behind it") { await listener.leases["10.244.2.0-24"]?.isReservation == true }
        await listener.stop()
    }

    @Test func aReservationThatIsDeletedTakesItsRecordWithIt() async throws {
        let server = try await EtcdServer()
        try await server.ready()
        try await server.ctl("put", Self.subnets + "10.244.2.0-24", #"{"PublicIP":"192.0.2.1"}"#)
        let directory = try Self.directory(server)
        let lease = try await directory.acquire(Self.request("192.0.2.1", Self.pool("10.244.0.0/16"), record: "signed"))
        let listener = Listener()
        await listener.start(directory, lease)
        try await until("it is told") { await listener.leases[lease.id]?.record == "signed" }
        try await server.ctl("del", Self.subnets + lease.id)
        try await until("it is lost") { await listener.lost.count == 1 }
        try await until("nothing is left") { try await server.ctl("get", "--prefix", "--keys-only", "/").isEmpty }
        await listener.stop()
    }

    @Test func anOverlayOfIPv6AloneHasKeysAsFlannelWritesThem() async throws {
        let server = try await EtcdServer()
        try await server.ready()
        let pool = try FlannelNetworkConfiguration(
            parsing:
                #"{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00:42::/56","Backend":{"Type":"vxlan"}}"#
        ).pool
        func request(_ address: String) throws -> LeaseRequest {
            var request = try Self.request("192.0.2.1", pool, earlier: ["fd00:42:0:7::/64"])
            request.lease.publicIP = nil
            request.lease.publicIPv6 = IPv6Address(address)
            return request
        }
        let directory = try Self.directory(server)
        let lease = try await directory.acquire(request("2001:db8::1"))
        #expect(lease.id == "0.0.0.0-0&fd00:42:0:7::-64" && lease.subnet == nil)
        #expect(try await Self.directory(server).acquire(request("2001:db8::1")) == lease)
        #expect(try await Self.directory(server).acquire(request("2001:db8::2")).subnetV6 != lease.subnetV6)
    }

    @Test func aLeaseThatIsMadeAReservationGoesOn() async throws {
        let server = try await EtcdServer()
        try await server.ready()
        let directory = try Self.directory(server)
        let lease = try await directory.acquire(Self.request("192.0.2.1", Self.pool("10.244.0.0/16"), record: "signed"))
        let listener = Listener()
        await listener.start(directory, lease)
        try await until("it is told") { await listener.snapshots == 1 }
        try await server.ctl("put", Self.subnets + lease.id, Self.value("192.0.2.1"))
        try await until("its etcd lease is given up") { try await Self.leaseCount(server) == 0 }
        #expect(try await server.value(Self.nodes + lease.id) == "signed")
        #expect(await listener.lost.isEmpty)
        await listener.stop()
    }

    @Test func twoNodesThatStartAtOnceShareAPoolOfTwo() async throws {
        let server = try await EtcdServer()
        try await server.ready()
        for round in 0..<8 {
            let pool = try Self.pool("10.\(round).0.0/16", min: "10.\(round).1.0", max: "10.\(round).2.0")
            async let one = Self.directory(server).acquire(Self.request("192.0.2.1", pool))
            async let two = Self.directory(server).acquire(Self.request("192.0.2.2", pool))
            let ids = try await [one.id, two.id].sorted()
            #expect(ids == ["10.\(round).1.0-24", "10.\(round).2.0-24"])
        }
        #expect(try await Self.leaseCount(server) == 2)
    }

    @Test func twentyNodesThatStartAtOnceGetDifferentSubnetsOfBothFamilies() async throws {
        let server = try await EtcdServer()
        try await server.ready()
        let pool = try FlannelNetworkConfiguration(
            parsing: #"""
                {"Network": "10.244.0.0/16", "SubnetMin": "10.244.1.0", "SubnetMax": "10.244.30.0", "EnableIPv6": true,
                 "IPv6Network": "fd00:42::/56", "IPv6SubnetMin": "fd00:42:0:1::", "IPv6SubnetMax": "fd00:42:0:1e::",
                 "Backend": {"Type": "vxlan"}}
                """#
        ).pool
        let leases = try await withThrowingTaskGroup(of: Lease.self) { group in
            for n in 1...20 {
                group.addTask {
                    var request = try Self.request("192.0.2.\(n)", pool)
                    request.lease.publicIPv6 = IPv6Address("2001:db8::\(n)")
                    return try await Self.directory(server).acquire(request)
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(Set(leases.map(\.subnet)).count == 20)
        #expect(Set(leases.map(\.subnetV6)).count == 20)
        let keys = try await server.ctl("get", "--prefix", "--keys-only", Self.subnets)
        #expect(keys.split(separator: "\n").count == 20)
        #expect(try await Self.leaseCount(server) == 20)
    }

    @Test func whatIsPublishedIsSeenByOthersAndBoundToTheLease() async throws {
        let server = try await EtcdServer()
        try await server.ready()
        let pool = try Self.pool("10.244.0.0/16")
        let a = try Self.directory(server)
        let b = try Self.directory(server)
        var leaseA = try await a.acquire(Self.request("192.0.2.1", pool))
        let leaseB = try await b.acquire(Self.request("192.0.2.2", pool))
        let listener = Listener()
        await listener.start(b, leaseB)
        try await until("both are told") { await listener.leases.count == 2 }
        for step in 0..<3 {
            leaseA.record = step == 2 ? nil : "record \(step)"
            leaseA.publicIP = IPv4Address("192.0.2.1\(step)")
            try await a.publish(leaseA)
            try await until("it is told") { [leaseA] in await listener.leases[leaseA.id] == leaseA }
        }
        try await a.release(leaseA)
        try await until("it is gone") { [leaseA] in await listener.leases[leaseA.id] == nil }
        // Each change is told once: of lease and record together.
        #expect(await listener.events.count == 5)
        let given = leaseA
        await #expect(throws: DirectoryError.self) { try await a.publish(given) }
        await listener.stop()
    }
}
