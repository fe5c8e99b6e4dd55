import Testing
import VXCrypto
import VXHandshake
import VXWire

/// The end of an identity's rotation, when the key file takes the new key.
@Suite struct PromotionTests {
    @Test("a key file that cannot be replaced is tried again, after 1, 2, 4 ... 60 s, and the overlap lasts until then")
    func retried() throws {
        let simulator = Simulator(gateways: 2, seed: 23)
        simulator.startAll()
        simulator.run(milliseconds: 5_000, until: { simulator.isWhole })
        let gateway = simulator.gateways[0]
        let old = gateway.disk.key.publicKey
        gateway.refusesKeyFile = true
        simulator.act(0) { $0.rotateIdentity(overlap: .seconds(3600), now: $1) }
        simulator.run(milliseconds: 300_000) { time in
            guard time % 1000 == 0 else { return }
            simulator.sendFrame(from: 0, to: 1)
            simulator.sendFrame(from: 1, to: 0)
        }
        let gaps = zip(gateway.promotions, gateway.promotions.dropFirst()).map { $1.since($0).nanoseconds / 1_000_000 }
        let expected: [UInt64] = [1, 2, 4, 8, 16, 32, 60, 60, 60].map { $0 * 1000 }
        #expect(gaps.count >= 8)
        // Timers are looked at every 200 ms.
        for (gap, wanted) in zip(gaps, expected) { #expect((wanted...wanted + 400).contains(gap), "\(gaps)") }
        #expect(
            gateway.notices.filter { if case .storeFailed = $0 { true } else { false } }.count
                == gateway.promotions.count
        )
        let rotation = try #require(gateway.rotation.rotation)
        #expect(gateway.disk.key.publicKey == old && gateway.rotation.publicKey == old)

        gateway.refusesKeyFile = false
        simulator.run(milliseconds: 61_000, until: { gateway.rotation.rotation == nil })
        #expect(gateway.rotation.rotation == nil)
        #expect(gateway.disk.key.publicKey == rotation.newKey && gateway.rotation.publicKey == rotation.newKey)
        simulator.sendFrame(from: 0, to: 1)
        simulator.run(milliseconds: 100)
        #expect(simulator.sentFrames == simulator.deliveredFrames && simulator.problems.isEmpty)
    }
}
