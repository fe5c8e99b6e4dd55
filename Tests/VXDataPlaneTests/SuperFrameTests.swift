import Testing
import VXWire

@testable import VXDataPlane

/// Super-frames on their way through two gateways: cut, sealed, opened, joined again.
@Suite struct SuperFrameTests {
    /// A super-frame as the kernel gives it: TCP or UDP, the checksum field holding the pseudo-header's sum.
    struct Shape: CustomTestStringConvertible, Sendable {
        var isIPv6 = false
        var isTCP = true
        var tags = 0
        var payload = 10_000
        var segmentSize = 1200

        var testDescription: String {
            "\(isTCP ? "TCP" : "UDP") over \(isIPv6 ? "IPv6" : "IPv4"), \(tags) tags, \(payload) by \(segmentSize)"
        }

        var network: Int { 14 + 4 * tags }
        var transport: Int { network + (isIPv6 ? 40 : 20) }
        var header: Int { transport + (isTCP ? 32 : 8) }

        var frame: [UInt8] {
            var bytes = TwoGateways.broadcast + TwoGateways.leftMAC
            bytes[0] = 0x02
            for tag in 0..<tags { bytes += [0x81, 0x00, 0x00, UInt8(tag + 1)] }
            let length = (isTCP ? 32 : 8) + payload
            func field(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 0xff), UInt8(value & 0xff)] }
            if isIPv6 {
                bytes += [0x86, 0xdd, 0x60, 0, 0, 0] + field(length) + [isTCP ? 6 : 17, 64]
                bytes += [0xfd] + [UInt8](repeating: 0, count: 14) + [1, 0xfd] + [UInt8](repeating: 0, count: 14) + [2]
            } else {
                var header: [UInt8] = [0x45, 0] + field(20 + length) + [0x12, 0x34, 0x40, 0, 64, isTCP ? 6 : 17, 0, 0]
                header += [10, 98, 0, 1, 10, 98, 0, 2]
                let sum = header.withUnsafeBytes { InternetChecksum.of($0.baseAddress!, count: 20) }
                header.replaceSubrange(10..<12, with: field(Int(sum)))
                bytes += [0x08, 0x00] + header
            }
            let addresses = Array(bytes[(network + (isIPv6 ? 8 : 12))..<transport])
            let pseudo = addresses + [0, isTCP ? 6 : 17] + field(length)
            let partial = pseudo.withUnsafeBytes {
                InternetChecksum.fold(InternetChecksum.sum($0.baseAddress!, count: $0.count))
            }
            bytes += [0x30, 0x39, 0x14, 0x51]
            if isTCP {
                bytes += [0xff, 0xff, 0xf0, 0x00, 1, 2, 3, 4, 0x80, 0x18, 0x20, 0x00] + field(Int(partial)) + [0, 0]
                bytes += [1, 1, 8, 10, 9, 9, 9, 9, 7, 7, 7, 7]
            } else {
                bytes += field(length) + field(Int(partial))
            }
            return bytes + (0..<payload).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }
        }

        var offload: VirtioNetHeader {
            var offload = VirtioNetHeader(
                checksumStart: UInt16(transport),
                checksumOffset: isTCP ? 16 : 6
            )
            offload.segmentation =
                !isTCP
                ? VirtioNetHeader.Segmentation.udp
                : isIPv6 ? VirtioNetHeader.Segmentation.tcp6 : VirtioNetHeader.Segmentation.tcp4
            offload.segmentSize = UInt16(segmentSize)
            offload.headerLength = UInt16(header)
            return offload
        }
    }

    static let shapes: [Shape] = [false, true].flatMap { isIPv6 in
        [false, true].flatMap { isTCP in
            [0, 1, 4].flatMap { tags in
                [(10_000, 1200), (9600, 1200), (1201, 1200), (1300, 100)].map { payload, size in
                    Shape(isIPv6: isIPv6, isTCP: isTCP, tags: tags, payload: payload, segmentSize: size)
                }
            }
        }
    }

    private func pass(_ shape: Shape, _ nodes: TwoGateways) -> [TwoGateways.Delivered] {
        let datagrams = nodes.forward(shape.frame, offload: shape.offload)
        let size = datagrams.first?.count ?? 0
        // As UDP_GRO gives them: a run as far as the sizes are equal.
        #expect(datagrams.dropLast().allSatisfy { $0.count == size })
        return nodes.receive(run: Array(datagrams.joined()), segmentSize: size)
    }

    @Test("a checksum that comes out as zero is all ones in UDP, where zero means none, and zero in TCP")
    func zeroChecksums() {
        for (offset, expected) in [(6, UInt16(0xffff)), (16, UInt16(0))] {
            var bytes = [UInt8](repeating: 0, count: 20)
            // What the other words lack to all ones.
            (bytes[0], bytes[1], bytes[2], bytes[3]) = (0x12, 0x34, 0xed, 0xcb)
            bytes.withUnsafeMutableBytes { InternetChecksum.complete($0.baseAddress!, count: 20, offset: offset) }
            #expect(UInt16(bytes[offset]) << 8 | UInt16(bytes[offset + 1]) == expected)
        }
    }

    @Test("cut and joined again, a super-frame is the same to the byte", arguments: shapes)
    func roundTrip(shape: Shape) {
        let delivered = pass(shape, TwoGateways())
        #expect(delivered == [TwoGateways.Delivered(offload: shape.offload, frame: shape.frame)])
    }

    @Test("without any offload every segment arrives alone, whole, and with a right checksum", arguments: shapes)
    func alone(shape: Shape) {
        let nodes = TwoGateways(offloads: .none)
        let delivered = nodes.forward(shape.frame, offload: shape.offload).flatMap {
            nodes.receive(run: $0, segmentSize: 0)
        }
        #expect(delivered.count == (shape.payload + shape.segmentSize - 1) / shape.segmentSize)
        var payload: [UInt8] = []
        for (number, one) in delivered.enumerated() {
            #expect(one.offload == VirtioNetHeader())
            let isRight = one.frame.withUnsafeBytes { bytes -> Bool in
                guard let base = bytes.baseAddress, let packet = InnerPacket(base, count: bytes.count) else {
                    return false
                }
                let length = packet.end - packet.transport
                let pseudo = InnerPacket.pseudoHeaderSum(
                    base + packet.network,
                    isIPv6: packet.isIPv6,
                    isTCP: packet.isTCP
                )
                let sum = InternetChecksum.sum(base + packet.transport, count: length)
                let header =
                    packet.isIPv6
                    ? 0xffff : InternetChecksum.fold(InternetChecksum.sum(base + packet.network, count: 20))
                return InternetChecksum.fold(pseudo + UInt64(length) + sum) == 0xffff && header == 0xffff
                    && packet.end == bytes.count
            }
            #expect(isRight, "segment \(number)")
            if shape.isTCP {
                let isLast = number == delivered.count - 1
                #expect(one.frame[shape.transport + 13] == (isLast ? 0x18 : 0x10), "PSH belongs to the last segment")
            }
            payload += one.frame[shape.header...]
        }
        #expect(payload == Array(shape.frame[shape.header...]))
    }

    @Test("frames of a flow that do not follow on stay apart, in the order they came")
    func order() {
        let nodes = TwoGateways()
        let shape = Shape(payload: 6000)
        let datagrams = nodes.forward(shape.frame, offload: shape.offload)
        #expect(datagrams.count == 5)
        // The third is missing: what comes after it must not be joined to what was before.
        let run = Array((datagrams[0...1] + datagrams[3...4]).joined())
        let delivered = nodes.receive(run: run, segmentSize: datagrams[0].count)
        #expect(delivered.count == 2)
        #expect(delivered.map(\.frame.count) == [shape.header + 2400, shape.header + 2400])
    }

    @Test("a complete checksum that is wrong stays wrong and keeps its frame alone")
    func wrongChecksum() {
        let nodes = TwoGateways(offloads: .none)
        let shape = Shape(payload: 4800)
        var frames = nodes.forward(shape.frame, offload: shape.offload).flatMap { nodes.receive($0) }
        frames[1][shape.header] ^= 1
        let joining = TwoGateways()
        let datagrams = frames.flatMap { joining.forward($0) }
        let delivered = joining.receive(run: Array(datagrams.joined()), segmentSize: datagrams[0].count)
        #expect(delivered.map(\.frame.count) == [frames[0].count, frames[1].count, shape.header + 2400])
        #expect(delivered[1].frame == frames[1] && !delivered[1].offload.isPartial)
    }

    @Test("a TCP super-frame for a smaller path is cut smaller")
    func smallerPath() {
        let nodes = TwoGateways()
        nodes.left.setPathMTU(800, of: PeerIndex(0))
        let shape = Shape(payload: 6000)
        let datagrams = nodes.forward(shape.frame, offload: shape.offload)
        #expect(datagrams.allSatisfy { $0.count + 28 <= 800 } && nodes.left.drops[.tooBig] == 0)
        let delivered = nodes.receive(run: Array(datagrams.joined()), segmentSize: datagrams[0].count)
        #expect(delivered.map(\.frame) == [shape.frame])
    }

    @Test("a super-frame that is flooded reaches every peer whole")
    func flooded() {
        let nodes = TwoGateways()
        var frame = Shape(isTCP: false).frame
        frame.replaceSubrange(0..<6, with: TwoGateways.broadcast)
        let datagrams = nodes.forward(frame, offload: Shape(isTCP: false).offload)
        let delivered = nodes.receive(run: Array(datagrams.joined()), segmentSize: datagrams[0].count)
        #expect(delivered.map(\.frame) == [frame])
    }

    @Test("vnet headers that contradict the frame: a counted drop, never a trap")
    func contradictions() {
        let nodes = TwoGateways()
        let shape = Shape(payload: 3000)
        var count: UInt64 = 0
        func refuse(_ offload: VirtioNetHeader, _ frame: [UInt8]) {
            count += 1
            #expect(nodes.forward(frame, offload: offload).isEmpty)
            #expect(nodes.left.drops[.invalidOffload] == count)
        }
        for start in [0, 13, 14, 33, 35, 3000, 65_535] {
            var offload = shape.offload
            offload.checksumStart = UInt16(start)
            refuse(offload, shape.frame)
        }
        for kind in [2, 3, 4, 5, 7, 0x7f] {
            var offload = shape.offload
            offload.segmentation = UInt8(kind)
            refuse(offload, shape.frame)
        }
        var offload = shape.offload
        offload.segmentSize = 0
        refuse(offload, shape.frame)
        offload = shape.offload
        offload.flags = 0
        refuse(offload, shape.frame)
        refuse(shape.offload, Array(shape.frame.prefix(shape.header)))
        var short = VirtioNetHeader(checksumStart: 60_000, checksumOffset: 16)
        refuse(short, shape.frame)
        short.checksumStart = 100
        refuse(short, Array(shape.frame.prefix(101)))
    }

    @Test("a run that the kernel says it received in parts of a wrong size: counted drops, nothing twice, never a trap")
    func runsThatDoNotDivide() {
        let shape = Shape(payload: 6000)
        for size in [0, 1, 15, 16, 31, 32, 33, 1000, 1293, 1295, 6000, 65_535] {
            let nodes = TwoGateways()
            let datagrams = nodes.forward(shape.frame, offload: shape.offload)
            #expect(size != datagrams[0].count)
            let run = Array(datagrams.joined())
            #expect(nodes.receive(run: run, segmentSize: size).isEmpty, "\(size)")
            let dropped = DropReason.allCases.reduce(0) { $0 + nodes.right.drops[$1] }
            #expect(dropped == (size == 0 ? 1 : UInt64((run.count + size - 1) / size)), "\(size)")
            // And the right size still finds all of it, for nothing was taken for seen.
            #expect(nodes.receive(run: run, segmentSize: datagrams[0].count).map(\.frame) == [shape.frame], "\(size)")
        }
    }

    @Test("any bytes under any vnet header: no trap")
    func anything() {
        let nodes = TwoGateways()
        var numbers = SystemRandomNumberGenerator()
        for _ in 0..<5_000 {
            let shape = Self.shapes.randomElement(using: &numbers)!
            var frame = Array(shape.frame.prefix(Int.random(in: 14...1400, using: &numbers)))
            for _ in 0..<Int.random(in: 0...4, using: &numbers) {
                frame[Int.random(in: 0..<min(frame.count, 80), using: &numbers)] = UInt8.random(
                    in: 0...255,
                    using: &numbers
                )
            }
            var offload = shape.offload
            if Bool.random(using: &numbers) { offload.segmentSize = UInt16.random(in: 0...65_535, using: &numbers) }
            if Bool.random(using: &numbers) { offload.checksumStart = UInt16.random(in: 0...100, using: &numbers) }
            for datagram in nodes.forward(frame, offload: offload) { _ = nodes.receive(datagram) }
        }
        #expect(nodes.right.drops[.authenticationFailed] == 0 && nodes.right.drops[.truncatedRecord] == 0)
    }
}
