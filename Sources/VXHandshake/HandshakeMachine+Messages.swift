import VXCrypto
public import VXWire

extension HandshakeMachine {
    /// Takes a datagram that is no transport data.
    public mutating func handleDatagram(_ datagram: [UInt8], from source: Endpoint, now: Now) {
        do {
            let message = try HandshakeMessage.parse(datagram, mac1Key: mac1Key)
            if message.type == .initiation {
                try handleInitiation(message, from: source, now: now)
            } else {
                try handleResponse(message, from: source, now: now)
            }
        } catch {
            drop(error.reason)
        }
    }

    // MARK: - Initiating

    /// Sends a fresh initiation and drops an outstanding one. Gives up the waiting frames after REKEY_ATTEMPT_TIME, and
    /// goes on: a peer is kept connected.
    mutating func initiate(_ peer: PeerMachine, now: Now) {
        guard let endpoint = peer.endpoint else {
            peer.nextInitiation = nil
            return
        }
        if let hold = peer.notBefore, now.instant < hold {
            peer.nextInitiation = hold
            return
        }
        if let start = peer.seriesStart, now.instant.since(start) >= HandshakeConstants.rekeyAttemptTime {
            act(.dropWaiting(peer.index))
            peer.seriesStart = now.instant
        }
        abandonPending(peer)
        let payload = InitiationPayload(
            timestamp: nextTimestamp(now.label),
            lanes: lanes,
            generation: 0,
            features: features
        )
        peer.seriesStart = peer.seriesStart ?? now.instant
        let jitter = randomness.below(HandshakeConstants.rekeyTimeoutJitterMilliseconds + 1)
        peer.nextInitiation = now.instant + HandshakeConstants.rekeyTimeout + .milliseconds(UInt64(jitter))
        let handshake = InitiatorHandshake(
            identity: identity,
            peer: peer.configuration.publicKey,
            secrets: randomness.secrets(),
            payload: payload.bytes
        )
        // A configured key of low order: nobody can hold its private half.
        guard let handshake else { return drop(.handshakeFailed) }
        let index = allocateIndex(for: peer)
        let message = HandshakeMessage.initiation(sender: index, noise: handshake.message, mac1Key: peer.mac1Key)
        peer.pending = PendingInitiation(handshake: handshake, localIndex: index, sentAt: now.instant)
        act(.send(message, to: endpoint))
        updateState(of: peer, now: now.instant)
    }

    mutating func abandonPending(_ peer: PeerMachine) {
        if let pending = peer.pending.take() { release(pending.localIndex) }
    }

    private mutating func handleResponse(
        _ message: HandshakeMessage.Parsed,
        from source: Endpoint,
        now: Now
    ) throws(DropError) {
        guard let peer = owner(of: message.receiver), let finished = try finish(message, for: peer) else {
            throw DropError(.unexpectedResponse)
        }
        let payload = try ResponsePayload(finished.payload)
        guard let pending = peer.pending.take() else { throw DropError(.unexpectedResponse) }
        peer.seriesStart = nil
        peer.nextInitiation = nil
        let pair = KeyPair(
            localIndex: pending.localIndex,
            isInitiator: true,
            createdAt: now.instant,
            endpoint: source,
            timestamp: nil,
            roundTrip: now.instant.since(pending.sentAt),
            stage: .installing(response: nil)
        )
        let keys = finished.takeKeys().laneKeys(sendLanes: lanes, receiveLanes: payload.lanes)
        install(pair, remoteIndex: message.sender, keys: keys, peer: peer, now: now)
    }

    /// Nil when this is no answer to the outstanding initiation. A forged response leaves that as it is.
    private func finish(
        _ message: HandshakeMessage.Parsed,
        for peer: PeerMachine
    ) throws(DropError) -> FinishedInitiator? {
        guard peer.pending?.localIndex == message.receiver else { return nil }
        guard let finished = peer.pending?.handshake.finish(message.noise, psk: peer.configuration.presharedKey) else {
            throw DropError(.handshakeFailed)
        }
        return finished
    }

    // MARK: - Responding

