import VXWire

/// Joins neighbouring frames of one flow into super-frames for the kernel, as its own GRO does: TCP segments whose
/// sequence follows on, UDP datagrams of one size. Only what segmentation gives back to the byte is joined.
///
/// A frame may join only the newest run of its flow, and any frame of the flow that cannot join closes that run, so that no
/// frame overtakes another of its flow.
struct FrameCoalescer: ~Copyable {
    /// What is known of a frame's TCP or UDP checksum.
    enum Checksum {
        /// It holds the pseudo-header's sum, and what it would protect is authentic.
        case partial
        /// Somebody else has computed it: it stays as it is, or is verified before it is given up.
        case complete
    }

    /// A run that may still grow.
    private struct OpenRun {
        var key: UInt64
        var place: Int32
        /// Offsets of the first frame.
        var network: UInt16
        var transport: UInt16
        var payload: UInt16
        var isIPv6: Bool
        var isTCP: Bool
        var isPartial: Bool
        /// The first frame's complete checksum was found right.
        var isVerified: Bool
        /// What the next TCP segment must start with.
        var sequence: UInt32
        /// Payload bytes of each frame but the last.
        var segmentSize: Int
        /// Of the newest frame (IPv4).
        var identification: UInt16
    }

    private static let openRuns = 8
    /// Most bytes of a run's IP packet.
    private static let mostBytes = 65_535
    private static let mostDatagrams = 64

    private var open: InlineArray<8, OpenRun>
    private var openCount = 0
    /// The entry that is given up for the next flow.
    private var oldest = 0
    private let joinsTCP: Bool
    private let joinsUDP: Bool

    /// - Parameters:
    ///   - joinsTCP: the device takes TCP super-frames.
    ///   - joinsUDP: the device takes UDP super-frames.
    init(joinsTCP: Bool, joinsUDP: Bool) {
        self.joinsTCP = joinsTCP
        self.joinsUDP = joinsUDP
        open = InlineArray(
            repeating: OpenRun(
                key: 0,
                place: -1,
                network: 0,
                transport: 0,
                payload: 0,
                isIPv6: false,
                isTCP: false,
                isPartial: false,
                isVerified: false,
                sequence: 0,
                segmentSize: 0,
                identification: 0
            )
        )
    }

    /// Adds a frame to the batch, as part of a run or alone.
    @inline(__always)
    mutating func add(
        _ frame: UnsafeMutableRawPointer,
        count: Int,
        network: Int,
        checksum: Checksum,
        packet: InnerPacket?,
        to batch: inout DeliveryBatch
    ) {
        guard let packet else {
            _ = batch.append(frame, count: count, network: network, offload: VirtioNetHeader())
            return
        }
        let offload = checksum == .partial ? packet.partialOffload : VirtioNetHeader()
        guard packet.isTCP ? joinsTCP : joinsUDP else {
            _ = batch.append(frame, count: count, network: network, offload: offload)
            return
        }
        let key = Self.key(UnsafeRawPointer(frame), packet: packet, network: network)
        let entry = find(key)
        if entry >= 0 {
            if join(frame, packet: packet, checksum: checksum, entry: entry, batch: &batch) { return }
            close(entry)
        }
        let place = batch.append(frame, count: count, network: network, offload: offload)
        openRun(frame, packet: packet, count: count, checksum: checksum, key: key, place: place)
    }

    /// No run grows any more: makes the headers of every run's first frame those of the whole run, before the batch is
    /// written.
    mutating func finish(_ batch: borrowing DeliveryBatch) {
        openCount = 0
        oldest = 0
        for place in 0..<batch.count where batch.run(place).pointee.pieceCount > 0 { Self.complete(batch.run(place)) }
    }

    @inline(__always)
    private func find(_ key: UInt64) -> Int {
        for entry in 0..<openCount where open[entry].key == key { return entry }
        return -1
    }

    /// A key of zero is never looked for.
    @inline(__always)
    private mutating func close(_ entry: Int) { open[entry].key = 0 }

    @inline(__always)
    private static func key(_ frame: UnsafeRawPointer, packet: InnerPacket, network: Int) -> UInt64 {
        let header = frame + packet.network
        let addresses: UInt64
        if packet.isIPv6 {
            let first = header.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
            let second = header.loadUnaligned(fromByteOffset: 16, as: UInt64.self)
            let third = header.loadUnaligned(fromByteOffset: 24, as: UInt64.self)
            let fourth = header.loadUnaligned(fromByteOffset: 32, as: UInt64.self)
            addresses = (first &* 3) ^ (second &* 5) ^ (third &* 7) ^ (fourth &* 11)
        } else {
            addresses = header.loadUnaligned(fromByteOffset: 12, as: UInt64.self)
        }
        let ports = UInt64(frame.loadUnaligned(fromByteOffset: packet.transport, as: UInt32.self))
        let rest = ports &<< 17 ^ UInt64(truncatingIfNeeded: network) &<< 1 ^ (packet.isTCP ? 1 : 0)
        return (addresses ^ (rest &* 0x9e37_79b9_7f4a_7c15)) | 1
    }

