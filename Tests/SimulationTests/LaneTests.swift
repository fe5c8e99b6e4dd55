import Testing
import VXHandshake
import VXWire

/// Lanes and the ports they leave from (protocol.md, 2a), on virtual time.
@Suite struct LaneTests {
    /// Two gateways of which one at least has several lanes.
    private func pair(firewall: Bool = false, _ change: (Simulator) -> Void = { _ in }) throws -> Simulator {
        let simulator = try #require(
            (1...).lazy.map { Simulator(gateways: 2, seed: $0, mostLanes: 4) }.first { simulator in
                simulator.gateways[0].laneCount > 1 && simulator.gateways[1].laneCount > 1
                    && simulator.gateways[0].laneCount != simulator.gateways[1].laneCount
            }
        )
        if firewall { simulator.firewalls = [simulator.pair(0, 1)] }
        change(simulator)
        simulator.startAll()
        simulator.run(milliseconds: 5_000, until: { simulator.isWhole })
        #expect(simulator.isWhole)
        return simulator
    }

    private func talk(_ simulator: Simulator, milliseconds: UInt64) {
        simulator.run(milliseconds: milliseconds) { time in
            guard time % 20 == 0 else { return }
            simulator.sendFrame(from: 0, to: 1)
            simulator.sendFrame(from: 1, to: 0)
        }
    }

    private func isAll(_ port: LanePort, _ simulator: Simulator) -> Bool {
        (0..<2).allSatisfy { number in
            let ports = simulator.gateways[number].lanePorts(towards: 1 - number)
            return ports.first == .fixed && ports.dropFirst().allSatisfy { $0 == port }
        }
    }

    @Test("unequal counts: every lane from a port of its own, nothing lost, every flow in order")
    func own() throws {
        let simulator = try pair()
        talk(simulator, milliseconds: 130_000)
        simulator.run(milliseconds: 1_000)
        #expect(isAll(.own, simulator))
        #expect(simulator.sentFrames == simulator.deliveredFrames)
        #expect(simulator.isInOrder && simulator.problems.isEmpty)
    }

    @Test("a firewall for the listen ports alone: lanes turn black without anybody's traffic, within 8 s")
    func black() throws {
        let simulator = try pair(firewall: true)
        simulator.run(milliseconds: 8_000, until: { isAll(.black, simulator) })
        #expect(isAll(.black, simulator))
        talk(simulator, milliseconds: 130_000)
        simulator.run(milliseconds: 1_000)
        #expect(simulator.sentFrames == simulator.deliveredFrames, "neither a trial nor a new session costs a frame")
        #expect(isAll(.black, simulator))
        #expect(simulator.isInOrder && simulator.problems.isEmpty)
    }

    @Test("a firewall that goes: black lanes are sent from their own ports again within a minute or so")
    func recovery() throws {
        let simulator = try pair(firewall: true)
        simulator.run(milliseconds: 8_000, until: { isAll(.black, simulator) })
        simulator.firewalls = []
        talk(simulator, milliseconds: 60_000)
        simulator.run(milliseconds: 12_000, until: { isAll(.own, simulator) })
        #expect(isAll(.own, simulator))
        #expect(simulator.sentFrames == simulator.deliveredFrames)
    }

    @Test("a firewall that comes: lanes with traffic turn black by the reports, a lane without stays as it is")
    func laterFirewall() throws {
        let simulator = try pair()
        simulator.run(milliseconds: 20_000)
        simulator.firewalls = [simulator.pair(0, 1)]
        simulator.run(milliseconds: 20_000)
        #expect(isAll(.own, simulator), "nothing was sent on them that could be missed")
        talk(simulator, milliseconds: 25_000)
        #expect(isAll(.black, simulator))
    }

    @Test("loss alone turns no lane black")
    func loss() throws {
        let simulator = try pair()
        simulator.weather.loss = 300
        talk(simulator, milliseconds: 200_000)
        #expect(isAll(.own, simulator))
    }

    @Test("a translator: the initiator finds out, and both sides use fixed ports; without it both go back")
    func translator() throws {
        let simulator = try pair { $0.gateways[0].isTranslated = true }
        // Whoever called: the translated side has to be the one.
        simulator.act(0) { $0.rotateSession(with: 1, now: $1) }
        simulator.run(milliseconds: 2_000)
        #expect(isAll(.fixed, simulator))
        simulator.gateways[0].isTranslated = false
        simulator.act(0) { $0.rotateSession(with: 1, now: $1) }
        simulator.run(milliseconds: 2_000)
        #expect(isAll(.own, simulator))
    }
}
