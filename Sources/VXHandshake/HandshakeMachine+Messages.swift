import VXCrypto
public import VXWire

extension HandshakeMachine {
    /// Takes a datagram that is no transport data.
    /// - Parameters:
    ///   - datagram: any bytes.
    ///   - source: where it came from.
    ///   - isUnderLoad: more handshake messages wait than can be worked on; initiations then need a cookie.
    ///   - now: the time.
    public mutating func handleDatagram(
        _ datagram: [UInt8],
        from source: Endpoint,
        isUnderLoad: Bool = false,
        now: Now
    ) {
        guard randomness.reserve() else { return drop(.keyMemoryExhausted) }
        SecretMemory.beginDerivation()
        defer { SecretMemory.endDerivation() }
        do {
            switch try HandshakeMessage.parse(datagram, mac1Keys: identities.map(\.mac1Key)) {
            case .initiation(let message):
                try admit(message, from: source, isUnderLoad: isUnderLoad, now: now)
                try handleInitiation(message, from: source, now: now)
            case .response(let message):
                try handleResponse(message, from: source, now: now)
            case .cookieReply(let receiver, let nonce, let sealed):
                try handleCookie(receiver, nonce: nonce, sealed: sealed, now: now.instant)
            }
        } catch {
            drop(error.reason)
        }
    }

    // MARK: - Cookies

    private mutating func admit(
        _ message: HandshakeMessage.Parsed,
        from source: Endpoint,
        isUnderLoad: Bool,
        now: Now
    ) throws(DropError) {
        switch cookies.judge(message, from: source, isUnderLoad: isUnderLoad, now: now.instant) {
        case .work: return
        case .drop: throw DropError(.rateLimited)
        case .cookie:
            let key = identities[message.keyPlace].cookieKey
            act(.send(cookies.reply(to: message, from: source, cookieKey: key, now: now.instant), to: source))
            throw DropError(.cookieSent)
        }
    }

    private func handleCookie(
        _ receiver: ReceiverIndex,
        nonce: [UInt8],
        sealed: [UInt8],
        now: Instant
    ) throws(DropError) {
        guard let peer = owner(of: receiver), peer.pending?.localIndex == receiver,
            let mac1 = peer.pending?.mac1, let remote = peer.pending?.credentials.remote,
            let cookie = CookieCipher.open(
                sealed,
                nonce: nonce,
                key: HandshakeMessage.cookieKey(for: remote),
                associatedData: mac1
            )
        else { throw DropError(.invalidCookie) }
        // The next initiation carries it, when its time has come: a reply that anybody on the way can provoke must not
        // make this node send more.
        peer.cookie = ReceivedCookie(cookie: cookie, receivedAt: now)
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
        guard randomness.reserve() else {
            peer.nextInitiation = now.instant + HandshakeConstants.rekeyTimeout
            return drop(.keyMemoryExhausted)
        }
        SecretMemory.beginDerivation()
        defer { SecretMemory.endDerivation() }
        if let start = peer.seriesStart, now.instant.since(start) >= HandshakeConstants.rekeyAttemptTime {
            act(.dropWaiting(peer.index))
            peer.seriesStart = now.instant
            peer.isUnreachable = true
        }
        if peer.pending != nil { peer.failures += 1 }
        abandonPending(peer)
        let credentials = credentials(for: peer)
        let payload = InitiationPayload(
            timestamp: nextTimestamp(now.label),
            lanes: lanes,
            generation: credentials.generation,
            features: features
        )
        peer.seriesStart = peer.seriesStart ?? now.instant
        let jitter = randomness.below(HandshakeConstants.rekeyTimeoutJitterMilliseconds + 1)
        let distance = peer.isUnreachable ? HandshakeConstants.unreachableTimeout : HandshakeConstants.rekeyTimeout
        peer.nextInitiation = now.instant + distance + .milliseconds(UInt64(jitter))
        let handshake = InitiatorHandshake(
            identity: credentials.local,
            peer: credentials.remote,
            secrets: randomness.secrets(),
            payload: payload.bytes
        )
        // A configured key of low order: nobody can hold its private half.
        guard let handshake else { return drop(.handshakeFailed) }
        let index = allocateIndex(for: peer)
        let message = HandshakeMessage.initiation(
            sender: index,
            noise: handshake.message,
            mac1Key: HandshakeMessage.mac1Key(for: credentials.remote),
            cookie: peer.cookie.flatMap { $0.isFresh(at: now.instant) ? $0.cookie : nil }
        )
        peer.pending = PendingInitiation(
            handshake: handshake,
            localIndex: index,
            sentAt: now.instant,
            credentials: credentials,
            mac1: HandshakeMessage.mac1(of: message),
            message: message
        )
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
        // The peer has switched while this handshake with its old key was under way.
        if let remote = peer.pending?.credentials.remote, remote != peer.record.key, remote != peer.record.pendingKey {
            throw DropError(.retiredKey)
        }
        guard let pending = peer.pending.take() else { throw DropError(.unexpectedResponse) }
        peer.seriesStart = nil
        peer.failures = 0
        peer.isUnreachable = false
        peer.nextInitiation = nil
        let pair = KeyPair(
            localIndex: pending.localIndex,
            isInitiator: true,
            createdAt: now.instant,
            endpoint: source,
            timestamp: nil,
            // Of an initiation that was sent twice it is not known which was answered.
            roundTrip: pending.message == nil ? nil : now.instant.since(pending.sentAt),
            credentials: pending.credentials,
            stage: .installing(response: nil)
        )
        act(.observed(peer.index, payload.observed))
        let keys = finished.takeKeys().laneKeys(sendLanes: lanes, receiveLanes: payload.lanes)
        let common = features & payload.features
        install(pair, remoteIndex: message.sender, keys: keys, features: common, peer: peer, now: now)
    }

