import VXCrypto
public import VXWire

// Rotation of a preshared key (protocol.md, 6). The proposer says its number until the answer comes; each side stores the
// key before it confirms; whoever has both stored and been confirmed to may call with it; the first session with it
// erases the one before. All messages carry the generation they are about, so one of an earlier exchange does nothing.
extension HandshakeMachine {
    /// Why a preshared key can't be rotated.
    public enum PSKRefusal: Error, Sendable {
        /// There is no session to agree on it.
        case noSession
        /// Generation 255 is in use: the operator replaces the file on both sides.
        case lastGeneration
        /// No sealed peer has this index.
        case unknownPeer
    }

    /// Starts the rotation with a peer.
    public mutating func startPSKRotation(with index: PeerIndex, now: Now) throws(PSKRefusal) {
        guard let peer = peer(index) else { throw .unknownPeer }
        guard peer.sendingPair(at: now.instant) != nil else { throw .noSession }
        guard peer.psk.generation < .max else { throw .lastGeneration }
        beginExchange(peer, now: now.instant)
    }

    private func role(in pair: KeyPair) -> PSKExchange.Role {
        pair.credentials.local.publicKey < pair.credentials.remote ? .proposer : .answerer
    }

    private func beginExchange(_ peer: PeerMachine, now: Instant) {
        let generation = peer.psk.generation + 1
        if let exchange = peer.pskExchange, exchange.generation == generation { return }
        peer.pskExchange = PSKExchange(generation: generation, repetition: Repetition(now: now))
    }

    /// Says what is due. A next generation on disk that is not confirmed, as after a restart, goes on by itself: its
    /// proposal is repeated as it was, so that a side that never stored it may answer anew.
    mutating func continuePSK(_ peer: PeerMachine, _ place: Int, now: Now) {
        guard peer.pairs[place].isConfirmed else { return }
        if peer.pskExchange == nil, peer.psk.pending != nil { beginExchange(peer, now: now.instant) }
        guard peer.pskExchange?.repetition.isDue(now.instant) == true, let exchange = peer.pskExchange else { return }
        if exchange.isConfirmed { return initiateUnlessPending(peer, now: now) }
        let generation = exchange.generation
        let pending = peer.psk.pending
        let role = role(in: peer.pairs[place])
        switch role {
        case .proposer:
            let nonce = pending?.proposerNonce ?? exchange.proposerNonce ?? PSKExchange.nonce()
            if pending == nil { peer.pskExchange?.proposerNonce = nonce }
            act(.control(peer.index, ControlMessage.psk(.propose, generation, nonce).bytes))
        case .answerer:
            let empty = [UInt8](repeating: 0, count: PSKExchange.nonceLength)
            act(.control(peer.index, ControlMessage.psk(.ask, generation, empty).bytes))
        }
        if let pending { act(.control(peer.index, confirmation(role, generation, pending.key))) }
    }

    private func confirmation(_ role: PSKExchange.Role, _ generation: UInt8, _ key: PresharedKey) -> [UInt8] {
        let code = PSKExchange.confirmation(key, by: role)
        return ControlMessage.pskConfirmation(generation: generation, code: code).bytes
    }

    private mutating func initiateUnlessPending(_ peer: PeerMachine, now: Now) {
        peer.failures = 0
        if peer.pending == nil { initiate(peer, now: now) }
    }

    mutating func receivePSK(
        _ step: ControlMessage.PSKStep,
        _ generation: UInt8,
        _ nonce: [UInt8],
        peer: PeerMachine,
        pair: ReceiverIndex,
        now: Now
    ) {
        guard let place = peer.pair(pair), peer.psk.generation < .max else { return drop(.invalidPSKExchange) }
        let psk = peer.psk
        // Of a rotation that is over on this side: the next session tells the other.
        if generation <= psk.generation { return }
        guard generation == psk.generation + 1 else { return drop(.invalidPSKExchange) }
        let role = role(in: peer.pairs[place])
        switch (step, role) {
        case (.ask, .proposer):
            beginExchange(peer, now: now.instant)
        case (.propose, .answerer):
            answer(nonce, generation: generation, peer: peer, now: now.instant)
        case (.answer, .proposer):
            guard let own = peer.pskExchange?.proposerNonce ?? psk.pending?.proposerNonce else {
                return drop(.invalidPSKExchange)
            }
            agree(peer, generation: generation, proposer: own, answerer: nonce, role: role, messages: [])
        case (.ask, .answerer), (.propose, .proposer), (.answer, .answerer):
            drop(.invalidPSKExchange)
        }
    }

