import Testing
import VXHandshake
import VXWire

/// The timer table of protocol.md, 4, row by row. Timers look at the lanes' counters every 200 ms, so they may be late by
/// that much and never early.
@Suite struct TimerTests {
    private let tick: UInt64 = 200

    private func connected(keepalive: Interval? = nil) -> Simulator {
        let simulator = Simulator(gateways: 2, seed: 11, keepalive: keepalive)
        simulator.startAll()
        simulator.run(milliseconds: 5_000, until: { simulator.isWhole })
        simulator.run(milliseconds: 500)
        #expect(simulator.isWhole)
        return simulator
    }

    /// Frames both ways, ten a second.
    private func talk(_ simulator: Simulator, seconds: UInt64, oneWay: Bool = false) {
        simulator.run(milliseconds: seconds * 1000) { time in
            guard time % 100 == 0 else { return }
            simulator.sendFrame(from: 0, to: 1)
            if !oneWay { simulator.sendFrame(from: 1, to: 0) }
        }
    }

    private func initiations(_ simulator: Simulator, since start: UInt64) -> [(at: UInt64, from: Int)] {
        simulator.recorded.filter { $0.datagram[0] == 1 && $0.at > start }.map { ($0.at, $0.from) }
    }

    @Test("REKEY_AFTER_TIME: the initiator renews at 120 s, and nothing is lost")
    func rekeyAfterTime() throws {
        let simulator = connected()
        let first = try #require(simulator.recorded.last { $0.datagram[0] == 1 })
        talk(simulator, seconds: 125)
        let next = try #require(initiations(simulator, since: first.at).first)
        #expect(next.from == first.from)
        #expect((120_000...120_000 + 2 * tick).contains(next.at - first.at))
        #expect(simulator.sentFrames == simulator.deliveredFrames)
    }

    @Test("REKEY_AFTER_TIME of the responder: at 150 s, if the initiator has not")
    func rekeyAfterTimeResponder() throws {
        let simulator = connected()
        let first = try #require(simulator.recorded.last { $0.datagram[0] == 1 })
        simulator.blocked = [1]
        talk(simulator, seconds: 155)
        let next = try #require(initiations(simulator, since: first.at).first { $0.from != first.from })
        #expect((150_000...150_000 + 2 * tick).contains(next.at - first.at))
    }

    @Test("REJECT_AFTER_TIME: no pair is used after 180 s")
    func rejectAfterTime() throws {
        let simulator = connected()
        let first = try #require(simulator.recorded.last { $0.datagram[0] == 1 })
        simulator.blocked = [1]
        talk(simulator, seconds: 200)
        let last = try #require(simulator.lastTransport.values.max())
        #expect((179_000...180_000 + tick).contains(last - first.at))
        simulator.blocked = []
        simulator.run(milliseconds: 7_000)
        #expect(simulator.isWhole)
    }

    @Test("REKEY_TIMEOUT: unanswered initiations are 5 s and up to 333 ms apart, each a fresh one")
    func rekeyTimeout() {
        let simulator = connected()
        simulator.act(1) { gateway, _ in gateway.crash() }
        let start = simulator.milliseconds
        talk(simulator, seconds: 60, oneWay: true)
        let calls = simulator.recorded.filter { $0.datagram[0] == 1 && $0.at > start }
        #expect(calls.count >= 8)
        for (earlier, later) in zip(calls, calls.dropFirst()) {
            #expect((5_000...5_333 + tick).contains(later.at - earlier.at))
        }
        #expect(Set(calls.map { $0.datagram[8..<40] }).count == calls.count)
    }

    @Test("REKEY_ATTEMPT_TIME: after 90 s the waiting frames go, and the calls go on every 30 s until a frame waits")
    func rekeyAttemptTime() throws {
        let simulator = Simulator(gateways: 2, seed: 3)
        simulator.act(0) { $0.start(now: $1) }
        talk(simulator, seconds: 1, oneWay: true)
        simulator.run(milliseconds: 88_000)
        #expect(simulator.gateways[0].dropped[.noSession] == nil)
        simulator.run(milliseconds: 8_000)
        #expect(simulator.gateways[0].dropped[.noSession] == 10)
        let before = simulator.milliseconds
        simulator.run(milliseconds: 120_000)
        let rare = initiations(simulator, since: before)
        #expect((3...4).contains(rare.count))
        for (earlier, later) in zip(rare, rare.dropFirst()) {
            #expect((30_000...30_333 + tick).contains(later.at - earlier.at))
        }
        // The last call is 5 s old at most when the frame comes, or is repeated once it is.
        let asked = simulator.milliseconds
        talk(simulator, seconds: 20, oneWay: true)
        let frequent = initiations(simulator, since: asked)
        #expect(frequent.count >= 3)
        #expect(try #require(frequent.first).at - asked <= 5_333 + tick)
    }

