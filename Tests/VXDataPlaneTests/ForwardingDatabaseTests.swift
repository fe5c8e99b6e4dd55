import Testing
import VXWire

@testable import VXDataPlane

/// What the MAC table keeps, and what it does not let one peer do to the others.
@Suite struct ForwardingDatabaseTests {
    private let first = PeerIndex(0)
    private let second = PeerIndex(1)
    private let local = ForwardingDatabase.localDevice
    private let station = MACAddress(0x0200_0000_0001)
    private let start = Instant(nanoseconds: 1_000_000_000_000)

    @Test("static before allowed before control before what is heard; a lesser kind overwrites nothing")
    func precedence() {
        let kinds: [ForwardingDatabase.Kind] = [.control, .allowed, .static]
        for (place, high) in kinds.enumerated() {
            for low in kinds[...place] {
                let table = ForwardingDatabase()
                #expect(table.learn(station, from: second, now: start) == .known)
                #expect(table.insertPermanent(station, peer: first, kind: high))
                if low != high { #expect(table.insertPermanent(station, peer: second, kind: low)) }
                for speaker in [second, local] {
                    #expect(table.learn(station, from: speaker, now: start) == .foreign)
                }
                #expect(table.learn(station, from: first, now: start) == .known)
                #expect(table.lookup(station, now: start + .seconds(100_000)) == first)
                let rows = table.rows(now: start)
                #expect(rows.count == 1 && rows[0].kind == high && rows[0].lastSeen == nil)
                #expect(table.flush() == 0 && table.usage.learned == 0)
            }
        }
    }

    @Test("a station of the own device goes behind a peer after a second of silence, back at once")
    func local1() {
        let table = ForwardingDatabase()
        _ = table.learn(station, from: local, now: start)
        // Its age is written every half second: the newest frame is not always the one that counts.
        _ = table.learn(station, from: local, now: start + .milliseconds(400))
        #expect(table.learn(station, from: first, now: start + .milliseconds(1_399)) == .localStation)
        #expect(table.learn(station, from: first, now: start + .milliseconds(1_500)) == .known)
        #expect(table.lookup(station, now: start + .milliseconds(1_500)) == first)
        #expect(table.learn(station, from: local, now: start + .milliseconds(1_501)) == .known)
        #expect(table.rows(now: start + .seconds(2)).map(\.kind) == [.local])
    }

    @Test("the sixth move within ten seconds freezes the entry for thirty, and slow movers are free")
    func flap() {
        let table = ForwardingDatabase()
        var now = start
        _ = table.learn(station, from: first, now: now)
        for move in 0..<5 {
            now = now + .seconds(1)
            #expect(table.learn(station, from: move % 2 == 0 ? second : first, now: now) == .known)
        }
        now = now + .seconds(1)
        #expect(table.learn(station, from: first, now: now) == .frozen)
        #expect(table.lookup(station, now: now) == second && table.usage.frozen == 1)
        #expect(table.learn(station, from: second, now: now) == .known, "its holder goes on")
        #expect(table.learn(station, from: local, now: now) == .frozen, "a loop through the own bridge ends here")
        #expect(table.learn(station, from: first, now: now + .milliseconds(29_999)) == .frozen)
        #expect(table.learn(station, from: first, now: now + .seconds(30)) == .known)
        let slow = ForwardingDatabase()
        for move in 0..<50 {
            now = now + .seconds(3)
            #expect(slow.learn(station, from: move % 2 == 0 ? second : first, now: now) == .known)
        }
        #expect(slow.usage.frozen == 0)
    }

    @Test("a flood of random addresses from one peer: others keep their entries and their right to learn")
    func flood() {
        let table = ForwardingDatabase(limit: 1_000, peerCount: 4, seed: 99)
        let quiet = (0..<100).map { MACAddress(0x0200_0001_0000 + UInt64($0)) }
        for address in quiet { #expect(table.learn(address, from: second, now: start) == .known) }
        var numbers = SystemRandomNumberGenerator()
        for _ in 0..<200_000 {
            let address = MACAddress(0x0600_0000_0000 | numbers.next() >> 24)
            _ = table.learn(address, from: first, now: start)
        }
        // A tenth of the limit is reserved for each of five; half of the common half is the most beyond it.
        let held = table.rows(now: start)
        #expect(held.filter { $0.peer == first }.count <= 100 + 250)
        #expect(held.filter { $0.peer == second }.count == 100)
        #expect(table.usage.refused >= 199_000 && table.usage.learned == held.count)
        for address in quiet { #expect(table.lookup(address, now: start) == second) }
        for place in 0..<90 {
            #expect(table.learn(MACAddress(0x0200_0002_0000 + UInt64(place)), from: PeerIndex(2), now: start) == .known)
            #expect(table.learn(MACAddress(0x0200_0003_0000 + UInt64(place)), from: local, now: start) == .known)
        }
    }

    @Test("all peers flood: never more than the limit, and aged entries give their places to the next")
    func limit() {
        let table = ForwardingDatabase(limit: 500, peerCount: 4)
        func flood(_ salt: UInt64, now: Instant) -> Int {
            (0..<20_000).filter {
                let address = MACAddress(0x0200_0000_0000 | salt << 24 | UInt64($0))
                return table.learn(address, from: PeerIndex(UInt16($0 % 4)), now: now) == .known
            }.count
        }
        #expect(flood(1, now: start) <= 500 && table.usage.learned >= 400)
        #expect(flood(2, now: start + .seconds(10)) == 0)
        #expect(flood(3, now: start + .seconds(400)) >= 400, "what has aged is reclaimed while the flood goes on")
        #expect(table.rows(now: start + .seconds(400)).count <= 500)
        table.sweep(now: start + .seconds(800))
        #expect(table.usage.learned == 0)
    }

    @Test("a station that moves behind a peer without a place left is forgotten, not left where it was")
    func moveBeyondShare() {
        let table = ForwardingDatabase(limit: 16, peerCount: 2)
        for number in 0..<64 { _ = table.learn(MACAddress(0x0200_0001_0000 + UInt64(number)), from: first, now: start) }
        _ = table.learn(station, from: second, now: start)
        #expect(table.learn(station, from: first, now: start + .seconds(1)) == .refused)
        #expect(table.lookup(station, now: start + .seconds(1)) == nil)
    }

    @Test("flush by peer, by station, all; what is left is counted right")
    func flush() {
        let table = ForwardingDatabase()
        func fill() {
            for number in 0..<30 {
                let peer = [first, second, local][number % 3]
                _ = table.learn(MACAddress(0x0200_0001_0000 + UInt64(number)), from: peer, now: start)
            }
        }
        fill()
        #expect(table.flush(peer: first) == 10 && table.usage.learned == 20)
        #expect(table.flush(peer: first, address: MACAddress(0x0200_0001_0001)) == 0)
        #expect(table.flush(address: MACAddress(0x0200_0001_0001)) == 1)
        #expect(table.flush() == 19 && table.usage.learned == 0)
        fill()
        #expect(table.usage.learned == 30)
    }

    @Test("against a plain dictionary: the same answers, the same counts")
    func model() {
        let table = ForwardingDatabase(limit: 4_096, peerCount: 3, seed: 7)
        var model: [MACAddress: (peer: PeerIndex, seen: Instant)] = [:]
        var now = start
        var numbers = SystemRandomNumberGenerator()
        for _ in 0..<20_000 {
            now = now + .milliseconds(UInt64.random(in: 0...100, using: &numbers))
            let address = MACAddress(0x0200_0000_0000 | UInt64.random(in: 0..<300, using: &numbers))
            // A station keeps to one peer, so that nothing freezes.
            let peer = PeerIndex(UInt16(address.rawValue % 3))
            #expect(table.learn(address, from: peer, now: now) == .known)
            model[address] = (peer, now)
            let other = MACAddress(0x0200_0000_0000 | UInt64.random(in: 0..<310, using: &numbers))
            let known = model[other].flatMap { now.since($0.seen) < .seconds(299) ? $0.peer : nil }
            if known != nil { #expect(table.lookup(other, now: now) == known) }
            if model[other] == nil { #expect(table.lookup(other, now: now) == nil) }
        }
        table.sweep(now: now)
        #expect(table.usage.learned == table.rows(now: now).count)
    }

    @Test("a flapping station through the packet path: its frames are dropped as macFlap until the entry thaws")
    func packets() {
        let nodes = TwoGateways()
        _ = nodes.receive(nodes.send(to: TwoGateways.broadcast)[0])
        for _ in 0..<3 {
            _ = nodes.rightFDB.learn(station, from: second, now: nodes.now)
            _ = nodes.receive(nodes.send(to: TwoGateways.broadcast)[0])
        }
        #expect(nodes.right.drops[.macFlap] == 1)
        nodes.now = nodes.now + .seconds(31)
        #expect(nodes.receive(nodes.send(to: TwoGateways.broadcast)[0]).count == 1)
    }
}
