import VXCrypto
public import VXWire

extension VTEP {
    /// Takes a run of datagrams from the sealed port, equal in size but for the last (UDP_GRO): opens each in place and
    /// passes its frames to `delivered`.
    ///
    /// `outerECN` is what routers left of the ECN field of the outer IP header, in the low two bits.
    ///
    /// The bytes must stay until `delivered` is emptied. Nothing that a peer or a stranger can send makes this trap;
    /// what does not fit is dropped and counted.
    #if !DEBUG && compiler(>=6.3)
        @_noLocks
    #endif
    public mutating func receiveSealed(
        _ run: UnsafeMutableRawPointer,
        count: Int,
        segmentSize: Int,
        from source: Endpoint,
        outerECN: UInt8 = 0,
        now: Instant
    ) {
        let step = segmentSize > 0 ? segmentSize : count
        var offset = 0
        // An empty datagram is one too.
        repeat {
            receiveDatagram(run + offset, count: min(step, count &- offset), from: source, outerECN: outerECN, now: now)
            offset &+= step
        } while offset < count
    }

    @inline(__always)
    private mutating func receiveDatagram(
        _ datagram: UnsafeMutableRawPointer,
        count: Int,
        from source: Endpoint,
        outerECN: UInt8 = 0,
        now: Instant
    ) {
        let header: SealedHeader
        switch SealedHeader.parse(UnsafeRawBufferPointer(start: datagram, count: count).bytes) {
        case .header(let parsed): header = parsed
        case .drop(let reason): return dropDatagram(reason, datagram, count: count, from: source, now: now)
        }
        guard let session = sessions.find(header.receiver) else {
            return dropDatagram(.unknownReceiver, datagram, count: count, from: source, now: now)
        }
        let lane = Int(header.lane)
        func drop(_ reason: DropReason) {
            dropDatagram(reason, datagram, count: count, from: source, session: session, now: now)
        }
        guard lane < session.pointee.announcedLanes else { return drop(.laneOutOfRange) }
        // With one thread every lane is this one's.
        guard lane % threads == self.lane else {
            return handOver(
                datagram,
                count: count,
                from: source,
                outerECN: outerECN,
                session: session,
                to: lane % threads,
                now: now
            )
        }
        if now.since(session.pointee.createdAt) >= TransportLimits.rejectAfterTime { return drop(.expiredKey) }
        let receive = session.pointee.receiveLane(at: lane / threads)
        switch receive.pointee.window.check(header.counter) {
        case .fresh: break
        case .replayed:
            session.pointee.counters.noteDuplicate()
            return drop(.replayed)
        case .outside: return drop(.outsideWindow)
        }
        let peer = Int(session.pointee.peer.rawValue)
        // Lane 0 alone comes from the peer's listen port; the others may have ports of their own.
        var isElsewhere = true
        if let known = peers[peer].endpoint {
            isElsewhere = lane == 0 ? known != source : !known.isSameHost(as: source)
        }
        if isElsewhere, !peers[peer].roaming, peers[peer].endpoint != nil { return drop(.sourceMismatch) }
        if captures.isActive { noteArrival(datagram, count: count, lane: lane, session: session) }

        let records = datagram + SealedHeader.length
        let length = count &- SealedHeader.length &- Self.tailroom
        let isAuthentic = cipher.open(
            inPlace: records,
            count: length,
            header: UnsafeRawPointer(datagram),
            counter: header.counter,
            key: receive.pointee.key
        )
        guard isAuthentic else { return dropForged(count: count, from: source, session: session, now: now) }
        if captures.passedDatagrams != 0 {
            captureOpened(count: count, peer: session.pointee.peer, from: source, outerECN: outerECN, now: now)
        }
        let isNewest = header.counter >= receive.pointee.window.edge
        receive.pointee.window.mark(header.counter)
        peers[peer].counters.countReceivedDatagram()
        session.pointee.counters.noteReceived(now: now.nanoseconds, data: length > 0)
        if !isNewest { session.pointee.counters.noteReordered() }
        receive.pointee.counters.noteReceived(edge: receive.pointee.window.edge)
        if !session.pointee.isConfirmed { confirm(session, from: lane == 0 ? source : nil) }
        // Only lane 0's newest datagram moves the endpoint: an old one, delayed or replayed from elsewhere, does not.
        if isElsewhere, lane == 0, isNewest { move(peer, to: source) }
        walkRecords(records, count: length, session: session, outerECN: outerECN, now: now)
    }

