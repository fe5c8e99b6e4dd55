import Testing
import VXWire

@testable import VXDataPlane

/// ARP and neighbour discovery, answered for stations behind peers. The left gateway asks; what it heard of its peer is fed to
/// it by the right one.
@Suite struct NeighborTests {
    private static let station = MACAddress(0x0200_0000_0002)
    private static let other = MACAddress(0x0200_0000_0003)

    /// The left node is the hostile or honest peer, the right one hears and answers.
    private func gateways(router: Bool = false) -> TwoGateways {
        let allowance = PeerAllowance(
            macs: [],
            prefixes: ["10.98.0.0/24", "fd98::/64"].compactMap { IPPrefix($0) },
            router: router
        )
        let nodes = TwoGateways(binding: PeerBinding(allowance), suppression: true)
        confirm(nodes)
        return nodes
    }

    /// The right node sends once it has heard something.
    private func confirm(_ nodes: TwoGateways) {
        for datagram in nodes.send(to: TwoGateways.broadcast) { _ = nodes.receive(datagram) }
    }

    private func tell(_ nodes: TwoGateways, _ frame: TestFrame) {
        for datagram in nodes.forward(frame.bytes()) { _ = nodes.receive(datagram) }
    }

    private func arp(_ mac: MACAddress, _ address: String, asks target: String, operation: UInt16 = 1) -> TestFrame {
        var frame = TestFrame.arp(operation: operation, sender: mac, address, target: target)
        frame.source = mac
        return frame
    }

