import Testing
import VXWire

@testable import VXDataPlane

/// Cryptokey binding against an authenticated but hostile peer: the left gateway seals whatever the test says, the right one
/// has an `allow` for it.
@Suite struct BindingTests {
    static let own = MACAddress(0x0200_0000_0001)
    static let foreign = MACAddress(0x0200_0000_0099)

    private func gateways(macs: Bool = true, prefixes: [String] = ["10.98.0.0/24", "fd98::/64"], router: Bool = false)
        -> TwoGateways
    {
        let allowance = PeerAllowance(
            macs: macs ? [Self.own] : [],
            prefixes: prefixes.compactMap { IPPrefix($0) },
            router: router
        )
        let nodes = TwoGateways(binding: PeerBinding(allowance))
        if macs { #expect(nodes.rightFDB.insertPermanent(Self.own, peer: PeerIndex(0), kind: .allowed)) }
        // Somebody else's: another peer's by its allow list.
        #expect(nodes.rightFDB.insertPermanent(Self.foreign, peer: PeerIndex(7), kind: .allowed))
        return nodes
    }

    /// Every frame untagged, and under one and two VLAN tags: the verdict is the same.
    private func expect(
        _ frame: TestFrame,
        _ reason: DropReason?,
        _ nodes: TwoGateways,
        location: SourceLocation = #_sourceLocation
    ) {
        for tags in [[], [[0x81, 0x00, 0, 5]], [[0x88, 0xa8, 0, 9], [0x81, 0x00, 0, 5]]] as [[[UInt8]]] {
            // What `trace --send` answers is what happens, and counts nothing.
            let judged = nodes.right.judge(
                frame.bytes(tags: tags),
                vni: VNI(truncating: 42),
                from: PeerIndex(0),
                now: nodes.now
            )
            #expect(
                judged == (reason == nil ? .device : .dropped, reason),
                "\(tags.count) tags",
                sourceLocation: location
            )
            let before = DropReason.allCases.map { nodes.right.drops[$0] }
            let delivered = nodes.forward(frame.bytes(tags: tags)).flatMap { nodes.receive($0) }
            let after = DropReason.allCases.map { nodes.right.drops[$0] }
            let counted = DropReason.allCases.filter { after[Int($0.rawValue)] != before[Int($0.rawValue)] }
            #expect(counted == (reason.map { [$0] } ?? []), "\(tags.count) tags", sourceLocation: location)
            #expect(delivered.count == (reason == nil ? 1 : 0), "\(tags.count) tags", sourceLocation: location)
        }
    }

    @Test("source MAC addresses: the peer's own pass, others' and unknown ones do not, and nothing of them is learned")
    func sourceMAC() {
        let nodes = gateways(prefixes: [], router: true)
        expect(.plain(from: Self.own), nil, nodes)
        expect(.plain(from: Self.foreign), .exclusiveMAC, nodes)
        let unknown = MACAddress(0x0200_0000_0055)
        expect(.plain(from: unknown), .macNotAllowed, nodes)
        #expect(nodes.rightFDB.lookup(unknown, now: nodes.now) == nil)
        #expect(nodes.rightFDB.lookup(Self.foreign, now: nodes.now) == PeerIndex(7))
    }

    @Test("a peer without allow may use any MAC address but those that are another's")
    func exclusive() {
        let nodes = TwoGateways()
        #expect(nodes.rightFDB.insertPermanent(Self.foreign, peer: PeerIndex(7), kind: .allowed))
        expect(.plain(from: Self.own), nil, nodes)
        expect(.plain(from: Self.foreign), .exclusiveMAC, nodes)
        // The own device may not either: its stations are behind the peer that owns them.
        #expect(nodes.rightFDB.learn(Self.foreign, from: ForwardingDatabase.localDevice, now: nodes.now) == .foreign)
    }

