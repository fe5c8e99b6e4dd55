import VXWire

/// Cuts an IPv4 packet in its Ethernet frame into fragments (RFC 791, 3.2) that fit a smaller path.
struct IPv4Fragments {
    private let frame: UnsafeRawPointer
    /// Where the IPv4 header starts.
    private let packetOffset: Int
    private let headerLength: Int
    private let payloadLength: Int
    /// Payload bytes of every fragment but the last, a multiple of eight.
    private let step: Int
    /// Offset and flags of the packet itself, which may be a fragment already.
    private let field: UInt16

    /// Nil when the frame holds no whole IPv4 packet, or the path carries no payload at all.
    init?(_ frame: UnsafeRawBufferPointer, largestFrame: Int) {
        guard let base = frame.baseAddress, let ethernet = EthernetFrame(frame.bytes),
            let packet = IPv4Packet(ethernet.payload)
        else { return nil }
        self.frame = UnsafeRawPointer(base)
        packetOffset = ethernet.payloadOffset
        headerLength = packet.headerLength
        payloadLength = packet.payload.byteCount
        field = ethernet.payload.readUInt16(at: 6)
        step = (largestFrame - packetOffset - headerLength) & ~7
        guard step > 0 else { return nil }
    }

    /// How many there are.
    var count: Int { (payloadLength + step - 1) / step }

    /// Writes one with its Ethernet header and returns its length.
    func write(_ number: Int, to output: UnsafeMutableRawPointer) -> Int {
        let start = number * step
        let length = min(step, payloadLength - start)
        output.copyMemory(from: frame, byteCount: packetOffset + headerLength)
        (output + packetOffset + headerLength).copyMemory(
            from: frame + packetOffset + headerLength + start,
            byteCount: length
        )
        let header = output + packetOffset
        if number > 0 { eraseUncopiedOptions(header) }
        let isLast = start + length == payloadLength
        let more: UInt16 = isLast ? field & 0x2000 : 0x2000
        let offset = field & 0x1fff &+ UInt16(truncatingIfNeeded: start / 8)
        header.storeBytes(of: UInt16(headerLength + length).bigEndian, toByteOffset: 2, as: UInt16.self)
        header.storeBytes(of: (more | offset & 0x1fff).bigEndian, toByteOffset: 6, as: UInt16.self)
        header.storeBytes(of: 0, toByteOffset: 10, as: UInt16.self)
        let checksum = InternetChecksum.of(header, count: headerLength)
        header.storeBytes(of: checksum.bigEndian, toByteOffset: 10, as: UInt16.self)
        return packetOffset + headerLength + length
    }

    /// Options without the copied flag stand in the first fragment alone; in the others no-operations take their place.
    private func eraseUncopiedOptions(_ header: UnsafeMutableRawPointer) {
        var place = 20
        while place < headerLength {
            let type = header.load(fromByteOffset: place, as: UInt8.self)
            if type == 0 { return }
            if type == 1 {
                place += 1
                continue
            }
            guard place + 1 < headerLength else { return }
            let length = Int(header.load(fromByteOffset: place + 1, as: UInt8.self))
            guard length >= 2, place + length <= headerLength else { return }
            if type & 0x80 == 0 {
                (header + place).initializeMemory(as: UInt8.self, repeating: 1, count: length)
            }
            place += length
        }
    }
}
