import Testing
import VXCrypto
import VXWire

@testable import VXControl

/// Whom a node takes for a peer, of what a directory says.
@Suite struct PeerTableTests {
    /// A node that publishes.
    struct Node {
        let name: String
        let number: Int
        var identity = StaticKeyPair()
        var signer = SigningKeyPair()
        var sequence: UInt64 = 1

        var mac: MACAddress { MACAddress(0x0200_0000_0000 + UInt64(number)) }
        var address: IPv4Address { IPv4Address(0xc000_0200 + UInt32(number)) }
        var subnet: IPPrefix { IPPrefix(address: .v4(IPv4Address(0x0af4_0000 + UInt32(number) << 8)), length: 24)! }

        func record(_ change: (inout SealRecord) -> Void = { _ in }) -> String {
            var record = SealRecord(
                node: name,
                publicKey: identity.publicKey,
                nextKey: nil,
                endpoints: [Endpoint(address: .v4(address), port: 47890)],
                subnets: [subnet],
                mac: mac,
                isStrict: false,
                sequence: sequence
            )
            change(&record)
            return record.signed(by: signer)
        }

        func lease(isSealed: Bool = true, _ change: (inout Lease) -> Void = { _ in }) -> Lease {
            var lease = Lease(
                id: "10.244.\(number).0-24",
                subnet: subnet,
                publicIP: address,
                backend: BackendData(vni: 1, mac: mac),
                record: isSealed ? record() : nil
            )
            change(&lease)
            return lease
        }
    }

    private let own = Node(name: "own", number: 1)
    private let network: FlannelNetworkConfiguration

    init() throws {
        network = try FlannelNetworkConfiguration(
            parsing: #"{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}"#
        )
    }

    private func table(_ seal: SealPolicy = .prefer, _ trust: TrustPolicy = .directory) -> PeerTable {
        PeerTable(
            own: .init(node: own.name, lease: own.lease(), publicKeys: [own.identity.publicKey]),
            network: network,
            seal: seal,
            trust: trust
        )
    }

    /// What becomes of one lease beside a good peer.
    private func refusal(
        _ lease: Lease,
        _ seal: SealPolicy = .prefer,
        _ trust: TrustPolicy = .directory
    ) -> PeerRefusal? {
        var table = table(seal, trust)
        table.handle(.snapshot([own.lease(), Node(name: "other", number: 9).lease(), lease]))
        #expect(table.peers.values.contains { $0.name == "other" })
        return table.refusals[lease.id]
    }

    @Test func whoPublishesARecordIsSealedAndWhoDoesNotIsPlaintext() {
        let (sealed, plain) = (Node(name: "b", number: 2), Node(name: "c", number: 3))
        let leases = [own.lease(), sealed.lease(), plain.lease(isSealed: false)]
        for seal in SealPolicy.allCases {
            var table = table(seal)
            table.handle(.snapshot(leases))
            let kinds = table.peers.values.sorted { $0.id < $1.id }.map { $0.sealed != nil }
            switch seal {
            case .off: #expect(kinds == [false, false])
            case .prefer: #expect(kinds == [true, false])
            case .require:
                #expect(kinds == [true])
                #expect(table.refusals[plain.lease().id] == .notSealed)
            }
            #expect(table.suspicions == 0)
        }
    }

