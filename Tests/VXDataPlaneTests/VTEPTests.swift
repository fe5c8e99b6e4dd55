import Testing
import VXCrypto
import VXWire

@testable import VXDataPlane

/// The packet path in memory.
@Suite struct VTEPTests {
    @Test("a flooded frame arrives as it left, its source is learned, and the pair is confirmed once")
    func arrives() throws {
        let nodes = TwoGateways()
        let datagram = try #require(nodes.send(to: TwoGateways.broadcast).first)
        let frame = try #require(nodes.receive(datagram).first)
        let payload: [UInt8] = [0x88, 0xb5] + Array("payload".utf8)
        #expect(frame == TwoGateways.broadcast + TwoGateways.leftMAC + payload)
        #expect(nodes.rightFDB.lookup(MACAddress(0x0200_0000_0001), now: nodes.now) == PeerIndex(0))
        _ = nodes.receive(nodes.send(to: TwoGateways.broadcast)[0])
        let confirmations = nodes.right.takeEvents().filter {
            if case .confirmed = $0 { true } else { false }
        }
        #expect(confirmations.count == 1)
    }

    @Test("counters rise, and no two datagrams are alike")
    func counters() {
        let nodes = TwoGateways()
        let sent = (0..<50).flatMap { _ in nodes.send(to: TwoGateways.broadcast) }
        #expect(Set(sent).count == 50)
        #expect(sent.map { $0[15] } == (0..<50).map { UInt8($0) })
    }

    @Test("a datagram seen before is replayed, whoever sends it from wherever")
    func replay() {
        let nodes = TwoGateways()
        let datagram = nodes.send(to: TwoGateways.broadcast)[0]
        #expect(nodes.receive(datagram).count == 1)
        let elsewhere = Endpoint(address: .v4(IPv4Address(0xc633_6401)), port: 1)
        #expect(nodes.receive(datagram, from: elsewhere).isEmpty)
        #expect(nodes.right.drops[.replayed] == 1)
        let moved = nodes.right.takeEvents().contains { if case .endpointMoved = $0 { true } else { false } }
        #expect(!moved, "a replay must not move the endpoint")
    }

    @Test("what came late and what came twice is counted, apart from what never came")
    func disorder() {
        let nodes = TwoGateways()
        let sent = (0..<6).map { _ in nodes.send(to: TwoGateways.broadcast)[0] }
        for place in [0, 2, 1, 5, 3, 2, 5] { _ = nodes.receive(sent[place]) }
        let session = nodes.rightCounters.session(thread: 0)
        #expect(session.reordered == 2 && session.duplicates == 2)
        let lane = nodes.rightCounters.receiveLane(0).report
        #expect(lane.highestCounter == 5 && lane.received == 5, "the fifth never came")
    }

    @Test("every flipped bit is found, and the genuine datagram still passes after")
    func tampering() {
        let nodes = TwoGateways()
        let datagram = nodes.send(to: TwoGateways.broadcast)[0]
        for place in datagram.indices {
            var forged = datagram
            forged[place] ^= 0x80
            #expect(nodes.receive(forged).isEmpty, "byte \(place)")
        }
        #expect(nodes.receive(datagram).count == 1)
        #expect(nodes.right.drops[.authenticationFailed] > 0)
    }

    @Test("a VNI that is not the peer's")
    func foreignVNI() {
        let nodes = TwoGateways()
        #expect(nodes.receive(nodes.send(to: TwoGateways.broadcast, network: 1)[0]).isEmpty)
        #expect(nodes.right.drops[.vniNotAllowed] == 1)
    }

    @Test("a drop is counted at the peer and at the network that it is about, and not at others")
    func owners() {
        let nodes = TwoGateways()
        let datagram = nodes.send(to: TwoGateways.broadcast)[0]
        for _ in 0..<3 { _ = nodes.receive(datagram) }
        _ = nodes.receive(nodes.send(to: TwoGateways.broadcast, network: 1)[0])
        var stranger = nodes.send(to: TwoGateways.broadcast)[0]
        stranger[7] ^= 1
        _ = nodes.receive(stranger)
        _ = nodes.rightFDB.learn(MACAddress(0x0200_0000_0009), from: ForwardingDatabase.localDevice, now: nodes.now)
        _ = nodes.receive(nodes.send(to: TwoGateways.broadcast, from: [2, 0, 0, 0, 0, 9])[0])
        func peer(_ reason: DropReason) -> UInt64 { nodes.rightPeer.drops(reason) }
        #expect(peer(.replayed) == 2 && peer(.vniNotAllowed) == 1 && peer(.loopSuspected) == 1)
        #expect(peer(.unknownReceiver) == 0 && nodes.right.drops[.unknownReceiver] == 1)
        #expect(nodes.rightDrops.map { $0[.vniNotAllowed] } == [0, 1])
        #expect(nodes.rightDrops.map { $0[.loopSuspected] } == [1, 0])
        for reason in DropReason.allCases {
            let whole = nodes.right.drops[reason]
            #expect(peer(reason) <= whole && nodes.rightDrops.reduce(0) { $0 + $1[reason] } <= whole, "\(reason)")
        }
    }