    @Test("inner source addresses of both families")
    func sourceAddress() {
        let nodes = gateways()
        expect(.udp4(from: "10.98.0.255", ports: (5, 6)), nil, nodes)
        expect(.udp4(from: "10.98.1.0", ports: (5, 6)), .sourceNotAllowed, nodes)
        expect(.udp4(from: "10.97.255.255", ports: (5, 6)), .sourceNotAllowed, nodes)
        expect(.udp6(from: "fd98::1:2", ports: (5, 6)), nil, nodes)
        expect(.udp6(from: "fd98:0:0:1::", ports: (5, 6)), .sourceNotAllowed, nodes)
        expect(.udp6(from: "::ffff:10.98.0.1", ports: (5, 6)), .sourceNotAllowed, nodes)
    }

    @Test(
        "an unknown address: 0.0.0.0 to ask for DHCP, :: for duplicate address detection and listener reports, no more"
    )
    func unspecified() {
        let nodes = gateways()
        expect(.udp4(from: "0.0.0.0", ports: (68, 67), payload: [1]), nil, nodes)
        expect(.udp4(from: "0.0.0.0", ports: (68, 53)), .sourceNotAllowed, nodes)
        expect(.udp6(from: "::", ports: (546, 547), payload: [1]), .sourceNotAllowed, nodes)
        expect(.icmp6(from: "::", type: 135, body: .target("fd98::5")), nil, nodes)
        expect(.icmp6(from: "::", type: 135, body: .target("fd99::5")), .neighborNotAllowed, nodes)
        expect(.icmp6(from: "::", type: 143, body: [0, 0, 0, 0], hopByHop: true), nil, nodes)
        expect(.icmp6(from: "::", type: 128, body: [0, 0, 0, 0]), .sourceNotAllowed, nodes)
    }

    @Test("fe80::/10 passes with a bound MAC address, and only so")
    func linkLocal() {
        expect(.udp6(from: "fe80::1", ports: (5, 6)), nil, gateways())
        expect(.udp6(from: "febf::1", ports: (5, 6)), nil, gateways())
        expect(.udp6(from: "fec0::1", ports: (5, 6)), .sourceNotAllowed, gateways())
        expect(.udp6(from: "fe80::1", ports: (5, 6)), .sourceNotAllowed, gateways(macs: false))
        expect(.udp6(from: "fe80::1", ports: (5, 6)), nil, gateways(macs: false, prefixes: ["fe80::/64"]))
    }

    @Test("ARP: sender addresses, and the address that a probe claims")
    func arp() {
        let nodes = gateways()
        let (own, foreign) = (Self.own, Self.foreign)
        expect(.arp(operation: 1, sender: own, "10.98.0.1", target: "10.1.1.1"), nil, nodes)
        expect(.arp(operation: 2, sender: own, "10.98.1.1", target: "10.98.0.9"), .arpNotAllowed, nodes)
        expect(.arp(operation: 2, sender: foreign, "10.98.0.1", target: "10.98.0.9"), .arpNotAllowed, nodes)
        expect(.arp(operation: 1, sender: own, "0.0.0.0", target: "10.98.0.9"), nil, nodes)
        expect(.arp(operation: 1, sender: own, "0.0.0.0", target: "10.98.1.9"), .arpNotAllowed, nodes)
        var cut = TestFrame.arp(operation: 2, sender: own, "10.98.0.1", target: "10.98.0.9")
        cut.payload.removeLast()
        expect(cut, .arpNotAllowed, nodes)
    }

