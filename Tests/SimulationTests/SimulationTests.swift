import Foundation
import Testing
import VXHandshake
import VXWire

/// Gateways under seeds. `SIMULATION_SEEDS` says how many of each kind run, `SIMULATION_FIRST` where they start; a seed
/// that failed runs again with both.
@Suite struct SimulationTests {
    private static var seeds: [UInt64] {
        let environment = ProcessInfo.processInfo.environment
        let first = environment["SIMULATION_FIRST"].flatMap { UInt64($0) } ?? 1
        return Array(first..<first + (environment["SIMULATION_SEEDS"].flatMap { UInt64($0) } ?? 100))
    }

    /// Seeds that once found a mistake beyond the first hundred; always run.
    private static let regressions: [UInt64] = [109, 123, 157, 311, 552, 1178, 1305, 1735, 2499]

    static var chaosSeeds: [UInt64] { seeds + regressions.filter { !seeds.contains($0) } }

    /// On links that lose nothing, rotations of every kind lose nothing, duplicate nothing and, where the link keeps the
    /// order, keep it.
    @Test("rotations on links without loss", arguments: seeds)
    func rotations(seed: UInt64) {
        let simulator = Simulator(gateways: 2 + Int(seed % 3), seed: seed, mostLanes: 4)
        let keepsOrder = seed % 2 == 0
        simulator.weather.latency = keepsOrder ? 7...7 : 1...60
        simulator.startAll()
        let count = simulator.gateways.count
        simulator.run(milliseconds: 20_000) { time in
            if time % 20 == 0 {
                let source = Int.random(in: 0..<count, using: &simulator.numbers)
                let target = (source + Int.random(in: 1..<count, using: &simulator.numbers)) % count
                simulator.sendFrame(from: source, to: simulator.numbers.chance(100) ? nil : target)
            }
            guard time > 12_000, time < 25_000, simulator.numbers.chance(1) else { return }
            let number = Int.random(in: 0..<count, using: &simulator.numbers)
            let other = (number + Int.random(in: 1..<count, using: &simulator.numbers)) % count
            switch Int.random(in: 0..<3, using: &simulator.numbers) {
            case 0: simulator.act(number) { $0.rotateSession(with: other, now: $1) }
            case 1: simulator.act(number) { $0.rotateIdentity(overlap: .seconds(3600), now: $1) }
            default: simulator.act(number) { $0.rotatePSK(with: other, now: $1) }
            }
        }
        simulator.run(milliseconds: 20_000)
        #expect(simulator.problems.isEmpty, "seed \(seed): \(simulator.problems.prefix(3))")
        let lost = simulator.sentFrames.subtracting(simulator.deliveredFrames).count
        #expect(lost == 0, "seed \(seed): \(lost) of \(simulator.sentFrames.count) frames lost")
        if keepsOrder { #expect(simulator.isInOrder, "seed \(seed)") }
        #expect(simulator.isWhole, "seed \(seed)")
        for gateway in simulator.gateways {
            #expect(gateway.rotation.rotation == nil, "seed \(seed): a rotation of \(gateway.number) never ended")
            #expect(gateway.rotation.peers.allSatisfy { !$0.isRotatingPSK }, "seed \(seed): a PSK rotation never ended")
        }
    }

    /// Whatever links, crashes, clocks and partitions do: nothing forbidden happens, and soon after they heal every pair
    /// has a session that carries frames.
    @Test("chaos", arguments: chaosSeeds)
    func chaos(seed: UInt64) {
        let simulator = Simulator(gateways: 2 + Int(seed % 3), seed: seed &+ 1_000_000, mostLanes: 4)
        let count = simulator.gateways.count
        simulator.weather = Simulator.Weather(
            loss: Int.random(in: 0...400, using: &simulator.numbers),
            duplication: Int.random(in: 0...300, using: &simulator.numbers),
            latency: 1...UInt64.random(in: 1...800, using: &simulator.numbers),
            mtu: [1280, 1300, 1400, 1500][Int.random(in: 0..<4, using: &simulator.numbers)]
        )
        var isRisky = true
        for gateway in simulator.gateways {
            gateway.crashes = { [unowned simulator] in isRisky && simulator.numbers.chance(100) }
        }
        simulator.startAll()
        simulator.run(milliseconds: 60_000) { time in
            if time % 25 == 0 {
                let source = Int.random(in: 0..<count, using: &simulator.numbers)
                let target = (source + Int.random(in: 1..<count, using: &simulator.numbers)) % count
                let isSecond = source < 2 && target < 2 && simulator.numbers.chance(200)
                let size = Int.random(in: 60...1400, using: &simulator.numbers)
                simulator.sendFrame(from: source, to: target, vni: isSecond ? 43 : 42, size: size)
            }
            if simulator.numbers.chance(2) { disturb(simulator) }
        }
        // The path heals.
        isRisky = false
        simulator.weather = Simulator.Weather()
        simulator.partitions = []
        simulator.firewalls = []
        for gateway in simulator.gateways where !gateway.isUp { simulator.start(gateway) }
        simulator.run(milliseconds: 75_000, until: { simulator.milliseconds % 100 == 0 && simulator.isWhole })
        #expect(simulator.isWhole, "seed \(seed): no session within 75 s after the path healed")
        // A side that restarted is known to the other when its first datagram has arrived.
        simulator.run(milliseconds: 1_000)
        var fresh: [Simulator.FrameName] = []
        for source in 0..<count {
            for target in 0..<count where target != source {
                let before = simulator.sentFrames
                simulator.sendFrame(from: source, to: target)
                fresh += simulator.sentFrames.subtracting(before)
            }
        }
        simulator.run(milliseconds: 30_000)
        let missing = fresh.filter { !simulator.deliveredFrames.contains($0) }
        #expect(missing.isEmpty, "seed \(seed): sessions that carry nothing: \(missing)")
        #expect(simulator.problems.isEmpty, "seed \(seed): \(simulator.problems.prefix(3))")
    }

    private func disturb(_ simulator: Simulator) {
        let count = simulator.gateways.count
        let number = Int.random(in: 0..<count, using: &simulator.numbers)
        let other = (number + Int.random(in: 1..<count, using: &simulator.numbers)) % count
        let gateway = simulator.gateways[number]
        switch Int.random(in: 0..<12, using: &simulator.numbers) {
        case 0: gateway.crash()
        case 1: simulator.act(number) { $0.stop(now: $1) }
        case 2, 3, 4: if !gateway.isUp { simulator.start(gateway) }
        case 5: simulator.partitions.formSymmetricDifference([simulator.pair(number, other)])
        case 10: simulator.firewalls.formSymmetricDifference([simulator.pair(number, other)])
        case 6: simulator.act(number) { $0.rotateSession(with: other, now: $1) }
        case 7: simulator.act(number) { $0.rotateIdentity(overlap: .seconds(604_800), now: $1) }
        case 8: simulator.act(number) { $0.rotatePSK(with: other, now: $1) }
        case 9: gateway.skew = Int64.random(in: -3600...3600, using: &simulator.numbers)
        default:
            // Somebody on the way says again what was said.
            guard let old = simulator.recorded.randomElement(using: &simulator.numbers) else { return }
            let stranger = Endpoint(address: .v4(IPv4Address(0xcb00_7105)), port: 4242)
            let source = simulator.numbers.chance(500) ? stranger : SimulatedGateway.endpoint(of: old.from)
            simulator.inject(old.datagram, from: source, to: old.to)
        }
    }
}
