import VXWire

/// One lane's key pairs by receiver index: open addressing over a slab, looked up once a datagram.
struct SessionTable: ~Copyable {
    /// An occupied place names its session; the index is kept beside it, so that a miss touches one cache line.
    private struct Place {
        var index: UInt32
        var session: UnsafeMutablePointer<TransportSession>?
    }

    private var places: UnsafeMutablePointer<Place>
    private var mask: Int
    private(set) var count = 0

    init() {
        mask = 15
        places = Self.emptyPlaces(mask + 1)
    }

    deinit {
        for index in 0...mask {
            guard let session = places[index].session else { continue }
            session.deinitialize(count: 1)
            session.deallocate()
        }
        places.deallocate()
    }

    private static func emptyPlaces(_ count: Int) -> UnsafeMutablePointer<Place> {
        let places = UnsafeMutablePointer<Place>.allocate(capacity: count)
        places.initialize(repeating: Place(index: 0, session: nil), count: count)
        return places
    }

    /// Indices are random already, so their low bits serve as the hash.
    @inline(__always)
    func find(_ index: ReceiverIndex) -> UnsafeMutablePointer<TransportSession>? {
        var place = Int(truncatingIfNeeded: index.rawValue) & mask
        while let session = places[place].session {
            if places[place].index == index.rawValue { return session }
            place = (place &+ 1) & mask
        }
        return nil
    }

    /// The session with a peer that datagrams of this node name so; looks through all of them.
    func find(remote: ReceiverIndex, peer: Int) -> UnsafeMutablePointer<TransportSession>? {
        for place in 0...mask {
            guard let session = places[place].session, Int(session.pointee.peer.rawValue) == peer,
                session.pointee.remoteIndex == remote
            else { continue }
            return session
        }
        return nil
    }

    /// Adds a session. Its index is in no other live or pending pair: the handshake sees to that.
    mutating func insert(_ session: consuming TransportSession) -> UnsafeMutablePointer<TransportSession> {
        precondition(find(session.localIndex) == nil, "a receiver index was given out twice")
        if (count + 1) * 2 > mask + 1 { grow() }
        let cell = UnsafeMutablePointer<TransportSession>.allocate(capacity: 1)
        let index = session.localIndex.rawValue
        cell.initialize(to: session)
        put(Place(index: index, session: cell))
        count += 1
        return cell
    }

    /// Removes a session and wipes what it held; false when there is none.
    mutating func remove(_ index: ReceiverIndex) -> Bool {
        var place = Int(truncatingIfNeeded: index.rawValue) & mask
        while let session = places[place].session, places[place].index != index.rawValue {
            _ = session
            place = (place + 1) & mask
        }
        guard let session = places[place].session else { return false }
        session.deinitialize(count: 1)
        session.deallocate()
        places[place].session = nil
        count -= 1
        // Entries behind the hole may have been pushed past it: put each of the run in anew.
        var next = (place + 1) & mask
        while places[next].session != nil {
            let moved = places[next]
            places[next].session = nil
            put(moved)
            next = (next + 1) & mask
        }
        return true
    }

    /// The indices of all sessions.
    var indices: [ReceiverIndex] {
        (0...mask).filter { places[$0].session != nil }.map { ReceiverIndex(places[$0].index) }
    }

    private func put(_ entry: Place) {
        var place = Int(truncatingIfNeeded: entry.index) & mask
        while places[place].session != nil { place = (place + 1) & mask }
        places[place] = entry
    }

    private mutating func grow() {
        let (old, oldCount) = (places, mask + 1)
        mask = oldCount * 2 - 1
        places = Self.emptyPlaces(oldCount * 2)
        for index in 0..<oldCount where old[index].session != nil { put(old[index]) }
        old.deallocate()
    }
}
