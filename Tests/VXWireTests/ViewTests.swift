import Testing
import VXWire

// The views cannot escape, so neither `#require` nor `#expect` can hold one.
private struct NotAccepted: Error {}

private enum Accepts {
    static func ethernet(_ bytes: some Sequence<UInt8>) -> Bool {
        let bytes = [UInt8](bytes)
        if let _ = EthernetFrame(bytes.span.bytes) { return true }
        return false
    }

    static func ipv4(_ bytes: some Sequence<UInt8>) -> Bool {
        let bytes = [UInt8](bytes)
        if let _ = IPv4Packet(bytes.span.bytes) { return true }
        return false
    }

    static func ipv6(_ bytes: some Sequence<UInt8>) -> Bool {
        let bytes = [UInt8](bytes)
        if let _ = IPv6Packet(bytes.span.bytes) { return true }
        return false
    }

    static func udp(_ bytes: some Sequence<UInt8>) -> Bool {
        let bytes = [UInt8](bytes)
        if let _ = UDPDatagram(bytes.span.bytes) { return true }
        return false
    }

    static func tcp(_ bytes: some Sequence<UInt8>) -> Bool {
        let bytes = [UInt8](bytes)
        if let _ = TCPSegment(bytes.span.bytes) { return true }
        return false
    }

    static func arp(_ bytes: some Sequence<UInt8>) -> Bool {
        let bytes = [UInt8](bytes)
        if let _ = ARPPacket(bytes.span.bytes) { return true }
        return false
    }
}

@Suite("Packet views")
struct ViewTests {
    @Test func ipv4UDP() throws {
        // Behind the packet: padding, which is no part of it.
        let bytes = Sample.ipv4Frame + hex("eeee")
        guard let frame = EthernetFrame(bytes.span.bytes) else { throw NotAccepted() }
        #expect(frame.destination.description == "0a:00:00:00:00:02")
        #expect(frame.source.description == "0a:00:00:00:00:01")
        #expect(frame.etherType == EtherType.ipv4 && frame.payloadOffset == 14)
        guard let packet = IPv4Packet(frame.payload) else { throw NotAccepted() }
        #expect(packet.source.description == "192.0.2.1" && packet.destination.description == "198.51.100.2")
        #expect(packet.protocolNumber == IPProtocol.udp && packet.headerLength == 20 && !packet.isFragment)
        guard let datagram = UDPDatagram(packet.payload) else { throw NotAccepted() }
        #expect(datagram.sourcePort == 8080 && datagram.destinationPort == 53 && datagram.checksum == 0xbeef)
        #expect(datagram.payload.byteCount == 8 && datagram.payload.readUInt32(at: 4) == 0x4455_6677)
    }

    @Test func ipv6UDP() throws {
        let bytes = Sample.ipv6Frame
        guard let frame = EthernetFrame(bytes.span.bytes) else { throw NotAccepted() }
        guard let packet = IPv6Packet(frame.payload) else { throw NotAccepted() }
        #expect(packet.source.description == "2001:db8::1" && packet.destination.description == "2001:db8::2")
        #expect(packet.nextHeader == IPProtocol.udp && packet.payload.byteCount == 16)
    }

    @Test func tcp() throws {
        let bytes = Sample.tcp
        guard let segment = TCPSegment(bytes.span.bytes) else { throw NotAccepted() }
        #expect(segment.sourcePort == 8080 && segment.destinationPort == 443)
        #expect(segment.sequenceNumber == 0x0102_0304 && segment.flags == 0x12 && segment.checksum == 0xabcd)
        #expect(segment.headerLength == 24 && segment.payload.byteCount == 2)
    }

    @Test func arp() throws {
        let bytes = Sample.arp
        guard let packet = ARPPacket(bytes.span.bytes) else { throw NotAccepted() }
        #expect(packet.operation == 1 && packet.targetMAC.isZero)
        #expect(packet.senderMAC.description == "0a:00:00:00:00:01")
        #expect(packet.senderAddress.description == "192.0.2.1" && packet.targetAddress.description == "192.0.2.2")
        #expect(!Accepts.arp(Sample.arp.dropLast()))
        #expect(!Accepts.arp(([0, 6] + Sample.arp.dropFirst(2))))
    }

    @Test func tags() throws {
        let bytes = Sample.taggedFrame
        guard let frame = EthernetFrame(bytes.span.bytes) else { throw NotAccepted() }
        #expect(frame.etherType == EtherType.ipv4 && frame.payloadOffset == 22)
        // One tag more than is looked past.
        let tags = [[UInt8]](repeating: hex("8100 0001"), count: EthernetFrame.mostTags + 1).flatMap { $0 }
        let deep = Sample.ethernet + tags + hex("0800") + Sample.ipv4
        guard let unknown = EthernetFrame(deep.span.bytes) else { throw NotAccepted() }
        #expect(unknown.etherType == EtherType.vlan)
        #expect(!Accepts.ethernet((Sample.ethernet + hex("8100 0001 08"))))
    }

    @Test func lengthsThatDoNotFit() {
        let udp = Sample.udp
        #expect(!Accepts.udp(udp.dropLast()))
        #expect(!Accepts.udp((udp[..<4] + hex("0007") + udp[6...])))
        #expect(!Accepts.tcp(([UInt8](Sample.tcp[..<12]) + hex("40") + Sample.tcp[13...])))
        #expect(!Accepts.tcp(Sample.tcp[..<23]))

        let packet = Sample.ipv4 + udp
        #expect(!Accepts.ipv4(packet.dropLast()))
        #expect(!Accepts.ipv4(([0x65] + packet.dropFirst())))
        #expect(!Accepts.ipv4(([0x44] + packet.dropFirst())))
        #expect(!Accepts.ipv4((packet[..<2] + hex("0013") + packet[4...])))
        #expect(!Accepts.ipv6((Sample.ipv6 + udp.dropLast())))
        #expect(!Accepts.ipv6(([0x40] + Sample.ipv6.dropFirst() + udp)))
    }

    @Test func everyFragmentIsOne() throws {
        for (field, isFragment) in [("4000", false), ("8000", false), ("2000", true), ("0001", true), ("2001", true)] {
            let bytes = Array(Sample.ipv4[..<6]) + hex(field) + Array(Sample.ipv4[8...]) + Sample.udp
            guard let packet = IPv4Packet(bytes.span.bytes) else { throw NotAccepted() }
            #expect(packet.isFragment == isFragment)
        }
    }
}