    @Test("neighbour discovery: targets and link-layer addresses; what a solicitation asks for is free")
    func neighbors() {
        let nodes = gateways()
        let good: [UInt8] = .target("fd98::5"), bad: [UInt8] = .target("fd99::5")
        expect(.icmp6(from: "fd98::5", type: 136, body: good), nil, nodes)
        expect(.icmp6(from: "fd98::5", type: 136, body: bad), .neighborNotAllowed, nodes)
        expect(.icmp6(from: "fd98::5", type: 136, body: .target("fe80::5")), nil, nodes)
        expect(.icmp6(from: "::", type: 136, body: good), .sourceNotAllowed, nodes)
        expect(.icmp6(from: "fd98::5", type: 135, body: bad), nil, nodes)
        for (kind, type) in [(UInt8(1), UInt8(135)), (2, 136)] {
            expect(.icmp6(from: "fd98::5", type: type, body: good + .option(kind, Self.own)), nil, nodes)
            let foreign: [UInt8] = good + .option(kind, Self.foreign)
            expect(.icmp6(from: "fd98::5", type: type, body: foreign), .neighborNotAllowed, nodes)
        }
        expect(
            .icmp6(from: "fd98::5", type: 136, body: good + [UInt8](repeating: 0, count: 8)),
            .neighborNotAllowed,
            nodes
        )
        expect(.icmp6(from: "fd98::5", type: 136, body: Array(good.dropLast())), .neighborNotAllowed, nodes)
        let solicitation: [UInt8] = [0, 0, 0, 0] + .option(1, Self.foreign)
        expect(.icmp6(from: "fe80::5", type: 133, body: solicitation), .neighborNotAllowed, nodes)
    }

    @Test("router advertisements, redirects and DHCP answers, plain and hidden; with router: true they pass")
    func router() {
        let advertisement = [UInt8](repeating: 0, count: 12)
        let redirect = [UInt8](repeating: 0, count: 36)
        let cases: [(TestFrame, DropReason)] = [
            (.icmp6(from: "fe80::1", type: 134, body: advertisement), .routerNotAllowed),
            (.icmp6(from: "fe80::1", type: 134, body: advertisement, hopByHop: true), .routerNotAllowed),
            (.icmp6(from: "fe80::1", type: 137, body: redirect), .routerNotAllowed),
            (.udp4(from: "10.98.0.1", ports: (67, 68), payload: [2]), .dhcpServerNotAllowed),
            (.udp4(from: "10.98.0.1", ports: (9, 68), payload: [2]), .dhcpServerNotAllowed),
            (.udp4(from: "10.98.0.1", ports: (67, 67), payload: [2]), .dhcpServerNotAllowed),
            (.udp6(from: "fe80::1", ports: (547, 546), payload: [2]), .dhcpServerNotAllowed),
            (.udp6(from: "fe80::1", ports: (547, 547), payload: [13]), .dhcpServerNotAllowed),
        ]
        let (guarded, trusted) = (gateways(), gateways(router: true))
        let guardAlone = gateways(macs: false, prefixes: [])
        for (frame, reason) in cases {
            expect(frame, reason, guarded)
            expect(frame, reason, guardAlone)
            expect(frame, nil, trusted)
        }
        expect(.udp4(from: "10.98.0.1", ports: (67, 67), payload: [1]), nil, guarded)
        expect(.udp6(from: "fe80::1", ports: (547, 547), payload: [12]), nil, guarded)
    }

    @Test("header chains that hide what they carry")
    func hidden() {
        let nodes = gateways()
        var frame = TestFrame.icmp6(from: "fe80::1", type: 134, body: [UInt8](repeating: 0, count: 12))
        func wrap(_ header: [UInt8], kind: UInt8) {
            let next = frame.payload[6]
            frame.payload[6] = kind
            frame.payload.insert(contentsOf: [next] + header, at: 40)
            let length = frame.payload.count - 40
            frame.payload[4] = UInt8(length >> 8)
            frame.payload[5] = UInt8(length & 255)
        }
        // A first fragment that holds all of it.
        let plain = frame
        wrap([0, 0, 1, 0, 0, 0, 1], kind: 44)
        expect(frame, .routerNotAllowed, nodes)
        // One that stops before it: padding alone, as RFC 7113 describes.
        var cut = frame
        cut.payload.removeSubrange(48...)
        (cut.payload[4], cut.payload[5]) = (0, 8)
        expect(cut, .hiddenHeaders, nodes)
        frame = plain
        for _ in 0..<20 { wrap([0, 1, 4, 0, 0, 0, 0], kind: 60) }
        expect(frame, .hiddenHeaders, nodes)
        frame = .icmp6(from: "fd98::5", type: 136, body: .target("fd98::5"))
        wrap([0, 0, 1, 0, 0, 0, 1], kind: 44)
        expect(frame, .neighborNotAllowed, nodes)
        // A later fragment says nothing, its source is checked all the same.
        frame = .udp6(from: "fd98::5", ports: (1, 2))
        wrap([0, 1, 1, 0, 0, 0, 1], kind: 44)
        expect(frame, nil, nodes)
    }

