import Foundation
import KubernetesStandIn
import Testing
import VXConfig
import VXControl
import VXWire

@testable import VXKubernetes

struct CalicoTests {
    private static func nodeJSON(_ number: Int, _ more: [String: String] = [:]) -> JSON {
        let all = [
            "projectcalico.org/IPv4Address": "192.0.\(number).10/24",
            "projectcalico.org/IPv4VXLANTunnelAddr": "10.1.\(number).0",
        ].merging(more) { $1 }
        return [
            "metadata": ["name": .text("node\(number)"), "annotations": .object(all.mapValues(JSON.text))], "spec": [:],
        ]
    }

    private static func blockJSON(
        _ cidr: String,
        node: String?,
        lent: [Int: String] = [:],
        deleted: Bool = false
    ) -> JSON {
        let nodes = Set(lent.values).sorted()
        var allocations = [JSON](repeating: .null, count: 64)
        for (number, name) in lent { allocations[number] = .number(nodes.firstIndex(of: name) ?? 99) }
        // The last one is the owner's own, in use.
        allocations[63] = .number(nodes.count)
        let attributes = nodes.map { JSON.object(["handle_id": "x", "secondary": ["node": .text($0)]]) }
        return [
            "metadata": ["name": .text(cidr.map { $0.isHexDigit ? String($0) : "-" }.joined())],
            "spec": [
                "cidr": .text(cidr), "affinity": node.map { JSON.text("host:" + $0) } ?? .null,
                "deleted": .flag(deleted),
                "allocations": .list(allocations), "unallocated": [],
                "attributes": .list(attributes + [["handle_id": "y", "secondary": ["node": .text(node ?? "")]]]),
            ],
        ]
    }

    private static func node(_ json: JSON) throws -> NodeObject {
        try JSONDecoder().decode(NodeObject.self, from: try json.data)
    }

    private static func block(_ json: JSON) throws -> CalicoBlock {
        try JSONDecoder().decode(CalicoBlock.self, from: try json.data)
    }

