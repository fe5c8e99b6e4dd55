import Testing
import VXHandshake
import VXWire

/// The timer table of protocol.md, 4, row by row. Timers look at the lanes' counters every 200 ms, so they may be late by
/// that much and never early.
@Suite struct TimerTests {
    private let tick: UInt64 = 200

    private func connected() -> Simulator {
        let simulator = Simulator(gateways: 2, seed: 11)
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

    @Test("REKEY_ATTEMPT_TIME: after 90 s the waiting frames go, and the calls go on")
    func rekeyAttemptTime() {
        let simulator = Simulator(gateways: 2, seed: 3)
        simulator.act(0) { $0.start(now: $1) }
        talk(simulator, seconds: 1, oneWay: true)
        simulator.run(milliseconds: 88_000)
        #expect(simulator.gateways[0].dropped[.noSession] == nil)
        simulator.run(milliseconds: 8_000)
        #expect(simulator.gateways[0].dropped[.noSession] == 10)
        let before = simulator.milliseconds
        simulator.run(milliseconds: 12_000)
        #expect(initiations(simulator, since: before).count >= 2)
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
}