    /// Nil when this is no answer to the outstanding initiation. A forged response leaves that as it is.
    private func finish(
        _ message: HandshakeMessage.Parsed,
        for peer: PeerMachine
    ) throws(DropError) -> FinishedInitiator? {
        guard peer.pending?.localIndex == message.receiver, let credentials = peer.pending?.credentials,
            identities[message.keyPlace].publicKey == credentials.local.publicKey
        else { return nil }
        guard let finished = peer.pending?.handshake.finish(message.noise, psk: credentials.psk) else {
            throw DropError(.handshakeFailed)
        }
        guard try ResponsePayload(finished.payload).generation == credentials.generation else {
            throw DropError(.invalidPayload)
        }
        return finished
    }

    // MARK: - Responding

    private mutating func handleInitiation(
        _ message: HandshakeMessage.Parsed,
        from source: Endpoint,
        now: Now
    ) throws(DropError) {
        let identity = identities[message.keyPlace].keyPair
        guard let received = ReceivedInitiation(message.noise, identity: identity) else {
            throw DropError(.handshakeFailed)
        }
        let remote = received.remoteStatic
        guard let peer = peer(knownBy: remote) else { throw DropError(.unknownPeer) }
        guard let initiation = received.authenticate() else { throw DropError(.handshakeFailed) }
        let payload = try InitiationPayload(initiation.payload)
        guard peer.record.key == remote || peer.record.pendingKey == remote else { throw DropError(.retiredKey) }
        let psk = peer.psk
        guard payload.generation >= psk.generation else { throw DropError(.pskRetired) }
        guard let key = psk.key(of: payload.generation) else { throw DropError(.invalidPayload) }
        if let committed = peer.committedTimestamp, payload.timestamp <= committed {
            initiateInsteadOfStale(peer, now: now)
            throw DropError(.staleTimestamp)
        }
        // A recorded initiation can be sent again until its session is confirmed: one answer per REKEY_TIMEOUT.
        if let answered = peer.answeredAt, now.instant.since(answered) < HandshakeConstants.rekeyTimeout {
            throw DropError(.handshakeLimited)
        }
        // Whose initiation stands is settled by the keys that the two were made with, which both sides know.
        if let sentAt = peer.pending?.sentAt, let own = peer.pending?.credentials.local.publicKey,
            now.instant.since(sentAt) < HandshakeConstants.crossingTime, remote < own
        {
            repeatInitiation(peer)
            throw DropError(.handshakeCrossed)
        }
        let response = ResponsePayload(
            lanes: lanes,
            generation: payload.generation,
            features: features & payload.features,
            observed: source
        )
        let finished = initiation.respond(
            ephemeral: randomness.secrets().ephemeral,
            psk: key,
            payload: response.bytes
        )
        guard let finished else { throw DropError(.handshakeFailed) }
        abandonPending(peer)
        // The answer may be lost, and where both have answered, both are: without a session somebody has to call again.
        let jitter = randomness.below(HandshakeConstants.rekeyTimeoutJitterMilliseconds + 1)
        let isConnected = peer.sendingPair(at: now.instant) != nil
        peer.nextInitiation =
            isConnected ? nil : now.instant + HandshakeConstants.rekeyTimeout + .milliseconds(UInt64(jitter))
        peer.answeredAt = now.instant
        let index = allocateIndex(for: peer)
        let answer = HandshakeMessage.response(
            sender: index,
            receiver: message.sender,
            noise: finished.message,
            mac1Key: HandshakeMessage.mac1Key(for: remote)
        )
        let pair = KeyPair(
            localIndex: index,
            isInitiator: false,
            createdAt: now.instant,
            endpoint: source,
            timestamp: payload.timestamp,
            roundTrip: nil,
            credentials: Credentials(local: identity, remote: remote, generation: payload.generation, psk: key),
            stage: .installing(response: answer)
        )
        let keys = finished.takeKeys().laneKeys(sendLanes: lanes, receiveLanes: payload.lanes)
        let common = features & payload.features
        install(pair, remoteIndex: message.sender, keys: keys, features: common, peer: peer, now: now)
    }

