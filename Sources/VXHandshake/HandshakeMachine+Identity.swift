public import VXCrypto
public import VXWire

// Rotation of static keys (protocol.md, 6). This node's own: a new key is stated to every peer over its sealed session;
// who has stored it is called with it; when all use it, or the overlap is over, the old one is erased. And the peers': a
// statement is checked, stored, then acknowledged; the first session with the new key retires the old.
extension HandshakeMachine {
    /// Why a rotation was not started.
    public enum RotationRefusal: Error, Sendable {
        /// One is open.
        case alreadyOpen
    }

    /// Opens a rotation. The caller has the new key on disk already.
    /// - Parameters:
    ///   - key: the new key.
    ///   - overlap: for how long the old key is answered to at most.
    ///   - now: the time.
    public mutating func startRotation(to key: StaticKeyPair, overlap: Interval, now: Now) throws(RotationRefusal) {
        guard state.rotation == nil else { throw .alreadyOpen }
        let previous = state
        let seconds = now.label.unixSeconds
        // Above the clock too, so that a state directory that was lost doesn't lock the node out.
        let sequence = max(state.lastSequence + 1, seconds)
        state.lastSequence = sequence
        state.rotation = DurableState.OpenRotation(
            oldKey: identities[0].publicKey,
            newKey: key.publicKey,
            sequence: sequence,
            startedAt: seconds,
            endsAt: seconds + overlap.nanoseconds / 1_000_000_000
        )
        identities = [identities[0], LocalIdentity(key)]
        store(.announce(previous: previous))
    }

    /// Whether the peer has yet to use this node's new key.
    func isBehind(_ peer: PeerMachine) -> Bool {
        state.rotation.map { !$0.switched.contains(peer.configuration.publicKey) } ?? false
    }

    /// The keys that the next initiation is made with. After three failures the other of each is tried in turn, for the
    /// peer may have switched, been rolled back or replaced.
    func credentials(for peer: PeerMachine) -> Credentials {
        let configured = peer.configuration.publicKey
        let isOther = peer.failures >= HandshakeConstants.failuresBeforeOther
        func alternative(_ bit: Int) -> Bool {
            isOther && (peer.failures - HandshakeConstants.failuresBeforeOther) >> bit & 1 == 0
        }
        var local = identities[0].keyPair
        if identities.count > 1, let rotation = state.rotation, rotation.acknowledged.contains(configured) {
            local = identities[alternative(0) ? 0 : 1].keyPair
        }
        var remote = peer.record.key
        if let pending = peer.record.pendingKey, alternative(1) { remote = pending }
        let psk = peer.psk
        var generation = psk.generation
        if let pending = psk.pending {
            let prefersNext = peer.pskExchange?.isConfirmed ?? false
            if prefersNext != alternative(2) {
                generation += 1
                return Credentials(local: local, remote: remote, generation: generation, psk: pending.key)
            }
        }
        return Credentials(local: local, remote: remote, generation: generation, psk: psk.key)
    }

    // MARK: - This node's key

    /// States the successor to a peer that has not acknowledged it, and calls one that has with the new key, for its own
    /// call may have come in between.
    mutating func announceIfDue(_ peer: PeerMachine, _ place: Int, now: Now) {
        guard let rotation = state.rotation, identities.count > 1, peer.pairs[place].isConfirmed,
            peer.announcement?.isDue(now.instant) == true
        else { return }
        guard !rotation.acknowledged.contains(peer.configuration.publicKey) else {
            if peer.pending == nil { initiate(peer, now: now) }
            return
        }
        let credentials = peer.pairs[place].credentials
        guard
            let body = SuccessorStatement.make(
                sender: credentials.local.publicKey,
                successor: identities[1].keyPair,
                receiver: credentials.remote,
                sequence: rotation.sequence
            )
        else { return }
        act(.control(peer.index, ControlMessage.successor(body).bytes))
    }

