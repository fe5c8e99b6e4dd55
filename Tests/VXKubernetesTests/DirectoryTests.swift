import Foundation
import KubernetesStandIn
import Testing
import VXConfig
import VXControl
import VXWire

@testable import VXKubernetes

/// The directory against an API that refuses what a real one refuses.
struct DirectoryTests {
    private static let prefix = "flannel.alpha.coreos.com/"

    private static func request(_ number: Int) throws -> LeaseRequest {
        var wanted = lease(number)
        (wanted.id, wanted.node, wanted.subnet) = ("", nil, nil)
        return LeaseRequest(node: "node-\(number)", pool: try pool(), lease: wanted)
    }

    private static func annotation(_ cluster: StandInCluster, _ number: Int, _ name: String) async -> String? {
        await cluster.object(.nodes, "node-\(number)")?["metadata"]?["annotations"]?[name]?.text
    }

    private static func condition(_ cluster: StandInCluster, _ number: Int) async -> JSON? {
        await cluster.object(.nodes, "node-\(number)")?["status"]?["conditions"]?.list?
            .first { $0["type"] == "NetworkUnavailable" }
    }

    @Test func acquiresPublishesAndReleases() async throws {
        let cluster = await cluster(nodes: 2...3)
        await cluster.put(
            .nodes,
            nodeJSON(1, annotations: ["example.org/x": "y", Self.prefix + "public-ip-overwrite": "203.0.113.1"])
        )
        try await StandInServer(cluster).serve { port in
            let directory = try directory(port: port, node: 1)
            var own = try await directory.acquire(Self.request(1))
            #expect(own.id == "node-1" && own.subnet == subnet(1))
            #expect(own.publicIP == IPv4Address("203.0.113.1"))
            own.record = "{\"v\":1}"
            try await directory.publish(own)
            #expect(await Self.annotation(cluster, 1, "vxseal.io/peer") == "{\"v\":1}")
            #expect(await Self.annotation(cluster, 1, Self.prefix + "public-ip") == "203.0.113.1")
            #expect(await Self.condition(cluster, 1)?["status"] == "False")
            _ = await cluster.takeRequests()
            // What is there already is not written again.
            try await directory.publish(own)
            #expect(await cluster.takeRequests() == ["get /api/v1/nodes/node-1"])
            try await directory.release(own)
            let left = await cluster.object(.nodes, "node-1")?["metadata"]?["annotations"]
            #expect(left == ["example.org/x": "y", "flannel.alpha.coreos.com/public-ip-overwrite": "203.0.113.1"])
            #expect(await Self.condition(cluster, 1) == nil)
            #expect(try await directory.settings().publicIP == IPv4Address("203.0.113.1"))
        }
    }

    @Test func waitsForTheNodeAndItsSubnet() async throws {
        let cluster = await cluster(nodes: 2...3)
        let waits = Listener()
        try await StandInServer(cluster).serve { port in
            let directory = try KubernetesDirectory(
                KubernetesConfiguration(node: "node-1"),
                access: APIAccess(server: "http://127.0.0.1:\(port)", token: .inline(Data(token.utf8))),
                timing: quick
            ) { waits.take(.unreachable($0)) }
            async let own = directory.acquire(Self.request(1))
            try await eventually("a watch") { await cluster.watcherCount == 1 }
            #expect(waits.events == [.unreachable("the API knows no node node-1")])
            await cluster.put(.nodes, nodeJSON(1, cidrs: []))
            await cluster.put(.nodes, nodeJSON(9))
            await cluster.change(.nodes, "node-1") { $0["spec"]?["podCIDRs"] = [.text("\(subnet(1))")] }
            #expect(try await own.subnet == subnet(1))
            #expect(waits.events.count == 1)
            try await eventually("the watch's end") { await cluster.watcherCount == 0 }
        }
    }

