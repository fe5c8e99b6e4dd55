import Foundation
import KubernetesStandIn
import Synchronization
import Testing
import VXConfig
import VXControl
import VXWire

@testable import VXKubernetes

/// A condition did not become true in time.
struct TooLate: Error {
    let what: String
}

/// Looks at a condition until it is true; it is never expected to take long, and a slow machine gets the time it needs.
func eventually(_ what: String, _ condition: () async throws -> Bool) async throws {
    let end = ContinuousClock.now + .seconds(60)
    while try await !condition() {
        guard ContinuousClock.now < end else { throw TooLate(what: what) }
        try await Task.sleep(for: .milliseconds(10))
    }
}

/// What a directory told, and the leases as that leaves them.
final class Listener: Sendable {
    private let state = Mutex<(events: [DirectoryEvent], leases: [String: Lease])>(([], [:]))

    var events: [DirectoryEvent] { state.withLock { $0.events } }
    var leases: [String: Lease] { state.withLock { $0.leases } }

    func take(_ event: DirectoryEvent) {
        state.withLock { state in
            state.events.append(event)
            switch event {
            case .snapshot(let leases):
                state.leases = Dictionary(leases.map { ($0.id, $0) }) { _, last in last }
            case .updated(let lease): state.leases[lease.id] = lease
            case .removed(let id), .unreadable(let id, why: _): state.leases[id] = nil
            case .unreachable, .reachable, .lost: break
            }
        }
    }

    func count(_ matches: (DirectoryEvent) -> Bool) -> Int { events.count(where: matches) }
}

extension DirectoryEvent {
    var isUnreachable: Bool { if case .unreachable = self { true } else { false } }
    var isSnapshot: Bool { if case .snapshot = self { true } else { false } }
    var isLost: Bool { if case .lost = self { true } else { false } }
}

/// A Node as the API has it: with what the kubelet and others write into it too.
func nodeJSON(_ number: Int, cidrs: [String]? = nil, annotations: [String: String]? = nil) -> JSON {
    let flannel = "flannel.alpha.coreos.com/"
    let all =
        annotations ?? [
            flannel + "kube-subnet-manager": "true",
            flannel + "backend-type": "vxlan",
            flannel + "backend-data": "{\"VNI\":1,\"VtepMAC\":\"\(mac(number))\"}",
            flannel + "public-ip": "\(address(number))",
            "node.alpha.kubernetes.io/ttl": "0",
        ]
    let subnets = cidrs ?? ["\(subnet(number))"]
    var spec: JSON = [:]
    if let first = subnets.first {
        spec["podCIDR"] = .text(first)
        spec["podCIDRs"] = .list(subnets.map(JSON.text))
    }
    return [
        "metadata": [
            "name": .text("node-\(number)"), "uid": .text("00000000-0000-0000-0000-\(number)"),
            "labels": ["kubernetes.io/hostname": .text("node-\(number)")],
            "annotations": .object(all.mapValues(JSON.text)),
        ],
        "spec": spec,
        "status": [
            "conditions": [
                [
                    "type": "Ready", "status": "True", "reason": "KubeletReady",
                    "lastHeartbeatTime": "2026-01-01T00:00:00Z",
                ]
            ],
            "images": [
                ["names": ["registry.example/a@sha256:0", "registry.example/a:1"], "sizeBytes": .number(1 << 33)]
            ],
        ],
    ]
}

func mac(_ number: Int) -> MACAddress { MACAddress(0x0200_0000_0000 | UInt64(number)) }
func address(_ number: Int) -> IPv4Address { IPv4Address(0xc633_0000 + UInt32(number)) }
func subnet(_ number: Int) -> IPPrefix {
    guard let prefix = IPPrefix(address: .v4(IPv4Address(0x0a00_0000 + UInt32(number) << 8)), length: 24) else {
        preconditionFailure("24 is a length")
    }
    return prefix
}

/// The lease that `nodeJSON` stands for.
func lease(_ number: Int) -> Lease {
    Lease(
        id: "node-\(number)",
        node: "node-\(number)",
        subnet: subnet(number),
        publicIP: address(number),
        backend: BackendData(vni: 1, mac: mac(number))
    )
}

func pool() throws -> SubnetPool {
    let network = try #require(IPPrefix("10.0.0.0/8"))
    let first = try #require(IPAddress("10.0.1.0"))
    let last = try #require(IPAddress("10.255.255.0"))
    return SubnetPool(v4: SubnetPool.Family(network: network, length: 24, first: first, last: last))
}

/// With short pauses.
let quick = KubernetesClient.Timing(patience: 5, watch: 300, page: 250, pauses: Backoff(first: 0.02, longest: 0.1))

let token = "secret-token"

/// What the ClusterRole of Deploy/kubernetes allows.
let agentRules: Set<AccessRule> = [
    AccessRule(group: "", resource: "nodes", verb: "get"),
    AccessRule(group: "", resource: "nodes", verb: "list"),
    AccessRule(group: "", resource: "nodes", verb: "watch"),
    AccessRule(group: "", resource: "nodes/status", verb: "patch"),
]

func directory(port: Int, node number: Int, timing: KubernetesClient.Timing = quick) throws -> KubernetesDirectory {
    try KubernetesDirectory(
        KubernetesConfiguration(node: "node-\(number)"),
        access: APIAccess(server: "http://127.0.0.1:\(port)", token: .inline(Data(token.utf8))),
        timing: timing
    )
}

/// A cluster with nodes whose agent's token may do what the ClusterRole says.
func cluster(nodes numbers: ClosedRange<Int>) async -> StandInCluster {
    let cluster = StandInCluster()
    await cluster.allow(token: token, .limited(agentRules))
    for number in numbers { await cluster.put(.nodes, nodeJSON(number)) }
    return cluster
}

/// Runs a directory beside `body`, and ends it after.
func running(
    _ directory: KubernetesDirectory,
    _ lease: Lease,
    _ body: (Listener) async throws -> Void
) async throws {
    let listener = Listener()
    let task = Task { try await directory.run(lease) { listener.take($0) } }
    defer { task.cancel() }
    try await body(listener)
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
}