    private mutating func answer(
        _ proposed: [UInt8],
        generation: UInt8,
        peer: PeerMachine,
        now: Instant
    ) {
        beginExchange(peer, now: now)
        // The same proposal gets the same answer. Another one means that the proposer lost the first before it stored
        // anything, unless it has confirmed.
        let known = peer.psk.pending
        if let known, known.proposerNonce != proposed, peer.pskExchange?.isConfirmed == true {
            return drop(.invalidPSKExchange)
        }
        let own = known.flatMap { $0.proposerNonce == proposed ? $0.answererNonce : nil } ?? PSKExchange.nonce()
        let message = ControlMessage.psk(.answer, generation, own).bytes
        agree(peer, generation: generation, proposer: proposed, answerer: own, role: .answerer, messages: [message])
    }

    /// Stores the next generation's key, then sends `messages` and the confirmation.
    private mutating func agree(
        _ peer: PeerMachine,
        generation: UInt8,
        proposer: [UInt8],
        answerer: [UInt8],
        role: PSKExchange.Role,
        messages: [[UInt8]]
    ) {
        let previous = peer.record
        let psk = peer.psk
        let isKnown = psk.pending?.proposerNonce == proposer && psk.pending?.answererNonce == answerer
        let key =
            isKnown
            ? psk.pending!.key
            : PSKExchange.nextKey(psk.key, generation: generation, proposer: proposer, answerer: answerer)
        let all = messages + [confirmation(role, generation, key)]
        peer.pskExchange?.proposerNonce = nil
        if isKnown {
            for message in all { act(.control(peer.index, message)) }
            return
        }
        var record = previous
        var changed = psk
        changed.pending = PSKRecord.Pending(key: key, proposerNonce: proposer, answererNonce: answerer)
        record.psk = changed
        commit(record, of: peer)
        store(.pskMessages(peer, all, previous: previous))
    }

    mutating func receivePSKConfirmation(
        _ generation: UInt8,
        _ code: [UInt8],
        peer: PeerMachine,
        pair: ReceiverIndex,
        now: Now
    ) {
        let psk = peer.psk
        if generation <= psk.generation { return }
        guard let place = peer.pair(pair), let pending = psk.pending, generation == psk.generation + 1 else {
            // It overtook the answer it belongs to; the proposal is said again.
            return drop(.invalidPSKExchange)
        }
        let role = role(in: peer.pairs[place])
        let other: PSKExchange.Role = role == .proposer ? .answerer : .proposer
        guard HandshakeCipher.areEqual(PSKExchange.confirmation(pending.key, by: other), code) else {
            return drop(.invalidPSKExchange)
        }
        beginExchange(peer, now: now.instant)
        let wasConfirmed = peer.pskExchange?.isConfirmed ?? false
        peer.pskExchange?.isConfirmed = true
        // Both sides may still wait for the other's after a restart: say ours again, once for each of theirs.
        if role == .answerer { act(.control(peer.index, confirmation(role, generation, pending.key))) }
        if !wasConfirmed, role == .proposer { initiateUnlessPending(peer, now: now) }
    }

    /// The first confirmed session on the next generation erases the one before.
    mutating func notePSK(of peer: PeerMachine, _ credentials: Credentials, now: Now) {
        var psk = peer.psk
        guard let pending = psk.pending, credentials.generation == psk.generation + 1 else { return }
        psk.generation += 1
        psk.key = pending.key
        psk.pending = nil
        var record = peer.record
        record.psk = psk
        commit(record, of: peer)
        peer.pskExchange = nil
        store(.nothing)
        act(.notice(peer.index, .pskRotated(psk.generation)))
    }
}