    mutating func receiveAcknowledgement(_ hash: [UInt8], peer: PeerMachine, pair: ReceiverIndex, now: Now) {
        guard let rotation = state.rotation, identities.count > 1,
            !rotation.acknowledged.contains(peer.configuration.publicKey),
            let credentials = peer.pairs.first(where: { $0.localIndex == pair })?.credentials,
            let body = SuccessorStatement.make(
                sender: credentials.local.publicKey,
                successor: identities[1].keyPair,
                receiver: credentials.remote,
                sequence: rotation.sequence
            ), HandshakeCipher.areEqual(SuccessorStatement.acknowledgement(of: body), hash)
        else { return }
        state.rotation?.acknowledged.insert(peer.configuration.publicKey)
        peer.announcement = Repetition(now: now.instant)
        store(.nothing)
        act(.notice(peer.index, .acknowledged))
        peer.failures = 0
        if let place = peer.sendingPair(at: now.instant) { announceIfDue(peer, place, now: now) }
    }

    /// A session that the peer has confirmed: it may be the first with a new key of either side.
    mutating func noteKeys(of peer: PeerMachine, _ place: Int, now: Now) {
        let credentials = peer.pairs[place].credentials
        let configured = peer.configuration.publicKey
        if identities.count > 1, credentials.local.publicKey == identities[1].publicKey,
            state.rotation?.switched.contains(configured) == false
        {
            // Whoever calls the new key has stored it, also when its acknowledgement was lost.
            state.rotation?.acknowledged.insert(configured)
            state.rotation?.switched.insert(configured)
            peer.announcement = nil
            store(.nothing)
            act(.notice(peer.index, .switched))
        }
        if credentials.remote == peer.record.pendingKey {
            var record = peer.record
            record.replaceKey(by: credentials.remote)
            commit(record, of: peer)
            store(.nothing)
            act(.notice(peer.index, .peerSwitched(credentials.remote)))
        }
        notePSK(of: peer, credentials, now: now)
        endRetiredPairs(of: peer, now: now)
    }

    /// Pairs under a key that was retired end after 10 s. Where handshakes under both keys crossed, the newest pair may be
    /// one of them, and the peer sends under it: a newer one takes over in time.
    private mutating func endRetiredPairs(of peer: PeerMachine, now: Now) {
        for place in peer.pairs.indices {
            let remote = peer.pairs[place].credentials.remote
            guard remote != peer.record.key, remote != peer.record.pendingKey, peer.pairs[place].endsAt == nil else {
                continue
            }
            peer.pairs[place].endsAt = now.instant + HandshakeConstants.retiredKeyLinger
            if place == peer.pairs.indices.last, peer.pending == nil { initiate(peer, now: now) }
        }
    }

    /// Erases the old key when every peer uses the new one, or the overlap is over.
    mutating func endOverlap(now: Now) {
        guard let rotation = state.rotation, identities.count > 1, !isPromoting else { return }
        if promotion == nil {
            let isOver = now.label.unixSeconds >= rotation.endsAt
            let left = peers.filter { !rotation.switched.contains($0.configuration.publicKey) }
            guard isOver || left.isEmpty else { return }
            for peer in left { act(.notice(peer.index, .leftBehind)) }
            promotion = Repetition(now: now.instant)
        }
        guard promotion?.isDue(now.instant) == true else { return }
        isPromoting = true
        act(.promote(rotation.newKey))
    }

    mutating func promoted(succeeded: Bool, now: Now) {
        guard isPromoting, identities.count > 1 else { return }
        isPromoting = false
        // While the key file can't be replaced the overlap simply lasts; the operator has been told.
        guard succeeded else { return act(.notice(nil, .storeFailed)) }
        promotion = nil
        for peer in peers where peer.pending?.credentials.local.publicKey == identities[0].publicKey {
            abandonPending(peer)
        }
        identities.removeFirst()
        state.rotation = nil
        store(.nothing)
        act(.notice(nil, .rotationEnded))
        for peer in peers {
            peer.announcement = nil
            // A handshake with the old key may have crossed the switch: no session outlives the key it came from for long.
            guard let place = peer.sendingPair(at: now.instant), peer.pending == nil,
                peer.pairs[place].credentials.local.publicKey != identities[0].publicKey
            else { continue }
            initiate(peer, now: now)
        }
    }

    // MARK: - A peer's key

