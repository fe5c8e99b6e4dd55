// With VXDataPlane: FrameSegmenter FrameCoalescer DeliveryBatch InnerPacket InternetChecksum
import VXWire

// Frames that arrive together, from anybody. Whatever is joined, cutting it again must give every frame back to the byte,
// each flow's in the order they came. Only Ethernet's padding, which is behind a packet's end, may be left out, and
// identifications may change where an IPv4 flow without fragmentation uses one twice (RFC 6864, 4.1).
//
// Input: what the device takes (1 byte), then a recipe for each frame: `Step` bits, the fields they ask for, and for a frame
// of its own its length (1 byte) and bytes.

private struct Step: OptionSet {
    let rawValue: UInt8
    /// The checksum is complete, not partial.
    static let isComplete = Step(rawValue: 1)
    /// No bytes of its own: the frame before it, one further in sequence and identification.
    static let followsOn = Step(rawValue: 2)
    /// Lengths and checksums are made right.
    static let isRepaired = Step(rawValue: 4)
    /// Then a byte is changed: where (1 byte), by what (1 byte).
    static let isChanged = Step(rawValue: 8)
    /// As many bytes (2 bytes) are added.
    static let isPadded = Step(rawValue: 16)
    /// As many bytes (1 byte) are cut off its end.
    static let isCut = Step(rawValue: 32)
    /// Of another network.
    static let isElsewhere = Step(rawValue: 64)
}

private struct Recipe {
    var rest: ArraySlice<UInt8>

    mutating func byte() -> Int { rest.popFirst().map(Int.init) ?? 0 }

    mutating func next(after last: ArrivedFrame?) -> ArrivedFrame? {
        guard let bits = rest.popFirst() else { return nil }
        let step = Step(rawValue: bits)
        var frame = ArrivedFrame(bytes: [])
        if step.contains(.followsOn), let last {
            frame.bytes = last.bytes
            goOn(&frame.bytes)
        } else {
            let length = byte()
            frame.bytes = Array(rest.prefix(length))
            rest = rest.dropFirst(length)
        }
        if step.contains(.isPadded) {
            let count = min(byte() << 8 | byte(), SuperFrames.largest - frame.bytes.count)
            frame.bytes += (0..<max(count, 0)).map { UInt8(truncatingIfNeeded: $0 &* 5) }
        }
        if step.contains(.isCut) { frame.bytes = frame.bytes.dropLast(byte()) }
        // What a lane gives to the coalescer has an Ethernet header.
        while frame.bytes.count < EthernetFrame.headerLength { frame.bytes.append(0) }
        frame.checksum = step.contains(.isComplete) ? .complete : .partial
        frame.network = step.contains(.isElsewhere) ? 1 : 0
        if step.contains(.isRepaired), let packet = found(&frame.bytes) {
            SuperFrames.repair(&frame.bytes, packet: packet, complete: frame.checksum == .complete)
        }
        if step.contains(.isChanged) {
            let place = byte()
            frame.bytes[place % frame.bytes.count] ^= UInt8(byte())
        }
        if frame.checksum == .partial {
            // Where nothing finds TCP or UDP, none is taken for partial; where it does, the field is the pseudo-header's sum.
            guard let packet = SuperFrames.packet(frame.bytes) else {
                frame.checksum = .complete
                return frame
            }
            setPseudoSum(&frame.bytes, packet)
        }
        return frame
    }

    /// The packet that a frame would hold if its lengths were right.
    private func found(_ bytes: inout [UInt8]) -> InnerPacket? {
        let place = bytes.withUnsafeBytes {
            InnerPacket.networkHeader($0.baseAddress.unsafelyUnwrapped, count: $0.count)
        }
        guard let (network, type) = place, bytes.count - network <= 65_535 else { return nil }
        func set(_ value: Int, at offset: Int) {
            guard offset + 2 <= bytes.count else { return }
            bytes[offset] = UInt8(truncatingIfNeeded: value >> 8)
            bytes[offset + 1] = UInt8(truncatingIfNeeded: value)
        }
        if type == EtherType.ipv4 {
            set(bytes.count - network, at: network + 2)
            let transport = network + (network < bytes.count ? Int(bytes[network] & 0x0f) * 4 : 20)
            if network + 9 < bytes.count, bytes[network + 9] == IPProtocol.udp {
                set(bytes.count - transport, at: transport + 4)
            }
        } else if type == EtherType.ipv6 {
            set(bytes.count - network - 40, at: network + 4)
            if network + 6 < bytes.count, bytes[network + 6] == IPProtocol.udp {
                set(bytes.count - network - 40, at: network + 44)
            }
        }
        return SuperFrames.packet(bytes)
    }

    private func goOn(_ bytes: inout [UInt8]) {
        guard let packet = SuperFrames.packet(bytes) else { return }
        let length = packet.end - packet.payload
        bytes.withUnsafeMutableBytes { buffer in
            let frame = buffer.baseAddress.unsafelyUnwrapped
            let view = UnsafeRawPointer(frame)
            if !packet.isIPv6 {
                frame.storeBigEndian(view.bigEndian16(at: packet.network + 4) &+ 1, at: packet.network + 4)
            }
            if packet.isTCP {
                let next = view.bigEndian32(at: packet.transport + 4) &+ UInt32(truncatingIfNeeded: length)
                frame.storeBigEndian(next, at: packet.transport + 4)
            }
        }
    }