    private mutating func handleInitiation(
        _ message: HandshakeMessage.Parsed,
        from source: Endpoint,
        now: Now
    ) throws(DropError) {
        guard let received = ReceivedInitiation(message.noise, identity: identity) else {
            throw DropError(.handshakeFailed)
        }
        guard let peer = peer(holding: received.remoteStatic) else { throw DropError(.unknownPeer) }
        guard let initiation = received.authenticate() else { throw DropError(.handshakeFailed) }
        let payload = try InitiationPayload(initiation.payload)
        guard payload.generation == 0 else { throw DropError(.invalidPayload) }
        if let committed = peer.committedTimestamp, payload.timestamp <= committed {
            initiateInsteadOfStale(peer, now: now)
            throw DropError(.staleTimestamp)
        }
        // A recorded initiation can be sent again until its session is confirmed: one answer per REKEY_TIMEOUT.
        if let answered = peer.answeredAt, now.instant.since(answered) < HandshakeConstants.rekeyTimeout {
            throw DropError(.handshakeLimited)
        }
        if let sentAt = peer.pending?.sentAt, now.instant.since(sentAt) < HandshakeConstants.crossingTime,
            peer.configuration.publicKey < identity.publicKey
        {
            throw DropError(.handshakeCrossed)
        }
        let response = ResponsePayload(
            lanes: lanes,
            generation: 0,
            features: features & payload.features,
            observed: source
        )
        let finished = initiation.respond(
            ephemeral: randomness.secrets().ephemeral,
            psk: peer.configuration.presharedKey,
            payload: response.bytes
        )
        guard let finished else { throw DropError(.handshakeFailed) }
        abandonPending(peer)
        peer.nextInitiation = nil
        peer.answeredAt = now.instant
        let index = allocateIndex(for: peer)
        let answer = HandshakeMessage.response(
            sender: index,
            receiver: message.sender,
            noise: finished.message,
            mac1Key: peer.mac1Key
        )
        let pair = KeyPair(
            localIndex: index,
            isInitiator: false,
            createdAt: now.instant,
            endpoint: source,
            timestamp: payload.timestamp,
            roundTrip: nil,
            stage: .installing(response: answer)
        )
        let keys = finished.takeKeys().laneKeys(sendLanes: lanes, receiveLanes: payload.lanes)
        install(pair, remoteIndex: message.sender, keys: keys, peer: peer, now: now)
    }

    /// The peer's clock went back, or this is a replay: with no session of our own to lose, call the peer where it is
    /// known to be, at most every REKEY_TIMEOUT.
    private mutating func initiateInsteadOfStale(_ peer: PeerMachine, now: Now) {
        guard peer.sendingPair(at: now.instant) == nil, peer.pending == nil else { return }
        if let last = peer.staleAnswerAt, now.instant.since(last) < HandshakeConstants.rekeyTimeout { return }
        peer.staleAnswerAt = now.instant
        initiate(peer, now: now)
    }

    // MARK: - Installing

    private mutating func install(
        _ pair: KeyPair,
        remoteIndex: ReceiverIndex,
        keys: TransportKeySet,
        peer: PeerMachine,
        now: Now
    ) {
        makeRoom(peer, now: now.instant)
        peer.pairs.append(pair)
        let installation = PairInstallation(
            peer: peer.index,
            localIndex: pair.localIndex,
            remoteIndex: remoteIndex,
            keys: keys,
            isInitiator: pair.isInitiator,
            createdAt: pair.createdAt,
            endpoint: pair.endpoint
        )
        act(.install(installation))
    }

    /// At most four pairs: the oldest that is not sent under goes, one never confirmed first.
    private mutating func makeRoom(_ peer: PeerMachine, now: Instant) {
        let sending = peer.sendingPair(at: now)
        let candidates = peer.pairs.indices.filter { $0 != sending && !peer.pairs[$0].isRetiring }
        guard candidates.count + (sending == nil ? 0 : 1) >= HandshakeConstants.mostPairs else { return }
        guard let victim = candidates.first(where: { !peer.pairs[$0].isConfirmed }) ?? candidates.first else { return }
        retire(victim, of: peer)
    }

    mutating func retire(_ place: Int, of peer: PeerMachine) {
        guard !peer.pairs[place].isRetiring else { return }
        peer.pairs[place].stage = .retiring
        act(.retire(peer.pairs[place].localIndex))
    }
}
