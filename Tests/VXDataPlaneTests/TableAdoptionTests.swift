import Testing
import VXWire

@testable import VXDataPlane

/// Tables that take the place of others, when the configuration of their network has changed.
@Suite struct TableAdoptionTests {
    private let start = Instant(nanoseconds: 1_000_000_000_000)

    private func station(_ number: Int) -> MACAddress { MACAddress(0x0200_0000_0000 | UInt64(number)) }

    @Test("what was learned goes on with its age, in a table of another size and hash")
    func learned() {
        let old = ForwardingDatabase(limit: 1_000, peerCount: 4, seed: 1)
        let new = ForwardingDatabase(limit: 2_000, peerCount: 200, permanent: 1, seed: 2)
        for number in 0..<400 {
            let now = start + .seconds(UInt64(number))
            #expect(old.learn(station(number), from: PeerIndex(UInt16(number % 4)), now: now) == .known)
        }
        _ = old.learn(station(1_000), from: ForwardingDatabase.localDevice, now: start)
        #expect(old.insertPermanent(station(2_000), peer: PeerIndex(1)))
        #expect(new.insertPermanent(station(4), peer: PeerIndex(3)))
        new.adopt(old) { $0 != PeerIndex(2) }
        let end = start + .seconds(399)
        for number in 0..<400 {
            // 300 s after it was heard a station is forgotten, in this table as in the other.
            let expected = number % 4 == 2 || number < 100 ? nil : PeerIndex(UInt16(number % 4))
            #expect(new.lookup(station(number), now: end) == (number == 4 ? PeerIndex(3) : expected), "\(number)")
        }
        #expect(new.lookup(station(1_000), now: start) == ForwardingDatabase.localDevice)
        #expect(new.lookup(station(2_000), now: start) == nil, "permanent entries are the configuration's")
        #expect(new.usage.learned == 300, "299 of three peers, and the own device's")
        new.adopt(old) { $0 != PeerIndex(2) }
        #expect(new.usage.learned == 300, "a second time changes nothing")
    }

    @Test("what the new table knows better stays, and a frozen station stays frozen")
    func newer() {
        let (old, new) = (ForwardingDatabase(seed: 1), ForwardingDatabase(seed: 2))
        _ = old.learn(station(1), from: PeerIndex(0), now: start)
        _ = new.learn(station(1), from: PeerIndex(1), now: start + .seconds(1))
        var last = ForwardingDatabase.Learning.known
        for number in 0..<7 { last = old.learn(station(2), from: PeerIndex(UInt16(number % 2)), now: start) }
        #expect(last == .frozen)
        let holder = old.lookup(station(2), now: start)
        new.adopt(old) { _ in true }
        #expect(new.lookup(station(1), now: start + .seconds(1)) == PeerIndex(1))
        #expect(new.lookup(station(2), now: start) == holder)
        let other: UInt16 = holder == PeerIndex(0) ? 1 : 0
        #expect(new.learn(station(2), from: PeerIndex(other), now: start + .seconds(1)) == .frozen)
    }

    @Test("a smaller table takes what fits")
    func smaller() {
        let (old, new) = (ForwardingDatabase(limit: 1_000, peerCount: 1), ForwardingDatabase(limit: 16, peerCount: 1))
        for number in 0..<500 { _ = old.learn(station(number), from: PeerIndex(0), now: start) }
        new.adopt(old) { _ in true }
        #expect((1...16).contains(new.usage.learned))
    }

    @Test("neighbours that were heard go on, and those of a peer that left do not")
    func neighbors() {
        let old = NeighborTable(peerCount: 2, members: 2, seed: 1)
        let new = NeighborTable(peerCount: 100, members: 1, seed: 2)
        func address(_ number: Int) -> IPv6Address { IPAddress.v4(IPv4Address(0x0a62_0000 | UInt32(number))).mapped }
        for number in 0..<100 {
            old.note(
                address(number),
                mac: station(number),
                isRouter: nil,
                from: PeerIndex(UInt16(number % 2)),
                now: start
            )
        }
        #expect(old.insertStatic(.v4(IPv4Address(0x0a62_ffff)), mac: station(500), peer: PeerIndex(0)))
        new.adopt(old) { $0 == PeerIndex(0) }
        for number in 0..<100 {
            let found = new.find(address(number), now: start)
            #expect(found?.mac == (number % 2 == 0 ? station(number) : nil), "\(number)")
        }
        #expect(new.find(address(0xffff), now: start) == nil && new.usage.known == 50)
        #expect(new.find(address(0), now: start + .seconds(301)) == nil, "the age is that of the old table")
    }
}