    /// The peer's clock went back, or this is a replay: with no session of our own to lose, call the peer where it is
    /// known to be, at most every REKEY_TIMEOUT.
    private mutating func initiateInsteadOfStale(_ peer: PeerMachine, now: Now) {
        guard peer.sendingPair(at: now.instant) == nil, peer.pending == nil else { return }
        if let last = peer.staleAnswerAt, now.instant.since(last) < HandshakeConstants.rekeyTimeout { return }
        peer.staleAnswerAt = now.instant
        initiate(peer, now: now)
    }

    /// A peer that calls while this node's own initiation stands has not got that if it has only just started, as two nodes do
    /// that are started one after the other. It gets the same datagram once more; where it had it, it takes it for a repetition.
    private mutating func repeatInitiation(_ peer: PeerMachine) {
        guard let endpoint = peer.endpoint, let message = peer.pending?.message.take() else { return }
        act(.send(message, to: endpoint))
    }

    // MARK: - Installing

    private mutating func install(
        _ pair: KeyPair,
        remoteIndex: ReceiverIndex,
        keys: TransportKeySet,
        features: UInt8,
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
            features: features,
            createdAt: pair.createdAt,
            endpoint: pair.endpoint
        )
        act(.install(installation))
    }

    /// At most four pairs: one goes that was never confirmed and never will be, or the oldest that is not sent under. One
    /// that waits for its confirmation stays, since the peer may be sending under it already.
    private mutating func makeRoom(_ peer: PeerMachine, now: Instant) {
        let sending = peer.sendingPair(at: now)
        let candidates = peer.pairs.indices.filter { $0 != sending && !peer.pairs[$0].isRetiring }
        guard candidates.count + (sending == nil ? 0 : 1) >= HandshakeConstants.mostPairs else { return }
        let isHopeless = { (place: Int) in
            !peer.pairs[place].isConfirmed && !peer.pairs[place].isInitiator
                && now.since(peer.pairs[place].createdAt) >= HandshakeConstants.rekeyTimeout
        }
        guard let victim = candidates.first(where: isHopeless) ?? candidates.first else { return }
        retire(victim, of: peer)
    }

    mutating func retire(_ place: Int, of peer: PeerMachine) {
        guard !peer.pairs[place].isRetiring else { return }
        peer.pairs[place].stage = .retiring
        act(.retire(peer.pairs[place].localIndex))
    }
}