    @Test("KEEPALIVE_TIMEOUT: whoever received and has nothing to say says so within 10 s")
    func keepalive() throws {
        let simulator = connected()
        simulator.run(milliseconds: 30_000)
        simulator.sendFrame(from: 0, to: 1)
        let sent = simulator.milliseconds
        simulator.run(milliseconds: 10_000 + 2 * tick)
        #expect(try #require(simulator.lastTransport[1]) > sent)
    }

    @Test("silence: sent, and nothing heard for 15 s, starts a handshake")
    func silence() throws {
        let simulator = connected()
        talk(simulator, seconds: 5)
        simulator.act(1) { gateway, _ in gateway.crash() }
        let start = simulator.milliseconds
        talk(simulator, seconds: 20, oneWay: true)
        let call = try #require(initiations(simulator, since: start).first)
        #expect((15_000...15_200 + 2 * tick).contains(call.at - start))
    }

    @Test("REJECT_AFTER_TIME has passed: the first frame of either side starts a handshake", arguments: [0, 1])
    func trafficWithoutPair(sender: Int) throws {
        let simulator = connected()
        simulator.blocked = [1, 2]
        simulator.run(milliseconds: 181_000)
        #expect(!simulator.isWhole)
        simulator.blocked = []
        let start = simulator.milliseconds
        simulator.sendFrame(from: sender, to: 1 - sender)
        simulator.run(milliseconds: 5_333 + 2 * tick)
        #expect(try #require(initiations(simulator, since: start).first).at - start <= 5_333 + tick)
        #expect(simulator.sentFrames == simulator.deliveredFrames)
    }

    @Test("the first message of a handshake is lost, or the second: one REKEY_TIMEOUT later there is a session")
    func lostMessage() {
        for type in [UInt8(1), 2] {
            let simulator = Simulator(gateways: 2, seed: 17)
            simulator.blocked = [type]
            simulator.startAll()
            simulator.run(milliseconds: 1_000)
            #expect(!simulator.isWhole)
            simulator.blocked = []
            let first = simulator.recorded.map(\.at).min() ?? 0
            simulator.run(milliseconds: 10_000, until: { simulator.isWhole })
            #expect((5_000...5_333 + 2 * tick).contains(simulator.milliseconds - first), "type \(type)")
        }
    }

    @Test("both initiate at once: one of the two stands, and both send under it")
    func bothAtOnce() {
        let simulator = connected()
        func crossings() -> Int {
            simulator.gateways.map { $0.dropped[.handshakeCrossed, default: 0] }.reduce(0, +)
        }
        let before = crossings()
        for round in 1...20 {
            for number in [0, 1] { simulator.act(number) { $0.rotateSession(with: 1 - number, now: $1) } }
            simulator.run(milliseconds: 1_000)
            #expect(crossings() - before == round)
            for number in [0, 1] { simulator.sendFrame(from: number, to: 1 - number) }
        }
        simulator.run(milliseconds: 100)
        #expect(simulator.isWhole && simulator.sentFrames == simulator.deliveredFrames)
    }

    @Test("two nodes that start within a second have a session at once, whichever is first", arguments: [0, 1])
    func startedOneAfterTheOther(first: Int) {
        let simulator = Simulator(gateways: 2, seed: 23)
        simulator.start(simulator.gateways[first])
        simulator.run(milliseconds: 400)
        simulator.start(simulator.gateways[1 - first])
        simulator.run(milliseconds: 500, until: { simulator.isWhole })
        #expect(simulator.isWhole)
    }

    @Test("without any traffic peers are connected at start, and kept so")
    func keptConnected() {
        let simulator = Simulator(gateways: 5, seed: 13)
        simulator.startAll()
        simulator.run(milliseconds: 1_000, until: { simulator.isWhole })
        #expect(simulator.isWhole)
        var gaps = 0
        simulator.run(milliseconds: 600_000) { time in if time % 1000 == 0, !simulator.isWhole { gaps += 1 } }
        #expect(gaps == 0)
    }

