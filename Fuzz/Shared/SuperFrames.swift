import VXWire

// What the targets of segmenter and coalescer share: both ways between super-frames and their frames, by the packet path's
// own code. Every buffer is exactly as long as it must be, so that the address sanitizer sees a step beside it.

/// A frame or super-frame as a program and the kernel hand it to each other on a TAP device.
struct TAPFrame: Equatable {
    var offload: VirtioNetHeader
    var bytes: [UInt8]
}

/// A frame for the coalescer, in memory of its own.
struct ArrivedFrame {
    var bytes: [UInt8]
    var network = 0
    var checksum = FrameCoalescer.Checksum.partial
}

enum SuperFrames {
    /// The largest super-frame a lane reads: 64 KiB of IP, Ethernet header, tags.
    static let largest = 65_536 + 64

    /// One for all inputs: making it takes longer than most of them.
    nonisolated(unsafe) private static var batch = DeliveryBatch()

    /// The frames that a super-frame stands for, their checksums partial.
    static func cut(_ bytes: [UInt8], _ segmenter: FrameSegmenter) -> [[UInt8]] {
        (0..<segmenter.count).map { cut(bytes, segmenter, number: $0) }
    }

    /// One of them.
    static func cut(_ bytes: [UInt8], _ segmenter: FrameSegmenter, number: Int) -> [UInt8] {
        let header = segmenter.headerLength
        let (start, count) = (segmenter.payloadOffset(number), segmenter.payloadCount(number))
        precondition(
            count > 0 && start >= header && start + count <= bytes.count,
            "a segment is not of its super-frame"
        )
        let template = Array(bytes.prefix(header))
        let head = [UInt8](unsafeUninitializedCapacity: header) { output, initialized in
            template.withUnsafeBytes { template in
                segmenter.writeHeader(
                    number,
                    template: template.baseAddress.unsafelyUnwrapped,
                    to: UnsafeMutableRawPointer(output.baseAddress.unsafelyUnwrapped)
                )
            }
            initialized = header
        }
        return head + bytes[start..<(start + count)]
    }

    /// What the coalescer makes of frames that arrive together.
    static func join(_ frames: [ArrivedFrame], tcp: Bool = true, udp: Bool = true) -> [(network: Int, frame: TAPFrame)]
    {
        let memories = frames.map { frame in
            let memory = UnsafeMutableRawPointer.allocate(byteCount: frame.bytes.count, alignment: 1)
            memory.copyMemory(from: frame.bytes, byteCount: frame.bytes.count)
            return memory
        }
        defer { for memory in memories { memory.deallocate() } }
        var coalescer = FrameCoalescer(joinsTCP: tcp, joinsUDP: udp)
        for (frame, memory) in zip(frames, memories) {
            let packet = InnerPacket(memory, count: frame.bytes.count)
            coalescer.add(
                memory,
                count: frame.bytes.count,
                network: frame.network,
                checksum: frame.checksum,
                packet: packet,
                to: &batch
            )
        }
        coalescer.finish(batch)
        defer { batch.removeAll() }
        return (0..<batch.count).map { place in
            let pieces = batch.pieces(of: place)
            let bytes = pieces.dropFirst().flatMap { UnsafeRawBufferPointer(start: $0.base, count: $0.count) }
            let offload = VirtioNetHeader(reading: pieces[0].base)
            return (batch.network(of: place), TAPFrame(offload: offload, bytes: bytes))
        }
    }

    /// Sets lengths and checksums as a sender would, the transport checksum partial or complete: whatever else the headers
    /// say stays.
    static func repair(_ bytes: inout [UInt8], packet: InnerPacket, complete: Bool) {
        bytes.withUnsafeMutableBytes { buffer in
            let frame = buffer.baseAddress.unsafelyUnwrapped
            let (header, transport) = (frame + packet.network, frame + packet.transport)
            let length = buffer.count - packet.transport
            if packet.isIPv6 {
                header.storeBigEndian(UInt16(truncatingIfNeeded: length), at: 4)
            } else {
                header.storeBigEndian(UInt16(truncatingIfNeeded: buffer.count - packet.network), at: 2)
                header.storeBigEndian(UInt16(0), at: 10)
                header.storeBigEndian(InternetChecksum.of(header, count: packet.transport - packet.network), at: 10)
            }
            if !packet.isTCP { transport.storeBigEndian(UInt16(truncatingIfNeeded: length), at: 4) }
            let pseudo = InnerPacket.pseudoHeaderSum(header, isIPv6: packet.isIPv6, isTCP: packet.isTCP)
            transport.storeBigEndian(InternetChecksum.fold(pseudo + UInt64(length)), at: packet.checksumOffset)
            if complete { InternetChecksum.complete(transport, count: length, offset: packet.checksumOffset) }
        }
    }

    /// Of any bytes.
    static func packet(_ bytes: [UInt8]) -> InnerPacket? {
        bytes.withUnsafeBytes { buffer in buffer.baseAddress.flatMap { InnerPacket($0, count: buffer.count) } }
    }

    /// Of any bytes.
    static func segmenter(_ frame: TAPFrame) -> FrameSegmenter? {
        frame.bytes.withUnsafeBytes { buffer in
            buffer.baseAddress.flatMap { FrameSegmenter($0, length: buffer.count, offload: frame.offload) }
        }
    }
}
