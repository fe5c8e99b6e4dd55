import Foundation
import Testing
import VXCrypto
import VXDataPlane
import VXWire

/// Recorded VXLAN of other implementations, taken apart and put together again.
@Suite struct CaptureTests {
    private struct Capture: Decodable {
        let vni: UInt32
        /// UDP payloads, hexadecimal.
        let payloads: [String]
    }

    @Test("what the kernel's VXLAN device sent is parsed, and leaves again to the byte")
    func kernel() throws {
        let url = try #require(
            Bundle.module.url(forResource: "vxlan-kernel", withExtension: "json", subdirectory: "Vectors")
        )
        let capture = try JSONDecoder().decode(Capture.self, from: Data(contentsOf: url))
        #expect(capture.payloads.count >= 20)
        let peer = PeerDefinition(
            isPlaintext: true,
            endpoint: TwoGateways.leftEndpoint,
            roaming: false,
            counters: PeerCounters()
        )
        var receiver = Self.node(capture.vni, peer: peer)
        var sender = Self.node(capture.vni, peer: peer)
        let slot = UnsafeMutableRawPointer.allocate(byteCount: 65_536, alignment: 64)
        defer { slot.deallocate() }
        var types: Set<UInt16> = []
        for payload in capture.payloads {
            let bytes = stride(from: 0, to: payload.utf8.count, by: 2).compactMap { place in
                UInt8(payload.dropFirst(place).prefix(2), radix: 16)
            }
            #expect(bytes.count * 2 == payload.utf8.count)
            slot.copyMemory(from: bytes, byteCount: bytes.count)
            let now = Instant(nanoseconds: 1)
            receiver.receivePlaintext(
                slot,
                count: bytes.count,
                segmentSize: 0,
                from: TwoGateways.leftEndpoint,
                now: now
            )
            let delivered = TwoGateways.takeDelivered(&receiver)
            try #require(delivered.count == 1, "one frame of \(payload)")
            #expect(delivered[0].offload == VirtioNetHeader(), "the checksums are complete")
            let frame = delivered[0].frame
            types.insert(UInt16(frame[12]) << 8 | UInt16(frame[13]))
            (slot + VTEP.headroom).copyMemory(from: frame, byteCount: frame.count)
            let progress = sender.forward(slot + VTEP.headroom, count: frame.count, network: 0, now: now)
            #expect(progress == .finished)
            try #require(sender.outgoing.count == 1 && sender.outgoing[0].segments == 1)
            #expect([UInt8](sender.outgoing[0].datagram(0)) == bytes)
            sender.removeOutgoing()
        }
        #expect(types.isSuperset(of: [0x0800, 0x0806, 0x86dd, 0x8100, 0x88a8, 0x88b5]))
    }

    private static func node(_ vni: UInt32, peer: PeerDefinition) -> VTEP {
        let network = NetworkDefinition(
            vni: VNI(truncating: vni),
            mode: .plaintext,
            learning: false,
            maximumFrame: 9022,
            members: [PeerIndex(0)],
            forwarding: ForwardingDatabase()
        )
        return VTEP(
            lane: 0,
            threads: 1,
            networks: [network],
            peers: [peer],
            cipher: .libsodium(),
            offloads: .none,
            drops: DropCounters()
        )
    }
}
