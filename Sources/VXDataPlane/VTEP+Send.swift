import VXCrypto
public import VXWire

extension VTEP {
    /// Sends a frame from a network's own device to where it belongs: to the peer that has its destination, or to all
    /// peers of the network (head-end replication).
    ///
    /// The bytes must stay until this or `resume` has returned `finished`, with `headroom` free bytes before them; a
    /// super-frame's bytes are used up.
    /// - Parameters:
    ///   - frame: the Ethernet header's first byte.
    ///   - count: the frame's length without FCS.
    ///   - offload: what the kernel said of the frame.
    ///   - network: the place of the network.
    ///   - now: one reading of the clock per batch is enough.
    #if !DEBUG && compiler(>=6.3)
        @_noLocks
    #endif
    public mutating func forward(
        _ frame: UnsafeMutableRawPointer,
        count: Int,
        offload: VirtioNetHeader = VirtioNetHeader(),
        network: Int,
        now: Instant
    ) -> Progress {
        guard count >= EthernetFrame.headerLength else {
            return drop(.shortFrame, frame, count: count, network: network, now: now)
        }
        let destination = Self.macAddress(at: frame)
        let source = Self.macAddress(at: frame + 6)
        if source.isMulticast || source.isZero {
            return drop(.invalidSource, frame, count: count, network: network, now: now)
        }
        guard networks[network].admitsTag(of: frame, count: count) else {
            return drop(.vlanNotAllowed, frame, count: count, network: network, now: now)
        }
        if destination.isLinkLocal, !networks[network].forwardLinkLocal {
            return drop(.linkLocal, frame, count: count, network: network, now: now)
        }
        // The own device's stations are always known, or a peer could claim them.
        switch networks[network].forwarding.learn(source, from: ForwardingDatabase.localDevice, now: now) {
        case .known, .localStation, .refused: break
        case .foreign: return drop(.exclusiveMAC, frame, count: count, network: network, now: now)
        case .frozen: return drop(.macFlap, frame, count: count, network: network, now: now)
        }

        cursor.frame = nil
        cursor.isFlood = true
        if !destination.isMulticast, let peer = networks[network].forwarding.lookup(destination, now: now) {
            if peer == ForwardingDatabase.localDevice {
                return drop(.hairpin, frame, count: count, network: network, now: now)
            }
            cursor.isFlood = false
            cursor.peer = peer
        } else if networks[network].suppresses, destination.isMulticast, !offload.isPartial,
            Self.isNeighborMessage(frame, count: count),
            answerNeighbor(frame, count: count, network: network, now: now)
        {
            return .finished
        } else if networks[network].members.isEmpty {
            return drop(.noPeer, frame, count: count, network: network, now: now)
        } else if networks[network].flood == .none {
            return drop(.notFlooded, frame, count: count, network: network, now: now)
        }
        guard take(frame, count: count, offload: offload, network: network) else {
            return drop(.invalidOffload, frame, count: count, network: network, now: now)
        }
        if cursor.isFlood, destination.isMulticast {
            chooseGroup(frame, count: count, from: ForwardingDatabase.localDevice, now: now)
        }
        if cursor.isFlood, let buckets = networks[network].buckets,
            !buckets.take(cursor.segmenter?.count ?? 1, from: ForwardingDatabase.localDevice, now: now)
        {
            cursor.frame = nil
            return drop(.floodLimited, frame, count: count, network: network, now: now)
        }
        return resume(now: now)
    }

    /// Makes a frame the one that is being sent; false when what the kernel said of it is impossible.
    @inline(__always)
    mutating func take(
        _ frame: UnsafeMutableRawPointer,
        count: Int,
        offload: VirtioNetHeader,
        network: Int
    ) -> Bool {
        cursor.count = count
        cursor.network = network
        cursor.offload = offload
        cursor.isPartial = false
        cursor.segmenter = nil
        cursor.nextMember = 0
        cursor.nextSegment = 0
        cursor.floodSide = nil
        cursor.audience = .all
        cursor.origin = nil
        if offload.isSuperFrame {
            guard let segmenter = FrameSegmenter(frame, length: count, offload: offload) else { return false }
            template.copyMemory(from: frame, byteCount: segmenter.headerLength)
            cursor.segmenter = segmenter
        } else if offload.isPartial {
            let start = Int(offload.checksumStart)
            let field = Int(offload.checksumOffset)
            guard start &+ field &+ 2 <= count else { return false }
            if let packet = InnerPacket(frame, count: count), packet.transport == start, packet.checksumOffset == field
            {
                cursor.isPartial = true
            } else {
                InternetChecksum.complete(frame + start, count: count &- start, offset: field)
            }
        }
        cursor.trafficClass = TrafficClass.outer(of: frame, count: count) & networks[network].trafficClassMask
        cursor.flowHash = networks[network].mode != .sealed ? flowHash(of: frame, count: count) : 0
        cursor.frame = frame
        return true
    }