    @Test("keepalive: nothing is sent for the configured time, then an empty datagram")
    func configuredKeepalive() throws {
        let simulator = connected(keepalive: .seconds(3))
        // The reports of a session's first moments are over.
        simulator.run(milliseconds: 15_000)
        var last = simulator.lastTransport
        var longest: UInt64 = 0
        simulator.run(milliseconds: 60_000) { time in
            for number in [0, 1] where simulator.lastTransport[number] != last[number] {
                longest = max(longest, (simulator.lastTransport[number] ?? time) - (last[number] ?? time))
            }
            last = simulator.lastTransport
        }
        #expect((2_800...3_000 + 2 * tick).contains(longest))
    }

    @Test("the waiting queue: what came before the session leaves with it, in order")
    func waiting() {
        let simulator = Simulator(gateways: 2, seed: 5)
        simulator.weather.latency = 300...300
        simulator.startAll()
        for _ in 0..<50 { simulator.sendFrame(from: 0, to: 1) }
        simulator.run(milliseconds: 5_000)
        #expect(simulator.deliveredFrames.count == 50 && simulator.isInOrder)
    }

    @Test("one side restarted: its session is back within a handshake, and the other does not wait for a timer")
    func restarted() {
        let simulator = connected()
        simulator.act(1) { gateway, _ in gateway.crash() }
        simulator.run(milliseconds: 1_000)
        simulator.start(simulator.gateways[1])
        let start = simulator.milliseconds
        simulator.run(milliseconds: 5_000, until: { simulator.gateways[1].isEstablished(with: 0) })
        // Jitter of the first call, and one round trip of 10 ms.
        #expect(simulator.milliseconds - start <= 200 + 10 + 10)
        simulator.run(milliseconds: 10)
        simulator.sendFrame(from: 0, to: 1)
        simulator.sendFrame(from: 1, to: 0)
        simulator.run(milliseconds: 20)
        #expect(simulator.sentFrames == simulator.deliveredFrames)
    }

    @Test("goodbye on shutdown: the other stops sending at once, and calls again when there is somebody")
    func goodbye() {
        let simulator = connected()
        simulator.act(1) { $0.stop(now: $1) }
        simulator.run(milliseconds: 20)
        #expect(!simulator.gateways[0].isEstablished(with: 1))
        simulator.run(milliseconds: 2_000)
        simulator.start(simulator.gateways[1])
        simulator.run(milliseconds: 7_000, until: { simulator.isWhole })
        #expect(simulator.isWhole)
    }

    @Test("both sides restarted: their sessions are back within a handshake")
    func bothRestarted() {
        let simulator = connected()
        for number in [0, 1] { simulator.act(number) { gateway, _ in gateway.crash() } }
        simulator.run(milliseconds: 1_000)
        simulator.startAll()
        let start = simulator.milliseconds
        simulator.run(milliseconds: 5_000, until: { simulator.isWhole })
        #expect(simulator.milliseconds - start <= 200 + 20 + 10)
        simulator.run(milliseconds: 10)
        for number in [0, 1] { simulator.sendFrame(from: number, to: 1 - number) }
        simulator.run(milliseconds: 20)
        #expect(simulator.sentFrames == simulator.deliveredFrames)
    }

    @Test("after a goodbye nobody is called without traffic, and with it after a second and some jitter")
    func goodbyeThenTraffic() throws {
        let simulator = connected()
        simulator.act(1) { $0.stop(now: $1) }
        simulator.run(milliseconds: 20)
        let left = simulator.milliseconds
        simulator.run(milliseconds: 30_000)
        #expect(initiations(simulator, since: left).isEmpty)

        simulator.start(simulator.gateways[1])
        simulator.run(milliseconds: 7_000, until: { simulator.isWhole })
        simulator.run(milliseconds: 500)
        simulator.act(1) { $0.stop(now: $1) }
        simulator.run(milliseconds: 20)
        let start = simulator.milliseconds
        simulator.sendFrame(from: 0, to: 1)
        simulator.run(milliseconds: 3_000)
        let call = try #require(initiations(simulator, since: start).first)
        #expect((1_000 - 20...1_333 + tick).contains(call.at - start))
    }
}
