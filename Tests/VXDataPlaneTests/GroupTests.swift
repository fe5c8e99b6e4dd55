import Testing
import VXDataPlane
import VXWire

/// `flood: known-multicast`: who gets which groups, by IGMP and MLD (RFC 4541).
@Suite struct GroupTests {
    private static let station = MACAddress(0x0200_0000_0201)
    private static let group: [UInt8] = [239, 1, 1, 1]
    private static let groupMAC: [UInt8] = [1, 0, 0x5e, 1, 1, 1]

    private static func ip4(to destination: [UInt8], mac: [UInt8], protocol number: UInt8, _ payload: [UInt8])
        -> [UInt8]
    {
        let length = UInt8(20 + payload.count)
        return mac + station.bytes + [8, 0, 0x45, 0, 0, length, 0, 0, 0, 0, 1, number, 0, 0, 10, 98, 0, 1] + destination
            + payload
    }

    private static func igmp(_ type: UInt8, _ group: [UInt8] = group, to mac: [UInt8] = groupMAC) -> [UInt8] {
        ip4(to: group, mac: mac, protocol: 2, [type, 0, 0, 0] + group)
    }

    /// IGMPv3 with one record.
    private static func igmp3(_ kind: UInt8, sources: [[UInt8]] = []) -> [UInt8] {
        let record = [kind, 0, 0, UInt8(sources.count)] + group + sources.flatMap(\.self)
        return ip4(
            to: [224, 0, 0, 22],
            mac: [1, 0, 0x5e, 0, 0, 22],
            protocol: 2,
            [0x22, 0, 0, 0, 0, 0, 0, 1] + record
        )
    }

    private static let group6 = TestFrame.address("ff0e::1:2:3:4")
    private static let group6MAC: [UInt8] = [0x33, 0x33, 0, 3, 0, 4]

    private static func ip6(to destination: [UInt8], mac: [UInt8], next: UInt8, _ payload: [UInt8]) -> [UInt8] {
        mac + station.bytes + [0x86, 0xdd, 0x60, 0, 0, 0, 0, UInt8(payload.count), next, 1]
            + TestFrame.address("fe80::1")
            + destination + payload
    }

    private static func mld(_ type: UInt8, _ body: [UInt8]) -> [UInt8] {
        ip6(to: group6, mac: group6MAC, next: 0, [58, 0, 5, 2, 0, 0, 1, 0, type, 0, 0, 0] + body)
    }

    private static let data = ip4(to: group, mac: groupMAC, protocol: 17, [UInt8](repeating: 7, count: 16))
    private static let data6 = ip6(to: group6, mac: group6MAC, next: 17, [UInt8](repeating: 7, count: 16))
    private static let query = igmp(0x11, [0, 0, 0, 0], to: [1, 0, 0x5e, 0, 0, 1])
    private static let query6 = mld(130, [UInt8](repeating: 0, count: 20))

    private let table = GroupTable(peerCount: 3, members: 3)

    private func node() -> MixedGateway { MixedGateway(relays: false, groups: table) }

    /// A frame of a station behind a plaintext peer, 1 or 2, or behind the sealed one.
    private func hear(_ node: MixedGateway, _ frame: [UInt8], from peer: Int?) -> MixedGateway.Result {
        var frame = frame
        frame.replaceSubrange(6..<12, with: MACAddress(0x0200_0000_0210 + UInt64(peer ?? 0)).bytes)
        return node.hear(frame, fromPlaintext: peer)
    }

    /// Which plaintext peers got a frame of the own device, and whether the sealed one did.
    private func receivers(_ node: MixedGateway, _ frame: [UInt8]) -> Set<Int> {
        let sent = node.forward(frame)
        let plaintext = sent.plaintext.compactMap { node.plaintextEndpoints.firstIndex(of: $0.to).map { $0 + 1 } }
        return Set(plaintext + (sent.sealed.isEmpty ? [] : [0]))
    }

    @Test("while nobody asks all are flooded; then a group goes to who wants it and who asks")
    func wanted() {
        let node = node()
        _ = hear(node, Self.igmp(0x16), from: 2)
        #expect(receivers(node, Self.data) == [0, 1, 2])
        _ = hear(node, Self.query, from: 1)
        #expect(receivers(node, Self.data) == [1, 2])
        // MLD has no querier yet.
        #expect(receivers(node, Self.data6) == [0, 1, 2])
        _ = hear(node, Self.query6, from: nil)
        _ = hear(node, Self.mld(131, [0, 0, 0, 0] + Self.group6), from: 1)
        #expect(receivers(node, Self.data6) == [0, 1])
    }