    private func setPseudoSum(_ bytes: inout [UInt8], _ packet: InnerPacket) {
        bytes.withUnsafeMutableBytes { buffer in
            let frame = buffer.baseAddress.unsafelyUnwrapped
            let pseudo = InnerPacket.pseudoHeaderSum(
                frame + packet.network,
                isIPv6: packet.isIPv6,
                isTCP: packet.isTCP
            )
            let sum = InternetChecksum.fold(pseudo + UInt64(packet.end - packet.transport))
            (frame + packet.transport).storeBigEndian(sum, at: packet.checksumOffset)
        }
    }
}

/// What must stay in order: TCP and UDP by addresses and ports, all else by itself.
private func flow(of bytes: [UInt8], network: Int) -> [UInt8] {
    guard let packet = SuperFrames.packet(bytes) else { return [UInt8(network)] }
    let addresses =
        packet.isIPv6 ? (packet.network + 8)..<(packet.network + 40) : (packet.network + 12)..<(packet.network + 20)
    return [UInt8(network), packet.isTCP ? 1 : 0] + bytes[addresses] + bytes[packet.transport..<(packet.transport + 4)]
}

private func coalesce(_ input: UnsafeRawBufferPointer) {
    guard let device = input.first else { return }
    var recipe = Recipe(rest: [UInt8](input.dropFirst())[...])
    var frames: [ArrivedFrame] = []
    // More than any run takes, in frames and in bytes.
    var bytes = 0
    while frames.count < 160, bytes < 200_000, let frame = recipe.next(after: frames.last) {
        bytes += frame.bytes.count
        frames.append(frame)
    }
    var expected: [[UInt8]: [[UInt8]]] = [:]
    for frame in frames { expected[flow(of: frame.bytes, network: frame.network), default: []].append(frame.bytes) }

    let isComplete = frames.allSatisfy { $0.checksum == .complete }
    var found: [[UInt8]: [[UInt8]]] = [:]
    for (network, frame) in SuperFrames.join(frames, tcp: device & 1 == 0, udp: device & 2 == 0) {
        var parts = [frame.bytes]
        if frame.offload.isSuperFrame {
            guard let segmenter = SuperFrames.segmenter(frame) else {
                preconditionFailure("nobody can cut what was joined")
            }
            precondition(segmenter.count > 1)
            parts = SuperFrames.cut(frame.bytes, segmenter)
        } else {
            precondition(frames.contains { $0.bytes == frame.bytes && $0.network == network }, "a lone frame changed")
        }
        if frame.offload.isPartial, parts.count == 1 {
            precondition(!isComplete && SuperFrames.packet(frame.bytes)?.partialOffload == frame.offload)
        } else if parts.count == 1 {
            precondition(frame.offload == VirtioNetHeader())
        }
        for part in parts { found[flow(of: part, network: network), default: []].append(part) }
    }
    precondition(Set(expected.keys) == Set(found.keys), "a flow changed")
    for (name, frames) in expected {
        // Whether a joined frame's checksum was complete is nobody's to know any more: both are compared completed.
        let (sent, received) = (frames.map(completed), found[name, default: []].map(completed))
        guard sent != received else { continue }
        precondition(zip(sent, sent.dropFirst()).contains(where: shareIdentification), "frames changed")
        precondition(sent.map(withoutIdentification) == received.map(withoutIdentification), "frames changed")
    }
}

/// The packet of a frame that must not be fragmented, so that its identification means nothing.
private func atomicPacket(_ bytes: [UInt8]) -> InnerPacket? {
    guard let packet = SuperFrames.packet(bytes), !packet.isIPv6, bytes[packet.network + 6] & 0x40 != 0 else {
        return nil
    }
    return packet
}

private func shareIdentification(_ one: [UInt8], _ other: [UInt8]) -> Bool {
    guard let first = atomicPacket(one), let second = atomicPacket(other) else { return false }
    return one[(first.network + 4)...(first.network + 5)] == other[(second.network + 4)...(second.network + 5)]
}

/// The frame with identification zero, its header's checksum changed accordingly (RFC 1624, equation 3).
private func withoutIdentification(_ bytes: [UInt8]) -> [UInt8] {
    guard let packet = atomicPacket(bytes) else { return bytes }
    var bytes = bytes
    bytes.withUnsafeMutableBytes { buffer in
        let header = buffer.baseAddress.unsafelyUnwrapped + packet.network
        let (checksum, old) = (
            UnsafeRawPointer(header).bigEndian16(at: 10), UnsafeRawPointer(header).bigEndian16(at: 4)
        )
        header.storeBigEndian(UInt16(0), at: 4)
        header.storeBigEndian(InternetChecksum.finish(UInt64(~checksum) + UInt64(~old)), at: 10)
    }
    return bytes
}

/// The frame without padding, its checksum completed if it holds the pseudo-header's sum.
private func completed(_ bytes: [UInt8]) -> [UInt8] {
    guard let packet = SuperFrames.packet(bytes) else { return bytes }
    var bytes = Array(bytes[..<packet.end])
    bytes.withUnsafeMutableBytes { buffer in
        let frame = buffer.baseAddress.unsafelyUnwrapped
        let (header, transport) = (frame + packet.network, frame + packet.transport)
        let length = packet.end - packet.transport
        let pseudo = InnerPacket.pseudoHeaderSum(header, isIPv6: packet.isIPv6, isTCP: packet.isTCP)
        guard
            UnsafeRawPointer(transport).bigEndian16(at: packet.checksumOffset)
                == InternetChecksum.fold(pseudo + UInt64(length))
        else { return }
        InternetChecksum.complete(transport, count: length, offset: packet.checksumOffset)
    }
    return bytes
}

/// libFuzzer's entry point; a trap or an address error is a finding.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    coalesce(UnsafeRawBufferPointer(start: data, count: count))
    return 0
}
