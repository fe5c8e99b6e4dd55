import VXWire

// The way of a frame from a stranger's station: every view that its bytes lead to, and the flow hash.
private func readFrame(_ bytes: RawSpan) {
    _ = flowHash(frame: bytes)
    guard let frame = EthernetFrame(bytes) else { return }
    precondition(frame.payload.byteCount + frame.payloadOffset == bytes.byteCount)
    _ = (frame.source, frame.destination)
    switch frame.etherType {
    case EtherType.ipv4:
        guard let packet = IPv4Packet(frame.payload) else { return }
        precondition(packet.payload.byteCount + packet.headerLength == frame.payload.readUInt16(at: 2))
        _ = (packet.source, packet.destination, packet.isFragment)
        readTransport(packet.payload, packet.protocolNumber)
    case EtherType.ipv6:
        guard let packet = IPv6Packet(frame.payload) else { return }
        precondition(packet.payload.byteCount == frame.payload.readUInt16(at: 4))
        _ = (packet.source, packet.destination)
        readTransport(packet.payload, packet.nextHeader)
    case EtherType.arp:
        guard let packet = ARPPacket(frame.payload) else { return }
        _ = (packet.operation, packet.senderMAC, packet.senderAddress, packet.targetMAC, packet.targetAddress)
    default:
        break
    }
}

private func readTransport(_ bytes: RawSpan, _ protocolNumber: UInt8) {
    if protocolNumber == IPProtocol.tcp, let segment = TCPSegment(bytes) {
        precondition(segment.payload.byteCount + segment.headerLength == bytes.byteCount)
        _ = (segment.sourcePort, segment.destinationPort, segment.sequenceNumber, segment.flags, segment.checksum)
    } else if protocolNumber == IPProtocol.udp, let datagram = UDPDatagram(bytes) {
        precondition(datagram.payload.byteCount + UDPDatagram.headerLength == bytes.readUInt16(at: 4))
        _ = (datagram.sourcePort, datagram.destinationPort, datagram.checksum)
    }
}

/// libFuzzer's entry point; a trap or an address error is a finding.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    readFrame(UnsafeRawBufferPointer(start: data, count: count).bytes)
    return 0
}
