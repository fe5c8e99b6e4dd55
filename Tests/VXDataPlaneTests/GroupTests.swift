import Testing
import VXDataPlane
import VXWire

/// `flood: known-multicast`: who gets which groups, by IGMP and MLD (RFC 4541).
@Suite struct GroupTests {
    private static let station = MACAddress(0x0200_0000_0201)
    private static let group: [UInt8] = [239, 1, 1, 1]
    private static let groupMAC: [UInt8] = [1, 0, 0x5e, 1, 1, 1]

    /// The checksum of RFC 1071, for bytes in which its field is zero.
    private static func checksum(_ bytes: [UInt8]) -> [UInt8] {
        let even = bytes.count % 2 == 0 ? bytes : bytes + [0]
        var sum = stride(from: 0, to: even.count, by: 2).reduce(0) { $0 + Int(even[$1]) << 8 + Int(even[$1 + 1]) }
        while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
        return [UInt8(~sum >> 8 & 0xff), UInt8(~sum & 0xff)]
    }

    /// A message with its checksum at the third byte.
    private static func summed(_ message: [UInt8], with pseudoHeader: [UInt8] = []) -> [UInt8] {
        var message = message
        message.replaceSubrange(2..<4, with: [0, 0])
        message.replaceSubrange(2..<4, with: checksum(pseudoHeader + message))
        return message
    }

    private static func ip4(
        to destination: [UInt8],
        mac: [UInt8],
        protocol number: UInt8,
        _ payload: [UInt8],
        from source: [UInt8] = [10, 98, 0, 1],
        ttl: UInt8 = 1
    ) -> [UInt8] {
        var header = [0x45, 0, 0, UInt8(20 + payload.count), 0, 0, 0, 0, ttl, number, 0, 0] + source + destination
        header.replaceSubrange(10..<12, with: checksum(header))
        return mac + station.bytes + [8, 0] + header + payload
    }

    private static func igmp(
        _ type: UInt8,
        _ group: [UInt8] = group,
        to mac: [UInt8] = groupMAC,
        from source: [UInt8] = [10, 98, 0, 1],
        ttl: UInt8 = 1
    ) -> [UInt8] {
        ip4(to: group, mac: mac, protocol: 2, summed([type, 0, 0, 0] + group), from: source, ttl: ttl)
    }

    /// IGMPv3 with one record.
    private static func igmp3(_ kind: UInt8, sources: [[UInt8]] = []) -> [UInt8] {
        let record = [kind, 0, 0, UInt8(sources.count)] + group + sources.flatMap(\.self)
        return ip4(
            to: [224, 0, 0, 22],
            mac: [1, 0, 0x5e, 0, 0, 22],
            protocol: 2,
            summed([0x22, 0, 0, 0, 0, 0, 0, 1] + record)
        )
    }

    private static let group6 = TestFrame.address("ff0e::1:2:3:4")
    private static let group6MAC: [UInt8] = [0x33, 0x33, 0, 3, 0, 4]

    private static let sender6 = TestFrame.address("fe80::1")

    private static func ip6(
        to destination: [UInt8],
        mac: [UInt8],
        next: UInt8,
        _ payload: [UInt8],
        from source: [UInt8] = sender6
    ) -> [UInt8] {
        let header: [UInt8] = [0x60, 0, 0, 0, 0, UInt8(payload.count), next, 1] + source + destination
        return mac + station.bytes + [0x86, 0xdd] + header + payload
    }

    private static func pseudoHeader(_ source: [UInt8], count: Int, next: UInt8) -> [UInt8] {
        source + group6 + [0, 0, 0, UInt8(count), 0, 0, 0, next]
    }

    private static func mld(_ type: UInt8, _ body: [UInt8], from source: [UInt8] = sender6) -> [UInt8] {
        let message = summed(
            [type, 0, 0, 0] + body,
            with: pseudoHeader(source, count: 4 + body.count, next: 58)
        )
        return ip6(to: group6, mac: group6MAC, next: 0, [58, 0, 5, 2, 0, 0, 1, 0] + message, from: source)
    }