    @inline(__always)
    private mutating func walkRecords(
        _ records: UnsafeMutableRawPointer,
        count: Int,
        session: UnsafeMutablePointer<TransportSession>,
        outerECN: UInt8,
        now: Instant
    ) {
        var reader = RecordReader()
        while true {
            switch reader.next(in: UnsafeRawBufferPointer(start: records, count: count).bytes) {
            case .frame(let offset, let length, let checksumPartial):
                receiveFrame(
                    records + offset,
                    count: length,
                    checksumPartial: checksumPartial,
                    session: session,
                    outerECN: outerECN,
                    now: now
                )
            case .control(let offset, let length):
                receiveControl(records + offset, count: length, session: session)
            case .skip(let reason):
                countDrop(reason, peer: session.pointee.peer)
            case .end(let reason):
                if let reason { countDrop(reason, peer: session.pointee.peer) }
                return
            }
        }
    }

    @inline(__always)
    private mutating func receiveFrame(
        _ body: UnsafeMutableRawPointer,
        count: Int,
        checksumPartial: Bool,
        session: UnsafeMutablePointer<TransportSession>,
        outerECN: UInt8,
        now: Instant
    ) {
        guard count >= VXLANHeader.length,
            body.loadUnaligned(as: UInt32.self) == UInt32(0x0800_0000).bigEndian,
            body.load(fromByteOffset: 7, as: UInt8.self) == 0
        else { return countDrop(.invalidVXLANHeader, peer: session.pointee.peer) }
        if checksumPartial, !offloads.elidesChecksums {
            return countDrop(.invalidChecksumFlag, peer: session.pointee.peer)
        }
        let vni = UInt32(bigEndian: body.loadUnaligned(fromByteOffset: 4, as: UInt32.self)) &>> 8
        let network = networkByVNI.find(UInt64(vni))
        let peer = session.pointee.peer
        guard network >= 0, networks[network].mode != .plaintext, networks[network].admits(peer) else {
            return dropReceived(
                network < 0 ? .unknownVNI : .vniNotAllowed,
                body + VXLANHeader.length,
                count: count &- VXLANHeader.length,
                network: network,
                peer: peer,
                now: now
            )
        }
        accept(
            body + VXLANHeader.length,
            count: count &- VXLANHeader.length,
            network: network,
            isPartial: checksumPartial,
            peer: peer,
            outerECN: outerECN,
            now: now
        )
    }

    /// Takes a run of datagrams from a plaintext VXLAN port (RFC 7348): the peer is known by its outer source address.
    #if !DEBUG && compiler(>=6.3)
        @_noLocks
    #endif
    public mutating func receivePlaintext(
        _ run: UnsafeMutableRawPointer,
        count: Int,
        segmentSize: Int,
        from source: Endpoint,
        outerECN: UInt8 = 0,
        now: Instant
    ) {
        let step = segmentSize > 0 ? segmentSize : count
        var offset = 0
        repeat {
            receivePlaintextDatagram(
                run + offset,
                count: min(step, count &- offset),
                from: source,
                outerECN: outerECN,
                now: now
            )
            offset &+= step
        } while offset < count
    }

    @inline(__always)
    private mutating func receivePlaintextDatagram(
        _ datagram: UnsafeMutableRawPointer,
        count: Int,
        from source: Endpoint,
        outerECN: UInt8,
        now: Instant
    ) {
        // Other reserved bits are ignored on receipt, as the RFC says.
        guard count >= VXLANHeader.length, datagram.load(as: UInt8.self) & 0x08 != 0 else {
            return dropDatagram(.invalidPlaintext, datagram, count: count, from: source, now: now)
        }
        let vni = UInt32(bigEndian: datagram.loadUnaligned(fromByteOffset: 4, as: UInt32.self)) &>> 8
        let network = networkByVNI.find(UInt64(vni))
        guard network >= 0 else { return dropDatagram(.unknownVNI, datagram, count: count, from: source, now: now) }
        let place = plaintextPeers.find(source.placeKey)
        let isPeer = place >= 0 && peers[place].endpoint?.isSameHost(as: source) == true
        let peer = PeerIndex(UInt16(truncatingIfNeeded: place))
        guard isPeer, networks[network].mode != .sealed, networks[network].admits(peer) else {
            return refusePlaintext(datagram, count: count, from: source, network: network, isPeer: isPeer, now: now)
        }
        if captures.isActive {
            captureStandard(datagram, count: count, peer: peer, from: source, outerECN: outerECN, now: now)
        }
        peers[place].counters.countReceivedDatagram()
        let flags = UInt32(bigEndian: datagram.loadUnaligned(as: UInt32.self))
        if flags != 0x0800_0000 || datagram.load(fromByteOffset: 7, as: UInt8.self) != 0 {
            peers[place].counters.countReservedBits()
        }
        accept(
            datagram + VXLANHeader.length,
            count: count &- VXLANHeader.length,
            network: network,
            isPartial: false,
            peer: peer,
            outerECN: outerECN,
            now: now
        )
    }

