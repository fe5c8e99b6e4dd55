import VXCrypto
public import VXWire

extension VTEP {
    /// Sends a frame from a network's own device to where it belongs: to the peer that has its destination, or to all
    /// peers of the network (head-end replication).
    ///
    /// The bytes must stay until the outgoing batch is flushed, with `headroom` free bytes before and `tailroom`
    /// behind, all of which this uses.
    /// - Parameters:
    ///   - frame: the Ethernet header's first byte.
    ///   - count: the frame's length without FCS.
    ///   - network: the place of the network.
    ///   - now: one reading of the clock per batch is enough.
    #if !DEBUG
        @_noLocks
    #endif
    public mutating func forward(
        _ frame: UnsafeMutableRawPointer,
        count: Int,
        network: Int,
        now: Instant
    ) -> Progress {
        guard count >= EthernetFrame.headerLength else { return drop(.shortFrame) }
        let destination = Self.macAddress(at: frame)
        let source = Self.macAddress(at: frame + 6)
        if source.isMulticast || source.isZero { return drop(.invalidSource) }
        if destination.isLinkLocal, !networks[network].forwardLinkLocal { return drop(.linkLocal) }
        // The own device's stations are always known, or a peer could claim them.
        _ = networks[network].forwarding.learn(source, from: ForwardingDatabase.localDevice, now: now)
        let hash = networks[network].mode == .plaintext ? flowHash(of: frame, count: count) : 0

        if !destination.isMulticast, let peer = networks[network].forwarding.lookup(destination, now: now) {
            if peer == ForwardingDatabase.localDevice { return drop(.hairpin) }
            sendToOne(frame, count: count, network: network, peer: peer, flowHash: hash, now: now)
            return .finished
        }
        if networks[network].members.isEmpty { return drop(.noPeer) }
        flood = FloodCursor(frame: frame, count: count, network: network, next: 0, flowHash: hash)
        return resumeFlood(now: now)
    }

    /// Goes on with a flood that found the outgoing batch full; the caller has flushed it since.
    #if !DEBUG
        @_noLocks
    #endif
    public mutating func resumeFlood(now: Instant) -> Progress {
        guard let frame = flood.frame else { return .finished }
        let network = flood.network
        let memberCount = networks[network].members.count
        while flood.next < memberCount {
            if !canForward { return .batchFull }
            let peer = networks[network].members[flood.next]
            flood.next &+= 1
            if networks[network].mode == .plaintext {
                // Every copy is the same bytes: all datagrams point at one buffer.
                sendPlaintext(frame, count: flood.count, network: network, peer: peer, flowHash: flood.flowHash)
            } else {
                floodSealed(frame, count: flood.count, network: network, peer: peer, now: now)
            }
        }
        flood.frame = nil
        return .finished
    }

    @inline(__always)
    private func drop(_ reason: DropReason) -> Progress {
        drops.count(reason)
        return .finished
    }

    @inline(__always)
    static func macAddress(at base: UnsafeRawPointer) -> MACAddress {
        let high = UInt64(UInt32(bigEndian: base.loadUnaligned(as: UInt32.self)))
        let low = UInt64(UInt16(bigEndian: base.loadUnaligned(fromByteOffset: 4, as: UInt16.self)))
        return MACAddress(high &<< 16 | low)
    }

    /// The analysis takes the end of a view's life for a possible release; `make hotcheck` shows that there is none.
    @inline(never)
    @_semantics("no_performance_analysis")
    private func flowHash(of frame: UnsafeMutableRawPointer, count: Int) -> UInt32 {
        VXWire.flowHash(frame: UnsafeRawBufferPointer(start: frame, count: count).bytes)
    }

    @inline(__always)
    private mutating func sendToOne(
        _ frame: UnsafeMutableRawPointer,
        count: Int,
        network: Int,
        peer: PeerIndex,
        flowHash: UInt32,
        now: Instant
    ) {
        guard networks[network].mode == .sealed else {
            sendPlaintext(frame, count: count, network: network, peer: peer, flowHash: flowHash)
            return
        }
        guard let session = usableSession(of: peer, now: now) else {
            wait(frame, count: count, network: network, peer: peer, now: now)
            return
        }
        if count > peers[Int(peer.rawValue)].largestFrame {
            handleTooBig(frame, count: count, network: network, session: session, now: now)
            return
        }
        seal(frame, count: count, network: network, into: frame - Self.headroom, session: session, now: now)
    }

    @inline(__always)
    private mutating func sendPlaintext(
        _ frame: UnsafeMutableRawPointer,
        count: Int,
        network: Int,
        peer: PeerIndex,
        flowHash: UInt32
    ) {
        let place = Int(peer.rawValue)
        guard let endpoint = peers[place].endpoint else { return drops.count(.noEndpoint) }
        let base = frame - VXLANHeader.length
        Self.writeVXLANHeader(networks[network].vni, at: base)
        send(base, VXLANHeader.length &+ count, to: endpoint, by: .plaintext(flowHash: flowHash))
        peers[place].counters.countSent(frames: 1, bytes: count)
    }