    private func solicitation(_ mac: MACAddress, _ source: String, asks target: String) -> TestFrame {
        var frame = TestFrame.icmp6(from: source, type: 135, body: .target(target) + .option(1, mac))
        let low = TestFrame.address(target).suffix(3)
        frame.payload.replaceSubrange(24..<40, with: TestFrame.address("ff02::1:ff00:0").prefix(13) + low)
        frame.destination = MACAddress(low.reduce(0x3333ff) { $0 << 8 | UInt64($1) })
        frame.source = mac
        frame.payload.withUnsafeMutableBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            base.storeBigEndian(InternetChecksum.icmpv6(base, count: bytes.count - 40), at: 42)
        }
        return frame
    }

    private func advertisement(_ mac: MACAddress, _ address: String, isRouter: Bool = false) -> TestFrame {
        var body: [UInt8] = .target(address) + .option(2, mac)
        body[0] = isRouter ? 0xe0 : 0x60
        var frame = TestFrame.icmp6(from: address, type: 136, body: body)
        frame.source = mac
        return frame
    }

    @Test("ARP is answered at once for a station that its peer may speak for, and nothing leaves")
    func answersARP() throws {
        let nodes = gateways()
        #expect(nodes.ask(arp(Self.other, "10.98.0.9", asks: "10.98.0.2")).sent == 1, "unknown: flooded")
        tell(nodes, arp(Self.station, "10.98.0.2", asks: "10.98.0.77"))
        let (answers, sent) = nodes.ask(arp(Self.other, "10.98.0.9", asks: "10.98.0.2"))
        #expect(sent == 0)
        let answer = try #require(answers.first)
        #expect(answers.count == 1)
        var expected = arp(Self.station, "10.98.0.2", asks: "10.98.0.9", operation: 2)
        expected.destination = Self.other
        expected.payload.replaceSubrange(18..<24, with: Self.other.bytes)
        #expect(answer == expected.bytes())
        #expect(nodes.rightNeighbors.usage.answered == 1 && nodes.rightNeighbors.usage.known == 1)
    }

    @Test("neighbour solicitations are answered by a valid advertisement")
    func answersSolicitation() throws {
        let nodes = gateways()
        tell(nodes, advertisement(Self.station, "fd98::2"))
        let (answers, sent) = nodes.ask(solicitation(Self.other, "fd98::9", asks: "fd98::2"))
        #expect(sent == 0)
        let answer = try #require(answers.first)
        #expect(Array(answer[0..<6]) == Self.other.bytes && Array(answer[6..<12]) == Self.station.bytes)
        let message = try #require(
            answer.withUnsafeBytes { $0.baseAddress.flatMap { NeighborMessage($0, count: answer.count) } }
        )
        #expect(message.isAdvertisement && message.isRight && !message.isFromRouter)
        #expect(message.linkLayerAddress == Self.station && answer[58] == 0x60)
        #expect(Array(answer[62..<78]) == TestFrame.address("fd98::2"))
        #expect(Array(answer[38..<54]) == TestFrame.address("fd98::9"))
    }

    @Test("probes, announcements, duplicate address detection, tagged and unicast questions are flooded")
    func floods() {
        let nodes = gateways()
        tell(nodes, arp(Self.station, "10.98.0.2", asks: "10.98.0.77"))
        tell(nodes, advertisement(Self.station, "fd98::2"))
        #expect(nodes.ask(arp(Self.other, "0.0.0.0", asks: "10.98.0.2")).sent == 1)
        #expect(nodes.ask(arp(Self.other, "10.98.0.9", asks: "10.98.0.9")).sent == 1)
        #expect(nodes.ask(arp(Self.other, "10.98.0.9", asks: "10.98.0.2", operation: 2)).sent == 1)
        var unicast = arp(Self.other, "10.98.0.9", asks: "10.98.0.2")
        unicast.destination = Self.station
        #expect(nodes.ask(unicast).sent == 1)
        #expect(nodes.ask(solicitation(Self.other, "::", asks: "fd98::2")).sent == 1)
        var wrong = solicitation(Self.other, "fd98::9", asks: "fd98::2")
        wrong.payload[42] ^= 1
        #expect(nodes.ask(wrong).sent == 1, "a wrong checksum is nothing to answer to")
        let tagged = arp(Self.other, "10.98.0.9", asks: "10.98.0.2").bytes(tags: [[0x81, 0, 0, 5]])
        #expect(nodes.ask(tagged).sent == 1)
        #expect(nodes.rightNeighbors.usage.answered == 0)
    }

    @Test("only what passed allow is known: nothing of a peer without prefixes, nothing outside them")
    func allowed() {
        let free = TwoGateways(suppression: true)
        confirm(free)
        tell(free, arp(Self.station, "10.98.0.2", asks: "10.98.0.77"))
        #expect(free.rightNeighbors.usage.known == 0)
        let nodes = gateways()
        tell(nodes, arp(Self.station, "10.99.0.2", asks: "10.98.0.77"))
        tell(nodes, advertisement(Self.station, "fd99::2"))
        #expect(nodes.rightNeighbors.usage.known == 0)
    }

    @Test("two claims silence the entry and overwrite nothing; a static one stays")
    func conflict() {
        let nodes = gateways()
        tell(nodes, arp(Self.station, "10.98.0.2", asks: "10.98.0.77"))
        tell(nodes, arp(Self.other, "10.98.0.2", asks: "10.98.0.77"))
        let asker = MACAddress(0x0200_0000_0009)
        #expect(nodes.ask(arp(asker, "10.98.0.9", asks: "10.98.0.2")).sent == 1)
        tell(nodes, arp(Self.station, "10.98.0.2", asks: "10.98.0.77"))
        #expect(nodes.ask(arp(asker, "10.98.0.9", asks: "10.98.0.2")).sent == 1, "neither has won")
        // A station of the own device that has a peer's address as well.
        tell(nodes, arp(Self.station, "10.98.0.3", asks: "10.98.0.77"))
        #expect(nodes.ask(arp(asker, "10.98.0.9", asks: "10.98.0.3")).sent == 0)
        #expect(nodes.ask(arp(asker, "10.98.0.3", asks: "10.98.0.3")).sent == 1)
        #expect(nodes.ask(arp(Self.other, "10.98.0.9", asks: "10.98.0.3")).sent == 1)

        // Who goes on alone has it when the other has been silent for the ageing time, and not before.
        let lone = NeighborTable(peerCount: 2, members: 2)
        let address = IPAddress.v4(IPv4Address(0x0a62_0001)).mapped
        func claim(_ mac: MACAddress, after seconds: UInt64) -> MACAddress? {
            let now = nodes.now + .seconds(seconds)
            lone.note(address, mac: mac, isRouter: nil, from: PeerIndex(mac == Self.station ? 0 : 1), now: now)
            return lone.find(address, now: now)?.mac
        }
        #expect(claim(Self.station, after: 0) == Self.station)
        #expect(claim(Self.other, after: 1) == nil && claim(Self.station, after: 2) == nil)
        for seconds in stride(from: UInt64(10), to: 300, by: 10) { #expect(claim(Self.station, after: seconds) == nil) }
        #expect(claim(Self.station, after: 303) == Self.station && lone.usage.known == 1)

        let table = NeighborTable(peerCount: 1, members: 1)
        let key = IPAddress.v4(IPv4Address(0x0a62_0002)).mapped
        #expect(table.insertStatic(.v4(IPv4Address(0x0a62_0002)), mac: Self.station, peer: PeerIndex(0)))
        table.note(key, mac: Self.other, isRouter: nil, from: PeerIndex(0), now: nodes.now)
        table.contest(key, mac: Self.other, now: nodes.now)
        table.sweep(now: nodes.now + .seconds(10_000))
        table.flush()
        #expect(table.find(key, now: nodes.now + .seconds(10_000))?.mac == Self.station)
    }

    @Test(
        "a station that the forwarding database has no longer, or elsewhere, is not answered for; aged entries are not"
    )
    func forwarding() {
        let nodes = gateways()
        tell(nodes, arp(Self.station, "10.98.0.2", asks: "10.98.0.77"))
        nodes.rightFDB.flush()
        #expect(nodes.ask(arp(Self.other, "10.98.0.9", asks: "10.98.0.2")).sent == 1)
        #expect(nodes.rightFDB.insertPermanent(Self.station, peer: PeerIndex(0)))
        #expect(nodes.ask(arp(Self.other, "10.98.0.9", asks: "10.98.0.2")).sent == 0)
        let key = IPAddress.v4(IPv4Address(0x0a62_0002)).mapped
        #expect(nodes.rightNeighbors.find(key, now: nodes.now + .seconds(299)) != nil)
        #expect(nodes.rightNeighbors.find(key, now: nodes.now + .seconds(300)) == nil)
    }

    @Test("a router is answered for as one, and somebody who may be one and has not said so not at all")
    func routers() throws {
        let nodes = gateways(router: true)
        tell(nodes, solicitation(Self.station, "fd98::2", asks: "fd98::77"))
        #expect(nodes.ask(solicitation(Self.other, "fd98::9", asks: "fd98::2")).sent == 1)
        tell(nodes, advertisement(Self.station, "fd98::2", isRouter: true))
        let answer = try #require(nodes.ask(solicitation(Self.other, "fd98::9", asks: "fd98::2")).answers.first)
        #expect(answer[58] == 0xe0)
    }

    @Test("a flood of addresses from one peer stays in its share, and what has aged makes room")
    func bounded() {
        let table = NeighborTable(peerCount: 2, members: 2, seed: 5)
        let now = Instant(nanoseconds: 1_000_000_000_000)
        for number in 0..<100_000 {
            let address = IPv6Address(high: 0xfd98 << 48, low: UInt64(number) &* 0x1_0001)
            table.note(address, mac: Self.station, isRouter: nil, from: PeerIndex(0), now: now)
        }
        #expect(table.usage.known <= NeighborTable.limit / 6 + NeighborTable.limit / 4 + 1)
        #expect(table.usage.refused > 90_000)
        for number in 0..<300 {
            let address = IPv6Address(high: 0xfd97 << 48, low: UInt64(number))
            table.note(address, mac: Self.other, isRouter: false, from: PeerIndex(1), now: now)
            #expect(table.find(address, now: now)?.mac == Self.other)
        }
        table.flush(peer: PeerIndex(0))
        #expect(table.usage.known == 300)
        table.sweep(now: now + .seconds(301))
        #expect(table.usage.known == 0)
    }

    @Test("any neighbour message: no trap, and never an answer to what is no question")
    func garbage() {
        let nodes = gateways()
        tell(nodes, arp(Self.station, "10.98.0.2", asks: "10.98.0.77"))
        tell(nodes, advertisement(Self.station, "fd98::2"))
        var numbers = SystemRandomNumberGenerator()
        let seeds = [
            arp(Self.other, "10.98.0.9", asks: "10.98.0.2"), solicitation(Self.other, "fd98::9", asks: "fd98::2"),
        ]
        for _ in 0..<4_000 {
            var frame = seeds[Int.random(in: 0..<2, using: &numbers)].bytes()
            for _ in 0..<Int.random(in: 1...4, using: &numbers) {
                frame[Int.random(in: 0..<frame.count, using: &numbers)] = UInt8.random(in: 0...255, using: &numbers)
            }
            frame.removeLast(Int.random(in: 0...frame.count - 14, using: &numbers))
            let (answers, sent) = nodes.ask(frame)
            #expect(answers.count + sent <= 1)
        }
    }
}

extension TwoGateways {
    /// A question of the right node's device: what it answers, and how many datagrams it sends.
    func ask(_ frame: TestFrame) -> (answers: [[UInt8]], sent: Int) { ask(frame.bytes()) }

    func ask(_ frame: [UInt8]) -> (answers: [[UInt8]], sent: Int) {
        (slot + VTEP.headroom).copyMemory(from: frame, byteCount: frame.count)
        _ = right.forward(slot + VTEP.headroom, count: frame.count, network: 0, now: now)
        right.sealOpenDatagram(now: now)
        let sent = (0..<right.outgoing.count).reduce(0) { $0 + right.outgoing[$1].segments }
        right.removeOutgoing()
        return (Self.takeDelivered(&right).map(\.frame), sent)
    }
}
