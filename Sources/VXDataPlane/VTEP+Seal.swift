import VXCrypto
public import VXWire

// From frames to sealed datagrams: records, aggregation, the AEAD.
extension VTEP {
    /// Whether a frame of `count` bytes can be sealed before a flush, and the open datagram before it.
    @inline(__always)
    func hasRoom(for count: Int) -> Bool {
        outgoing.hasRoom(bytes: open.count &+ count &+ 2 &* (Self.headroom &+ Self.tailroom), datagrams: 2)
    }

    /// Makes a frame a record: of the open datagram if it is small and they share a session and a traffic class, of one of its
    /// own else: a router that treats or marks the datagram treats each frame as its own header asks.
    ///
    /// Uses the bytes before the frame for the record's and the VXLAN header.
    @inline(__always)
    mutating func seal(
        _ frame: UnsafeMutableRawPointer,
        count: Int,
        network: Int,
        isPartial: Bool,
        session: UnsafeMutablePointer<TransportSession>,
        now: Instant
    ) {
        let place = Int(session.pointee.peer.rawValue)
        let record = frame - VXLANHeader.length - RecordHeader.length
        let size = RecordHeader.length &+ VXLANHeader.length &+ count
        Self.writeRecordHeader(
            kind: RecordHeader.frameKind,
            flags: isPartial ? RecordHeader.checksumPartial : 0,
            length: VXLANHeader.length &+ count,
            at: record
        )
        Self.writeVXLANHeader(networks[network].vni, at: record + RecordHeader.length)
        peers[place].counters.countSentFrame(bytes: count)
        let trafficClass = cursor.trafficClass
        if open.session == session, open.trafficClass == trafficClass, open.count &+ size <= open.limit {
            (open.records + open.count).copyMemory(from: record, byteCount: size)
            open.count &+= size
            return
        }
        sealOpenDatagram(now: now)
        let limit = peers[place].largestRecords
        if size &* 2 <= limit, offloads.aggregates, session.pointee.takesAggregates {
            open.session = session
            open.limit = limit
            open.records.copyMemory(from: record, byteCount: size)
            open.count = size
            open.trafficClass = trafficClass
            return
        }
        _ = sealDatagram(records: record, count: size, trafficClass: trafficClass, session: session, now: now)
    }

    /// Seals what small frames were gathered so far: nothing waits for more to come.
    @inline(__always)
    public mutating func sealOpenDatagram(now: Instant) {
        guard let session = open.session else { return }
        _ = sealDatagram(
            records: open.records,
            count: open.count,
            trafficClass: open.trafficClass,
            session: session,
            now: now
        )
        open.session = nil
        open.count = 0
    }

    @inline(__always)
    static func writeRecordHeader(kind: UInt8, flags: UInt8 = 0, length: Int, at base: UnsafeMutableRawPointer) {
        let word = UInt32(kind) &<< 24 | UInt32(flags) &<< 16 | UInt32(truncatingIfNeeded: length)
        base.storeBytes(of: word.bigEndian, as: UInt32.self)
    }

    /// Seals `count` bytes of records into the outgoing batch. The counter is consumed here, before sealing, and stays
    /// consumed whatever becomes of the datagram.
    /// - Returns: false when it was dropped and counted; the batch is then as it was.
    @inline(__always)
    mutating func sealDatagram(
        records: UnsafeRawPointer,
        count: Int,
        trafficClass: UInt8 = 0,
        session: UnsafeMutablePointer<TransportSession>,
        now: Instant
    ) -> Bool {
        let place = Int(session.pointee.peer.rawValue)
        guard let endpoint = peers[place].endpoint else {
            countDrop(.noEndpoint, peer: session.pointee.peer)
            return false
        }
        let counter = session.pointee.sendCounter
        guard counter < TransportLimits.rejectAfterMessages else {
            countDrop(.counterExhausted, peer: session.pointee.peer)
            return false
        }
        session.pointee.sendCounter = counter &+ 1
        let datagram = outgoing.next
        let size = SealedHeader.length &+ count &+ Self.tailroom
        precondition(outgoing.hasRoom(bytes: size, datagrams: 1), "a datagram was sealed into a full batch")
        let first = UInt32(MessageType.transport.rawValue) &<< 24 | UInt32(truncatingIfNeeded: lane) &<< 16
        datagram.storeBytes(of: first.bigEndian, as: UInt32.self)
        datagram.storeBytes(of: session.pointee.remoteIndex.rawValue.bigEndian, toByteOffset: 4, as: UInt32.self)
        datagram.storeBytes(of: counter.bigEndian, toByteOffset: 8, as: UInt64.self)
        let isSealed = cipher.seal(
            into: datagram + SealedHeader.length,
            from: records,
            count: count,
            header: UnsafeRawPointer(datagram),
            counter: counter,
            key: session.pointee.sendKey
        )
        guard isSealed else {
            countDrop(.sealFailed, peer: session.pointee.peer)
            return false
        }
        outgoing.commit(
            size,
            peer: place,
            endpoint: endpoint,
            path: peers[place].sealedPath,
            trafficClass: trafficClass
        )
        peers[place].counters.countSentDatagram()
        session.pointee.counters.noteSent(now: now.nanoseconds, data: count > 0, counter: counter &+ 1)
        return true
    }
}