    @Test func whatIsThisNodesIsNobodyElses() {
        let node = Node(name: "b", number: 2)
        let cases: [(String, Lease)] = [
            ("10.244.1.0/25", node.lease(isSealed: false) { $0.subnet = IPPrefix("10.244.1.0/25") }),
            ("192.0.2.1", node.lease(isSealed: false) { $0.publicIP = own.address }),
            ("\(own.mac)", node.lease(isSealed: false) { $0.backend?.mac = own.mac }),
            ("the name own", node.lease { $0.record = node.record { $0.node = "own" } }),
            ("the name own", node.lease(isSealed: false) { $0.node = "own" }),
            (
                "the key \(own.identity.publicKey)",
                node.lease { $0.record = node.record { $0.publicKey = own.identity.publicKey } }
            ),
            (
                "the key \(own.identity.publicKey)",
                node.lease { $0.record = node.record { $0.nextKey = own.identity.publicKey } }
            ),
        ]
        for (what, lease) in cases { #expect(refusal(lease) == .ownProperty(what)) }
    }

    @Test func whatIsAnothersIsHisWhoWasThereFirst() {
        let (first, second) = (Node(name: "b", number: 5), Node(name: "c", number: 2))
        let thefts: [(inout Lease) -> Void] = [
            { $0.subnet = IPPrefix("10.244.5.0/26") }, { $0.subnet = IPPrefix("10.244.4.0/23") },
            { $0.publicIP = first.address }, { $0.backend?.mac = first.mac },
        ]
        for theft in thefts {
            var table = table()
            table.handle(.snapshot([first.lease()]))
            // Even where the thief sorts before.
            let stolen = second.lease(isSealed: false, theft)
            table.handle(.snapshot([stolen, first.lease()]))
            #expect(table.peers[first.lease().id]?.sealed?.publicKey == first.identity.publicKey)
            guard case .taken(_, by: "b") = table.refusals[stolen.id] else {
                Issue.record("\(String(describing: table.refusals[stolen.id]))")
                continue
            }
            #expect(table.suspicions == 1)
            // When it is free it is his who asks.
            table.handle(.removed(first.lease().id))
            #expect(table.refusals.isEmpty && table.peers.count == 1)
        }
    }

    @Test func absurdEntriesAreRefusedForWhatTheyAre() {
        let node = Node(name: "b", number: 2)
        let cases: [(PeerRefusal, Lease)] = [
            (.otherBackend("host-gw"), node.lease { $0.backendType = "host-gw" }),
            (.otherVNI(99_999_999), node.lease { $0.backend?.vni = 99_999_999 }),
            (.outsideNetwork(IPPrefix("10.99.0.0/24")!), node.lease { $0.subnet = IPPrefix("10.99.0.0/24") }),
            (.outsideNetwork(IPPrefix("10.0.0.0/8")!), node.lease { $0.subnet = IPPrefix("10.0.0.0/8") }),
            (.outsideNetwork(IPPrefix("fd00::/64")!), node.lease { $0.subnetV6 = IPPrefix("fd00::/64") }),
            (.incomplete("underlay address"), node.lease { $0.publicIP = nil }),
            (.incomplete("VtepMAC and address for IPv4"), node.lease(isSealed: false) { $0.backend = nil }),
            (.badSignature, node.lease { $0.record = $0.record?.replacing("192.0.2.2", with: "192.0.2.3") }),
            (.malformedRecord("v"), node.lease { $0.record = "{}" }),
            (.malformedRecord("10485760 bytes"), node.lease { $0.record = String(repeating: "x", count: 10 << 20) }),
            (.malformedRecord("node"), node.lease { $0.record = node.record { $0.node = "nоde" } }),
            (
                .recordMismatch("subnet"),
                node.lease { $0.record = node.record { $0.subnets = [IPPrefix("10.244.3.0/24")!] } }
            ),
            (.recordMismatch("VtepMAC"), node.lease { $0.record = node.record { $0.mac = MACAddress(0x0266) } }),
            (.recordMismatch("name"), node.lease { $0.node = "c" }),
            (
                .recordMismatch("underlay address"),
                node.lease { $0.publicIP = IPv4Address("192.0.2.77") }
            ),
        ]
        for (expected, lease) in cases { #expect(refusal(lease) == expected) }
        for text in ["0.0.0.1", "127.0.0.1", "224.0.0.1", "255.255.255.255", "169.254.1.1"] {
            let address = IPv4Address(text)!
            #expect(refusal(node.lease(isSealed: false) { $0.publicIP = address }) == .unusableAddress(.v4(address)))
        }
    }

    @Test func whatWasVouchedForHoldsAgainstWhatIsNot() {
        let node = Node(name: "b", number: 2)
        for trust in [TrustPolicy.pinned, .directory] {
            var table = table(.prefer, trust)
            table.handle(.snapshot([node.lease()]))
            table.handle(.updated(node.lease { $0.publicIP = IPv4Address("203.0.113.6") }))
            #expect(table.refusals[node.lease().id] == .recordMismatch("underlay address"))
            #expect(table.peers[node.lease().id]?.publicIP == node.address)
            table.handle(.unreadable(node.lease().id, why: "x"))
            #expect(table.peers[node.lease().id]?.publicIP == node.address)
            // The node itself is believed again, and may leave.
            table.handle(.updated(node.lease()))
            #expect(table.refusals.isEmpty)
            table.handle(.removed(node.lease().id))
            #expect(table.peers.isEmpty)
        }
    }

    @Test func aNameIsTheFirstSignersWherePinned() {
        let node = Node(name: "b", number: 2)
        var thief = Node(name: "b", number: 2)
        thief.sequence = 99
        for (trust, isBelieved) in [(TrustPolicy.pinned, false), (.directory, true)] {
            var table = table(.prefer, trust)
            table.handle(.updated(node.lease()))
            table.handle(.updated(thief.lease()))
            #expect((table.peers[node.lease().id]?.sealed?.publicKey == thief.identity.publicKey) == isBelieved)
            // Also after a restart.
            var next = PeerTable(own: table.own, network: network, seal: .prefer, trust: trust, pins: table.pins)
            next.handle(.snapshot([thief.lease()]))
            #expect((next.peers[node.lease().id] != nil) == isBelieved)
            if !isBelieved { #expect(next.refusals[node.lease().id] == .otherSigner) }
        }
    }

    @Test func aRecordThatIsTakenAwayBringsNoPlaintextWherePinned() {
        let node = Node(name: "b", number: 2)
        var table = table(.prefer, .pinned)
        table.handle(.updated(node.lease()))
        var next = PeerTable(own: table.own, network: network, seal: .prefer, trust: .pinned, pins: table.pins)
        for lease in [
            node.lease(isSealed: false),
            node.lease(isSealed: false) {
                $0.id = "b"; $0.node = "b"
            },
        ] {
            next.handle(.snapshot([lease]))
            #expect(next.refusals[lease.id] == .noLongerSealed && next.peers.isEmpty)
        }
        table.handle(.updated(node.lease(isSealed: false)))
        #expect(table.peers[node.lease().id]?.sealed != nil)
        // When the operator has removed the pin it is a plaintext node.
        table.replace(trust: .pinned, pins: [:])
        table.handle(.removed(node.lease().id))
        table.handle(.updated(node.lease(isSealed: false)))
        #expect(table.peers[node.lease().id]?.sealed == nil && table.peers.count == 1)
    }

    @Test func oldRecordsAreNotTakenAgain() {
        var node = Node(name: "b", number: 2)
        node.sequence = 7
        var table = table(.prefer, .pinned)
        table.handle(.updated(node.lease()))
        let rotated = StaticKeyPair()
        var older = node
        older.identity = rotated
        older.sequence = 6
        table.handle(.updated(older.lease()))
        #expect(table.refusals[node.lease().id] == .oldRecord)
        #expect(table.peers[node.lease().id]?.sealed?.publicKey == node.identity.publicKey)
        older.sequence = 8
        table.handle(.updated(older.lease()))
        #expect(table.peers[node.lease().id]?.sealed?.publicKey == rotated.publicKey)
    }

    @Test func aRosterDecidesAlone() throws {
        let (member, stranger) = (Node(name: "b", number: 2), Node(name: "c", number: 3))
        let operatorKey = SigningKeyPair()
        let text = SignedRoster(signers: ["b": member.signer.publicKey], sequence: 4).signed(by: operatorKey)
        let roster = try SignedRoster(text, key: operatorKey.publicKey)
        var table = table(.require, .roster(roster))
        table.handle(.snapshot([member.lease(), stranger.lease()]))
        #expect(table.peers.values.map(\.name) == ["b"])
        #expect(table.refusals[stranger.lease().id] == .notInRoster)
        // The same name with another key is no member.
        var thief = Node(name: "b", number: 4)
        thief.sequence = 9
        table.handle(.updated(thief.lease()))
        #expect(table.refusals[thief.lease().id] == .otherSigner)
        #expect(throws: SignedRoster.Failure.self) { try SignedRoster(text, key: SigningKeyPair().publicKey) }
        #expect(throws: SignedRoster.Failure.self) {
            try SignedRoster(text.replacing("sequence 4", with: "sequence 5"), key: operatorKey.publicKey)
        }
    }

    /// Whatever is in a directory, no two peers have anything in common, and none has anything of this node's.
    @Test(arguments: 0..<40)
    func claimsAreExclusiveWhateverIsSaid(seed: UInt64) {
        var random = Generator(state: seed &* 0x9e37_79b9_7f4a_7c15 &+ 1)
        let nodes = (2...12).map { Node(name: "n\($0)", number: $0) }
        var table = table(.prefer, seed % 2 == 0 ? .pinned : .directory)
        for _ in 0..<120 {
            let node = nodes.randomElement(using: &random)!
            let other = (nodes + [own]).randomElement(using: &random)!
            let lease = node.lease(isSealed: Bool.random(using: &random)) { lease in
                switch Int.random(in: 0..<8, using: &random) {
                case 0:
                    lease.subnet =
                        IPPrefix(address: other.subnet.address, length: .random(in: 20...28, using: &random))?.network
                case 1: lease.publicIP = other.address
                case 2: lease.backend?.mac = other.mac
                case 3: lease.record = other.record()
                default: break
                }
            }
            switch Int.random(in: 0..<10, using: &random) {
            case 0: table.handle(.removed(node.lease().id))
            case 1: table.handle(.snapshot([lease] + nodes.prefix(5).map { $0.lease() }))
            default: table.handle(.updated(lease))
            }
            let peers = Array(table.peers.values)
            #expect(Set(peers.map(\.name)).count == peers.count)
            #expect(Set(peers.compactMap(\.publicIP) + [own.address]).count == peers.count + 1)
            #expect(Set(peers.compactMap(\.mac) + [own.mac]).count == peers.count + 1)
            let keys = peers.compactMap { $0.sealed?.publicKey }
            #expect(Set(keys + [own.identity.publicKey]).count == keys.count + 1)
            for (place, peer) in peers.enumerated() {
                let others = peers[(place + 1)...].compactMap(\.subnet) + [own.subnet]
                #expect(!others.contains { $0.overlaps(peer.subnet!) })
            }
        }
    }

    private struct Generator: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ state >> 29
        }
    }
}
