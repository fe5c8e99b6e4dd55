import Testing
import VXWire

@Suite("Headers")
struct HeaderTests {
    @Test func sealedHeaderGoldenBytes() throws {
        let datagram = Sample.sealedHeader + [UInt8](repeating: 0, count: 16)
        guard case .header(let header) = SealedHeader.parse(datagram.span.bytes) else {
            Issue.record("not parsed")
            return
        }
        #expect(header.lane == 3)
        #expect(header.receiver == ReceiverIndex(2_695_938_256))
        #expect(header.counter == 1_099_511_627_783)
        var written = [UInt8](repeating: 0xff, count: 17)
        var span = written.mutableSpan
        var bytes = span.mutableBytes
        header.write(into: &bytes)
        #expect(written == Sample.sealedHeader + [0xff])
    }

    @Test func sealedHeaderDrops() {
        func reason(_ datagram: [UInt8]) -> DropReason? {
            if case .drop(let reason) = SealedHeader.parse(datagram.span.bytes) { reason } else { nil }
        }
        let whole = Sample.sealedHeader + [UInt8](repeating: 0, count: 16)
        #expect(reason(whole) == nil)
        #expect(reason([]) == .malformed)
        #expect(reason(whole.dropLast()) == .malformed)
        for type in UInt8.min...UInt8.max where type != 4 {
            #expect(reason([type] + whole.dropFirst()) == .unknownMessage)
        }
        for offset in 2...3 {
            var other = whole
            other[offset] = 1
            #expect(reason(other) == .reservedNotZero)
        }
    }

    @Test func messageSizes() {
        #expect([1, 2, 3, 4].map { MessageType(rawValue: $0)?.size } == [1352, 1220, 64, 32])
        #expect(MessageType(rawValue: 8) == nil)
    }

    // The macros cannot hold a span.
    private func vxlanHeader(_ bytes: [UInt8]) -> VXLANHeader? { VXLANHeader(bytes.span.bytes) }

    @Test func vxlan() throws {
        let golden = hex("08000000 00002a00")
        let header = try #require(vxlanHeader(golden))
        #expect(header.flags == 8 && header.vni.rawValue == 42 && header.reservedIsZero)
        var written = [UInt8](repeating: 0xff, count: 8)
        var span = written.mutableSpan
        var bytes = span.mutableBytes
        VXLANHeader.write(vni: header.vni, into: &bytes)
        #expect(written == golden)

        #expect(vxlanHeader(golden.dropLast()) == nil)
        #expect(vxlanHeader(hex("00000000 00002a00")) == nil)
        for bit in 0..<64 where bit != 4 && !(32..<56).contains(bit) {
            var other = golden
            other[bit / 8] ^= 0x80 >> UInt8(bit % 8)
            #expect(vxlanHeader(other)?.reservedIsZero == false)
        }
    }

    @Test func byteOrder() {
        let bytes = hex("00 0102030405060708")
        let span = bytes.span.bytes
        #expect(span.readUInt8(at: 1) == 0x01)
        #expect(span.readUInt16(at: 1) == 0x0102)
        #expect(span.readUInt32(at: 1) == 0x0102_0304)
        #expect(span.readUInt64(at: 1) == 0x0102_0304_0506_0708)
        var written = [UInt8](repeating: 0, count: 16)
        var mutable = written.mutableSpan
        var target = mutable.mutableBytes
        target.write(UInt8(0x01), at: 0)
        target.write(UInt16(0x0203), at: 1)
        target.write(UInt32(0x0405_0607), at: 3)
        target.write(UInt64(0x0809_0a0b_0c0d_0e0f), at: 7)
        #expect(written == (1...15).map { UInt8($0) } + [0])
    }
}
