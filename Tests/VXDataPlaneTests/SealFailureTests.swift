import Testing
import VXWire

@testable import VXCrypto
@testable import VXDataPlane

/// A provider that fails: nothing leaves, and each datagram that does not is counted.
@Suite struct SealFailureTests {
    /// Fails as a provider does, with zeros in place of the datagram.
    private static func failing() -> BulkCipher {
        BulkCipher(
            provider: .libsodium,
            seal: { _, destination, _, count, _, _, _, _ in wipeUnsealed(destination, count: count) },
            open: { _, _, _, _, _, _, _ in false }
        )
    }

    @Test(
        "a frame, small frames that share a datagram, the segments of a super-frame: counted drops, and nothing leaves"
    )
    func frames() {
        let nodes = TwoGateways(cipher: Self.failing())
        #expect(nodes.send(to: TwoGateways.broadcast).isEmpty)
        #expect(nodes.left.drops[.sealFailed] == 1)
        let shape = SuperFrameTests.Shape(payload: 6000)
        #expect(nodes.forward(shape.frame, offload: shape.offload).isEmpty)
        #expect(nodes.left.drops[.sealFailed] == 6)
        #expect(nodes.left.outgoing.count == 0)
    }

    @Test("a keepalive and a control message: the same, and who asked is told")
    func messages() {
        let nodes = TwoGateways(cipher: Self.failing())
        nodes.left.keepalive(PeerIndex(0), now: nodes.now)
        #expect(nodes.left.drops[.sealFailed] == 1)
        let isSent = nodes.left.sendControl([1, 2, 3], to: PeerIndex(0), now: nodes.now)
        #expect(!isSent && nodes.left.drops[.sealFailed] == 2 && nodes.takeOutgoing().isEmpty)
    }

    @Test("counters of failed datagrams stay used: a later datagram has one of its own")
    func counters() throws {
        let switchable = UnsafeMutablePointer<Bool>.allocate(capacity: 1)
        switchable.initialize(to: false)
        let cipher = BulkCipher(
            provider: .libsodium,
            context: UnsafeMutableRawPointer(switchable),
            seal: { context, destination, source, count, header, headerCount, nonce, key in
                guard context.unsafelyUnwrapped.load(as: Bool.self) else {
                    return wipeUnsealed(destination, count: count)
                }
                let sealFunction = BulkCipher.libsodium().sealFunction
                return sealFunction(nil, destination, source, count, header, headerCount, nonce, key)
            },
            open: { _, _, _, _, _, _, _ in false },
            free: { $0?.deallocate() }
        )
        let nodes = TwoGateways(cipher: cipher)
        for _ in 0..<3 { #expect(nodes.send(to: TwoGateways.broadcast).isEmpty) }
        switchable.pointee = true
        let datagram = try #require(nodes.send(to: TwoGateways.broadcast).first)
        #expect(datagram[8..<16] == [0, 0, 0, 0, 0, 0, 0, 3])
        #expect(nodes.receive(datagram).count == 1)
        #expect(nodes.left.drops[.sealFailed] == 3)
    }
}
