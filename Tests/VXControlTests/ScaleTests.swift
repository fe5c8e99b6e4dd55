import Testing
import VXConfig
import VXCrypto
import VXWire

@testable import VXControl

/// A cluster of 5,000 sealed nodes, as one of them sees it.
@Suite struct ScaleTests {
    private static let count = 5000
    private static let signer = SigningKeyPair()

    private static func lease(_ number: Int, sequence: UInt64 = 1) -> Lease {
        let subnet = IPPrefix(address: .v4(IPv4Address(0x0a00_0000 + UInt32(number) << 8)), length: 24)!
        let address = IPv4Address(0xac10_0000 + UInt32(number))
        let mac = MACAddress(0x0200_0000_0000 + UInt64(number))
        var key = [UInt8](repeating: 0, count: 32)
        key[0] = UInt8(truncatingIfNeeded: number)
        key[1] = UInt8(truncatingIfNeeded: number >> 8)
        key[2] = UInt8(truncatingIfNeeded: sequence)
        let record = SealRecord(
            node: "n\(number)",
            publicKey: PublicKey(bytes: key)!,
            nextKey: nil,
            endpoints: [Endpoint(address: .v4(address), port: 47890)],
            subnets: [subnet],
            mac: mac,
            isStrict: true,
            sequence: sequence
        )
        return Lease(
            id: LeaseKey(subnet: subnet)!.description,
            subnet: subnet,
            publicIP: address,
            backend: BackendData(vni: 1, mac: mac),
            record: record.signed(by: signer)
        )
    }

    /// What is done for a change does not grow with the cluster beyond the plan itself: all nodes that come, flap and rotate are
    /// peers in the end, each once, and a plan has all of them.
    @Test func fiveThousandNodesJoinFlapAndRotate() throws {
        let flannel = try FlannelNetworkConfiguration(
            parsing: #"{"Network": "10.0.0.0/8", "Backend": {"Type": "vxlan"}}"#
        )
        let own = Self.lease(60_000)
        var table = PeerTable(
            own: .init(node: "n60000", lease: own, publicKeys: []),
            network: flannel,
            seal: .require,
            trust: .pinned
        )
        let leases = (1...Self.count).map { Self.lease($0) }
        let clock = ContinuousClock()
        let joining = clock.measure { for lease in leases { table.handle(.updated(lease)) } }
        #expect(table.peers.count == Self.count && table.refusals.isEmpty)
        let flapping = clock.measure {
            for lease in leases {
                table.handle(.removed(lease.id))
                table.handle(.updated(lease))
            }
        }
        let rotated = (1...Self.count).map { Self.lease($0, sequence: 2) }
        let listing = clock.measure { table.handle(.snapshot(rotated)) }
        #expect(table.peers.count == Self.count && table.refusals.isEmpty && table.suspicions == 0)
        let basis = OverlayPlan.Basis(flannel: flannel, seal: .require, device: "flannel.1", lease: own, links: [])
        var plan: OverlayPlan?
        let planning = clock.measure { plan = OverlayPlan(basis, mtu: 1414, peers: table.peers.values) }
        #expect(plan?.peers.count == Self.count)
        #expect(plan?.routes.count == Self.count && plan?.neighbors.count == Self.count)
        print("5,000 nodes: joined in \(joining), flapped in \(flapping), listed in \(listing), planned in \(planning)")
    }
}
