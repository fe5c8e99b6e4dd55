import Foundation
import Testing
import VXConfig
import VXControl
import VXWire

@testable import VXEtcd

extension RealEtcd {
    /// 5,000 nodes of which one is real: what it costs etcd and this process to follow the others.
    @Test func fiveThousandLeasesAreOneListAndOneWatch() async throws {
        let nodes = 5000
        let server = try await EtcdServer()
        try await server.ready()
        let client = try EtcdClient(EtcdConfiguration(endpoints: server.endpoints))
        let record = String(repeating: "r", count: 600)
        func id(_ n: Int) -> String { "10.\(n / 256).\(n % 256).0-24" }
        func value(_ n: Int, mac: String) -> String {
            Self.value("172.16.\(n / 256).\(n % 256)").replacing("02:00:00:00:00:01", with: mac)
        }
        func write(_ range: Range<Int>, mac: String) async throws {
            // 128 operations are the most that etcd takes in a transaction.
            for start in stride(from: range.lowerBound, to: range.upperBound, by: 60) {
                let some = start..<min(start + 60, range.upperBound)
                _ = try await client.transact(
                    [],
                    success: some.flatMap { n in
                        [
                            .put(Self.subnets + id(n), value(n, mac: mac), lease: 0),
                            .put(Self.nodes + id(n), record, lease: 0),
                        ]
                    }
                )
            }
        }
        try await write(0..<nodes, mac: "02:00:00:00:00:02")

        let directory = try EtcdDirectory(EtcdConfiguration(endpoints: server.endpoints))
        let lease = try await directory.acquire(Self.request("192.0.2.1", Self.pool("10.0.0.0/8")))
        let before = try await Self.requests(server)
        let memory = Self.memory()
        let start = ContinuousClock.now
        let listener = Listener()
        await listener.start(directory, lease)
        try await until("all are told") { await listener.leases.count == nodes + 1 }
        print("5,000 leases with records: listed in \(start.duration(to: .now)), \((Self.memory() - memory) >> 20) MiB")
        #expect(await listener.events.count == 1)
        #expect(await listener.leases[id(4999)]?.record == record)
        #expect(Self.memory() - memory < 200 << 20)
        try await until("the watch is there") { try await Self.requests(server).watches == before.watches + 1 }

        // Every one of them changes, and half of them leave.
        let change = ContinuousClock.now
        try await write(0..<nodes, mac: "02:00:00:00:00:03")
        try await until("all have changed") {
            await listener.leases.values.count { $0.backend?.mac == MACAddress("02:00:00:00:00:03") } == nodes
        }
        print("5,000 leases changed and told in \(change.duration(to: .now))")
        for prefix in [Self.subnets, Self.nodes] {
            try await server.ctl("del", prefix + id(0), prefix + "10.18")
        }
        // In the order of keys, these are all below 10.0, 10.1 and 10.10 to 10.17.
        try await until("those that left are told") { await listener.leases.count == nodes + 1 - 10 * 256 }
        let after = try await Self.requests(server)
        // The list in pages, and one look at the own two keys at most; no more, however much has changed.
        #expect(after.watches == before.watches + 1)
        let pages = 2 * (nodes + 1) / EtcdClient.pageSize + 1
        print("requests: \(after.ranges - before.ranges) ranges, \(after.watches - before.watches) watch")
        #expect(after.ranges - before.ranges <= pages + 2)
        #expect(await listener.snapshots == 1)
        await listener.stop()
    }

    /// What etcd itself counts.
    private static func requests(_ server: EtcdServer) async throws -> (ranges: Int, watches: Int) {
        let text = await EtcdServer.run("curl", ["-s", "-m", "5", server.endpoints[0] + "/metrics"]).output
        func count(_ method: String) -> Int {
            text.split(separator: "\n").filter {
                $0.hasPrefix("grpc_server_started_total") && $0.contains("grpc_method=\"\(method)\"")
            }.compactMap { $0.split(separator: " ").last.flatMap { Int($0) } }.reduce(0, +)
        }
        return (count("Range"), count("Watch"))
    }

    /// Resident bytes of this process.
    private static func memory() -> Int {
        let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
        return (text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) * 4096
    }
}
