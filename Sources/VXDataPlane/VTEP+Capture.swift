public import VXWire

// What captures see of a lane's traffic. On the way of a packet stands a look at one byte; everything else is here, and runs
// only while a capture does, or for what is dropped.
extension VTEP {
    /// Starts a capture at a place below `CaptureTaps.most`, in place of the one there, or ends that.
    public mutating func setCapture(_ program: CaptureProgram?, at place: Int) { captures.set(program, at: place) }

    /// The local port of what is received from now on; captures show it.
    public mutating func noteArrival(port: UInt16) { captures.arrivalPort = port }

    /// Whether a capture wants datagrams that leave: `captureOutgoing` is called for each run then.
    public var capturesOutgoing: Bool { captures.passedDatagrams != 0 }

    /// Shows the captures a run of the outgoing batch.
    /// - Parameters:
    ///   - place: of the run.
    ///   - port: the local port that it leaves from.
    ///   - now: the time.
    public mutating func captureOutgoing(_ place: Int, from port: UInt16, now: Instant) {
        let run = outgoing[place]
        for number in 0..<run.segments {
            let datagram = run.datagram(number)
            guard let base = datagram.baseAddress else { continue }
            var label = CaptureLabel(time: now, isOuter: true, isSent: true, length: datagram.count)
            label.peer = PeerIndex(UInt16(truncatingIfNeeded: run.peer))
            label.lane = UInt8(truncatingIfNeeded: lane)
            label.remote = run.endpoint
            label.localPort = port
            label.trafficClass = run.trafficClass
            if case .plaintext = run.path {
                label.vni = VNI(truncating: base.bigEndian32(at: 4) >> 8)
            } else {
                label.epoch = epoch(sealedUnder: ReceiverIndex(base.bigEndian32(at: 4)), peer: run.peer)
            }
            captures.offer(base, count: datagram.count, label: label)
        }
    }

    private func epoch(sealedUnder remote: ReceiverIndex, peer: Int) -> UInt32 {
        if let session = peers[peer].sending, session.pointee.remoteIndex == remote { return session.pointee.epoch }
        // Under a pair that is sent under no more, such as a last report.
        return sessions.find(remote: remote, peer: peer)?.pointee.epoch ?? 0
    }

    // MARK: - Frames

    /// Shows the captures the frame under way, whole as the device gave it, as it is sent to one peer.
    @inline(never)
    func captureSent(_ frame: UnsafeRawPointer, to place: Int, epoch: UInt32, now: Instant) {
        var label = CaptureLabel(time: now, isOuter: false, isSent: true, length: cursor.count)
        label.peer = PeerIndex(UInt16(truncatingIfNeeded: place))
        label.epoch = epoch
        captureUnderWay(frame, label: label)
    }

    @inline(__always)
    private func captureUnderWay(_ frame: UnsafeRawPointer, label: CaptureLabel) {
        var label = label
        label.vni = networks[cursor.network].vni
        label.network = Int32(truncatingIfNeeded: cursor.network)
        label.lane = UInt8(truncatingIfNeeded: lane)
        label.isPartial = cursor.isPartial || cursor.segmenter != nil
        label.segmentSize = cursor.segmenter != nil ? cursor.offload.segmentSize : 0
        captures.offer(frame, count: cursor.count, label: label)
    }

    /// Shows the captures a frame that a peer sent and that is passed on.
    @inline(never)
    func captureReceived(
        _ frame: UnsafeRawPointer,
        count: Int,
        network: Int,
        isPartial: Bool,
        segmentSize: Int,
        peer: PeerIndex,
        now: Instant
    ) {
        var label = arrived(count: count, peer: peer, now: now)
        label.vni = networks[network].vni
        label.network = Int32(truncatingIfNeeded: network)
        label.isPartial = isPartial
        label.segmentSize = UInt16(clamping: segmentSize)
        captures.offer(frame, count: count, label: label)
    }

    @inline(__always)
    private func arrived(count: Int, peer: PeerIndex?, now: Instant) -> CaptureLabel {
        var label = CaptureLabel(time: now, isOuter: false, isSent: false, length: count)
        label.peer = peer
        label.lane = captures.arrivedLane
        label.epoch = captures.arrivedEpoch
        return label
    }

    /// Counts the drop of a frame from the own device, for one peer or before it is known for which.
    @inline(never)
    func dropSent(
        _ reason: DropReason,
        _ frame: UnsafeRawPointer,
        count: Int,
        network: Int,
        peer: PeerIndex? = nil,
        now: Instant
    ) {
        countDrop(reason, peer: peer)
        networks[network].drops?.count(reason)
        guard captures.droppedFrames != 0 else { return }
        var label = CaptureLabel(time: now, isOuter: false, isSent: true, length: count)
        label.peer = peer
        label.vni = networks[network].vni
        label.network = Int32(truncatingIfNeeded: network)
        label.lane = UInt8(truncatingIfNeeded: lane)
        label.dropped = reason
        captures.offer(frame, count: count, label: label)
    }