    private static let hello = ip4(
        to: [224, 0, 0, 13],
        mac: [1, 0, 0x5e, 0, 0, 13],
        protocol: 103,
        summed([0x20, 0, 0, 0, 0, 1, 0, 2, 0, 105])
    )
    private static let hello6 = ip6(
        to: group6,
        mac: group6MAC,
        next: 103,
        summed([0x20, 0, 0, 0, 0, 1, 0, 2, 0, 105], with: pseudoHeader(sender6, count: 10, next: 103))
    )
    private static let advertisement = igmp(0x30, [224, 0, 0, 106], to: [1, 0, 0x5e, 0, 0, 106])
    private static let advertisement6 = mld(151, [0, 20, 0, 2])

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
            Self.groupMAC + Self.station.bytes + [0x88, 0xb5, 1, 2, 3], Self.query, Self.hello,
        ]
        for frame in frames { #expect(receivers(node, frame) == [0, 1, 2]) }
    }

    @Test(
        "reports go to nodes, which keep them from their stations, and of other VTEPs to those with a querier or router"
    )
    func reports() {
        let node = node()
        #expect(receivers(node, Self.igmp(0x16)) == [0, 1, 2])
        _ = hear(node, Self.igmp(0x11, [0, 0, 0, 0], from: [0, 0, 0, 0]), from: 1)
        for report in [Self.igmp(0x16), Self.igmp(0x17), Self.igmp3(4)] { #expect(receivers(node, report) == [0, 1]) }
        _ = hear(node, Self.hello, from: 2)
        #expect(receivers(node, Self.igmp(0x16)) == [0, 1, 2])
    }

    @Test(
        "a router that does not ask gets all groups of its family too",
        arguments: [(hello, false), (advertisement, false), (hello6, true), (advertisement6, true)]
    )
    func routers(message: [UInt8], isIPv6: Bool) {
        let node = node()
        let data = isIPv6 ? Self.data6 : Self.data
        _ = node.forward(isIPv6 ? Self.query6 : Self.query)
        #expect(receivers(node, data) == [])
        _ = hear(node, message, from: 2)
        #expect(receivers(node, data) == [2])
        #expect(table.hasRouter(PeerIndex(2), isIPv6: isIPv6, now: node.now))
        #expect(!table.hasRouter(PeerIndex(2), isIPv6: !isIPv6, now: node.now))
        node.now = node.now + .seconds(254)
        _ = node.forward(isIPv6 ? Self.query6 : Self.query)
        node.now = node.now + .seconds(2)
        #expect(receivers(node, data) == [])
    }

    @Test("a switch that asks without an address of its own is no router")
    func proxyQuery() {
        let node = node()
        _ = hear(node, Self.igmp(0x11, [0, 0, 0, 0], from: [0, 0, 0, 0]), from: 1)
        _ = hear(node, Self.igmp(0x16), from: 2)
        #expect(receivers(node, Self.data) == [2])
    }

    @Test("of bound peers one with `router` gets all groups, and one without is not believed to be a router")
    func boundRouters() {
        func bound(_ router: Bool) -> MixedGateway {
            MixedGateway(
                relays: false,
                groups: table,
                binding: PeerBinding(PeerAllowance(macs: [], prefixes: [], router: router))
            )
        }
        let guarded = bound(false)
        for message in [Self.query, Self.hello, Self.advertisement, Self.query6, Self.hello6, Self.advertisement6] {
            #expect(hear(guarded, message, from: 1).device.count == 1)
        }
        #expect(table.usage(now: guarded.now).ignored == 6)
        #expect(receivers(guarded, Self.data) == [0, 1, 2])
        _ = guarded.forward(Self.query)
        #expect(receivers(guarded, Self.data) == [])
        let router = bound(true)
        _ = router.forward(Self.query)
        #expect(receivers(router, Self.data) == [1])
    }

    @Test("a message with a wrong checksum, or from beyond the link, changes nothing and is counted")
    func integrity() {
        let node = node()
        _ = node.forward(Self.query)
        _ = node.forward(Self.query6)
        var messages = [
            Self.igmp(0x16, ttl: 2), Self.mld(131, [0, 0, 0, 0] + Self.group6, from: TestFrame.address("2001:db8::1")),
        ]
        // The last byte of the header's checksum, then of the message's.
        for place in [25, 37] {
            var message = Self.igmp(0x16)
            message[place] ^= 1
            messages.append(message)
        }
        var message = Self.mld(131, [0, 0, 0, 0] + Self.group6)
        message[65] ^= 1
        messages.append(message)
        message = Self.mld(131, [0, 0, 0, 0] + Self.group6)
        // Its hop limit.
        message[21] = 2
        messages.append(message)
        for message in messages { _ = hear(node, message, from: 2) }
        #expect(table.usage(now: node.now).ignored == UInt64(messages.count))
        #expect(table.usage(now: node.now).memberships == 0)
        #expect(receivers(node, Self.data) == [] && receivers(node, Self.data6) == [])
    }

    @Test("a report is kept from the own device, whose stations would hold theirs back, unless a querier is there")
    func suppression() {
        let node = node()
        #expect(hear(node, Self.igmp(0x16), from: 2).device.isEmpty)
        #expect(hear(node, Self.query, from: 2).device.count == 1)
        _ = node.forward(Self.hello)
        #expect(hear(node, Self.igmp(0x16), from: 2).device.count == 1)
        // Of the other family there is none.
        #expect(hear(node, Self.mld(131, [0, 0, 0, 0] + Self.group6), from: 2).device.isEmpty)
        _ = node.forward(Self.query6)
        #expect(hear(node, Self.mld(131, [0, 0, 0, 0] + Self.group6), from: 2).device.count == 1)
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

    @Test("rows tell who wants what, and for how long")
    func rows() {
        let node = node()
        _ = hear(node, Self.igmp(0x16), from: 2)
        node.now = node.now + .seconds(60)
        let rows = table.rows(now: node.now)
        #expect(rows.map(\.group) == [MACAddress(0x0100_5e01_0101)] && rows.map(\.peer) == [PeerIndex(2)])
        #expect(rows.map(\.remaining) == [.seconds(200)])
        #expect(table.rows(now: node.now + .seconds(200)).isEmpty)
    }

    @Test(
        "messages that are cut, or lie about their lengths under right checksums, are none, or say less",
        arguments: [true, false]
    )
    func cut(isIPv6: Bool) {
        let node = node()
        let whole = isIPv6 ? Self.mld(143, [0, 0, 0, 9]) : Self.igmp3(4)
        for count in 14...whole.count { _ = hear(node, Array(whole.prefix(count)), from: 1) }
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<4_000 {
            // Records count, their kinds, sources and auxiliary words as they come.
            var body = (0..<Int.random(in: 4..<80, using: &generator)).map { _ in
                UInt8.random(in: .min ... .max, using: &generator)
            }
            if Bool.random(using: &generator) { body.replaceSubrange(2..<4, with: [0, 3]) }
            let message =
                isIPv6
                ? Self.mld(143, body)
                : Self.ip4(
                    to: [224, 0, 0, 22],
                    mac: [1, 0, 0x5e, 0, 0, 22],
                    protocol: 2,
                    Self.summed([0x22, 0, 0, 0] + body)
                )
            _ = hear(node, message, from: 1)
        }
        // Right checksums: what was not believed are the cut ones.
        #expect(table.usage(now: node.now).ignored < UInt64(whole.count))
        #expect(table.usage(now: node.now).memberships <= 4096)
    }
}
