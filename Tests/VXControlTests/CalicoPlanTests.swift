import Testing
import VXConfig
import VXWire

@testable import VXControl

/// Nodes with several blocks, lent addresses and next hops of their own, as Calico has them.
@Suite struct CalicoPlanTests {
    private static func prefix(_ text: String) throws -> IPPrefix { try #require(IPPrefix(text)) }

    private static func lease(_ number: UInt32, _ subnet: String, extra: [String] = []) throws -> Lease {
        Lease(
            id: "node\(number)",
            node: "node\(number)",
            subnet: try prefix(subnet),
            publicIP: IPv4Address(0xc000_0200 + number),
            backend: BackendData(vni: 4096, mac: MACAddress(0x6600_0000_0000 + UInt64(number))),
            extraSubnets: try extra.map(prefix),
            vtep: IPv4Address(0x0a01_0000 + number)
        )
    }

    private static func plan(_ own: Lease, _ leases: [Lease]) throws -> (plan: OverlayPlan, table: PeerTable) {
        let network = try FlannelNetworkConfiguration(
            parsing: #"{"Network": "10.1.0.0/16", "Backend": {"Type": "vxlan", "VNI": 4096, "Port": 4789}}"#
        )
        var table = PeerTable(
            own: .init(node: "node1", lease: own, publicKeys: []),
            network: network,
            seal: .off,
            trust: .directory
        )
        table.handle(.snapshot(leases))
        let basis = OverlayPlan.Basis(flannel: network, seal: .off, device: "vxlan.calico", lease: own, links: [])
        return (OverlayPlan(basis, mtu: 1450, peers: table.peers.values), table)
    }

    @Test func everyBlockAndLentAddressLeadsToItsNode() throws {
        let own = try Self.lease(1, "10.1.1.0/26")
        let other = try Self.lease(2, "10.1.2.0/26", extra: ["10.1.2.64/26", "10.1.1.7/32"])
        let (plan, table) = try Self.plan(own, [own, other])
        #expect(table.refusals.isEmpty)
        let routes = plan.routes.map { "\($0.destination) via \($0.gateway)" }.sorted()
        #expect(
            routes == ["10.1.1.7/32 via 10.1.0.2", "10.1.2.0/26 via 10.1.0.2", "10.1.2.64/26 via 10.1.0.2"]
        )
        #expect(plan.neighbors.map { "\($0.address) \($0.mac)" } == ["10.1.0.2 66:00:00:00:00:02"])
        // The device has the address and the MAC address that Calico's nodes are told.
        #expect(plan.network.addresses.map(\.description) == ["10.1.0.1/32"])
        #expect(plan.network.mac?.description == "66:00:00:00:00:01")
        let allowed = try #require(plan.peers.first?.allow?.prefixes.map(\.description))
        #expect(Set(allowed).isSuperset(of: ["10.1.2.0/26", "10.1.2.64/26", "10.1.1.7/32", "10.1.0.2/32"]))
    }

    @Test func aNodeOnTheSameLinkIsReachedDirectly() throws {
        let own = try Self.lease(1, "10.1.1.0/26")
        var other = try Self.lease(2, "10.1.2.0/26", extra: ["10.1.2.64/26"])
        other.isDirect = true
        let (plan, _) = try Self.plan(own, [other])
        #expect(plan.routes.allSatisfy { !$0.isOverlay && $0.gateway == .v4(IPv4Address(0xc000_0202)) })
        #expect(plan.routes.count == 2 && plan.neighbors.isEmpty)
    }

    @Test(arguments: [
        ("10.1.1.0/26", "10.1.1.0/26"), ("10.1.0.0/24", nil), ("10.1.0.0/23", "10.1.0.0/23"), ("10.9.0.0/26", nil),
        ("10.1.5.7/26", nil),
        ("10.1.3.0/26", "node3"),
    ])
    func whatIsAnothersIsNotLent(extra: String, owner: String?) throws {
        let own = try Self.lease(1, "10.1.1.0/26")
        let third = try Self.lease(3, "10.1.4.0/26", extra: ["10.1.3.0/26"])
        let (_, table) = try Self.plan(own, [third, try Self.lease(4, "10.1.6.0/26", extra: [extra])])
        let refusal = table.refusals["node4"]
        switch owner {
        case "node3": #expect(refusal == .taken("the subnet 10.1.3.0/26", by: "node3"))
        case let what?: #expect(refusal == .ownProperty(what))
        case nil where extra == "10.1.0.0/24": #expect(refusal == nil)
        case nil: #expect(refusal == IPPrefix(extra).map { .outsideNetwork($0) })
        }
    }

    @Test func whatIsRememberedIsTheSame() throws {
        var lease = try Self.lease(2, "10.1.2.0/26", extra: ["10.1.2.64/26", "10.1.1.7/32"])
        lease.isDirect = true
        #expect(try StoredLease(lease).lease(named: "") == lease)
    }
}