    @Test("lane, receiver, age: each its own reason")
    func reasons() {
        let nodes = TwoGateways()
        var lane = nodes.send(to: TwoGateways.broadcast)[0]
        lane[1] = 1
        _ = nodes.receive(lane)
        #expect(nodes.right.drops[.laneOutOfRange] == 1)
        var receiver = nodes.send(to: TwoGateways.broadcast)[0]
        receiver[7] ^= 1
        _ = nodes.receive(receiver)
        #expect(nodes.right.drops[.unknownReceiver] == 1)
        let late = nodes.send(to: TwoGateways.broadcast)[0]
        nodes.now = nodes.now + .seconds(180)
        _ = nodes.receive(late)
        #expect(nodes.right.drops[.expiredKey] == 1)
        #expect(nodes.send(to: TwoGateways.broadcast).isEmpty, "nothing is sealed under an old key")
    }

    @Test("without a session frames wait, and leave in order once there is one")
    func waiting() {
        let nodes = TwoGateways(connected: false)
        for number in UInt8(0)..<5 {
            #expect(nodes.send(to: TwoGateways.broadcast, from: [2, 0, 0, 0, 1, number]).isEmpty)
        }
        let asked = nodes.left.takeEvents().filter { if case .handshakeNeeded = $0 { true } else { false } }
        #expect(asked.count == 1, "the handshake is asked for once, not per frame")
        nodes.connect()
        #expect(nodes.left.drainWaiting(PeerIndex(0), now: nodes.now) == .finished)
        #expect(nodes.takeOutgoing().flatMap { nodes.receive($0) }.map { $0[11] } == [0, 1, 2, 3, 4])
    }

    @Test("the waiting queue holds 256 KiB at most, and the oldest frames go")
    func bounded() {
        let nodes = TwoGateways(connected: false)
        let count = 20_000
        for number in 0..<count {
            let source: [UInt8] = [2, 0, 0, 0, UInt8(number >> 8), UInt8(number & 255)]
            _ = nodes.send(to: TwoGateways.broadcast, from: source)
        }
        let dropped = Int(nodes.left.drops[.noSession])
        // A frame of 21 bytes takes 48, with what is kept beside it.
        #expect(count - dropped == (256 << 10) / 48)
        nodes.connect()
        var numbers: [Int] = []
        while true {
            let progress = nodes.left.drainWaiting(PeerIndex(0), now: nodes.now)
            nodes.left.sealOpenDatagram(now: nodes.now)
            numbers += nodes.takeOutgoing().flatMap { nodes.receive($0) }.map { Int($0[10]) << 8 | Int($0[11]) }
            if progress == .finished { break }
        }
        #expect(numbers == Array(dropped..<count))
    }

    @Test("the waiting queue is given up as a whole, each frame counted")
    func givenUp() {
        let nodes = TwoGateways(connected: false)
        for _ in 0..<20_000 { _ = nodes.send(to: TwoGateways.broadcast) }
        nodes.left.dropWaiting(PeerIndex(0))
        #expect(nodes.left.drops[.noSession] == 20_000)
    }

    @Test("REJECT_AFTER_MESSAGES: the last counter is used, and none after it; a new pair is asked for")
    func rejectAfterMessages() throws {
        let nodes = TwoGateways()
        guard let session = nodes.left.usableSession(of: PeerIndex(0), now: nodes.now) else {
            Issue.record("no session")
            return
        }
        // 2^64 - 2^13 - 1 (protocol.md, 4).
        session.pointee.sendCounter = UInt64.max - 8192 - 1
        let last = try #require(nodes.send(to: TwoGateways.broadcast).first)
        #expect(nodes.receive(last).count == 1)
        _ = nodes.left.takeEvents()
        #expect(nodes.send(to: TwoGateways.broadcast).isEmpty)
        let isAsked = nodes.left.takeEvents().contains { if case .handshakeNeeded = $0 { true } else { false } }
        #expect(isAsked)
    }

    @Test("a known station gets its frame alone, a frame back to where it came from none")
    func unicast() {
        let nodes = TwoGateways()
        #expect(nodes.send(to: TwoGateways.leftMAC, from: [2, 0, 0, 0, 0, 9]).count == 1, "unknown: flooded")
        _ = nodes.send(to: TwoGateways.broadcast)
        #expect(nodes.send(to: TwoGateways.leftMAC, from: [2, 0, 0, 0, 0, 9]).isEmpty)
        #expect(nodes.left.drops[.hairpin] == 1)
    }

    @Test("a station of the own device that arrives from a peer")
    func loop() {
        let nodes = TwoGateways()
        _ = nodes.rightFDB.learn(MACAddress(0x0200_0000_0001), from: ForwardingDatabase.localDevice, now: nodes.now)
        #expect(nodes.receive(nodes.send(to: TwoGateways.broadcast)[0]).isEmpty)
        #expect(nodes.right.drops[.loopSuspected] == 1)
    }

    @Test("any bytes on the sealed port: dropped, each counted once")
    func garbage() {
        let nodes = TwoGateways()
        var state: UInt64 = 5
        for _ in 0..<5_000 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            var bytes = (0..<Int(state >> 40) % 120).map { UInt8(truncatingIfNeeded: state >> UInt64($0 % 50)) }
            if bytes.count > 8, state % 2 == 0 { bytes.replaceSubrange(0..<8, with: [4, 0, 0, 0, 0, 0, 0, 200]) }
            #expect(nodes.receive(bytes).isEmpty)
        }
        #expect(DropReason.allCases.reduce(0) { $0 + nodes.right.drops[$1] } == 5_000)
    }

    @Test("a drop reason's number is the place of its case, which the packet path relies on")
    func dropNumbers() {
        let drops = DropCounters()
        for (place, reason) in DropReason.allCases.enumerated() {
            #expect(Int(reason.rawValue) == place)
            drops.count(reason)
            #expect(drops[reason] == 1)
        }
    }
}
