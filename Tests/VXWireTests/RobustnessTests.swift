import Testing
import VXWire

// Any bytes at all: no parser traps, and what a view accepts can be read to its end.
@Suite("Any bytes")
struct RobustnessTests {
    private static let samples: [[UInt8]] = [
        Sample.ipv4Frame, Sample.ipv6Frame, Sample.taggedFrame, Sample.ethernet + hex("0806") + Sample.arp,
        Sample.ethernet + hex("0800") + hex("45000030 0000 0000 40 06 0000 c0000201 c6336402") + Sample.tcp
            + hex("0000"),
        Sample.ipv4 + Sample.udp, Sample.ipv6 + Sample.udp, Sample.udp, Sample.tcp, Sample.arp, Sample.records,
        Sample.sealedHeader + Sample.records, hex("08000000 00002a00") + Sample.ipv4Frame,
        ControlMessage.report([.init(highestCounter: 1, received: 1)]).bytes, ControlMessage.hello(name: "name").bytes,
    ]

    @Test func truncated() {
        for sample in Self.samples {
            for count in 0...sample.count { readAll([UInt8](sample[..<count])) }
        }
    }

    @Test func mutated() {
        var generator = SeededGenerator(state: 2)
        for _ in 0..<20_000 {
            var bytes = Self.samples.randomElement(using: &generator)!
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            bytes.removeLast(Int.random(in: 0...bytes.count, using: &generator) / 4)
            readAll(bytes)
        }
    }

    @Test func random() {
        var generator = SeededGenerator(state: 3)
        for _ in 0..<10_000 {
            readAll(generator.bytes(count: Int.random(in: 0...100, using: &generator)))
        }
    }

    private func readAll(_ bytes: [UInt8]) {
        let span = bytes.span.bytes
        _ = flowHash(frame: span)
        if let frame = EthernetFrame(span) {
            #expect(frame.payload.byteCount + frame.payloadOffset == bytes.count)
            _ = (frame.source, frame.destination)
        }
        if let packet = IPv4Packet(span) {
            #expect(packet.payload.byteCount + packet.headerLength <= bytes.count)
            _ = (packet.source, packet.destination, packet.protocolNumber, packet.isFragment)
        }
        if let packet = IPv6Packet(span) {
            #expect(packet.payload.byteCount + IPv6Packet.headerLength <= bytes.count)
            _ = (packet.source, packet.destination, packet.nextHeader)
        }
        if let datagram = UDPDatagram(span) {
            #expect(datagram.payload.byteCount + UDPDatagram.headerLength <= bytes.count)
            _ = (datagram.sourcePort, datagram.destinationPort, datagram.checksum)
        }
        if let segment = TCPSegment(span) {
            #expect(segment.payload.byteCount + segment.headerLength == bytes.count)
            _ = (segment.sourcePort, segment.destinationPort, segment.sequenceNumber, segment.flags, segment.checksum)
        }
        if let packet = ARPPacket(span) {
            _ = (packet.operation, packet.senderMAC, packet.senderAddress, packet.targetMAC, packet.targetAddress)
        }
        _ = SealedHeader.parse(span)
        _ = VXLANHeader(span)
        readRecords(bytes)
        if case .message(let message) = ControlMessage.parse(span) {
            let again = message.bytes
            let parsed = ControlMessage.parse(again.span.bytes)
            #expect(parsed != .drop(.malformedControl))
        }
    }

    private func readRecords(_ bytes: [UInt8]) {
        var reader = RecordReader()
        var last = 0
        for _ in 0...bytes.count {
            switch reader.next(in: bytes.span.bytes) {
            case .frame(let offset, let length, _), .control(let offset, let length):
                #expect(offset >= last + RecordHeader.length && offset + length <= bytes.count)
                last = offset + length
            case .skip:
                break
            case .end:
                return
            }
        }
        Issue.record("the reader does not end")
    }
}
