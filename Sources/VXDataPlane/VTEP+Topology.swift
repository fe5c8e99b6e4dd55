public import VXWire

/// What changes of a lane's networks and peers while it runs. Whatever is not named stays as it is, sessions and all.
public struct TopologyChange: Sendable {
    /// What becomes of a peer.
    public enum Peer: Sendable {
        /// It is new, or another than the one that had the index.
        case add(PeerDefinition)
        /// Its binding and whether it may move; a plaintext peer's endpoint.
        case change(PeerDefinition)
        /// It is gone; the counters are those of its index. No lane holds a pair of its any more.
        case remove(PeerCounters)
    }

    /// By place; nil for a network that is gone.
    public var networks: [(place: Int, definition: NetworkDefinition?)] = []
    /// By index. An index that is new to the lane is named together with all new ones below it.
    public var peers: [(index: PeerIndex, change: Peer)] = []
    /// How many peers there may be. When this grows every network must be named.
    public var peerCapacity: Int

    /// Nothing yet.
    public init(peerCapacity: Int) { self.peerCapacity = peerCapacity }
}

// A reload. None of it is per packet: the lane's own thread runs it between two batches.
extension VTEP {
    /// Takes over what a reload changed. Frames that wait for a peer in a network that it left, or that is gone, are dropped
    /// and counted, as are those that wait for a peer that is gone.
    public mutating func apply(_ change: TopologyChange) {
        precondition(cursor.frame == nil && open.session == nil, "a topology changes between two frames")
        precondition(
            change.peerCapacity == peerCapacity || change.networks.count >= networks.count,
            "every network has a bit for each peer"
        )
        peerCapacity = change.peerCapacity
        let peerCount = change.peers.map { Int($0.index.rawValue) + 1 }.max() ?? 0
        precondition(peerCount <= peerCapacity, "a peer's index is below the capacity")
        peers = Self.extended(peers, to: peerCount) { Peer(.vacant(PeerCounters())) }
        for (index, change) in change.peers { apply(change, to: Int(index.rawValue)) }
        let places = change.networks.map { $0.place + 1 }.max() ?? 0
        networks = Self.extended(networks, to: places) { [peerCapacity] in Network(.vacant, peerCount: peerCapacity) }
        for (place, definition) in change.networks {
            networks[place] = Network(definition ?? .vacant, peerCount: peerCapacity)
        }
        networkByVNI = Self.networkMap(networks)
        plaintextPeers = Self.plaintextMap(peers)
        for place in peers.indices where peers[place].waiting.count > 0 {
            let peer = PeerIndex(UInt16(place))
            let dropped = peers[place].waiting.remove { [networks] in !networks[$0].admits(peer) }
            countDrop(.noSession, UInt64(dropped), peer: peer)
        }
    }

    private mutating func apply(_ change: TopologyChange.Peer, to place: Int) {
        switch change {
        case .add(let definition):
            leave(place)
            peers[place] = Peer(definition)
        case .change(let definition):
            peers[place].change(to: definition)
        case .remove(let counters):
            leave(place)
            peers[place] = Peer(.vacant(counters))
        }
    }

    /// Whoever had the index is gone.
    private mutating func leave(_ place: Int) {
        precondition(peers[place].sending == nil, "a peer leaves after its pairs")
        dropWaiting(PeerIndex(UInt16(place)))
    }

    private static func extended<Element: ~Copyable>(
        _ elements: UnsafeMutableBufferPointer<Element>,
        to count: Int,
        filler: () -> Element
    ) -> UnsafeMutableBufferPointer<Element> {
        guard count > elements.count else { return elements }
        let larger = UnsafeMutableBufferPointer<Element>.allocate(capacity: count)
        if let source = elements.baseAddress {
            larger.baseAddress?.moveInitialize(from: source, count: elements.count)
        }
        for place in elements.count..<count { larger.initializeElement(at: place, to: filler()) }
        elements.deallocate()
        return larger
    }

    static func networkMap(_ networks: UnsafeMutableBufferPointer<Network>) -> PlaceMap {
        PlaceMap(
            networks.indices.compactMap { place in
                networks[place].isVacant ? nil : (UInt64(networks[place].vni.rawValue), place)
            }
        )
    }

    static func plaintextMap(_ peers: UnsafeMutableBufferPointer<Peer>) -> PlaceMap {
        PlaceMap(
            peers.indices.compactMap { place in
                guard peers[place].isPlaintext, let endpoint = peers[place].endpoint else { return nil }
                return (endpoint.placeKey, place)
            }
        )
    }
}

extension NetworkDefinition {
    /// Of a place that no network has: nobody is a member, and no VNI leads to it.
    fileprivate static let vacant = {
        var definition = NetworkDefinition(
            vni: VNI(truncating: 0),
            mode: .sealed,
            learning: false,
            // Ethernet header and two tags.
            maximumFrame: 22,
            members: [],
            forwarding: ForwardingDatabase(limit: 1, peerCount: 1)
        )
        definition.isVacant = true
        return definition
    }()
}

extension PeerDefinition {
    /// Of an index that no peer has: it is in no network and nowhere.
    fileprivate static func vacant(_ counters: PeerCounters) -> PeerDefinition {
        PeerDefinition(isPlaintext: false, endpoint: nil, roaming: false, counters: counters)
    }
}
