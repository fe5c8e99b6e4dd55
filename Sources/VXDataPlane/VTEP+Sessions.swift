import VXCrypto
public import VXWire

// What the handshake thread asks of a lane. None of it is per packet; all of it runs on the lane's own thread.
extension VTEP {
    /// Holds a pair from now on: receives under it, and does not send under it yet.
    public mutating func install(_ parameters: SessionParameters) {
        _ = sessions.insert(TransportSession(parameters, lane: lane, threads: threads))
    }

    /// Sends under the pair from now on, unless a newer one is in use already.
    ///
    /// With `announce` an empty datagram leaves at once, which is the initiator's key confirmation. Frames that waited
    /// follow by `drainWaiting`.
    public mutating func activate(_ index: ReceiverIndex, announce: Bool, now: Instant) {
        guard let session = sessions.find(index) else { return }
        // The responder's lanes are told when the first datagram under the pair has authenticated on any of them.
        if !session.pointee.isInitiator { session.pointee.isConfirmed = true }
        preferForSending(session)
        if announce { sendEmpty(under: session, now: now) }
    }

    /// Sends nothing more under the pair, and still receives: the peer said goodbye.
    public mutating func stopSending(_ index: ReceiverIndex) {
        guard let session = sessions.find(index) else { return }
        let peer = Int(session.pointee.peer.rawValue)
        if peers[peer].sending == session { peers[peer].sending = nil }
    }

    /// Reports under the pair itself what arrived under it (protocol.md, 5), also when a newer one is sent under.
    /// - Returns: false when the pair is gone or may not be sent under.
    public mutating func sendReport(of index: ReceiverIndex, now: Instant) -> Bool {
        guard let session = sessions.find(index), session.pointee.isInitiator || session.pointee.isConfirmed,
            isYoung(session, now: now)
        else { return false }
        let report = ControlMessage.report(session.pointee.pairCounters.report)
        return sendControl(report.bytes, under: session, now: now)
    }

    /// Lets the pair go and wipes this lane's hold on its keys.
    public mutating func retire(_ index: ReceiverIndex) {
        if let session = sessions.find(index) {
            let peer = Int(session.pointee.peer.rawValue)
            if peers[peer].sending == session { peers[peer].sending = nil }
            // A batch has ended before anything is asked of a lane, and with it the open datagram.
            precondition(open.session != session, "a pair is let go with frames under way")
        }
        _ = sessions.remove(index)
        cipher.forgetKey()
    }

    /// Lets every pair go: after a suspend or a restored snapshot no key may be used again (protocol.md, 1).
    public mutating func eraseAll() {
        for index in sessions.indices { retire(index) }
    }

    /// Sends a datagram without records.
    public mutating func keepalive(_ peer: PeerIndex, now: Instant) {
        guard let session = usableSession(of: peer, now: now) else { return }
        sendEmpty(under: session, now: now)
    }

    /// From which port this lane's datagrams to the peer leave (protocol.md, 2a).
    public mutating func setPort(isOwn: Bool, of peer: PeerIndex) {
        peers[Int(peer.rawValue)].sealedPath = isOwn ? .sealedFromOwnPort : .sealed
    }

    /// Shows whether this lane's own port gets through: empty datagrams from it, then one from the listen port, by which
    /// the peer's report tells that those before it are lost.
    public mutating func tryOwnPort(towards peer: PeerIndex, count: Int, now: Instant) {
        let place = Int(peer.rawValue)
        let path = peers[place].sealedPath
        peers[place].sealedPath = .sealedFromOwnPort
        for _ in 0..<count { keepalive(peer, now: now) }
        peers[place].sealedPath = path
        keepalive(peer, now: now)
    }

    /// Sends one control message, type byte first, under the peer's sending pair.
    /// - Returns: false when there is no usable pair, or the message is larger than a datagram of this node.
    public mutating func sendControl(_ message: [UInt8], to peer: PeerIndex, now: Instant) -> Bool {
        guard let session = usableSession(of: peer, now: now) else { return false }
        return sendControl(message, under: session, now: now)
    }

