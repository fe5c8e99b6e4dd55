import Testing
import VXCrypto
import VXWire

@testable import VXHandshake

/// Echo requests over a session, on virtual time.
@Suite struct EchoTests {
    private func ask(_ nodes: TwoNodes, sequence: UInt32, padding: Int = 0) -> Bool {
        defer { nodes.left.settle(nodes.now) }
        let now = nodes.now.instant
        return nodes.left.machine.ping(PeerIndex(0), identifier: 7, sequence: sequence, padding: padding, now: now)
    }

    @Test("each side measures the round trip, which is twice the latency")
    func measured() {
        let nodes = TwoNodes(seed: 1)
        nodes.latency = 20...20
        nodes.run(milliseconds: 5_000)
        for node in [nodes.left, nodes.right] {
            #expect(node.roundTrips.count >= 3)
            // The nodes take their turns once a millisecond.
            #expect(node.roundTrips.allSatisfy { (40...44).contains($0.nanoseconds / 1_000_000) })
        }
    }

    @Test("a ping comes back with its number, and nothing is measured by it")
    func pinged() {
        let nodes = TwoNodes(seed: 2)
        nodes.run(milliseconds: 2_000)
        let measured = nodes.left.roundTrips.count
        #expect(ask(nodes, sequence: 9, padding: 1100))
        nodes.run(milliseconds: 50)
        #expect(nodes.left.echoes == [9])
        #expect(nodes.left.roundTrips.count - measured <= 1)
    }

    @Test("without a session nothing is asked")
    func alone() {
        let nodes = TwoNodes(seed: 3)
        #expect(!ask(nodes, sequence: 1))
        #expect(nodes.left.sent.isEmpty)
    }

    @Test("an answer to an older request, twice, or to none, measures nothing")
    func late() {
        var state = EchoState()
        let start = Instant(nanoseconds: 1_000_000_000)
        let first = state.start(now: start)
        let second = state.start(now: start + .seconds(1))
        #expect(state.finish(first, now: start + .seconds(2)) == nil)
        #expect(state.finish(second, now: start + .seconds(3)) == .seconds(2))
        #expect(state.finish(second, now: start + .seconds(3)) == nil)
    }

    @Test("a flood of requests is answered at the rate, the rest is counted")
    func flood() {
        let nodes = TwoNodes(seed: 4)
        nodes.run(milliseconds: 2_000)
        for number in 1...2_000 { _ = ask(nodes, sequence: UInt32(number)) }
        nodes.run(milliseconds: 20)
        #expect((200...230).contains(nodes.left.echoes.count))
        #expect(nodes.right.drops[.echoLimited, default: 0] == 2_000 - nodes.left.echoes.count)
    }
}