    /// Starts a run with a frame that others may follow.
    @inline(__always)
    private mutating func openRun(
        _ frame: UnsafeRawPointer,
        packet: InnerPacket,
        count: Int,
        checksum: Checksum,
        key: UInt64,
        place: Int
    ) {
        let length = packet.end &- packet.payload
        guard length > 0, packet.end == count, Self.mayLead(frame, packet: packet) else { return }
        var entry = find(0)
        if entry < 0 {
            if openCount < Self.openRuns {
                entry = openCount
                openCount &+= 1
            } else {
                entry = oldest
                oldest = (oldest &+ 1) % Self.openRuns
            }
        }
        open[entry] = OpenRun(
            key: key,
            place: Int32(truncatingIfNeeded: place),
            network: UInt16(truncatingIfNeeded: packet.network),
            transport: UInt16(truncatingIfNeeded: packet.transport),
            payload: UInt16(truncatingIfNeeded: packet.payload),
            isIPv6: packet.isIPv6,
            isTCP: packet.isTCP,
            isPartial: checksum == .partial,
            isVerified: false,
            sequence: packet.isTCP
                ? frame.bigEndian32(at: packet.transport &+ 4) &+ UInt32(truncatingIfNeeded: length) : 0,
            segmentSize: length,
            identification: packet.isIPv6 ? 0 : frame.bigEndian16(at: packet.network &+ 4)
        )
    }

    /// Only ACK, perhaps with ECE: nothing that a later segment must not be behind. IPv4 options, a wrong IPv4 checksum and a
    /// UDP datagram without a checksum stay alone.
    @inline(__always)
    private static func mayLead(_ frame: UnsafeRawPointer, packet: InnerPacket) -> Bool {
        if !packet.isIPv6 {
            guard packet.transport &- packet.network == 20, isHeaderRight(frame + packet.network) else { return false }
        }
        if packet.isTCP { return frame.load(fromByteOffset: packet.transport &+ 13, as: UInt8.self) & 0xbf == 0x10 }
        return frame.bigEndian16(at: packet.transport &+ 6) != 0
    }

    /// Joins a frame to an open run if segmentation would give it back to the byte.
    @inline(__always)
    private mutating func join(
        _ mutableFrame: UnsafeMutableRawPointer,
        packet: InnerPacket,
        checksum: Checksum,
        entry: Int,
        batch: inout DeliveryBatch
    ) -> Bool {
        let frame = UnsafeRawPointer(mutableFrame)
        let run = open[entry]
        let place = Int(run.place)
        let length = packet.end &- packet.payload
        let first = UnsafeRawPointer(batch.run(place).pointee.frame)
        let total = batch.run(place).pointee.bytes &- Int(run.network) &+ length
        guard length > 0, length <= run.segmentSize, total <= Self.mostBytes,
            batch.run(place).pointee.pieceCount &+ 2 <= (run.isTCP ? DeliveryBatch.mostFrames : Self.mostDatagrams),
            packet.network == Int(run.network), packet.transport == Int(run.transport),
            packet.payload == Int(run.payload), packet.isIPv6 == run.isIPv6, packet.isTCP == run.isTCP,
            (checksum == .partial) == run.isPartial,
            Self.headersAgree(first, frame, packet: packet, sequence: run.sequence)
        else { return false }
        var identification: UInt16 = 0
        if !packet.isIPv6 {
            identification = frame.bigEndian16(at: packet.network &+ 4)
            // Atomic datagrams may also share one (RFC 6864, 4.1): it means nothing in them.
            let isAtomic = frame.bigEndian16(at: packet.network &+ 6) & 0x4000 != 0
            guard identification == run.identification &+ 1 || isAtomic && identification == run.identification,
                Self.isHeaderRight(frame + packet.network)
            else { return false }
        }
        if checksum == .complete {
            // The kernel will compute it anew: what was wrong before must stay wrong.
            guard run.isVerified || Self.isRight(first, packet: packet, end: batch.run(place).pointee.count),
                Self.isRight(frame, packet: packet, end: packet.end)
            else { return false }
            open[entry].isVerified = true
        }
        batch.extend(place, by: mutableFrame + packet.payload, count: length)
        open[entry].sequence = run.sequence &+ UInt32(truncatingIfNeeded: length)
        open[entry].identification = identification
        var isLast = length < run.segmentSize
        if packet.isTCP {
            // PSH and FIN of the last segment stand for the run.
            let flags = frame.load(fromByteOffset: packet.transport &+ 13, as: UInt8.self)
            if flags & 0x09 != 0 {
                let target = batch.run(place).pointee.frame + (packet.transport &+ 13)
                target.storeBytes(of: flags, as: UInt8.self)
                isLast = true
            }
        }
        if isLast { close(entry) }
        return true
    }

