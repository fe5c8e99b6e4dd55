import Foundation
import KubernetesStandIn
import Testing
import VXControl
import VXWire

@testable import VXKubernetes

/// A cluster of the size that Kubernetes is made for.
struct ScaleTests {
    /// Every kubelet updates its node every few seconds. None of that is news, nor kept, and one that is is not lost
    /// among it.
    @Test func heartbeatsOf5000NodesAreNoNews() async throws {
        let cluster = await cluster(nodes: 1...5000)
        try await StandInServer(cluster).serve { port in
            let directory = try directory(port: port, node: 1)
            try await running(directory, lease(1)) { told in
                try await eventually("the snapshot") { told.leases.count == 5000 }
                try await eventually("a watch") { await cluster.watcherCount == 1 }
                #expect(await cluster.takeRequests().count == 21)
                for number in 1...5000 {
                    await cluster.change(.nodes, "node-\(number)") {
                        $0["status"]?["conditions"]?[0, "lastHeartbeatTime"] = "2026-01-01T00:00:10Z"
                    }
                }
                await cluster.put(.nodes, nodeJSON(5001))
                try await eventually("the last event") { told.leases["node-5001"] == lease(5001) }
                #expect(told.events.count == 2)
                #expect(told.leases.count == 5001)
                // A watch that breaks in a cluster of that size is taken up again, not listed again.
                await cluster.endWatches(abruptly: true)
                await cluster.remove(.nodes, "node-5000")
                try await eventually("what came after") { told.events.last == .removed("node-5000") }
                #expect(await cluster.takeRequests() == ["watch /api/v1/nodes"])
            }
        }
    }
}
