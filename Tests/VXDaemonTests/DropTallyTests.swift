import Testing
import VXWire

@testable import VXDaemon

/// What the log hears of drops.
@Suite struct DropTallyTests {
    private func at(_ seconds: UInt64) -> Instant { Instant(nanoseconds: (1_000 + seconds) * 1_000_000_000) }

    @Test("the first is told at once, then once a minute with how many there were, and silence is silent")
    func interval() {
        var tally = DropTally()
        var total: UInt64 = 0
        var told: [UInt64] = []
        for second in 0..<150 {
            if second < 100 { total += 1000 }
            let lines = tally.lines(now: at(UInt64(second))) { $0 == .invalidMac1 ? total : 0 }
            #expect(lines.allSatisfy { $0.reason == .invalidMac1 })
            told += lines.map(\.count)
        }
        #expect(told == [1000, 60_000, 39_000])
    }

    @Test("each reason has an interval of its own; what happens on any network is not told")
    func reasons() {
        var tally = DropTally()
        let all = tally.lines(now: at(0)) { _ in 1 }
        #expect(all.contains { $0.reason == .handshakeFailed } && all.contains { $0.reason == .unknownSource })
        #expect(!all.contains { [.noPeer, .hairpin, .tooBig, .linkLocal].contains($0.reason) })
        #expect(tally.lines(now: at(59)) { _ in 2 }.isEmpty)
        #expect(tally.lines(now: at(60)) { _ in 2 }.count == all.count)
    }
}
