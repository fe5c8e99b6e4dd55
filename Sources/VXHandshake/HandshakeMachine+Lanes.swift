import VXWire

extension HandshakeMachine {
    /// Takes what the lanes or the operator say.
    public mutating func handle(_ event: LaneEvent, now: Now) {
        switch event {
        case .installed(let index): installed(index, now: now)
        case .confirmed(let index, let source): confirmed(index, from: source, now: now)
        case .retired(let index): retired(index, now: now)
        case .handshakeNeeded(let index):
            guard let peer = peer(index), peer.sendingPair(at: now.instant) == nil else { return }
            guard let sentAt = peer.pending?.sentAt else { return initiate(peer, now: now) }
            // The call that is out may be one of the rare ones to an unreachable peer: from now on they are frequent again.
            if peer.isUnreachable {
                peer.isUnreachable = false
                peer.nextInitiation = max(sentAt + HandshakeConstants.rekeyTimeout, now.instant)
            }
        case .rekeyRequested(let index):
            guard let peer = peer(index), peer.pending == nil else { return }
            initiate(peer, now: now)
        case .activity(let index, let activity):
            guard let peer = owner(of: index), let place = peer.pair(index) else { return }
            peer.pairs[place].activity = activity
            if place == peer.sendingPair(at: now.instant) {
                peer.ports.noteSent(activity.sendCounters, under: index, now: now.instant)
            }
            noteSilence(peer, place, now: now.instant)
        case .endpointMoved(let index, let endpoint):
            guard let peer = peer(index) else { return }
            moved(peer, to: endpoint, now: now.instant)
        case .endpointResolved(let index, let endpoint):
            guard let peer = peer(index), peer.endpoint != endpoint, peer.sendingPair(at: now.instant) == nil else {
                return
            }
            moved(peer, to: endpoint, now: now.instant)
            if peer.pending == nil { initiate(peer, now: now) }
        case .interfaceMTU(let index, let mtu):
            guard let peer = peer(index) else { return }
            peer.interfaceMTU = mtu
            peer.pathMTU?.setInterfaceMTU(mtu, now: now.instant)
            runPathMTU(peer, now: now.instant)
        case .addressObserved(let index, let isOwn):
            guard let peer = peer(index) else { return }
            noteObserved(peer, isOwn: isOwn)
        case .control(let index, let pair, let message):
            guard let peer = peer(index) else { return }
            // Successor statements and preshared keys' rotations are agreed with secrets, too.
            guard randomness.reserve() else { return drop(.keyMemoryExhausted) }
            receiveControl(message, peer: peer, pair: pair, now: now)
        case .stored(let number, let succeeded): stored(number, succeeded: succeeded, now: now)
        case .promoted(let succeeded): promoted(succeeded: succeeded, now: now)
        case .erased: erased(now: now)
        case .shutdown: sayGoodbye(now: now.instant)
        }
    }

    private mutating func installed(_ index: ReceiverIndex, now: Now) {
        guard let peer = owner(of: index), let place = peer.pair(index) else { return }
        guard case .installing(let response) = peer.pairs[place].stage else { return }
        peer.pairs[place].stage = .live
        if let response {
            act(.send(response, to: peer.pairs[place].endpoint))
            return
        }
        if mayMove(peer, to: peer.pairs[place].endpoint) {
            moved(peer, to: peer.pairs[place].endpoint, now: now.instant)
        }
        peer.pairs[place].announcement = Repetition(now: now.instant + HandshakeConstants.firstRepetition)
        act(.activate(index, peer: peer.index, announce: true))
        takeIntoUse(place, of: peer, now: now)
    }

    private mutating func confirmed(_ index: ReceiverIndex, from source: Endpoint?, now: Now) {
        guard let peer = owner(of: index), let place = peer.pair(index), !peer.pairs[place].isConfirmed else { return }
        peer.pairs[place].isConfirmed = true
        noteKeys(of: peer, place, now: now)
        guard !peer.pairs[place].isInitiator else { return }
        if let timestamp = peer.pairs[place].timestamp {
            peer.committedTimestamp = max(peer.committedTimestamp ?? timestamp, timestamp)
            // Labels of authentic initiations alone, and no replayed ones: this one's session has just been confirmed.
            act(.clock(peer.index, ahead: Int64(bitPattern: timestamp.seconds &- now.label.seconds)))
        }
        peer.answeredAt = nil
        peer.seriesStart = nil
        peer.isUnreachable = false
        peer.failures = 0
        if peer.pending == nil { peer.nextInitiation = nil }
        if let source, mayMove(peer, to: source) { moved(peer, to: source, now: now.instant) }
        act(.activate(index, peer: peer.index, announce: false))
        takeIntoUse(place, of: peer, now: now)
    }

    private func mayMove(_ peer: PeerMachine, to endpoint: Endpoint) -> Bool {
        peer.endpoint != endpoint && (peer.endpoint == nil || peer.configuration.roaming)
    }

    /// Another place is another path.
    mutating func moved(_ peer: PeerMachine, to endpoint: Endpoint, now: Instant) {
        peer.endpoint = endpoint
        peer.pathMTU = nil
        peer.interfaceMTU = nil
        peer.ports.forgetPath()
        tellPorts(of: peer)
        act(.endpoint(peer.index, endpoint))
    }

