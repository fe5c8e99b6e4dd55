public import VXCrypto
public import VXWire

/// What a reload changes of the sealed peers.
public struct HandshakeChange: Sendable {
    /// They are gone: they are said goodbye to, and their pairs end.
    public var removed: [PeerIndex] = []
    /// They are known by the same index, and keep their sessions. One whose key is named by another configured key than before
    /// has rotated to that, and the configuration has caught up.
    public var changed: [HandshakePeer] = []
    /// They are new.
    public var added: [HandshakePeer] = []

    /// Nothing yet.
    public init() {}
}

extension HandshakeMachine {
    /// Takes over another configuration. Peers that are not named are not touched.
    ///
    /// What rotations have left of a peer that is removed is remembered, so that a key which it retired stays retired when
    /// it comes back under the same configured key.
    public mutating func apply(_ change: HandshakeChange, now: Now) {
        for index in change.removed { if let peer = peer(index) { remove(peer, now: now.instant) } }
        peers.removeAll { peer in change.removed.contains(peer.index) }
        let new = change.added.map { PeerMachine($0, record: state.peer($0.publicKey), lanes: lanes) }
        peers += new
        indexPeers()
        for configuration in change.changed {
            if let peer = peer(configuration.index) { self.change(peer, to: configuration, now: now) }
        }
        indexPeers()
        for peer in new {
            if isBehind(peer) { peer.announcement = Repetition(now: now.instant) }
            start(peer, among: new.count, now: now.instant)
        }
    }

    private mutating func remove(_ peer: PeerMachine, now: Instant) {
        sayGoodbye(to: peer, now: now)
        abandonPending(peer)
        for place in peer.pairs.indices { retire(place, of: peer) }
        peer.isRemoved = true
        // Whatever waits for the disk on its account is for nobody.
        for (number, next) in afterStore where next.peer === peer { afterStore[number] = .nothing }
    }

    private mutating func change(_ peer: PeerMachine, to configuration: HandshakePeer, now: Now) {
        let previous = peer.configuration
        peer.configuration = configuration
        if configuration.publicKey != previous.publicKey { inherit(peer, from: previous.publicKey) }
        peer.ports.isConfiguredFixed = configuration.fixedPorts
        tellPorts(of: peer)
        let isElsewhere = configuration.endpoint != previous.endpoint && configuration.endpoint != peer.endpoint
        if isElsewhere, let endpoint = configuration.endpoint {
            moved(peer, to: endpoint, now: now.instant)
            // A call that is out went to where the peer is no longer.
            if peer.sendingPair(at: now.instant) == nil { initiate(peer, now: now) }
        }
        guard configuration.presharedKey.fingerprint != previous.presharedKey.fingerprint else { return }
        // Another key in the file starts over (protocol.md, 6); the session that stands was agreed with the one before.
        var record = peer.record
        record.psk = nil
        peer.pskExchange = nil
        commit(record, of: peer)
        store(.nothing)
        peer.failures = 0
        initiate(peer, now: now)
    }

    /// The configuration names the key that the peer has rotated to: what is remembered descends from that now.
    private mutating func inherit(_ peer: PeerMachine, from former: PublicKey) {
        let key = peer.configuration.publicKey
        var record = PeerRecord(configuredKey: key)
        record.currentKey = peer.record.key == key ? nil : peer.record.key
        record.pendingKey = peer.record.pendingKey == key ? nil : peer.record.pendingKey
        record.retiredKeys = peer.record.retiredKeys.filter { $0 != key }
        record.sequence = peer.record.sequence
        record.isFrozen = peer.record.isFrozen
        record.psk = peer.record.psk
        state.peers.removeAll { $0.configuredKey == former }
        if state.rotation?.acknowledged.remove(former) != nil { state.rotation?.acknowledged.insert(key) }
        if state.rotation?.switched.remove(former) != nil { state.rotation?.switched.insert(key) }
        commit(record, of: peer)
        store(.nothing)
    }

    /// The key that the configuration gives a peer; nil for an index that no sealed peer has.
    public func configuredKey(of index: PeerIndex) -> PublicKey? { peer(index)?.configuration.publicKey }
}

extension AfterStore {
    /// On whose account it is.
    fileprivate var peer: PeerMachine? {
        switch self {
        case .acknowledgeSuccessor(let peer, _, _, _), .pskMessages(let peer, _, _): peer
        case .nothing, .announce: nil
        }
    }
}