    /// Seals one copy of a flooded frame into a slot of its own; the frame itself stays clear for the next peer.
    @inline(__always)
    private mutating func floodSealed(
        _ frame: UnsafeMutableRawPointer,
        count: Int,
        network: Int,
        peer: PeerIndex,
        now: Instant
    ) {
        guard let session = usableSession(of: peer, now: now) else {
            wait(frame, count: count, network: network, peer: peer, now: now)
            return
        }
        if count > peers[Int(peer.rawValue)].largestFrame {
            handleTooBig(frame, count: count, network: network, session: session, now: now)
            return
        }
        seal(frame, count: count, network: network, into: scratch.take(), session: session, now: now)
    }

    /// The pair that frames to the peer are sealed under, while it is young enough.
    @inline(__always)
    func usableSession(of peer: PeerIndex, now: Instant) -> UnsafeMutablePointer<TransportSession>? {
        guard let session = peers[Int(peer.rawValue)].sending, isYoung(session, now: now) else { return nil }
        return session
    }

    @inline(__always)
    func isYoung(_ session: UnsafeMutablePointer<TransportSession>, now: Instant) -> Bool {
        now.since(session.pointee.createdAt) < TransportLimits.rejectAfterTime
            && session.pointee.sendCounter < TransportLimits.rejectAfterMessages
    }

    @inline(__always)
    static func writeVXLANHeader(_ vni: VNI, at base: UnsafeMutableRawPointer) {
        // RFC 7348, 5: flags with only I set, 24 reserved bits; VNI, 8 reserved bits.
        base.storeBytes(of: UInt32(0x0800_0000).bigEndian, as: UInt32.self)
        base.storeBytes(of: (vni.rawValue &<< 8).bigEndian, toByteOffset: 4, as: UInt32.self)
    }

    /// Makes the one-record datagram of a frame at `datagram`, which either lies `headroom` before the frame (sealed in
    /// place) or apart from it.
    @inline(__always)
    mutating func seal(
        _ frame: UnsafeMutableRawPointer,
        count: Int,
        network: Int,
        into datagram: UnsafeMutableRawPointer,
        session: UnsafeMutablePointer<TransportSession>,
        now: Instant
    ) {
        let body = VXLANHeader.length &+ count
        let record = frame - VXLANHeader.length - RecordHeader.length
        Self.writeRecordHeader(kind: RecordHeader.frameKind, length: body, at: record)
        Self.writeVXLANHeader(networks[network].vni, at: record + RecordHeader.length)
        guard sealDatagram(datagram, records: record, count: RecordHeader.length &+ body, session: session, now: now)
        else { return }
        peers[Int(session.pointee.peer.rawValue)].counters.countSent(frames: 1, bytes: count)
    }

    @inline(__always)
    static func writeRecordHeader(kind: UInt8, length: Int, at base: UnsafeMutableRawPointer) {
        let word = UInt32(kind) &<< 24 | UInt32(truncatingIfNeeded: length)
        base.storeBytes(of: word.bigEndian, as: UInt32.self)
    }

    /// Seals `count` bytes of records into a datagram and puts it on the outgoing batch. The counter is consumed here,
    /// before sealing, and stays consumed whatever becomes of the datagram.
    @inline(__always)
    mutating func sealDatagram(
        _ datagram: UnsafeMutableRawPointer,
        records: UnsafeRawPointer,
        count: Int,
        session: UnsafeMutablePointer<TransportSession>,
        now: Instant
    ) -> Bool {
        guard let endpoint = peers[Int(session.pointee.peer.rawValue)].endpoint else {
            drops.count(.noEndpoint)
            return false
        }
        let counter = session.pointee.sendCounter
        session.pointee.sendCounter = counter &+ 1
        let first = UInt32(MessageType.transport.rawValue) &<< 24 | UInt32(truncatingIfNeeded: lane) &<< 16
        datagram.storeBytes(of: first.bigEndian, as: UInt32.self)
        datagram.storeBytes(of: session.pointee.remoteIndex.rawValue.bigEndian, toByteOffset: 4, as: UInt32.self)
        datagram.storeBytes(of: counter.bigEndian, toByteOffset: 8, as: UInt64.self)
        cipher.seal(
            into: datagram + SealedHeader.length,
            from: records,
            count: count,
            header: UnsafeRawPointer(datagram),
            counter: counter,
            key: session.pointee.sendKey
        )
        send(datagram, SealedHeader.length &+ count &+ Self.tailroom, to: endpoint, by: .sealed)
        session.pointee.counters.noteSent(now: now.nanoseconds, data: count > 0, counter: counter &+ 1)
        return true
    }
}

/// The limits of a key pair that the lanes themselves enforce (protocol.md, 4); the handshake renews pairs long before.
enum TransportLimits {
    /// REJECT_AFTER_TIME.
    static let rejectAfterTime = Interval.seconds(180)
    /// REJECT_AFTER_MESSAGES.
    static let rejectAfterMessages = ReplayWindow.limit
}