    private mutating func sendControl(
        _ message: [UInt8],
        under session: UnsafeMutablePointer<TransportSession>,
        now: Instant
    ) -> Bool {
        let size = RecordHeader.length + message.count
        guard size <= Self.largestStaged, hasRoom(for: size) else { return false }
        Self.writeRecordHeader(kind: RecordHeader.controlKind, length: message.count, at: staging)
        (staging + RecordHeader.length).copyBytes(message)
        return sealDatagram(records: staging, count: size, session: session, now: now)
    }

    /// Most bytes that are put together in `staging`: no datagram is longer.
    static var largestStaged: Int { 65_535 }

    /// Gives up the frames that wait for a peer.
    public mutating func dropWaiting(_ peer: PeerIndex) {
        let place = Int(peer.rawValue)
        countDrop(.noSession, UInt64(peers[place].waiting.count), peer: peer)
        peers[place].waiting.removeAll()
    }

    /// Sends the frames that waited for a peer, in the order they came.
    /// - Returns: `batchFull` when the outgoing batch must be flushed and this called again.
    public mutating func drainWaiting(_ peer: PeerIndex, now: Instant) -> Progress {
        let place = Int(peer.rawValue)
        if resume(now: now) == .batchFull { return .batchFull }
        while usableSession(of: peer, now: now) != nil, peers[place].endpoint != nil,
            let waiting = peers[place].waiting.first
        {
            let frame = staging + Self.headroom
            let (count, network, offload) = (waiting.count, waiting.network, waiting.offload)
            frame.copyMemory(from: waiting.base, byteCount: count)
            peers[place].waiting.removeFirst()
            // It was looked at when it was put there.
            guard take(frame, count: count, offload: offload, network: network) else { continue }
            cursor.isFlood = false
            cursor.peer = peer
            if resume(now: now) == .batchFull { return .batchFull }
        }
        sealOpenDatagram(now: now)
        return .finished
    }

    /// Where datagrams to a peer go, from a handshake message or a changed configuration.
    public mutating func setEndpoint(_ endpoint: Endpoint, of peer: PeerIndex) {
        let place = Int(peer.rawValue)
        peers[place].endpoint = endpoint
        // Another path: frames of any size until the search has spoken.
        peers[place].pathMTU = nil
        applyPathMTU(place)
    }

    /// The pair that is sent under is the newest confirmed one, in every lane alike.
    mutating func preferForSending(_ session: UnsafeMutablePointer<TransportSession>) {
        let peer = Int(session.pointee.peer.rawValue)
        if let current = peers[peer].sending, current.pointee.createdAt > session.pointee.createdAt { return }
        peers[peer].sending = session
    }

    private mutating func sendEmpty(under session: UnsafeMutablePointer<TransportSession>, now: Instant) {
        guard hasRoom(for: 0) else { return }
        _ = sealDatagram(records: staging, count: 0, session: session, now: now)
    }

    /// Puts a frame on the peer's queue and asks for a session, at most once a second.
    @inline(never)
    @_semantics("no_performance_analysis")
    mutating func wait(_ frame: UnsafeMutableRawPointer, peer: PeerIndex, now: Instant) {
        let place = Int(peer.rawValue)
        let dropped = peers[place].waiting.append(
            frame,
            count: cursor.count,
            network: cursor.network,
            // What was completed since needs no more of the kernel's word.
            offload: cursor.isPartial || cursor.segmenter != nil ? cursor.offload : VirtioNetHeader()
        )
        if dropped > 0 { countDrop(.noSession, UInt64(dropped), peer: peer) }
        let asked = Instant(nanoseconds: peers[place].askedAt)
        if asked.nanoseconds == 0 || now.since(asked) >= .seconds(1) {
            peers[place].askedAt = now.nanoseconds
            raise(.handshakeNeeded(peer))
        }
    }
}
