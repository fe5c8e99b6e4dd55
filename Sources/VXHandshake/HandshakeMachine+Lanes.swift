import VXWire

extension HandshakeMachine {
    /// Takes what the lanes or the operator say.
    public mutating func handle(_ event: LaneEvent, now: Now) {
        switch event {
        case .installed(let index): installed(index, now: now)
        case .confirmed(let index, let source): confirmed(index, from: source, now: now)
        case .retired(let index): retired(index, now: now)
        case .handshakeNeeded(let index):
            guard let peer = peer(index), peer.pending == nil, peer.sendingPair(at: now.instant) == nil else { return }
            initiate(peer, now: now)
        case .rekeyRequested(let index):
            guard let peer = peer(index), peer.pending == nil else { return }
            initiate(peer, now: now)
        case .activity(let index, let activity):
            guard let peer = owner(of: index), let place = peer.pair(index) else { return }
            peer.pairs[place].activity = activity
            noteSilence(peer, place, now: now.instant)
        case .endpointMoved(let index, let endpoint):
            peer(index)?.endpoint = endpoint
            act(.endpoint(index, endpoint))
        case .control(let index, let pair, let message):
            guard let peer = peer(index) else { return }
            receiveControl(message, peer: peer, pair: pair, now: now)
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
        moveEndpoint(of: peer, to: peer.pairs[place].endpoint)
        act(.activate(index, peer: peer.index, announce: true))
        takeIntoUse(place, of: peer, now: now)
    }

    private mutating func confirmed(_ index: ReceiverIndex, from source: Endpoint, now: Now) {
        guard let peer = owner(of: index), let place = peer.pair(index), !peer.pairs[place].isConfirmed else { return }
        peer.pairs[place].isConfirmed = true
        guard !peer.pairs[place].isInitiator else { return }
        if let timestamp = peer.pairs[place].timestamp {
            peer.committedTimestamp = max(peer.committedTimestamp ?? timestamp, timestamp)
        }
        peer.answeredAt = nil
        peer.seriesStart = nil
        moveEndpoint(of: peer, to: source)
        act(.activate(index, peer: peer.index, announce: false))
        takeIntoUse(place, of: peer, now: now)
    }

    private mutating func moveEndpoint(of peer: PeerMachine, to endpoint: Endpoint) {
        guard peer.endpoint != endpoint, peer.endpoint == nil || peer.configuration.roaming else { return }
        peer.endpoint = endpoint
        act(.endpoint(peer.index, endpoint))
    }

    /// A pair that may be sent under: the older ones only receive from now on.
    private mutating func takeIntoUse(_ place: Int, of peer: PeerMachine, now: Now) {
        let pair = peer.pairs[place]
        for older in peer.pairs.indices where peer.pairs[older].createdAt < pair.createdAt {
            peer.pairs[older].supersededAt = peer.pairs[older].supersededAt ?? now.instant
        }
        peer.pairs[place].nextReport = now.instant + HandshakeConstants.earlyReport
        peer.notBefore = nil
        act(.established(peer.index, pair.localIndex, at: pair.createdAt, roundTrip: pair.roundTrip))
        act(.control(peer.index, ControlMessage.hello(name: name).bytes))
        updateState(of: peer, now: now.instant)
    }

    private mutating func retired(_ index: ReceiverIndex, now: Now) {
        guard let peer = owner(of: index) else { return }
        peer.pairs.removeAll { $0.localIndex == index }
        release(index)
        updateState(of: peer, now: now.instant)
    }

    /// The lanes hold no pair any more, and neither does this side.
    private mutating func erased(now: Now) {
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
        for peer in peers where peer.sendingPair(at: now) != nil {
            // Three times, for nobody acknowledges it.
            for _ in 0..<3 { act(.control(peer.index, ControlMessage.goodbye(reason: 0).bytes)) }
        }
    }

    private mutating func receiveControl(_ bytes: [UInt8], peer: PeerMachine, pair: ReceiverIndex, now: Now) {
        switch unsafe ControlMessage.parse(bytes.span.bytes) {
        case .message(.hello(let name)): act(.name(peer.index, name))
        case .message(.goodbye): end(pair, of: peer, now: now.instant)
        case .message(.report(let lanes)):
            guard let lane = lanes.first else { return }
            act(.reported(peer.index, pair, highest: lane.highestCounter, received: lane.received))
        case .message(.ports): break
        case .message(.echoRequest), .message(.echoReply): drop(.unknownControl)
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