    @Test func subnetOutsideTheNetworkIsRefused() async throws {
        let cluster = await cluster(nodes: 2...2)
        await cluster.put(.nodes, nodeJSON(1, cidrs: ["192.168.1.0/24"]))
        await cluster.put(.nodes, nodeJSON(4, cidrs: ["fd00::/64"]))
        try await StandInServer(cluster).serve { port in
            for (number, said) in [(1, "outside the network 10.0.0.0/8"), (4, "none of IPv4")] {
                let directory = try directory(port: port, node: number)
                let error = await #expect(throws: DirectoryError.self) {
                    try await directory.acquire(Self.request(number))
                }
                #expect(error?.description.contains(said) == true)
                #expect(error?.isTransient == false)
            }
        }
    }

    @Test func joinLeaveAndChangesAreTold() async throws {
        let cluster = await cluster(nodes: 1...3)
        try await StandInServer(cluster).serve { port in
            let directory = try directory(port: port, node: 1)
            try await running(directory, lease(1)) { told in
                try await eventually("the snapshot") { told.events == [.snapshot([lease(1), lease(2), lease(3)])] }
                try await eventually("a watch") { await cluster.watcherCount == 1 }
                await cluster.put(.nodes, nodeJSON(4))
                await cluster.change(.nodes, "node-2") {
                    $0["status"]?["conditions"] = [["type": "Ready", "status": "True", "reason": "again"]]
                }
                await cluster.change(.nodes, "node-2") {
                    $0["metadata"]?["annotations"]?[Self.prefix + "public-ip"] = "192.0.2.200"
                }
                await cluster.change(.nodes, "node-3") { $0["metadata"]?["annotations"]?["vxseal.io/peer"] = "r" }
                await cluster.remove(.nodes, "node-4")
                await cluster.put(.nodes, nodeJSON(5, annotations: ["example.org/none": "of it"]))
                await cluster.put(.nodes, nodeJSON(6))
                var moved = lease(2)
                moved.publicIP = IPv4Address("192.0.2.200")
                var sealed = lease(3)
                sealed.record = "r"
                let expected: [DirectoryEvent] = [
                    .updated(lease(4)), .updated(moved), .updated(sealed), .removed("node-4"), .updated(lease(6)),
                ]
                try await eventually("the last event") { told.events.last == .updated(lease(6)) }
                #expect(Array(told.events.dropFirst()) == expected)
            }
        }
    }

    @Test(arguments: [false, true]) func listsAgainAfterCompaction(asEvents: Bool) async throws {
        let cluster = await cluster(nodes: 1...600)
        try await StandInServer(cluster).serve { port in
            let directory = try directory(port: port, node: 1)
            try await running(directory, lease(1)) { told in
                try await eventually("the snapshot") { told.leases.count == 600 }
                try await eventually("a watch") { await cluster.watcherCount == 1 }
                #expect(
                    await cluster.takeRequests() == Array(repeating: "list /api/v1/nodes", count: 3) + [
                        "watch /api/v1/nodes"
                    ]
                )
                await cluster.inject(.status(503, retryAfter: nil), verb: "watch")
                await cluster.endWatches(abruptly: true)
                await cluster.remove(.nodes, "node-2")
                await cluster.put(.nodes, nodeJSON(601))
                await cluster.compact(asEvents: asEvents)
                try await eventually("a second snapshot") { told.count(\.isSnapshot) == 2 }
                #expect(
                    told.leases.count == 600 && told.leases["node-2"] == nil && told.leases["node-601"] == lease(601)
                )
                try await eventually("a watch") { await cluster.watcherCount == 1 }
                await cluster.put(.nodes, nodeJSON(602))
                try await eventually("the next event") { told.leases.count == 601 }
                #expect(told.count(\.isSnapshot) == 2)
            }
        }
    }

    /// Bookmarks carry the version past a compaction, so that nothing has to be listed.
    @Test func bookmarksSaveTheList() async throws {
        let cluster = await cluster(nodes: 1...3)
        try await StandInServer(cluster).serve { port in
            let directory = try directory(port: port, node: 1)
            try await running(directory, lease(1)) { told in
                try await eventually("a watch") { await cluster.watcherCount == 1 }
                await cluster.put(.blocks, ["metadata": ["name": "elsewhere"], "spec": [:]])
                try await cluster.sendBookmarks()
                await cluster.put(.nodes, nodeJSON(4))
                try await eventually("the event after the bookmark") { told.leases.count == 4 }
                try await cluster.sendBookmarks()
                await cluster.compact()
                await cluster.endWatches(abruptly: false)
                try await eventually("a watch") { await cluster.watcherCount == 1 }
                await cluster.put(.nodes, nodeJSON(5))
                try await eventually("the event") { told.leases.count == 5 }
                #expect(told.count(\.isSnapshot) == 1)
                #expect(told.count(\.isUnreachable) == 0)
            }
        }
    }

    @Test func tokenIsReadAnew() async throws {
        let cluster = await cluster(nodes: 1...2)
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("token-\(UUID())").path
        defer { try? FileManager.default.removeItem(atPath: file) }
        try Data((token + "\n").utf8).write(to: URL(fileURLWithPath: file))
        try await StandInServer(cluster).serve { port in
            let directory = try KubernetesDirectory(
                KubernetesConfiguration(node: "node-1"),
                access: APIAccess(server: "http://127.0.0.1:\(port)", token: .file(file)),
                timing: quick
            )
            try await running(directory, lease(1)) { told in
                try await eventually("a watch") { await cluster.watcherCount == 1 }
                await cluster.revoke(token: token)
                await cluster.allow(token: "next-token", .limited(agentRules))
                await cluster.endWatches(abruptly: false)
                try await eventually("that it is refused") { told.count(\.isUnreachable) == 1 }
                let error = await #expect(throws: DirectoryError.self) { try await directory.publish(lease(1)) }
                #expect(error?.description.contains("401") == true)
                #expect(error?.description.contains(token) == false)
                try Data("next-token".utf8).write(to: URL(fileURLWithPath: file), options: .atomic)
                try await eventually("that it is not") { told.events.last == .reachable }
                try await directory.publish(lease(1))
                #expect(told.count(\.isSnapshot) == 1)
            }
        }
    }

    @Test func awayAndBackLosesNothingAndMakesNoStorm() async throws {
        let cluster = await cluster(nodes: 1...3)
        let server = StandInServer(cluster)
        let timing = KubernetesClient.Timing(patience: 5, pauses: Backoff(first: 0.05, longest: 0.4))
        let port = try await server.serve { $0 }
        let directory = try directory(port: port, node: 1, timing: timing)
        try await running(directory, lease(1)) { told in
            try await server.serve(port: port) { _ in
                try await eventually("the snapshot") { told.leases.count == 3 }
                try await eventually("a watch") { await cluster.watcherCount == 1 }
            }
            try await eventually("that it is away") { told.count(\.isUnreachable) == 1 }
            await cluster.endWatches(abruptly: true)
            await cluster.put(.nodes, nodeJSON(4))
            await cluster.remove(.nodes, "node-2")
            let error = await #expect(throws: DirectoryError.self) { try await directory.publish(lease(1)) }
            #expect(error?.isTransient == true)
            // It listens, and fails in every other way there is.
            await cluster.inject(.status(500, retryAfter: nil), verb: "watch", times: 2)
            await cluster.inject(.status(429, retryAfter: 1), verb: "watch")
            await cluster.inject(.dropped, verb: "watch", times: 2)
            await cluster.inject(.slow(seconds: 0.1), verb: "watch")
            _ = await cluster.takeRequests()
            try await server.serve(port: port) { _ in
                try await eventually("the news") {
                    told.leases.keys.sorted() == ["node-1", "node-3", "node-4"]
                }
                try await eventually("that it is back") { told.events.contains(.reachable) }
            }
            #expect(told.count(\.isSnapshot) == 1)
            // Six attempts by its own faults, one that works.
            #expect(await cluster.takeRequests().count(where: { $0 == "watch /api/v1/nodes" }) <= 8)
        }
    }

    @Test func garbageIsListedAway() async throws {
        let cluster = await cluster(nodes: 1...3)
        try await StandInServer(cluster).serve { port in
            let directory = try directory(port: port, node: 1)
            try await running(directory, lease(1)) { told in
                try await eventually("a watch") { await cluster.watcherCount == 1 }
                await cluster.sendRaw(Data("{\"type\":\"MODIFIED\",\"obj\n".utf8))
                try await eventually("a second snapshot") { told.count(\.isSnapshot) == 2 }
                try await eventually("a second watch") { await cluster.watchersSoFar == 2 }
                await cluster.inject(.garbage, verb: "list")
                await cluster.sendRaw(Data("\u{0}\u{1}\n".utf8))
                try await eventually("a third snapshot") { told.count(\.isSnapshot) == 3 }
                try await eventually("a third watch") { await cluster.watchersSoFar == 3 }
                await cluster.sendRaw(Data("{\"type\":\"SURPRISE\",\"object\":{}}\n\n".utf8))
                await cluster.put(.nodes, nodeJSON(4))
                try await eventually("the event") { told.leases.count == 4 }
                #expect(told.count(\.isSnapshot) == 3)
            }
        }
    }

    /// One node's bad data is that node's alone.
    @Test func hugeAnnotationIsOneNodesAlone() async throws {
        let cluster = await cluster(nodes: 1...3)
        try await StandInServer(cluster).serve { port in
            let directory = try directory(port: port, node: 1)
            try await running(directory, lease(1)) { told in
                try await eventually("a watch") { await cluster.watcherCount == 1 }
                await cluster.change(.nodes, "node-2") {
                    $0["metadata"]?["annotations"]?["vxseal.io/peer"] = .text(String(repeating: "x", count: 10 << 20))
                }
                await cluster.put(.nodes, nodeJSON(4))
                try await eventually("the event after it") { told.leases["node-4"] != nil }
                #expect(told.leases["node-2"] == nil)
                guard case .unreadable("node-2", why: let why)? = told.events.dropLast().last else {
                    throw TooLate(what: "it was not told")
                }
                #expect(why.contains("vxseal.io/peer"))
            }
        }
    }

    @Test func ownNodesEndIsTold() async throws {
        for isRemoved in [true, false] {
            let cluster = await cluster(nodes: 1...3)
            try await StandInServer(cluster).serve { port in
                let directory = try directory(port: port, node: 1)
                try await running(directory, lease(1)) { told in
                    try await eventually("a watch") { await cluster.watcherCount == 1 }
                    if isRemoved {
                        await cluster.remove(.nodes, "node-1")
                    } else {
                        await cluster.put(.nodes, nodeJSON(1, cidrs: ["10.9.9.0/24"]))
                    }
                    try await eventually("that it is lost") { told.count(\.isLost) == 1 }
                    await cluster.put(.nodes, nodeJSON(1, cidrs: ["10.9.8.0/24"]))
                    await cluster.put(.nodes, nodeJSON(4))
                    try await eventually("a later event") { told.leases["node-4"] != nil }
                    #expect(told.count(\.isLost) == 1)
                }
            }
        }
    }

    @Test func whatOthersOverwriteIsWrittenAgain() async throws {
        let cluster = await cluster(nodes: 1...2)
        try await StandInServer(cluster).serve { port in
            let directory = try directory(port: port, node: 1)
            var own = lease(1)
            own.record = "mine"
            try await directory.publish(own)
            try await running(directory, own) { _ in
                try await eventually("a watch") { await cluster.watcherCount == 1 }
                await cluster.change(.nodes, "node-1") { $0["metadata"]?["annotations"]?["vxseal.io/peer"] = "theirs" }
                try await eventually("its own") { await Self.annotation(cluster, 1, "vxseal.io/peer") == "mine" }
                await cluster.change(.nodes, "node-1") { $0["metadata"]?["annotations"] = [:] }
                try await eventually("its own") { await Self.annotation(cluster, 1, "vxseal.io/peer") == "mine" }
                #expect(await Self.annotation(cluster, 1, Self.prefix + "kube-subnet-manager") == "true")
            }
        }
    }

    @Test func missingRightsAreNamed() async throws {
        let cluster = await cluster(nodes: 1...2)
        await cluster.allow(token: token, .limited(agentRules.filter { $0.verb != "patch" }))
        try await StandInServer(cluster).serve { port in
            let directory = try directory(port: port, node: 1)
            var own = lease(1)
            own.record = "new"
            let error = await #expect(throws: DirectoryError.self) { try await directory.publish(own) }
            #expect(error?.description.contains("403") == true)
            #expect(error?.description.contains("PATCH /api/v1/nodes/node-1/status") == true)
            #expect(error?.description.contains("ClusterRole") == true)
            #expect(error?.isTransient == false)
        }
    }

    @Test func netConfIsRead() async throws {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("net-conf-\(UUID()).json").path
        defer { try? FileManager.default.removeItem(atPath: file) }
        let access = try APIAccess(server: "http://127.0.0.1:1")
        let configuration = KubernetesConfiguration(node: "node-1", netConf: file)
        let directory = try KubernetesDirectory(configuration, access: access, timing: quick)
        let error = await #expect(throws: DirectoryError.self) { try await directory.networkConfiguration() }
        #expect(error?.description.contains(file) == true)
        try Data("{}".utf8).write(to: URL(fileURLWithPath: file))
        #expect(try await directory.networkConfiguration() == "{}")
    }
}