    private static func prefix(_ text: String) throws -> IPPrefix { try #require(IPPrefix(text)) }

    private static func table(isCrossSubnet: Bool = false) throws -> CalicoTable {
        var table = CalicoTable(own: "node1", isCrossSubnet: isCrossSubnet)
        #expect(table.take(.replaced([try node(nodeJSON(1)), try node(nodeJSON(2))])).isEmpty)
        let events = table.take(
            .replaced([
                try block(blockJSON("10.1.1.0/26", node: "node1", lent: [5: "node2"])),
                try block(blockJSON("10.1.2.64/26", node: "node2")), try block(blockJSON("10.1.2.0/26", node: "node2")),
            ])
        )
        guard case .snapshot(let leases)? = events.first, events.count == 1 else { throw TooLate(what: "no snapshot") }
        #expect(leases.map(\.id) == ["node1", "node2"])
        return table
    }

    /// interop.md, 7: computed by other means than this.
    @Test func addressesAreDerivedAsCalicoDoes() {
        #expect(CalicoNode.derivedMAC(node: "node1", isIPv6: false) == MACAddress("66:f9:37:c3:7e:94"))
        #expect(CalicoNode.derivedMAC(node: "node1", isIPv6: true) == MACAddress("66:0f:35:f2:60:df"))
    }

    @Test func bothFamiliesAreRead() throws {
        let read = try CalicoNode(
            try Self.node(
                Self.nodeJSON(
                    1,
                    [
                        "projectcalico.org/VXLANTunnelMACAddr": "02:11:22:33:44:55",
                        "projectcalico.org/IPv6VXLANTunnelAddr": "fd00:10::1",
                        "projectcalico.org/IPv6Address": "2001:db8::1/64",
                    ]
                )
            )
        )
        #expect(read.v4?.mac == MACAddress("02:11:22:33:44:55"))
        #expect(read.v4?.vtep == IPAddress("10.1.1.0"))
        #expect(read.v4?.underlay == IPPrefix("192.0.1.10/24"))
        #expect(read.v6?.mac == MACAddress("66:0f:35:f2:60:df"))
        #expect(read.v6?.underlay == IPPrefix("2001:db8::1/64"))
    }

    @Test func nodeWithoutUnderlayAddressHasNoDevice() throws {
        let read = try CalicoNode(try Self.node(Self.nodeJSON(1, ["projectcalico.org/IPv4Address": ""])))
        #expect(read.v4 == nil && read.v6 == nil)
    }

    @Test(arguments: [
        ("IPv4Address", "192.0.2.300/24"), ("IPv4Address", "2001:db8::1/64"), ("IPv4VXLANTunnelAddr", "10.1.1.0/26"),
        ("VXLANTunnelMACAddr", "01:00:00:00:00:00"),
    ]) func whatCannotBeReadIsSaid(name: String, value: String) throws {
        let node = try Self.node(Self.nodeJSON(1, ["projectcalico.org/" + name: value]))
        let failure = #expect(throws: NodeFailure.self) { try CalicoNode(node) }
        #expect(failure?.description.contains(name) == true)
    }

    @Test func blocksAndLentAddressesBecomeRoutes() throws {
        let table = try Self.table()
        let lease = try #require(table.lease(of: "node2"))
        #expect(lease.subnet == IPPrefix("10.1.2.0/26"))
        #expect(lease.extraSubnets == [try Self.prefix("10.1.2.64/26"), try Self.prefix("10.1.1.5/32")])
        #expect(lease.vtep == IPv4Address("10.1.2.0"))
        #expect(lease.publicIP == IPv4Address("192.0.2.10"))
        #expect(lease.backend == BackendData(vni: 4096, mac: CalicoNode.derivedMAC(node: "node2", isIPv6: false)))
        #expect(table.lease(of: "node1")?.extraSubnets == [])
    }

    @Test func onlyWhatChangesIsTold() throws {
        var table = try Self.table()
        #expect(table.take(.put(try Self.node(Self.nodeJSON(2)))) == [])
        #expect(table.take(.put(try Self.block(Self.blockJSON("10.1.2.0/26", node: "node2")))) == [])
        // An address goes back: the node that had it is told of, and its owner is not.
        let back = table.take(.put(try Self.block(Self.blockJSON("10.1.1.0/26", node: "node1"))))
        #expect(back == [.updated(try #require(table.lease(of: "node2")))])
        #expect(table.lease(of: "node2")?.extraSubnets == [try Self.prefix("10.1.2.64/26")])
        // A block goes from one node to another.
        let moved = table.take(.put(try Self.block(Self.blockJSON("10.1.2.64/26", node: "node1"))))
        #expect(
            moved == [
                .updated(try #require(table.lease(of: "node1"))), .updated(try #require(table.lease(of: "node2"))),
            ]
        )
        let deleted = try Self.block(Self.blockJSON("10.1.2.0/26", node: "node2", deleted: true))
        #expect(table.take(.put(deleted)) == [.removed("node2")])
        let blockGone: ResourceNews<CalicoBlock> = .removed("10-1-2-64-26")
        #expect(table.take(blockGone).count == 1)
        let nodeGone: ResourceNews<NodeObject> = .removed("node1")
        #expect(table.take(nodeGone) == [.removed("node1")])
    }

    @Test func crossSubnetIsByTheOwnNodesSubnet() throws {
        var table = try Self.table(isCrossSubnet: true)
        #expect(table.lease(of: "node2")?.isDirect == false)
        _ = table.take(.put(try Self.node(Self.nodeJSON(2, ["projectcalico.org/IPv4Address": "192.0.1.99/30"]))))
        #expect(table.lease(of: "node2")?.isDirect == true)
        // The own address changes, and with it what is on its link.
        let events = table.take(
            .put(try Self.node(Self.nodeJSON(1, ["projectcalico.org/IPv4Address": "192.0.1.10/32"])))
        )
        #expect(table.lease(of: "node2")?.isDirect == false)
        #expect(events == [.updated(try #require(table.lease(of: "node2")))])
    }

    @Test func blocksThatCannotBeReadHaveNoRoutes() throws {
        for cidr in ["10.1.1.0", "x", "", "10.1.1.0/33"] {
            #expect(try Self.block(Self.blockJSON(cidr, node: "node1")).shares == [])
        }
        #expect(try Self.block(Self.blockJSON("10.1.1.0/26", node: "../x")).shares == [])
        var wild = Self.blockJSON("10.1.1.0/26", node: "node1")
        wild["spec"]?["allocations"] = .list([.number(-1), .number(.max), .null])
        #expect(try Self.block(wild).shares.count == 1)
        wild["spec"]?["allocations"] = "none"
        #expect(try Self.block(wild).shares == [])
        // More than a block has.
        let long = Self.blockJSON(
            "10.1.1.0/31",
            node: "node1",
            lent: [0: "node2", 1: "node2", 2: "node2", 40: "node2"]
        )
        #expect(try Self.block(long).shares.count == 3)
    }

    @Test func directoryFollowsNodesAndBlocks() async throws {
        let cluster = StandInCluster()
        var rules = agentRules.filter { $0.resource == "nodes" && $0.verb != "get" }
        for verb in ["list", "watch"] {
            rules.insert(AccessRule(group: "crd.projectcalico.org", resource: "ipamblocks", verb: verb))
        }
        await cluster.allow(token: token, .limited(rules))
        for number in 1...2 { await cluster.put(.nodes, Self.nodeJSON(number)) }
        await cluster.put(.blocks, Self.blockJSON("10.1.2.0/26", node: "node2"))
        try await StandInServer(cluster).serve { port in
            let directory = CalicoDirectory(
                CalicoConfiguration(kubernetes: KubernetesConfiguration(node: "node1"), isCrossSubnet: false),
                access: try APIAccess(server: "http://127.0.0.1:\(port)", token: .inline(Data(token.utf8))),
                timing: quick
            )
            let wanted = Lease(id: "", subnet: nil, publicIP: nil)
            async let acquired = directory.acquire(
                LeaseRequest(node: "node1", pool: SubnetPool(v4: nil), lease: wanted)
            )
            try await eventually("both watches") { await cluster.watcherCount == 2 }
            await cluster.put(.blocks, Self.blockJSON("10.1.1.0/26", node: "node1"))
            let own = try await acquired
            #expect(own.subnet == IPPrefix("10.1.1.0/26"))
            let listener = Listener()
            let task = Task { try await directory.run(own) { listener.take($0) } }
            defer { task.cancel() }
            try await eventually("the snapshot") { listener.leases.count == 2 }
            await cluster.put(.blocks, Self.blockJSON("10.1.2.64/26", node: "node2"))
            try await eventually("the block") { listener.leases["node2"]?.extraSubnets.count == 1 }
            await cluster.remove(.nodes, "node2")
            try await eventually("that it is gone") { listener.leases["node2"] == nil }
            #expect(listener.count(\.isLost) == 0)
            await cluster.put(.nodes, Self.nodeJSON(1, ["projectcalico.org/IPv4VXLANTunnelAddr": "10.1.1.9"]))
            try await eventually("that it is lost") { listener.count(\.isLost) == 1 }
        }
    }
}