    /// Goes on with a frame that found the outgoing batch full; the caller has flushed it since.
    #if !DEBUG && compiler(>=6.3)
        @_noLocks
    #endif
    public mutating func resume(now: Instant) -> Progress {
        guard let frame = cursor.frame else { return .finished }
        if cursor.isFlood {
            let members = networks[cursor.network].members.count
            while cursor.nextMember < members {
                let peer = networks[cursor.network].members[cursor.nextMember]
                if isFlooded(peer, now: now), send(frame, to: peer, now: now) == .batchFull { return .batchFull }
                cursor.nextMember &+= 1
                cursor.nextSegment = 0
            }
        } else if send(frame, to: cursor.peer, now: now) == .batchFull {
            return .batchFull
        }
        cursor.frame = nil
        return .finished
    }

    /// Whether the flood under way goes to the peer.
    @inline(__always)
    private func isFlooded(_ peer: PeerIndex, now: Instant) -> Bool {
        if !cursor.audience.isAll, !isConcerned(peer, now: now) { return false }
        guard let side = cursor.floodSide else { return true }
        return (side == .plaintext) == peers[Int(peer.rawValue)].isPlaintext
    }

    @inline(__always)
    private func drop(
        _ reason: DropReason,
        _ frame: UnsafeRawPointer,
        count: Int,
        network: Int,
        now: Instant
    ) -> Progress {
        dropSent(reason, frame, count: count, network: network, now: now)
        return .finished
    }