    /// Whether everything but lengths, identification, sequence, PSH and FIN, and checksums is equal, and the sequence
    /// follows on.
    @inline(__always)
    private static func headersAgree(
        _ first: UnsafeRawPointer,
        _ frame: UnsafeRawPointer,
        packet: InnerPacket,
        sequence: UInt32
    ) -> Bool {
        guard areEqual(first, frame, from: 0, to: packet.network) else { return false }
        let (start, transport) = (packet.network, packet.transport)
        if packet.isIPv6 {
            // Version, class and flow label; next header and hop limit; addresses.
            guard areEqual(first, frame, from: start, to: start &+ 4),
                areEqual(first, frame, from: start &+ 6, to: start &+ 40)
            else { return false }
        } else {
            // Version, header length and DSCP; flags and TTL and protocol; addresses.
            guard areEqual(first, frame, from: start, to: start &+ 2),
                areEqual(first, frame, from: start &+ 6, to: start &+ 10),
                areEqual(first, frame, from: start &+ 12, to: start &+ 20)
            else { return false }
        }
        guard areEqual(first, frame, from: transport, to: transport &+ 4) else { return false }
        if packet.isTCP {
            let flags = frame.load(fromByteOffset: transport &+ 13, as: UInt8.self)
            let lead = first.load(fromByteOffset: transport &+ 13, as: UInt8.self)
            return frame.bigEndian32(at: transport &+ 4) == sequence && (flags ^ lead) & ~0x09 == 0
                && areEqual(first, frame, from: transport &+ 8, to: transport &+ 13)
                && areEqual(first, frame, from: transport &+ 14, to: transport &+ 16)
                && areEqual(first, frame, from: transport &+ 18, to: packet.payload)
        }
        return frame.bigEndian16(at: transport &+ 6) != 0
    }

    @inline(__always)
    private static func areEqual(_ left: UnsafeRawPointer, _ right: UnsafeRawPointer, from: Int, to end: Int) -> Bool {
        var offset = from
        var difference: UInt32 = 0
        while offset &+ 4 <= end {
            difference |=
                left.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
                ^ right.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
            offset &+= 4
        }
        while offset < end {
            difference |= UInt32(
                left.load(fromByteOffset: offset, as: UInt8.self) ^ right.load(fromByteOffset: offset, as: UInt8.self)
            )
            offset &+= 1
        }
        return difference == 0
    }

    /// Whether the checksum of an IPv4 header of 20 bytes is right. Segmentation writes right ones: a wrong one must stay wrong.
    @inline(__always)
    private static func isHeaderRight(_ header: UnsafeRawPointer) -> Bool {
        InternetChecksum.fold(InternetChecksum.sum(header, count: 20)) == 0xffff
    }

    /// Whether a complete checksum is right.
    @inline(never)
    private static func isRight(_ frame: UnsafeRawPointer, packet: InnerPacket, end: Int) -> Bool {
        let length = end &- packet.transport
        let pseudo = InnerPacket.pseudoHeaderSum(frame + packet.network, isIPv6: packet.isIPv6, isTCP: packet.isTCP)
        let sum = InternetChecksum.sum(frame + packet.transport, count: length)
        return InternetChecksum.fold(pseudo &+ UInt64(length) &+ sum) == 0xffff
    }

    private static func complete(_ run: UnsafeMutablePointer<DeliveredRun>) {
        let frame = run.pointee.frame
        // It was parsed before: the headers are there.
        guard let packet = InnerPacket(frame, count: run.pointee.count) else { return }
        let header = frame + packet.network
        let total = run.pointee.bytes &- packet.network
        if packet.isIPv6 {
            header.storeBigEndian(UInt16(truncatingIfNeeded: total &- 40), at: 4)
        } else {
            // The checksum follows by RFC 1624, equation 3.
            let old = UnsafeRawPointer(header).bigEndian16(at: 2)
            let checksum = UnsafeRawPointer(header).bigEndian16(at: 10)
            let new = UInt16(truncatingIfNeeded: total)
            let sum = UInt64(~checksum) &+ UInt64(~old) &+ UInt64(new)
            header.storeBigEndian(new, at: 2)
            header.storeBigEndian(InternetChecksum.finish(sum), at: 10)
        }
        let transport = frame + packet.transport
        let length = run.pointee.bytes &- packet.transport
        if !packet.isTCP { transport.storeBigEndian(UInt16(truncatingIfNeeded: length), at: 4) }
        let pseudo = InnerPacket.pseudoHeaderSum(header, isIPv6: packet.isIPv6, isTCP: packet.isTCP)
        transport.storeBigEndian(InternetChecksum.fold(pseudo &+ UInt64(length)), at: packet.checksumOffset)
        run.pointee.offload = packet.superFrameOffload(segmentSize: run.pointee.count &- packet.payload)
    }
}
