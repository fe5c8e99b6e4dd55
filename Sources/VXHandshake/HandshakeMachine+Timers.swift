import VXWire

// The timer table of protocol.md, 4, one function a row or two. They run on what the lanes last reported of each pair, a
// few times a second, so they are late by that much and never early.
extension HandshakeMachine {
    mutating func runPairTimers(_ peer: PeerMachine, now: Now) {
        for place in peer.pairs.indices { retireIfOver(peer, place, now: now.instant) }
        guard let place = peer.sendingPair(at: now.instant) else {
            updateState(of: peer, now: now.instant)
            return
        }
        renewIfOld(peer, place, now: now)
        keepAlive(peer, place, now: now.instant)
        reportIfDue(peer, now: now.instant)
        checkLanes(of: peer, now: now.instant)
        announceIfDue(peer, place, now: now)
        continuePSK(peer, place, now: now)
        runPathMTU(peer, now: now.instant)
    }

    /// Probes the path (protocol.md, 5), and tells the lanes when it carries more or less than they were told.
    mutating func runPathMTU(_ peer: PeerMachine, now: Instant) {
        guard let place = peer.sendingPair(at: now), let interfaceMTU = peer.interfaceMTU else { return }
        let pair = peer.pairs[place]
        if peer.pathMTU == nil {
            peer.pathMTU = PathMTUSearch(
                interfaceMTU: interfaceMTU,
                roundTrip: pair.roundTrip,
                firstIdentifier: randomness.number(),
                now: now
            )
        }
        let hasTraffic = pair.activity.datagramsSent != peer.probedCounter
        for probe in peer.pathMTU?.probes(now: now, hasTraffic: hasTraffic) ?? [] {
            peer.probedCounter = pair.activity.datagramsSent + 1
            act(.probe(peer.index, size: probe.size, identifier: probe.identifier))
        }
        guard let current = peer.pathMTU?.current, current != peer.toldPathMTU else { return }
        peer.toldPathMTU = current
        act(.pathMTU(peer.index, current))
    }

    /// REJECT_AFTER_TIME; the silence of a replaced pair; the end of a goodbye; a response that was never confirmed.
    private mutating func retireIfOver(_ peer: PeerMachine, _ place: Int, now: Instant) {
        let pair = peer.pairs[place]
        guard pair.isLive else { return }
        let age = now.since(pair.createdAt)
        let isSilent = pair.supersededAt.map { superseded in
            now.since(max(pair.activity.lastReceived ?? superseded, superseded))
                >= HandshakeConstants.previousPairSilence
        }
        let hasEnded = pair.endsAt.map { now >= $0 } ?? false
        if age >= HandshakeConstants.rejectAfterTime || isSilent == true || hasEnded { retire(place, of: peer) }
    }

    /// REKEY_AFTER_TIME and REKEY_AFTER_MESSAGES, and the silence after something was sent.
    private mutating func renewIfOld(_ peer: PeerMachine, _ place: Int, now: Now) {
        guard peer.pending == nil, peer.nextInitiation == nil else { return }
        let pair = peer.pairs[place]
        let limit =
            pair.isInitiator ? HandshakeConstants.rekeyAfterTime : HandshakeConstants.rekeyAfterTimeResponder
        let isSilent = pair.unansweredSince.map { now.instant.since($0) >= HandshakeConstants.silenceTimeout }
        let isOld = now.instant.since(pair.createdAt) >= limit
        let isWorn = pair.activity.sendCounter >= HandshakeConstants.rekeyAfterMessages
        if isOld || isWorn || isSilent == true { initiate(peer, now: now) }
    }

    /// Since when the peer owes an answer: the first records that were sent after it was last heard.
    func noteSilence(_ peer: PeerMachine, _ place: Int, now: Instant) {
        let activity = peer.pairs[place].activity
        guard let sent = activity.lastDataSent, sent > activity.lastReceived ?? Instant(nanoseconds: 0) else {
            peer.pairs[place].unansweredSince = nil
            return
        }
        if let since = peer.pairs[place].unansweredSince, activity.lastReceived ?? since <= since { return }
        peer.pairs[place].unansweredSince = sent
    }

    /// KEEPALIVE_TIMEOUT, the configured keepalive, and the announcement of a new pair, which may have been lost: a
    /// responder that restarted sends under nothing until it has come.
    private mutating func keepAlive(_ peer: PeerMachine, _ place: Int, now: Instant) {
        let pair = peer.pairs[place]
        let lastSent = pair.activity.lastSent ?? pair.createdAt
        let owesAnswer =
            pair.activity.lastDataReceived.map { received in
                received > lastSent && now.since(received) >= HandshakeConstants.keepaliveTimeout
            } ?? false
        let isDue = peer.configuration.keepalive.map { now.since(lastSent) >= $0 } ?? false
        let isUnheard = !pair.isConfirmed && peer.pairs[place].announcement?.isDue(now) == true
        guard owesAnswer || isDue || isUnheard else { return }
        peer.pairs[place].activity.lastSent = now
        act(.keepalive(peer.index))
    }

    /// Reports on the pair in use, and closing ones on those it replaced: what was on the way then, has come or is lost.
    private mutating func reportIfDue(_ peer: PeerMachine, now: Instant) {
        for place in peer.pairs.indices {
            let pair = peer.pairs[place]
            guard pair.isLive, let due = pair.nextReport, due <= now else { continue }
            act(.report(peer.index, pair.localIndex))
            let isRotating = state.rotation != nil || peer.pskExchange != nil
            let isEarly = isRotating || now.since(pair.createdAt) < HandshakeConstants.lateReport
            peer.pairs[place].nextReport =
                now + (isEarly ? HandshakeConstants.earlyReport : HandshakeConstants.lateReport)
            guard pair.supersededAt != nil else {
                measureRoundTrip(to: peer, now: now)
                continue
            }
            peer.pairs[place].closingReports += 1
            let sent = peer.pairs[place].closingReports
            peer.pairs[place].nextReport =
                sent < HandshakeConstants.closingReports.count ? now + HandshakeConstants.closingReports[sent] : nil
        }
    }
}