    /// Whether the network takes the frame's tag, and the frame the congestion that its datagram met; else why not.
    @inline(__always)
    private func refusal(
        of frame: UnsafeMutableRawPointer,
        count: Int,
        network: Int,
        outerECN: UInt8
    ) -> DropReason? {
        guard networks[network].admitsTag(of: frame, count: count) else { return .vlanNotAllowed }
        // ECT(1) and CE alone can change anything.
        guard outerECN & 1 != 0, !TrafficClass.merge(outerECN, into: frame, count: count) else { return nil }
        return .notECNCapable
    }

    /// Why a frame's addresses are none that a network carries, whoever sent it; nil when they are.
    @inline(__always)
    func addressFault(of frame: UnsafeRawPointer, count: Int, network: Int) -> DropReason? {
        guard count >= EthernetFrame.headerLength else { return .shortFrame }
        let source = Self.macAddress(at: frame + 6)
        if source.isMulticast || source.isZero { return .invalidSource }
        return Self.macAddress(at: frame).isLinkLocal && !networks[network].forwardLinkLocal ? .linkLocal : nil
    }

    /// How a frame with sound addresses breaks its peer's `allow`; nil when it keeps to it, or there is none.
    @inline(__always)
    func violation(in frame: UnsafeRawPointer, count: Int, network: Int, from peer: PeerIndex) -> DropReason? {
        let rules = peers[Int(peer.rawValue)].rules
        if rules.isNone { return nil }
        return BindingInspection.violation(
            in: frame,
            count: count,
            source: Self.macAddress(at: frame + 6),
            rules: rules,
            forwarding: networks[network].forwarding,
            peer: peer
        )
    }

    /// Passes an admitted frame to the network's device, and to another peer only through `relay` (split horizon).
    @inline(__always)
    private mutating func accept(
        _ frame: UnsafeMutableRawPointer,
        count: Int,
        network: Int,
        isPartial: Bool,
        peer: PeerIndex,
        outerECN: UInt8,
        now: Instant
    ) {
        func drop(_ reason: DropReason) {
            dropReceived(reason, frame, count: count, network: network, peer: peer, now: now)
        }
        if let reason = refusal(of: frame, count: count, network: network, outerECN: outerECN) { return drop(reason) }
        if let reason = addressFault(of: frame, count: count, network: network) { return drop(reason) }
        let destination = Self.macAddress(at: frame)
        let source = Self.macAddress(at: frame + 6)
        // Before anything is learned from a storm. Unicast was known to the peer, or has passed its own node's limit.
        if destination.isMulticast, let buckets = networks[network].buckets, !buckets.take(1, from: peer, now: now) {
            return drop(.floodLimited)
        }
        let packet = InnerPacket(frame, count: count)
        if isPartial, packet == nil { return drop(.invalidChecksumFlag) }
        let rules = peers[Int(peer.rawValue)].rules
        if let reason = violation(in: frame, count: count, network: network, from: peer) { return drop(reason) }
        if networks[network].mode == .mixed, isHeldElsewhere(source, than: peer, network: network, now: now) {
            if destination.isMulticast { networks[network].loops?.noteReturn(now: now) }
            return drop(.loopSuspected)
        }
        if networks[network].learning {
            switch networks[network].forwarding.learn(source, from: peer, now: now) {
            case .known, .refused: break
            case .localStation:
                if destination.isMulticast { networks[network].loops?.noteReturn(now: now) }
                return drop(.loopSuspected)
            case .foreign: return drop(.exclusiveMAC)
            case .frozen: return drop(.macFlap)
            }
        } else if networks[network].forwarding.lookup(source, now: now) == ForwardingDatabase.localDevice {
            return drop(.loopSuspected)
        } else if networks[network].forwarding.claim(source, by: peer, mustOwn: false) == .foreign {
            return drop(.exclusiveMAC)
        }
        if rules.bindsPrefixes, networks[network].suppresses, Self.isNeighborMessage(frame, count: count) {
            noteNeighbor(frame, count: count, network: network, peer: peer, now: now)
        }
        peers[Int(peer.rawValue)].counters.countReceivedFrame(bytes: count)
        var checksum = isPartial ? FrameCoalescer.Checksum.partial : .complete
        var isSuperFrame = false
        if peers[Int(peer.rawValue)].isPlaintext, let packet, Self.holdsPseudoHeaderSum(frame, packet: packet) {
            checksum = .partial
            isSuperFrame = packet.isTCP && packet.end &- packet.network > networks[network].largestPacket
        }
        if captures.passedFrames != 0 {
            captureReceived(
                frame,
                count: count,
                network: network,
                isPartial: checksum == .partial,
                segmentSize: isSuperFrame ? networks[network].largestPacket : 0,
                peer: peer,
                now: now
            )
        }
        var isForDevice = networks[network].hasDevice
        if destination.isMulticast, networks[network].groups != nil {
            let mayHear = noteGroups(frame, count: count, network: network, peer: peer, now: now)
            isForDevice = isForDevice && mayHear
        }
        if networks[network].relays {
            let offload = offload(of: packet, checksum: checksum, isSuperFrame: isSuperFrame, network: network)
            guard relay(frame, count: count, network: network, offload: offload, from: peer, now: now) else { return }
        }
        guard isForDevice else { return }
        if isSuperFrame, let packet {
            return deliverSuperFrame(frame, count: count, network: network, packet: packet)
        }
        if packet?.isTCP != true { delivered.noteDatagram() }
        coalescer.add(frame, count: count, network: network, checksum: checksum, packet: packet, to: &delivered)
    }