    @Test("frames that share a datagram, and frames with partial checksums, are looked at one by one")
    func aggregated() {
        let nodes = gateways()
        var records: [[UInt8]] = []
        for address in ["10.98.0.1", "10.99.0.1", "10.98.0.2"] {
            let frame = TestFrame.udp4(from: address, ports: (5, 6), payload: [7]).bytes()
            let partial = VirtioNetHeader(checksumStart: 34, checksumOffset: 6)
            (nodes.slot + VTEP.headroom).copyMemory(from: frame, byteCount: frame.count)
            _ = nodes.left.forward(
                nodes.slot + VTEP.headroom,
                count: frame.count,
                offload: partial,
                network: 0,
                now: nodes.now
            )
        }
        nodes.left.sealOpenDatagram(now: nodes.now)
        records = nodes.takeOutgoing()
        #expect(records.count == 1, "they share a datagram")
        let frames = records.flatMap { nodes.receive($0) }
        #expect(frames.map { $0[29] } == [1, 2])
        #expect(nodes.right.drops[.sourceNotAllowed] == 1)
    }

    @Test("prefixes are found as a plain list scan finds them")
    func lookup() {
        var numbers = SystemRandomNumberGenerator()
        for _ in 0..<200 {
            let prefixes = (0..<Int.random(in: 1...20, using: &numbers)).compactMap { _ in
                IPPrefix(
                    address: .v4(IPv4Address(UInt32.random(in: 0...0xffff, using: &numbers) << 16)),
                    length: Int.random(in: 0...32, using: &numbers)
                )
            }
            let rules = PeerBinding(PeerAllowance(macs: [], prefixes: prefixes, router: true))
            for _ in 0..<200 {
                let address = IPv4Address(UInt32.random(in: .min ... .max, using: &numbers))
                #expect(rules.rules.admits(address) == prefixes.contains { $0.contains(.v4(address)) })
            }
            for prefix in prefixes {
                guard case .v4(let address) = prefix.address else { continue }
                #expect(rules.rules.admits(address))
                let before = IPv4Address(address.rawValue &- 1)
                #expect(rules.rules.admits(before) == prefixes.contains { $0.contains(.v4(before)) })
            }
        }
    }

    @Test("any bytes from a bound peer: no trap, and each frame delivered or counted once")
    func garbage() {
        let nodes = gateways()
        var numbers = SystemRandomNumberGenerator()
        let seeds: [TestFrame] = [
            .udp4(from: "10.98.0.1", ports: (67, 68), payload: [2, 3]), .udp6(from: "fd98::1", ports: (546, 547)),
            .icmp6(from: "fd98::5", type: 136, body: .target("fd98::5") + .option(2, Self.own), hopByHop: true),
            .arp(operation: 1, sender: Self.own, "10.98.0.1", target: "10.98.0.2"),
        ]
        var delivered = 0
        var sent = 0
        for _ in 0..<4_000 {
            var frame = seeds[Int.random(in: 0..<seeds.count, using: &numbers)].bytes()
            for _ in 0..<Int.random(in: 0...6, using: &numbers) {
                frame[Int.random(in: 12..<frame.count, using: &numbers)] = UInt8.random(in: 0...255, using: &numbers)
            }
            frame.removeLast(Int.random(in: 0...frame.count - 14, using: &numbers))
            let datagrams = nodes.forward(frame)
            sent += datagrams.count
            delivered += datagrams.reduce(0) { $0 + nodes.receive($1).count }
        }
        #expect(sent == 4_000)
        #expect(DropReason.allCases.reduce(0) { $0 + Int(nodes.right.drops[$1]) } + delivered == 4_000)
    }
}
