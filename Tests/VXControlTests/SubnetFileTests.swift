import Testing
import VXConfig
import VXWire

@testable import VXControl

/// `subnet.env`, held against what a real flannel wrote.
@Suite struct SubnetFileTests {
    @Test(arguments: FlannelRecording.all)
    func theTextIsFlannels(run: FlannelRecording.Run) throws {
        let pool = try FlannelNetworkConfiguration(parsing: run.config).pool
        for (id, value) in run.leases {
            let key = try #require(LeaseKey(id))
            let attributes = try LeaseAttributes(parsing: value)
            let node = try #require(run.nodes.values.first { $0.underlay == attributes.publicIP?.description })
            let lease = Lease(id: id, subnet: key.subnet, subnetV6: key.subnetV6, publicIP: attributes.publicIP)
            #expect(SubnetFile(pool: pool, lease: lease, mtu: 1450, masquerades: false).text == node.subnetFile)
        }
    }

    /// The kernel's routes and neighbours of a plan are those that flannel programmed for the same leases.
    @Test(arguments: FlannelRecording.all)
    func routesAndNeighboursAreFlannels(run: FlannelRecording.Run) throws {
        let flannel = try FlannelNetworkConfiguration(parsing: run.config)
        let leases = try run.leases.map { id, value in
            let key = try #require(LeaseKey(id))
            let attributes = try LeaseAttributes(parsing: value)
            return Lease(
                id: id,
                subnet: key.subnet,
                subnetV6: key.subnetV6,
                publicIP: attributes.publicIP,
                publicIPv6: attributes.publicIPv6,
                backend: attributes.backend,
                backendV6: attributes.backendV6
            )
        }
        for own in leases {
            let node = try #require(run.nodes.values.first { $0.underlay == own.publicIP?.description })
            var table = PeerTable(
                own: .init(node: "own", lease: own, publicKeys: []),
                network: flannel,
                seal: .off,
                trust: .directory
            )
            table.handle(.snapshot(leases))
            let basis = OverlayPlan.Basis(flannel: flannel, seal: .off, device: "flannel.1", lease: own, links: [])
            let plan = OverlayPlan(basis, mtu: 1450, peers: table.peers.values)
            let routes = plan.routes.map { "\($0.destination) via \($0.gateway)" }
            let recorded = (node.route + (node.route6 ?? [])).filter { $0.contains(" via ") }
            #expect(Set(routes) == Set(recorded.map { $0.split(separator: " ").prefix(3).joined(separator: " ") }))
            let neighbors = plan.neighbors.map { "\($0.address) lladdr \($0.mac) PERMANENT" }
            #expect(Set(neighbors) == Set(node.neigh + (node.neigh6 ?? [])))
            let stations = plan.peers.flatMap { peer in
                (peer.allow?.macs ?? []).map { "\($0) dst \(peer.endpoint!.address) self permanent" }
            }
            #expect(Set(node.fdb).isSubset(of: Set(stations)))
        }
    }

    @Test func masqueradeSaysWhatFlannelSays() {
        let rules = MasqueradeRules(
            networks: [IPPrefix("10.244.0.0/16")!],
            subnets: [IPPrefix("10.244.3.0/24")!],
            masquerades: true
        )
        for line in [
            "ip saddr 10.244.3.0/24 ip daddr 10.244.0.0/16 return",
            "ip saddr 10.244.0.0/16 ip daddr 10.244.3.0/24 return",
            "ip saddr != 10.244.0.0/16 ip daddr 10.244.3.0/24 return",
        ] { #expect(rules.script.contains("    \(line)\n")) }
        #expect(rules.script.contains("meta mark and 0x4000 == 0x4000 return"))
        #expect(
            !MasqueradeRules(networks: rules.networks, subnets: rules.subnets, masquerades: false).script.contains(
                "nat"
            )
        )
    }
}