    mutating func receiveSuccessor(_ body: [UInt8], peer: PeerMachine, pair: ReceiverIndex, now: Now) {
        guard let credentials = peer.pairs.first(where: { $0.localIndex == pair })?.credentials,
            let statement = SuccessorStatement(body)
        else { return drop(.malformedControl) }
        var record = peer.record
        let acknowledgement = ControlMessage.successorAcknowledgement(SuccessorStatement.acknowledgement(of: body))
        // Its acknowledgement was lost, or this node was slow: said again, it is the same.
        let isKnown = statement.key == record.pendingKey || statement.key == record.key
        if isKnown, statement.sequence == record.sequence {
            return act(.control(peer.index, acknowledgement.bytes))
        }
        guard credentials.remote == record.key else { return drop(.retiredKey) }
        guard peer.configuration.acceptSuccessors, !record.isFrozen else { return drop(.successorRefused) }
        guard statement.sequence > record.sequence else { return drop(.staleSuccessor) }
        guard isAcceptable(statement.key), statement.isProven(sender: credentials.remote, receiver: credentials.local)
        else { return drop(.invalidSuccessor) }
        let previous = record
        record.sequence = statement.sequence
        if record.pendingKey != nil {
            record.pendingKey = nil
            record.isFrozen = true
            commit(record, of: peer)
            store(.nothing)
            drop(.successorConflict)
            act(.notice(peer.index, .successorConflict))
            return updateState(of: peer, now: now.instant)
        }
        record.pendingKey = statement.key
        commit(record, of: peer)
        store(.acknowledgeSuccessor(peer, pair, acknowledgement: acknowledgement.bytes, previous: previous))
    }

    /// A key that is nobody's yet: not this node's own, and no peer's, past or present.
    private func isAcceptable(_ key: PublicKey) -> Bool {
        !identities.contains { $0.publicKey == key } && peer(knownBy: key) == nil
            && !peers.contains { $0.configuration.publicKey == key }
    }

    // MARK: - The disk has answered

    mutating func stored(_ number: UInt64, succeeded: Bool, now: Now) {
        guard let next = afterStore.removeValue(forKey: number) else { return }
        if !succeeded { act(.notice(nil, .storeFailed)) }
        switch next {
        case .nothing: break
        case .acknowledgeSuccessor(let peer, _, let acknowledgement, let previous):
            guard succeeded else { return commit(previous, of: peer) }
            act(.control(peer.index, acknowledgement))
            if let key = peer.record.pendingKey { act(.notice(peer.index, .successorAccepted(key))) }
        case .announce(let previous):
            guard succeeded else {
                state = previous
                identities.removeLast()
                return
            }
            for peer in peers { peer.announcement = Repetition(now: now.instant) }
        case .pskMessages(let peer, let messages, let previous):
            guard succeeded else {
                peer.pskExchange = nil
                return commit(previous, of: peer)
            }
            for message in messages { act(.control(peer.index, message)) }
        }
    }

    // MARK: - The operator

    /// Takes `key` for the peer's (`rotate accept`). False when it can't be one.
    public mutating func accept(_ key: PublicKey, of index: PeerIndex, now: Now) -> Bool {
        guard let peer = peer(index) else { return false }
        let isOwn = peer.record.key == key || peer.record.pendingKey == key || peer.configuration.publicKey == key
        guard isOwn || isAcceptable(key), identities[0].keyPair.sharedSecret(with: key) != nil else { return false }
        var record = peer.record
        record.replaceKey(by: key)
        record.retiredKeys.removeAll { $0 == key }
        record.pendingKey = nil
        record.isFrozen = false
        restart(peer, with: record, now: now)
        return true
    }

    /// Goes back to what the configuration says of the peer (`rotate forget`).
    public mutating func forget(_ index: PeerIndex, now: Now) -> Bool {
        guard let peer = peer(index) else { return false }
        restart(peer, with: PeerRecord(configuredKey: peer.configuration.publicKey), now: now)
        return true
    }

    private mutating func restart(_ peer: PeerMachine, with record: PeerRecord, now: Now) {
        commit(record, of: peer)
        store(.nothing)
        endRetiredPairs(of: peer, now: now)
        abandonPending(peer)
        peer.pskExchange = nil
        peer.failures = 0
        peer.committedTimestamp = nil
        initiate(peer, now: now)
        updateState(of: peer, now: now.instant)
    }
}