    /// A kernel that expects its network card to complete the checksum leaves the sum of the pseudo-header in the field; on a
    /// virtual link nobody does, and a VXLAN frame then arrives so. Where a complete checksum happens to be equal to it,
    /// completing it again gives the same.
    @inline(__always)
    private static func holdsPseudoHeaderSum(_ frame: UnsafeRawPointer, packet: InnerPacket) -> Bool {
        let length = packet.end &- packet.transport
        let sum = InnerPacket.pseudoHeaderSum(frame + packet.network, isIPv6: packet.isIPv6, isTCP: packet.isTCP)
        return InternetChecksum.fold(sum &+ UInt64(length))
            == frame.bigEndian16(at: packet.transport &+ packet.checksumOffset)
    }

    /// The kernel's own VXLAN device hands TCP super-frames over whole on a virtual link (tunnel segmentation offload): they
    /// go on as what they are, in segments that the device carries.
    @inline(never)
    @_semantics("no_performance_analysis")
    private mutating func deliverSuperFrame(
        _ frame: UnsafeMutableRawPointer,
        count: Int,
        network: Int,
        packet: InnerPacket
    ) {
        let offload = offload(of: packet, checksum: .partial, isSuperFrame: true, network: network)
        _ = delivered.append(frame, count: count, network: network, offload: offload)
    }

    /// What a kernel that sends the frame would say of it.
    @inline(never)
    private func offload(
        of packet: InnerPacket?,
        checksum: FrameCoalescer.Checksum,
        isSuperFrame: Bool,
        network: Int
    ) -> VirtioNetHeader {
        guard checksum == .partial, let packet else { return VirtioNetHeader() }
        guard isSuperFrame else { return packet.partialOffload }
        let headers = packet.payload - packet.network
        return packet.superFrameOffload(segmentSize: max(networks[network].largestPacket - headers, 1))
    }

    /// Key confirmation: the peer holds the keys, so the responder may send under them. Of two confirmed pairs the
    /// newer one is sent under.
    @inline(never)
    @_semantics("no_performance_analysis")
    private mutating func confirm(_ session: UnsafeMutablePointer<TransportSession>, from source: Endpoint?) {
        session.pointee.isConfirmed = true
        let peer = Int(session.pointee.peer.rawValue)
        if peers[peer].endpoint == nil { peers[peer].endpoint = source }
        if !session.pointee.isInitiator { preferForSending(session) }
        raise(.confirmed(session.pointee.localIndex, session.pointee.peer, from: source))
    }

    @inline(never)
    @_semantics("no_performance_analysis")
    private mutating func move(_ peer: Int, to source: Endpoint) {
        setEndpoint(source, of: PeerIndex(UInt16(peer)))
        raise(.endpointMoved(PeerIndex(UInt16(peer)), to: source))
    }

    @inline(never)
    @_semantics("no_performance_analysis")
    private mutating func receiveControl(
        _ body: UnsafeMutableRawPointer,
        count: Int,
        session: UnsafeMutablePointer<TransportSession>
    ) {
        let bytes = [UInt8](UnsafeRawBufferPointer(start: body, count: count))
        raise(.control(session.pointee.peer, session.pointee.localIndex, bytes))
    }
}