    @Test(
        "reports of every version are understood",
        arguments: [
            (igmp(0x12), true), (igmp(0x16), true), (igmp3(2), true), (igmp3(4), true), (igmp3(3), false),
            (igmp3(1), false),
            (igmp3(5, sources: [[10, 0, 0, 1]]), true), (igmp3(1, sources: [[10, 0, 0, 1]]), true), (igmp3(6), false),
            (igmp3(6, sources: [[10, 0, 0, 1]]), false),
        ]
    )
    func versions(report: [UInt8], isWanted: Bool) {
        let node = node()
        _ = hear(node, Self.query, from: 1)
        _ = hear(node, report, from: 2)
        #expect(receivers(node, Self.data).contains(2) == isWanted)
    }

    @Test("MLDv2 lists groups, and a done ends one")
    func mld2() {
        let node = node()
        _ = hear(node, Self.query6, from: 1)
        let records =
            [4, 0, 0, 0] + TestFrame.address("ff02::5") + [2, 0, 0, 1] + Self.group6 + TestFrame.address("fd00::1")
        _ = hear(node, Self.mld(143, [0, 0, 0, 2] + records), from: 2)
        #expect(table.usage(now: node.now).memberships == 1)
        #expect(receivers(node, Self.data6) == [1, 2])
        _ = hear(node, Self.mld(132, [0, 0, 0, 0] + Self.group6), from: 2)
        node.now = node.now + .seconds(3)
        #expect(receivers(node, Self.data6) == [1])
    }

    @Test("a leave ends after two seconds unless somebody else reports; a report lasts 260 s; a querier 255 s")
    func times() {
        let node = node()
        _ = hear(node, Self.query, from: 1)
        _ = hear(node, Self.igmp(0x16), from: 2)
        _ = hear(node, Self.igmp(0x17), from: 2)
        #expect(receivers(node, Self.data) == [1, 2])
        _ = hear(node, Self.igmp(0x16), from: 2)
        node.now = node.now + .seconds(3)
        #expect(receivers(node, Self.data) == [1, 2])
        node.now = node.now + .seconds(200)
        _ = hear(node, Self.query, from: 1)
        node.now = node.now + .seconds(60)
        #expect(receivers(node, Self.data) == [1])
        table.sweep(now: node.now)
        #expect(table.usage(now: node.now).memberships == 0)
        node.now = node.now + .seconds(200)
        // To all; the sealed peer's keys have expired long ago.
        #expect(receivers(node, Self.data) == [1, 2])
    }

    @Test("broadcast, groups of the link, other protocols and messages about groups go to all")
    func forAll() {
        let node = node()
        _ = hear(node, Self.query, from: 1)
        _ = hear(node, Self.query6, from: 1)
        let frames = [
            TestFrame.plain(from: Self.station).bytes(),
            Self.ip4(to: [224, 0, 0, 251], mac: [1, 0, 0x5e, 0, 0, 251], protocol: 17, [0, 0, 0, 0, 0, 0, 0, 0]),
            Self.ip6(
                to: TestFrame.address("ff02::fb"),
                mac: [0x33, 0x33, 0, 0, 0, 0xfb],
                next: 17,
                [UInt8](repeating: 0, count: 8)
            ),
            Self.groupMAC + Self.station.bytes + [0x88, 0xb5, 1, 2, 3], Self.igmp(0x16), Self.igmp3(4), Self.query,
        ]
        for frame in frames { #expect(receivers(node, frame) == [0, 1, 2]) }
    }

    @Test("a report is kept from the own device, whose stations would hold theirs back, unless a querier is there")
    func suppression() {
        let node = node()
        #expect(hear(node, Self.igmp(0x16), from: 2).device.isEmpty)
        #expect(hear(node, Self.query, from: 2).device.count == 1)
        _ = node.forward(Self.query)
        #expect(hear(node, Self.igmp(0x16), from: 2).device.count == 1)
    }

    @Test("a peer that reports endless groups fills its own share")
    func bounded() {
        let node = node()
        _ = hear(node, Self.query, from: nil)
        for number in 0..<10_000 {
            let group: [UInt8] = [239, 2, UInt8(number >> 8), UInt8(number & 255)]
            _ = hear(node, Self.igmp(0x16, group), from: 1)
        }
        let usage = table.usage(now: node.now)
        #expect(usage.memberships < 2048 && usage.refused > 5000)
        _ = hear(node, Self.igmp(0x16), from: 2)
        #expect(receivers(node, Self.data) == [0, 2])
    }

    @Test(
        "messages that are cut or lie about their length are none, or say less",
        arguments: [igmp3(4), mld(143, [0, 0, 0, 9])]
    )
    func cut(message: [UInt8]) {
        let node = node()
        for count in 14...message.count { _ = hear(node, Array(message.prefix(count)), from: 1) }
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<2_000 {
            var bytes = message
            for _ in 0..<4 {
                bytes[Int.random(in: 14..<bytes.count, using: &generator)] = .random(
                    in: .min ... .max,
                    using: &generator
                )
            }
            _ = hear(node, bytes, from: 1)
        }
        #expect(table.usage(now: node.now).memberships <= 4096)
    }
}
