import Testing
import VXWire

@Suite("Flow hash")
struct FlowHashTests {
    private func hash(_ frame: [UInt8]) -> UInt32 { flowHash(frame: frame.span.bytes) }

    private func changed(_ frame: [UInt8], at offset: Int) -> [UInt8] {
        var frame = frame
        frame[offset] ^= 1
        return frame
    }

    @Test func dependsOnTheFiveTupleAlone() {
        for (frame, addresses, ports) in [(Sample.ipv4Frame, 26..<34, 34), (Sample.ipv6Frame, 22..<54, 54)] {
            for offset in [Int](addresses) + [Int](ports..<ports + 4) {
                #expect(hash(changed(frame, at: offset)) != hash(frame), "\(offset)")
            }
            for offset in [Int](0..<12) + [Int](ports + 6..<frame.count) {
                #expect(hash(changed(frame, at: offset)) == hash(frame), "\(offset)")
            }
        }
        // Time to live, and tags before the packet.
        #expect(hash(changed(Sample.ipv4Frame, at: 22)) == hash(Sample.ipv4Frame))
        #expect(hash(Sample.taggedFrame) == hash(Sample.ipv4Frame))
    }

    @Test func fragmentsHashByAddressesAlone() {
        var first = Sample.ipv4Frame
        first[20] = 0x20
        var last = changed(first, at: 34)
        last[20] = 0
        last[21] = 9
        #expect(hash(first) == hash(last))
        // A fragment of IPv6 is known by its extension header.
        var six = Sample.ipv6Frame
        six[20] = 44
        #expect(hash(six) == hash(changed(six, at: 54)))
    }

    @Test func otherFramesHashByMACs() {
        let arp = Sample.ethernet + hex("0806") + Sample.arp
        #expect(hash(arp) == hash(arp + [0]))
        for offset in 0..<14 { #expect(hash(changed(arp, at: offset)) != hash(arp), "\(offset)") }
        #expect(hash([]) == 0)
    }

    @Test func spreads() {
        var lanes = [Int](repeating: 0, count: 16)
        var low = [Int](repeating: 0, count: 16)
        for port in 0..<4096 {
            var frame = Sample.ipv4Frame
            frame[34] = UInt8(port >> 8)
            frame[35] = UInt8(port & 0xff)
            let value = hash(frame)
            lanes[Int(value >> 28)] += 1
            low[Int(value & 15)] += 1
        }
        // 256 expected; six standard deviations either way.
        for count in lanes + low { #expect((160...352).contains(count)) }
    }
}