    /// Counts a drop, and at the peer that it is about, if that is known.
    @inline(__always)
    func countDrop(_ reason: DropReason, _ amount: UInt64 = 1, peer: PeerIndex?) {
        drops.count(reason, amount)
        if let peer { peers[Int(peer.rawValue)].counters.countDrop(reason, amount) }
    }

    /// Counts the drop of a frame that a peer sent.
    /// - Parameter network: its place; below zero where the node has none of that VNI.
    @inline(never)
    func dropReceived(
        _ reason: DropReason,
        _ frame: UnsafeRawPointer,
        count: Int,
        network: Int,
        peer: PeerIndex?,
        now: Instant
    ) {
        countDrop(reason, peer: peer)
        if network >= 0 { networks[network].drops?.count(reason) }
        guard captures.droppedFrames != 0 else { return }
        var label = arrived(count: count, peer: peer, now: now)
        if network >= 0 { label.vni = networks[network].vni }
        label.network = Int32(truncatingIfNeeded: network)
        label.dropped = reason
        captures.offer(frame, count: count, label: label)
    }

    // MARK: - Datagrams

    /// Notes what frames of a sealed datagram are told with, and keeps a copy of it where that is wanted, for it is opened in
    /// place.
    @inline(never)
    mutating func noteArrival(
        _ datagram: UnsafeRawPointer,
        count: Int,
        lane: Int,
        session: UnsafeMutablePointer<TransportSession>
    ) {
        captures.arrivedLane = UInt8(truncatingIfNeeded: lane)
        captures.arrivedEpoch = session.pointee.epoch
        guard captures.wantsDatagrams, let copy = captures.copy else { return }
        copy.copyMemory(from: datagram, byteCount: min(count, CaptureTaps.copySize))
    }

    /// Shows the captures a sealed datagram that has authenticated.
    @inline(never)
    func captureOpened(count: Int, peer: PeerIndex, from source: Endpoint, outerECN: UInt8, now: Instant) {
        guard let copy = captures.copy else { return }
        var label = arrivedDatagram(count: count, peer: peer, from: source, outerECN: outerECN, now: now)
        label.lane = captures.arrivedLane
        label.epoch = captures.arrivedEpoch
        captures.offer(copy, count: min(count, CaptureTaps.copySize), label: label)
    }

    /// Shows the captures a datagram of standard VXLAN, and notes what its frame is told with.
    @inline(never)
    mutating func captureStandard(
        _ datagram: UnsafeRawPointer,
        count: Int,
        peer: PeerIndex,
        from source: Endpoint,
        outerECN: UInt8,
        now: Instant
    ) {
        captures.arrivedLane = UInt8(truncatingIfNeeded: lane)
        captures.arrivedEpoch = 0
        guard captures.passedDatagrams != 0 else { return }
        var label = arrivedDatagram(count: count, peer: peer, from: source, outerECN: outerECN, now: now)
        label.lane = captures.arrivedLane
        label.vni = VNI(truncating: datagram.bigEndian32(at: 4) &>> 8)
        captures.offer(datagram, count: count, label: label)
    }

    @inline(__always)
    private func arrivedDatagram(
        count: Int,
        peer: PeerIndex?,
        from source: Endpoint,
        outerECN: UInt8,
        now: Instant
    ) -> CaptureLabel {
        var label = CaptureLabel(time: now, isOuter: true, isSent: false, length: count)
        label.peer = peer
        label.remote = source
        label.localPort = captures.arrivalPort
        label.trafficClass = outerECN
        return label
    }

    /// Counts the drop of a datagram whose bytes are as they came.
    /// - Parameter session: of its receiver index, once that is known.
    @inline(never)
    func dropDatagram(
        _ reason: DropReason,
        _ datagram: UnsafeRawPointer,
        count: Int,
        from source: Endpoint,
        session: UnsafeMutablePointer<TransportSession>? = nil,
        now: Instant
    ) {
        countDrop(reason, peer: session?.pointee.peer)
        guard captures.droppedDatagrams != 0 else { return }
        var label = arrivedDatagram(count: count, peer: session?.pointee.peer, from: source, outerECN: 0, now: now)
        if let session {
            label.lane = datagram.load(fromByteOffset: 1, as: UInt8.self)
            label.epoch = session.pointee.epoch
        } else {
            label.lane = UInt8(truncatingIfNeeded: lane)
        }
        label.dropped = reason
        captures.offer(datagram, count: count, label: label)
    }

    /// Counts a datagram that does not authenticate; its bytes are wiped by now.
    @inline(never)
    func dropForged(count: Int, from source: Endpoint, session: UnsafeMutablePointer<TransportSession>, now: Instant) {
        guard captures.droppedDatagrams != 0, let copy = captures.copy else {
            return countDrop(.authenticationFailed, peer: session.pointee.peer)
        }
        dropDatagram(.authenticationFailed, copy, count: count, from: source, session: session, now: now)
    }
}