    /// Drops the frame under way for one peer.
    @inline(__always)
    private func drop(_ reason: DropReason, _ frame: UnsafeRawPointer, for place: Int, now: Instant) -> Progress {
        let peer = PeerIndex(UInt16(truncatingIfNeeded: place))
        dropSent(reason, frame, count: cursor.count, network: cursor.network, peer: peer, now: now)
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

    /// Sends the frame, or what is left of it, to one peer.
    @inline(__always)
    private mutating func send(_ frame: UnsafeMutableRawPointer, to peer: PeerIndex, now: Instant) -> Progress {
        let place = Int(peer.rawValue)
        if peers[place].isPlaintext { return sendPlaintext(frame, place: place, now: now) }
        guard hasRoom(for: cursor.count) else { return .batchFull }
        guard let session = usableSession(of: peer, now: now) else {
            // Half a super-frame is of no use: what was sent of it stays sent.
            if cursor.nextSegment > 0 {
                countDrop(.noSession, peer: peer)
                return .finished
            }
            wait(frame, peer: peer, now: now)
            return .finished
        }
        if cursor.segmenter != nil { return sendSegments(frame, place: place, session: session, now: now) }
        if cursor.count > peers[place].largestFrame {
            completeChecksum(frame)
            handleTooBig(frame, count: cursor.count, network: cursor.network, session: session, now: now)
            return .finished
        }
        if cursor.isPartial, !session.pointee.takesPartialChecksums { completeChecksum(frame) }
        if captures.passedFrames != 0 {
            captureSent(frame, to: place, epoch: session.pointee.epoch, now: now)
        }
        seal(
            frame,
            count: cursor.count,
            network: cursor.network,
            isPartial: cursor.isPartial,
            session: session,
            now: now
        )
        return .finished
    }

    /// Completes the checksum in the frame itself: a complete one serves every other peer too.
    @inline(__always)
    private mutating func completeChecksum(_ frame: UnsafeMutableRawPointer) {
        guard cursor.isPartial else { return }
        let start = Int(cursor.offload.checksumStart)
        InternetChecksum.complete(
            frame + start,
            count: cursor.count &- start,
            offset: Int(cursor.offload.checksumOffset)
        )
        cursor.isPartial = false
        cursor.offload = VirtioNetHeader()
    }

    /// Sends the segments of a super-frame.
    ///
    /// To one peer each header is written before its payload where that stands, over the end of the payload before it,
    /// which is sealed by then. A flooded super-frame is needed again: its segments are put together elsewhere.
    @inline(__always)
    private mutating func sendSegments(
        _ frame: UnsafeMutableRawPointer,
        place: Int,
        session: UnsafeMutablePointer<TransportSession>,
        now: Instant
    ) -> Progress {
        guard var segmenter = cursor.segmenter else { return .finished }
        let largest = peers[place].largestFrame
        guard segmenter.fit(largest) else { return drop(.tooBig, frame, for: place, now: now) }
        // Here it is whole still.
        if captures.passedFrames != 0, cursor.nextSegment == 0 {
            captureSent(frame, to: place, epoch: session.pointee.epoch, now: now)
        }
        let isPartial = segmenter.isPlain && session.pointee.takesPartialChecksums
        let header = segmenter.headerLength
        var number = cursor.nextSegment
        while number < segmenter.count {
            let length = segmenter.payloadCount(number)
            guard hasRoom(for: header &+ length) else {
                cursor.nextSegment = number
                return .batchFull
            }
            let payload = frame + segmenter.payloadOffset(number)
            var start = payload - header
            if cursor.isFlood {
                start = staging + Self.headroom
                (start + header).copyMemory(from: payload, byteCount: length)
            }
            segmenter.writeHeader(number, template: template, to: start)
            let fits = header &+ length <= largest
            if !isPartial || !fits {
                InternetChecksum.complete(
                    start + segmenter.transportOffset,
                    count: header &- segmenter.transportOffset &+ length,
                    offset: segmenter.checksumOffset
                )
            }
            if fits {
                seal(
                    start,
                    count: header &+ length,
                    network: cursor.network,
                    isPartial: isPartial,
                    session: session,
                    now: now
                )
            } else {
                handleTooBig(start, count: header &+ length, network: cursor.network, session: session, now: now)
            }
            number &+= 1
        }
        return .finished
    }

    /// Sends the frame as standard VXLAN, every checksum complete.
    @inline(__always)
    private mutating func sendPlaintext(
        _ frame: UnsafeMutableRawPointer,
        place: Int,
        now: Instant
    ) -> Progress {
        guard let endpoint = peers[place].endpoint else { return drop(.noEndpoint, frame, for: place, now: now) }
        guard let segmenter = cursor.segmenter else {
            guard outgoing.hasRoom(bytes: VXLANHeader.length &+ cursor.count, datagrams: 1) else { return .batchFull }
            completeChecksum(frame)
            if captures.passedFrames != 0 { captureSent(frame, to: place, epoch: 0, now: now) }
            let datagram = outgoing.next
            (datagram + VXLANHeader.length).copyMemory(from: frame, byteCount: cursor.count)
            commitPlaintext(datagram, count: cursor.count, place: place, endpoint: endpoint)
            return .finished
        }
        let header = segmenter.headerLength
        var number = cursor.nextSegment
        while number < segmenter.count {
            let length = segmenter.payloadCount(number)
            guard outgoing.hasRoom(bytes: VXLANHeader.length &+ header &+ length, datagrams: 1) else {
                cursor.nextSegment = number
                return .batchFull
            }
            if captures.passedFrames != 0, number == 0 { captureSent(frame, to: place, epoch: 0, now: now) }
            let datagram = outgoing.next
            let start = datagram + VXLANHeader.length
            segmenter.writeHeader(number, template: template, to: start)
            (start + header).copyMemory(from: frame + segmenter.payloadOffset(number), byteCount: length)
            InternetChecksum.complete(
                start + segmenter.transportOffset,
                count: header &- segmenter.transportOffset &+ length,
                offset: segmenter.checksumOffset
            )
            commitPlaintext(datagram, count: header &+ length, place: place, endpoint: endpoint)
            number &+= 1
        }
        return .finished
    }

    @inline(__always)
    private mutating func commitPlaintext(
        _ datagram: UnsafeMutableRawPointer,
        count: Int,
        place: Int,
        endpoint: Endpoint
    ) {
        Self.writeVXLANHeader(networks[cursor.network].vni, at: datagram)
        outgoing.commit(
            VXLANHeader.length &+ count,
            peer: place,
            endpoint: endpoint,
            path: .plaintext(flowHash: cursor.flowHash),
            trafficClass: cursor.trafficClass
        )
        peers[place].counters.countSentFrame(bytes: count)
        peers[place].counters.countSentDatagram()
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
}

/// The limits of a key pair that the lanes themselves enforce (protocol.md, 4); the handshake renews pairs long before.
enum TransportLimits {
    /// REJECT_AFTER_TIME.
    static let rejectAfterTime = Interval.seconds(180)
    /// REJECT_AFTER_MESSAGES.
    static let rejectAfterMessages = ReplayWindow.limit
}