    /// A pair that may be sent under: the older ones only receive from now on.
    private mutating func takeIntoUse(_ place: Int, of peer: PeerMachine, now: Now) {
        let pair = peer.pairs[place]
        for older in peer.pairs.indices
        where peer.pairs[older].createdAt < pair.createdAt && peer.pairs[older].supersededAt == nil {
            peer.pairs[older].supersededAt = now.instant
            if peer.pairs[older].nextReport != nil {
                peer.pairs[older].nextReport = now.instant + HandshakeConstants.closingReports[0]
            }
        }
        peer.pairs[place].nextReport = now.instant + HandshakeConstants.earlyReport
        peer.notBefore = nil
        act(.established(peer.index, pair.localIndex, at: pair.createdAt, roundTrip: pair.roundTrip))
        act(.control(peer.index, ControlMessage.hello(name: name).bytes))
        if pair.isInitiator {
            act(.control(peer.index, ControlMessage.ports(peer.ports.isTranslatedHere ? .fixed : .lanes).bytes))
        }
        updateState(of: peer, now: now.instant)
    }

    private mutating func retired(_ index: ReceiverIndex, now: Now) {
        defer { release(index) }
        guard let peer = owner(of: index) else { return }
        peer.pairs.removeAll { $0.localIndex == index }
        updateState(of: peer, now: now.instant)
    }

    /// The lanes hold no pair any more, and neither does this side.
    private mutating func erased(now: Now) {
        releaseRemoved()
        for peer in peers {
            for pair in peer.pairs { release(pair.localIndex) }
            peer.pairs.removeAll()
            abandonPending(peer)
            peer.answeredAt = nil
            if peer.endpoint != nil { initiate(peer, now: now) }
            updateState(of: peer, now: now.instant)
        }
    }

    private mutating func sayGoodbye(now: Instant) {
        for peer in peers { sayGoodbye(to: peer, now: now) }
    }

    mutating func sayGoodbye(to peer: PeerMachine, now: Instant) {
        guard peer.sendingPair(at: now) != nil else { return }
        // Three times, for nobody acknowledges it.
        for _ in 0..<3 { act(.control(peer.index, ControlMessage.goodbye(reason: 0).bytes)) }
    }

    private mutating func receiveControl(_ bytes: [UInt8], peer: PeerMachine, pair: ReceiverIndex, now: Now) {
        switch unsafe ControlMessage.parse(bytes.span.bytes) {
        case .message(.hello(let name)): act(.name(peer.index, name))
        case .message(.goodbye): end(pair, of: peer, now: now.instant)
        case .message(.report(let lanes)): noteReport(lanes, of: peer, pair: pair, now: now.instant)
        case .message(.pathMTUProbe(let size, let identifier)):
            act(.control(peer.index, ControlMessage.pathMTUAcknowledgement(size: size, identifier: identifier).bytes))
        case .message(.pathMTUAcknowledgement(let size, let identifier)):
            peer.pathMTU?.acknowledge(size: Int(size), identifier: identifier, now: now.instant)
            runPathMTU(peer, now: now.instant)
        case .message(.successor(let body)): receiveSuccessor(body, peer: peer, pair: pair, now: now)
        case .message(.successorAcknowledgement(let hash)):
            receiveAcknowledgement(hash, peer: peer, pair: pair, now: now)
        case .message(.psk(let step, let generation, let nonce)):
            receivePSK(step, generation, nonce, peer: peer, pair: pair, now: now)
        case .message(.pskConfirmation(let generation, let code)):
            receivePSKConfirmation(generation, code, peer: peer, pair: pair, now: now)
        case .message(.ports(let use)): notePorts(use, of: peer)
        case .message(.traceRequest(let request)): receiveTraceRequest(request, peer: peer, now: now.instant)
        case .message(.traceReply(let reply)): act(.traced(peer.index, reply))
        case .message(.echoRequest(let echo)): receiveEchoRequest(echo, peer: peer, now: now.instant)
        case .message(.echoReply(let echo)): receiveEchoReply(echo, peer: peer, now: now.instant)
        case .drop(let reason): drop(reason)
        }
    }

    /// The peer ends: this pair and older ones are not sent under again, and still receive for a moment.
    private mutating func end(_ index: ReceiverIndex, of peer: PeerMachine, now: Instant) {
        guard let ended = peer.pairs.first(where: { $0.localIndex == index }) else { return }
        for place in peer.pairs.indices
        where peer.pairs[place].createdAt <= ended.createdAt && peer.pairs[place].endsAt == nil {
            peer.pairs[place].endsAt = now + HandshakeConstants.goodbyeLinger
            act(.stopSending(peer.pairs[place].localIndex, peer: peer.index))
        }
        let jitter = randomness.below(HandshakeConstants.rekeyTimeoutJitterMilliseconds + 1)
        peer.notBefore = now + HandshakeConstants.goodbyeLinger + .milliseconds(UInt64(jitter))
        updateState(of: peer, now: now)
    }
}
