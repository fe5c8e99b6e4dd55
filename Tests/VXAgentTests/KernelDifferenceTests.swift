import Testing
import VXControl
import VXNetlink
import VXWire

@testable import VXAgent

/// What the kernel has, against what it should have.
@Suite struct KernelDifferenceTests {
    private let plan: OverlayPlan

    init() throws {
        let flannel = try FlannelNetworkConfiguration(
            parsing:
                #"{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan", "Seal": "prefer", "DirectRouting": true}}"#
        )
        let lease = Lease(id: "a", subnet: IPPrefix("10.244.1.0/24"), publicIP: IPv4Address("192.0.2.1"))
        let basis = OverlayPlan.Basis(
            flannel: flannel,
            seal: .prefer,
            device: "flannel.1",
            lease: lease,
            links: [try #require(IPPrefix("192.0.2.0/24"))]
        )
        func peer(_ name: String, _ subnet: String, _ address: String, _ mac: UInt64) -> OverlayPeer {
            OverlayPeer(
                id: name,
                name: name,
                subnet: IPPrefix(subnet),
                mac: MACAddress(mac),
                publicIP: IPv4Address(address)
            )
        }
        plan = OverlayPlan(
            basis,
            mtu: 1414,
            peers: [peer("b", "10.244.2.0/24", "192.0.2.2", 2), peer("c", "10.244.3.0/24", "198.51.100.3", 3)]
        )
    }

    private func route(_ destination: String, _ gateway: String, device: Int, _ origin: Route.Origin) throws -> Route {
        Route(
            destination: try #require(IPPrefix(destination)),
            gateway: try #require(IPAddress(gateway)),
            device: device,
            isOnLink: origin == .boot,
            origin: origin
        )
    }

    private func difference(_ routes: [Route], _ neighbors: [PermanentNeighbor]) -> KernelRoutes.Difference {
        KernelRoutes.Difference(plan: plan, device: 7, underlay: 2, routes: routes, neighbors: neighbors)
    }

    @Test func whatIsThereIsLeftAlone() throws {
        let routes = [
            try route("10.244.2.0/24", "192.0.2.2", device: 2, .vxseal),
            try route("10.244.3.0/24", "10.244.3.0", device: 7, .boot),
            // Others'.
            try route("10.0.0.0/8", "192.0.2.254", device: 2, .boot),
        ]
        let neighbor = PermanentNeighbor(address: try #require(IPAddress("10.244.3.0")), mac: MACAddress(3))
        #expect(difference(routes, [neighbor]).count == 0)
    }

    @Test func whatIsMissingIsSetAndWhatIsLeftOverGoes() throws {
        let stale = [
            try route("10.244.9.0/24", "10.244.9.0", device: 7, .boot),
            try route("10.244.8.0/24", "192.0.2.8", device: 2, .vxseal),
            // The same destination by another way is replaced, not removed.
            try route("10.244.3.0/24", "192.0.2.3", device: 2, .vxseal),
        ]
        let old = PermanentNeighbor(address: try #require(IPAddress("10.244.3.0")), mac: MACAddress(9))
        let gone = PermanentNeighbor(address: try #require(IPAddress("10.244.9.0")), mac: MACAddress(9))
        let found = difference(stale, [old, gone])
        #expect(found.missingRoutes.map(\.destination.description) == ["10.244.2.0/24", "10.244.3.0/24"])
        #expect(Set(found.spareRoutes) == Set(stale.prefix(2)))
        #expect(found.missingNeighbors.map(\.mac) == [MACAddress(3)])
        #expect(found.spareNeighbors == [gone])
    }
}
